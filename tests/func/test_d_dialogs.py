"""
Requests inside confirmed dialogs (behaviour.md 3.6, 3.7): order, hold, REFER, session timers.

baresip is the PBX where it can play it: it holds, resumes and transfers by itself.
"""
import re

import pytest

from peers.baresip import Baresip
from peers.pbx import Taken
from peers.rtp import Rtp, media

from test_d_challenges import challenges_everything, within


@pytest.fixture
def phone(sbc, peers, tmp_path):
    """Function: baresip as PBX A, in a call with the trunk"""
    def call(transfers=False):
        if transfers:
            sbc.element("realm-config", "pbx-a")["refer-call-transfer"] = "enabled"
        sbc.start().registered()
        baresip = peers(Baresip, tmp_path, "pbx", sbc.ip(12),
                        f'<sip:4930100@pbx-a.local>;regint=0;outbound="sip:{sbc.ip(2)}:5060";'
                        "audio_codecs=pcma", calls=f"sip:0301234@{sbc.ip(2)}")
        baresip.says("Call established")
        return baresip
    return call


def transfers(sbc, *realms):
    for realm in realms:
        sbc.element("realm-config", realm)["refer-call-transfer"] = "enabled"


def targets(trunk):
    return [m for m in trunk.invites() if m.user("To") == "0305678"]


# --- order

