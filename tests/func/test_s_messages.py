"""
What a message must be like before anything is done with it (behaviour.md 1.1, 1.2).

- Each finding of the table has its answer, which names the header and repeats nothing that cannot be read.
- What cannot be answered meets silence; the next call of the same PBX is served.
- A refusal is counted under its step, and nothing of it reaches the trunk.
"""
import collections
import re

from peers.sip import token


class Raw:
    """An OPTIONS (or INVITE) of the PBX whose bytes a test may change, and what comes back"""

    def __init__(self, sbc, pbx, method="OPTIONS", uri=None):
        self.pbx = pbx
        uri = uri or f"sip:{sbc.ip(2)}"
        self.message = pbx.request(method, uri, f"<{uri}>")
        self.call_id = self.message.call_id

    def sends(self, change=lambda data: data):
        self.since = len(self.pbx.seen)
        self.pbx.write(change(self.message.bytes()), self.pbx.sbc)
        return self

    def answer(self):
        return self.pbx.wait(lambda m: m.status, 2.0, self.since)

    def meets_silence(self, sbc, case):
        """A good request behind it is answered, so an answer would be here"""
        good = Raw(sbc, self.pbx)
        good.sends()
        self.pbx.wait(lambda m: m.status == 200 and m.call_id == good.call_id, 2.0)
        assert not [m for m in self.pbx.seen[self.since:] if m.status and m.call_id != good.call_id], case


def line(name, value):
    """Replace a header by this line, or by nothing"""
    def change(data):
        return re.sub(rb"\r\n" + name.encode() + rb": [^\r]*", b"\r\n" + value if value else b"",
                      data, count=1)
    return change


def goes_on(sbc, trunk, pbx_a):
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()


REFUSED = {
    "another method in CSeq": (line("CSeq", b"CSeq: 1 INVITE"), 400, "CSeq"),
    "To twice": (line("To", b"To: <sip:x@y>\r\nTo: <sip:z@y>"), 400, "To"),
    "CSeq twice": (line("CSeq", b"CSeq: 1 OPTIONS\r\nCSeq: 2 OPTIONS"), 400, "CSeq"),
    "Content-Length beyond the datagram": (line("Content-Length", b"Content-Length: 7"), 400,
                                           "Content-Length"),
    "two lengths": (line("Content-Length", b"Content-Length: 0\r\nContent-Length: 1"), 400,
                    "Content-Length"),
    "length of letters": (line("Content-Length", b"Content-Length: many"), 400, "Content-Length"),
    "NUL in a header": (line("Contact", b"Contact: <sip:a\0b@c>"), 400, ""),
    "bare LF in a header": (line("Contact", b"Subject: a\nb"), 400, ""),
    "bare CR in a header": (line("Contact", b"Subject: a\rb"), 400, ""),
    "another version": (lambda data: data.replace(b" SIP/2.0\r\n", b" SIP/3.0\r\n", 1), 505, ""),
    "another scheme": (lambda data: re.sub(rb"sip:\S+", b"http://x/", data, count=1), 416, ""),
    "no method we know": (lambda data: data.replace(b"OPTIONS", b"X-WHAT"), 501, ""),
    "257 headers": (line("Contact", b"\r\n".join(b"X-%d: y" % n for n in range(257))), 400, ""),
    "headers of 16385 bytes": (line("Contact", b"X: " + b"y" * 16384), 400, ""),
    "an option that nobody knows": (line("Contact", b"Require: path, what-ever"), 420, ""),
    "a BYE without call": (lambda data: data.replace(b"OPTIONS", b"BYE"), 481, ""),
}


def test_what_is_wrong_is_answered_with_its_code_and_the_name_of_the_header(sbc, trunk, pbx_a):
    sbc.start().registered()
    seen = len(trunk.seen)
    for case, (change, code, header) in REFUSED.items():
        answer = Raw(sbc, pbx_a).sends(change).answer()
        assert answer.status == code, (case, answer)
        assert answer.tag("To"), (case, answer)  # add-error-to-tag is always on
        assert header.lower() in answer.start.lower(), (case, answer)
        assert answer.all("Unsupported") == (["what-ever"] if code == 420 else []), case
        # Nothing of what could not be read is given back
        assert not re.search("X-255|yyyy|\0", repr(answer)), (case, answer)
    rows = re.findall(r"(?m)^check-message (\d{3}) +(\d+)", sbc.acli("show refusals"))
    assert {int(code): int(n) for code, n in rows} == collections.Counter(code for _, code, _ in REFUSED.values())
    assert len(trunk.seen) == seen
    goes_on(sbc, trunk, pbx_a)


