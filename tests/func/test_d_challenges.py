"""
Challenges inside the dialog, on either side (behaviour.md 7.2, 33-36).

PRACK, and UPDATE in early dialogs, are in test_d_early.py.
"""
import pytest

from peers.sip import names


def entry(sbc, lookup):
    return next(e for e in sbc.element("realm-config", "trunk")["auth-attributes"]
                if e["auth-user-lookup"] == lookup)


def challenges_everything(trunk):
    """Also inside dialogs, and no nonce of before counts any more"""
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.nonces = {nonce: 1 << 32 for nonce in trunk.nonces}


def within(trunk, method):
    return [m for m in trunk.requests(method) if ";tag=" in m.get("To")]


def is_answered_with(trunk, requests, user):
    """One request, and the same once more with credentials (RFC 3261 22.2)"""
    first, second = requests
    assert second.cseq == first.cseq + 1
    assert second.call_id == first.call_id
    assert second.get("From") == first.get("From") and second.get("To") == first.get("To")
    assert second.uri == first.uri and second.body == first.body
    assert second.get("Via") != first.get("Via")
    given = trunk.credentials(second)
    assert [g["username"] for g in given] == [user]
    assert given[0]["uri"] == second.uri


def test_a_challenged_bye_is_sent_again_and_the_pbx_had_its_200_at_once(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    call.hang_up(within=0.3)
    trunk.wait(lambda m: m.method == "BYE" and m.status is None and m.cseq == 4)
    is_answered_with(trunk, trunk.requests("BYE"), "a1")
    assert pbx_a.responses(407) == []
    sbc.no_session_is_left()
    assert trunk.good[-1][:2] == ("BYE", "a1")


def test_a_bye_that_is_refused_ends_the_call_all_the_same(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    trunk.passwords["a1"] = "secret-other"
    call.hang_up(within=0.3)
    sbc.no_session_is_left()
    assert len(trunk.requests("BYE")) == 2


def test_a_challenged_hold_is_sent_again_with_the_same_sdp(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    final = call.answer_to(hold)
    assert final.status == 200
    call.ack_to(hold, final)
    first, second = within(trunk, "INVITE")
    is_answered_with(trunk, [first, second], "a1")
    assert "a=sendonly" in second.body
    assert [m.status for m in pbx_a.responses() if m.get("CSeq") == hold.get("CSeq")
            if m.status > 100] == [200]
    # RFC 3261 13.2.2.4: the ACK carries the credentials of this INVITE, no other's
    ack = trunk.wait(lambda m: m.method == "ACK" and m.cseq == second.cseq)
    assert ack.all("Proxy-Authorization") == second.all("Proxy-Authorization") != []
    of_407 = trunk.wait(lambda m: m.method == "ACK" and m.cseq == first.cseq)
    assert not of_407.all("Proxy-Authorization")
    call.hang_up()
    sbc.no_session_is_left()


def test_the_ack_of_a_hold_without_challenge_has_no_old_credentials(sbc, trunk, pbx_a):
    entry(sbc, "tenA")["in-dialog-methods"] = ["BYE"]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    call.ack_to(hold, call.answer_to(hold))
    invite = within(trunk, "INVITE")[0]
    ack = trunk.wait(lambda m: m.method == "ACK" and m.cseq == invite.cseq)
    assert ack.all("Proxy-Authorization") == invite.all("Proxy-Authorization") == []
    call.hang_up()


def test_a_hold_refused_twice_leaves_the_call_as_it_was(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    right, trunk.passwords["a1"] = trunk.passwords["a1"], "secret-other"
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    final = call.answer_to(hold)
    assert final.status == 407
    assert final.all("Proxy-Authenticate") == \
        trunk.responses_sent(407)[-1].all("Proxy-Authenticate")
    call.final, initial, call.invite = final, call.final, hold
    call.ack()
    assert len(within(trunk, "INVITE")) == 2
    # the call goes on as before: another offer, and its end
    trunk.passwords["a1"] = right
    call.final, call.invite = initial, call.invite
    again = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="inactive"))
    final = call.answer_to(again)
    assert final.status == 200
    call.ack_to(again, final)
    call.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["UPDATE", "INFO", "REFER", "MESSAGE", "NOTIFY", "OPTIONS"])
def test_other_methods_are_answered_alike(sbc, trunk, pbx_a, method):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    challenges_everything(trunk)
    headers = {"REFER": [("Refer-To", "<sip:0305678@pbx-a.local>")],
               "NOTIFY": [("Event", "refer"), ("Subscription-State", "active")]}
    request = call.within_dialog(method, headers=headers.get(method, ()),
                                 body=pbx_a.sdp() if method == "UPDATE" else "")
    assert call.answer_to(request).status == 200
    is_answered_with(trunk, within(trunk, method), "a1")
    assert trunk.good[-1][:2] == (method, "a1")
    assert not pbx_a.responses(407)
    for message in trunk.seen:
        assert not names(message, "pbx-a.local", sbc.ip(12), sbc.ip(2)), message
    call.hang_up()
    sbc.no_session_is_left()


def test_in_dialog_methods_name_those_that_bring_credentials_unasked(sbc, trunk, pbx_a):
    entry(sbc, "tenA")["in-dialog-methods"] = ["INVITE"]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.dialog_challenge = trunk.invite_challenge
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    call.ack_to(hold, call.answer_to(hold))
    assert [bool(trunk.credentials(m)) for m in within(trunk, "INVITE")] == [True]
    call.hang_up()
    sbc.no_session_is_left()
    assert [bool(trunk.credentials(m)) for m in trunk.requests("BYE")] == [False, True]
    assert [g[:2] for g in trunk.good[-2:]] == [("INVITE", "a1"), ("BYE", "a1")]


def test_without_in_dialog_methods_each_request_brings_them(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.dialog_challenge = trunk.invite_challenge
    info = call.within_dialog("INFO")
    assert call.answer_to(info).status == 200
    call.hang_up()
    sbc.no_session_is_left()
    assert [g[0] for g in trunk.good if g[1] == "a1"] == ["INVITE", "INFO", "BYE"]
    assert len(trunk.requests("BYE")) == len(trunk.requests("INFO")) == 1


def test_in_a_call_from_the_trunk_the_bye_of_the_pbx_is_answered(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    taken = pbx_a.takes()
    challenges_everything(trunk)
    bye = taken.send("BYE")
    assert taken.answer_to(bye).status == 200
    trunk.wait(lambda m: m.method == "BYE" and m.status is None and trunk.credentials(m))
    is_answered_with(trunk, trunk.requests("BYE"), "a1")
    assert call.final.status == 200
    sbc.no_session_is_left()


def test_in_a_call_from_the_trunk_the_owner_answers_without_lookup(sbc, trunk, pbx_a):
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")
    sbc.start().registered()
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    taken = pbx_a.takes()
    challenges_everything(trunk)
    taken.answer_to(taken.send("BYE"))
    sbc.no_session_is_left()
    assert trunk.good[-1][:2] == ("BYE", "reg-a")


def test_a_challenge_of_the_pbx_is_never_answered_with_the_trunk_s_account(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.serve = lambda request: pbx_a.reply(request, 407, headers=[
        ("Proxy-Authenticate", 'Digest realm="trunk.example", nonce="n", qop="auth"')])
    info = call_from_trunk(trunk, call)
    assert trunk.wait(lambda m: m.status and m.get("CSeq") == info.get("CSeq")).status == 407
    assert [m.all("Proxy-Authorization") for m in pbx_a.requests("INFO")] == [[]]
    call.hang_up()
    sbc.no_session_is_left()


def call_from_trunk(trunk, call):
    """An INFO of the trunk inside a call that the PBX began"""
    from peers.pbx import Taken
    return Taken(trunk, trunk.invites()[-1]).send("INFO")


# --- what is stored with the call is a key (behaviour.md 6.2) ------------------

def activates(sbc):
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")


def test_a_call_of_the_owner_answers_with_the_agent_s_new_password(sbc, trunk, pbx_a):
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent["password"] = trunk.passwords["reg-a"] = "secret-changed"
    activates(sbc)
    challenges_everything(trunk)
    since = len(trunk.good)
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    assert ("INFO", "reg-a") in {g[:2] for g in trunk.good[since:]}
    call.hang_up()
    sbc.no_session_is_left()


def test_a_call_answers_with_the_session_agent_s_new_password(sbc, trunk, pbx_a):
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")
    agents = sbc.element("surrogate-agent")
    agents[:] = [a for a in agents if a["register-host"] != "a.trunk.example"]
    entries = sbc.element("session-agent", "trunk.example")
    entries["auth-attributes"] = [{"auth-realm": "*", "username": "t1", "password": "secret-t1"}]
    trunk.passwords["t1"] = "secret-t1"
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    entries["auth-attributes"][0]["password"] = trunk.passwords["t1"] = "secret-changed"
    activates(sbc)
    challenges_everything(trunk)
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    assert trunk.good[-1][:2] == ("INFO", "t1")
    call.hang_up()
    sbc.no_session_is_left()


def test_a_key_that_is_gone_fails_as_a_lookup_without_entry(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    entries = sbc.element("realm-config", "trunk")["auth-attributes"]
    entries.remove(entry(sbc, "tenA"))
    activates(sbc)
    challenges_everything(trunk)
    assert call.answer_to(call.within_dialog("INFO")).status == 407
    assert len(within(trunk, "INFO")) == 1
    assert sbc.counter("show sipd authentication", "Failed No Entry") == 1
    assert "auth-lookup-missing" in sbc.acli("show alarms")
    call.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "REFER", "NOTIFY"])
def test_a_challenge_of_the_pbx_is_answered_out_of_its_own_route(sbc, trunk, pbx_a, method):
    """Row 2 of the route that leads to it, in a call from the trunk by local-policy"""
    attribute = next(p for p in sbc.element("local-policy") if p["to-address"] == "4930200")
    attribute["policy-attributes"][0]["auth-user-lookup"] = "in"
    sbc.element("realm-config", "pbx-a")["auth-attributes"] = [
        {"auth-realm": "pbx.example", "auth-user-lookup": "in", "username": "p1",
         "password": "secret-p1"}]
    sbc.start().registered()
    serve = pbx_a.serve

    def asks(request):
        if request.method not in ("ACK", "BYE") and not request.all("Authorization"):
            pbx_a.reply(request, 401, headers=[
                ("WWW-Authenticate", 'Digest realm="pbx.example", nonce="n", qop="auth"')])
        else:
            serve(request)

    pbx_a.serve = asks
    call = trunk.calls(f"sip:4930200@{sbc.ip(1)}").until_answered()
    body = trunk.sdp() if method in ("INVITE", "UPDATE") else ""
    headers = {"REFER": [("Refer-To", f"<sip:0305678@{sbc.ip(11)}>")],
               "NOTIFY": [("Event", "refer"), ("Subscription-State", "active")]}.get(method, [])
    request = call.within_dialog(method, body, headers=headers)
    final = call.answer_to(request)
    assert final.status == 200
    if method == "INVITE":
        call.ack_to(request, final)
    for seen in pbx_a.seen:
        if seen.all("Authorization"):
            assert 'username="p1"' in seen.get("Authorization")
            assert f'uri="{seen.uri}"' in seen.get("Authorization") or seen.method == "ACK"
    assert not trunk.responses(401)
    call.hang_up()
    sbc.no_session_is_left()
