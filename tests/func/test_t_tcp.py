"""
SIP over TCP: framing, reuse of connections, both transports in one call (RFC 3261 18).
"""
import re
import os
import socket
import time

import pytest
from peers.sip import Message
from peers.stream import TcpPbx, TcpTrunk


@pytest.fixture
def over_tcp(sbc):
    """The trunk's side speaks TCP: sip-port, session-agent"""
    trunk = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "trunk")
    trunk["sip-ports"][0]["transport-protocol"] = "TCP"
    sbc.element("session-agent", "trunk.example")["transport-method"] = "DynamicTCP"
    return sbc


def test_registrations_and_a_call_share_one_connection_to_the_trunk(over_tcp, peers, pbx_a):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert trunk.invites()[0].get("Via").startswith("SIP/2.0/TCP ")
    assert "transport=tcp" in trunk.invites()[0].get("Contact").lower()
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert trunk.accepted == 1
    sbc.no_session_is_left()


def test_a_message_may_come_byte_by_byte(over_tcp, peers, pbx_a):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    trunk.chunk = 50
    sbc.start().registered(within=20)
    trunk.chunk = 7
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_lost_connection_is_opened_again_for_the_bye(over_tcp, peers, pbx_a):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    for connection in list(trunk.connections.values()):
        connection.shutdown(socket.SHUT_WR)
    # The SBC closes its half too: a BYE on the dying connection would be lost, as TCP has it
    limit = time.monotonic() + 3
    while trunk.connections and time.monotonic() < limit:
        time.sleep(0.01)
    assert not trunk.connections
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert trunk.accepted == 2


def test_a_lost_connection_with_bindings_is_opened_again_and_all_register_over_it(over_tcp, peers):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    before = len(trunk.requests("REGISTER"))
    for connection in list(trunk.connections.values()):
        connection.shutdown(socket.SHUT_RDWR)
    limit = time.monotonic() + 5
    while len(trunk.requests("REGISTER")) < before + 20 and time.monotonic() < limit:
        time.sleep(0.02)
    again = trunk.requests("REGISTER")[before:]
    assert len({m.get("To") for m in again}) == 20
    assert all(m.get("Expires") == "600" for m in again)
    assert trunk.accepted == 2
    assert 1 <= trunk.pings <= int(os.environ.get("SBC_WORKERS", 1))  # each worker asks for its own
    sbc.waits("show registration", r"Surrogate Regs +20\b")


def test_a_pbx_calls_over_tcp(sbc, peers, trunk):
    pbx = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-a")
    pbx["sip-ports"][0]["transport-protocol"] = "TCP"
    sbc.element("session-agent", "pbx-a.example")["transport-method"] = "DynamicTCP"
    pbx_a = peers(TcpPbx, sbc.ip(12), sbc.ip(2), "pbx-a.local")
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    call.hang_up()
    # And a call to it
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert pbx_a.requests("INVITE")[0].uri.startswith("sip:4930105@pbx-a.local")
    call.hang_up()
    sbc.no_session_is_left()


def test_a_stream_that_is_no_sip_is_closed_and_others_go_on(over_tcp, peers, pbx_a):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    stranger = socket.create_connection((sbc.ip(1), 5060), 2, (sbc.ip(11), 0))
    stranger.settimeout(3)
    stranger.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
    with pytest.raises((ConnectionError, AssertionError)):
        while stranger.recv(4096):
            pass
        raise AssertionError("closed")
    pbx_a.calls("0301234").until_answered().hang_up()


@pytest.mark.parametrize("answer, headers, length", [
    (b"SIP/2.0 513 ", 0, 70000), (b"SIP/2.0 400 ", 17000, 0), (b"SIP/2.0 400 ", 300000, 0)],
    ids=["body", "headers", "endless headers"])
