"""
The header table of behaviour.md 3.1, row by row, as the peers see it: requests and answers, outside
and inside the dialog, to the trunk and to the PBX.
"""
import pytest

from peers.pbx import Taken
from peers.sip import names

# header as sent; as it arrives (None: not at all)
ROWS = [
    # never copied; Record-Route makes the route of its own side, and is seen to in s_crossing
    ("Path", "<sip:9.9.9.9;lr>", None),
    ("Service-Route", "<sip:9.9.9.9;lr>", None), ("Proxy-Require", "privacy", None),
    ("Authentication-Info", 'rspauth="00"', None),
    ("Proxy-Authentication-Info", 'nextnonce="00"', None),
    # left out
    ("User-Agent", "theirs", None), ("Server", "theirs", None), ("Organization", "theirs", None),
    ("In-Reply-To", "abc@elsewhere", None), ("Target-Dialog", "a;local-tag=b;remote-tag=c", None),
    # less what the SBC does not relay
    ("Allow", "INVITE, ACK, BYE, FOO, CANCEL, UPDATE", "INVITE, ACK, BYE, CANCEL, UPDATE"),
    ("Supported", "timer, gruu, outbound, path, gin, sec-agree, join, x-own", "timer, x-own"),
    # the SBC's host, their text
    ("Warning", '399 their.host "said so"', '399 {local} "said so"'),
    # obeyed, and told to trusted peers
    ("Privacy", "id", "id"),
    # copied
    ("Reason", "Q.850;cause=16", "Q.850;cause=16"), ("Subject", "as is", "as is"),
    ("Date", "Sat, 13 Nov 2010 23:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 GMT"),
    ("Priority", "urgent", "urgent"), ("Alert-Info", "<http://x/y>", "<http://x/y>"),
    ("Call-Info", "<http://x/z>;purpose=icon", "<http://x/z>;purpose=icon"),
    ("User-to-User", "56a3;encoding=hex", "56a3;encoding=hex"), ("Accept", "application/sdp", "application/sdp"),
    ("Accept-Language", "de", "de"), ("Accept-Encoding", "gzip", "gzip"), ("Event", "x", "x"),
    ("Expires", "3600", "3600"), ("Info-Package", "x", "x"),
    ("X-Unknown", 'any "thing", at all;x=y', 'any "thing", at all;x=y'),
]
SENT = [(name, value) for name, value, _ in ROWS]


def arrived(message, local):
    for name, _, expected in ROWS:
        values = message.all(name)
        if expected is None:
            assert not values, (name, message)
        else:
            assert values == [expected.format(local=local)], (name, message)


def answers_with(peer, headers):
    reply = peer.reply

    def more(request, code, **fields):
        if code > 100 and request.method != "REGISTER":
            fields["headers"] = list(fields.get("headers", ())) + list(headers)
        return reply(request, code, **fields)

    peer.reply = more


def test_towards_the_trunk_and_back(sbc, trunk, pbx_a):
    answers_with(trunk, SENT)
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=SENT).until_answered()
    for invite in trunk.invites():
        arrived(invite, sbc.ip(1))
        assert invite.get("Max-Forwards") == "69"
    for code in (180, 200):
        arrived(next(m for m in pbx_a.responses(code)), sbc.ip(2))
    info = call.within_dialog("INFO", headers=SENT)
    arrived(call.answer_to(info), sbc.ip(2))
    arrived(trunk.requests("INFO")[0], sbc.ip(1))
    call.hang_up()


def test_towards_the_pbx_and_back(sbc, trunk, pbx_a):
    answers_with(pbx_a, SENT)
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}", headers=SENT).until_answered()
    arrived(pbx_a.requests("INVITE")[0], sbc.ip(2))
    arrived(call.final, sbc.ip(1))
    taken = pbx_a.takes()
    update = taken.send("UPDATE", headers=SENT)
    taken.answer_to(update)
    arrived(trunk.requests("UPDATE")[0], sbc.ip(1))
    call.hang_up()


@pytest.mark.parametrize("code", [404, 486, 503, 603])
def test_a_failure_on_its_way_back(sbc, trunk, pbx_a, code):
    trunk.invite_answer = lambda i: trunk.reply(i, code, headers=SENT, body="own bytes",
                                                ctype="application/x-own") and True
    sbc.start()
    final = pbx_a.calls("0301234").until_refused()
    arrived(final, sbc.ip(2))
    assert (final.body, final.get("Content-Type")) == ("own bytes", "application/x-own")


def test_a_challenge_header_passes_with_a_401_or_407_alone(sbc, trunk, pbx_a):
    headers = [("WWW-Authenticate", 'Digest realm="x", nonce="n"'),
               ("Proxy-Authenticate", 'Digest realm="y", nonce="n"')]
    sbc.start()
    for code in (401, 407, 486):
        trunk.invite_answer = lambda i: trunk.reply(i, code, headers=headers) and True
        final = pbx_a.calls("0301234").until_refused()
        assert final.status == code
        assert [h for h in final.headers if "Authenticate" in h[0]] == \
            (headers if code != 486 else [])


def test_user_agent_and_server_are_the_sbcs_own(sbc, trunk, pbx_a):
    sbc.element("sip-interface", "trunk")["user-agent"] = "Gate 7 (trunk)"
    sbc.element("sip-interface", "pbx-a")["user-agent"] = "Gate 7 (pbx)"
    answers_with(trunk, SENT)
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=SENT).until_answered()
    Taken(trunk, trunk.invites()[-1]).send("INFO")
    pbx_a.wait(lambda m: m.method == "INFO" and m.status is None)
    call.hang_up()
    sbc.no_session_is_left()
    for message in trunk.requests("REGISTER") + trunk.invites() + trunk.requests("BYE"):
        assert message.all("User-Agent") == ["Gate 7 (trunk)"] and not message.all("Server")
    for message in pbx_a.responses():
        assert message.all("Server") == ["Gate 7 (pbx)"] and not message.all("User-Agent"), message
    assert pbx_a.requests("INFO")[0].all("User-Agent") == ["Gate 7 (pbx)"]


