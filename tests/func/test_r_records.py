"""
What is told of the credentials of a call: show sessions, call records (behaviour.md 6.2, acli.md 5.3).
"""
import os
import re

import pytest

from peers.rtp import Rtp, media


def source(said):
    return tuple(said.get(n, "") for n in ("auth-source", "auth-realm", "auth-user-lookup",
                                           "auth-user", "challenges"))


def without_lookup(sbc):
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")


def without_agent_a(sbc):
    agents = sbc.element("surrogate-agent")
    agents[:] = [a for a in agents if a["register-host"] != "a.trunk.example"]


def with_entry(sbc, trunk, name):
    agent = sbc.element("session-agent", name)
    agent["auth-attributes"] = [
        {"auth-realm": "trunk.example", "username": "t1", "password": "secret-t1"}]
    trunk.passwords["t1"] = "secret-t1"


def prepare(sbc, trunk, case):
    if case in ("surrogate", "surrogate entry", "egress", "ingress", "passed"):
        without_lookup(sbc)
    if case == "surrogate entry":
        sbc.element("surrogate-agent", "a.trunk.example")["auth-user-lookup"] = "tenA"
    if case in ("egress", "ingress", "passed"):
        without_agent_a(sbc)
    if case == "egress":
        with_entry(sbc, trunk, "trunk.example")
    if case == "ingress":
        with_entry(sbc, trunk, "pbx-a.example")
    if case == "missing":
        sbc.policy("pbx-a")["policy-attributes"][0]["auth-user-lookup"] = "tenX"
    if case == "refused":
        trunk.passwords["a1"] = "secret-other"
    if case == "none":
        trunk.invite_challenge = None


ANSWERED = {
    "policy": ("policy", "trunk.example", "tenA", "a1", "1"),
    "surrogate": ("surrogate", "trunk.example", "", "reg-a", "1"),
    "surrogate entry": ("surrogate", "trunk.example", "tenA", "a1", "1"),
    "egress": ("egress-agent", "trunk.example", "", "t1", "1"),
    "ingress": ("ingress-agent", "trunk.example", "", "t1", "1"),
    "none": ("none", "", "", "", "0"),
}
REFUSED = {
    "missing": ("failed", "trunk.example", "tenX", "", "1"),
    "refused": ("failed", "trunk.example", "tenA", "a1", "2"),
    "passed": ("passed", "", "", "", "1"),
}


@pytest.mark.parametrize("case", ANSWERED)
def test_the_credential_that_answered_is_shown_and_recorded(sbc, trunk, pbx_a, case):
    prepare(sbc, trunk, case)
    if case == "surrogate":
        # A nonce of its REGISTER would answer ahead
        trunk.register_challenge = None
    sbc.start().registered(10 if case in ("egress", "ingress") else 20)
    call = pbx_a.calls("0301234").until_answered()
    said = sbc.session()
    wanted = ANSWERED[case]
    shown = tuple(said.get(n, "") for n in ("auth source", "auth realm", "auth user lookup",
                                            "auth user", "challenges"))
    assert shown == wanted
    call.hang_up()
    sbc.no_session_is_left()
    record = sbc.records()[0]
    assert source(record) == wanted
    assert record["record-type"] == "stop" and record["status"] == "200"
    if case not in ("egress", "ingress"):
        assert record["surrogate-aor"] == "4930100@a.trunk.example"


@pytest.mark.parametrize("case", REFUSED)
def test_what_became_of_the_challenge_of_a_refused_call_is_recorded(sbc, trunk, pbx_a, case):
    prepare(sbc, trunk, case)
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 407
    record = sbc.records()[0]
    assert source(record) == REFUSED[case]
    assert (record["record-type"], record["status"], record["reason"]) == \
        ("attempt", "407", "unauthorized")


