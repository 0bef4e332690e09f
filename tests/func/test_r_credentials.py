"""
Which credentials answer a challenge, and with which algorithm (behaviour.md 7.2, 21, 22, 25-32).

The trunk computes each digest by itself and refuses what it did not ask for, so an answered call
proves the algorithm.
"""
import re
import subprocess

import pytest


from peers.sip import parameters, user_hash
from peers.trunk import Trunk

HASHES = ["MD5", "SHA-256", "SHA-512-256"]


def agent(sbc, name):
    return sbc.element("session-agent", name)


def entries(sbc):
    return sbc.element("realm-config", "trunk")["auth-attributes"]


def entry(sbc, lookup):
    return next(e for e in entries(sbc) if e["auth-user-lookup"] == lookup)


def without_lookup(sbc, realm="pbx-a"):
    sbc.policy(realm)["policy-attributes"][0].pop("auth-user-lookup")


def without_agent_a(sbc):
    agents = sbc.element("surrogate-agent")
    agents[:] = [a for a in agents if a["register-host"] != "a.trunk.example"]


def answered_by(trunk, method="INVITE"):
    return [g[1] for g in trunk.good if g[0] == method]


def digest_invites(trunk):
    return [m for m in trunk.invites() if trunk.credentials(m)]


def the_pbx_gets_the_challenge(sbc, trunk, call, invites=1):
    """The final 407 is the trunk's own; nothing was answered"""
    final = call.until_refused()
    assert final.status == 407
    assert call.statuses == [100, 407]
    last = trunk.responses_sent(407)[-1]
    assert final.all("Proxy-Authenticate") == last.all("Proxy-Authenticate") != []
    assert len(trunk.invites()) == invites
    sbc.no_session_is_left()


# --- algorithms ---------------------------------------------------------------

@pytest.mark.parametrize("session", ["", "-sess"])
@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth-int, auth", None])
def test_every_algorithm_is_answered_as_the_trunk_computes_it(sbc, trunk, pbx_a, algorithm,
                                                              session, qop):
    trunk.invite_challenge.update(algorithms=[algorithm + session], qop=qop)
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    given = trunk.credentials(digest_invites(trunk)[0])[0]
    assert given["algorithm"] == algorithm + session
    assert given.get("qop") == ("auth" if qop == "auth-int, auth" else qop)
    assert ("nc" in given) == bool(qop)
    call.hang_up()
    # the nonce serves again: with the next nc, or as it is
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert len(trunk.invites()) == 3
    call.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("algorithm", HASHES)
def test_userhash_hides_the_user_from_the_wire(sbc, trunk, pbx_a, algorithm):
    trunk.invite_challenge.update(algorithms=[algorithm], userhash=True)
    sbc.start()
    for _ in range(2):
        pbx_a.calls("0301234").until_answered().hang_up()
    for invite in digest_invites(trunk):
        given = trunk.credentials(invite)[0]
        assert given["username"] == user_hash(given, "a1")
        assert given["userhash"] == "true"
    assert len(trunk.invites()) == 3


def test_without_an_algorithm_md5_is_meant_and_not_named(sbc, trunk, pbx_a):
    trunk.invite_challenge.update(algorithms=[None], opaque=None)
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    given = trunk.credentials(trunk.invites()[1])[0]
    assert "algorithm" not in given and "opaque" not in given


def test_a_401_is_answered_in_authorization(sbc, trunk, pbx_a):
    trunk.invite_challenge.update(status=401)
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    retry = trunk.invites()[1]
    assert retry.all("Authorization") and not retry.all("Proxy-Authorization")
    assert answered_by(trunk) == ["a1"]


@pytest.mark.parametrize("offered,chosen", [
    (["SHA-512-256", "SHA-256", "MD5"], "SHA-512-256"),
    (["MD5", "SHA-256"], "SHA-256"),
    (["MD5", "SHA-512-256", "SHA-256"], "SHA-512-256"),
    (["AKAv1-MD5", "MD5"], "MD5"),
    (["SHA-1024", "MD5-sess"], "MD5-sess"),
])
def test_the_strongest_algorithm_gives_the_one_answer(sbc, trunk, pbx_a, offered, chosen):
    trunk.invite_challenge.update(algorithms=offered)
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    given = trunk.credentials(trunk.invites()[1])
    assert [g["algorithm"] for g in given] == [chosen]
    call.hang_up()


