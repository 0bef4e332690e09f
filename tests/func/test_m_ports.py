"""
Media ports in every kind of failure, release, T.38, several media threads (behaviour.md 3.10, 3.11).

- After each kind of call that fails, no port is used.
- Two ends in one realm talk directly unless mm-in-realm says otherwise; a later offer takes media back.
- UDPTL is relayed as it is. RTCP alone keeps a call alive with hnt-rtcp.
"""
import ctypes
import glob
import re
import subprocess
import time
import types

import pytest

from peers.pbx import Pbx
from peers.rtp import Rtp, media
from test_m_media import Pair

OFFER_WITHOUT_STREAM = "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n" \
                       "m=audio 0 RTP/AVP 8\r\n"
T38 = "v=0\r\no=- 1 2 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n" \
      "m=image {port} udptl t38\r\na=T38FaxVersion:0\r\n"


def with_code(code, headers=()):
    return lambda trunk, pbx, m: trunk.reply(m, code, headers=headers)


def with_bad_sdp(trunk, pbx, m):
    trunk.reply(m, 200, tag="bad", headers=[("Contact", f"<sip:c@{trunk.ip}:{trunk.port}>")],
                body="v=0\r\nnonsense\r\n")


def with_other_streams(trunk, pbx, m):
    trunk.reply(m, 200, tag="more", headers=[("Contact", f"<sip:c@{trunk.ip}:{trunk.port}>")],
                body=trunk.sdp() + "m=video 0 RTP/AVP 31\r\n")


def with_early_media_then(code):
    def answer(trunk, pbx, m):
        trunk.reply(m, 183, tag="early", body=trunk.sdp(),
                    headers=[("Contact", f"<sip:c@{trunk.ip}:{trunk.port}>")])
        trunk.reply(m, code, tag="early")
    return answer


@pytest.mark.parametrize("answer, status", [
    (with_code(486), 486), (with_code(404), 404), (with_code(503), 503), (with_code(603), 603),
    (with_code(302, [("Contact", "<sip:x@127.0.0.1:9>")]), None), (with_code(407), 407),
    (with_bad_sdp, 488), (with_other_streams, 488), (with_early_media_then(486), 486),
    (lambda trunk, pbx, m: None, 408)],
    ids=["486", "404", "503", "603", "302", "407", "bad-sdp", "other-streams", "early-486", "silence"])
def test_a_call_that_fails_holds_no_port(sbc, trunk, pbx_a, answer, status):
    sbc.element("sip-config")["trans-expire"] = "1"
    trunk.invite_answer = lambda m: answer(trunk, pbx_a, m) or True
    sbc.start()
    for _ in range(2):
        final = pbx_a.calls("0301234").until_refused(within=5.0)
        assert status in (None, final.status)
        trunk.invite_answer = lambda m: answer(trunk, pbx_a, m) or True
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


@pytest.mark.parametrize("when", ["before-1xx", "ringing", "early-media"])
def test_a_cancelled_call_holds_no_port(sbc, trunk, pbx_a, when):
    sbc.start()

    def ring(m):
        if when == "ringing":
            trunk.reply(m, 180, tag="ring")
        elif when == "early-media":
            trunk.reply(m, 183, tag="ring", body=trunk.sdp(),
                        headers=[("Contact", f"<sip:c@{trunk.ip}:{trunk.port}>")])
        return True
    trunk.invite_answer = ring
    call = pbx_a.calls("0301234")
    trunk.wait(lambda m: m.method == "INVITE" and not m.status)
    if when != "before-1xx":
        call.answer(180 if when == "ringing" else 183)
    call.cancel()
    if when == "before-1xx":
        trunk.reply(trunk.invites()[-1], 487)
    else:
        trunk.wait(lambda m: m.method == "CANCEL" and not m.status)
        trunk.reply(trunk.invites()[-1], 487, tag="ring")
    assert call.until_refused().status == 487
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_offers_that_cannot_be_taken_hold_no_port(sbc, trunk, pbx_a):
    sbc.start()
    for body, status in ((OFFER_WITHOUT_STREAM.format(ip=pbx_a.ip), 488),
                         ("v=0\r\nrubbish\r\n", 400)):
        assert pbx_a.calls("0301234", body=body).until_refused().status == status
    assert pbx_a.calls("4999", uri=f"sip:4999@{sbc.ip(2)};x=1").until_answered().hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_a_caller_that_never_acks_and_a_killed_call_hold_no_port(sbc, trunk, pbx_a):
    sbc.element("sip-config").update({"init-timer": "20", "max-timer": "100"})  # 64*T1: 1.3 s
    sbc.start()
    call = pbx_a.calls("0301234")
    assert call.answer().status == 200          # no ACK
    trunk.wait(lambda m: m.method == "BYE" and not m.status, within=5.0)
    other = pbx_a.calls("0301235").until_answered()
    number = sbc.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    sbc.acli(f"kill sip session {number}")
    pbx_a.wait(lambda m: m.method == "BYE" and not m.status and m.call_id == other.invite.call_id)
    sbc.no_session_is_left(within=8.0)
    assert sbc.ports_used() == 0


