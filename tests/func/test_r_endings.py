"""
What call records say of each ending: status, Q.850 cause, ended-by, reason, refused-step (acli.md 5.3).
"""
import re

import pytest

from peers.pbx import Pbx, Taken
from peers.rtp import Rtp, media
from peers.sip import names
from test_c_races import second  # noqa: F401
from test_d_early import rings_reliably

FIELDS = ("record-type", "status", "q850", "ended-by", "reason", "refused-step")


def ending(record):
    return tuple(record.get(f, "") for f in FIELDS)


def is_whole(record):
    """What every record has, and no final one lacks"""
    for field in ("record-version", "sequence", "node", "session-id", "ingress-call-id", "protocol", "method",
                  "setup-time", "disconnect-time", "setup-ms", "calling-number", "called-number", "calling-uri",
                  "called-uri", "ingress-realm", "ingress-agent", "ingress-remote", "ingress-local",
                  "ingress-transport", "routes-tried", "auth-source", "challenges", "ended-by", "reason",
                  "ingress-security", "egress-security", "latched", "config-version"):
        assert record.get(field, "") != "", (field, record)
    return record


def last(sbc):
    return is_whole(sbc.records()[0])


# --- failures of the called side

@pytest.mark.parametrize("code, q850, reason", [
    (486, "17", "busy"), (600, "17", "busy"), (480, "18", "no-answer"), (404, "1", "refused"),
    (603, "21", "refused"), (503, "41", "refused"), (500, "41", "refused")])
def test_the_called_side_says_no(sbc, trunk, pbx_a, code, q850, reason):
    sbc.start().registered()
    trunk.invite_challenge, trunk.answers = None, [180, code]
    pbx_a.calls("0301234").until_refused()
    record = last(sbc)
    assert ending(record) == ("attempt", str(code), q850, "egress", reason, "")
    assert "ring-time" in record and "connect-time" not in record and "duration-ms" not in record
    assert record["egress-realm"] == "trunk" and record["egress-agent"] == "trunk.example"


def test_the_cause_that_the_called_side_names_counts(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.invite_answer = lambda i: trunk.reply(
        i, 480, headers=[("Reason", 'SIP;cause=480, Q.850 ;cause=20;text="absent"')]) and True
    pbx_a.calls("0301234").until_refused()
    assert last(sbc)["q850"] == "18"  # a blank does not belong there (RFC 3326 2)
    trunk.invite_answer = lambda i: trunk.reply(
        i, 480, headers=[("Reason", 'SIP;cause=480, Q.850;cause=20;text="absent"')]) and True
    pbx_a.calls("0301234").until_refused()
    assert sbc.records(2)[0]["q850"] == "20"


def test_a_final_challenge_is_unauthorized(sbc, trunk, pbx_a):
    trunk.passwords["a1"] = "secret-other"
    sbc.start().registered()
    pbx_a.calls("0301234").until_refused()
    assert ending(last(sbc))[1:] == ("407", "21", "egress", "unauthorized", "authenticate")


# --- the SBC itself says no

def test_without_a_route(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.calls(f"sip:4930299@{sbc.ip(1)}").until_refused()
    record = last(sbc)
    assert ending(record) == ("attempt", "404", "1", "sbc", "no-route", "choose-route")
    assert (record["called-number"], record["ingress-realm"], record["ingress-agent"]) == \
        ("4930299", "trunk", "trunk.example")
    assert "egress-realm" not in record and "policy" not in record


def test_a_stranger_has_no_record(sbc, trunk, peers):
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(1), "x.example")
    sbc.start().registered()
    assert stranger.calls("0301234").until_refused().status == 403
    trunk.calls(f"sip:4930299@{sbc.ip(1)}").until_refused()
    assert len(sbc.records()) == 1 and not re.search(r"\b403\b", sbc.acli("show records 10"))


def test_over_a_limit(sbc, trunk, pbx_a):
    agent = sbc.element("session-agent", "pbx-a.example")
    agent.update({"constraints": "enabled", "max-inbound-sessions": "1"})
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.calls("0305678").until_refused()
    assert ending(last(sbc)) == ("attempt", "503", "41", "sbc", "no-capacity", "take-capacity")
    call.hang_up()


def test_over_a_limit_on_the_way_out(sbc, trunk, pbx_a):
    agent = sbc.element("session-agent", "trunk.example")
    agent.update({"constraints": "enabled", "max-outbound-sessions": "1"})
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.calls("0305678").until_refused()
    assert ending(last(sbc)) == ("attempt", "503", "41", "sbc", "no-capacity", "place-call")
    call.hang_up()


def test_without_a_port(sbc, trunk, pbx_a):
    pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "trunk")
    pool["end-port"] = "22001"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.calls("0305678").until_refused()
    assert ending(last(sbc)) == ("attempt", "503", "41", "sbc", "no-capacity", "place-call")
    call.hang_up()


