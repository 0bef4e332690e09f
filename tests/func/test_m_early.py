"""
Early media (RFC 3960; behaviour.md 3.2): what the called side plays before it answers.

- A 183 with SDP reaches the caller with the SBC's address; a tone passes before the 200.
- early-media-allow none: the caller gets neither SDP nor sound before the answer.
- A fork: each To tag of the called side is a dialog of its own for the caller; the 2xx decides.
"""
import pytest

from peers.rtp import Rtp, media, ssrc
from peers.sip import names


@pytest.fixture
def ends(trunk, pbx_a, peers):
    a, b = peers(Rtp, pbx_a.ip), peers(Rtp, trunk.ip)
    pbx_a.media_port, trunk.media_port = a.port, b.port
    return a, b


def plays_early(trunk, *tags):
    """183 with SDP for each tag; the answer is left to the test"""
    def answer(request):
        if not trunk.proven(request, trunk.invite_challenge):
            return False
        for tag in tags:
            trunk.reply(request, 183, "Session Progress", tag=tag, body=trunk.sdp(),
                        headers=[("Contact", f"<sip:carrier@{trunk.ip}:{trunk.port}>")])
        return True
    trunk.invite_answer = answer


def answers(trunk, tag):
    trunk.reply(trunk.invites()[-1], 200, tag=tag, body=trunk.sdp(),
                headers=[("Contact", f"<sip:carrier@{trunk.ip}:{trunk.port}>")])


def test_a_tone_passes_before_the_answer(sbc, trunk, pbx_a, ends):
    a, b = ends
    sbc.start().registered()
    plays_early(trunk, "ring")
    call = pbx_a.calls("0301234")
    progress = call.answer(183)
    assert media(progress)[0] == sbc.ip(2)
    assert not names(progress, trunk.ip, str(b.port))
    b.sends(media(trunk.invites()[-1]), count=10, pause=0.005)
    assert [ssrc(d) for _, d in a.hears(10)] == [b.ssrc] * 10
    assert 200 not in call.statuses
    answers(trunk, "ring")
    call.until_answered()
    assert media(call.final) == media(progress)
    assert call.final.tag("To") == progress.tag("To")
    call.hang_up()
    sbc.no_session_is_left()


def test_early_media_allow_none_keeps_it_from_the_caller(sbc, trunk, pbx_a, ends):
    a, b = ends
    sbc.element("realm-config", "pbx-a")["early-media-allow"] = "none"
    sbc.start().registered()
    plays_early(trunk, "ring")
    call = pbx_a.calls("0301234")
    assert call.answer(183).body == ""
    b.sends(media(trunk.invites()[-1]), count=5, pause=0.005)
    answers(trunk, "ring")
    call.until_answered()
    b.sends(media(trunk.invites()[-1]), count=5, pause=0.005)
    assert len(a.hears(5)) == 5
    call.hang_up()
    record, = sbc.records()
    assert record["status"] == "200"


def test_each_branch_of_a_fork_is_a_dialog_and_the_answer_decides(sbc, trunk, pbx_a, ends):
    sbc.start().registered()
    plays_early(trunk, "one", "two")
    call = pbx_a.calls("0301234")
    call.answer(183)
    pbx_a.wait(lambda m: len({r.tag("To") for r in pbx_a.responses(183)}) == 2)
    tags = [r.tag("To") for r in pbx_a.responses(183)]
    assert "one" not in tags and "two" not in tags
    answers(trunk, "two")
    call.until_answered()
    assert call.final.tag("To") == tags[1]
    call.hang_up()
    bye = trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert bye.tag("To") == "two"
    sbc.no_session_is_left()


def test_a_second_2xx_of_a_fork_is_hung_up_and_the_caller_hears_nothing(sbc, trunk, pbx_a, ends):
    sbc.start().registered()
    plays_early(trunk, "one", "two")
    call = pbx_a.calls("0301234")
    call.answer(183)
    answers(trunk, "one")
    call.until_answered()
    answers(trunk, "two")
    bye = trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert bye.tag("To") == "two"
    trunk.wait(lambda m: m.status is None and m.method == "ACK" and m.tag("To") == "two")
    assert len(pbx_a.responses(200)) == 1
    call.hang_up()
    sbc.no_session_is_left()
