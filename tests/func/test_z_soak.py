"""
Soak: so many seconds (SBC_SOAK) of load with refreshing registrations; ./test.sh soak [SECONDS].

- No call fails, and after the last one no session and no port is left.
- A thousand calls are in progress and 10,000 AoRs registered all the time.
- Memory and descriptors are flat: the last quarter is as the first one after the warm-up, which lasts
  until the first transactions are forgotten (64*T1) and SQLite has filled its cache of pages (16 MiB).
- SBC_SOAK_RATE: calls a second. The default is half of what sbcd carries beside two SIPp and a registrar
  in Python on two cores.
"""
import os
import re
import statistics
import time

from peers.sipp import Answerer, Caller, numbers
from peers.trunk import Trunk

SECONDS = int(os.environ["SBC_SOAK"])
RATE = int(os.environ.get("SBC_SOAK_RATE", "200"))
LASTS = 5000     # [ms] each call: a thousand are in progress
WARM_UP = 120    # [s]
AORS = 5000      # of each tenant
GRANTED = 600    # [s]


def measure(pid):
    """(resident memory [KiB], descriptors, CPU used [s])"""
    memory = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
    ticks = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11:13]
    return memory, len(os.listdir(f"/proc/{pid}/fd")), sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def quarter(samples, which, column):
    n = max(len(samples) // 4, 1)
    return statistics.median(s[column] for s in (samples[:n] if which == "first" else samples[-n:]))


def test_an_hour_of_load_leaves_memory_and_descriptors_flat(sbc, peers, tmp_path):
    registrar = peers(Trunk, sbc.ip(15), sbc.ip(1))
    registrar.granted = GRANTED
    sbc.element("session-agent").append(
        {"hostname": "registrar.example", "ip-address": sbc.ip(15), "realm-id": "trunk"})
    for agent in sbc.element("surrogate-agent"):
        agent.update({"proxy-name": "registrar.example", "aor-count": str(AORS),
                      "register-user": "4930^^^^",
                      "register-contact-user": agent["register-contact-user"][0] + "-4930^^^^"})
    sbc.element("sip-config")["registration-rate"] = "2000"
    for n, pool in enumerate(sbc.element("steering-pool")):
        pool.update({"start-port": str(20000 + 4000 * n), "end-port": str(23999 + 4000 * n)})
    peers(Answerer, tmp_path, sbc.ip(11), trace=False)
    sbc.start(level="NOTICE").registered(2 * AORS, 60.0)

    count = RATE * (SECONDS + WARM_UP)
    caller = peers(Caller, tmp_path, sbc.ip(12), sbc.ip(2), "4930100", "pbx-a.local",
                   numbers(1000), count, RATE, LASTS, trace=False)
    begun, samples, seen = time.monotonic(), [], 0
    while time.monotonic() < begun + WARM_UP + SECONDS - 2:
        time.sleep(min(10, SECONDS / 12))   # between two samples
        assert caller.process.poll() is None, open(caller.errors).read()[-2000:]
        if time.monotonic() > begun + WARM_UP:
            samples.append(measure(sbc.process.pid))
        seen += len(registrar.seen)
        del registrar.seen[:], registrar.sent[:]   # what the peer keeps is not measured

    assert caller.wait(LASTS / 1000 + 60) == 0, open(caller.errors).read()[-3000:]
    counted = caller.counted()
    assert int(counted["SuccessfulCall(C)"]) == count and int(counted["FailedCall(C)"]) == 0
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0
    assert f"{2 * AORS} registered" in sbc.acli("show surrogate-agents")
    first, last = quarter(samples, "first", 0), quarter(samples, "last", 0)
    cpu = (samples[-1][2] - samples[0][2]) / max(len(samples) - 1, 1)
    print(f"{count} calls, {seen} messages at the registrar, memory {first:.0f} -> {last:.0f} KiB, "
          f"descriptors {quarter(samples, 'first', 1):.0f} -> {quarter(samples, 'last', 1):.0f}, "
          f"CPU {cpu:.2f} s between two samples")
    assert last <= first * 1.03 + 2048
    assert abs(quarter(samples, "last", 1) - quarter(samples, "first", 1)) <= \
        0.1 * quarter(samples, "first", 1)
