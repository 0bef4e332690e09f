"""
Activation under load (quality.md "reload under load").

- Hundreds of calls are in progress and more begin all the time; every second another configuration is
  activated: sip-ports, session-agents, pools, policies, credentials of routes and surrogate-agents come, go
  and change.
- No call is lost, none is repeated by our fault, and no registration that did not change is repeated.
- ./test.sh soak does a hundred activations with 1,000 calls in progress and 10,000 registrations.
"""
import os
import time

from peers.sipp import Answerer, Caller, numbers
from peers.trunk import Trunk

SOAK = "SBC_SOAK" in os.environ
SECONDS = min(int(os.environ.get("SBC_SOAK", "8")), 300)
RATE = 100 if SOAK else 40
LASTS = 10000 if SOAK else 3000  # [ms]: in progress are RATE times that
AORS = 5000 if SOAK else 10      # of each tenant
GRANTED = 3600                   # [s]: nothing falls due in the meantime


def registrar_elsewhere(sbc, peers):
    """REGISTERs go to a registrar of their own, which counts them"""
    registrar = peers(Trunk, sbc.ip(15), sbc.ip(1))
    registrar.granted = GRANTED
    sbc.element("session-agent").append(
        {"hostname": "registrar.example", "ip-address": sbc.ip(15), "realm-id": "trunk"})
    for agent in sbc.element("surrogate-agent"):
        agent.update({"proxy-name": "registrar.example", "register-expires": str(GRANTED),
                      "aor-count": str(AORS), "register-user": "493^^^^",
                      "register-contact-user": agent["register-contact-user"][0] + "-493^^^^"})
    return registrar


def wide_pools(sbc):
    for n, pool in enumerate(sbc.element("steering-pool")):
        pool.update({"start-port": str(20000 + 4000 * n), "end-port": str(23999 + 4000 * n)})


def variants(sbc):
    """Functions that change the configuration and each time back"""
    ports = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-b")["sip-ports"]
    policies, agents = sbc.element("local-policy"), sbc.element("session-agent")
    surrogates = sbc.element("surrogate-agent")
    entries = sbc.element("realm-config", "trunk")["auth-attributes"]
    pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "pbx-a")

    def toggle(items, item):
        items.remove(item) if item in items else items.append(item)

    def another_port():
        toggle(ports, {"address": sbc.ip(3), "port": "5090", "transport-protocol": "UDP",
                       "allow-anonymous": "agents-only"})

    def another_policy():
        toggle(policies, {"from-address": "*", "to-address": "0999", "source-realm": "pbx-a",
                          "policy-attributes": [{"next-hop": "pbx-b.example", "realm": "pbx-b"}]})

    def another_agent():
        toggle(agents, {"hostname": "other.example", "ip-address": sbc.ip(77), "realm-id": "trunk"})

    def limits():
        agent = next(a for a in agents if a["hostname"] == "pbx-a.example")
        agent.update({"constraints": "enabled", "max-sessions":
                      "5000" if agent.get("max-sessions") == "6000" else "6000"})

    def other_pool():
        pool["end-port"] = str(int(pool["end-port"]) ^ 2)

    def another_surrogate():
        toggle(surrogates, {"register-host": "c.trunk.example", "register-user": "4930400",
                            "realm-id": "pbx-b", "customer-next-hop": "pbx-b.example",
                            "proxy-name": "registrar.example", "auth-user": "reg-b",
                            "password": "secret-reg-b", "register-expires": str(GRANTED)})

    def what_no_binding_shows():
        for agent in surrogates[:2]:
            agent["register-retry-time"] = str(30 + int(agent["register-retry-time"]) % 100)
            agent["auth-methods"] = ["INVITE", "BYE"] if "auth-methods" not in agent else ["INVITE"]

    def credentials_of_routes():
        toggle(entries, {"auth-realm": "other.example", "auth-user-lookup": "tenA",
                         "username": "a1", "password": "secret-a1"})

    def the_registrar():
        agent = next(a for a in agents if a["hostname"] == "registrar.example")
        agent["max-sessions"] = "500" if agent.get("max-sessions") == "600" else "600"

    return [another_port, another_policy, another_agent, limits, other_pool, another_surrogate,
            what_no_binding_shows, credentials_of_routes, the_registrar]


def test_activation_every_second_loses_no_call_and_repeats_no_registration(sbc, peers, tmp_path):
    registrar = registrar_elsewhere(sbc, peers)
    wide_pools(sbc)
    peers(Answerer, tmp_path, sbc.ip(11))
    # 1000 records are shown at most
    sbc.config["session-router"]["account-config"] = {"generate-start": "None"}
    # NOTICE, as in service: hundreds of lines a second are no part of this
    if SOAK:
        sbc.element("sip-config")["registration-rate"] = "2000"
    sbc.start(level="NOTICE").registered(2 * AORS, 60.0)
    registers = len(registrar.registers())
    assert registers in range(2 * AORS, 4 * AORS + 1)

    count = RATE * SECONDS
    caller = peers(Caller, tmp_path, sbc.ip(12), sbc.ip(2), "4930001", "pbx-a.local",
                   numbers(1000), count, RATE, LASTS)
    changes, running = variants(sbc), 1
    end = time.monotonic() + SECONDS + LASTS / 1000 - 1
    while time.monotonic() < end:
        since = time.monotonic()
        changes[running % len(changes)]()
        running += 1
        output = sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
        assert f"Running is version {running}." in output
        time.sleep(max(0, since + 1 - time.monotonic()))  # the pace of the load, nothing is awaited

    assert running >= SECONDS // 2
    assert caller.wait(LASTS / 1000 + 40) == 0, open(caller.errors).read()[-3000:]
    counted = caller.counted()
    assert int(counted["SuccessfulCall(C)"]) == count and int(counted["FailedCall(C)"]) == 0
    # Nothing waited for an activation: a busy machine may be late now and then
    assert int(counted["Retransmissions(C)"]) <= count // 50
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
    came = [m for m in registrar.registers()[registers:] if m.host("To") != "c.trunk.example"]
    assert not came, f"{len(came)} registrations that did not change are repeated"
    assert len(registrar.registers()) > registers   # those of the one that came
    versions = {r["config-version"] for r in sbc.records(min(count, 1000))}
    assert len(versions) >= 3   # calls kept what they began with
