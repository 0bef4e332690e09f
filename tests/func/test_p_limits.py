"""
Limits of session-agents, realms and sip-interfaces (behaviour.md 1.5); customer next hops (4.9).
"""
import re
import time

import pytest


@pytest.fixture
def plain(trunk):
    """The trunk of the example, which asks calls for nothing"""
    trunk.invite_challenge = None
    return trunk


def retry_after(answer):
    return int(answer.get("Retry-After") or 0)


def constrained(sbc, **limits):
    sbc.config["session-router"]["session-constraints"] = [
        {"name": "small", **{k.replace("_", "-"): v for k, v in limits.items()}}]


def agent(sbc, name, **limits):
    sbc.element("session-agent", name).update(
        {"constraints": "enabled", **{k.replace("_", "-"): v for k, v in limits.items()}})


@pytest.mark.parametrize("where", ["realm-config", "sip-interface", "session-agent"])
def test_a_full_holder_answers_503_with_retry_after_until_a_call_ends(sbc, trunk, pbx_a, pbx_b,
                                                                      where):
    if where == "session-agent":
        agent(sbc, "pbx-a.example", max_sessions="1")
    else:
        constrained(sbc, max_sessions="1")
        sbc.element(where, "pbx-a")["constraint-name"] = "small"
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.status == 503 and 5 <= retry_after(refused) <= 10
    assert len(trunk.invites()) <= 2 and sbc.counter("show sipd errors", "CAC Session Drop") == 1
    pbx_b.calls("0301234").until_answered().hang_up()  # no other realm feels it
    first.hang_up()
    sbc.no_session_is_left()
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_burst_puts_it_in_violation_for_time_to_resume(sbc, trunk, pbx_a):
    agent(sbc, "pbx-a.example", max_inbound_burst_rate="2", burst_rate_window="1",
          time_to_resume="2")
    sbc.start()
    calls = [pbx_a.calls("0301234") for _ in range(3)]
    for call in calls[:2]:
        call.until_answered()
    refused = calls[2].until_refused()
    assert refused.status == 503 and 1 <= retry_after(refused) <= 2
    at = time.monotonic()
    sbc.waits("show sipd agents", r"(?m)^pbx-a.example\s+C\b")
    assert "session-agent-constraint" in sbc.acli("show alarms")
    again = pbx_a.calls("0301234").until_refused()
    assert again.status == 503 and retry_after(again) <= 2
    sbc.waits("show sipd agents", r"(?m)^pbx-a.example\s+I\b")
    assert time.monotonic() - at > 1.5
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.waits("show alarms history", r"session-agent-constraint")
    for call in calls[:2]:
        call.hang_up()


def test_a_full_trunk_is_skipped_for_the_next_route(sbc, trunk, pbx_a, pbx_b):
    agent(sbc, "trunk.example", max_outbound_sessions="1")
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "pbx-b.example", "realm": "pbx-b", "cost": "1"})
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    seen = len(trunk.invites())
    second = pbx_a.calls("0301234").until_answered()
    assert len(pbx_b.requests("INVITE")) == 1 and len(trunk.invites()) == seen
    second.hang_up()
    first.hang_up()


def test_sessions_towards_a_realm_count_too(sbc, trunk, pbx_a):
    constrained(sbc, max_outbound_sessions="1")
    sbc.element("realm-config", "trunk")["constraint-name"] = "small"
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    assert pbx_a.calls("0301234").until_refused().status == 503
    first.hang_up()
    sbc.no_session_is_left()
    pbx_a.calls("0301234").until_answered().hang_up()


def test_drop_response_is_silence(sbc, trunk, pbx_a):
    agent(sbc, "pbx-a.example", max_sessions="1", options=["dropResponse=503"])
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    second = pbx_a.calls("0301234")
    third = pbx_a.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>")
    pbx_a.send(third, pbx_a.sbc)
    pbx_a.wait(lambda m: m.status == 200 and m.call_id == third.call_id)
    assert second.statuses == []
    assert sbc.counter("show refusals", "take-capacity") >= 1
    first.hang_up()


