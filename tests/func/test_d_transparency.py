"""
sip-config dialog-transparency: Call-ID and tags are kept, and nothing else (behaviour.md 3.1).
"""
import threading

import pytest

from peers.pbx import Taken
from peers.rtp import Rtp
from peers.sip import Message, names
from test_c_races import answers_with, second  # noqa: F401
from test_d_early import answers as answers_now, pracks, rings_reliably
from test_m_early import answers, plays_early
from test_u_change import changed

pytestmark = pytest.mark.crosses("Call-ID and tags are kept here")


@pytest.fixture
def sbc(sbc):
    sbc.element("sip-config")["dialog-transparency"] = "enabled"
    return sbc


def dialog(message):
    return message.call_id, message.tag("From"), message.tag("To")


def ends_on_both_sides(sbc, *peers):
    for peer in peers:
        peer.wait(lambda m: m.method == "BYE")
    sbc.no_session_is_left()


def test_call_id_and_tags_of_a_call_are_those_of_the_other_side(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234", cseq=7).until_answered()
    first, second = trunk.invites()
    for invite in (first, second):
        assert dialog(invite) == dialog(call.invite)
        # all else is the SBC's own
        assert invite.cseq != call.invite.cseq
        assert not names(invite, pbx_a.ip, sbc.ip(2), "pbx-a.local")
    assert second.cseq == first.cseq + 1  # the retry with credentials
    assert call.final.tag("To") == trunk.tag_of(second)
    assert not names(call.final, trunk.ip, sbc.ip(1))
    info = call.within_dialog("INFO", "x", ctype="text/plain")
    assert call.answer_to(info).status == 200
    assert dialog(trunk.requests("INFO")[0]) == dialog(info)
    call.hang_up()
    bye = trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert dialog(bye) == (call.invite.call_id, call.invite.tag("From"), trunk.tag_of(first))
    sbc.no_session_is_left()


def test_the_called_side_holds_and_hangs_up(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.wait(lambda m: m.method == "ACK" and m.tag("To") == trunk.tag_of(trunk.invites()[-1]))
    taken = Taken(trunk, trunk.invites()[-1])
    sbc.waits("show sessions", "TALKING")     # the caller's own ACK may come behind this one
    hold = taken.send("INVITE", trunk.sdp(sendrecv="sendonly"))
    assert taken.answer_to(hold).status == 200
    came = pbx_a.requests("INVITE")[0]
    assert dialog(came) == dialog(hold) == \
        (call.invite.call_id, call.final.tag("To"), call.invite.tag("From"))
    assert taken.answer_to(taken.send("BYE")).status == 200
    ends_on_both_sides(sbc, pbx_a)


def test_a_call_from_the_trunk_keeps_its_names_too(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    taken = pbx_a.takes()
    assert dialog(taken.invite) == dialog(call.invite)
    assert call.final.tag("To") == taken.ok.tag("To")
    assert taken.answer_to(taken.send("BYE")).status == 200
    ends_on_both_sides(sbc, trunk)


def test_a_fork_and_its_reliable_1xx_are_told_apart(sbc, trunk, pbx_a, peers):
    peers(Rtp, trunk.ip)
    sbc.start().registered()
    plays_early(trunk, "one", "two")
    call = pbx_a.calls("0301234")
    pbx_a.wait(lambda m: len({r.tag("To") for r in pbx_a.responses(183)}) == 2)
    assert [r.tag("To") for r in pbx_a.responses(183)] == ["one", "two"]
    answers(trunk, "two")
    call.until_answered()
    assert call.final.tag("To") == "two"
    answers(trunk, "one")
    lost = trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert lost.tag("To") == "one"
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE" and m.tag("To") == "two")
    sbc.no_session_is_left()


def test_prack_finds_its_early_dialog(sbc, trunk, pbx_a):
    sbc.start().registered()
    rings_reliably(trunk)
    call = pbx_a.calls("0301234", headers=[("Supported", "100rel")])
    progress = call.answer(183)
    assert progress.tag("To") == "ring"
    assert call.answer_to(pracks(call, progress)).status == 200
    assert trunk.requests("PRACK")[0].tag("To") == "ring"
    answers_now(trunk)
    call.until_answered().hang_up()
    sbc.no_session_is_left()


def test_two_tenants_with_the_same_names_are_not_mixed_up(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    same = dict(call_id="one-for-both@x", tag="from-both")
    trunk.tag_of = lambda request: "t" + request.host("From").replace(".", "")
    a = pbx_a.calls("0301234", **same).until_answered()
    b = pbx_b.calls("0301234", **same).until_answered()
    assert a.final.tag("To") != b.final.tag("To")
    # a stranger's guess: the names of A's call by B's way
    stolen = b.within_dialog("BYE")
    assert b.answer_to(stolen).status == 200
    trunk.wait(lambda m: m.status is None and m.method == "BYE" and
               m.tag("To") == b.final.tag("To"))
    assert a.answer_to(a.within_dialog("INFO", "x", ctype="text/plain")).status == 200
    a.hang_up()
    sbc.no_session_is_left()


def test_names_of_another_realm_reach_no_dialog(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    a = pbx_a.calls("0301234").until_answered()
    b = pbx_b.calls("0301234").until_answered()
    b.invite, own = a.invite, b.invite
    b.final, kept = a.final, b.final
    assert b.answer_to(b.within_dialog("BYE")).status == 481
    b.invite, b.final = own, kept
    a.hang_up()
    b.hang_up()
    sbc.no_session_is_left()


def test_a_call_that_comes_back_by_the_trunk_is_served(sbc, trunk, pbx_a, pbx_b):
    """A proxy as the trunk sends the call to the other tenant, under the same names"""
    sbc.start().registered()
    trunk.invite_challenge = None

    def returns(invite):
        back = trunk.request(
            "INVITE", f"sip:b-4930105@{sbc.ip(1)}", invite.get("To"), [], trunk.sdp(),
            from_=invite.get("From").split(";tag=")[0], tag=invite.tag("From"),
            call_id=invite.call_id, cseq=invite.cseq)
        trunk.send(back, trunk.sbc)
        answer = trunk.wait(lambda m: m.status == 200 and m.get("CSeq") == back.get("CSeq") and
                            m.method == "INVITE" and m.call_id == back.call_id)
        trunk.reply(invite, 200, tag=answer.tag("To"), body=trunk.sdp(),
                    headers=[("Contact", f"<sip:carrier@{trunk.ip}:5060>")])
        return True

    trunk.invite_answer = lambda invite: threaded(returns, invite)
    call = pbx_a.calls("0301234").until_answered(within=5)
    assert dialog(pbx_b.requests("INVITE")[0])[:2] == dialog(call.invite)[:2]
    assert call.final.tag("To") == pbx_b.responses_sent(200)[0].tag("To")


def threaded(work, *arguments):
    threading.Thread(target=work, args=arguments, daemon=True).start()
    return True


def test_the_next_route_has_the_same_names_and_a_higher_cseq(sbc, trunk, pbx_a, second):
    sbc.start().registered()
    answers_with(503)(trunk)
    call = pbx_a.calls("0301234").until_answered()
    first, after = trunk.invites()[-1], second.invites()[0]
    assert dialog(first) == dialog(after) == dialog(call.invite)
    assert after.cseq > first.cseq
    call.hang_up()
    second.wait(lambda m: m.status is None and m.method == "BYE")
    sbc.no_session_is_left()


def test_a_loop_is_seen(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.invite_challenge = None

    def returns(invite):
        trunk.send(Message(invite.start, [
            ("Via", f"SIP/2.0/UDP {trunk.ip}:5060;branch=z9hG4bKback")] + invite.headers,
            invite.body), trunk.sbc)
        return True

    trunk.invite_answer = returns
    call = pbx_a.calls("0301234")
    trunk.wait(lambda m: m.status == 482)
    call.cancel()
    call.until_refused()


def test_a_call_keeps_the_names_it_began_with(sbc, trunk, pbx_a):
    """A change of configuration touches no call that is on (configuration.md 1.5)"""
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    sbc.element("sip-config")["dialog-transparency"] = "disabled"
    changed(sbc)
    later = pbx_a.calls("0305555").until_answered()
    assert trunk.invites()[-1].call_id != later.invite.call_id
    call.hang_up()
    later.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "PUBLISH", "INFO"])
def test_a_request_outside_dialogs_keeps_its_names(sbc, trunk, pbx_a, method):
    sbc.start().registered()
    trunk.serve = lambda r: trunk.reply(r, 200, tag="theirs") and None
    request = pbx_a.request(method, f"sip:0301234@{sbc.ip(2)}", f"<sip:0301234@{sbc.ip(2)}>",
                            from_="<sip:4930100@pbx-a.local>", cseq=5)
    pbx_a.send(request, pbx_a.sbc)
    answer = pbx_a.wait(lambda m: m.status == 200)
    assert dialog(trunk.requests(method)[0]) == dialog(request)
    assert trunk.requests(method)[0].cseq != 5
    assert answer.tag("To") == "theirs"


def test_a_failure_has_the_tag_of_the_called_side(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.invite_answer = lambda r: trunk.reply(r, 486, tag="theirs") and True
    assert pbx_a.calls("0301234").until_refused().tag("To") == "theirs"


def test_a_subscription_has_names_of_its_own(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.serve = lambda r: trunk.reply(r, 200, tag="theirs", headers=[
        ("Contact", f"<sip:x@{trunk.ip}>"), ("Expires", "60")]) and None
    request = pbx_a.request("SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}", f"<sip:0301234@{sbc.ip(2)}>",
                            [("Event", "presence"), ("Expires", "60")], from_="<sip:4930100@pbx-a.local>")
    pbx_a.send(request, pbx_a.sbc)
    answer = pbx_a.wait(lambda m: m.status == 200)
    assert trunk.requests("SUBSCRIBE")[0].call_id != request.call_id and answer.tag("To") != "theirs"