@pytest.mark.parametrize("rule", [
    dict(algorithms=["AKAv1-MD5"]), dict(qop="auth-conf"),
    dict(algorithms=[], headers=[("Proxy-Authenticate", 'Basic realm="trunk.example"')])])
def test_what_cannot_be_computed_goes_to_the_pbx(sbc, trunk, pbx_a, rule):
    trunk.invite_challenge.update(rule)
    sbc.start()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"))
    assert sbc.counter("show sipd authentication", "Passed Through") == 1


def test_a_scheme_of_no_use_beside_digest_is_left_out(sbc, trunk, pbx_a):
    trunk.invite_challenge.update(
        headers=[("Proxy-Authenticate", 'Bearer realm="x", scope="y"'),
                 ("Proxy-Authenticate", 'Basic realm="trunk.example"')])
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert [g["username"] for g in trunk.credentials(trunk.invites()[1])] == ["a1"]


# --- several realms -----------------------------------------------------------

def test_of_two_realms_the_known_one_is_answered(sbc, trunk, pbx_a):
    trunk.invite_challenge.update(more=["other.example"])
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    assert [g["realm"] for g in trunk.credentials(trunk.invites()[1])] == ["trunk.example"]
    assert "auth-realm-unknown" in sbc.acli("show alarms")
    call.hang_up()


def test_of_two_known_realms_both_are_answered_in_one_invite(sbc, trunk, pbx_a):
    entries(sbc).append({"auth-realm": "other.example", "auth-user-lookup": "tenA",
                         "username": "o1", "password": "secret-o1"})
    trunk.passwords["o1"] = "secret-o1"
    trunk.invite_challenge.update(more=["other.example"], needs=["other.example"])
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    assert len(trunk.invites()) == 2
    given = trunk.credentials(trunk.invites()[1])
    assert sorted((g["realm"], g["username"]) for g in given) == \
        [("other.example", "o1"), ("trunk.example", "a1")]
    assert sorted(answered_by(trunk)) == ["a1", "o1"]
    call.hang_up()


def test_a_second_proxy_behind_the_first_is_answered_too(sbc, trunk, pbx_a):
    entries(sbc).append({"auth-realm": "other.example", "auth-user-lookup": "tenA",
                         "username": "o1", "password": "secret-o1"})
    trunk.passwords["o1"] = "secret-o1"
    second = dict(trunk.invite_challenge, realm="other.example")

    def both(invite):
        for rule in (trunk.invite_challenge, second):
            if not trunk.proven(invite, rule):
                trunk.challenge(invite, rule)
                return True
        trunk.answer(invite)
        return True

    trunk.invite_answer = both
    sbc.start()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert [sorted(g["realm"] for g in trunk.credentials(m)) for m in trunk.invites()] == \
        [[], ["trunk.example"], ["other.example", "trunk.example"]]
    call.hang_up()


# --- lookups that do not fit --------------------------------------------------

def test_verify_warns_of_a_lookup_without_entry_and_the_sbc_starts(sbc, trunk):
    import conftest
    entries(sbc).remove(entry(sbc, "tenB"))
    command = [f"{conftest.BUILD}/sbcd", "--verify", sbc.write()]
    found = subprocess.run(command, capture_output=True, text=True)
    warnings = [line for line in found.stdout.splitlines() if line.startswith("WARNING:")]
    assert found.returncode == 0 and len(warnings) == 1, found.stdout + found.stderr
    assert "has auth-user-lookup [tenB] but realm-config [trunk] has no" in warnings[0]
    found = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert '"VC-0501"' in found.stdout
    sbc.start().registered()


def test_a_missing_entry_fails_the_call_and_nobody_else(sbc, trunk, pbx_a, pbx_b):
    entries(sbc).remove(entry(sbc, "tenB"))
    sbc.start().registered()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_b.calls("0301234"))
    assert sbc.counter("show sipd authentication", "Failed No Entry") == 1
    assert "auth-lookup-missing" in sbc.acli("show alarms")
    pbx_a.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["a1"]


