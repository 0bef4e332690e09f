"""
Media of a call: ports, packets both ways, silence, and an empty pool (behaviour.md 7.2, 47-48).

- Each side's SDP names the SBC's address and an even port of that side's pool, nothing else.
- Packets pass both ways between the two peers, and from nobody else.
- Silence longer than subsq-guard-timer ends the call; a held call is not silent.
- An empty pool refuses the next call and leaves the first alone; ports come back at the end.
"""
import re
import struct
import time

import pytest

from peers.rtp import Rtp, media, ssrc
from peers.sip import names


class Pair:
    """A call with RTP sockets at both ends"""

    def __init__(self, sbc, trunk, pbx, peers, port=0):
        self.a = peers(Rtp, pbx.ip, port)
        self.b = peers(Rtp, trunk.ip)
        pbx.media_port, trunk.media_port = self.a.port, self.b.port
        self.call = pbx.calls("0301234").until_answered()
        self.invite = trunk.invites()[-1]
        trunk.wait(lambda m: m.method == "ACK" and m.status is None and
                   "carrier@" in m.start)
        self.to_a_side, self.to_b_side = media(self.call.final), media(self.invite)

    def speak(self, count=5):
        """Both ends send, and hear each other"""
        self.a.sends(self.to_a_side, count=count, pause=0.005)
        self.b.sends(self.to_b_side, count=count, pause=0.005)
        return self.a.hears(count), self.b.hears(count)


@pytest.fixture
def talk(sbc, trunk, pbx_a, peers):
    return lambda: Pair(sbc, trunk, pbx_a, peers)


# 47

def test_sdp_names_the_sbc_and_even_ports_of_each_sides_pool(sbc, trunk, pbx_a, talk):
    sbc.start().registered()
    pair = talk()
    for (ip, port), address, low, high in ((pair.to_b_side, sbc.ip(1), 22000, 22998),
                                           (pair.to_a_side, sbc.ip(2), 20000, 20998)):
        assert ip == address and low <= port <= high and port % 2 == 0
    assert not names(pair.invite, pbx_a.ip, str(pbx_a.media_port))
    assert not names(pair.call.final, trunk.ip, str(trunk.media_port))
    assert re.search(rf"^o=- \d+ \d+ IN IP4 {re.escape(sbc.ip(1))}\r?$", pair.invite.body, re.M)
    for text in ("RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"):
        assert text in pair.invite.body and text in pair.call.final.body
    pair.call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_packets_pass_both_ways_unchanged_and_are_counted(sbc, talk):
    sbc.start().registered()
    pair = talk()
    at_a, at_b = pair.speak(20)
    assert [ssrc(d) for _, d in at_a] == [pair.b.ssrc] * 20
    assert [ssrc(d) for _, d in at_b] == [pair.a.ssrc] * 20
    assert {s for s, _ in at_a} == {pair.to_a_side} and {s for s, _ in at_b} == {pair.to_b_side}
    assert [struct.unpack_from("!H", d, 2)[0] for _, d in at_b] == list(range(1, 21))
    pair.call.hang_up()
    record, = sbc.records()
    assert (record["in-packets"], record["out-packets"]) == ("20", "20")
    assert int(record["in-octets"]) >= 20 * 172


def test_rtcp_passes_on_the_odd_ports(sbc, talk, peers):
    sbc.start().registered()
    pair = talk()
    pair.speak(2)
    rtcp_a, rtcp_b = (peers(Rtp, end.ip, end.port + 1) for end in (pair.a, pair.b))
    report = struct.pack("!BBHI", 0x80, 201, 1, pair.a.ssrc)
    rtcp_a.sends((pair.to_a_side[0], pair.to_a_side[1] + 1), report)
    assert [d for _, d in rtcp_b.hears(1)] == [report]
    pair.call.hang_up()