def test_a_refused_reinvite_with_a_new_stream_gives_its_ports_back(sbc, trunk, pbx_a):
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    before = sbc.ports_used()
    assert before == 4
    trunk.inside = lambda m: trunk.reply(m, 488 if m.method == "INVITE" else 200)
    more = pbx_a.sdp() + "m=video 40002 RTP/AVP 31\r\n"
    assert call.answer_to(call.within_dialog("INVITE", more)).status == 488
    assert sbc.ports_used() == before
    call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


# --- release

@pytest.fixture
def neighbour(sbc, peers):
    """A second end in the realm of PBX A, reached by local-policy"""
    sbc.element("session-agent").append(
        {"hostname": "near.example", "ip-address": sbc.ip(15), "realm-id": "pbx-a"})
    sbc.policy("pbx-a")["policy-attributes"][:] = [{"next-hop": "near.example", "realm": "pbx-a"}]
    return peers(Pbx, sbc.ip(15), sbc.ip(2), "near.local", media_port=30400)


@pytest.mark.parametrize("through", [False, True])
def test_two_ends_of_one_realm_talk_directly_unless_mm_in_realm(sbc, pbx_a, neighbour, through):
    sbc.element("realm-config", "pbx-a")["mm-in-realm"] = "enabled" if through else "disabled"
    neighbour.answers = [200]
    sbc.element("realm-config", "pbx-a")["symmetric-latching"] = "disabled"
    sbc.start()
    call = pbx_a.calls("4930777").until_answered()
    invite = neighbour.requests("INVITE")[0]
    if through:
        assert media(invite)[0] == sbc.ip(2) and media(call.final)[0] == sbc.ip(2)
        assert sbc.ports_used() == 4
    else:
        assert media(invite) == (pbx_a.ip, pbx_a.media_port)
        assert media(call.final) == (neighbour.ip, neighbour.media_port)
        assert sbc.ports_used() == 0
    assert "1 session" in sbc.acli("show sessions")
    if not through:
        # An address that the other end cannot use: the SBC takes media back in this offer
        other = pbx_a.sdp().replace(f"c=IN IP4 {pbx_a.ip}", "c=IN IP6 ::1")
        again = call.within_dialog("INVITE", other)
        offered = neighbour.wait(lambda m: m.method == "INVITE" and m.tag("To"))
        assert media(offered)[0] == sbc.ip(2)
        final = call.answer_to(again)
        call.ack_to(again, final)
        assert media(final)[0] == sbc.ip(2) and sbc.ports_used() == 4
    call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


@pytest.mark.crosses("media addresses of the other side, or of the pool that both share")
@pytest.mark.parametrize("kept, shared, direct", [
    ((), True, True), (("trunk",), True, False), (("pbx-a",), True, False), ((), False, False)])