def test_an_entry_that_is_taken_away_is_warned_of_and_activation_goes_on(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    entries(sbc).remove(entry(sbc, "tenB"))
    output = sbc.acli(f"import-config {sbc.write()}", "save-config", "verify-config",
                      "activate-config")
    assert "has auth-user-lookup [tenB] but realm-config [trunk] has no" in output
    assert "Running is version 2" in output
    the_pbx_gets_the_challenge(sbc, trunk, pbx_b.calls("0301234"))
    assert "b1" not in answered_by(trunk) and "reg-b" not in answered_by(trunk)
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_missing_entry_does_not_lead_to_the_next_route(sbc, trunk, pbx_b):
    entries(sbc).remove(entry(sbc, "tenB"))
    sbc.policy("pbx-b")["policy-attributes"].append(
        {"next-hop": "trunk.example", "realm": "trunk", "cost": "1", "auth-user-lookup": "tenA"})
    sbc.start()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_b.calls("0301234"))


def test_fallback_searches_on_behind_a_missing_entry(sbc, trunk, pbx_b):
    entries(sbc).remove(entry(sbc, "tenB"))
    sbc.element("sip-config")["auth-lookup-miss"] = "fallback"
    sbc.start().registered()
    pbx_b.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["reg-b"]


def test_without_a_realm_of_the_route_the_entry_is_in_that_of_its_session_agent(sbc, trunk, pbx_a):
    """6.1, rows 2; the same key in the realm of the caller is another entry"""
    sbc.policy("pbx-a")["policy-attributes"][0].pop("realm")
    sbc.element("realm-config", "pbx-a")["auth-attributes"] = [
        {"auth-realm": "trunk.example", "auth-user-lookup": "tenA", "username": "wrong",
         "password": "secret-wrong"}]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert answered_by(trunk) == ["a1"]
    call.hang_up()


def test_each_route_that_is_tried_has_its_own_lookup(sbc, trunk, pbx_a, peers):
    """6.2: on fail-over the stored route changes with the call"""
    entries(sbc).append({"auth-realm": "trunk.example", "auth-user-lookup": "second",
                         "username": "b1", "password": "secret-b1"})
    second = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    sbc.element("session-agent").append(
        {"hostname": "second.example", "ip-address": second.ip, "realm-id": "trunk"})
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "second.example", "realm": "trunk", "cost": "1", "auth-user-lookup": "second"})

    def busy_when_proven(request):
        if trunk.credentials(request):
            trunk.reply(request, 503)
            return True
        return False

    trunk.invite_answer = busy_when_proven
    second.dialog_challenge = second.invite_challenge
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert [trunk.credentials(m)[0]["username"] for m in digest_invites(trunk)] == ["a1"]
    assert answered_by(second) == ["b1"]
    call.hang_up()
    second.wait(lambda m: m.status is None and m.method == "BYE" and second.credentials(m))
    assert answered_by(second, "BYE") == ["b1"]


def test_without_lookup_the_owner_answers(sbc, trunk, pbx_a):
    without_lookup(sbc)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert answered_by(trunk) == ["reg-a"]
    call.hang_up()


def test_a_stranger_behind_the_pbx_has_no_owner_and_no_credentials(sbc, trunk, pbx_a):
    without_lookup(sbc)
    sbc.start().registered()
    call = pbx_a.calls("0301234", from_="<sip:999@evil.example>")
    the_pbx_gets_the_challenge(sbc, trunk, call)
    # RFC 3261 22.2: a nonce that reg-a has in the cache is not his
    assert not digest_invites(trunk)


def test_another_address_is_no_session_agent(sbc, trunk, peers):
    from peers.pbx import Pbx
    without_lookup(sbc)
    sbc.start().registered()
    other = peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local")
    final = other.calls("0301234").until_refused()
    assert final.status == 403
    assert not trunk.invites()


def test_the_entry_of_the_trunk_answers_a_call_without_owner(sbc, trunk, pbx_a):
    without_lookup(sbc)
    without_agent_a(sbc)
    agent(sbc, "trunk.example")["auth-attributes"] = [
        {"auth-realm": "trunk.example", "username": "t1", "password": "secret-t1"}]
    trunk.passwords["t1"] = "secret-t1"
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["t1"]


