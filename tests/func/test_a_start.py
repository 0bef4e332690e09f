"""
Start and stop of the daemon, and what it says to bad input (interfaces.md).

- Options, `--version`, `--manual`.
- A file that cannot be read, is not well-formed or does not verify: place, sentence, exit status, and
  nothing is stored.
- A database that is newer, damaged, read-only, in use, out of space: one clear line.
- A key that others can read, an address in use, an unknown control socket.
- SIGTERM ends it with 0 in time, also with calls; what was activated runs without --config again.
"""
import os
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile

import pytest

NOBODY = 65534


def sbcd(sbc, *arguments, program=None, **words):
    """Run sbcd to its end; (exit status, stdout, stderr)"""
    result = subprocess.run([program or f"{sbc.build}/sbcd", *arguments], capture_output=True,
                            text=True, timeout=20, **words)
    text = result.stdout + result.stderr
    assert "Sanitizer" not in text and "runtime error" not in text, text
    assert "secret-" not in text
    return result.returncode, result.stdout, result.stderr


def database(sbc):
    return f"{sbc.folder}/sbc.db"


def with_config(sbc, path=None, **words):
    return sbcd(sbc, "--config", path or sbc.write(), "--db", database(sbc), "--socket", sbc.socket,
                **words)


def without_config(sbc, **words):
    return sbcd(sbc, "--db", database(sbc), "--socket", sbc.socket, **words)


