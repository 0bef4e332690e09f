"""
Who may use the shell, as whom, and what is recorded of it (acli.md 4).

- The kernel says who connects; groups of the machine give the role; anybody else is closed at once.
- The superuser password: set, asked for, wrong, locked out, removed without the daemon.
- The audit log: each line before it runs and its result after it, and no secret in it.
- A banner, an end after idle time, a limit of connections.
"""
import contextlib
import grp
import hashlib
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import time

import pytest

from test_o_shell import AGENT, PROMPT, operator  # noqa: F401

PASSWORD = "rather-long-password"


def configured(sbc, login=None, audit=None, system=None):
    sbc.config["security"] = {"admin-security": {"login-config": login or {},
                                                 "audit-logging": audit or {}}}
    sbc.config["system"]["system-config"].update(system or {})
    return sbc.start()


def audit_log(sbc):
    path = f"{sbc.folder}/log/audit.log"
    if not os.path.exists(path):
        return ""
    with open(path) as f:
        return f.read()


def sets_password(o, password=PASSWORD, again=None):
    o.types("enable")
    o.types("set-password superuser", until="Password: ")
    o.types(password, until="Password again: ")
    return o.types(again or password)


# --- the password

def test_a_password_is_set_asked_for_and_seen_nowhere(sbc, operator):
    configured(sbc, {"login-attempt-interval": "0"})
    o = operator()
    assert "The superuser password is set." in sets_password(o)
    o.types("disable")
    o.types("enable", until="Password: ")
    text = o.types(PASSWORD)
    assert text.endswith("sbc1# ") and PASSWORD not in text
    # root is asked like everybody, and a restart changes nothing
    sbc.stop()
    sbc.start(configured=False)
    o = operator()
    o.types("enable", until="Password: ")
    assert "% Access denied" in o.types("wrong-password-x")
    o.types("enable", until="Password: ")
    assert o.types(PASSWORD).endswith("sbc1# ")
    for name in ("sbc.db", "sbc.db-wal", "log/audit.log", "sbcd.1.log", "sbcd.2.log"):
        path = f"{sbc.folder}/{name}"
        if os.path.exists(path):
            assert PASSWORD.encode() not in open(path, "rb").read(), name


def test_a_password_that_is_too_easy_is_refused(sbc, operator):
    configured(sbc, {"min-secure-pwd-len": "8"})
    o = operator()
    o.types("enable")
    o.types("set-password superuser", until="Password: ")
    assert "% The password needs at least 8 characters" in o.types("seven77")
    o.types("set-password superuser", until="Password: ")
    o.types("eight888", until="Password again: ")
    assert "% The password was typed differently" in o.types("eight889")
    host = socket.gethostname()
    if len(host) >= 8:
        o.types("set-password superuser", until="Password: ")
        assert "% The password is the name of" in o.types(host.upper())
    o.types("disable")
    assert o.types("enable").endswith("sbc1# ")     # none was set


def test_wrong_passwords_are_slow_and_lock_the_user_out(sbc, operator):
    configured(sbc, {"login-attempt-interval": "2", "max-login-attempts": "2",
                     "lockout-interval": "4"})
    o = operator()
    o.child.timeout = 20
    sets_password(o)
    o.types("disable")
    for _ in range(2):
        o.types("enable", until="Password: ")
        assert "% Access denied" in o.types("wrong-password")
    assert "login-lockout" in sbc.acli("show alarms", options=["--user"])
    # Locked out: not even asked, and in another connection neither
    assert "% Access denied" in o.types("enable")
    other = operator()
    assert "% Access denied" in other.types("enable")
    wait_for(lambda: "login-lockout" not in sbc.acli("show alarms", options=["--user"]))
    o.types("enable", until="Password: ")
    assert o.types(PASSWORD).endswith("sbc1# ")
    log = audit_log(sbc)
    assert log.count("event=enable-refused") == 4 and log.count("event=lockout") == 1
    assert "event=enable-ok" in log


