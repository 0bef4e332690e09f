"""
Nothing of one side reaches another: no address, name, Call-ID, tag, branch or credential.

The check itself runs after every test (peers/crossing.py); here it is shown that it can fail, and
calls of all kinds are mixed: both tenants, both directions, answered, refused, cancelled, redirected,
challenged, with requests of all methods inside, transfers, and the headers that name somebody.
"""
import pytest

from peers.crossing import crossings
from peers.pbx import Taken
from peers.sip import Message
from peers.sipp import Answerer, Caller
from peers.wire import Stream, Wire


class Fake:
    def __init__(self, ip, sbc):
        self.ip, self.sbc, self.seen, self.sent = ip, (sbc, 5060), [], []
        self.domain = f"of-{ip}"


def message(*headers, start="INVITE sip:1@x SIP/2.0", body=""):
    return Message(start, [("Call-ID", "callid-of-b"), *headers], body)


@pytest.mark.parametrize("headers, body, found", [
    ([("To", "<sip:1@x>")], "", []),
    ([("Warning", '399 10.0.0.1 "no"')], "", ["10.0.0.1"]),
    ([("X", "10.0.0.12, 110.0.0.1, 10.0.0.1.9")], "", []),
    ([("Refer-To", "<sip:1@x?Replaces=callid-of-a%3Bto-tag%3Dtag-of-a>")], "",
     ["callid-of-a", "tag-of-a"]),
    ([], "c=IN IP4 10.0.0.1\r\n", ["10.0.0.1"]),
    ([("Via", "SIP/2.0/UDP y;branch=z9hG4bK-of-a")], "", ["z9hG4bK-of-a"]),
    ([("Proxy-Authorization", 'Digest username="u", response="abcdef99"')], "", ['"u"', "abcdef99"]),
    ([("From", "<sip:1@of-10.0.0.1>")], "", ["of-10.0.0.1"]),
    ([("X", "of-10.0.0.2")], "", []),
])
def test_the_check_finds_what_crossed(headers, body, found):
    a, b = Fake("10.0.0.1", "10.0.0.3"), Fake("10.0.0.2", "10.0.0.4")
    a.sent = [Message("INVITE sip:x SIP/2.0", [
        ("Call-ID", "callid-of-a"), ("From", "<sip:a@x>;tag=tag-of-a"),
        ("Via", "SIP/2.0/UDP x;branch=z9hG4bK-of-a")])]
    a.seen = [Message("INVITE sip:x SIP/2.0", [
        ("Call-ID", "other-of-a"), ("Authorization", 'Digest username="u", response="abcdef99"')])]
    b.seen = [message(*headers, body=body)]
    lines = crossings([a, b], ["of-10.0.0.1"])
    assert {line.split(": ", 1)[1].split(" (")[0] for line in lines} == set(found)


def test_one_call_id_for_both_sides_would_be_found():
    a, b = Fake("10.0.0.1", "10.0.0.3"), Fake("10.0.0.2", "10.0.0.4")
    a.sent = [message()]
    b.seen = [message()]
    assert crossings([a, b], [])


# --- the mix ------------------------------------------------------------------

NAMING = [("Diversion", "<sip:4930101@{domain}>;reason=unconditional, <sip:1@{ip}>"),
          ("History-Info", "<sip:4930101@{domain}?Reason=SIP%3Bcause%3D302>;index=1,"
                           "<sip:4930100@{own}:5060>;index=1.1"),
          ("P-Asserted-Identity", '"A" <sip:4930100@{domain}>'),
          ("P-Preferred-Identity", "<sip:4930100@{ip}>"),
          ("Referred-By", "<sip:4930100@{domain}>"),
          ("In-Reply-To", "{call_id}"),
          ("Target-Dialog", "{call_id};local-tag=mytag-1;remote-tag=mytag-2"),
          ("Record-Route", "<sip:{ip};lr>"), ("Path", "<sip:{ip};lr>"),
          ("Service-Route", "<sip:{ip};lr>"), ("Proxy-Require", "x-{domain}"),
          ("Organization", "{domain}"), ("User-Agent", "PBX at {ip}"),
          ("Warning", '399 {ip} "not good"'), ("Security-Client", "tls;q=0.1"),
          ("Supported", "gruu, timer, path, outbound"),
          ("Authentication-Info", 'rspauth="0123456789abcdef"')]


def naming(peer, **fields):
    """Headers in which a peer names itself in each way there is"""
    values = dict(ip=peer.ip, own=peer.sbc[0], domain=getattr(peer, "domain", "a.trunk.example"),
                  call_id="elsewhere-of-" + peer.ip.replace(".", "-"))
    values.update(fields)
    return [(name, value.format(**values)) for name, value in NAMING]