def test_ends_of_two_realms_talk_directly_where_both_let_them_and_pools_share_an_address(
        sbc, trunk, pbx_a, kept, shared, direct):
    for realm in ("trunk", "pbx-a"):
        sbc.element("realm-config", realm).update(
            {"mm-in-network": "enabled" if realm in kept else "disabled",
             "symmetric-latching": "disabled"})
    if shared:
        sbc.element("steering-pool", "pbx-a")["ip-address"] = sbc.ip(1)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    invite = trunk.invites()[-1]
    if direct:
        assert media(invite) == (pbx_a.ip, pbx_a.media_port)
        assert media(call.final) == (trunk.ip, trunk.media_port)
        assert sbc.ports_used() == 0
    else:
        assert media(invite)[0] == sbc.ip(1)
        assert media(call.final)[0] == sbc.ip(1 if shared else 2)
        assert sbc.ports_used() == 4
    assert "1 session" in sbc.acli("show sessions")
    call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


@pytest.mark.parametrize("same_ip, one_address, direct", [
    ("disabled", True, True), ("enabled", True, False), ("disabled", False, False)])
def test_ends_behind_one_address_talk_directly_without_mm_same_ip(
        sbc, pbx_a, peers, same_ip, one_address, direct):
    host = pbx_a.ip if one_address else sbc.ip(15)
    sbc.element("session-agent").append(
        {"hostname": "near.example", "ip-address": host, "port": "5090", "realm-id": "pbx-a"})
    sbc.policy("pbx-a")["policy-attributes"][:] = [{"next-hop": "near.example", "realm": "pbx-a"}]
    sbc.element("realm-config", "pbx-a").update(
        {"mm-in-realm": "enabled", "mm-same-ip": same_ip, "symmetric-latching": "disabled"})
    near = peers(Pbx, host, sbc.ip(2), "near.local", media_port=30400, port=5090)
    near.answers = [200]
    sbc.start()
    call = pbx_a.calls("4930777").until_answered()
    invite = near.requests("INVITE")[0]
    if direct:
        assert media(invite) == (pbx_a.ip, pbx_a.media_port)
        assert media(call.final) == (near.ip, near.media_port)
    else:
        assert media(invite)[0] == media(call.final)[0] == sbc.ip(2)
    assert sbc.ports_used() == (0 if direct else 4)
    call.hang_up()
    sbc.no_session_is_left()


def test_a_transfer_to_another_realm_takes_media_back(sbc, trunk, pbx_a, neighbour, peers):
    """Two ends of one realm talk directly; the target of the REFER is at the trunk"""
    sbc.element("local-policy").append(
        {"from-address": ["*"], "to-address": ["0301"], "source-realm": "pbx-a",
         "policy-attributes": [{"next-hop": "trunk.example", "realm": "trunk"}]})
    sbc.element("realm-config", "pbx-a").update(
        {"mm-in-realm": "disabled", "symmetric-latching": "disabled",
         "refer-call-transfer": "enabled"})
    neighbour.answers = [200]
    sbc.start().registered()
    at_b, at_target = peers(Rtp, neighbour.ip), peers(Rtp, trunk.ip)
    neighbour.media_port, trunk.media_port = at_b.port, at_target.port
    call = pbx_a.calls("4930777").until_answered()
    assert media(neighbour.requests("INVITE")[0])[0] == pbx_a.ip and sbc.ports_used() == 0
    refer = call.within_dialog("REFER", headers=[("Refer-To", "<sip:0301234@pbx-a.local>")])
    assert call.answer_to(refer).status == 202
    moved = neighbour.wait(lambda m: m.method == "INVITE" and m.tag("To"))
    to_b, to_target = media(moved), media(trunk.invites()[-1])
    assert to_b[0] == sbc.ip(2) and to_target[0] == sbc.ip(1)
    pbx_a.wait(lambda m: m.method == "BYE" and m.status is None)
    at_b.sends(to_b, count=3, pause=0.005)
    at_target.sends(to_target, count=3, pause=0.005)
    assert len(at_b.hears(3)) == 3 and len(at_target.hears(3)) == 3
    assert sbc.ports_used() == 4


