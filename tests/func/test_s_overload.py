"""
Too much to do: section 1.5 of behaviour.md, below its table.

A wall clock of the process that is a second ahead makes each datagram a second late, as it is on a thread that has more
to do than it can. How shares grow and fall with load is walked in virtual time (tests/unit/test_sbc_shed.c).
"""
import re
import resource
import time

import pytest

from peers.sip import Endpoint


@pytest.fixture
def stranger(sbc, peers):
    """Somebody who is no session-agent, and may call"""
    port = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-a")["sip-ports"][0]
    port["allow-anonymous"] = "all"
    return peers(Endpoint, sbc.ip(99))


def asks(peer, sbc, method="OPTIONS"):
    """Ask the SBC itself; the answer"""
    request = peer.request(method, f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>")
    peer.send(request, (sbc.ip(2), 5060))
    return peer.wait(lambda m: m.status and m.call_id == request.call_id)


def until(peer, sbc, code, within=6.0):
    limit = time.monotonic() + within
    while True:
        answer = asks(peer, sbc)
        if answer.status == code:
            return answer
        assert time.monotonic() < limit, f"{code} never came"
        time.sleep(0.02)


def test_strangers_are_refused_first_and_calls_of_known_peers_go_on(sbc, wall_clock, trunk, pbx_a, stranger):
    sbc.start().registered()
    assert asks(stranger, sbc).status == 200
    call = pbx_a.calls("0301234").until_answered()
    wall_clock(1)
    refused = until(stranger, sbc, 503)
    assert 5 <= int(refused.get("Retry-After")) <= 10 and refused.tag("To")
    # one more: a known peer waits behind what belongs to calls, and is served
    assert asks(pbx_a, sbc).status == 200
    pbx_a.calls("0301235").until_answered().hang_up()
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert sbc.counter("show sipd errors", "Overload Rejects") >= 1
    assert sbc.counter("show refusals", "take-capacity") >= 1
    wall_clock(0)
    until(stranger, sbc, 200)
    limit = time.monotonic() + 3
    while "overload-over" not in open(sbc.log).read():
        assert time.monotonic() < limit
        asks(stranger, sbc)
    assert open(sbc.log).read().count(" overload ") == 1
    sbc.no_session_is_left()


def test_a_growing_share_of_known_peers_is_refused_and_nothing_inside_dialogs(sbc, wall_clock, trunk, pbx_a):
    trunk.invite_challenge = None
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.answers = [180]
    ringing = pbx_a.calls("0301235")
    ringing.answer(180)
    wall_clock(1)
    codes, begun = [], time.monotonic()
    while time.monotonic() < begun + 4.0 and codes[-10:] != [503] * 10:
        codes.append(asks(pbx_a, sbc).status)
        time.sleep(0.01)
    assert codes[-10:] == [503] * 10, codes
    third = len(codes) // 3
    assert codes[:third].count(503) < codes[third:2 * third].count(503) < codes[2 * third:].count(503)
    # an INVITE leaves nothing behind
    assert pbx_a.calls("0301236").until_refused().status == 503
    assert not [m for m in trunk.invites() if "0301236" in m.uri]
    # dialogs, and CANCEL
    ringing.cancel()
    assert ringing.until_refused().status == 487
    trunk.wait(lambda m: m.method == "CANCEL")
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    sbc.no_session_is_left()


def test_load_limit_0_leaves_the_waiting(sbc, wall_clock, trunk, stranger):
    sbc.element("sip-config")["load-limit"] = "0"
    sbc.start().registered()
    wall_clock(1)
    until(stranger, sbc, 503)


def test_drop_response_makes_the_refusal_silent(sbc, wall_clock, trunk, stranger):
    sbc.element("sip-interface", "pbx-a")["options"] = ["dropResponse=503"]
    sbc.start().registered()
    wall_clock(1)
    limit = time.monotonic() + 8
    while sbc.counter("show sipd errors", "Overload Rejects") < 2:
        for _ in range(8):  # a window with less tells nothing
            stranger.send(stranger.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>"), (sbc.ip(2), 5060))
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert not stranger.responses(503)


def test_a_cancel_of_a_call_that_waits_finds_it(sbc, wall_clock, trunk, pbx_a, stranger):
    """Both come in one turn of a thread that is overloaded"""
    trunk.invite_challenge, trunk.answers = None, [180]
    sbc.start().registered()
    wall_clock(1)
    until(stranger, sbc, 503)
    call = pbx_a.calls("0301234")
    call.cancel()
    assert call.until_refused().status == 487
    assert [m.status for m in pbx_a.seen if m.get("CSeq").endswith("CANCEL")] == [200]
    sbc.no_session_is_left()


# --- memory, and the alarms of what is used up


def test_no_new_request_is_taken_while_memory_is_critical(sbc, trunk, pbx_a):
    sbc.start().registered()
    pid = sbc.process.pid
    call = pbx_a.calls("0301234").until_answered()
    size = int(re.search(r"VmSize:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) * 1024
    resource.prlimit(pid, resource.RLIMIT_AS, (size * 100 // 96, resource.RLIM_INFINITY))
    sbc.waits("show alarms", r"(?m)^.*\bmemory\b.*CRITICAL|CRITICAL.*\bmemory\b")
    for method in ("OPTIONS", "MESSAGE"):
        refused = asks(pbx_a, sbc, method)
        assert refused.status == 503 and 5 <= int(refused.get("Retry-After")) <= 10
    assert pbx_a.calls("0301235").until_refused().status == 503
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sbc.no_alarm_is_left()
    assert asks(pbx_a, sbc).status == 200
    call.hang_up()


def test_sessions_and_disk_have_alarms_at_their_thresholds(sbc, trunk, pbx_a):
    sbc.element("sip-config")["max-sessions"] = "2"
    sbc.element("system-config")["alarm-threshold"] = [
        {"type": "sessions", "severity": "major", "value": "50"}, {"type": "cpu", "severity": "minor", "value": "100"},
        {"type": "space", "severity": "minor", "value": "1"}]
    trunk.invite_challenge = None
    sbc.start().registered()
    sbc.waits("show alarms", "(?i)minor.*disk-space|disk-space.*minor")
    call = pbx_a.calls("0301234").until_answered()
    sbc.waits("show alarms", "(?i)major.*sessions|sessions.*major")
    call.hang_up()
    limit = time.monotonic() + 5
    while " sessions " in sbc.acli("show alarms"):
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_busy_processor_has_an_alarm(sbc, trunk, peers):
    from peers.flood import Flood
    sbc.element("system-config")["alarm-threshold"] = [{"type": "cpu", "severity": "major", "value": "2"}]
    sbc.start().registered()
    flood = peers(Flood, "OPTIONS", (sbc.ip(2), 5060), [sbc.ip(99)], 6000)
    sbc.waits("show alarms", r"(?i)major.*\bcpu\b|\bcpu\b.*major")
    flood.close()
    sbc.no_alarm_is_left(12.0)