def test_credentials_of_the_pbx_pass_through_when_nobody_answers(sbc, trunk, pbx_a):
    without_lookup(sbc)
    without_agent_a(sbc)
    agent(sbc, "trunk.example")["auth-attributes"] = [
        {"auth-realm": "other.example", "username": "t1", "password": "secret-t1"}]
    sbc.start()
    call = pbx_a.calls("0301234")
    the_pbx_gets_the_challenge(sbc, trunk, call)
    assert sbc.counter("show sipd authentication", "Passed Through") == 1
    challenge = parameters(call.final.get("Proxy-Authenticate"))
    own = (f'Digest username="own", realm="trunk.example", nonce="{challenge["nonce"]}", '
           f'uri="{call.invite.uri}", response="{"0" * 32}", algorithm=MD5')
    trunk.invite_challenge = None
    pbx_a.calls("0301234", headers=[("Proxy-Authorization", own)],
                call_id=call.invite.call_id, tag=call.invite.tag("From"),
                cseq=2).until_answered().hang_up()
    assert trunk.invites()[1].all("Proxy-Authorization") == [own]


def test_the_entry_of_the_pbx_never_answers_for_an_owner(sbc, trunk, pbx_a):
    without_lookup(sbc)
    agent(sbc, "pbx-a.example")["auth-attributes"] = [
        {"auth-realm": "trunk.example", "username": "p1", "password": "secret-p1"}]
    trunk.passwords["p1"] = "secret-p1"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["reg-a"]


def test_the_entry_of_the_pbx_answers_without_an_owner(sbc, trunk, pbx_a):
    without_lookup(sbc)
    without_agent_a(sbc)
    agent(sbc, "pbx-a.example")["auth-attributes"] = [
        {"auth-realm": "trunk.example", "username": "p1", "password": "secret-p1"}]
    trunk.passwords["p1"] = "secret-p1"
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["p1"]


def test_a_wildcard_of_the_pbx_answers_nobody(sbc, trunk, pbx_a):
    without_lookup(sbc)
    without_agent_a(sbc)
    agent(sbc, "pbx-a.example")["auth-attributes"] = [
        {"auth-realm": "*", "username": "p1", "password": "secret-p1"}]
    sbc.start()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"))


def test_auth_methods_let_the_owner_answer_the_invite_and_not_the_bye(sbc, trunk, pbx_a):
    without_lookup(sbc)
    sbc.element("surrogate-agent", "a.trunk.example")["auth-methods"] = ["INVITE"]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert answered_by(trunk) == ["reg-a"]
    trunk.dialog_challenge = dict(trunk.invite_challenge)
    call.hang_up()
    sbc.no_session_is_left()
    byes = trunk.requests("BYE")
    assert len(byes) == 1 and not trunk.credentials(byes[0])


def test_a_wildcard_entry_answers_any_realm_and_an_exact_one_comes_first(sbc, trunk, pbx_a):
    entries(sbc).insert(0, {"auth-realm": "*", "auth-user-lookup": "tenA", "username": "w1",
                            "password": "secret-w1"})
    trunk.passwords["w1"] = "secret-w1"
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    trunk.invite_challenge = dict(trunk.invite_challenge, realm="whatever.example")
    pbx_a.calls("0301234").until_answered().hang_up()
    given = trunk.credentials(trunk.invites()[-1])
    assert {(g["realm"], g["username"]) for g in given} >= {("whatever.example", "w1")}
    assert answered_by(trunk)[0] == "a1"


def test_an_auth_realm_is_compared_with_its_case(sbc, trunk, pbx_a):
    entry(sbc, "tenA")["auth-realm"] = "Trunk.Example"
    sbc.start()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"))
    assert sbc.counter("show sipd authentication", "Failed No Entry") == 1


def test_a_wrong_password_is_tried_once_a_call(sbc, trunk, pbx_a, pbx_b):
    entry(sbc, "tenA")["password"] = "secret-wrong"
    sbc.start().registered()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"), invites=2)
    assert "auth-credentials-refused" in sbc.acli("show alarms")
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"), invites=4)
    assert [bool(trunk.credentials(m)) for m in trunk.invites()] == [False, True, False, True]
    pbx_b.calls("0301234").until_answered().hang_up()
    assert answered_by(trunk) == ["b1"]


def test_a_403_after_the_answer_is_final_and_drops_the_nonce(sbc, trunk, pbx_a):
    def forbids(invite):
        if invite.all("Proxy-Authorization"):
            trunk.reply(invite, 403)
            return True
        return False

    trunk.invite_answer = forbids
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 403
    trunk.invite_answer = None
    pbx_a.calls("0301234").until_answered().hang_up()
    assert [bool(trunk.credentials(m)) for m in trunk.invites()] == [False, True, False, True]