def test_an_offer_without_a_usable_stream(sbc, trunk, pbx_a):
    sbc.start().registered()
    body = pbx_a.sdp().replace("RTP/AVP", "TCP/MRCPv2")
    assert pbx_a.calls("0301234", body=body).until_refused().status == 488
    assert ending(last(sbc)) == ("attempt", "488", "65", "sbc", "refused", "place-call")


def test_an_answer_that_cannot_be_used(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.sdp = lambda **changes: "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n"
    assert pbx_a.calls("0301234").until_refused().status == 488
    assert ending(last(sbc)) == ("attempt", "488", "65", "sbc", "refused", "place-call")


def test_nobody_answers(sbc, trunk, pbx_a):
    sbc.element("sip-config")["initial-inv-trans-expire"] = "1"
    sbc.start().registered()
    trunk.invite_answer = lambda request: True
    assert pbx_a.calls("0301234").until_refused(4).status == 408
    assert ending(last(sbc)) == ("attempt", "408", "102", "sbc", "no-answer", "place-call")


def test_it_rings_for_too_long(sbc, trunk, pbx_a):
    sbc.element("sip-config").update({"invite-expire": "1", "add-reason-header": "enabled"})
    sbc.start().registered()
    trunk.answers = [180]
    assert pbx_a.calls("0301234").until_refused(4).status == 408
    assert ending(last(sbc)) == ("attempt", "408", "102", "sbc", "no-answer", "")
    assert trunk.requests("CANCEL")[0].get("Reason") == "Q.850;cause=102"


def test_the_caller_s_time_is_over(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.answers = [180]
    call = pbx_a.calls("0301234", headers=[("Expires", "1")])
    assert call.until_refused(4).status == 487
    assert ending(last(sbc)) == ("attempt", "487", "102", "sbc", "no-answer", "")
    assert not trunk.requests("CANCEL")[0].all("Reason")


def test_nobody_is_there(sbc, trunk, pbx_a):
    agent = sbc.element("session-agent", "trunk.example")
    agent.update({"transport-method": "DynamicTCP"})
    interface = sbc.element("sip-interface", "trunk")
    interface["sip-ports"].append({"address": sbc.ip(1), "port": "5060", "transport-protocol": "TCP",
                                   "allow-anonymous": "agents-only"})
    sbc.start()
    assert pbx_a.calls("0301234").until_refused(6).status == 503
    assert ending(last(sbc)) == ("attempt", "503", "41", "sbc", "transport", "place-call")


def test_out_of_service(sbc, trunk, pbx_a):
    sbc.element("sip-config")["initial-inv-trans-expire"] = "1"
    sbc.element("session-agent", "trunk.example")["options"] = ["trans-timeouts=1"]
    sbc.start().registered()
    trunk.invite_answer = lambda request: True
    pbx_a.calls("0301234").until_refused(4)
    assert pbx_a.calls("0301234").until_refused(4).status == 503
    assert ending(sbc.records(2)[0]) == ("attempt", "503", "41", "sbc", "no-route", "place-call")


# --- given up

@pytest.mark.parametrize("reason, q850", [(None, "16"), ("Q.850;cause=26", "26"),
                                          ("SIP;cause=200, Q.850;cause=26", "26")])
def test_the_caller_gives_up(sbc, trunk, pbx_a, reason, q850):
    sbc.start().registered()
    trunk.answers = [180]
    call = pbx_a.calls("0301234")
    call.answer(180)
    call.cancel(reason)
    call.until_refused()
    assert ending(last(sbc)) == ("attempt", "487", q850, "ingress", "cancelled", "")


def test_a_reliable_ring_is_never_acknowledged(sbc, trunk, pbx_a):
    sbc.element("sip-config").update({"init-timer": "20", "trans-expire": "2"})
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234", headers=[("Supported", "100rel")])
    call.answer(183)
    assert call.until_refused(5).status == 504
    assert ending(last(sbc)) == ("attempt", "504", "102", "sbc", "no-answer", "")


# --- answered

@pytest.mark.parametrize("who", ["ingress", "egress"])
@pytest.mark.parametrize("reason, q850", [(None, "16"), ("Q.850;cause=31", "31")])
def test_one_side_hangs_up(sbc, trunk, pbx_a, who, reason, q850):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    end = call if who == "ingress" else Taken(trunk, trunk.invites()[-1])
    send = end.within_dialog if who == "ingress" else end.send
    end.answer_to(send("BYE", headers=[("Reason", reason)] if reason else []))
    record = last(sbc)
    assert ending(record) == ("stop", "200", q850, who, "normal", "")
    assert int(record["duration-ms"]) < 5000 and record["connect-time"] <= record["disconnect-time"]
    assert record["setup-time"] <= record["ring-time"] <= record["connect-time"]


def ends_with_reason(sbc, trunk, pbx_a, cause):
    """Both sides get BYE, and hear why"""
    for peer in (trunk, pbx_a):
        bye = peer.wait(lambda m: m.status is None and m.method == "BYE", 6)
        assert bye.get("Reason") == f"Q.850;cause={cause}", bye


def test_the_session_is_over(sbc, trunk, pbx_a):
    sbc.element("sip-config").update({"session-max-life-limit": "1", "add-reason-header": "enabled"})
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    ends_with_reason(sbc, trunk, pbx_a, 102)
    assert ending(last(sbc)) == ("stop", "200", "102", "sbc", "session-expired", "")


def test_no_media_comes(sbc, trunk, pbx_a):
    sbc.config["media-manager"]["media-manager"] = {"initial-guard-timer": "1"}
    sbc.element("sip-config")["add-reason-header"] = "enabled"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    ends_with_reason(sbc, trunk, pbx_a, 41)
    assert ending(last(sbc)) == ("stop", "200", "41", "sbc", "media-timeout", "")


@pytest.mark.parametrize("code", [408, 481])
def test_a_side_is_dead(sbc, trunk, pbx_a, code):
    sbc.element("sip-config")["add-reason-header"] = "enabled"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.inside = lambda r: trunk.reply(r, 200 if r.method == "BYE" else code)
    assert call.answer_to(call.within_dialog("UPDATE", pbx_a.sdp())).status == code
    ends_with_reason(sbc, trunk, pbx_a, 41)
    assert ending(last(sbc)) == ("stop", "200", "41", "sbc", "transport", "")


def test_the_caller_never_acknowledges(sbc, trunk, pbx_a):
    sbc.element("sip-config").update({"init-timer": "20", "trans-expire": "2"})
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    call.answer(200)
    pbx_a.wait(lambda m: m.status is None and m.method == "BYE", 6)
    assert ending(last(sbc)) == ("stop", "200", "102", "sbc", "transport", "")


def test_the_operator_ends_it(sbc, trunk, pbx_a):
    sbc.element("sip-config")["add-reason-header"] = "enabled"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    number = sbc.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    sbc.acli(f"kill sip session {number}")
    ends_with_reason(sbc, trunk, pbx_a, 31)
    record = last(sbc)
    assert ending(record) == ("stop", "200", "31", "operator", "operator", "")
    assert record["session-id"] == number


@pytest.mark.parametrize("answered", [True, False])
def test_the_sbc_stops(sbc, trunk, pbx_a, answered):
    trunk.answers = [180, 200] if answered else [180]
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    if answered:
        call.until_answered()
    else:
        call.answer(180)
    sbc.stop()
    sbc.start(configured=False)
    assert ending(last(sbc)) == (("stop", "200") if answered else ("attempt", "503")) + \
        ("41", "sbc", "shutdown", "")


# --- what else a record says

def test_each_field_of_a_call_with_media(sbc, trunk, pbx_a, peers):
    speaker, hearer = peers(Rtp, pbx_a.ip), peers(Rtp, trunk.ip)
    pbx_a.media_port, trunk.media_port = speaker.port, hearer.port
    sbc.element("session-agent", "pbx-a.example")["trust-me"] = "enabled"
    for realm in ("pbx-a", "trunk"):
        sbc.element("realm-config", realm)["symmetric-latching"] = \
            "enabled" if realm == "trunk" else "disabled"
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[
        ("P-Asserted-Identity", "<sip:4930100@pbx-a.local>"),
        ("Diversion", "<sip:4930107@pbx-a.local>;reason=busy, <sip:4930108@pbx-a.local>")]).until_answered()
    for n, sender, to, receiver in ((7, speaker, media(call.final), hearer),
                                    (5, hearer, media(trunk.invites()[-1]), speaker)):
        sender.sends(to, count=n)
        assert len(receiver.hears(n)) == n
    call.hang_up()
    record, invite = last(sbc), trunk.invites()[-1]
    asserted = invite.get("P-Asserted-Identity")
    wanted = {
        "node": "sbc1", "protocol": "SIP", "method": "INVITE", "record-type": "stop",
        "ingress-call-id": call.invite.call_id, "egress-call-id": invite.call_id,
        "calling-number": "4930100", "called-number": "0301234",
        "calling-uri": "sip:4930100@pbx-a.local", "called-uri": f"sip:0301234@{sbc.ip(2)}",
        "egress-calling-uri": "sip:4930100@a.trunk.example",
        "egress-called-uri": "sip:0301234@a.trunk.example",
        "asserted-identity": asserted.strip("<>"), "diversion": "sip:4930107@pbx-a.local",
        "ingress-realm": "pbx-a", "ingress-agent": "pbx-a.example",
        "ingress-remote": f"{pbx_a.ip}:5060", "ingress-local": f"{sbc.ip(2)}:5060", "ingress-transport": "UDP",
        "egress-realm": "trunk", "egress-agent": "trunk.example",
        "egress-remote": f"{trunk.ip}:5060", "egress-local": f"{sbc.ip(1)}:5060", "egress-transport": "UDP",
        "next-hop": "trunk.example", "routes-tried": "1", "surrogate-aor": "4930100@a.trunk.example",
        "ingress-codec": "PCMA", "egress-codec": "PCMA", "ingress-security": "none", "egress-security": "none",
        "ingress-media-remote": f"{pbx_a.ip}:{speaker.port}",
        "egress-media-remote": f"{trunk.ip}:{hearer.port}",
        "ingress-media-local": "%s:%d" % media(call.final), "egress-media-local": "%s:%d" % media(invite),
        "in-packets": "7", "out-packets": "5", "in-lost": "0", "out-lost": "0", "latched": "egress",
        "config-version": "1"}
    assert asserted and not names(invite, "pbx-a.local")
    assert {k: record.get(k) for k in wanted} == wanted
    assert int(record["in-octets"]) > 0 and re.fullmatch(r"\d{6,}", record["session-id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["setup-time"])


def test_history_info_stands_in_for_diversion(sbc, trunk, pbx_a):
    sbc.start().registered()
    pbx_a.calls("0301234", headers=[("History-Info", "<sip:4930109@pbx-a.local>;index=1")]) \
        .until_answered().hang_up()
    assert last(sbc)["diversion"] == "sip:4930109@pbx-a.local"


def test_the_second_route_is_the_one_that_is_told(sbc, trunk, pbx_a, second):  # noqa: F811
    trunk.invite_answer = lambda request: trunk.reply(request, 503) and True
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    record = last(sbc)
    assert (record["egress-agent"], record["next-hop"], record["routes-tried"],
            record["egress-remote"], record["egress-call-id"]) == \
        ("second.example", "second.example", "2", f"{second.ip}:5060", second.invites()[0].call_id)