# --- packets

class Island:
    """A host of its own, in a network namespace behind a pair of interfaces"""

    def __init__(self, network):
        self.name = "sbc" + str(network).replace(".", "n")
        self.here, self.there = f"10.{network}.1", f"10.{network}.2"
        self.run(f"netns add {self.name}")
        self.run(f"link add {self.name} type veth peer name e0 netns {self.name}")
        self.run(f"addr add {self.here}/30 dev {self.name}")
        self.run(f"link set {self.name} up")
        self.run(f"-n {self.name} addr add {self.there}/30 dev e0")
        self.rises()

    def run(self, command):
        subprocess.run(["ip"] + command.split(), check=True, capture_output=True)

    def sinks(self):
        self.run(f"-n {self.name} link set e0 down")

    def rises(self):
        self.run(f"-n {self.name} link set e0 up")

    def inside(self, make):
        """What make() gives, with its sockets in there"""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            assert libc.setns(there.fileno(), 0) == 0
            try:
                return make()
            finally:
                assert libc.setns(home.fileno(), 0) == 0

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self.name], check=False, capture_output=True)


@pytest.fixture
def island(sbc):
    try:
        made = Island(sbc.network)
    except (OSError, subprocess.CalledProcessError) as why:
        Island.close(types.SimpleNamespace(name="sbc" + str(sbc.network).replace(".", "n")))
        pytest.skip(f"no network namespace here: {why}")
    yield made
    made.close()


def test_a_peer_whose_media_host_is_gone_harms_nothing_and_may_come_back(
        sbc, trunk, pbx_a, peers, island):
    sbc.element("steering-pool", "trunk")["ip-address"] = island.here
    sbc.config["media-manager"]["media-manager"] = {
        "subsq-guard-timer": "3", "initial-guard-timer": "3"}
    sbc.start().registered()
    a, b = peers(Rtp, pbx_a.ip), island.inside(lambda: Rtp(island.there))
    pbx_a.media_port, trunk.media_port = a.port, b.port
    said = trunk.sdp
    trunk.sdp = lambda **changes: said(**changes).replace(trunk.ip, island.there)
    call = pbx_a.calls("0301234").until_answered()
    to_a, to_b = media(call.final), media(trunk.invites()[-1])
    assert to_b[0] == island.here

    def talks():
        a.sends(to_a, count=5, pause=0.01)
        b.sends(to_b, count=5, pause=0.01)
        return len(a.hears(5)) == 5 and len(b.hears(5)) == 5

    assert talks()
    island.sinks()
    for _ in range(100):
        a.sends(to_a, pause=0.002)
    assert "1 session" in sbc.acli("show sessions")
    island.rises()
    limit = time.monotonic() + 2.5          # the neighbour is looked for anew
    while not talks():
        assert time.monotonic() < limit
    # gone for good: it is silent, and the guard timer says so
    island.sinks()
    limit = time.monotonic() + 6
    while not pbx_a.requests("BYE") and time.monotonic() < limit:
        a.sends(to_a, pause=0.02)
    assert pbx_a.requests("BYE") and trunk.wait(lambda m: m.method == "BYE")
    b.close()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
    assert sbc.records()[0]["reason"] == "media-timeout"


def test_udptl_is_relayed_as_it_is_after_a_reinvite(sbc, trunk, pbx_a, peers):
    sbc.start()
    pair = Pair(sbc, trunk, pbx_a, peers)
    fax_a, fax_b = peers(Rtp, pbx_a.ip), peers(Rtp, trunk.ip)

    def fax(m):
        trunk.reply(m, 200, body=T38.format(ip=trunk.ip, port=fax_b.port),
                    headers=[("Contact", f"<sip:carrier@{trunk.ip}:{trunk.port}>")])
    trunk.inside = lambda m: fax(m) if m.method == "INVITE" else trunk.reply(m, 200)
    offer = pair.call.within_dialog("INVITE", T38.format(ip=pbx_a.ip, port=fax_a.port))
    final = pair.call.answer_to(offer)
    assert final.status == 200 and "udptl t38" in final.body
    pair.call.ack_to(offer, final)
    invite = trunk.requests("INVITE")[-1]
    to_b = re.search(r"m=image (\d+) udptl t38", invite.body).group(1)
    to_a = re.search(r"m=image (\d+) udptl t38", final.body).group(1)
    datagram = b"\x00\x01\x06not RTP at all"
    fax_a.sends((sbc.ip(2), int(to_a)), data=datagram)
    fax_b.sends((sbc.ip(1), int(to_b)), data=datagram[::-1])
    assert [d for _, d in fax_b.hears(1)] == [datagram]
    assert [d for _, d in fax_a.hears(1)] == [datagram[::-1]]
    pair.call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