@pytest.mark.parametrize("realm", ["pbx-a", "trunk"])
def test_block_rtcp_of_either_realm_drops_it_both_ways(sbc, talk, peers, realm):
    sbc.element("realm-config", realm)["block-rtcp"] = "enabled"
    sbc.start().registered()
    pair = talk()
    rtcp_a, rtcp_b = (peers(Rtp, end.ip, end.port + 1) for end in (pair.a, pair.b))
    report = struct.pack("!BBHI", 0x80, 201, 1, pair.a.ssrc)
    rtcp_a.sends((pair.to_a_side[0], pair.to_a_side[1] + 1), report)
    rtcp_b.sends((pair.to_b_side[0], pair.to_b_side[1] + 1), report)
    pair.speak(3)
    assert rtcp_a.hears(1, 0.05) == rtcp_b.hears(1, 0.05) == []
    pair.call.hang_up()


@pytest.mark.parametrize("host, port", [(99, 0), (99, None), (13, 0), (12, 0)])
def test_packets_of_a_third_address_never_pass(sbc, talk, peers, host, port):
    """Before and after the peers spoke; from any address, also the peer's with another port"""
    sbc.start().registered()
    pair = talk()
    stranger = peers(Rtp, sbc.ip(host), pair.a.port if port is None else port)
    pair.speak(3)
    for to in (pair.to_a_side, pair.to_b_side):
        stranger.sends(to, count=5)
    at_a, at_b = pair.speak(3)
    assert {ssrc(d) for _, d in at_a} == {pair.b.ssrc}
    assert {ssrc(d) for _, d in at_b} == {pair.a.ssrc}
    assert len(at_a) == len(at_b) == 3
    assert not stranger.hears(1, within=0.2)
    pair.call.hang_up()


def test_a_stranger_who_speaks_first_takes_no_stream(sbc, talk, peers):
    for realm in ("pbx-a", "trunk"):
        sbc.element("realm-config", realm)["symmetric-latching"] = "enabled"
        sbc.element("realm-config", realm)["restricted-latching"] = "sdp"
    sbc.start().registered()
    pair = talk()
    stranger = peers(Rtp, sbc.ip(99))
    stranger.sends(pair.to_a_side, count=5)
    stranger.sends(pair.to_b_side, count=5)
    at_a, at_b = pair.speak(3)
    assert {ssrc(d) for _, d in at_a} == {pair.b.ssrc}
    assert {ssrc(d) for _, d in at_b} == {pair.a.ssrc}
    assert not stranger.hears(1, within=0.2)
    pair.call.hang_up()


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x08" + b"\0" * 9, b"\x40\x08" + b"\0" * 170,
                                  b"INVITE sip:x SIP/2.0\r\n\r\n"])
def test_what_is_no_rtp_never_passes(sbc, talk, data):
    sbc.start().registered()
    pair = talk()
    pair.speak(2)
    pair.a.sends(pair.to_a_side, data, count=3)
    at_a, at_b = pair.speak(2)
    assert {ssrc(d) for _, d in at_b} == {pair.a.ssrc} and len(at_b) == 2
    pair.call.hang_up()


def test_silence_ends_the_call_on_both_sides(sbc, trunk, pbx_a, talk):
    """subsq-guard-timer is 2 s here"""
    sbc.config["media-manager"]["media-manager"] = {"subsq-guard-timer": "2"}
    sbc.start().registered()
    pair = talk()
    pair.speak(3)
    spoken = time.monotonic()
    byes = [peer.wait(lambda m: m.status is None and m.method == "BYE", within=5)
            for peer in (pbx_a, trunk)]
    for bye in byes:
        assert bye.time - spoken > 1.5
    assert sbc.records()[0]["reason"] == "media-timeout"
    sbc.no_session_is_left()


def test_the_end_of_a_silent_call_gives_its_reason_where_that_is_wanted(sbc, trunk, pbx_a, talk):
    """RFC 3326, behaviour.md 3.11"""
    sbc.config["media-manager"]["media-manager"] = {"initial-guard-timer": "1"}
    sbc.element("sip-config")["add-reason-header"] = "enabled"
    sbc.start().registered()
    talk()
    for peer in (pbx_a, trunk):
        bye = peer.wait(lambda m: m.status is None and m.method == "BYE", within=4)
        assert "Q.850;cause=41" in [r.replace(" ", "")[:14] for r in bye.all("Reason")], bye


