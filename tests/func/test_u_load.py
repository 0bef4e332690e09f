"""
Activation under load (quality.md "reload under load").

- Hundreds of calls are in progress and more begin all the time; every second another configuration is
  activated: sip-ports, agents, pools, policies, a tenant come and go.
- No call is lost, none is repeated by our fault, and no registration that did not change is repeated.
- ./test.sh soak does the same for longer and with more calls.
"""
import os
import time

from peers.sipp import Answerer, Caller, numbers
from peers.trunk import Trunk

SECONDS = min(int(os.environ.get("SBC_SOAK", "8")), 300)
RATE = 100 if "SBC_SOAK" in os.environ else 40
LASTS = 10000 if "SBC_SOAK" in os.environ else 3000  # [ms]: in progress are RATE times that


def registrar_elsewhere(sbc, peers):
    """REGISTERs go to a registrar of their own, which counts them"""
    registrar = peers(Trunk, sbc.ip(15), sbc.ip(1))
    sbc.element("session-agent").append(
        {"hostname": "registrar.example", "ip-address": sbc.ip(15), "realm-id": "trunk"})
    for agent in sbc.element("surrogate-agent"):
        agent["proxy-name"] = "registrar.example"
    return registrar


def wide_pools(sbc):
    for n, pool in enumerate(sbc.element("steering-pool")):
        pool.update({"start-port": str(20000 + 4000 * n), "end-port": str(23999 + 4000 * n)})


def variants(sbc):
    """Functions that change the configuration and each time back"""
    ports = next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-b")["sip-ports"]
    policies, agents = sbc.element("local-policy"), sbc.element("session-agent")
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

    return [another_port, another_policy, another_agent, limits, other_pool]


def test_activation_every_second_loses_no_call_and_repeats_no_registration(sbc, peers, tmp_path):
    registrar = registrar_elsewhere(sbc, peers)
    wide_pools(sbc)
    peers(Answerer, tmp_path, sbc.ip(11))
    # NOTICE, as in service: hundreds of lines a second are no part of this
    sbc.start(level="NOTICE").registered()
    registers = len(registrar.registers())
    assert registers in range(20, 41)

    count = RATE * SECONDS
    caller = peers(Caller, tmp_path, sbc.ip(12), sbc.ip(2), "4930100", "pbx-a.local",
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
    # SECONDS are far below the first refresh point of 600 s granted, 300 s
    if SECONDS < 200:
        assert len(registrar.registers()) == registers
    versions = {r["config-version"] for r in sbc.records(min(count, 1000))}
    assert len(versions) >= 3   # calls kept what they began with