def test_towards_an_untrusted_trunk_privacy_is_obeyed_and_ends(sbc, trunk, pbx_a):
    sbc.element("sip-interface", "trunk")["trust-mode"] = "agents-only"
    hidden = [("P-Asserted-Identity", "<sip:4930100@pbx-a.local>"), ("Privacy", "id")]
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=hidden).until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"), headers=hidden)
    call.ack_to(hold, call.answer_to(hold))
    for message in trunk.requests("INVITE"):
        assert not message.all("P-Asserted-Identity") and not message.all("Privacy"), message
    call.hang_up()


@pytest.mark.parametrize("trusted", [True, False])
def test_pai_strip_tells_the_trusted_agent_alone(sbc, trunk, pbx_a, trusted):
    sbc.element("realm-config", "trunk")["pai-strip"] = "enabled"
    sbc.element("session-agent", "trunk.example")["trust-me"] = "enabled" if trusted else "disabled"
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[
        ("P-Asserted-Identity", "<sip:4930100@pbx-a.local>")]).until_answered()
    assert [m.all("P-Asserted-Identity") for m in trunk.invites()] == \
        2 * [["<sip:4930100@a.trunk.example>"] if trusted else []]
    call.hang_up()


def test_credentials_of_the_pbx_give_way_to_the_sbcs_for_the_same_realm(sbc, trunk, pbx_a):
    own = 'Digest username="own", realm="{}", nonce="n", uri="sip:x", response="' + "0" * 32 + '"'
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[
        ("Proxy-Authorization", own.format("trunk.example")),
        ("Proxy-Authorization", own.format("other.example")),
        ("Authorization", own.format("trunk.example"))]).until_answered()
    first, second = trunk.invites()
    assert len(first.all("Proxy-Authorization")) == 2
    assert sorted((g["realm"], g["username"]) for g in trunk.credentials(second)) == [
        ("other.example", "own"), ("trunk.example", "a1"), ("trunk.example", "own")]
    assert second.all("Authorization") == [own.format("trunk.example")]
    call.hang_up()


# --- bodies -------------------------------------------------------------------

@pytest.mark.parametrize("ctype, body", [
    ("application/dtmf-relay", "Signal=1\r\nDuration=100\r\n"), ("text/plain", "10.0.0.1 \u00e4"),
    ("application/x-own", "--b\r\nVia: stays\r\n")])
def test_other_bodies_are_copied_byte_by_byte(sbc, trunk, pbx_a, ctype, body):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    info = call.within_dialog("INFO", body, ctype=ctype)
    assert call.answer_to(info).status == 200
    seen = trunk.requests("INFO")[0]
    assert (seen.body, seen.get("Content-Type")) == (body, ctype)
    call.hang_up()


def test_sdp_that_is_not_of_the_session_does_not_cross(sbc, trunk, pbx_a):
    """An answer to OPTIONS may describe the sender's media: it is nobody's offer"""
    serve = trunk.serve
    trunk.serve = lambda r: trunk.reply(r, 200, body=trunk.sdp()) \
        if r.method in ("OPTIONS", "INFO") else serve(r)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    for method in ("OPTIONS", "INFO"):
        final = call.answer_to(call.within_dialog(method, pbx_a.sdp()))
        assert final.status == 200 and final.body == ""
        assert trunk.requests(method)[0].body == ""
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    final = call.answer_to(hold)
    assert final.status == 200
    call.ack_to(hold, final)
    call.hang_up()


def test_a_refused_info_leaves_an_open_offer_alone(sbc, trunk, pbx_a):
    serve, held = trunk.serve, []
    trunk.serve = lambda r: held.append(r) if r.method == "INVITE" and ";tag=" in r.get("To") \
        else serve(r)
    pbx_a.serve = lambda r: pbx_a.reply(r, 415)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    trunk.wait(lambda m: held and m is held[0])
    taken = Taken(trunk, trunk.invites()[-1])
    assert taken.answer_to(taken.send("INFO", pbx_a.sdp())).status == 415
    trunk.inside(held[0])
    final = call.answer_to(hold)
    assert final.status == 200 and f"c=IN IP4 {sbc.ip(2)}" in final.body
    call.ack_to(hold, final)
    call.hang_up()


def test_the_answer_of_several_parts_keeps_them(sbc, trunk, pbx_a):
    def answers(invite):
        if not trunk.proven(invite, trunk.invite_challenge):
            return False
        trunk.reply(invite, 200, tag=trunk.tag_of(invite), ctype="multipart/mixed;boundary=cut",
                    headers=[("Contact", f"<sip:carrier@{trunk.ip}>")],
                    body="--cut\r\nContent-Type: application/x-own\r\n\r\nown\r\n"
                         f"--cut\r\nContent-Type: application/sdp\r\n\r\n{trunk.sdp()}\r\n--cut--\r\n")
        return True

    trunk.invite_answer = answers
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    assert call.final.get("Content-Type") == "multipart/mixed;boundary=cut"
    assert "\r\n\r\nown\r\n--cut" in call.final.body
    assert f"c=IN IP4 {sbc.ip(2)}" in call.final.body
    assert not names(call.final, trunk.ip)
    call.hang_up()
