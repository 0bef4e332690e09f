"""
Several operators, and a machine that runs out of room (acli.md 1.7 to 1.9).

- Two operators with the same object at hand: what the first one stored is not lost without a word.
- A trial that is taken back while another edits, and under load.
- An import, an edit, a save and an activation on a disk that is full: nothing is changed, and calls go on.
"""
import errno
import json
import os
import threading

import pytest

import conftest

from test_o_shell import AGENT, operator  # noqa: F401
from test_u_change import versions


def stored(sbc, key=AGENT):
    """The object as editing has it"""
    data = json.loads(sbc.acli(f"show configuration surrogate-agent {key} | json"))["data"]
    return data["session-router"]["surrogate-agent"][0]


# --- the same object at two hands

def both(sbc, operator):
    sbc.start()
    a, b = operator(), operator()
    for o in (a, b):
        o.enters("enable", f"configure terminal surrogate-agent {AGENT}")
    return a, b


def test_what_somebody_else_stored_is_not_lost_without_a_word(sbc, operator):
    a, b = both(sbc, operator)
    a.types("register-retry-time 61")
    b.enters("description mine", "done")
    assert "% Configuration is locked by root@local, connection 2" in a.types("done")
    b.enters("quit", "save-config")
    asked = a.types("done", until=r"\[y/n\] ")
    assert f"surrogate-agent [{AGENT}] was changed by root@local since it was loaded. Overwrite?" in asked
    assert "Nothing was changed." in a.types("n")
    assert stored(sbc)["description"] == "mine"
    # it is at hand still; loaded anew it has both
    assert "61" in a.types("register-retry-time")
    a.types(f"select {AGENT}", until=r"\[y/n/c\] ")
    a.types("n")
    a.enters("register-retry-time 61", "done")
    assert (stored(sbc)["description"], stored(sbc)["register-retry-time"]) == ("mine", 61)
    # one's own changes are nobody else's
    assert "register-retry-time             62" in a.enters("register-retry-time 62", "done")


def test_who_wants_to_overwrite_does(sbc, operator):
    a, b = both(sbc, operator)
    b.enters("description mine", "done", "quit", "save-config")
    a.types("register-retry-time 61")
    a.types("done", until=r"\[y/n\] ")
    assert "register-retry-time             61" in a.types("y")
    assert "description" not in stored(sbc)


def test_an_object_that_somebody_else_deleted_comes_back_on_demand_only(sbc, operator):
    a, b = both(sbc, operator)
    a.types("description kept")
    b.enters(f"no {AGENT} force", "quit", "save-config")
    assert "was deleted since it was loaded. Store it again?" in a.types("done", until=r"\[y/n\] ")
    assert "Nothing was changed." in a.types("n")
    a.types("done", until=r"\[y/n\] ")
    a.types("y")
    assert stored(sbc)["description"] == "kept"


def test_a_single_element_is_watched_too(sbc, operator):
    sbc.start()
    a = operator()
    a.enters("enable", "configure terminal sip-config", "registration-rate 11")
    sbc.acli("configure terminal sip-config", "trans-expire 20", "done", "quit", "save-config")
    assert "sip-config was changed by root@local" in a.types("done", until=r"\[y/n\] ")
    a.types("n")


# --- a version on trial, while others work

def test_a_trial_that_is_taken_back_leaves_what_others_edit(sbc, operator, trunk, pbx_a):
    sbc.start().registered()
    sbc.acli("configure terminal sip-config", "trans-expire 20", "done", "quit", "save-config",
             "activate-config confirm 5")
    b = operator()
    b.enters("enable", f"configure terminal surrogate-agent {AGENT}", "description b1", "done", "description b2")
    b.types("exit", until=r"\[y/n/c\] ")
    b.types("c")
    # his lock is for edits, not for how a trial ends
    sbc.acli("activate-config rollback")
    assert versions(sbc) == (2, 1)
    code, said = sbc.acli_status("save-config")
    assert code == 1 and "% Configuration is locked by root@local" in said
    # b was told, has his object at hand still, and what he stored is in editing
    b.reads(r"Version 2 was taken back\. Running is version 1\.")
    b.types("")
    assert "b2" in b.enters("done", "show short") and stored(sbc)["description"] == "b2"
    assert "trans-expire                    20" in sbc.acli("show configuration sip-config")


