"""
Calls from a PBX to its trunk, challenged and answered (behaviour.md 7.2, 15-18).
"""
from peers.sip import names


def test_the_pbx_never_sees_the_challenge(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    first, second = trunk.invites()
    assert second.call_id == first.call_id
    assert second.cseq == first.cseq + 1
    assert second.tag("From") == first.tag("From")
    assert second.body == first.body
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
    call.hang_up()


def test_nothing_names_the_other_side(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    for message in trunk.seen:
        assert not names(message, sbc.ip(12), sbc.ip(2), "pbx-a.local", call.invite.call_id,
                         call.invite.tag("From")), message
    egress = trunk.invites()[0]
    for message in pbx_a.seen:
        assert not names(message, sbc.ip(11), sbc.ip(1), egress.call_id, egress.tag("From"),
                         "a.trunk.example"), message


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


def test_a_second_call_brings_its_credentials_at_once(sbc, trunk, pbx_a):
    sbc.start().registered()
    first = pbx_a.calls("0301234").until_answered()
    second = pbx_a.calls("0301234").until_answered()
    assert len(trunk.invites()) == 3
    assert trunk.credentials(trunk.invites()[2])[0]["nc"] == "00000002"
    first.hang_up(), second.hang_up()