SILENCE = {
    "no From": line("From", b""), "no To": line("To", b""), "no Call-ID": line("Call-ID", b""),
    "no CSeq": line("CSeq", b""), "no Via": line("Via", b""),
    "CSeq without number": line("CSeq", b"CSeq: OPTIONS"),
    "CSeq above 2^31": line("CSeq", b"CSeq: 2147483648 OPTIONS"),
    "From unreadable": line("From", b'From: "x <sip:y@z>;tag=1'),
    "Via unreadable": line("Via", b"Via: nonsense"),
    "an answer to nothing of ours": lambda data: re.sub(rb"^[^\r]*", b"SIP/2.0 200 OK", data),
    "ACK for no call": lambda data: data.replace(b"OPTIONS", b"ACK"),
    "ACK that is broken": lambda data: line("CSeq", b"CSeq: 1 BYE")(data.replace(b"OPTIONS", b"ACK")),
    "half a message": lambda data: data[:60],
}


def test_what_cannot_be_answered_meets_silence(sbc, trunk, pbx_a):
    sbc.start().registered()
    seen = len(trunk.seen)
    for case, change in SILENCE.items():
        Raw(sbc, pbx_a).sends(change).meets_silence(sbc, case)
    assert len(trunk.seen) == seen
    goes_on(sbc, trunk, pbx_a)


def test_what_stands_behind_the_content_length_is_cut_off(sbc, trunk, pbx_a):
    sbc.start().registered()
    serve = pbx_a.write
    pbx_a.write = lambda data, to: serve(data + b"and more\r\n" if data.startswith(b"INVITE")
                                         else data, to)
    call = pbx_a.calls("0301234").until_answered()
    assert all("and more" not in m.body for m in trunk.invites())
    call.hang_up()


def test_a_message_above_sip_message_len_is_513(sbc, trunk, pbx_a):
    sbc.element("sip-config")["sip-message-len"] = "2048"
    sbc.start().registered()
    long = Raw(sbc, pbx_a)
    long.message.body = "x" * 2048
    assert long.sends().answer().status == 513
    goes_on(sbc, trunk, pbx_a)


def test_an_option_of_a_call_is_for_the_called_side_to_refuse(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.invite_answer = lambda request: trunk.reply(
        request, 420, headers=[("Unsupported", "what-ever")])
    refused = pbx_a.calls("0301234", headers=[("Require", "what-ever")]).until_refused()
    assert refused.status == 420 and refused.all("Unsupported") == ["what-ever"]
    assert trunk.invites()[0].all("Require") == ["what-ever"]


def test_without_max_forwards_70_is_meant(sbc, trunk, pbx_a):
    sbc.start().registered()
    write = pbx_a.write
    pbx_a.write = lambda data, to: write(data.replace(b"Max-Forwards: 70\r\n", b""), to)
    call = pbx_a.calls("0301234").until_answered()
    assert {m.get("Max-Forwards") for m in trunk.invites()} == {"69"}
    call.hang_up()


def test_options_with_max_forwards_0_are_answered(sbc, trunk, pbx_a):
    sbc.start().registered()
    ping = Raw(sbc, pbx_a)
    ping.message.set("Max-Forwards", "0")
    assert ping.sends().answer().status == 200


def test_an_answer_goes_to_where_the_request_came_from(sbc, trunk, pbx_a):
    """RFC 3581: not to the address that the Via names"""
    sbc.start().registered()
    ping = Raw(sbc, pbx_a)
    ping.message.set("Via", f"SIP/2.0/UDP 192.0.2.1:9;branch=z9hG4bK{token()};rport")
    via = ping.sends().answer().get("Via")
    assert f"received={sbc.ip(12)}" in via and "rport=5060" in via


def test_a_stranger_is_refused_by_its_step(sbc, trunk, peers):
    from peers.pbx import Pbx
    sbc.start().registered()
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local")
    assert stranger.calls("0301234").until_refused().status == 403
    assert re.search(r"name-source 403 +1\b", sbc.acli("show refusals"))
