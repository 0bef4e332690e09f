"""
Nonces used again, and challenges without end (behaviour.md 6.3, 6.4).

- REGISTER and calls of one user share a nonce, or keep one for each header.
- Authentication-Info: nextnonce is used next, a wrong rspauth drops the nonce.
- auth-int covers the body of every method; names beyond ASCII travel as username*.
- No peer makes the SBC send one request more than six times, nor answer more than four realms.
"""
import re

import pytest

from peers.sip import parameters


def owner_answers(sbc):
    """Calls are answered with the account of the REGISTER (row 3a)"""
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")


def entries(sbc):
    return sbc.element("realm-config", "trunk")["auth-attributes"]


def given(trunk, request):
    return [(p["username"], p["nonce"], p.get("nc")) for p in trunk.credentials(request)]


def registers_again(sbc, trunk):
    """All AoRs of agent A once more; the REGISTERs that came"""
    before, good = len(trunk.registers()), len(trunk.good)
    sbc.acli("notify sipd register a.trunk.example 493010^ pbx-a")
    trunk.wait(lambda m: len(trunk.good) >= good + 10, within=6.0)
    sbc.registered()
    return trunk.registers()[before:]


# --- one account for REGISTER and calls ---------------------------------------

def test_register_and_invite_share_a_nonce_where_both_are_asked_with_401(sbc, trunk, pbx_a):
    owner_answers(sbc)
    trunk.invite_challenge.update(status=401)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert len(trunk.invites()) == 1
    user, nonce, nc = given(trunk, trunk.invites()[0])[0]
    assert user == "reg-a" and int(nc, 16) > 1
    assert nonce in {n for r in trunk.registers() for _, n, _ in given(trunk, r)}
    call.hang_up()


def test_401_for_register_and_407_for_calls_do_not_displace_each_other(sbc, trunk, pbx_a):
    owner_answers(sbc)
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    first = trunk.invites()
    # the nonce of the REGISTER is tried; the proxy wants one of its own, in its own header
    assert [bool(m.all("Authorization")) for m in first] == [True, False]
    assert [bool(m.all("Proxy-Authorization")) for m in first] == [False, True]
    for _ in range(3):
        again = registers_again(sbc, trunk)
        assert all(r.all("Authorization") and not r.all("Proxy-Authorization") for r in again)
        assert not [m for m in trunk.responses_sent(401) if m.time > again[0].time]
        count = len(trunk.invites())
        pbx_a.calls("0301234").until_answered().hang_up()
        assert len(trunk.invites()) == count + 1
        last = trunk.invites()[-1]
        assert last.all("Proxy-Authorization") and not last.all("Authorization")
    assert sbc.counter("show sipd authentication", "Nonce Once Targets") == 0


def test_a_registrar_that_wants_each_nonce_once_gets_none_ahead_after_three(sbc, trunk):
    trunk.one_nonce_each = True
    sbc.start().registered()
    again = registers_again(sbc, trunk)
    assert sbc.counter("show sipd authentication", "Nonce Once Targets") == 1
    # since the third refusal each REGISTER is asked first, and then answered
    tries = {}
    for request in again:
        tries.setdefault(request.call_id, []).append(bool(trunk.credentials(request)))
    assert all(t == [False, True] for t in tries.values()), tries
    assert sbc.counter("show sipd authentication", "Refused Twice") == 0


# --- Authentication-Info ------------------------------------------------------

@pytest.mark.parametrize("status, header", [(401, "Authentication-Info"),
                                            (407, "Proxy-Authentication-Info")])
