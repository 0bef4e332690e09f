"""
Kamailio as registrar and proxy of the trunk checks what the SBC computes (behaviour.md 7.2, 1, 2, 16).

- All 20 AoRs register with MD5, and with SHA-256.
- A call is challenged with 407 by the proxy, answered, and passes to the carrier behind it.
- A call of the carrier to a registered number reaches the PBX.
- Bindings are removed where that is wanted, and made again after Kamailio lost them.
"""
import time

import pytest

ALGORITHMS = ["MD5", "SHA-256"]
AGENT_A = "a.trunk.example 493010^ pbx-a"


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


def test_an_orderly_end_removes_the_bindings_of_who_wants_that(sbc, kamailio):
    registrar = kamailio()
    sbc.element("surrogate-agent", "a.trunk.example")["un-register"] = "enabled"
    sbc.start().registered()
    sbc.stop()
    left = {aor for aor in registrar.bindings()}
    assert left == {(f"493010{n}", "b.trunk.example") for n in range(10)}


def test_an_aor_that_is_sent_away_is_gone_and_comes_back(sbc, kamailio):
    registrar = kamailio()
    sbc.start().registered()
    sbc.acli(f"notify sipd unregister {AGENT_A} 4930103")
    sbc.waits("show registration", r"Surrogate Regs +19\b")
    assert ("4930103", "a.trunk.example") not in registrar.bindings()
    assert len(registrar.bindings()) == 19
    sbc.acli(f"notify sipd register {AGENT_A} 4930103")
    sbc.registered()
    assert registrar.bindings() == expected(sbc)


def test_a_registrar_that_lost_its_memory_is_filled_again_by_an_order(sbc, kamailio):
    registrar = kamailio()
    sbc.start().registered()
    registrar.close()
    registrar = kamailio()
    assert registrar.bindings() == {}
    sbc.acli(f"notify sipd register {AGENT_A}")
    sbc.acli(f"notify sipd register {AGENT_A}".replace("a.trunk", "b.trunk").replace("pbx-a", "pbx-b"))
    limit = time.monotonic() + 5
    while len(registrar.bindings()) < 20 and time.monotonic() < limit:
        time.sleep(0.05)
    assert registrar.bindings() == expected(sbc)


def test_kamailio_refuses_a_wrong_password_and_is_asked_no_more(sbc, kamailio, carrier, pbx_a, pbx_b):
    """Statements 6 and 32: once more with an answer, and then no further"""
    registrar = kamailio()
    for entry in sbc.element("realm-config", "trunk")["auth-attributes"]:
        if entry["username"] == "b1":
            entry["password"] = "secret-wrong"
    sbc.element("surrogate-agent", "a.trunk.example")["password"] = "secret-wrong"
    sbc.start()
    sbc.waits("show surrogate-agents", r"10 registered.*10 refused|10 refused.*10 registered")
    assert set(registrar.bindings()) == {(f"493010{n}", "b.trunk.example") for n in range(10)}
    assert sbc.counter("show registration", "Surrogate Sent") <= 20 + 20
    assert pbx_a.calls("0301234").until_refused().status == 503
    refused = pbx_b.calls("0301234").until_refused()
    assert refused.status == 407 and refused.all("Proxy-Authenticate")
    assert not carrier.invites()
    raised = sbc.acli("show alarms")
    assert "surrogate-credentials-refused" in raised and "auth-credentials-refused" in raised
