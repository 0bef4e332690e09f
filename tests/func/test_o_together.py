"""
Several operators, and a machine that runs out of room (acli.md 1.7 to 1.9).

- Two operators with the same object at hand: what the first one stored is not lost without a word.
- A trial that is taken back while another edits, and under load.
- An import, an edit, a save and an activation on a disk that is full: nothing is changed, and calls go on.
"""
import json
import os
import re
import subprocess

import pytest

from test_o_shell import AGENT, batch, operator  # noqa: F401
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
