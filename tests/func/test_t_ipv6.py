"""
A trunk over IPv6 and a PBX over IPv4: each side in its own family (behaviour.md 2.8, 3.10, 4.1, 5.2).

- REGISTER, challenge, call, hold and BYE go over IPv6; hosts stand in brackets where RFC 3261 wants them.
- Each SDP has the family of its side, and packets pass between the two.
"""
import re
import socket

import pytest

from peers.rtp import Rtp, media
from peers.sip import SDP, datagrams
from peers.trunk import Trunk

HOST = "::1"


def free_ports(network):
    """Even ports that nobody has, each with three more behind it; tests beside begin elsewhere"""
    a, b = (int(part) for part in network.split("."))
    begin = 30000 + (a * 250 + b) % 64 * 40
    for port in range(begin, begin + 40, 4):
        try:
            for n in range(4):
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                    probe.bind((HOST, port + n))
        except OSError:
            continue
        yield port


class Trunk6(Trunk):
    def __init__(self, port, sbc_port, media_port):
        self.wanted = port
        super().__init__(f"[{HOST}]", f"[{HOST}]", media_port)
        self.port, self.sbc = port, (HOST, sbc_port)

    def open(self):
        return datagrams(socket.AF_INET6, HOST, self.wanted)

    def sdp(self, **changes):
        return SDP.format(ip=HOST, port=self.media_port).replace("IN IP4", "IN IP6")


class Rtp6(Rtp):
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind((HOST, port))
        self.ip, self.port = self.socket.getsockname()[:2]
        self.ssrc, self.seq, self.heard = 0x60600000 | port, 0, []


@pytest.fixture
def over_ipv6(sbc, peers):
    try:
        ports = free_ports(sbc.network)
        at, sip = next(ports), next(ports)
        pool = next(ports)
    except StopIteration:
        pytest.skip("no IPv6 on this machine")
    sbc.element("realm-config", "trunk")["addr-prefix"] = f"{HOST}/128"
    sbc.element("sip-interface", "trunk")["sip-ports"][0].update(
        {"address": HOST, "port": str(sip)})
    sbc.element("session-agent", "trunk.example").update({"ip-address": HOST, "port": str(at)})
    next(p for p in sbc.element("steering-pool") if p["realm-id"] == "trunk").update(
        {"ip-address": HOST, "start-port": str(pool), "end-port": str(pool + 3)})
    for agent in sbc.element("surrogate-agent"):
        agent["register-contact-host"] = ""
    trunk = peers(Trunk6, at, sip, at + 2)
    trunk.pool, trunk.sip = pool, sip
    return trunk


def test_a_trunk_over_ipv6_is_registered_with_and_called(sbc, over_ipv6, pbx_a, peers):
    trunk = over_ipv6
    sbc.start().registered()
    own = rf"\[::1\]:{trunk.sip}"
    for register in trunk.registers():
        assert re.fullmatch(rf"sip:[ab]-493010\d@{own}", register.contact), register.contact
        assert re.match(rf"SIP/2\.0/UDP {own};", register.get("Via"))
    speaker, hearer = peers(Rtp, pbx_a.ip), peers(Rtp6, trunk.media_port)
    pbx_a.media_port = speaker.port
    call = pbx_a.calls("0301234").until_answered()
    invite = trunk.invites()[-1]
    assert trunk.good[-1][:2] == ("INVITE", "a1")
    assert re.search(rf"@{own}>", invite.get("Contact")), invite.get("Contact")
    assert "c=IN IP6 ::1\r\n" in invite.body and "IP4" not in invite.body
    assert media(call.final)[0] == sbc.ip(2) and "IP6" not in call.final.body
    port = int(re.search(r"m=audio (\d+)", invite.body).group(1))
    assert trunk.pool <= port <= trunk.pool + 2
    speaker.sends(media(call.final), count=3)
    assert len(hearer.hears(3)) == 3
    hearer.sends((HOST, port), count=3)
    assert len(speaker.hears(3)) == 3
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    call.ack_to(hold, call.answer_to(hold))
    call.hang_up()
    sbc.no_session_is_left()


def test_a_call_of_a_trunk_over_ipv6_reaches_its_pbx(sbc, over_ipv6, pbx_a):
    trunk = over_ipv6
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@[{HOST}]:{trunk.sip}").until_answered()
    invite, = pbx_a.requests("INVITE")
    assert invite.uri == "sip:4930105@pbx-a.local" and "::1" not in repr(invite)
    call.hang_up()
    sbc.no_session_is_left()