def stands_alone(stderr):
    """The one line that says why it did not start"""
    lines = [line for line in stderr.splitlines() if line.startswith("sbcd: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def text_file(sbc, name, text):
    path = f"{sbc.folder}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def nothing_is_stored(sbc):
    code, _, stderr = without_config(sbc)
    assert code == 1 and "no configuration was ever activated" in stands_alone(stderr)
    db = sqlite3.connect(database(sbc))
    tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "version" in tables or "versions" in tables, tables
    for table in ("version", "versions"):
        if table in tables:
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    db.close()


# --- options

def test_version_and_manual(sbc):
    code, out, _ = sbcd(sbc, "--version")
    assert code == 0 and re.fullmatch(r"sbcd \d+\.\d+\.\d+\n", out)
    code, out, _ = sbcd(sbc, "--manual")
    assert code == 0 and "surrogate-agent" in out and "steering-pool" in out
    code, one, _ = sbcd(sbc, "--manual", "surrogate-agent")
    assert code == 0 and "register-retry-time" in one and "30" in one and len(one) < len(out)


@pytest.mark.parametrize("arguments, names", [
    (["--manual", "no-such-element"], "no-such-element"), (["--no-such-option"], "no-such-option"),
    (["left-over"], "left-over"), (["--log-level", "LOUD"], "LOUD"), (["--db"], "--db"),
    (["--node-id", "256"], "256"), (["--node-id", "1x"], "1x"),
], ids=["manual", "option", "argument", "level", "no value", "node", "no number"])
def test_a_wrong_option_is_named_and_exits_2(sbc, arguments, names):
    code, out, stderr = sbcd(sbc, *arguments)
    assert code == 2 and not out and names in stderr


# --- the file

@pytest.mark.parametrize("text, line", [
    ("system: {system-config: {hostname: sbc1}\nmedia-manager:\n  - [\n", None),
    ("system:\n\tsystem-config: {}\n", 2),
    ("system: [1, 2\n", None),
    ("\x00\x01\x02", None),
], ids=["brace", "tab", "bracket", "binary"])
def test_yaml_that_does_not_parse_exits_2_and_stores_nothing(sbc, text, line):
    path = text_file(sbc, "bad.yaml", text)
    code, _, stderr = with_config(sbc, path)
    assert code == 2, stderr
    assert stderr.startswith(path), stderr
    if line:
        assert re.match(rf"{re.escape(path)}:{line}:\d+: ", stderr), stderr
    nothing_is_stored(sbc)


def test_a_file_that_is_not_there_exits_2(sbc):
    code, _, stderr = with_config(sbc, f"{sbc.folder}/none.yaml")
    assert code == 2 and "none.yaml: No such file" in stderr
    code, _, stderr = with_config(sbc, sbc.folder)
    assert code == 2 and "directory" in stderr


def test_every_problem_of_a_file_is_told_with_its_place_and_nothing_is_stored(sbc):
    text = open(sbc.write()).read()
    text = text.replace("register-expires: '600'", "register-expires: '0'")
    text = text.replace("hostname: sbc1", "hostname: sbc1\n    hostnam: x")
    text += "no-such-folder:\n  x: 1\n"
    path = text_file(sbc, "bad.yaml", text)
    code, _, stderr = with_config(sbc, path)
    assert code == 1, stderr
    told = [line for line in stderr.splitlines() if line.startswith(path)]
    assert all(re.match(rf"{re.escape(path)}:\d+:\d+: .", line) for line in told)
    for word in ("hostnam", "no-such-folder", "register-expires"):
        assert [line for line in told if word in line], stderr
    assert len([line for line in told if "register-expires" in line]) == 2
    nothing_is_stored(sbc)


def test_a_configuration_that_does_not_verify_exits_1_and_the_old_one_stays(sbc, trunk):
    sbc.start()
    sbc.stop()
    good = sbc.element("realm-config", "trunk")["addr-prefix"]
    sbc.element("session-agent", "trunk.example")["realm-id"] = "no-such-realm"
    code, _, stderr = with_config(sbc)
    assert code == 1 and "ERROR" in stderr and "no-such-realm" in stderr
    sbc.start(configured=False).registered()
    assert good.removesuffix("/32") in sbc.acli("show running-config realm-config trunk")
    assert "no-such-realm" not in sbc.acli("show running-config")


def test_a_database_without_configuration_says_what_to_do(sbc):
    code, _, stderr = without_config(sbc)
    assert code == 1 and "--config" in stands_alone(stderr)


# --- the database

def test_a_database_of_a_newer_version_is_left_alone(sbc):
    sbc.start()
    sbc.stop()
    db = sqlite3.connect(database(sbc))
    db.execute("PRAGMA user_version = 9999")
    db.close()
    before = open(database(sbc), "rb").read()
    code, _, stderr = with_config(sbc)
    assert code == 1 and "newer" in stands_alone(stderr)
    assert open(database(sbc), "rb").read() == before


@pytest.mark.parametrize("damage", ["head", "middle", "cut", "other"])
def test_a_damaged_database_is_told_in_one_line(sbc, damage):
    sbc.start()
    sbc.stop()
    for name in os.listdir(sbc.folder):
        if name.startswith("sbc.db-"):
            os.unlink(f"{sbc.folder}/{name}")
    data = bytearray(open(database(sbc), "rb").read())
    if damage == "head":
        data[:100] = b"x" * 100
    elif damage == "middle":
        data[4096:] = os.urandom(len(data) - 4096)
    elif damage == "cut":
        data = data[:len(data) // 2]
    else:
        data = bytearray(b"this is no database\n" * 500)
    with open(database(sbc), "wb") as f:
        f.write(data)
    code, _, stderr = without_config(sbc)
    assert code == 1, stderr
    line = stands_alone(stderr)
    assert "sbc.db" in line and re.search("damaged|no database|not a database|malformed", line), line


def test_a_folder_or_nothing_in_place_of_the_database_is_told(sbc):
    os.mkdir(database(sbc))
    code, _, stderr = with_config(sbc)
    assert code == 1 and "sbc.db: Is a directory" in stands_alone(stderr)
    code, _, stderr = sbcd(sbc, "--config", sbc.write(), "--db", f"{sbc.folder}/no/such/sbc.db")
    assert code == 1 and "No such file or directory" in stands_alone(stderr)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_database_is_told_in_one_line(sbc, what):
    sbc.start()
    sbc.stop()
    # root may write everything: another user tries it, in a folder that he can reach
    folder, programs = tempfile.mkdtemp(dir="/tmp"), tempfile.mkdtemp(dir="/tmp")
    try:
        # The build may lie where he must not go
        program = shutil.copy(f"{sbc.build}/sbcd", programs)
        os.chmod(programs, 0o755)
        for name in ("sbc.db", "sbc.key"):
            shutil.copy(f"{sbc.folder}/{name}", folder)
        as_root = os.getuid() == 0
        if as_root:
            for name in (".", "sbc.db", "sbc.key"):
                os.chown(f"{folder}/{name}", NOBODY, NOBODY)
        os.chmod(f"{folder}/sbc.db", 0o600 if what == "folder" else 0o400)
        os.chmod(folder, 0o500 if what == "folder" else 0o700)
        words = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if as_root else {}
        code, _, stderr = sbcd(sbc, "--db", f"{folder}/sbc.db", "--socket", f"{folder}/sock",
                               program=program, **words)
        assert code == 1
        assert re.search("read-only|Permission denied|Read-only", stands_alone(stderr)), stderr
    finally:
        os.chmod(folder, 0o700)
        shutil.rmtree(folder)
        shutil.rmtree(programs)


def test_a_second_daemon_on_the_same_database_is_refused(sbc, trunk):
    sbc.start().registered()
    sent = len(trunk.registers())
    code, _, stderr = sbcd(sbc, "--db", database(sbc), "--socket", f"{sbc.folder}/other.sock")
    assert code == 1 and re.search("in use|another|locks", stands_alone(stderr)), stderr
    code, _, stderr = with_config(sbc)
    assert code == 1 and stands_alone(stderr)
    assert len(trunk.registers()) == sent
    sbc.registered()


def test_a_full_disk_stops_no_call_and_ends(sbc, trunk, pbx_a):
    sbc.start().registered()
    resource.prlimit(sbc.process.pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
    try:
        sbc.acli("notify sipd register a.trunk.example 493010^ pbx-a")
        sbc.waits("show alarms", "database-error")
        pbx_a.calls("0301234").until_answered().hang_up()
        sbc.registered()
    finally:
        resource.prlimit(sbc.process.pid, resource.RLIMIT_FSIZE,
                         (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sbc.no_alarm_is_left(15.0)


# --- the machine

def test_a_key_that_others_can_read_is_refused(sbc):
    sbc.start()
    sbc.stop()
    assert os.stat(f"{sbc.folder}/sbc.key").st_mode & 0o777 == 0o600
    os.chmod(f"{sbc.folder}/sbc.key", 0o644)
    code, _, stderr = without_config(sbc)
    line = stands_alone(stderr)
    assert code == 1 and "sbc.key" in line and "chmod 600" in line
    os.chmod(f"{sbc.folder}/sbc.key", 0o600)
    sbc.start(configured=False)


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"x" * 4096], ids=["empty", "short", "long"])
def test_a_key_that_is_none_is_refused_and_kept(sbc, content):
    sbc.start()
    sbc.stop()
    with open(f"{sbc.folder}/sbc.key", "wb") as f:
        f.write(content)
    code, _, stderr = without_config(sbc)
    assert code == 1 and "sbc.key" in stands_alone(stderr)
    assert open(f"{sbc.folder}/sbc.key", "rb").read() == content


def test_a_key_that_is_lost_is_told_and_the_file_makes_good_for_it(sbc, trunk):
    sbc.start().registered()
    sbc.stop()
    os.unlink(f"{sbc.folder}/sbc.key")
    code, _, stderr = without_config(sbc)
    assert code == 1, "it runs with passwords that it cannot read"
    line = stands_alone(stderr)
    assert "sbc.key" in line and "--config" in line
    assert not os.path.exists(f"{sbc.folder}/sbc.key")
    since = len(trunk.seen)
    sbc.start()
    sbc.acli("notify sipd register a.trunk.example 493010^ pbx-a 4930100")
    trunk.wait(lambda m: m.method == "REGISTER" and trunk.credentials(m), 3.0, since)
    sbc.registered()


def test_an_address_in_use_is_named(sbc):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((sbc.ip(2), 5060))
        code, _, stderr = with_config(sbc)
    assert code == 1
    line = stands_alone(stderr)
    assert f"{sbc.ip(2)}:5060" in line and "in use" in line
    sbc.start(configured=False)


def test_an_address_that_the_machine_has_not_is_named(sbc):
    sbc.element("sip-interface", "pbx-a")["sip-ports"][0]["address"] = "192.0.2.77"
    code, _, stderr = with_config(sbc)
    assert code == 1 and "192.0.2.77" in stderr


def test_a_control_socket_that_cannot_be_is_named(sbc):
    code, _, stderr = sbcd(sbc, "--config", sbc.write(), "--db", database(sbc), "--socket",
                           f"{sbc.folder}/no/such/acli.sock")
    assert code == 1 and "no/such/acli.sock" in stands_alone(stderr)
    code, _, stderr = sbcd(sbc, "--db", database(sbc), "--socket", f"{sbc.folder}/{'x' * 200}")
    assert code == 1 and stands_alone(stderr)


# --- its end

def test_sigterm_ends_it_with_0_at_once_when_nothing_goes_on(sbc, trunk):
    sbc.element("system-config")["shutdown-timeout"] = "60"
    sbc.start().registered()
    sbc.stop(within=30)
    assert not os.path.exists(sbc.socket)


def test_sigterm_with_a_call_ends_in_time(sbc, trunk, pbx_a):
    sbc.element("system-config")["shutdown-timeout"] = "1"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    sbc.stop(within=4.5)  # without it: 5


def test_what_was_activated_runs_again_without_the_file(sbc, trunk, pbx_a):
    sbc.start().registered()
    sbc.stop()
    os.unlink(f"{sbc.folder}/sbc.yaml")
    sbc.start(configured=False).registered()
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_control_socket_left_by_a_crash_is_no_obstacle(sbc):
    sbc.start()
    sbc.kill()
    assert os.path.exists(sbc.socket)
    sbc.start(configured=False)
    assert "sbcd" in sbc.acli("show version")


def test_a_component_has_a_level_of_its_own_and_the_command_line_wins(sbc, trunk):
    sbc.element("system-config").update({"process-log-level": "WARNING",
                                         "log-levels": ["surrogate=DEBUG"]})
    sbc.start(level=None).registered()
    quiet = open(sbc.log).read()
    assert "reg-state" in quiet and " SIPD " not in quiet, quiet
    sbc.element("system-config")["log-levels"] = ["sipd=DEBUG"]
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    since = len(open(sbc.log).read())
    sbc.acli('notify sipd register a.trunk.example "493010^" pbx-a 4930100')
    trunk.wait(lambda m: m.method == "REGISTER" and len(trunk.registers()) > 20)
    sbc.registered()
    assert "reg-state" not in open(sbc.log).read()[since:]
    sbc.stop()
    sbc.start(level="WARNING").registered()
    assert " SIPD " not in open(sbc.log).read()