def test_nextnonce_is_used_next_in_either_header(sbc, trunk, pbx_a, status, header):
    trunk.invite_challenge.update(status=status)
    nonce = "next" * 6

    def tells(invite):
        if not trunk.proven(invite, trunk.invite_challenge):
            return False
        trunk.reply(invite, 200, tag=trunk.tag_of(invite), body=trunk.sdp(), headers=[
            ("Contact", f"<sip:carrier@{trunk.ip}>"), (header, f'qop=auth, nextnonce="{nonce}"')])
        return True

    trunk.invite_answer = tells
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    info = call.within_dialog("INFO")
    call.answer_to(info)
    assert given(trunk, trunk.requests("INFO")[0]) == [("a1", nonce, "00000001")]
    # neither header says anything to the PBX
    for message in pbx_a.seen:
        assert nonce not in repr(message) and not message.all(header)
    assert sbc.counter("show sipd authentication", "Next Nonces") == 1
    call.hang_up()


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("right", [True, False])
def test_a_wrong_rspauth_drops_the_nonce_and_the_answer_still_counts(sbc, trunk, pbx_a, right, qop):
    import hashlib
    trunk.invite_challenge.update(qop=qop)

    def h(text):
        return hashlib.md5(text.encode()).hexdigest()

    def tells(invite):
        if not trunk.proven(invite, trunk.invite_challenge):
            return False
        p, body = parameters(invite.get("Proxy-Authorization")), trunk.sdp()
        ha1 = h(f"a1:trunk.example:{'secret-a1' if right else 'secret-b1'}")
        ha2 = h(f":{p['uri']}" + (f":{h(body)}" if qop == "auth-int" else ""))
        value = h(f"{ha1}:{p['nonce']}:{p['nc']}:{p['cnonce']}:{qop}:{ha2}")
        trunk.reply(invite, 200, tag=trunk.tag_of(invite), body=body, headers=[
            ("Contact", f"<sip:carrier@{trunk.ip}>"),
            ("Proxy-Authentication-Info", f'qop={qop}, rspauth="{value}", '
             f'cnonce="{p["cnonce"]}", nc={p["nc"]}')])
        return True

    trunk.invite_answer = tells
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    count = len(trunk.invites())
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(trunk.invites()) - count == (1 if right else 2)
    assert sbc.counter("show sipd authentication", "Wrong Rspauth") == (0 if right else 2)


# --- bodies and names ---------------------------------------------------------