def test_credentials_sent_ahead_are_recorded_without_a_challenge(sbc, trunk, pbx_a):
    sbc.start()
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    call = pbx_a.calls("0301234").until_answered()
    said = sbc.session()
    assert (said["auth source"], said["auth user"], said["challenges"]) == ("policy", "a1", "0")
    call.hang_up()
    assert source(sbc.records(2)[0]) == ("policy", "trunk.example", "tenA", "a1", "0")


def test_a_challenged_bye_of_a_call_from_the_trunk_is_recorded(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    taken = pbx_a.takes()
    trunk.dialog_challenge = trunk.invite_challenge
    taken.answer_to(taken.send("BYE"))
    sbc.no_session_is_left()
    assert source(sbc.records()[0]) == ("policy", "trunk.example", "tenA", "a1", "1")


def test_a_challenge_of_a_bye_does_not_change_who_answered_the_invite(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.dialog_challenge = trunk.invite_challenge
    trunk.nonces = {nonce: 1 << 32 for nonce in trunk.nonces}
    trunk.passwords["a1"] = "secret-other"
    call.hang_up()
    sbc.no_session_is_left()
    assert source(sbc.records()[0]) == ("policy", "trunk.example", "tenA", "a1", "3")


@pytest.mark.parametrize("realm", ["pbx-a", "trunk"])
def test_a_realm_without_accounting_has_no_records(sbc, trunk, pbx_a, pbx_b, realm):
    sbc.element("realm-config", realm)["accounting-enable"] = "disabled"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    trunk.answers = [486]
    pbx_a.calls("0301234").until_refused()
    trunk.answers = [180, 200]
    pbx_b.calls("0309999").until_answered().hang_up()
    if realm == "pbx-a":
        record, = sbc.records(1)
        assert record["called-number"] == "0309999"
    sbc.stop()
    sbc.start(configured=False)
    found = re.findall(r"record-type +(\w+)", sbc.acli("show records 10"))
    assert found == (["stop", "start"] if realm == "pbx-a" else [])


def test_a_realm_without_qos_has_no_packets_in_its_records(sbc, trunk, pbx_a, peers):
    sbc.element("realm-config", "trunk")["qos-enable"] = "disabled"
    sbc.start().registered()
    speaker, hearer = peers(Rtp, pbx_a.ip), peers(Rtp, trunk.ip)
    pbx_a.media_port, trunk.media_port = speaker.port, hearer.port
    call = pbx_a.calls("0301234").until_answered()
    for sender, to, receiver in ((speaker, media(call.final), hearer),
                                 (hearer, media(trunk.invites()[-1]), speaker)):
        sender.sends(to, count=5)
        assert len(receiver.hears(5)) == 5
    call.hang_up()
    record, = sbc.records()
    assert (record["in-packets"], record["out-packets"]) == ("5", "0")


def test_no_password_stands_anywhere_but_in_the_yaml(sbc, trunk, pbx_a, pbx_b):
    trunk.dialog_challenge = trunk.invite_challenge
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.passwords["b1"] = "secret-other"
    pbx_b.calls("0301234").until_refused()
    said = sbc.acli("show sessions", "show surrogate-agents detail", "show records", "show alarms",
                    "show running-config", "show sipd authentication",
                    *(f"test-credentials source-realm pbx-{t} from-address "
                      f"sip:4930100@pbx-{t}.local to-address sip:0301234@{sbc.ip(2)} "
                      "auth-realm trunk.example" for t in "ab"))
    call.hang_up()
    sbc.no_session_is_left()
    assert sbc.records(2)
    sbc.stop()
    assert "secret-" not in said
    for message in trunk.seen + pbx_a.seen + pbx_b.seen:
        assert "secret-" not in repr(message)
    for name in os.listdir(sbc.folder):
        if name != "sbc.yaml" and os.path.isfile(f"{sbc.folder}/{name}"):
            assert b"secret-" not in open(f"{sbc.folder}/{name}", "rb").read(), name