def test_requests_of_one_leg_keep_their_order_through_a_challenge(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    infos = [call.within_dialog("INFO", headers=[("X-Number", str(n))]) for n in range(4)]
    for info in infos:
        assert call.answer_to(info).status == 200
    # the first one is challenged and leaves twice; none of the others comes between
    assert [m.get("X-Number") for m in within(trunk, "INFO")] == ["0", "0", "1", "2", "3"]
    numbers = [m.cseq for m in within(trunk, "INFO")]
    assert numbers == sorted(numbers)
    call.hang_up()
    sbc.no_session_is_left()


# --- hold

def test_baresip_holds_and_takes_the_call_up_again(sbc, trunk, phone):
    baresip = phone()
    used = sbc.ports_used()
    baresip.command("hold")
    hold = trunk.wait(lambda m: m.method == "INVITE" and ";tag=" in m.get("To"))
    assert "a=sendonly" in hold.body and f"c=IN IP4 {sbc.ip(1)}" in hold.body
    trunk.wait(lambda m: m.method == "ACK" and m.cseq == hold.cseq)
    assert sbc.ports_used() == used
    baresip.command("resume")
    resumed = trunk.wait(lambda m: m.method == "INVITE" and m.cseq > hold.cseq)
    assert "a=sendonly" not in resumed.body and "a=inactive" not in resumed.body
    trunk.wait(lambda m: m.method == "ACK" and m.cseq == resumed.cseq)
    port = re.search(r"m=audio (\d+)", hold.body).group(1)
    assert re.search(r"m=audio (\d+)", resumed.body).group(1) == port
    baresip.close()
    sbc.no_session_is_left()


# --- REFER that is passed on

def test_a_refer_of_baresip_is_passed_on_and_its_notifies_come_back(sbc, trunk, phone):
    baresip = phone()
    baresip.command("transfer", f"sip:0305678@{sbc.ip(2)}")
    refer = trunk.wait(lambda m: m.method == "REFER" and m.status is None)
    assert refer.get("Refer-To").strip("<>") == "sip:0305678@a.trunk.example"
    carrier = Taken(trunk, trunk.invites()[-1])
    for state, line in (("active", "SIP/2.0 100 Trying"),
                        ("terminated;reason=noresource", "SIP/2.0 200 OK")):
        notify = carrier.send("NOTIFY", line + "\r\n", ctype="message/sipfrag;version=2.0", headers=[
            ("Event", "refer"), ("Subscription-State", state)])
        assert carrier.answer_to(notify).status == 200, line
    assert not targets(trunk)
    baresip.close()
    sbc.no_session_is_left()


# --- REFER that the SBC carries out

def test_a_transfer_of_baresip_is_carried_out(sbc, trunk, phone):
    sbc.element("realm-config", "trunk")["mm-in-realm"] = "enabled"
    baresip = phone(transfers=True)
    first = trunk.invites()[-1]
    baresip.command("transfer", f"sip:0305678@{sbc.ip(2)}")
    invite = trunk.wait(lambda m: m.method == "INVITE" and m.user("To") == "0305678" and
                        trunk.credentials(m))
    # as the referrer's new call: his route, his account, his identity
    assert invite.uri == "sip:0305678@a.trunk.example"
    assert trunk.credentials(invite)[0]["username"] == "a1"
    assert invite.user("From") == "4930100" and invite.host("From") == "a.trunk.example"
    moved = trunk.wait(lambda m: m.method == "INVITE" and ";tag=" in m.get("To"))
    assert moved.call_id == first.call_id
    assert f"c=IN IP4 {sbc.ip(1)}" in moved.body
    baresip.says("audio: destroyed")    # it heard BYE, or hung up at the NOTIFY 200
    sbc.waits("show sessions", r"(?m)^1 session")
    # the two of the trunk talk: what one says reaches the other, with no word to the PBX
    rest, target = Taken(trunk, first), Taken(trunk, invite)
    info = rest.send("INFO")
    assert rest.answer_to(info).status == 200
    assert within(trunk, "INFO")[-1].call_id == target.invite.call_id
    bye = target.send("BYE")
    assert target.answer_to(bye).status == 200
    ended = trunk.wait(lambda m: m.method == "BYE" and m.status is None)
    assert ended.call_id == first.call_id
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_a_transfer_to_nobody_leaves_the_call(sbc, trunk, pbx_a):
    transfers(sbc, "pbx-a")
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.answers = [180, 486]
    refer = call.within_dialog("REFER", headers=[("Refer-To", f"<sip:0305678@{sbc.ip(2)}>")])
    assert call.answer_to(refer).status == 202
    pbx_a.wait(lambda m: m.method == "NOTIFY" and "terminated" in m.get("Subscription-State"))
    # what comes while one is unanswered is told by the next
    told = [m.body.split()[1] for m in pbx_a.requests("NOTIFY")]
    assert told[0] == "100" and told[-1] == "486" and set(told) <= {"100", "180", "486"}
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    final = call.answer_to(hold)
    assert final.status == 200
    call.ack_to(hold, final)
    call.hang_up()
    sbc.no_session_is_left()


def test_baresip_hears_why_its_transfer_failed(sbc, trunk, phone):
    """It hangs up then, of its own accord"""
    baresip = phone(transfers=True)
    trunk.answers = [404]
    baresip.command("transfer", f"sip:0305678@{sbc.ip(2)}")
    baresip.says("404")
    trunk.wait(lambda m: m.method == "BYE" and m.status is None)
    sbc.no_session_is_left()


def refer_with_replaces(call, other, host):
    """REFER in one call that names the other one of the same PBX"""
    names = (f"{other.invite.call_id};to-tag={other.final.tag('To')}"
             f";from-tag={other.invite.tag('From')}")
    escaped = names.replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
    return call.within_dialog("REFER", headers=[
        ("Refer-To", f"<sip:0305678@{host}?Replaces={escaped}>")])


def test_two_calls_of_one_pbx_are_joined(sbc, trunk, pbx_a):
    transfers(sbc, "pbx-a")
    sbc.element("realm-config", "trunk")["mm-in-realm"] = "enabled"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    other = pbx_a.calls("0305678").until_answered()
    first, second = [next(m for m in reversed(trunk.invites()) if m.user("To") == n)
                     for n in ("0301234", "0305678")]
    refer = refer_with_replaces(call, other, sbc.ip(2))
    assert call.answer_to(refer).status == 202
    pbx_a.wait(lambda m: m.method == "NOTIFY" and "SIP/2.0 200" in m.body)
    for ended in (call, other):
        pbx_a.wait(lambda m: m.method == "BYE" and m.call_id == ended.invite.call_id)
    assert [m.call_id for m in within(trunk, "INVITE")] == [second.call_id, first.call_id]
    assert len(targets(trunk)) == 1     # no call but the one that was there
    rest = Taken(trunk, first)
    rest.answer_to(rest.send("INFO"))
    assert within(trunk, "INFO")[-1].call_id == second.call_id
    rest.answer_to(rest.send("BYE"))
    trunk.wait(lambda m: m.method == "BYE" and m.call_id == second.call_id)
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
    # the first was over when its sides were joined, the second when one of them hung up
    records = {r["called-number"]: r for r in sbc.records(2)}
    last, given = records["0305678"], records["0301234"]
    assert [given[f] for f in ("called-number", "q850", "ended-by", "reason")] == ["0301234", "16", "sbc", "normal"]
    assert [last[f] for f in ("called-number", "q850", "reason")] == ["0305678", "16", "normal"]


@pytest.mark.parametrize("joined", [False, True])
def test_the_two_hear_each_other_after_a_transfer(sbc, trunk, pbx_a, peers, joined):
    transfers(sbc, "pbx-a")
    sbc.element("realm-config", "trunk")["mm-in-realm"] = "enabled"
    sbc.start().registered()
    ends, dialogs = {}, {}

    def answers(number):
        ends[number] = peers(Rtp, trunk.ip)
        trunk.media_port = ends[number].port

    def inside(request):
        # each dialog of the trunk goes on with its own socket
        if request.method == "INVITE":
            trunk.media_port = ends[dialogs[request.call_id]].port
        type(trunk).inside(trunk, request)

    trunk.inside = inside
    answers("0301234")
    call = pbx_a.calls("0301234").until_answered()
    first = trunk.invites()[-1]
    dialogs[first.call_id] = "0301234"
    answers("0305678")
    if joined:
        other = pbx_a.calls("0305678").until_answered()
        dialogs[trunk.invites()[-1].call_id] = "0305678"
        refer = refer_with_replaces(call, other, sbc.ip(2))
    else:
        refer = call.within_dialog("REFER", headers=[("Refer-To", f"<sip:0305678@{sbc.ip(2)}>")])
    assert call.answer_to(refer).status == 202
    pbx_a.wait(lambda m: m.method == "BYE" and m.call_id == call.invite.call_id)
    to_rest = next(m for m in reversed(trunk.requests("INVITE")) if m.call_id == first.call_id)
    to_target = next(m for m in reversed(trunk.requests("INVITE")) if m.user("To") == "0305678")
    rest, target = ends["0301234"], ends["0305678"]
    for one, its, two, other_its in ((rest, to_rest, target, to_target),
                                     (target, to_target, rest, to_rest)):
        one.sends(media(its), count=5, pause=0.005)
        heard = two.hears(5)
        assert len(heard) == 5
        assert {source for source, _ in heard} == {media(other_its)}
    Taken(trunk, first).send("BYE")
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_a_call_of_another_tenant_cannot_be_joined(sbc, trunk, pbx_a, pbx_b):
    """Statement 49"""
    transfers(sbc, "pbx-a", "pbx-b")
    sbc.start().registered()
    victim = pbx_a.calls("0301234").until_answered()
    call = pbx_b.calls("0301234").until_answered()
    for invite in trunk.invites():
        trunk.wait(lambda m: m.method == "ACK" and trunk.credentials(m) and m.call_id == invite.call_id)
    seen = len(trunk.seen)
    refer = refer_with_replaces(call, victim, sbc.ip(3))
    assert call.answer_to(refer).status == 202
    told = pbx_b.wait(lambda m: m.method == "NOTIFY" and "terminated" in
                      m.get("Subscription-State"))
    assert told.body.startswith("SIP/2.0 481")
    assert not [m for m in trunk.seen[seen:] if m.status is None]
    assert not pbx_a.requests("BYE") and not pbx_a.requests("NOTIFY")
    victim.hang_up()
    call.hang_up()
    sbc.no_session_is_left()


# --- session timers

def profile(sbc, realm, **changes):
    sbc.config["session-router"]["session-timer-profile"] = [{"name": "keep", **changes}]
    sbc.element("sip-interface", realm)["session-timer-profile"] = "keep"


def test_without_profile_the_peers_agree_on_the_session_timer(sbc, trunk, pbx_a):
    trunk.invite_answer = lambda request: trunk.credentials(request) and trunk.reply(
        request, 200, tag=trunk.tag_of(request), body=trunk.sdp(), headers=[
            ("Contact", f"<sip:carrier@{trunk.ip}:5060>"), ("Require", "timer"),
            ("Session-Expires", "600;refresher=uac")])
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[
        ("Supported", "timer"), ("Session-Expires", "900"), ("Min-SE", "120")]).until_answered()
    invite = trunk.invites()[-1]
    assert invite.get("Session-Expires") == "900" and invite.get("Min-SE") == "120"
    assert call.final.get("Session-Expires") == "600;refresher=uac"
    call.hang_up()
    sbc.no_session_is_left()