@pytest.mark.parametrize("counts", [True, False])
def test_rtcp_alone_keeps_a_call_only_with_hnt_rtcp(sbc, trunk, pbx_a, peers, counts):
    sbc.config["media-manager"]["media-manager"] = {
        "subsq-guard-timer": "2", "initial-guard-timer": "2",
        "hnt-rtcp": "enabled" if counts else "disabled"}
    sbc.start()
    port = 30500
    pair = Pair(sbc, trunk, pbx_a, peers, port)
    control = peers(Rtp, pbx_a.ip, port + 1)
    back = peers(Rtp, trunk.ip, pair.b.port + 1)
    report = b"\x80\xc8\x00\x06" + b"\x00" * 24
    limit = time.monotonic() + 3.5
    while time.monotonic() < limit and not pbx_a.requests("BYE"):
        control.sends((pair.to_a_side[0], pair.to_a_side[1] + 1), data=report)
        back.sends((pair.to_b_side[0], pair.to_b_side[1] + 1), data=report)
        time.sleep(0.2)
    assert bool(pbx_a.requests("BYE")) != counts
    if counts:
        pair.call.hang_up()
    sbc.no_session_is_left()


def test_a_peer_whose_media_port_is_gone_harms_nothing(sbc, trunk, pbx_a, peers):
    sbc.start()
    pair = Pair(sbc, trunk, pbx_a, peers)
    pair.speak(2)
    pair.b.close()                       # ICMP port unreachable from now on
    for _ in range(50):
        pair.a.sends(pair.to_a_side, pause=0.002)
    pair.b.__init__(trunk.ip, pair.b.port)
    pair.a.sends(pair.to_a_side, count=3, pause=0.005)
    assert len(pair.b.hears(3)) == 3
    pair.call.hang_up()


def test_several_media_threads_share_the_calls(sbc, trunk, pbx_a, peers):
    sbc.config["media-manager"]["media-manager"] = {"media-workers": "3"}
    sbc.start()
    tasks = glob.glob(f"/proc/{sbc.process.pid}/task/*/comm")
    assert [open(t).read().strip() for t in tasks].count("media") == 3
    pairs = [Pair(sbc, trunk, pbx_a, peers) for _ in range(6)]
    for pair in pairs:
        at_a, at_b = pair.speak(3)
        assert len(at_a) == len(at_b) == 3
    for pair in pairs:
        pair.call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_without_a_port_a_reinvite_is_refused_and_the_call_goes_on(sbc, trunk, pbx_a, peers):
    pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "trunk")
    pool["end-port"] = "22001"
    sbc.start()
    pair = Pair(sbc, trunk, pbx_a, peers)
    used = sbc.ports_used()
    offer = pair.call.within_dialog("INVITE", pbx_a.sdp() + "m=video 30400 RTP/AVP 31\r\n")
    final = pair.call.answer_to(offer)
    assert final.status == 503
    pair.call.ack_to(offer, final)
    assert len(trunk.requests("INVITE")) == len(trunk.invites())  # it never left
    assert "steering-pool-empty" in sbc.acli("show alarms")
    assert sbc.ports_used() == used
    info = pair.call.within_dialog("INFO", "x", ctype="text/plain")
    assert pair.call.answer_to(info).status == 200
    pair.call.hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