def test_calls_do_not_notice_trials_that_come_and_go(sbc, trunk, pbx_a):
    sbc.start().registered()
    sbc.acli("configure terminal", "local-policy * * pbx-a", "policy-attributes trunk.example trunk 0", "cost 5",
             "done all", "quit", "save-config")
    over, made, wrong = threading.Event(), [], []

    def caller():
        while not over.is_set():
            try:
                pbx_a.calls(f"03012{len(made):02}").until_answered().hang_up()
                made.append(1)
            except BaseException as e:  # told in the test's own thread
                wrong.append(e)
                return

    thread = threading.Thread(target=caller)
    thread.start()
    try:
        for end in ("rollback", "rollback", "accept"):
            before = len(made)
            sbc.acli("activate-config confirm 5")
            sbc.waits("show version", r"running configuration +2")
            sbc.acli(f"activate-config {end}")
            trunk.wait(lambda m: len(made) > before + 3 or wrong, 5.0)
    finally:
        over.set()
        thread.join()
    assert not wrong and len(made) > 10 and versions(sbc) == (2, 2)
    sbc.no_session_is_left()


# --- a disk that is full

class Disk:
    """A file system of 6 MB that only the daemon sees, a third of it taken by somebody else"""

    def __init__(self, sbc, folder, monkeypatch):
        self.sbc, self.path = sbc, folder / "disk"
        programs = folder / "programs"
        for made in (self.path, programs):
            made.mkdir()
        (programs / "sbcd").write_text(
            f"#!/bin/sh\nexec unshare {'-m' if os.geteuid() == 0 else '-rm'} sh -c 'mount -t tmpfs -o size=6m tmpfs "
            f"{self.path} && head -c 2000000 /dev/zero > {self.path}/ballast && exec \"$@\"' "
            f"sh {conftest.BUILD}/sbcd \"$@\"\n")
        (programs / "sbcd").chmod(0o755)
        os.symlink(f"{conftest.BUILD}/acli", programs / "acli")
        monkeypatch.setattr(conftest, "BUILD", str(programs))
        sbc.database = f"{self.path}/sbc.db"

    def inside(self, name):
        return f"/proc/{self.sbc.process.pid}/root{self.path}/{name}"

    def is_filled(self):
        with open(self.inside("more"), "wb", buffering=0) as f:
            try:
                while f.write(bytes(65536)):
                    pass
            except OSError as e:
                assert e.errno == errno.ENOSPC

    def has_room_again(self):
        os.unlink(self.inside("ballast"))
        os.unlink(self.inside("more"))


@pytest.fixture
def disk(sbc, tmp_path, monkeypatch):
    return Disk(sbc, tmp_path, monkeypatch)


def rows(path, n):
    path.write_text("auth-realm,auth-user-lookup,username,password\n" +
                    "".join(f"trunk.example,lookup{i},user{i},word{i}\n" for i in range(n)))
    return path


def test_an_import_that_fills_the_disk_changes_nothing_and_calls_go_on(sbc, disk, trunk, pbx_a, tmp_path):
    sbc.start().registered()
    sbc.acli(f"import-credentials {rows(tmp_path / 'few.csv', 3)} realm trunk")
    code, said = sbc.acli_status(f"import-credentials {rows(tmp_path / 'many.csv', 100000)} realm trunk")
    assert (code, said) == (1, "% The disk is full, nothing was changed\n")
    # what was not taken leaves nothing behind on the disk
    assert os.path.getsize(disk.inside("sbc.db-wal")) < 200000
    known = json.loads(sbc.acli("show credentials realm trunk | json"))["data"]
    assert [r["lookup"] for r in known if r["origin"] == "imported"] == ["lookup0", "lookup1", "lookup2"]
    # the largest configuration that there can be is refused alike
    text = open(sbc.write()).read().replace("  surrogate-agent:\n", "  surrogate-agent:\n" + "".join(
        f"  - {{register-host: x.example, register-user: u{i}, realm-id: pbx-a, customer-next-hop: pbx-a.example, "
        f"description: {'x' * 400}}}\n" for i in range(20000)))
    (tmp_path / "large.yaml").write_text(text)
    code, said = sbc.acli_status(f"import-config {tmp_path / 'large.yaml'}")
    assert code == 1 and said.endswith("% The disk is full, nothing was changed\n"), said[-300:]
    assert "No differences." in sbc.acli("show configuration diff")
    assert os.path.getsize(disk.inside("sbc.db-wal")) < 200000
    disk.is_filled()
    sbc.waits("show alarms", "disk-space", 8.0)
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.registered()
    disk.has_room_again()
    assert sbc.records()[0]["called-number"] == "0301234"
    sbc.acli(f"import-credentials {rows(tmp_path / 'few.csv', 5)} realm trunk",
             "configure terminal sip-config", "trans-expire 20", "done", "quit", "save-config", "activate-config")
    assert versions(sbc) == (2, 2)
    sbc.no_alarm_is_left(15.0)
