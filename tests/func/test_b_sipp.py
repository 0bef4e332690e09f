"""
SIPp as PBX and as trunk: many calls through the SBC with random numbers.

- A few hundred calls at 100 a second, none fails and nothing is repeated by the SBC's fault.
- The same while Kamailio challenges each first INVITE of a nonce with 407 (MD5, SHA-256).
- After the last call no session and no port is left, and each call has its record.
"""
import pytest

from peers.kamailio import Kamailio
from peers.sipp import Answerer, Caller, numbers

CALLS, RATE = 300, 100


def calls(sbc, peers, folder, tenant="a", host=12):
    return peers(Caller, folder, sbc.ip(host), sbc.ip(host - 10), "4930100",
                 f"pbx-{tenant}.local", numbers(CALLS), CALLS, RATE)


def settle(sbc, caller, count=CALLS):
    assert caller.wait(40) == 0, open(caller.errors).read()[-3000:]
    counted = caller.counted()
    assert int(counted["SuccessfulCall(C)"]) == count
    assert int(counted["FailedCall(C)"]) == 0
    # a busy machine may be late now and then
    assert int(counted["Retransmissions(C)"]) <= count // 100
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_hundreds_of_calls_reach_a_trunk_that_does_not_challenge(sbc, peers, tmp_path):
    sbc.element("surrogate-agent").clear()
    peers(Answerer, tmp_path, sbc.ip(11))
    sbc.start()
    settle(sbc, calls(sbc, peers, tmp_path))
    assert len(sbc.records(CALLS)) == CALLS


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_hundreds_of_calls_prove_themselves_to_kamailio(sbc, peers, tmp_path, algorithm):
    peers(Kamailio, tmp_path, sbc.ip(11), sbc.ip(14), algorithm=algorithm)
    peers(Answerer, tmp_path, sbc.ip(14))
    sbc.start().registered()
    settle(sbc, calls(sbc, peers, tmp_path))
    assert {r.get("auth-user") for r in sbc.records(CALLS)} == {"a1"}


def test_both_tenants_at_once_use_their_own_credentials(sbc, peers, tmp_path):
    peers(Kamailio, tmp_path, sbc.ip(11), sbc.ip(14))
    peers(Answerer, tmp_path, sbc.ip(14))
    # 1000 records are shown at most
    sbc.config["session-router"]["account-config"] = {"generate-start": "None"}
    sbc.start().registered()
    both = [calls(sbc, peers, tmp_path), calls(sbc, peers, tmp_path, "b", 13)]
    for caller in both:
        settle(sbc, caller)
    users = {(r["ingress-realm"], r.get("auth-user")) for r in sbc.records(2 * CALLS)}
    assert users == {("pbx-a", "a1"), ("pbx-b", "b1")}


def test_hundreds_of_calls_reach_a_pbx(sbc, trunk, peers, tmp_path):
    """From the trunk's address to a registered contact, answered by SIPp as PBX A"""
    sbc.start().registered()
    trunk.close()
    peers(Answerer, tmp_path, sbc.ip(12))
    caller = peers(Caller, tmp_path, sbc.ip(11), sbc.ip(1), "0301234", "trunk.example",
                   [f"a-493010{n % 10}" for n in range(CALLS)], CALLS, RATE)
    settle(sbc, caller)