def wait_for(question, within=6.0):
    limit = time.monotonic() + within
    while not question():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_others_are_answered_while_a_password_is_compared(sbc, operator):
    configured(sbc, {"login-attempt-interval": "0"})
    o = operator()
    sets_password(o)
    o.types("disable")
    o.types("enable", until="Password: ")
    o.keys("wrong-password\r")
    with contextlib.closing(sbc.shell()) as shell:
        shell.sends("show uptime")
        assert shell.lines.readline().startswith("1000")
    o.reads("% Access denied")


def test_batch_takes_the_password_out_of_a_file_for_enable_alone(sbc, operator, tmp_path):
    configured(sbc, {"login-attempt-interval": "0"})
    sets_password(operator())
    code, output = sbc.acli_status("show configuration")
    assert code == 1 and "needs a terminal" in output
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    os.chmod(secret, 0o644)
    code, output = sbc.acli_status("show configuration", options=["--password-file", str(secret)])
    assert code == 2 and "must be your own, and mode 0600" in output
    os.chmod(secret, 0o600)
    assert "surrogate-agent" in sbc.acli("show configuration",
                                         options=["--password-file", str(secret)])
    # Another question without echo does not get it
    code, output = sbc.acli_status("configure terminal", f"surrogate-agent {AGENT}", "password",
                                   options=["--password-file", str(secret)])
    assert code == 1 and "needs a terminal" in output
    # In user mode it is not asked for
    assert "Sessions" in sbc.acli("show sipd", options=["--user"])


def test_a_forgotten_password_is_removed_without_the_daemon(sbc, operator):
    configured(sbc)
    sets_password(operator())
    sbc.stop()
    result = subprocess.run([f"{sbc.build}/acli", "--offline", "--db", sbc.database, "-c",
                             "delete-password superuser"], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "The superuser password is removed.\n")
    sbc.start(configured=False)
    assert operator().types("enable").endswith("sbc1# ")


# --- roles

def as_user(sbc, user, *lines):
    """acli as another user of the machine, in batch"""
    for folder in [sbc.folder, *[str(p) for p in pathlib.Path(sbc.folder).parents]]:
        if not os.stat(folder).st_mode & 0o001:
            os.chmod(folder, os.stat(folder).st_mode | 0o011)
    # where the sources lie others may not look
    acli = shutil.copy(f"{sbc.build}/acli", sbc.folder)
    arguments = [acli, "--socket", sbc.socket, "--timeout", "5"]
    for line in lines:
        arguments += ["-c", line]
    result = subprocess.run(arguments, capture_output=True, text=True, user=user, group=user,
                            extra_groups=[], env={"HOME": "/nonexistent"})
    return result.returncode, result.stdout, result.stderr


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@needs_root
def test_a_member_of_user_group_looks_and_changes_nothing(sbc):
    configured(sbc, {"user-group": "games", "superuser-group": "mail"})
    code, output, errors = as_user(sbc, "games", "show sipd")
    assert (code, errors) == (0, "") and "Sessions" in output
    for line in ("show configuration", "configure terminal", "save-config", "kill sip session 1"):
        code, output, errors = as_user(sbc, "games", line)
        assert (code, output, errors) == (1, "", "% Access denied\n"), line
    code, output, errors = as_user(sbc, "games", "enable")
    assert (code, errors) == (1, "% Access denied\n")
    mode = os.stat(sbc.socket)
    assert stat.S_IMODE(mode.st_mode) == 0o660
    assert mode.st_gid == grp.getgrnam("games").gr_gid
    assert "user=games@local role=user path=- cmd=\"show sipd\" result=ok" in audit_log(sbc)


@needs_root
def test_a_member_of_both_groups_may_become_superuser(sbc):
    configured(sbc, {"user-group": "games", "superuser-group": "games"})
    code, output, errors = as_user(sbc, "games", "show configuration short system-config")
    assert (code, errors) == (0, "") and "system-config" in output


