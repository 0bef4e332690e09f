"""
A version on trial: activate-config confirm, accept, rollback (acli.md 1.7).

- What is not accepted returns: by hand, and by every start, however the daemon ended.
- While one waits there is no other activation; saved and editing stay as they are.
- Every connection is told, and the alarm config-rolled-back is up until the next activation.
- That it returns by itself when the minutes are over: tests/unit/test_cli_acceptance.c; with the program, for
  a real minute, in ./test.sh soak.
"""
import os
import re
import socket
import time

import pytest

from test_u_change import changed, versions


def listens(sbc):
    """Is the sip-port of version 2 open?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((sbc.ip(3), 5090))
        except OSError:
            return True
    return False


@pytest.fixture
def trial(sbc, trunk):
    """Version 2, with another port, runs on trial"""
    sbc.start().registered()
    ports = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-b")["sip-ports"]
    ports.append({"address": sbc.ip(3), "port": "5090", "transport-protocol": "UDP",
                  "allow-anonymous": "agents-only"})
    sbc.acli(f"import-config {sbc.write()}", "save-config")
    output = sbc.acli("activate-config confirm 5")
    assert re.search(r"Accept until \d\d:\d\d:\d\d, or version 1 returns\.", output), output
    assert "Running is" not in output
    assert versions(sbc) == (2, 2) and listens(sbc)
    return sbc


def test_an_accepted_version_stays_over_a_restart(trial):
    assert "Running is version 2." in trial.acli("activate-config accept")
    trial.kill()
    trial.start(configured=False).registered()
    assert versions(trial) == (2, 2)
    assert "config-rolled-back" not in trial.acli("show alarms")
    assert "No activation waits" in trial.acli("activate-config accept", check=False)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_nobody_accepted_does_not_survive_the_daemon(trial, end):
    getattr(trial, end)()
    trial.start(configured=False).registered()
    assert versions(trial) == (2, 1) and not listens(trial)
    assert "version 2 was not accepted before the restart" in trial.acli("show alarms")
    trial.kill()    # once is enough: version 1 is what runs now
    trial.start(configured=False).registered()
    assert versions(trial) == (2, 1)
    assert "config-rolled-back" not in trial.acli("show alarms")
    assert "Running is version 2." in trial.acli("activate-config")


def test_it_is_taken_back_by_hand_and_all_are_told(trial):
    other = trial.shell()
    other.says("show version")
    while other.hears()[0] != "0000":
        pass
    assert "Running is version 1." in trial.acli("activate-config rollback")
    assert other.hears() == ("5001", "Version 2 was taken back. Running is version 1.")
    other.close()
    assert versions(trial) == (2, 1)
    assert "config-rolled-back" in trial.acli("show alarms")
    assert "No activation waits" in trial.acli("activate-config rollback", check=False)
    assert "Running is version 2." in trial.acli("activate-config")
    assert "config-rolled-back" not in trial.acli("show alarms")


def test_while_one_waits_there_is_no_other(trial):
    for words in ("", " confirm 3"):
        output = trial.acli("activate-config" + words, check=False)
        assert re.search(r"% Version 2 waits to be accepted until \d\d:\d\d:\d\d", output), output
    # what is edited and saved meanwhile stays when the former version returns
    trial.element("system-config")["hostname"] = "third"
    trial.acli(f"import-config {trial.write()}", "save-config")
    trial.acli("activate-config rollback")
    assert versions(trial) == (3, 1)
    assert "No differences." in trial.acli("show configuration diff saved")


@pytest.mark.parametrize("word,running", [("accept", 2), ("rollback", 1)])
def test_who_keeps_the_lock_does_not_decide_about_a_trial(trial, word, running):
    other = trial.shell()
    for line in ("enable", "configure exclusive"):
        other.sends(line)
        while other.hears()[0] != "0000":
            pass
    assert "% Configuration is locked by" in trial.acli("save-config", check=False)
    assert f"Running is version {running}." in trial.acli(f"activate-config {word}")
    assert versions(trial) == (2, running)
    assert "% Configuration is locked by" in trial.acli("activate-config", check=False)
    other.close()


def test_sweeping_leaves_the_version_that_would_return(trial):
    trial.element("system-config")["config-versions-kept"] = "1"
    trial.acli(f"import-config {trial.write()}", "save-config")
    assert versions(trial) == (3, 2)
    assert "Running is version 1." in trial.acli("activate-config rollback")


@pytest.mark.parametrize("words,why", [
    ("confirm", "Missing MINUTES"), ("confirm 0", r"out of range 1-60"),
    ("confirm 61", r"out of range 1-60"), ("confirm x", "is not a number"),
    ("confirm 5 6", r"Unexpected word \[6\]"), ("never", r"Unknown word \[never\]"),
    ("accept now", r"Unexpected word \[now\]"), ("accept", "No activation waits"),
    ("rollback", "No activation waits")])
def test_words_that_mean_nothing_change_nothing(sbc, words, why):
    sbc.start()
    code, output = sbc.acli_status(f"activate-config {words}")
    assert code == 1 and re.search(why, output), output
    assert versions(sbc) == (1, 1)


@pytest.mark.skipif("SBC_SOAK" not in os.environ, reason="takes a minute: ./test.sh soak")
def test_a_minute_runs_out_while_another_edits_in_this_soak(sbc, trunk, pbx_a):
    """Who edits keeps his lock, his edits and what he has saved; he, too, is told"""
    sbc.start().registered()
    ports = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-b")["sip-ports"]
    ports.append({"address": sbc.ip(3), "port": "5090", "transport-protocol": "UDP",
                  "allow-anonymous": "agents-only"})
    sbc.acli(f"import-config {sbc.write()}", "save-config")
    begun = time.monotonic()
    assert re.search(r"Accept until \d\d:\d\d:\d\d, or version 1 returns\.", sbc.acli("activate-config confirm 1"))
    assert listens(sbc)

    other = sbc.shell()
    other.socket.settimeout(90)

    def says(line, wanted="0000"):
        other.sends(line)
        said = []
        while not said or said[-1][0] not in ("0000", "2001") and said[-1][0][0] not in "89":
            said.append(other.hears())
        assert said[-1][0] == wanted, (line, said)
        return [text for _, text in said]
    for line in ("enable", "configure exclusive", "system", "system-config", "hostname edited", "done", "exit"):
        says(line)
    says("configure terminal session-router session-agent new.example")
    says("realm-id trunk")      # an object at hand, not stored
    call = pbx_a.calls("0301234").until_answered()
    code, text = other.hears()
    took = time.monotonic() - begun
    assert (code, text) == ("5001", "Version 2 was not accepted in time. Running is version 1.")
    assert 59 <= took <= 66, took
    call.hang_up()
    assert versions(sbc) == (2, 1)
    assert "version 2 was not accepted in time" in sbc.acli("show alarms")
    assert "No activation waits" in sbc.acli("activate-config accept", check=False)
    # nothing of what he does is lost
    assert "% Configuration is locked by" in sbc.acli("save-config", check=False)
    says("done")
    diff = "\n".join(says("show configuration diff saved"))
    assert "hostname" in diff and "edited" in diff and "new.example" in diff
    assert any("Saved as version 3." in text for text in says("save-config"))
    assert any("Running is version 3." in text for text in says("activate-config"))
    assert versions(sbc) == (3, 3) and listens(sbc)
    assert "config-rolled-back" not in sbc.acli("show alarms")
    other.close()