def test_a_second_stale_is_final(sbc, trunk, pbx_a):
    def always_stale(invite):
        trunk.challenge(invite, trunk.invite_challenge, stale=bool(trunk.credentials(invite)))
        return True

    trunk.invite_answer = always_stale
    sbc.start()
    the_pbx_gets_the_challenge(sbc, trunk, pbx_a.calls("0301234"), invites=3)


def test_a_trunk_that_wants_each_nonce_once_gets_none_ahead_after_three(sbc, trunk, pbx_a):
    trunk.one_nonce_each = True
    trunk.register_challenge = None
    trunk.dialog_challenge = trunk.invite_challenge
    sbc.start().registered()
    for _ in range(4):
        call = pbx_a.calls("0301234").until_answered()
        assert call.statuses == [100, 180, 200]
        call.hang_up()
        sbc.no_session_is_left()
    tries = {}
    for request in trunk.invites() + trunk.requests("BYE"):
        tries.setdefault((request.call_id, request.method), []).append(
            bool(trunk.credentials(request)))
    free, asked = [True, True], [False, True]
    assert [t for (_, m), t in tries.items() if m == "INVITE"] == [asked, free, asked, asked]
    assert [t for (_, m), t in tries.items() if m == "BYE"] == [free, free, asked, asked]
    assert sbc.counter("show sipd authentication", "Refused Twice") == 0


def test_nextnonce_serves_the_next_call(sbc, trunk, pbx_a):
    nonce = "n" * 20

    def tells_the_next(invite):
        if not trunk.proven(invite, trunk.invite_challenge):
            return False
        trunk.nonces[nonce] = 0
        trunk.offers[nonce] = (trunk.invite_challenge,
                               parameters(invite.get("Proxy-Authorization"))["opaque"],
                               "Proxy-Authorization")
        trunk.reply(invite, 200, tag=trunk.tag_of(invite), body=trunk.sdp(), headers=[
            ("Contact", f"<sip:carrier@{trunk.ip}>"),
            ("Proxy-Authentication-Info", f'nextnonce="{nonce}"')])
        return True

    trunk.invite_answer = tells_the_next
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    trunk.invite_answer = None
    call = pbx_a.calls("0301234").until_answered()
    given = trunk.credentials(trunk.invites()[2])[0]
    assert (given["nonce"], given["nc"]) == (nonce, "00000002")
    assert trunk.credentials(trunk.requests("BYE")[0])[0]["nc"] == "00000001"
    assert len(trunk.invites()) == 3
    call.hang_up()


# Row 3a: whom the agent's own credentials answer

@pytest.mark.parametrize("realm, named, answered", [
    ("trunk", "trunk.example", True),     # with this one the registrar has challenged
    ("trunk", "evil.example", False),
    ("pbx-b", "trunk.example", False)],   # not the realm of the registration
    ids=["known realm", "other realm", "other egress"])
def test_no_digest_of_the_agent_goes_to_a_peer_that_merely_names_a_realm(
        sbc, trunk, pbx_a, peers, realm, named, answered):
    other = peers(Trunk, sbc.ip(14), sbc.ip(1) if realm == "trunk" else sbc.ip(3), media_port=30300)
    other.invite_challenge = dict(other.invite_challenge, realm=named)
    sbc.element("session-agent").append(
        {"hostname": "other.example", "ip-address": sbc.ip(14), "realm-id": realm})
    without_lookup(sbc)
    sbc.policy("pbx-a")["policy-attributes"][0].update({"next-hop": "other.example", "realm": realm})
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    if answered:
        call.until_answered().hang_up()
        assert ("INVITE", "reg-a", 1) in other.good
    else:
        assert call.until_refused().status == 407
        assert not [m for m in other.seen if other.credentials(m)]


@pytest.mark.parametrize("realm, named, answered", [
    ("trunk", "trunk.example", True), ("trunk", "evil.example", False), ("pbx-b", "trunk.example", False)],
    ids=["known realm", "other realm", "other egress"])
