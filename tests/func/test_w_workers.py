"""
Several signalling workers (configuration.md 2.7, sip-workers).

- All that is one tenant's happens on one worker, so that tenants share the work and nothing else.
- What is said by hand, what is shown and what is counted is of all of them.
"""
import re

import pytest
from peers.pbx import Pbx

WORKERS = 4
TENANTS = 8


@pytest.fixture
def many(sbc):
    """More tenants than workers, each a realm with a surrogate-agent and an interface of its own"""
    sbc.element("sip-config")["sip-workers"] = str(WORKERS)
    for n in range(TENANTS):
        realm = f"tenant-{n}"
        sbc.element("realm-config").append({"identifier": realm})
        sbc.element("sip-interface").append(
            {"realm-id": realm, "sip-ports": [{"address": sbc.ip(40 + n), "allow-anonymous": "agents-only"}]})
        sbc.element("session-agent").append(
            {"hostname": f"{realm}.example", "ip-address": sbc.ip(60 + n), "realm-id": realm})
        sbc.element("steering-pool").append(
            {"ip-address": sbc.ip(40 + n), "start-port": "20000", "end-port": "20099", "realm-id": realm})
        sbc.element("local-policy").append(
            {"from-address": "*", "to-address": "*", "source-realm": realm,
             "policy-attributes": [{"next-hop": "trunk.example", "realm": "trunk",
                                    "auth-user-lookup": "tenA"}]})
        sbc.element("surrogate-agent").append(
            {"register-host": f"{realm}.trunk.example", "register-user": "49302^^", "realm-id": realm,
             "customer-next-hop": f"{realm}.example", "proxy-name": "trunk.example",
             "register-contact-user": f"t{n}-49302^^", "aor-count": "5",
             "auth-user": "reg-a", "password": "secret-reg-a"})
    return sbc


def workers_of(sbc):
    return re.findall(r"(?m)^(sip-\d+) ", sbc.acli("show processes cpu"))


def test_each_worker_is_a_thread_of_its_own(many, trunk):
    many.start()
    assert workers_of(many) == [f"sip-{n}" for n in range(WORKERS)]


def test_all_tenants_register_once_and_are_shown_together(many, trunk):
    many.start().registered(20 + 5 * TENANTS)
    contacts = [m.all("Contact")[0] for m in trunk.registers() if m.get("Authorization")]
    assert len(contacts) == len(set(contacts)) == 20 + 5 * TENANTS
    shown = many.acli("show surrogate-agents")
    assert len(set(re.findall(r"(?m)^(\d+@\S+)", shown))) == 20 + 5 * TENANTS


@pytest.mark.parametrize("host", range(0, TENANTS, 3))
def test_a_tenant_calls_and_is_called(many, trunk, peers, host):
    many.start().registered(20 + 5 * TENANTS)
    pbx = peers(Pbx, many.ip(60 + host), many.ip(40 + host), f"tenant-{host}.local")
    pbx.calls("0301234", user="4930203").until_answered().hang_up()
    trunk.calls(f"sip:t{host}-4930203@{many.ip(1)}").until_answered().hang_up()
    assert pbx.requests("INVITE")[-1].start.startswith("INVITE sip:4930203@")
    many.no_session_is_left()
    assert many.ports_used() == 0


def test_what_is_ordered_by_hand_reaches_the_worker_that_has_it(many, trunk):
    many.start().registered(20 + 5 * TENANTS)
    before = len(trunk.registers())
    for n in range(TENANTS):
        many.acli(f"notify sipd register tenant-{n}.trunk.example 49302^^ tenant-{n} 4930201")
    trunk.wait(lambda m: len(trunk.registers()) >= before + TENANTS)
    again = {m.get("To") for m in trunk.registers()[before:]}
    assert len(again) == TENANTS


def activate(sbc):
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")


def test_calls_go_on_while_a_tenant_comes_and_goes(many, trunk, pbx_a):
    many.start().registered(20 + 5 * TENANTS)
    call = pbx_a.calls("0301234").until_answered()
    gone = many.element("surrogate-agent").pop()
    activate(many)
    many.waits("show registration", rf"Surrogate Regs +{15 + 5 * TENANTS}\b")
    many.element("surrogate-agent").append(gone)
    activate(many)
    many.registered(20 + 5 * TENANTS)
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    call.hang_up()
    many.no_session_is_left()