def test_with_profile_the_sbc_asks_the_trunk_and_the_pbx_sees_nothing(sbc, trunk, pbx_a):
    profile(sbc, "trunk", **{"session-expires": "1200", "min-se": "100"})
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    invite = trunk.invites()[-1]
    assert invite.get("Session-Expires") == "1200;refresher=uac"
    assert invite.get("Min-SE") == "100" and "timer" in invite.get("Supported")
    assert not call.final.get("Session-Expires") and not call.final.get("Require")
    call.hang_up()
    sbc.no_session_is_left()


def test_a_422_of_the_trunk_is_answered_once_and_unseen(sbc, trunk, pbx_a):
    profile(sbc, "trunk")

    def too_small(request):
        if trunk.credentials(request) and request.get("Min-SE") == "90":
            return trunk.reply(request, 422, headers=[("Min-SE", "3600")])
        return None

    trunk.invite_answer = too_small
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses[-1] == 200 and 422 not in call.statuses
    assert trunk.invites()[-1].get("Session-Expires") == "3600;refresher=uac"
    call.hang_up()
    sbc.no_session_is_left()


def test_a_pbx_that_asks_for_too_little_gets_422(sbc, trunk, pbx_a):
    profile(sbc, "pbx-a", **{"min-se": "300"})
    sbc.start().registered()
    seen = len(trunk.invites())
    refused = pbx_a.calls("0301234", headers=[
        ("Supported", "timer"), ("Session-Expires", "120")]).until_refused()
    assert refused.status == 422 and refused.get("Min-SE") == "300"
    assert len(trunk.invites()) == seen