@needs_root
def test_anybody_else_is_closed_at_once(sbc):
    # In superuser-group alone nobody is: he has to be in user-group too
    configured(sbc, {"user-group": "mail", "superuser-group": "games"})
    os.chmod(sbc.socket, 0o666)     # the mode alone would keep him out
    code, output, errors = as_user(sbc, "games", "show sipd")
    assert code == 3 and "lost" in errors and not output
    assert "games" not in audit_log(sbc)


def test_the_address_of_an_ssh_client_is_named(sbc):
    configured(sbc)
    environment = dict(os.environ, SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22")
    subprocess.run([f"{sbc.build}/acli", "--socket", sbc.socket, "-c", "show version"],
                   env=environment, check=True, capture_output=True)
    forged = dict(os.environ, SSH_CONNECTION='x" role=superuser y')
    subprocess.run([f"{sbc.build}/acli", "--socket", sbc.socket, "-c", "show uptime"],
                   env=forged, check=True, capture_output=True)
    log = audit_log(sbc)
    assert re.search(r"user=\w+@192\.0\.2\.7 .* cmd=\"show version\"", log)
    assert re.search(r"user=\w+@local .* cmd=\"show uptime\"", log)


def test_one_connection_more_than_the_limit_is_for_root(sbc):
    configured(sbc, {"concurrent-session-limit": "2"})
    shells = [sbc.shell() for _ in range(3)]
    for shell in shells:
        shell.sends("")
        assert shell.lines.readline().startswith("0000 ")
    last = sbc.shell()
    assert last.lines.readline() == "8005 Too many connections\n"
    assert last.lines.readline() == ""
    shells.pop().close()
    wait_for(lambda: answers(sbc))


def answers(sbc):
    shell = sbc.shell()
    try:
        shell.sends("")
        return shell.lines.readline().startswith("0000 ")
    except OSError:
        return False
    finally:
        shell.close()


# --- banner, idle time, pages

def test_the_banner_is_for_operators_and_not_for_batch(sbc, operator):
    configured(sbc, {"login-banner": "Authorised use only"})
    o = operator()
    assert "Authorised use only" in o.greeting
    assert "Authorised" not in sbc.acli("show version")


def test_an_idle_connection_is_told_and_closed(sbc, operator):
    configured(sbc, system={"console-timeout": "62"})
    o = operator()
    o.reads("The connection is idle and ends in 60 s")
    # A key is no line; a line begins the time anew
    assert o.types("show uptime").endswith("sbc1> ")
    o.reads("The connection is idle and ends in 60 s")


def test_an_idle_connection_loses_its_lock_and_its_object(sbc, operator):
    configured(sbc, system={"console-timeout": "2"})
    o = operator()
    o.enters("enable", "configure exclusive", "system-config", "location here")
    o.reads("The connection was idle, and ends")
    assert o.ends() == 3
    sbc.acli("configure exclusive")
    assert "location" not in sbc.acli("show configuration short system-config")
    assert "event=idle-timeout" in audit_log(sbc)


def test_paging_is_off_for_all_by_cli_more(sbc, operator):
    configured(sbc, system={"cli-more": "disabled"})
    o = operator(rows=10)
    o.types("enable")
    assert "--More--" not in o.types("show configuration")
    assert "Paging is on." in o.types("cli more enabled")
    o.types("show configuration", until="--More-- ")
    o.keys("q")


# --- the audit log

def test_each_line_is_recorded_before_it_runs_and_its_result_after_it(sbc, operator):
    configured(sbc)
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}", "register-retry-time 20",
             "register-retry-time 61", "password hidden-one", "pa hidden-two", "passwort hidden-three",
             'description "say \\"hi\\""', "done", "quit")
    o.types("configure terminal", until=PROMPT)
    o.types("surrogate-agent " + AGENT)
    o.types("password", until="password: ")
    o.types("hidden-four", until="password again: ")
    o.types("hidden-four")
    o.types("exit", until=r"\[y/n/c\] ")
    o.types("n")
    o.enters("quit", "save-config", "activate-config", "exit")
    o.keys("exit\r")
    assert o.ends() == 0
    wait_for(lambda: "event=logout" in audit_log(sbc))
    log = audit_log(sbc)
    assert "hidden" not in log
    line = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z conn=\d+ uid=\d+ user=\S+@local "
                      r"role=(user|superuser) path=\S+ (cmd|answer|event)=.*")
    for each in log.splitlines():
        assert line.fullmatch(each), each

    def has(text):
        assert text in log, log

    has("role=user path=- event=login\n")
    has("event=enable-ok\n")
    has('path=surrogate-agent cmd="register-retry-time 20"\n')
    has('path=surrogate-agent cmd="register-retry-time 20" result=failed\n')
    has('path=surrogate-agent cmd="register-retry-time 61" result=ok\n')
    has('cmd="password ********" result=ok\n')
    has('cmd="pa ********" result=')
    has('cmd="passwort ********" result=failed\n')
    has('cmd="description \\"say \\\\\\"hi\\\\\\"\\"" result=ok\n')
    has(f'cmd="done" result=ok change="surrogate-agent [{AGENT}] description empty -> '
        'say \\"hi\\", password changed, register-retry-time 30 -> 61"\n')
    has('answer="********"\n')
    has('answer="n"\n')
    has('cmd="save-config" result=ok change="version 2"\n')
    has('cmd="activate-config" result=ok change="version 2"\n')
    status = os.stat(f"{sbc.folder}/log/audit.log")
    assert stat.S_IMODE(status.st_mode) == 0o640


