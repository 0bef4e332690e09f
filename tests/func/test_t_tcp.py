"""
SIP over TCP: framing, reuse of connections, both transports in one call (RFC 3261 18).
"""
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
    assert (trunk.accepted, trunk.pings) == (2, 1)
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
    (b"SIP/2.0 513 ", 0, 70000), (b"", 17000, 0)], ids=["body", "headers"])
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