def part(kind, text):
    return f"--cut\r\nContent-Type: {kind}\r\n\r\n{text}\r\n"


def fragment(peer):
    return (f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {peer.ip};branch=z9hG4bKfragment\r\n"
            f"Contact: <sip:x@{peer.ip}>\r\nRecord-Route: <sip:{peer.ip};lr>\r\n")


def answers_with_names(peer):
    """Every answer of this peer names it in each way there is"""
    reply = peer.reply

    def named(request, code, **fields):
        skip = ("Record-Route",) if request.method == "INVITE" else ()
        fields["headers"] = list(fields.get("headers", ())) + [
            h for h in naming(peer) if code > 100 and h[0] not in skip and request.method != "REGISTER"]
        return reply(request, code, **fields)

    peer.reply = named


def talks(call, taken):
    """Requests of all methods inside a call, from both ends"""
    pbx, other = call.pbx, taken.peer
    hold = call.within_dialog("INVITE", pbx.sdp(sendrecv="sendonly"), headers=naming(pbx))
    call.ack_to(hold, call.answer_to(hold))
    for side, ask in ((pbx, call.within_dialog), (other, taken.send)):
        wait = call.answer_to if side is pbx else taken.answer_to
        for method in ("INFO", "MESSAGE", "OPTIONS", "UPDATE"):
            assert wait(ask(method, headers=naming(side))).status == 200
        assert wait(ask("REFER", headers=naming(side) + [
            ("Refer-To", f"<sip:4930105@{side.ip}>")])).status == 200
        notify = ask("NOTIFY", fragment(side), headers=naming(side) + [
            ("Event", "refer"), ("Subscription-State", f"active"),
            ("Content-Type", "message/sipfrag")])
        assert wait(notify).status == 200


@pytest.fixture
def busy(sbc, trunk, pbx_a, pbx_b):
    for peer in (trunk, pbx_a, pbx_b):
        answers_with_names(peer)
    sbc.start().registered()
    return sbc


def test_calls_of_both_tenants_in_both_directions(busy, trunk, pbx_a, pbx_b):
    for pbx, letter in ((pbx_a, "a"), (pbx_b, "b")):
        call = pbx.calls("0301234", headers=naming(pbx)).until_answered()
        talks(call, Taken(trunk, trunk.invites()[-1]))
        call.hang_up()
        call = trunk.calls(f"sip:{letter}-4930105@{busy.ip(1)}", headers=naming(
            trunk, domain=f"{letter}.trunk.example")).until_answered()
        talks(call, pbx.takes())
        call.hang_up()
    busy.no_session_is_left()
    assert {g[1] for g in trunk.good if g[0] == "INVITE"} == {"a1", "b1"}


def test_challenges_inside_the_calls_of_two_tenants_at_once(busy, trunk, pbx_a, pbx_b):
    calls = [pbx.calls("0301234").until_answered() for pbx in (pbx_a, pbx_b)]
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.one_nonce_each = True
    for call in calls:
        for method in ("INFO", "MESSAGE", "UPDATE", "OPTIONS"):
            assert call.answer_to(call.within_dialog(method)).status == 200
    for call in calls:
        call.hang_up()
    busy.no_session_is_left()


@pytest.mark.parametrize("code", [302, 380, 401, 403, 404, 407, 415, 420, 484, 486, 488, 500, 503, 603])
def test_failures_of_the_trunk(busy, trunk, pbx_a, code):
    trunk.invite_answer = lambda invite: trunk.reply(invite, code, headers=[
        ("Contact", f"<sip:elsewhere@{trunk.ip}:5060>"),
        ("Unsupported", "x"), ("Reason", f'SIP;cause={code};text="as told"')]) and True
    assert pbx_a.calls("0301234", headers=naming(pbx_a)).until_refused().status == code


@pytest.mark.parametrize("code", [302, 401, 404, 407, 486, 500, 603])
def test_failures_of_the_pbx(busy, trunk, pbx_a, code):
    pbx_a.answers = [code]
    final = trunk.calls(f"sip:a-4930105@{busy.ip(1)}", headers=naming(trunk)).until_refused()
    assert final.status == code


def test_calls_that_are_given_up_while_they_ring(busy, trunk, pbx_a):
    trunk.answers, pbx_a.answers = [183], [180]
    call = pbx_a.calls("0301234", headers=naming(pbx_a))
    call.answer(183)
    call.cancel(reason='SIP;cause=200;text="elsewhere"')
    assert call.until_refused().status == 487
    call = trunk.calls(f"sip:a-4930105@{busy.ip(1)}", headers=naming(trunk))
    call.answer(180)
    call.cancel()
    assert call.until_refused().status == 487
    busy.no_session_is_left()


