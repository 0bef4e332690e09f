"""
What an operator reads when something is wrong (acli.md 1.6), and the words of 1.3 by which he edits.

- Every line of the table of 1.6, as it stands there.
- new, copy, default, done all; select with a prefix, a pattern, an exact key, and more than 200 matches.
- Keys, history, pages.
"""
import os
import re
import socket
import sqlite3
import subprocess

import pytest

from test_o_shell import AGENT, operator  # noqa: F401


def refused(sbc, *lines):
    """Error lines of a batch; they are the only ones that begin with a per cent sign"""
    code, output = sbc.acli_status(*lines)
    assert code == 1, output
    return [line for line in output.splitlines() if line.startswith("% ")]


EDIT = ("configure terminal", f"surrogate-agent {AGENT}")


@pytest.mark.parametrize("lines, error", [
    (("show configurations",), "% Unknown word [configurations], did you mean [configuration]?"),
    (("nonsense",), "% Unknown word [nonsense], possible here: "),
    (("show zzzzzz",), "% Unknown word [zzzzzz], possible here: "),
    (("sh",), "% Missing a word, possible: "),
    (("dis",), "% Ambiguous word [dis]: disable, discard, display-"),
    ((*EDIT, "regis 5"), "% Ambiguous word [regis]: "),
    (("import-config",), "% Missing FILE"),
    (("save-config now",), "% Unexpected word [now]"),
    (("exit now",), "% Unexpected word [now]"),
    (("disable now",), "% Unexpected word [now]"),
    (("unlock-config now",), "% Unexpected word [now]"),
    (("show configuration versions now",), "% Unexpected word [now]"),
    ((*EDIT, "register-retry-time 20"), "% register-retry-time [20] is out of range 30-3600"),
    ((*EDIT, "register-retry-time 99999999999999999999"), "is out of range 30-3600"),
    ((*EDIT, "register-retry-time soon"), "% register-retry-time [soon] is not a number"),
    ((*EDIT, "register-retry-time -5"), "is not a number"),
    ((*EDIT, "state on"), "% state [on] is not one of: enabled, disabled"),
    ((*EDIT, "register-retry-time 60 61"), "% Unexpected word [61]"),
    ((*EDIT, "default nonsense"), "% Unknown parameter [nonsense]"),
    ((*EDIT, "default"), "% Missing PARAMETER"),
    ((*EDIT, 'description "open'), "is open"),
    (("configure terminal", "surrogate-agent example.net new pbx-a", "done"),
     "% surrogate-agent [example.net new pbx-a] needs customer-next-hop"),
    (("configure terminal", "realm-config", "select nowhere"), "% There is no realm-config [nowhere]"),
    (("configure terminal", "realm-config", "no nowhere"), "% There is no realm-config [nowhere]"),
    (("configure terminal", "realm-config", "identifier pbx-a", "done"),
     "% realm-config [pbx-a] exists already"),
    (("configure terminal", "realm-config pbx-a", "identifier pbx-b", "done"),
     "% realm-config [pbx-b] exists already"),
    (("configure terminal", "realm-config", "no pbx-a"), "% realm-config [pbx-a] is in use by "),
    (("configure terminal", "realm-config", "identifier \"a b\""), "% identifier [a b] "),
    (("show configuration realm-config nowhere",), "% There is no realm-config [nowhere]"),
    (("show configuration nonsense",), "% Unknown element [nonsense]"),
    (("show configuration surogate-agent",), "% Unknown element [surogate-agent], did you mean [surrogate-agent]?"),
    (("show running-config realm-conf x y",), "% There is no realm-config [x y]"),
    (("show surrogate-agents state nonsense",), "% state [nonsense] is not one of: disabled, waiting, "),
    (("show sessions state nonsense",), "% state [nonsense] is not one of: TRYING, EARLY, "),
    *(((f"show {what} and more",), "% Unexpected word [and]") for what in (
        "users", "health", "log-level", "accounting", "sip interface", "processes cpu", "support-info")),
    (("show realm trunk more",), "% Unexpected word [more]"),
    (("show dns name more",), "% Unexpected word [more]"),
    (("clear-alarm 1 more",), "% Unexpected word [more]"),
    (("kill sip session 1 more",), "% Unexpected word [more]"),
    (("display-logfiles more",), "% Unexpected word [more]"),
    (("cli more enabled now",), "% Unexpected word [now]"),
    (("show configuration diff nowhere",), "% Unknown word [nowhere], possible here: running, saved, version"),
    (("show configuration diff version 77",), "% There is no version 77"),
    (("show configuration diff version",), "% Missing version"),
    (("show configuration diff version x",), "% version [x] is not a number"),
    (("show configuration diff running extra",), "% Unexpected word [extra]"),
    (("show configuration diff version 1 extra",), "% Unexpected word [extra]"),
    (("clear-alarm",), "% Missing ID"),
    (("clear-alarm x",), "% ID [x] is not a number"),
    (("clear-alarm 99999999999",), "% ID [99999999999] is out of range 0-4294967295"),
    (("kill sip session x",), "% ID [x] is not a number"),
    (("log-level sipd INFO for",), "% Missing for"),
    (("log-level sipd INFO for x",), "% for [x] is not a number"),
    (("log-level sipd INFO for 0",), "% for [0] is out of range 1-10080"),
    (("show logfile sbc.log last x",), "% last [x] is not a number"),
    (("show logfile sbc.log last 10001",), "% last [10001] is out of range 1-10000"),
    (("discard nonsense",), "% Unknown element [nonsense]"),
    (("discard realm-config nowhere",), "% There is no realm-config [nowhere]"),
    (("cli more on",), "% cli more [on] is not one of: enabled, disabled"),
    (("cli terminal-height 4",), "% cli terminal-height [4] is out of range 5-1000"),
    (("set-password nobody",), "% Unknown word [nobody], possible here: superuser"),
    (("show version | nothing",), "% Unknown filter [nothing], possible here: "),
    (("show version | include",), "% Missing TEXT"),
    (("show version | count 5",), "% Unexpected word [5]"),
    (("show version | count | json",), "% Filter json stands first"),
    (("x" * 8200,), "% The line is longer than 8192 bytes"),
])
def test_each_error_has_its_line(sbc, lines, error):
    sbc.start(level=None)
    errors = refused(sbc, *lines)
    assert any(error in e for e in errors), errors


