"""
Alarms of acli.md 5.1: raised by their cause with the severity of the table, cleared when it ends.

Each row causes one alarm in a running daemon and takes the cause away again.
"""
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest


def alarms(sbc):
    return {a["name"]: a for a in json.loads(sbc.acli("show alarms | json"))["data"]}


def until(sbc, name, up, within=6.0):
    limit = time.monotonic() + within
    while True:
        found = alarms(sbc)
        if (name in found) == up:
            return found.get(name)
        assert time.monotonic() < limit, (name, up, found)
        time.sleep(0.05)


def threshold(sbc, **row):
    sbc.element("system-config")["alarm-threshold"] = [row]


# --- causes: what is configured before the start, what raises, what clears (None: an event)

class Sessions:
    """alarm-threshold of the sessions of max-sessions"""
    name, severity, object = "sessions", "MINOR", ""

    def prepare(self, sbc):
        sbc.element("sip-config")["max-sessions"] = "2"
        threshold(sbc, type="sessions", severity="minor", value="50")

    def cause(self, sbc, pbx, trunk):
        self.call = pbx.calls("0301234").until_answered()

    def end(self, sbc):
        self.call.hang_up()


class Utilisation:
    """cac-alarm-threshold of a session-agent"""
    name, severity, object = "cac-utilisation", "WARNING", "pbx-a.example"

    def prepare(self, sbc):
        sbc.element("session-agent", "pbx-a.example").update(
            {"constraints": "enabled", "max-sessions": "2", "cac-alarm-threshold": "50"})

    def cause(self, sbc, pbx, trunk):
        self.call = pbx.calls("0301234").until_answered()

    def end(self, sbc):
        self.call.hang_up()


class Constraint:
    """a limit of a session-agent is exceeded"""
    name, severity, object = "session-agent-constraint", "WARNING", "pbx-a.example"

    def prepare(self, sbc):
        sbc.element("session-agent", "pbx-a.example").update(
            {"constraints": "enabled", "max-sessions": "1", "time-to-resume": "1"})

    def cause(self, sbc, pbx, trunk):
        self.call = pbx.calls("0301234").until_answered()
        assert pbx.calls("0301235").until_refused().status == 503

    def end(self, sbc):
        self.call.hang_up()


class PoolLow:
    """90 % of the ports of a realm are used"""
    name, severity, object = "steering-pool-low", "MINOR", "pbx-a"

    def prepare(self, sbc):
        pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "pbx-a")
        pool["end-port"] = str(int(pool["start-port"]) + 1)

    def cause(self, sbc, pbx, trunk):
        self.call = pbx.calls("0301234").until_answered()

    def end(self, sbc):
        self.call.hang_up()


class PoolEmpty(PoolLow):
    """a call got no port"""
    name, severity = "steering-pool-empty", "MAJOR"

    def cause(self, sbc, pbx, trunk):
        super().cause(sbc, pbx, trunk)
        assert pbx.calls("0301235").until_refused().status == 503


class LookupMissing:
    """the lookup of a challenged route has no entry: an event"""
    name, severity, object = "auth-lookup-missing", "MAJOR", ""
    end = None

    def prepare(self, sbc):
        sbc.element("realm-config", "trunk")["auth-attributes"] = []

    def cause(self, sbc, pbx, trunk):
        assert pbx.calls("0301234").until_refused().status == 407


class LogFull:
    """sipmsg.log cannot be written"""
    name, severity, object = "log-write-failed", "MINOR", "sipmsg.log"

    def prepare(self, sbc):
        os.mkdir(f"{sbc.folder}/log")
        os.symlink("/dev/full", f"{sbc.folder}/log/sipmsg.log")

    def cause(self, sbc, pbx, trunk):
        sbc.acli("notify sipd siplog")
        pbx.calls("0301234").until_answered()

    def end(self, sbc):
        os.unlink(f"{sbc.folder}/log/sipmsg.log")
        sbc.acli("notify all rotate-logs", "notify sipd register all")


class Disk:
    """the file system of the database is used to the limit; it stays so"""
    name, severity, object = "disk-space", "CRITICAL", ""
    end = None

    def prepare(self, sbc):
        threshold(sbc, type="space", severity="critical", value="1")

    def cause(self, sbc, pbx, trunk):
        pass


class KeyOpen:
    """the key file is readable by others"""
    name, severity, object = "key-file", "CRITICAL", "sbc.key"

    def prepare(self, sbc):
        self.key = f"{sbc.folder}/sbc.key"

    def cause(self, sbc, pbx, trunk):
        os.chmod(self.key, 0o640)

    def end(self, sbc):
        os.chmod(self.key, 0o600)


