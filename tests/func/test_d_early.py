"""
Early dialogs on the wire (behaviour.md 3.2, 3.5; 7.2, 35): 100rel, UPDATE, forks.

- SIPp as PBX and carrier: reliable 183, PRACK, UPDATE while it rings, and the call behind it.
- The trunk challenges PRACK and UPDATE before the answer: both are answered, the PBX sees nothing.
- Two phones behind the trunk ring and both answer: one call, and the other is hung up.
- Media follow the dialog whose SDP came last, and at the end the one that answered.

What takes 64*T1, and every row of 3.3, runs in virtual time (tests/unit/test_sbc_early.c).
"""
import pytest

from peers.rtp import Rtp, media, ssrc
from peers.sip import Message, names, token
from peers.sipp import Answerer, Caller, numbers
from test_b_sipp import settle

CALLS, RATE = 100, 50
RELIABLE = [("Require", "100rel"), ("RSeq", "4711")]


def contact(trunk):
    return [("Contact", f"<sip:carrier@{trunk.ip}:{trunk.port}>")]


def rings_reliably(trunk):
    """Reliable 183 with SDP; PRACK and UPDATE are checked and answered, the rest is the test's"""
    def answer(request):
        if not trunk.proven(request, trunk.invite_challenge):
            return False
        trunk.reply(request, 183, tag="ring", body=trunk.sdp(), headers=contact(trunk) + RELIABLE)
        return True

    def inside(request):
        body = trunk.sdp() if request.body else ""
        trunk.reply(request, 200, body=body, headers=contact(trunk) if body else ())

    trunk.invite_answer, trunk.inside = answer, inside


def answers(trunk, tag="ring"):
    trunk.reply(trunk.invites()[-1], 200, tag=tag, body=trunk.sdp(), headers=contact(trunk))


def pracks(call, progress):
    call.final = progress       # its dialog is the one to go on in
    return call.within_dialog("PRACK", headers=[
        ("RAck", f"{progress.get('RSeq')} {call.invite.cseq} INVITE")])


# --- SIPp

def sipp_calls(sbc, peers, folder, caller, answerer):
    sbc.element("surrogate-agent").clear()
    peers(Answerer, folder, sbc.ip(11), scenario=answerer)
    sbc.start()
    settle(sbc, peers(Caller, folder, sbc.ip(12), sbc.ip(2), "4930100", "pbx-a.local",
                      numbers(CALLS), CALLS, RATE, scenario=caller), CALLS)


def test_sipp_acknowledges_1xx_and_updates_early_sessions(sbc, peers, tmp_path):
    sipp_calls(sbc, peers, tmp_path, "prack_calls.xml", "prack_answers.xml")


def test_sipp_forks_and_the_branch_that_lost_is_hung_up(sbc, peers, tmp_path):
    sipp_calls(sbc, peers, tmp_path, "pbx_calls.xml", "fork_answers.xml")


# --- 35

def test_a_reliable_1xx_goes_end_to_end(sbc, trunk, pbx_a):
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234", headers=[("Supported", "100rel")])
    progress = call.answer(183)
    assert "100rel" in progress.get("Require") and progress.get("RSeq") != "4711"
    assert media(progress)[0] == sbc.ip(2) and not names(progress, trunk.ip)
    assert "100rel" in trunk.invites()[-1].get("Supported")
    prack = pracks(call, progress)
    assert call.answer_to(prack).status == 200
    came, = trunk.requests("PRACK")
    assert came.get("RAck") == f"4711 {trunk.invites()[-1].cseq} INVITE"
    assert came.tag("To") == "ring"
    answers(trunk)
    call.until_answered().hang_up()
    sbc.no_session_is_left()


def test_a_challenged_prack_is_answered(sbc, trunk, pbx_a):
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234", headers=[("Supported", "100rel")])
    progress = call.answer(183)
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.one_nonce_each = True
    trunk.nonces = {nonce: 1 << 32 for nonce in trunk.nonces}
    assert call.answer_to(pracks(call, progress)).status == 200
    first, second = trunk.requests("PRACK")
    assert second.cseq == first.cseq + 1 and second.get("RAck") == first.get("RAck")
    assert trunk.good[-1][:2] == ("PRACK", "a1")
    assert pbx_a.responses(407) == []
    trunk.dialog_challenge = None
    answers(trunk)
    call.until_answered().hang_up()
    sbc.no_session_is_left()