def offline(sbc, *commands):
    arguments = [f"{sbc.build}/acli", "--offline", "--db", sbc.database]
    for command in commands:
        arguments += ["-c", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=20)
    return result.returncode, result.stdout + result.stderr


def test_without_the_daemon_lines_are_recorded_as_with_it(sbc):
    configured(sbc)
    code, said = offline(sbc, "show configuration short system-config")
    assert code == 0 and "it is only read" in said
    sbc.stop()
    assert "short system-config" not in audit_log(sbc)  # the daemon had its file
    os.rename(f"{sbc.folder}/log", f"{sbc.folder}/log.away")
    if os.geteuid() == 0:
        os.chown(sbc.database, 1234, -1)
    code, said = offline(sbc, f"configure terminal surrogate-agent {AGENT}", "password hidden-one",
                         "register-retry-time 61", "done", "quit", "save-config")
    assert code == 0, said
    log = audit_log(sbc)
    assert "hidden" not in log
    for text in ("event=login\n", 'cmd="password ********" result=ok\n', "event=logout\n",
                 f'cmd="done" result=ok change="surrogate-agent [{AGENT}] password changed, '
                 'register-retry-time 30 -> 61"\n', 'cmd="save-config" result=ok change="version 2"\n'):
        assert text in log, log
    assert f"uid={os.geteuid()} user=" in log and " role=superuser " in log
    for path in (f"{sbc.folder}/log", f"{sbc.folder}/log/audit.log"):
        assert os.geteuid() or os.stat(path).st_uid == 1234


def test_without_the_daemon_nothing_is_changed_either_while_it_cannot_be_recorded(sbc):
    configured(sbc, audit={"audit-required": "enabled"})
    sbc.acli("show version")
    sbc.stop()
    os.unlink(f"{sbc.folder}/log/audit.log")
    os.symlink("/dev/full", f"{sbc.folder}/log/audit.log")
    code, said = offline(sbc, f"configure terminal surrogate-agent {AGENT}",
                         "register-retry-time 61", "done")
    assert code == 1 and "The audit log cannot be written, nothing is changed" in said
    assert not re.search(r"register-retry-time +61\b", offline(sbc, f"show configuration surrogate-agent {AGENT}")[1])


def test_brief_leaves_the_values_out(sbc):
    configured(sbc, audit={"detail-level": "brief"})
    sbc.acli("configure terminal", f"surrogate-agent {AGENT}", "register-retry-time 61", "done")
    log = audit_log(sbc)
    assert 'cmd="done" result=ok\n' in log and "change=" not in log