@pytest.mark.parametrize("method, ctype, body", [
    ("INFO", "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
    ("MESSAGE", "text/plain", "h\u00e4llo"),
    ("NOTIFY", "message/sipfrag", "SIP/2.0 200 OK\r\n"),
    ("REFER", None, ""), ("UPDATE", "application/sdp", None), ("INVITE", "application/sdp", None),
    ("OPTIONS", None, ""), ("BYE", None, "")])
def test_auth_int_covers_the_body_as_sent_of_every_method(sbc, trunk, pbx_a, method, ctype, body):
    trunk.invite_challenge.update(qop="auth-int", algorithms=["SHA-256"])
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.nonces = {nonce: 1 << 32 for nonce in trunk.nonces}
    headers = {"REFER": [("Refer-To", "<sip:0305678@pbx-a.local>")],
               "NOTIFY": [("Event", "refer"), ("Subscription-State", "active")]}.get(method, [])
    request = call.within_dialog(method, pbx_a.sdp(sendrecv="sendonly") if body is None else body,
                                 headers=headers, **({"ctype": ctype} if ctype else {}))
    final = call.answer_to(request)
    assert final.status == 200
    if method == "INVITE":
        call.ack_to(request, final)
    trunk.wait(lambda m: any(g[:2] == (method, "a1") for g in trunk.good[1:]))
    seen = [m for m in trunk.requests(method) if ";tag=" in m.get("To")]
    assert len(seen) == 2 and seen[0].body == seen[1].body
    assert bool(seen[1].body) == bool(body or body is None)
    if method != "BYE":
        call.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("user", ["j\u00f6rg", 'a"b\\c', "%41", "\u4e2d\u6587 1"])
def test_a_name_beyond_ascii_travels_as_username_star(sbc, trunk, pbx_a, user):
    entry = next(e for e in entries(sbc) if e["auth-user-lookup"] == "tenA")
    entry["username"] = user
    trunk.passwords[user] = "secret-a1"
    if '"' in user:  # within quotes both are escaped, and the trunk undoes that
        trunk.passwords['a\\"b\\\\c'] = "secret-a1"
        account = trunk.account
        trunk.account = lambda p: re.sub(r"\\(.)", r"\1", re.search(
            r'username="((?:[^"\\]|\\.)*)"', trunk.seen[-1].get("Proxy-Authorization")).group(1)) \
            if trunk.seen[-1].all("Proxy-Authorization") else account(p)
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    sent = trunk.invites()[1].get("Proxy-Authorization")
    assert ("username*=UTF-8''" in sent) == (not user.isascii())
    assert [g[1] for g in trunk.good if g[0] == "INVITE"] == [user]


# --- without end --------------------------------------------------------------

def endless(trunk, rule, stale=False):
    """Challenges for ever, each time another realm"""
    def asks(request):
        count = len([m for m in trunk.requests(request.method) if m.call_id == request.call_id])
        trunk.challenge(request, dict(rule, realm=rule["realm"].format(count)), stale=stale)
        return True
    return asks


def test_four_realms_are_answered_and_the_fifth_goes_to_the_pbx(sbc, trunk, pbx_a):
    entries(sbc).append({"auth-realm": "*", "auth-user-lookup": "tenA", "username": "any",
                         "password": "secret-any"})
    trunk.invite_answer = endless(trunk, dict(trunk.invite_challenge, realm="r{}.example"))
    sbc.start()
    call = pbx_a.calls("0301234")
    final = call.until_refused()
    assert final.status == 407 and call.statuses == [100, 407]
    assert 'realm="r5.example"' in final.get("Proxy-Authenticate")
    assert [len(trunk.credentials(m)) for m in trunk.invites()] == [0, 1, 2, 3, 4]
    sbc.no_session_is_left()


def test_no_request_is_sent_more_than_six_times(sbc, trunk, pbx_a):
    entries(sbc).append({"auth-realm": "*", "auth-user-lookup": "tenA", "username": "any",
                         "password": "secret-any"})
    realms = iter(["r1", "r1", "r2", "r2", "r3", "r3", "r4", "r4"])

    def asks(invite):
        trunk.challenge(invite, dict(trunk.invite_challenge, realm=next(realms)), stale=True)
        return True

    trunk.invite_answer = asks
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 407
    assert len(trunk.invites()) == 6
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["INFO", "BYE", "UPDATE", "INVITE"])
def test_a_request_inside_a_call_is_not_challenged_without_end(sbc, trunk, pbx_a, method):
    entries(sbc).append({"auth-realm": "*", "auth-user-lookup": "tenA", "username": "any",
                         "password": "secret-any"})
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    asks = endless(trunk, dict(trunk.invite_challenge, realm="r{}.example"))
    serve = trunk.serve
    trunk.serve = lambda r: asks(r) if r.method == method else serve(r)
    request = call.within_dialog(method, pbx_a.sdp() if method in ("INVITE", "UPDATE") else "")
    final = call.answer_to(request)
    assert final.status == (200 if method == "BYE" else 407)
    if method == "INVITE":
        call.invite, keep, call.final = request, call.final, final
        call.ack()
        call.final = keep
    trunk.serve = serve
    if method != "BYE":
        call.hang_up()
    sbc.no_session_is_left()
    assert len([m for m in trunk.requests(method) if ";tag=" in m.get("To")]) <= 6


@pytest.mark.parametrize("challenge", [
    "Digest", "Digest realm=", 'Digest realm="a', 'Digest realm="trunk.example"',
    'Digest nonce="n"', 'Digest realm="trunk.example", nonce="a\\", qop="auth"', ",,,", "Digest " + "x=y," * 400])
def test_a_challenge_that_cannot_be_used_goes_to_the_pbx(sbc, trunk, pbx_a, challenge):
    trunk.invite_answer = lambda i: trunk.reply(
        i, 407, headers=[("Proxy-Authenticate", challenge)]) and True
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 407
    assert len(trunk.invites()) == 1
    trunk.invite_answer = None
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