def test_a_challenged_update_before_the_answer_is_answered(sbc, trunk, pbx_a):
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234", headers=[("Supported", "100rel")])
    assert call.answer_to(pracks(call, call.answer(183))).status == 200
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.nonces = {nonce: 1 << 32 for nonce in trunk.nonces}
    update = call.within_dialog("UPDATE", pbx_a.sdp(sendrecv="sendonly"))
    answer = call.answer_to(update)
    assert answer.status == 200 and media(answer)[0] == sbc.ip(2)
    first, second = trunk.requests("UPDATE")
    assert second.cseq == first.cseq + 1 and second.body == first.body
    assert "a=sendonly" in second.body and not names(second, pbx_a.ip)
    assert trunk.good[-1][:2] == ("UPDATE", "a1")
    assert pbx_a.responses(407) == []
    trunk.dialog_challenge = None
    answers(trunk)
    call.until_answered().hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["INFO", "MESSAGE", "OPTIONS", "X-UNHEARD-OF"])
def test_any_method_reaches_the_trunk_while_it_rings(sbc, trunk, pbx_a, method):
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234")
    call.final = call.answer(183)
    assert call.answer_to(call.within_dialog(method)).status == 200
    assert trunk.requests(method)[-1].tag("To") == "ring"
    answers(trunk)
    call.until_answered().hang_up()
    sbc.no_session_is_left()


def test_a_bye_while_it_rings_ends_both_sides(sbc, trunk, pbx_a):
    sbc.start().registered()
    rings_reliably(trunk)
    trunk.answers = [180]       # so that it ends the INVITE when CANCEL comes
    call = pbx_a.calls("0301234")
    call.final = call.answer(183)
    assert call.answer_to(call.within_dialog("BYE")).status == 200
    assert call.until_refused().status == 487
    trunk.wait(lambda m: m.status is None and m.method == "CANCEL")
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


# --- media

def test_media_follow_the_last_sdp_and_then_the_answer(sbc, trunk, pbx_a, peers):
    """Two phones play; the caller hears the one that began last, later the one that answered"""
    a, one, two = peers(Rtp, pbx_a.ip), peers(Rtp, trunk.ip), peers(Rtp, trunk.ip)
    pbx_a.media_port = a.port
    sbc.start().registered()

    def rings(tag, port):
        trunk.reply(trunk.invites()[-1], 183, tag=tag, body=trunk.sdp(port=port),
                    headers=contact(trunk))

    def fork(request):
        if not trunk.proven(request, trunk.invite_challenge):
            return False
        rings("one", one.port)
        return True

    trunk.invite_answer = fork
    call = pbx_a.calls("0301234")
    call.answer(183)
    to = media(trunk.invites()[-1])
    one.sends(to, count=5, pause=0.005)
    assert {ssrc(d) for _, d in a.hears(5)} == {one.ssrc}
    rings("two", two.port)
    pbx_a.wait(lambda m: len(pbx_a.responses(183)) == 2)
    # the caller speaks: it must reach the phone whose SDP came last
    a.sends(media(pbx_a.responses(183)[-1]), count=5, pause=0.005)
    assert {ssrc(d) for _, d in two.hears(5)} == {a.ssrc}
    trunk.media_port = one.port
    answers(trunk, "one")
    call.until_answered()
    a.sends(media(call.final), count=5, pause=0.005)
    assert {ssrc(d) for _, d in one.hears(5)} == {a.ssrc}
    call.hang_up()
    sbc.no_session_is_left()


def test_a_call_without_an_offer_gets_it_in_the_answer(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234", body="")
    final = call.answer(200)
    assert media(final)[0] == sbc.ip(2) and trunk.invites()[-1].body == ""
    call.final = final
    pbx_a.send(Message(f"ACK {final.contact} SIP/2.0", [
        ("Via", f"SIP/2.0/UDP {pbx_a.ip}:{pbx_a.port};branch=z9hG4bK{token()};rport"),
        ("Max-Forwards", "70"), ("From", call.invite.get("From")), ("To", final.get("To")),
        ("Call-ID", call.invite.call_id), ("CSeq", f"{call.invite.cseq} ACK"),
        ("Content-Type", "application/sdp")], pbx_a.sdp()), pbx_a.sbc)
    ack = trunk.wait(lambda m: m.status is None and m.method == "ACK" and m.body)
    assert media(ack)[0] == sbc.ip(1) and not names(ack, pbx_a.ip)
    call.hang_up()
    sbc.no_session_is_left()


def test_an_ack_without_the_answer_ends_the_call(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234", body="")
    call.final = call.answer(200)
    call.ack()
    for peer in (pbx_a, trunk):
        bye = peer.wait(lambda m: m.status is None and m.method == "BYE")
        assert "488" in bye.get("Reason")
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