def test_an_emergency_call_passes_the_limits(sbc, trunk, pbx_a):
    agent(sbc, "pbx-a.example", max_sessions="1")
    agent(sbc, "trunk.example", max_outbound_sessions="1")
    sbc.element("local-policy").append(
        {"from-address": "*", "to-address": "112", "source-realm": "pbx-a",
         "policy-priority": "emergency",
         "policy-attributes": [{"next-hop": "trunk.example", "realm": "trunk",
                                "auth-user-lookup": "tenA"}]})
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    assert pbx_a.calls("0301234").until_refused().status == 503
    help_ = pbx_a.calls("112").until_answered()
    help_.hang_up()
    first.hang_up()


def test_each_method_has_its_rate(sbc, trunk, pbx_a):
    agent(sbc, "pbx-a.example", burst_rate_window="60",
          rate_constraints=[{"method": "OPTIONS", "max-inbound-burst-rate": "1"}])
    sbc.start()
    answers = []
    for _ in range(61):
        options = pbx_a.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>")
        pbx_a.send(options, pbx_a.sbc)
        answers.append(pbx_a.wait(lambda m: m.status and m.call_id == options.call_id))
    assert [a.status for a in answers[:60]] == [200] * 60
    assert answers[60].status == 503 and 5 <= retry_after(answers[60]) <= 10
    pbx_a.calls("0301234").until_answered().hang_up()


def test_registers_of_a_session_agent_have_a_rate(sbc, trunk, pbx_a):
    agent(sbc, "pbx-a.example", max_register_burst_rate="1", register_burst_window="5")
    sbc.start()
    statuses = []
    for _ in range(7):
        register = pbx_a.request("REGISTER", f"sip:{sbc.ip(2)}", f"<sip:4930100@{sbc.ip(2)}>")
        pbx_a.send(register, pbx_a.sbc)
        statuses.append(pbx_a.wait(lambda m: m.status and m.call_id == register.call_id).status)
    assert 503 not in statuses[:5] and statuses[5:] == [503, 503]


def test_a_trunk_that_answers_too_rarely_is_left_alone(sbc, trunk, pbx_a):
    agent(sbc, "trunk.example", min_seizures="3", min_asr="50", time_to_resume="2")
    trunk.invite_answer = lambda m: trunk.reply(m, 486)
    sbc.start()
    for _ in range(3):
        assert pbx_a.calls("0301234").until_refused().status == 486
    seen = len(trunk.invites())
    assert pbx_a.calls("0301234").until_refused().status == 503
    assert len(trunk.invites()) == seen
    sbc.waits("show sipd agents", r"(?m)^trunk.example\s+C\b")
    sbc.waits("show sipd agents", r"(?m)^trunk.example\s+I\b")
    assert pbx_a.calls("0301234").until_refused().status == 486


@pytest.mark.parametrize("mode", ["automatic", "triggered"])
def test_a_silent_customer_next_hop_is_left_alone(sbc, trunk, pbx_a, mode):
    agents = sbc.element("session-agent")
    agents.remove(sbc.element("session-agent", "pbx-a.example"))
    surrogate = next(a for a in sbc.element("surrogate-agent")
                     if a["register-host"] == "a.trunk.example")
    surrogate["customer-next-hop"] = sbc.ip(12)
    surrogate["register-mode"] = mode
    surrogate["triggered-oos-response"] = "404"
    sbc.element("local-policy")[:] = [p for p in sbc.element("local-policy")
                                      if "pbx-a.example" not in str(p)]
    sbc.element("sip-config")["trans-expire"] = "1"
    sbc.start()
    if mode == "triggered":
        options = pbx_a.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>")
        pbx_a.send(options, pbx_a.sbc)
    sbc.registered()
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    pbx_a.deaf = True
    first = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_refused(within=4.0)
    assert first.status == 408
    seen = len(pbx_a.requests("INVITE"))
    second = trunk.calls(f"sip:a-4930106@{sbc.ip(1)}").until_refused()
    assert second.status == (480 if mode == "automatic" else 404)
    assert len(pbx_a.requests("INVITE")) == seen
    options = trunk.request("OPTIONS", f"sip:a-4930105@{sbc.ip(1)}", f"<sip:a-4930105@{sbc.ip(1)}>")
    trunk.send(options, trunk.sbc)
    assert trunk.wait(lambda m: m.status and m.call_id == options.call_id).status == 480