def test_inside_a_call_neither(sbc, trunk, pbx_a, peers, realm, named, answered):
    other = peers(Trunk, sbc.ip(14), sbc.ip(1) if realm == "trunk" else sbc.ip(3), media_port=30300)
    other.invite_challenge = None
    other.dialog_challenge = dict(status=407, realm=named, algorithms=["MD5"], qop="auth")
    sbc.element("session-agent").append(
        {"hostname": "other.example", "ip-address": sbc.ip(14), "realm-id": realm})
    without_lookup(sbc)
    sbc.policy("pbx-a")["policy-attributes"][0].update({"next-hop": "other.example", "realm": realm})
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    request = call.within_dialog("INFO")
    assert call.answer_to(request).status == (200 if answered else 407)
    given = [c["username"] for m in other.seen for c in other.credentials(m)]
    assert given == (["reg-a"] if answered else [])
    other.dialog_challenge = None
    call.hang_up()


def test_of_several_challenges_those_of_the_registrars_realms_are_answered(sbc, trunk, pbx_a, peers):
    """6.1: each challenge is asked for by itself"""
    other = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    other.invite_challenge = dict(other.invite_challenge, more=["evil.example"])
    sbc.element("session-agent").append(
        {"hostname": "other.example", "ip-address": sbc.ip(14), "realm-id": "trunk"})
    without_lookup(sbc)
    sbc.policy("pbx-a")["policy-attributes"][0]["next-hop"] = "other.example"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert {c["realm"] for m in other.seen for c in other.credentials(m)} == {"trunk.example"}


def test_a_target_of_the_registrar_is_answered_whatever_realm_it_names(sbc, trunk, pbx_a):
    without_lookup(sbc)
    trunk.invite_challenge = dict(trunk.invite_challenge, realm="calls.example")
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert [user for method, user, _ in trunk.good if method == "INVITE"] == ["reg-a"]


# Alarms end when somebody mends what they complain of (acli.md 5.1)

def activate(sbc):
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")


def test_the_alarm_of_a_missing_entry_ends_when_the_entry_is_there(sbc, trunk, pbx_b):
    missing = next(e for e in entries(sbc) if e["auth-user-lookup"] == "tenB")
    entries(sbc).remove(missing)
    sbc.start().registered()
    assert pbx_b.calls("0301234").until_refused().status == 407
    assert "auth-lookup-missing" in sbc.acli("show alarms")
    sbc.element("session-agent", "pbx-a.example")["max-sessions"] = "100"
    activate(sbc)                     # another thing was changed
    assert "auth-lookup-missing" in sbc.acli("show alarms")
    entries(sbc).append(missing)
    activate(sbc)
    assert "auth-lookup-missing" not in sbc.acli("show alarms")
    pbx_b.calls("0301234").until_answered().hang_up()


@pytest.mark.parametrize("whose", ["entry", "agent", "import"])
def test_the_alarm_of_refused_credentials_ends_when_they_are_changed(sbc, trunk, pbx_a, whose, tmp_path):
    user = "reg-a" if whose == "agent" else "a1"
    if whose == "agent":
        without_lookup(sbc)
    else:
        trunk.passwords[user] = "secret-new"
    if whose == "import":
        entries(sbc)[:] = [e for e in entries(sbc) if e["auth-user-lookup"] != "tenA"]
        rows = tmp_path / "rows.csv"
        rows.write_text("auth-realm,auth-user-lookup,username,password\n"
                        "trunk.example,tenA,a1,x-old\n")
    sbc.start().registered()
    if whose == "agent":              # its REGISTERs were good until now
        trunk.passwords[user] = "secret-new"
    if whose == "import":
        sbc.acli(f"import-credentials {rows} realm trunk")
    assert pbx_a.calls("0301234").until_refused().status == 407
    assert "auth-credentials-refused" in sbc.acli("show alarms")
    sbc.element("session-agent", "pbx-a.example")["max-sessions"] = "100"
    activate(sbc)                     # another thing was changed
    assert re.search(r" auth-credentials-refused", sbc.acli("show alarms"))
    if whose == "import":
        rows.write_text(rows.read_text().replace("x-old", "secret-new"))
        sbc.acli(f"import-credentials {rows} realm trunk")
        rows.unlink()
    else:
        changed = sbc.element("surrogate-agent", "a.trunk.example") if whose == "agent" else \
            next(e for e in entries(sbc) if e["auth-user-lookup"] == "tenA")
        changed["password"] = "secret-new"
        activate(sbc)
    assert not re.search(r" auth-credentials-refused", sbc.acli("show alarms"))
    pbx_a.calls("0301234").until_answered().hang_up()