def test_a_value_that_is_refused_leaves_the_old_one(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", *EDIT, "register-retry-time 61", "register-retry-time 20")
    assert "register-retry-time             61" in o.types("show")


def test_views_of_the_configuration_may_be_shortened(sbc):
    sbc.start()
    assert "No differences." in sbc.acli("show configuration dif sav")
    assert sbc.acli("show configuration vers") == sbc.acli("show configuration versions")
    assert sbc.acli("show configuration sh system-config") == sbc.acli("show configuration short system-config")
    # an element whose name begins so comes first
    assert "sip-interface" in sbc.acli("show configuration sip-i")


def test_no_more_than_twelve_possibilities_are_named(sbc):
    sbc.start()
    (error,) = refused(sbc, "zzzzzz")
    assert error.endswith(", ...") and error.count(",") <= 13


def test_an_activation_with_errors_changes_nothing(sbc):
    sbc.start()
    sbc.acli(*EDIT, "realm-id nowhere", "done", "exit", "save-config")
    errors = refused(sbc, "activate-config")
    assert re.fullmatch(r"% Configuration has \d+ errors?; nothing was activated", errors[-1])
    assert "version is 1" in sbc.acli("display-running-cfg-version")


def test_a_silent_daemon_is_said_to_be_silent(sbc, tmp_path):
    path = str(tmp_path / "s")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    result = subprocess.run([f"{sbc.build}/acli", "--socket", path, "--timeout", "1", "-c", "help"],
                            capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (3, "% The daemon does not answer\n")
    result = subprocess.run([f"{sbc.build}/acli", "--socket", path + "x", "-c", "help"],
                            capture_output=True, text=True)
    assert result.returncode == 3 and "% The daemon is not reachable" in result.stderr
    listening.close()


def test_a_database_that_another_holds_is_busy_and_nothing_is_changed(sbc):
    sbc.start()
    other = sqlite3.connect(sbc.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    code, output = sbc.acli_status(*EDIT, "register-retry-time 61", "done")
    assert code == 1 and "% The database is busy, nothing was changed" in output
    other.execute("ROLLBACK")
    other.close()
    assert "No differences." in sbc.acli("show configuration diff")
    sbc.acli(*EDIT, "register-retry-time 61", "done")


# --- editing

def test_new_copy_and_default(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", *EDIT, "register-retry-time 61")
    assert "now 300" in o.types("default register-retry-time")
    assert re.search(r"register-retry-time +300", o.types("show"))
    o.enters("description original", "done", "copy example.net carol pbx-a", "description copied")
    text = o.types("done")
    assert re.search(r"register-user +carol", text) and "description                     copied" in text
    assert "description                     original" in sbc.acli(
        "show configuration surrogate-agent a.trunk.example")
    o.types("new")
    assert re.search(r"(?m)^ +register-user\s*$", o.types("show"))
    assert "needs register-host" in o.types("done")
    assert "% Missing KEY" in o.types("copy")


def test_done_all_stores_every_level(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal local-policy * * pbx-a", "description whole",
             "policy-attributes", "next-hop second.example", "realm trunk")
    text = o.types("done all")
    assert "description                     whole" in text and "second.example" in text
    assert text.endswith("sbc1(policy-attributes)# ")
    assert o.types("quit").endswith("sbc1# ")       # nothing is left to be asked about


def test_select_takes_a_prefix_a_pattern_and_an_exact_key(sbc, operator):
    agents = sbc.config["session-router"]["surrogate-agent"]
    hop = agents[0]["customer-next-hop"]
    for i in range(250):
        agents.append({"register-host": "many.example", "register-user": f"u{i:03}", "realm-id": "pbx-a",
                       "customer-next-hop": hop, "state": "disabled"})
    sbc.start()
    o = operator(rows=400)
    o.enters("enable", "configure terminal surrogate-agent")
    o.types("select", until="register-host: ")
    text = o.types("many", until="selection: ")
    assert "200: many.example u199 pbx-a" in text and "201:" not in text
    assert "... 50 more, use a filter" in text
    o.types("200")
    assert re.search(r"register-user +u199", o.types("show"))
    o.types("select", until="register-host: ")
    text = o.types("*u24*", until="selection: ")
    assert text.count("many.example") == 10
    # An empty answer changes nothing, one that is out of range neither
    o.types("")
    assert re.search(r"register-user +u199", o.types("show"))
    o.types("select", until="register-host: ")
    o.types("u24", until="selection: ")
    assert "% selection [11] is out of range 1-10" in o.types("11")
    o.types("select", until="register-host: ")
    assert "% No surrogate-agent matches [zzz]" in o.types("zzz")
    o.types("select", until="register-host: ")
    o.types("many.example u077 pbx-a")
    assert re.search(r"register-user +u077", o.types("show"))
    # no without a key chooses in the same way
    o.types("no", until="register-host: ")
    o.types("u00", until="selection: ")
    assert "surrogate-agent [many.example u000 pbx-a] is deleted." in o.types("1")


def test_a_renamed_object_may_leave_its_references(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal realm-config pbx-a", "identifier tenant-a")
    text = o.types("done", until=r"Change (\d+) references? too\? \[y/n/c\] ")
    assert len(re.findall(r"(?m)^    \S+ \S+", text)) == int(
        re.search(r"Change (\d+) references", text).group(1))
    assert "Nothing was changed." in o.types("c")
    o.types("done", until=r"\[y/n/c\] ")
    o.types("n")
    assert "which does not exist" in sbc.acli_status("verify-config")[1]


# --- keys and history

def test_keys_edit_the_line(sbc, operator):
    sbc.start()
    o = operator()
    for keys in ("how version\x01s\x05",            # Ctrl-A, Ctrl-E
                 "xshow version\x01\x06\x02\x0b" + "show version",  # Ctrl-F, Ctrl-B, Ctrl-K
                 "nonsense\x15show version",        # Ctrl-U
                 "show nonsense\x17version",        # Ctrl-W
                 "\x12show ver"):                   # Ctrl-R
        o.keys(keys + "\r")
        assert "saved configuration" in o.reads(r"sbc1[>#] ").lower(), repr(keys)


def test_ctrl_c_drops_the_line_and_stops_output(sbc, operator):
    sbc.start()
    o = operator(rows=10)
    o.keys("nonsense\x03")
    o.reads(r"sbc1> ")
    assert "% " not in o.types("enable")
    o.types("show configuration", until="--More-- ")
    o.keys("\x03")
    assert o.reads(r"sbc1# ").count("\n") < 5


def test_the_history_keeps_500_lines(sbc, operator, tmp_path):
    sbc.start()
    with open(tmp_path / ".acli_history", "w") as f:
        f.write("_HiStOrY_V2_\n" + "".join(f"show\\040uptime\\040{i}\n" for i in range(600)))
    o = operator()
    o.types("show version")
    lines = open(tmp_path / ".acli_history").read().splitlines()
    assert 499 <= len(lines) <= 501 and lines[-1] == "show\\040version"
    assert os.stat(tmp_path / ".acli_history").st_mode & 0o777 == 0o600