def test_a_message_too_long_for_the_stream_closes_it_and_is_answered_where_it_can_be_read(
        over_tcp, peers, pbx_a, answer, headers, length):
    """Behaviour.md 1.2: after it nobody knows where the next message begins"""
    sbc = over_tcp
    peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    with socket.create_connection((sbc.ip(1), 5060), 2, (sbc.ip(11), 0)) as sender:
        sender.settimeout(3)
        sender.sendall(b"OPTIONS sip:%b SIP/2.0\r\nVia: SIP/2.0/TCP %b;branch=z9hG4bKlong\r\n"
                       b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: long\r\n"
                       b"CSeq: 1 OPTIONS\r\n%bContent-Length: %d\r\n\r\n"
                       % (sbc.ip(1).encode(), sbc.ip(11).encode(),
                          b"X: %b\r\n" % (b"y" * headers), length))
        heard = b""
        while True:
            more = sender.recv(65536)
            if not more:
                break
            heard += more
    assert heard[:len(answer) or None] == answer
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_ping_of_two_line_ends_is_answered_with_one(over_tcp, peers):
    sbc = over_tcp
    peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    connection = socket.create_connection((sbc.ip(1), 5060), 2, (sbc.ip(11), 0))
    connection.settimeout(3)
    connection.sendall(b"\r\n\r\n")
    assert connection.recv(10) == b"\r\n"
    options = Message("OPTIONS sip:%s SIP/2.0" % sbc.ip(1), [
        ("Via", f"SIP/2.0/TCP {sbc.ip(11)};branch=z9hG4bKping"), ("From", "<sip:a@b>;tag=1"),
        ("To", f"<sip:{sbc.ip(1)}>"), ("Call-ID", "x"), ("CSeq", "1 OPTIONS"), ("Max-Forwards", "70")])
    connection.sendall(options.bytes() + options.bytes().replace(b"ping", b"pong").replace(
        b"Call-ID: x", b"Call-ID: y"))
    answers = b""
    while answers.count(b"SIP/2.0 200") < 2:
        answers += connection.recv(4096)
    connection.close()


# --- Requests too long for a datagram (RFC 3261 18.1.1, sip-config max-udp-length)


LONG = ("Subject", "x" * 1500)


@pytest.fixture
def both(sbc, peers):
    """The trunk's side has a sip-port for each transport; the session-agent is asked by UDP"""
    realm = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "trunk")
    udp = realm["sip-ports"][0]
    realm["sip-ports"].append(dict(udp, **{"transport-protocol": "TCP"}))
    return sbc


@pytest.fixture
def datagrams(both, trunk):
    trunk.invite_challenge = None
    return trunk


def sent_to(peer, method):
    return [(m.get("Via").split()[0], len(m.bytes()) > 1300) for m in peer.requests(method)]


def test_a_large_call_goes_by_tcp_and_what_is_short_of_it_by_udp(both, datagrams, peers, pbx_a):
    sbc, udp = both, datagrams
    tcp = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[LONG]).until_answered()
    assert sent_to(tcp, "INVITE") == [("SIP/2.0/TCP", True), ("SIP/2.0/TCP", True)]
    assert call.statuses == [100, 180, 200] and not udp.invites()
    # the challenge was answered on the same connection; the nonce is that of UDP, too
    assert tcp.accepted == 1 and [g[:2] for g in tcp.good] == [("INVITE", "a1")]
    assert "transport" not in tcp.invites()[0].get("Contact")
    udp.wait(lambda m: m.method == "ACK")
    info = call.within_dialog("INFO", "y" * 1500, ctype="text/plain")
    assert call.answer_to(info).status == 200
    assert sent_to(tcp, "INFO") == [("SIP/2.0/TCP", True)]
    call.hang_up()
    udp.wait(lambda m: m.method == "BYE")
    assert sent_to(udp, "BYE") == [("SIP/2.0/UDP", False)] and not tcp.requests("BYE")
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REGISTER"])
def test_what_tcp_refuses_leaves_by_udp(both, datagrams, pbx_a, method):
    """Nobody listens at the trunk's TCP port"""
    sbc, udp = both, datagrams
    if method == "REGISTER":
        sbc.element("sip-config")["options"] = "max-udp-length=100"
    sbc.start().registered()
    if method == "INVITE":
        call = pbx_a.calls("0301234", headers=[LONG]).until_answered()
        call.hang_up()
    elif method == "MESSAGE":
        message = pbx_a.request("MESSAGE", f"sip:0301234@{sbc.ip(2)}", f"<sip:0301234@{sbc.ip(2)}>", [LONG],
                                "hello", from_="<sip:4930100@pbx-a.local>", ctype="text/plain")
        pbx_a.send(message, pbx_a.sbc)
        pbx_a.wait(lambda m: m.status == 200 and m.call_id == message.call_id)
    assert {via for via, _ in sent_to(udp, method)} == {"SIP/2.0/UDP"}
    rows = sbc.acli("show sipd transactions")
    by_tcp = int(re.search(r"Large By TCP[ -]+(\d+)", rows).group(1))
    back = int(re.search(r"Large Back To UDP[ -]+(\d+)", rows).group(1))
    assert by_tcp == back >= 1, rows