def test_an_import_is_recorded_with_its_digest_and_whether_it_had_secrets(sbc):
    configured(sbc)
    path = sbc.write()
    sbc.acli(f"import-config {path}")
    digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    assert f"sha256 {digest}, secrets yes" in audit_log(sbc)
    masked = sbc.acli("export-config editing")
    with open(path, "w") as f:
        f.write(masked)
    sbc.acli(f"import-config {path}")
    assert f"sha256 {hashlib.sha256(masked.encode()).hexdigest()}, secrets no" in audit_log(sbc)


def test_the_file_is_rotated_and_may_be_moved_away(sbc, tmp_path):
    configured(sbc, audit={"max-file-size": "1", "max-files": "3"})
    log = f"{sbc.folder}/log/audit.log"
    sbc.acli("show version")
    os.rename(log, tmp_path / "moved")
    sbc.acli("show uptime")
    assert "show uptime" in audit_log(sbc) and "show version" not in audit_log(sbc)
    for i in range(4):
        with open(log, "a") as f:
            f.write("x" * 1000000)
        sbc.acli("show uptime")
    assert sorted(n for n in os.listdir(f"{sbc.folder}/log") if n.startswith("audit")) == \
        ["audit.log", "audit.log.1", "audit.log.2"]
    assert os.stat(log).st_size < 10000


def test_nothing_is_changed_while_it_cannot_be_recorded(sbc, operator):
    configured(sbc, audit={"audit-required": "enabled"})
    log = f"{sbc.folder}/log/audit.log"
    sbc.acli("show version")
    os.rename(log, log + ".away")
    os.mkdir(log)
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}", "register-retry-time 61")
    refused = "% The audit log cannot be written, nothing is changed"
    assert refused in o.types("done")
    assert refused in o.types("save-config")
    assert refused in o.types("kill sip session 1")
    assert refused in o.types("delete-password superuser")
    assert "audit-write-failed" in o.types("show alarms")
    os.rmdir(log)
    assert "register-retry-time             61" in o.types("done")
    assert "audit-write-failed" not in o.types("show alarms")


def test_without_audit_required_operators_go_on(sbc, operator):
    configured(sbc)
    log = f"{sbc.folder}/log/audit.log"
    sbc.acli("show version")
    os.rename(log, log + ".away")
    os.mkdir(log)
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}", "register-retry-time 61")
    assert "register-retry-time             61" in o.types("done")
    assert "audit-write-failed" in o.types("show alarms")


def test_login_config_and_audit_logging_are_edited_like_single_elements(sbc, operator):
    sbc.start()
    o = operator()
    o.types("enable")
    assert o.types("configure terminal security admin-security login-config").endswith(
        "sbc1(login-config)# ")
    assert "% max-login-attempts [11] is out of range 1-10" in o.types("max-login-attempts 11")
    o.enters("max-login-attempts 5", "done", "exit")
    o.enters("audit-logging", "detail-level brief", "done", "exit")
    assert "max-login-attempts          5" in o.types("done")
    o.types("login-config")
    assert "max-login-attempts              5" in o.types("show")
    o.types("no", until=r"\[y/n\] ")
    o.enters("y", "exit", "done", "quit")
    text = o.types("show configuration diff")
    assert "+ detail-level                    brief" in text and "max-login" not in text
    exported = sbc.acli("export-config editing")
    assert "audit-logging:\n      detail-level: brief\n" in exported


def test_verify_notes_a_superuser_group_without_a_password(sbc, operator):
    configured(sbc, {"superuser-group": group_with_members()})
    assert "NOTE: admin-security has no superuser password" in sbc.acli("verify-config")
    sets_password(operator())
    secret = f"{sbc.folder}/secret"
    with open(secret, "w") as f:
        f.write(PASSWORD)
    os.chmod(secret, 0o600)
    assert "superuser password" not in sbc.acli("verify-config",
                                                options=["--password-file", secret])


def group_with_members():
    for group in grp.getgrall():
        if group.gr_mem:
            return group.gr_name
    pytest.skip("no group of this machine has members")
