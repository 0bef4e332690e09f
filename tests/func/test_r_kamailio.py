"""
Kamailio as registrar and proxy of the trunk checks what the SBC computes (behaviour.md 7.2, 1, 2, 16).

- All 20 AoRs register with MD5, and with SHA-256.
- A call is challenged with 407 by the proxy, answered, and passes to the carrier behind it.
- A call of the carrier to a registered number reaches the PBX.
"""
import pytest

ALGORITHMS = ["MD5", "SHA-256"]


def expected(sbc):
    return {(f"493010{n}", f"{tenant}.trunk.example"): f"sip:{tenant}-493010{n}@{sbc.ip(1)}"
            for tenant in "ab" for n in range(10)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_all_aors_are_bound_at_kamailio(sbc, kamailio, algorithm):
    registrar = kamailio(algorithm=algorithm)
    sbc.start().registered()
    assert registrar.bindings() == expected(sbc)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_call_proves_itself_to_the_proxy_and_ends_by_its_record_route(
        sbc, kamailio, carrier, pbx_a, algorithm):
    kamailio(algorithm=algorithm, challenge_dialog=True)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    invite = carrier.invites()[0]
    assert invite.host("From") == "a.trunk.example"
    assert not invite.all("Proxy-Authorization")
    carrier.wait(lambda m: m.status is None and m.method == "ACK")
    call.hang_up()
    carrier.wait(lambda m: m.status is None and m.method == "BYE")
    sbc.no_session_is_left()


def test_a_call_to_a_registered_number_reaches_its_pbx(sbc, kamailio, carrier, pbx_a, pbx_b):
    kamailio()
    sbc.start().registered()
    call = carrier.calls("sip:4930105@a.trunk.example").until_answered()
    invite = pbx_a.requests("INVITE")[0]
    assert invite.uri == "sip:4930105@pbx-a.local"
    assert not pbx_b.requests("INVITE")
    bye = call.within_dialog("BYE")
    assert call.answer_to(bye).status == 200