@pytest.mark.parametrize("limit, transport", [("0", "UDP"), ("4000", "UDP"), ("1000", "TCP")])
def test_max_udp_length_of_the_sip_interface_counts(both, datagrams, peers, pbx_a, limit, transport):
    sbc, udp = both, datagrams
    tcp = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    tcp.invite_challenge = None
    sbc.element("sip-config")["options"] = "max-udp-length=1400"
    realm = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "trunk")
    realm["options"] = f"max-udp-length={limit}"
    sbc.start().registered()
    pbx_a.calls("0301234", headers=[("Subject", "x" * 500)]).until_answered().hang_up()
    peer = tcp if transport == "TCP" else udp
    assert [m.get("Via").split()[0] for m in peer.invites()] == [f"SIP/2.0/{transport}"]


def test_registrations_that_are_large_are_challenged_and_answered_by_tcp(both, peers, pbx_a):
    sbc = both
    tcp = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.element("sip-config")["options"] = "max-udp-length=200"
    sbc.start().registered()
    assert {via for via, _ in sent_to(tcp, "REGISTER")} == {"SIP/2.0/TCP"}
    assert {user for method, user, _ in tcp.good if method == "REGISTER"} == {"reg-a", "reg-b"}
    # One nonce of UDP serves all the AoRs of an agent, whichever way they went
    assert len([m for m in tcp.requests("REGISTER") if not tcp.credentials(m)]) < 20
    pbx_a.calls("0301234").until_answered().hang_up()


# --- Connections of session-agents (configuration.md 2.9)


@pytest.fixture
def tcp_pbx(sbc, peers):
    realm = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-a")
    realm["sip-ports"][0]["transport-protocol"] = "TCP"
    sbc.element("session-agent", "pbx-a.example")["transport-method"] = "DynamicTCP"
    return peers(TcpPbx, sbc.ip(12), sbc.ip(2), "pbx-a.local")


@pytest.mark.parametrize("reuse, opened", [("tcp", 0), ("none", 1)])
def test_a_connection_that_the_pbx_opened_is_used_where_that_is_wanted(sbc, tcp_pbx, trunk, reuse, opened):
    trunk.invite_challenge = None
    sbc.element("session-agent", "pbx-a.example")["reuse-connections"] = reuse
    sbc.start().registered()
    call = tcp_pbx.calls("0301234").until_answered()
    other = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert tcp_pbx.accepted == opened
    call.hang_up()
    other.hang_up()
    sbc.no_session_is_left()


def test_a_connection_that_the_pbx_closed_is_not_used(sbc, tcp_pbx, trunk):
    trunk.invite_challenge = None
    sbc.start().registered()
    tcp_pbx.calls("0301234").until_answered().hang_up()
    for connection in list(tcp_pbx.connections.values()):
        connection.shutdown(socket.SHUT_RDWR)
    limit = time.monotonic() + 3
    while tcp_pbx.connections:
        assert time.monotonic() < limit
        time.sleep(0.01)
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    assert tcp_pbx.accepted == 1


def probes(sbc):
    """Connections of the trunk's sip-port with a keep-alive timer, as the kernel says"""
    mine = socket.inet_aton(sbc.ip(1))[::-1].hex().upper()
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return [r for r in rows if r[1].startswith(mine) and r[3] == "01" and r[5].startswith("02:")]