class KeyGone(KeyOpen):
    """the key file is missing"""
    def cause(self, sbc, pbx, trunk):
        os.rename(self.key, self.key + ".away")

    def end(self, sbc):
        os.rename(self.key + ".away", self.key)


class KeyWrong(KeyGone):
    """the key file holds another key"""
    def cause(self, sbc, pbx, trunk):
        super().cause(sbc, pbx, trunk)
        text = open(self.key + ".away").read()
        with open(self.key, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text[:-3] + ("00" if text[-3:-1] != "00" else "11") + "\n")


class Slow:
    """a flush of the database took over a second"""
    name, severity, object = "database-slow", "MINOR", "database"

    def prepare(self, sbc):
        pass

    def cause(self, sbc, pbx, trunk):
        db = sqlite3.connect(f"{sbc.folder}/sbc.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        sbc.acli("notify sipd register all")
        time.sleep(1.5)
        db.execute("ROLLBACK")
        db.close()

    def end(self, sbc):
        for _ in range(3):
            sbc.acli("notify sipd register all")
            time.sleep(0.5)


class AddressGone:
    """the address of a sip-port was taken from the machine"""
    name, severity = "sip-port-down", "CRITICAL"

    def prepare(self, sbc):
        self.ip = f"198.18.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        self.object = f"{self.ip}:5060/UDP"
        self.address("add")
        interface = sbc.element("sip-interface", "pbx-b")
        interface["sip-ports"].append({**interface["sip-ports"][0], "address": self.ip})

    def address(self, what):
        subprocess.run(["ip", "address", what, f"{self.ip}/32", "dev", "lo"], check=True)

    def cause(self, sbc, pbx, trunk):
        self.address("del")

    def end(self, sbc):
        self.address("add")

    def clean(self):
        subprocess.run(["ip", "address", "del", f"{self.ip}/32", "dev", "lo"],
                       stderr=subprocess.DEVNULL)


class LoopLag:
    """the process stood still"""
    name, severity, object = "loop-lag", "MINOR", ""
    seconds, end = 0.35, None

    def prepare(self, sbc):
        pass

    def cause(self, sbc, pbx, trunk):
        sbc.process.send_signal(signal.SIGSTOP)
        time.sleep(self.seconds)
        sbc.process.send_signal(signal.SIGCONT)


class LongLag(LoopLag):
    """... for more than a second"""
    severity, seconds = "MAJOR", 1.4


CAUSES = [Sessions, Utilisation, Constraint, PoolLow, PoolEmpty, LookupMissing, LogFull, Disk,
          KeyOpen, KeyGone, KeyWrong, Slow, AddressGone, LoopLag, LongLag]


@pytest.mark.parametrize("cause", CAUSES, ids=[c.__doc__.replace("\n", " ") for c in CAUSES])
def test_an_alarm_comes_with_its_cause_and_goes_with_it(sbc, pbx_a, trunk, cause, request):
    row = cause()
    if hasattr(row, "clean"):
        request.addfinalizer(row.clean)
    row.prepare(sbc)
    sbc.start().registered()
    row.cause(sbc, pbx_a, trunk)
    alarm = until(sbc, row.name, True)
    assert alarm["severity"] == row.severity, alarm
    assert row.object in alarm["object"], alarm
    if row.end:
        row.end(sbc)
        until(sbc, row.name, False)
        past = [a for a in json.loads(sbc.acli("show alarms history | json"))["data"]
                if a["name"] == row.name]
        assert past and past[0]["severity"] == row.severity
        sbc.logs_line(f"alarm-cleared alarm={row.name} ")
    sbc.logs_line(f"alarm-raised alarm={row.name} ")


def test_an_end_that_was_not_orderly_is_told_at_the_next_start(sbc, trunk):
    sbc.start()
    assert "daemon-restarted" not in alarms(sbc)
    sbc.stop()
    sbc.start(configured=False)
    assert "daemon-restarted" not in alarms(sbc)
    sbc.kill()
    sbc.start(configured=False)
    assert alarms(sbc)["daemon-restarted"]["severity"] == "WARNING"


def test_an_alarm_that_is_cleared_by_hand_comes_back_with_its_cause(sbc, trunk):
    threshold(sbc, type="space", severity="minor", value="1")
    sbc.start()
    number = until(sbc, "disk-space", True)["id"]
    assert sbc.acli(f"clear-alarm {number}") == f"Alarm {number} cleared.\n"
    assert "disk-space" not in alarms(sbc)
    until(sbc, "disk-space", True, within=15.0)