def with_bandwidth(kbit):
    return {"a=sendrecv": f"b=AS:{kbit}\r\na=sendrecv"}


def test_media_beyond_max_bandwidth_gets_503_or_the_next_route(sbc, trunk, pbx_a, pbx_b):
    sbc.element("realm-config", "trunk")["max-bandwidth"] = "170"
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "pbx-b.example", "realm": "pbx-b", "cost": "1"})
    sbc.start()
    calls = [pbx_a.calls("0301234").until_answered() for _ in range(2)]  # G.711: 80 kbit/s each
    seen = len(trunk.invites())
    third = pbx_a.calls("0301234").until_answered()
    assert len(trunk.invites()) == seen and len(pbx_b.requests("INVITE")) == 1
    third.hang_up()
    assert pbx_b.calls("0301234").until_refused().status == 503  # has no other route
    calls[0].hang_up()
    sbc.waits("show sessions", r"(?m)^1 session")
    pbx_b.calls("0301234").until_answered().hang_up()
    calls[1].hang_up()
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


@pytest.mark.crosses("media that does not pass the SBC")
@pytest.mark.parametrize("counts", ["disabled", "enabled"])
def test_media_that_goes_directly_counts_where_that_is_wanted(sbc, plain, pbx_a, counts):
    """bw-cac-non-mm, configuration.md 2.2"""
    sbc.element("realm-config", "trunk").update({"max-bandwidth": "100", "bw-cac-non-mm": counts})
    sbc.config["media-manager"]["media-manager"] = {"state": "disabled"}
    sbc.start()
    first = pbx_a.calls("0301234").until_answered()
    if counts == "enabled":
        assert pbx_a.calls("0301234").until_refused().status == 503
    else:
        pbx_a.calls("0301234").until_answered().hang_up()
    first.hang_up()
    sbc.no_session_is_left()
    pbx_a.calls("0301234").until_answered().hang_up()


def test_realms_that_ring_together_have_room_each_for_itself(sbc, plain, pbx_a, pbx_b):
    sbc.element("realm-config", "pbx-b")["max-bandwidth"] = "100"
    policy = sbc.policy("pbx-a")
    policy["parallel-forking"] = "enabled"
    policy["policy-attributes"].append({"next-hop": "pbx-b.example", "realm": "pbx-b"})
    plain.answers, pbx_b.answers = [180], [180, 200]
    sbc.start().registered()
    first = pbx_a.calls("0301234").until_answered()
    assert len(plain.invites()) == len(pbx_b.requests("INVITE")) == 1
    # no room is left at PBX B: the trunk rings alone
    plain.answers = [180, 200]
    second = pbx_a.calls("0301234").until_answered()
    assert len(plain.invites()) == 2 and len(pbx_b.requests("INVITE")) == 1
    for call in (first, second):
        call.hang_up()
    sbc.no_session_is_left()
    plain.answers = [180]
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(pbx_b.requests("INVITE")) == 2


def test_a_reinvite_beyond_max_bandwidth_gets_488_and_the_call_stays(sbc, trunk, pbx_a):
    sbc.element("realm-config", "pbx-a")["max-bandwidth"] = "100"
    sbc.start()
    call = pbx_a.calls("0301234", body=pbx_a.sdp(**with_bandwidth(64))).until_answered()
    larger = call.within_dialog("INVITE", pbx_a.sdp(**with_bandwidth(101)))
    refused = call.answer_to(larger)
    assert refused.status == 488
    again = call.within_dialog("INVITE", pbx_a.sdp(**with_bandwidth(100)))
    final = call.answer_to(again)
    assert final.status == 200
    call.ack_to(again, final)
    assert pbx_a.calls("0301234").until_refused().status == 503
    call.hang_up()