def test_anonymous_sdp_names_no_session(sbc, trunk, pbx_a):
    sbc.config["media-manager"]["media-manager"] = {"anonymous-sdp": "enabled"}
    sbc.start().registered()
    call = pbx_a.calls("0301234", body=pbx_a.sdp().replace("s=-", "s=J. Doe").replace("o=-", "o=doe")) \
        .until_answered()
    offer = trunk.invites()[-1].body
    assert "Doe" not in offer and "doe" not in offer and "\r\ns=-\r\n" in offer and "\r\no=- " in offer
    call.hang_up()


def test_ice_and_bundle_do_not_cross(sbc, trunk, pbx_a):
    """Candidates name addresses that the other side must not see (3.10)"""
    sbc.start().registered()
    offer = pbx_a.sdp() + (f"a=candidate:1 1 UDP 1 {pbx_a.ip} 9 typ host\r\na=ice-ufrag:x\r\n"
                           "a=ice-pwd:abcdefghijklmnopqrstuv\r\na=mid:0\r\na=x-unknown:stays\r\n")
    offer = offer.replace("t=0 0\r\n", "t=0 0\r\na=group:BUNDLE 0\r\na=ice-lite\r\n")
    call = pbx_a.calls("0301234", body=offer).until_answered()
    for invite in trunk.invites():
        assert not re.search(r"candidate|ice-|BUNDLE", invite.body), invite.body
        assert "a=x-unknown:stays" in invite.body
        assert not names(invite, pbx_a.ip)
    call.hang_up()


def test_a_held_call_is_not_silent(sbc, trunk, pbx_a, talk):
    sbc.config["media-manager"]["media-manager"] = {"subsq-guard-timer": "1"}
    sbc.start().registered()
    pair = talk()
    pair.speak(3)
    hold = pair.call.within_dialog("INVITE", pbx_a.sdp(sendrecv="inactive"))
    trunk.sdp = lambda **changes, : type(trunk).sdp(trunk, sendrecv="inactive")
    answer = pair.call.answer_to(hold)
    assert answer.status == 200
    pair.call.ack_to(hold, answer)
    with pytest.raises(AssertionError):
        pbx_a.wait(lambda m: m.status is None and m.method == "BYE", within=2.5)
    pair.call.hang_up()


def test_no_packet_at_all_ends_the_call_by_the_first_timer(sbc, trunk, pbx_a, talk):
    sbc.config["media-manager"]["media-manager"] = {"initial-guard-timer": "1"}
    sbc.start().registered()
    talk()
    for peer in (pbx_a, trunk):
        peer.wait(lambda m: m.status is None and m.method == "BYE", within=4)
    sbc.no_session_is_left()


# 48

@pytest.mark.parametrize("host", [1, 2])
def test_an_empty_pool_refuses_the_second_call_and_keeps_the_first(
        sbc, trunk, pbx_a, talk, host):
    pool = next(p for p in sbc.element("steering-pool") if p["ip-address"] == sbc.ip(host))
    pool["end-port"] = str(int(pool["start-port"]) + 1)
    sbc.start().registered()
    pair = talk()
    count = len(trunk.invites())
    second = pbx_a.calls("0301234")
    assert second.until_refused().status == 503
    assert len(trunk.invites()) == count
    assert "steering-pool-empty" in sbc.acli("show alarms")
    at_a, at_b = pair.speak(3)
    assert len(at_a) == len(at_b) == 3
    pair.call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_a_released_port_stays_silent(sbc, talk):
    sbc.start().registered()
    pair = talk()
    pair.speak(2)
    pair.call.hang_up()
    sbc.no_session_is_left()
    pair.a.sends(pair.to_a_side, count=5)
    assert not pair.b.hears(1, within=0.3)
