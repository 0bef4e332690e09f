"""
What an operator asks by hand (acli.md 2.1): names, machines, log files, a restart.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from peers.dns import Dns
from test_o_login import offline  # noqa: F401
from test_o_shell import operator  # noqa: F401


def rows(sbc, command):
    return json.loads(sbc.acli(command + " | json"))["data"]


# --- dns lookup

@pytest.fixture
def names(sbc, peers):
    peers(Dns, sbc.folder, sbc.ip(53),
          hosts={"gw1.example": sbc.ip(21), "gw2.example": sbc.ip(22)},
          srv={"_sip._udp.gw.example": [("gw1.example", 5070, 20), ("gw2.example", 5080, 10)]})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"], "dns-timeout": "1"})


def test_a_lookup_has_records_and_the_order_of_targets(sbc, names, trunk):
    sbc.start()
    said = sbc.acli("dns lookup gw.example")
    assert re.search(r"(?m)^_sip\._udp\.gw\.example +SRV +\d+ 10 \d+ 5080 gw2.example, 20 \d+ 5070 gw1.example$|"
                     r"^_sip\._udp\.gw\.example +SRV +\d+ 20 \d+ 5070 gw1.example, 10 \d+ 5080 gw2.example$", said), said
    assert re.search(rf"(?m)^gw1\.example +A +\d+ {sbc.ip(21)}$", said), said
    assert re.search(rf"(?m)^   1 {sbc.ip(22)}:5080 +UDP +in service\n   2 {sbc.ip(21)}:5070 +UDP", said), said
    one = sbc.acli("dns lookup gw1.example a realm trunk")
    assert f" {sbc.ip(21)}" in one and "SRV" not in one and "Rank" not in one
    srv = sbc.acli("dns lookup gw.example srv")
    assert " SRV " in srv and " A " not in srv


def test_a_lookup_that_leads_nowhere_fails_and_says_why(sbc, names, trunk):
    sbc.start()
    for command, why in (
            ("dns lookup nowhere.example", "[nowhere.example] does not exist"),
            ("dns lookup gw1.example aaaa", "[gw1.example] has no answer of type AAAA"),
            ("dns lookup gw1.example realm nonsense", "There is no realm-config [nonsense]"),
            ("dns lookup gw1.example mx", "Unknown word [mx], possible here: naptr, srv, a, aaaa, realm R"),
            ("dns lookup", "Missing NAME")):
        code, said = sbc.acli_status(command)
        assert code == 1 and f"% {why}" in said, (command, said)


# --- ping

def test_a_ping_tells_each_reply_and_the_sum(sbc, names, trunk):
    sbc.start()
    said = sbc.acli(f"ping {sbc.ip(21)} count 2 source {sbc.ip(1)}", options=["--user"])
    assert re.fullmatch(rf"(reply from {sbc.ip(21)}, seq \d, time \d+\.\d{{3}} ms\n){{2}}"
                        r"sent 2, received 2, lost 0, min \d+\.\d{3}, avg \d+\.\d{3}, max \d+\.\d{3} ms\n",
                        said), said
    assert sbc.acli("ping gw1.example").count(f"reply from {sbc.ip(21)}") == 4
    for command, why in ((f"ping {sbc.ip(21)} count 0", "count [0] is out of range 1-100"),
                         (f"ping {sbc.ip(21)} source here", "source [here] is not an address"),
                         (f"ping {sbc.ip(21)} source 192.0.2.77", "cannot be asked"),
                         ("ping nowhere.example", "[nowhere.example] does not exist"),
                         ("ping", "Missing HOST")):
        code, said = sbc.acli_status(command)
        assert code == 1 and why in said, (command, said)


# --- log files

def test_log_files_are_listed_and_shown(sbc, pbx_a, trunk):
    sbc.element("system-config")["log-target"] = "file"
    sbc.start(level=None).registered()
    sbc.acli("notify sipd siplog full")
    pbx_a.calls("0301234").until_answered()
    sbc.waits("show logfile sipmsg.log", "ACK sip")
    open(f"{sbc.folder}/log/other.log", "w").write("not ours\n")
    os.symlink("/etc/passwd", f"{sbc.folder}/log/sbc.log.9")
    listed = rows(sbc, "display-logfiles")
    assert [r["name"] for r in listed] == ["audit.log", "sbc.log", "sipmsg.log"]
    assert all(r["size"] > 0 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r["date"]) for r in listed)
    whole = open(f"{sbc.folder}/log/sbc.log").read().splitlines()
    assert sbc.acli("show logfile sbc.log last 2").splitlines() == whole[-2:]
    assert rows(sbc, "show logfile sbc.log last 1") == whole[-1:]
    # `full` keeps digest responses in the file and not before an operator's eyes
    assert re.search(r'response="[0-9a-f]{32}"', open(f"{sbc.folder}/log/sipmsg.log").read())
    said = sbc.acli("show logfile sipmsg.log")
    assert "response=\"********" in said and not re.search(r'response="[0-9a-f]', said)
    for name in ("other.log", "../sbc.db", "sbc.log.9", "sbc.log.x", "sbc.log.", "/etc/passwd"):
        code, said = sbc.acli_status(f"show logfile {name}")
        assert code == 1 and "root:" not in said and "not ours" not in said, name
    assert sbc.acli_status("show logfile sbc.log last 0")[0] == 1
    assert sbc.acli_status("show logfile sbc.log", options=["--user"])[0] == 1


def test_what_is_written_is_followed_until_ctrl_c(sbc, operator, trunk):
    sbc.element("system-config")["log-target"] = "file"
    sbc.start(level=None)
    o = operator()
    o.types("enable")
    o.keys("show logfile sbc.log last 1 follow | include log-level\r")
    for level in ("DEBUG", "INFO"):
        sbc.acli(f"log-level media {level}")
        o.reads(rf"component=media level={level} [^\n]*\n")
    # over a rotation, too
    os.rename(f"{sbc.folder}/log/sbc.log", f"{sbc.folder}/log/sbc.log.1")
    sbc.acli("notify all rotate-logs")
    sbc.acli("log-level media MINOR")
    o.reads(r"component=media level=MINOR [^\n]*\n")
    o.keys("\x03")
    o.reads(r"sbc1# ")
    assert "sbcd" in o.types("show version")


class Between:
    """A control socket that passes one connection on, and listens to what the daemon says"""

    def __init__(self, sbc):
        self.path = f"{sbc.folder}/between.sock"
        self.said, self.news = b"", threading.Condition()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.path)
        self.door.listen(1)
        threading.Thread(target=self.serve, args=(sbc.socket,), daemon=True).start()

    def serve(self, path):
        near, far = self.door.accept()[0], socket.socket(socket.AF_UNIX)
        far.connect(path)
        threading.Thread(target=self.copy, args=(near, far), daemon=True).start()
        self.copy(far, near, self.listen)

    def copy(self, source, to, told=lambda bytes: None):
        with contextlib.suppress(OSError):  # who went away is gone on the other side, too
            while data := source.recv(4096):
                told(data)
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)

    def listen(self, data):
        with self.news:
            self.said += data
            self.news.notify()

    def heard(self, what, count, within=8.0):
        with self.news:
            assert self.news.wait_for(lambda: self.said.count(what) >= count, within)


def test_a_follower_in_batch_ends_with_130(sbc, trunk):
    sbc.element("system-config")["log-target"] = "file"
    sbc.start(level=None)
    wire = Between(sbc)
    acli = subprocess.Popen([f"{sbc.build}/acli", "--socket", wire.path, "--timeout", "2", "-c",
                             "show logfile sbc.log follow"], stdout=subprocess.PIPE, text=True)
    assert " sipd start " in acli.stdout.readline()
    # one sign of life each second: after the third its patience would have been over
    wire.heard(b"5000-", 3)
    assert acli.poll() is None
    acli.send_signal(signal.SIGINT)
    assert acli.wait(5) == 130
    acli.stdout.close()
    sbc.waits("show users", r"\A.*\n.*\n\Z")  # its connection went with it


def test_what_is_followed_keeps_no_connection_open(sbc, trunk):
    sbc.element("system-config").update({"log-target": "file", "console-timeout": "2"})
    sbc.start(level=None)
    acli = subprocess.Popen([f"{sbc.build}/acli", "--socket", sbc.socket, "-c", "show logfile sbc.log follow"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(8):
        sbc.acli("log-level media DEBUG")
        try:
            acli.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            pass
    out, err = acli.communicate(timeout=5)
    assert acli.returncode == 3 and "The connection was idle, and ends" in out, (out, err)
    assert out.count("component=media level=DEBUG") > 1


# --- reboot

def test_a_reboot_runs_the_same_configuration_in_the_same_process(sbc, pbx_a, trunk, operator):
    sbc.start().registered()
    o = operator()
    o.types("enable")
    o.types("reboot", until=r"\[y/n\] ")
    assert "Nothing restarts." in o.types("n")
    sbc.acli("configure terminal system system-config", "description changed", "done", "quit", "save-config")
    before = rows(sbc, "show uptime")["uptime"]
    o.types("reboot", until=r"\[y/n\] ")
    assert "The SBC restarts." in o.types("y", until="(lost|ends|reset)")
    back(sbc)
    assert rows(sbc, "show uptime")["uptime"] <= before + 1 and sbc.process.poll() is None
    sbc.registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert rows(sbc, "show version")["running-configuration"] == 1
    assert "daemon-restarted" not in sbc.acli("show alarms")
    # and nothing of the one before is open
    links = [os.readlink(f"/proc/{sbc.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{sbc.process.pid}/fd")]
    assert len([x for x in links if x.endswith("sbc.db")]) < 8 and len(links) < 80
    sbc.acli("reboot activate force")
    back(sbc)
    assert rows(sbc, "show version")["running-configuration"] == 2


def back(sbc, within=8.0):
    """Until a connection is served again by who began anew"""
    limit = time.monotonic() + within
    while open(sbc.log).read().count("sbcd: ready") < back.seen.setdefault(sbc.folder, 1) + 1:
        assert sbc.process.poll() is None and time.monotonic() < limit, open(sbc.log).read()
        time.sleep(0.02)
    back.seen[sbc.folder] += 1


back.seen = {}


def test_a_reboot_that_cannot_activate_restarts_nothing(sbc, trunk):
    sbc.start()
    sbc.acli("configure terminal session-router session-agent trunk.example", "realm-id nowhere", "done",
             "quit", "save-config")
    code, said = sbc.acli_status("reboot activate force")
    assert code == 1 and "nothing was activated" in said
    assert open(sbc.log).read().count("sbcd: ready") == 1
    assert sbc.acli_status("reboot now")[0] == 1
    code, said = sbc.acli_status("reboot")
    assert code == 1 and "needs --yes" in said
    assert sbc.acli_status("reboo force")[0] == 1


# --- what it is

def test_a_version_names_all_that_it_was_built_of(sbc, trunk):
    sbc.start()
    version = rows(sbc, "show version")
    assert list(version) == ["sbcd", "commit", "built", "libre", "openssl", "c-ares", "sqlite", "libyaml",
                             "database-schema", "saved-configuration", "running-configuration"]
    assert all(version.values()) and re.fullmatch(r"[0-9a-f]{12}|unknown", version["commit"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", version["built"])
    assert re.search(rf"(?m)^SQLite {{15}}  {re.escape(version['sqlite'])}$", sbc.acli("show version"))