def test_a_call_that_replaces_another_and_a_refer_that_names_it(busy, trunk, pbx_a):
    call = pbx_a.calls("0301234").until_answered()
    mine = f"{call.invite.call_id};to-tag={call.final.tag('To')};from-tag={call.final.tag('From')}"
    theirs = f"{call.invite.call_id};local-tag={call.final.tag('From')};" \
             f"remote-tag={call.final.tag('To')}"
    second = pbx_a.calls("0301234", headers=[
        ("Replaces", mine), ("In-Reply-To", call.invite.call_id),
        ("Target-Dialog", theirs)]).until_answered()
    escaped = mine.replace(";", "%3B").replace("=", "%3D")
    for headers in ([("Refer-To", f"<sip:0301234@{busy.ip(2)}?Replaces={escaped}&Subject=x>")],
                    [("Refer-To", f"<sip:0301234@{busy.ip(2)}?Call-ID={call.invite.call_id}"
                                  f"&From=%3Csip%3A4930100%40{pbx_a.ip}%3E"
                                  f"&Referred-By=%3Csip%3A4930100%40pbx-a.local%3E>")],
                    [("Refer-To", f"<sip:4930101@{pbx_a.ip}>"), ("Target-Dialog", theirs)]):
        second.answer_to(second.within_dialog("REFER", headers=headers))
    second.hang_up()
    call.hang_up()
    busy.no_session_is_left()


@pytest.mark.parametrize("kind", ["mixed", "related", "alternative"])
def test_bodies_of_several_parts(busy, trunk, pbx_a, kind):
    body = (part("application/sdp", pbx_a.sdp()) + part("application/x-own", "own bytes") +
            part("message/sipfrag", fragment(pbx_a)) + "--cut--\r\n")
    call = pbx_a.calls("0301234", body=body, ctype=f"multipart/{kind};boundary=cut").until_answered()
    for invite in trunk.invites():
        assert "own bytes" in invite.body and invite.get("Content-Type").startswith("multipart/")
    call.hang_up()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_the_wire_hears_those_who_keep_no_messages(sbc, peers, tmp_path, tcp):
    """... or the check after the test has nothing to look at"""
    for realm, agent in [("trunk", "trunk.example"), ("pbx-a", "pbx-a.example")] if tcp else []:
        interface = next(i for i in sbc.element("sip-interface") if i["realm-id"] == realm)
        interface["sip-ports"][0]["transport-protocol"] = "TCP"
        sbc.element("session-agent", agent)["transport-method"] = "DynamicTCP"
    wire = Wire(sbc.ip(n) for n in (1, 2, 3))
    if wire.reason:
        pytest.skip("no right to listen here: " + wire.reason)
    sbc.element("surrogate-agent").clear()
    peers(Answerer, tmp_path, sbc.ip(11), tcp=tcp)
    sbc.start()
    caller = peers(Caller, tmp_path, sbc.ip(12), sbc.ip(2), "4930100", "pbx-a.local", ["0301234"], 3, 10, 100,
                   tcp=tcp)
    assert caller.wait(20) == 0
    sbc.no_session_is_left()
    wire.close()
    assert wire.is_whole()
    ends = {(end.ip, end.sbc[0]): end for end in wire.peers([])}
    assert set(ends) == {(sbc.ip(11), sbc.ip(1)), (sbc.ip(12), sbc.ip(2))}
    pbx, carrier = ends[(sbc.ip(12), sbc.ip(2))], ends[(sbc.ip(11), sbc.ip(1))]
    assert [m.method for m in carrier.seen if m.status is None].count("INVITE") == 3
    assert [m.status for m in pbx.seen if m.method == "INVITE"].count(200) == 3
    assert not crossings(list(ends.values()), ["pbx-a.local"])
    carrier.seen[0].set("X-Crossed", pbx.sent[0].call_id)
    assert crossings(list(ends.values()), ["pbx-a.local"])


def test_a_stream_is_heard_whatever_its_segments():
    """Out of order, twice, overlapping, cut anywhere, beyond the end of the numbers"""
    texts = [b"OPTIONS sip:a@b SIP/2.0\r\nCSeq: 1 OPTIONS\r\nContent-Length: 4\r\n\r\nbody",
             b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n"]
    data = texts[0] + b"\r\n\r\n" + texts[1] + texts[0]
    begin = 2**32 - 50
    for step in (1, 7, 40, len(data)):
        stream, heard = Stream(begin), []
        pieces = [(n, data[n:n + step + 3]) for n in range(0, len(data), step)]
        for at, piece in [pair for two in zip(pieces[1::2], pieces[::2]) for pair in two] + pieces:
            heard += stream.take((begin + at) % 2**32, piece)
        assert heard == [texts[0], texts[1], texts[0]] and stream.is_whole()
    stream = Stream(0)
    assert stream.take(10, texts[0][10:]) == [] and not stream.is_whole()
