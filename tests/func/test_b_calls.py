"""
Calls from a PBX to its trunk, challenged and answered (behaviour.md 7.2, 15-20, 23, 24).
"""
from peers.sip import names


def calls_with_a_digest(trunk):
    return [m for m in trunk.invites() if m.all("Proxy-Authorization")]


def test_the_pbx_never_sees_the_challenge(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    first, second = trunk.invites()
    assert second.call_id == first.call_id
    assert second.cseq == first.cseq + 1
    assert second.tag("From") == first.tag("From")
    assert second.get("To") == first.get("To")
    assert second.get("Contact") == first.get("Contact")
    assert second.get("Via") != first.get("Via")
    assert second.body == first.body
    assert not first.all("Proxy-Authorization")
    call.hang_up()
    sbc.no_session_is_left()


def test_the_trunk_sees_the_pbx_under_its_registered_identity(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    invite = trunk.invites()[0]
    assert invite.uri == "sip:0301234@a.trunk.example"
    assert invite.source == (sbc.ip(1), 5060)
    assert (invite.user("From"), invite.host("From")) == ("4930100", "a.trunk.example")
    assert invite.host("To") == "a.trunk.example"
    assert invite.host("Contact") == sbc.ip(1)
    assert invite.get("Max-Forwards") == "69"
    assert invite.call_id != call.invite.call_id
    assert len(invite.all("Via")) == 1
    call.hang_up()


def test_nothing_names_the_other_side(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    branch = call.invite.get("Via").split("branch=")[1].split(";")[0]
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    for message in trunk.seen:
        assert not names(message, sbc.ip(12), sbc.ip(2), "pbx-a.local", call.invite.call_id,
                         call.invite.tag("From"), branch), message
    egress = trunk.invites()[0]
    for message in pbx_a.seen:
        assert not names(message, sbc.ip(11), sbc.ip(1), egress.call_id, egress.tag("From"),
                         "a.trunk.example"), message


def test_the_answer_to_the_challenge_is_complete(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    given = trunk.credentials(trunk.invites()[1])
    assert len(given) == 1
    wanted = {"username": "a1", "realm": "trunk.example", "uri": "sip:0301234@a.trunk.example",
              "nc": "00000001", "qop": "auth", "algorithm": "MD5"}
    assert wanted.items() <= given[0].items()
    call.hang_up()


def test_the_ack_of_the_407_is_bare_and_that_of_the_200_carries_the_credentials(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    first, second = trunk.invites()
    of_407 = trunk.wait(lambda m: m.method == "ACK" and m.cseq == first.cseq)
    of_200 = trunk.wait(lambda m: m.method == "ACK" and m.cseq == second.cseq)
    assert of_407.get("Via") == first.get("Via")
    assert not of_407.all("Proxy-Authorization")
    assert of_200.get("Via") != second.get("Via")
    assert of_200.all("Proxy-Authorization") == second.all("Proxy-Authorization") != []
    call.hang_up()


def test_two_tenants_with_the_same_number_and_realm_are_never_mixed_up(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    a, b = pbx_a.calls("0301234"), pbx_b.calls("0301234")
    a.until_answered(), b.until_answered()
    by_tenant = {"a.trunk.example": "a1", "b.trunk.example": "b1"}
    for invite in trunk.invites():
        for credentials in trunk.credentials(invite):
            assert credentials["username"] == by_tenant[invite.host("From")]
    assert sorted(g[1] for g in trunk.good if g[0] == "INVITE") == ["a1", "b1"]
    a.hang_up(), b.hang_up()
    sbc.no_session_is_left()
    for message in trunk.seen:
        other = "b1" if "a.trunk.example" in message.get("From") else "a1"
        assert not names(message, other), message


def test_a_second_call_brings_its_credentials_at_once(sbc, trunk, pbx_a):
    sbc.start().registered()
    first = pbx_a.calls("0301234").until_answered()
    second = pbx_a.calls("0301234").until_answered()
    assert len(trunk.invites()) == 3
    given = trunk.credentials(trunk.invites()[2])
    assert [(g["username"], g["nc"]) for g in given] == [("a1", "00000002")]
    first.hang_up(), second.hang_up()


def refuses_the_next_cached_nonce(trunk, stale):
    """The INVITE that comes next is challenged anew, whatever it brings"""
    once = [True]

    def answer(invite):
        if once and invite.all("Proxy-Authorization"):
            once.clear()
            trunk.challenge(invite, trunk.invite_challenge, stale)
            return True
        return False

    trunk.invite_answer = answer


def a_cached_nonce_is_refused(sbc, trunk, pbx_a, stale):
    sbc.start().registered()
    first = pbx_a.calls("0301234").until_answered()
    refuses_the_next_cached_nonce(trunk, stale)
    second = pbx_a.calls("0301234").until_answered()
    assert second.statuses == [100, 180, 200]
    assert len(trunk.invites()) == 4
    last = trunk.credentials(trunk.invites()[3])
    assert [(g["username"], g["nc"]) for g in last] == [("a1", "00000001")]
    assert trunk.credentials(trunk.invites()[2])[0]["nonce"] != last[0]["nonce"]
    assert sbc.counter("show sipd authentication", "Refused Twice") == 0
    assert "auth-credentials-refused" not in sbc.acli("show alarms")
    first.hang_up(), second.hang_up()


def test_a_cached_nonce_that_is_refused_costs_one_more_invite(sbc, trunk, pbx_a):
    a_cached_nonce_is_refused(sbc, trunk, pbx_a, stale=False)


def test_a_cached_nonce_that_is_stale_costs_one_more_invite(sbc, trunk, pbx_a):
    a_cached_nonce_is_refused(sbc, trunk, pbx_a, stale=True)


def test_a_stale_answer_is_given_once_more(sbc, trunk, pbx_a):
    sbc.start().registered()
    refuses_the_next_cached_nonce(trunk, stale=True)
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert len(trunk.invites()) == 3
    assert sbc.counter("show sipd authentication", "Refused Twice") == 0
    call.hang_up()


def test_after_a_restart_only_the_first_call_is_challenged(sbc, trunk, pbx_a):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    sbc.stop()
    before = len(trunk.invites())
    sbc.start().registered()
    for _ in range(3):
        pbx_a.calls("0301234").until_answered().hang_up()
    assert len(trunk.invites()) - before == 4
    assert [bool(m.all("Proxy-Authorization")) for m in trunk.invites()[before:]] == \
        [False, True, True, True]


def test_replace_contact_puts_the_registered_contact_into_the_invite(sbc, trunk, pbx_a):
    sbc.element("surrogate-agent", "a.trunk.example")["replace-contact"] = "enabled"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert [m.contact for m in trunk.invites()] == [f"sip:a-4930100@{sbc.ip(1)}"] * 2
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")


def test_service_route_becomes_route_and_the_call_goes_where_the_200_came_from(sbc, trunk, pbx_a):
    trunk.register_headers = [("Service-Route", "<sip:edge.trunk.example;lr>")]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    for invite in trunk.invites():
        assert invite.all("Route") == ["<sip:edge.trunk.example;lr>"]
        assert invite.uri == "sip:0301234@a.trunk.example"
    call.hang_up()