@pytest.mark.parametrize("interface, agent, wanted", [
    ("none", "none", 0), ("enabled", "none", 1), ("disabled", "none", 0), ("disabled", "enabled", 1),
    ("enabled", "disabled", 0)])
def test_probes_are_as_the_session_agent_wants_else_the_sip_interface(over_tcp, peers, interface, agent, wanted):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    sbc.element("sip-interface", "trunk")["tcp-keepalive"] = interface
    sbc.element("session-agent", "trunk.example")["tcp-keepalive"] = agent
    sbc.start().registered()
    assert trunk.accepted == 1 and len(probes(sbc)) == wanted


def test_a_static_connection_is_opened_at_once_and_again_when_it_is_lost(over_tcp, peers, pbx_a):
    sbc = over_tcp
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    trunk.invite_challenge = None
    sbc.element("surrogate-agent").clear()
    sbc.element("sip-config")["inactive-dynamic-conn"] = "1"
    sbc.element("session-agent", "trunk.example").update(
        {"transport-method": "StaticTCP", "tcp-reconn-interval": "2", "ttr-no-response": "1"})
    sbc.start()

    def open_again(count, within=8.0):
        limit = time.monotonic() + within
        while trunk.accepted < count or len(trunk.connections) != 1:
            assert time.monotonic() < limit
            time.sleep(0.02)
    open_again(1)
    time.sleep(1.5)  # longer than an idle one lives
    assert trunk.accepted == 1 and len(trunk.connections) == 1
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()    # the trunk has answered the BYE
    assert trunk.accepted == 1
    lost = time.monotonic()
    for connection in list(trunk.connections.values()):
        connection.shutdown(socket.SHUT_RDWR)
    open_again(2)
    assert time.monotonic() - lost > 1.5
    pbx_a.calls("0301235").until_answered().hang_up()
    assert trunk.accepted == 2


def test_who_cannot_be_connected_is_out_of_service_until_he_can(over_tcp, peers, pbx_a):
    sbc = over_tcp
    sbc.element("surrogate-agent").clear()
    sbc.element("session-agent", "trunk.example").update(
        {"transport-method": "StaticTCP", "tcp-reconn-interval": "2", "ttr-no-response": "1"})
    sbc.start()
    sbc.waits("show sipd agents", r"(?m)^trunk\.example\s+O\b")
    assert pbx_a.calls("0301234").until_refused().status == 503
    trunk = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))
    trunk.invite_challenge = None
    sbc.waits("show sipd agents", r"(?m)^trunk\.example\s+I\b", 8.0)
    limit = time.monotonic() + 4
    while not trunk.accepted:
        assert time.monotonic() < limit
        time.sleep(0.02)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert trunk.accepted == 1


def test_udp_and_tcp_means_tcp_where_udp_fails(both, peers, pbx_a):
    sbc = both
    sbc.element("session-agent", "trunk.example")["transport-method"] = "UDP+TCP"
    sbc.element("surrogate-agent").clear()
    tcp = peers(TcpTrunk, sbc.ip(11), sbc.ip(1))  # nobody is at its UDP port
    tcp.invite_challenge = None
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(tcp.invites()) == 1


def test_strangers_who_hold_connections_keep_no_known_peer_out(sbc, tcp_pbx, trunk):
    """More than all the places there are, each with a word so that it is not idle"""
    sbc.element("realm-config", "pbx-a")["access-control-trust-level"] = "medium"
    sbc.start().registered()
    flood = []
    try:
        for n in range(10200):
            s = socket.socket()
            s.bind((sbc.ip(99), 0))
            s.settimeout(2)
            s.connect((sbc.ip(2), 5060))
            flood.append(s)
            if n % 100 == 0:
                s.sendall(b"OPTIONS sip:x SIP/2.0\r\n")
        call = tcp_pbx.calls("0301234").until_answered()
        call.hang_up()
        sbc.no_session_is_left()
    finally:
        for s in flood:
            s.close()
