"""
Registrations for PBXs that cannot register (behaviour.md 7.2, 1-14; long waits are in virtual time in
tests/unit/test_sbc_surrogates.c).

- What a REGISTER looks like, how its challenge is answered, when it is refreshed.
- What stays over `kill -9`, a new password, an orderly end.
- What refusals, 302, 423, 503, silence and odd 200s do, and that they do not touch other tenants.
- Triggered mode.
"""
import json
import re
import sqlite3
import subprocess
import time

import pytest

from peers.dns import Dns
from peers.trunk import Trunk

NUMBERS = [f"493010{n}" for n in range(10)]
AGENT_A = "a.trunk.example 493010^ pbx-a"
BOTH = [(number, f"{tenant}.trunk.example") for tenant in "ab" for number in NUMBERS]


# --- what the tests ask

def aor(message):
    return message.user("To"), message.host("To")


def of_tenant(messages, tenant):
    return [m for m in messages if m.host("To") == f"{tenant}.trunk.example"]


def by_aor(messages):
    """{(user, host): [its REGISTERs in their order]}"""
    groups = {}
    for message in messages:
        groups.setdefault(aor(message), []).append(message)
    return groups


def rows(sbc):
    """What is stored: {aor: row}; columns as sqlite names them"""
    db = sqlite3.connect(f"file:{sbc.folder}/sbc.db?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    found = {row["aor"]: dict(row) for row in db.execute("SELECT * FROM registration")}
    db.close()
    return found


def stored(sbc, count=20, within=5.0):
    """The rows, as soon as so many have a refresh point"""
    limit = time.monotonic() + within
    while True:
        found = rows(sbc)
        if sum(1 for row in found.values() if row["refresh"]) == count:
            return found
        assert time.monotonic() < limit, found
        time.sleep(0.02)


def lines(sbc):
    """show surrogate-agents: {aor: (state, last answer, next try [s], failures in a row)}"""
    found = {}
    for line in sbc.acli("show surrogate-agents").splitlines():
        words = line.split()
        if len(words) >= 8 and "@" in words[0]:
            _, last, next_try, tries = words[-4:]
            found[words[0]] = (words[3], last, seconds(next_try), int(tries))
    return found


def seconds(text):
    """353s, 5m12s, - as a number"""
    total, digits = 0, ""
    for c in text:
        if c.isdigit():
            digits += c
        elif c in "hms" and digits:
            total, digits = total + int(digits) * {"h": 3600, "m": 60, "s": 1}[c], ""
    return total


def one_aor_each(sbc):
    for agent in sbc.element("surrogate-agent"):
        agent["aor-count"] = "1"


# --- 1 to 3: what is sent

def test_the_example_verifies(sbc):
    result = subprocess.run([f"{sbc.build}/sbcd", "--verify", sbc.write()], capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "ERROR" not in result.stdout + result.stderr


def test_every_aor_registers_under_its_own_name(sbc, trunk):
    sbc.start().registered()
    groups = by_aor(trunk.registers())
    assert sorted(groups) == sorted(BOTH)
    for (number, domain), registers in groups.items():
        for register in registers:
            assert register.start == f"REGISTER sip:{domain} SIP/2.0"
            assert register.source == (sbc.ip(1), 5060)
            assert register.get("From").startswith(f"<sip:{number}@{domain}>;tag=")
            assert register.get("To") == f"<sip:{number}@{domain}>"
            assert register.contact == f"sip:{domain[0]}-{number}@{sbc.ip(1)}"
            assert len(register.all("Contact")) == 1 and "*" not in register.get("Contact")
            assert register.get("Expires") == "600"
            # 4.1: the proxy-name agent, and nobody else
            assert [r.split(";")[0] for r in register.all("Route")] == ["<sip:trunk.example"]
    tags = {r[0].tag("From") for r in groups.values()}
    calls = {r[0].call_id for r in groups.values()}
    assert len(tags) == len(calls) == 20


def test_a_challenge_is_answered_with_the_agents_own_user(sbc, trunk):
    sbc.element("sip-config")["registration-rate"] = "100"
    sbc.start().registered()
    registers = trunk.registers()
    assert len(registers) <= 40
    for group in by_aor(registers).values():
        assert len({(m.call_id, m.tag("From")) for m in group}) == 1
        assert [m.cseq for m in group] == list(range(group[0].cseq, group[0].cseq + len(group)))
        users = [c["username"] for m in group for c in trunk.credentials(m)]
        assert set(users) == {"reg-a" if group[0].host("To")[0] == "a" else "reg-b"}
    times = [m.time for m in registers]
    assert all(sum(1 for t in times if begin <= t < begin + 1) <= 100 for begin in times)
    assert sbc.counter("show registration", "Surrogate Regs") == 20
    assert sbc.counter("show registration", "Surrogate Sent") == len(registers)


def test_one_nonce_serves_the_aors_of_an_agent_with_rising_nc(sbc, trunk):
    sbc.start().registered()
    for tenant in "ab":
        used = [(c["nonce"], int(c["nc"], 16)) for m in of_tenant(trunk.registers(), tenant)
                for c in trunk.credentials(m)]
        assert len(set(used)) == len(used), "the same nc twice"
    # The whole of it is only worth something when not everybody was challenged
    challenged = [m for m in trunk.registers() if not trunk.credentials(m)]
    assert len(challenged) < 20


def test_refreshes_are_spread_over_50_to_90_percent_of_the_granted_time(sbc, trunk):
    sbc.start().registered()
    assert all(300 - 3 <= next_try <= 540 for _, _, next_try, _ in lines(sbc).values())
    found = stored(sbc)
    for row in found.values():
        assert 60 <= row["expires"] - row["refresh"] <= 300, row
    assert len({row["refresh"] for row in found.values()}) >= 15


def test_a_refresh_carries_credentials_in_its_first_register(sbc, trunk):
    one_aor_each(sbc)
    trunk.granted = 2      # below 20 s: at half of it
    sbc.start().registered(2)
    seen = list(trunk.seen)
    since = len(seen)
    for tenant in "ab":
        before = of_tenant([m for m in seen if m.method == "REGISTER"], tenant)[-1]
        refresh = trunk.wait(lambda m: m.host("To") == f"{tenant}.trunk.example", 3.0, since)
        assert refresh.call_id == before.call_id
        assert refresh.tag("From") == before.tag("From")
        assert refresh.cseq == before.cseq + 1
        assert trunk.credentials(refresh)[0]["username"] == f"reg-{tenant}"
        assert 0.8 <= refresh.time - before.time < 2


def test_each_aor_is_refreshed_at_a_time_of_its_own(sbc, trunk):
    """20 s are granted instead of 600: the shortest time that is refreshed at random"""
    trunk.granted = 20
    sbc.start().registered()
    first = {key: max(m.time for m in group) for key, group in by_aor(trunk.registers()).items()}
    since = len(trunk.seen)
    again = {key: trunk.wait(lambda m: m.method == "REGISTER" and aor(m) == key, 20.0, since)
             for key in first}
    for key, refresh in again.items():
        assert 9.8 <= refresh.time - first[key] < 20
        assert trunk.credentials(refresh), refresh
    moments = sorted(m.time for m in again.values())
    assert len(set(moments)) == 20 and moments[-1] - moments[0] > 2.0


# --- 4: restart

def test_after_kill_9_a_call_works_at_once_and_nothing_is_registered_again(sbc, trunk, pbx_a):
    sbc.start().registered()
    stored(sbc)
    sbc.kill()
    since = len(trunk.seen)
    sbc.start(configured=False)
    assert {state for state, *_ in lines(sbc).values()} == {"registered"}
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert call.answer_to(call.within_dialog("BYE")).status == 200
    assert not [m for m in trunk.seen[since:] if m.method == "REGISTER"]


def test_after_kill_9_each_aor_goes_on_where_it_was(sbc, trunk):
    trunk.granted = 5
    sbc.start().registered()
    points = {key: row["refresh"] for key, row in stored(sbc).items()}
    sbc.kill()
    before = by_aor(trunk.registers())
    since, offset = len(trunk.seen), time.time() - time.monotonic()
    sbc.start(configured=False)
    for key in BOTH:
        after = trunk.wait(lambda m: m.method == "REGISTER" and aor(m) == key, 5.0, since)
        last = before[key][-1]
        assert (after.call_id, after.tag("From")) == (last.call_id, last.tag("From"))
        assert after.cseq > max(m.cseq for m in before[key])
        assert after.contact == last.contact
        point = next(p for k, p in points.items() if k.startswith("@".join(key)))
        assert after.time + offset >= point - 0.05
    sbc.registered()


def test_a_crash_in_the_middle_never_lets_cseq_fall(sbc, trunk):
    one_aor_each(sbc)
    trunk.granted = 2
    highest = 0
    for _ in range(3):
        sbc.start(configured=not sbc.logs).registered(2)
        stored(sbc, 2)
        sbc.kill()
        mine = by_aor(trunk.registers())[BOTH[0]]
        assert [m.cseq for m in mine] == sorted({m.cseq for m in mine})
        assert mine[-1].cseq >= highest
        highest = mine[-1].cseq
    assert len({m.call_id for m in mine}) == 1


# --- 5, 6, 7: registrar down, wrong password, new password

def test_a_registrar_that_was_down_is_noticed_by_one_and_followed_by_all(sbc, trunk):
    sbc.element("sip-config")["trans-expire"] = "1"
    trunk.deaf = True
    sbc.start()
    sbc.waits("show surrogate-agents", r"20 backoff", 12.0)
    sbc.waits("show alarms", "surrogate-registrar-unreachable")
    for _, _, next_try, tries in lines(sbc).values():
        assert tries >= 1 and next_try <= 38
    trunk.deaf = False
    sbc.acli(f"notify sipd register {AGENT_A} 4930104")
    sbc.registered()
    sbc.no_alarm_is_left()


def test_bindings_outlive_a_registrar_that_is_down(sbc, trunk, pbx_a):
    sbc.element("sip-config")["trans-expire"] = "1"
    one_aor_each(sbc)
    trunk.granted = 6
    sbc.start().registered(2)
    trunk.deaf = True
    since = len(trunk.seen)
    trunk.wait(lambda m: m.method == "REGISTER", 5.0, since)
    sbc.waits("show alarms", "surrogate-registrar-unreachable", 5.0)
    assert {state for state, *_ in lines(sbc).values()} == {"registered"}
    sbc.waits("show surrogate-agents", r"2 (backoff|registering)", 8.0)
    trunk.deaf = False
    # Nobody gives an order: the next try of one notices it, and the other follows
    sbc.registered(2, within=12.0)
    sbc.no_alarm_is_left()


def test_three_failures_of_an_aor_raise_an_alarm_that_ends_with_its_registration(sbc, trunk):
    sbc.element("sip-config")["trans-expire"] = "1"
    one_aor_each(sbc)
    trunk.deaf = True
    sbc.start()
    for tries in (1, 2, 3):
        sbc.waits("show surrogate-agents", rf"4930100@a\.trunk\.example .* {tries}\s*\n", 5.0)
        _, _, next_try, _ = lines(sbc)["4930100@a.trunk.example"]
        assert 30 * 2 ** (tries - 1) * 0.75 - 2 <= next_try <= 30 * 2 ** (tries - 1) * 1.25 + 1  # shown in whole seconds
        raised = sbc.acli("show alarms")
        assert "surrogate-registrar-unreachable" in raised
        assert ("surrogate-registration-failed" in raised) == (tries == 3)
        if tries < 3:
            sbc.acli(f"notify sipd register {AGENT_A} 4930100")
    trunk.deaf = False
    sbc.acli(f"notify sipd register {AGENT_A} 4930100")
    sbc.registered(2)
    sbc.no_alarm_is_left()


def test_a_wrong_password_stops_one_tenant_and_not_the_other(sbc, trunk, pbx_a, pbx_b):
    trunk.passwords["reg-a"] = "another"
    sbc.start()
    sbc.waits("show surrogate-agents", r"10 registered, 10 refused|10 refused.*10 registered", 8.0)
    groups = by_aor(of_tenant(trunk.registers(), "a"))
    assert len(groups) == 10 and all(len(group) == 2 for group in groups.values())
    for name, (state, last, next_try, _) in lines(sbc).items():
        if name.endswith("a.trunk.example"):
            assert (state, last) == ("refused", "401") and next_try >= 290
        else:
            assert state == "registered"
    assert "surrogate-credentials-refused" in sbc.acli("show alarms")
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.start == "SIP/2.0 503 Registration Refused"
    pbx_b.calls("0301234").until_answered().hang_up()
    assert not of_tenant(trunk.invites(), "a")


def test_each_change_of_state_is_a_line_with_what_it_was_for(sbc, trunk):
    """4.3: AoR, registrar, code, reason and time of the next try"""
    one_aor_each(sbc)
    trunk.passwords["reg-a"] = "another"
    sbc.start(level="DEBUG")
    sbc.waits("show surrogate-agents", "1 refused")
    sbc.logs_line("from=registering to=refused")
    told = [line for line in open(sbc.log) if "reg-state aor=4930100@a." in line]
    parts = [re.search(r"aor=(\S+) registrar=(\S+) from=(\S+) to=(\S+) code=(\d+) "
                       r'reason="?([^"]*)"? next=(\d+)', line).groups() for line in told]
    assert [p[2:4] for p in parts] == [("disabled", "waiting"), ("waiting", "registering"),
                                       ("registering", "refused")]
    assert all(p[:2] == ("4930100@a.trunk.example", "trunk.example|trunk") for p in parts)
    assert parts[-1][4:6] == ("401", "credentials refused")
    assert 295 <= int(parts[-1][6]) <= 330


def test_a_new_password_registers_its_agent_at_once_and_no_other(sbc, trunk, pbx_a):
    trunk.passwords["reg-a"] = "secret-new"
    sbc.start()
    sbc.waits("show surrogate-agents", r"10 registered, 10 refused|10 refused.*10 registered", 8.0)
    before = by_aor(trunk.registers())
    stored(sbc)
    sbc.stop()
    sbc.element("surrogate-agent", "a.trunk.example")["password"] = "secret-new"
    since = len(trunk.seen)
    sbc.start().registered()
    sent = [m for m in trunk.seen[since:] if m.method == "REGISTER"]
    assert sorted(by_aor(sent)) == [key for key in sorted(BOTH) if key[1][0] == "a"]
    for key, group in by_aor(sent).items():
        assert group[0].call_id == before[key][-1].call_id
        assert group[0].cseq > before[key][-1].cseq
    sbc.no_alarm_is_left()
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_refused_agent_stays_refused_over_a_restart_with_the_same_file(sbc, trunk):
    one_aor_each(sbc)
    trunk.passwords["reg-a"] = "another"
    sbc.start()
    sbc.waits("show surrogate-agents", "1 registered, 1 refused|1 refused, 1 registered")
    limit = time.monotonic() + 5.0
    while {row["failures"] for row in rows(sbc).values()} != {0, 1}:
        assert time.monotonic() < limit, rows(sbc)
        time.sleep(0.02)
    sbc.stop()
    since = len(trunk.seen)
    sbc.start()
    state, _, next_try, _ = lines(sbc)["4930100@a.trunk.example"]
    assert state == "refused" and next_try >= 200
    assert "surrogate-credentials-refused" in sbc.acli("show alarms")
    assert not [m for m in trunk.seen[since:] if m.method == "REGISTER"]


# --- 8 to 12: answers

def test_a_423_is_obeyed_at_once_and_remembered(sbc, trunk):
    one_aor_each(sbc)
    trunk.granted = 2

    def brief(request):
        if trunk.proven(request, trunk.register_challenge) is None:
            return False
        if int(request.get("Expires")) < 1800:
            trunk.reply(request, 423, headers=[("Min-Expires", "1800")])
        else:
            trunk.register(request)
        return True

    trunk.register_answer = brief
    sbc.start().registered(2)
    mine = by_aor(trunk.registers())[BOTH[0]]
    assert [m.get("Expires") for m in mine] == ["600", "600", "1800"]
    assert mine[2].call_id == mine[1].call_id
    later = trunk.wait(lambda m: m.method == "REGISTER" and aor(m) == BOTH[0] and
                       m.cseq > mine[2].cseq, 3.0)
    assert later.get("Expires") == "1800"
    assert lines(sbc)["4930100@a.trunk.example"][3] == 0


def test_a_503_with_retry_after_keeps_the_aor_silent_for_that_time(sbc, trunk):
    one_aor_each(sbc)
    refused = []

    def busy(request):
        if request.host("To") != "a.trunk.example" or refused:
            return False
        refused.append(request)
        trunk.reply(request, 503, headers=[("Retry-After", "2")])
        return True

    trunk.register_answer = busy
    sbc.start()
    again = trunk.wait(lambda m: m.method == "REGISTER" and refused and aor(m) == aor(refused[0]) and
                       m.cseq > refused[0].cseq, 5.0)
    assert again.time - refused[0].time >= 1.9
    sbc.registered(2)


def test_a_503_with_retry_after_20_is_waited_for(sbc, trunk):
    one_aor_each(sbc)

    def busy(request):
        if request.host("To") == "a.trunk.example":
            trunk.reply(request, 503, headers=[("Retry-After", "20")])
            return True
        return False

    trunk.register_answer = busy
    sbc.start()
    sbc.waits("show surrogate-agents", "1 backoff")
    state, last, next_try, _ = lines(sbc)["4930100@a.trunk.example"]
    assert (state, last) == ("backoff", "503") and 18 <= next_try <= 22
    assert len(of_tenant(trunk.registers(), "a")) == 1


def test_a_second_address_in_srv_is_tried_at_once_after_503(sbc, trunk, peers, tmp_path):
    peers(Dns, tmp_path, sbc.ip(53), hosts={"one.trunk.example": sbc.ip(11),
                                            "two.trunk.example": sbc.ip(14)},
          srv={"_sip._udp.trunk.example": [("one.trunk.example", 5060, 10),
                                           ("two.trunk.example", 5060, 20)]})
    second = peers(Trunk, sbc.ip(14), sbc.ip(1))
    sbc.element("system-config")["dns-servers"] = [f"{sbc.ip(53)}:30053"]
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    one_aor_each(sbc)
    trunk.register_answer = lambda request: trunk.reply(request, 503, headers=[("Retry-After", "20")])
    sbc.start().registered(2)
    refused = by_aor(trunk.registers())[BOTH[0]]
    accepted = by_aor(second.registers())[BOTH[0]]
    assert len(refused) == 1
    assert accepted[0].call_id == refused[0].call_id and accepted[0].cseq > refused[0].cseq
    assert sbc.ip(14) in sbc.acli("show surrogate-agents")
    # the targets with their health: who asked for 20 s is put last
    found = sbc.acli(f"show surrogate-agents {AGENT_A} detail")
    assert re.findall(r"(?m)^    target (\S+) UDP (.*)$", found) == [
        (f"{sbc.ip(14)}:5060", "good, in use"), (f"{sbc.ip(11)}:5060", "avoided")]


def test_what_is_known_of_an_aor_is_in_its_detail(sbc, trunk, pbx_a):
    """acli 2.3: contact, asked and granted, nonce count, response, next hop, last activity"""
    one_aor_each(sbc)
    sbc.element("surrogate-agent", "b.trunk.example").update(
        {"register-mode": "triggered", "customer-next-hop": sbc.ip(77)})
    trunk.granted = 300
    sbc.start().waits("show surrogate-agents", r"1 registered")

    def detail():
        aors = json.loads(sbc.acli("show surrogate-agents detail | json"))["data"]["aors"]
        return {a["aor"].split("@")[1][0]: a for a in aors}

    a = detail()["a"]
    assert (a["asked"], a["granted"], a["nonce-count"], a["response"]) == (600, 300, 1, "OK")
    assert a["targets"] == [{"target": f"{sbc.ip(11)}:5060 UDP", "health": "good", "in-use": True}]
    assert a["next-hop"] == {"name": "pbx-a.example", "state": "I", "targets": [
        {"target": f"{sbc.ip(12)}:5060 UDP", "health": "good"}]}
    assert a["last-activity"] is None  # nobody looks
    b = detail()["b"]
    assert b["response"] is None and b["nonce-count"] == 0 and b["last-activity"].startswith("20")
    assert b["next-hop"]["state"] is None and b["next-hop"]["targets"][0]["target"] == f"{sbc.ip(77)}:5060 UDP"
    # the nonce is used once more, unasked
    sbc.acli(f"notify sipd register {AGENT_A}")
    trunk.wait(lambda m: len(trunk.registers()) == 3)
    sbc.waits("show surrogate-agents detail", r"nonce count 2\n    response 200 OK\n")


def test_the_summary_tells_since_when_the_first_of_an_agent_fails(sbc, trunk):
    trunk.passwords["reg-a"] = "another"
    sbc.start()
    sbc.waits("show surrogate-agents", "10 refused")

    def summary():
        data = json.loads(sbc.acli("show surrogate-agents summary | json"))
        return data["time"], *sorted(data["data"]["agents"], key=lambda agent: -agent["refused"])
    now, a, b = summary()
    assert (a["refused"], b["refused"]) == (10, 0) and b["oldest-failure"] is None
    first = a["oldest-failure"]
    assert first <= now
    # the next refusal of one is not the first; a success ends it
    sbc.acli(f"notify sipd register {AGENT_A} 4930103")
    sbc.waits("show surrogate-agents", r"4930103@a.* 2\n")
    _, again, _ = summary()
    assert abs(int(again["oldest-failure"][17:19]) - int(first[17:19])) in (0, 1, 59)
    trunk.passwords["reg-a"] = "secret-reg-a"
    sbc.acli(f"notify sipd register {AGENT_A}")
    sbc.registered()
    said = sbc.acli("show surrogate-agents summary")
    assert re.search(r"(?m)^a\.trunk\.example .* 0 +-$", said), said


def test_a_call_goes_to_the_target_that_has_the_binding(sbc, trunk, pbx_a, pbx_b, peers, tmp_path):
    """4.6: a 500 leads to the next target; calls of B, bound at the first one, go there"""
    peers(Dns, tmp_path, sbc.ip(53), hosts={"one.trunk.example": sbc.ip(11),
                                            "two.trunk.example": sbc.ip(14)},
          srv={"_sip._udp.trunk.example": [("one.trunk.example", 5060, 10),
                                           ("two.trunk.example", 5060, 20)]})
    second = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    sbc.element("system-config")["dns-servers"] = [f"{sbc.ip(53)}:30053"]
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    one_aor_each(sbc)
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example" and trunk.reply(
        request, 500)
    sbc.start().registered(2)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert second.invites() and not trunk.invites()
    pbx_b.calls("0301234").until_answered().hang_up()
    assert trunk.invites()
    # without a policy, by route-to-registrar, it is the same
    policies = sbc.element("local-policy")
    policies[:] = [p for p in policies if p["source-realm"] != "pbx-a"]
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    before = len(trunk.invites()), len(second.invites())
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(trunk.invites()) == before[0] and len(second.invites()) > before[1]


def test_a_302_is_followed_once(sbc, trunk, peers):
    one_aor_each(sbc)
    other = peers(Trunk, sbc.ip(14), sbc.ip(1))
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example" and trunk.reply(
        request, 302, headers=[("Contact", f"<sip:{sbc.ip(14)}>")])
    sbc.start().registered(2)
    there = other.registers()
    here = of_tenant(trunk.registers(), "a")
    assert len(here) == 1 and {aor(m) for m in there} == {BOTH[0]}
    assert (there[0].call_id, there[0].tag("From")) == (here[0].call_id, here[0].tag("From"))
    assert there[0].cseq == here[0].cseq + 1
    assert there[0].contact == here[0].contact


def test_a_second_302_is_a_failure_with_back_off(sbc, trunk, peers):
    one_aor_each(sbc)
    other = peers(Trunk, sbc.ip(14), sbc.ip(1))
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example" and trunk.reply(
        request, 302, headers=[("Contact", f"<sip:{sbc.ip(14)}>")])
    other.register_answer = lambda request: other.reply(
        request, 302, headers=[("Contact", f"<sip:{sbc.ip(11)}>")])
    sbc.start()
    sbc.waits("show surrogate-agents", "1 backoff")
    _, last, next_try, tries = lines(sbc)["4930100@a.trunk.example"]
    assert last == "302" and tries == 1 and 20 <= next_try <= 38
    assert len(other.registers()) == len(of_tenant(trunk.registers(), "a")) == 1


def test_of_several_contacts_only_the_own_counts(sbc, trunk):
    one_aor_each(sbc)

    def three(request):
        if trunk.proven(request, trunk.register_challenge) is None:
            return False
        trunk.reply(request, 200, headers=[
            ("Contact", f"<sip:other@{sbc.ip(1)}>;expires=3600"),
            ("Contact", f"<{request.contact}>;expires=60, <sip:b@127.9.9.9>;expires=10"),
            ("Expires", "7200")])
        return True

    trunk.register_answer = three
    sbc.start().registered(2)
    found = sbc.acli("show surrogate-agents detail")
    assert found.count("granted 60 s") == 2
    assert all(27 <= line[2] <= 54 for line in lines(sbc).values())
    for message in trunk.registers():
        assert "other@" not in repr(message) and "127.9.9.9" not in repr(message)
        assert "*" not in message.get("Contact")


@pytest.mark.parametrize("contacts", [
    lambda sbc, own: [("Contact", f"<sip:other@{sbc.ip(1)}>;expires=60")],
    lambda sbc, own: [("Contact", f"<{own}>;expires=0")],
    lambda sbc, own: [("Contact", f"<{own.replace('a-', 'A-').replace('b-', 'B-')}>;expires=60")],
    lambda sbc, own: [("Contact", f"<{own}:5061>;expires=60")],
], ids=["other user", "granted 0", "case of the user", "other port"])
def test_a_200_without_the_own_contact_is_a_failure(sbc, trunk, contacts):
    one_aor_each(sbc)

    def odd(request):
        if trunk.proven(request, trunk.register_challenge) is None:
            return False
        trunk.reply(request, 200, headers=contacts(sbc, request.contact))
        return True

    trunk.register_answer = odd
    sbc.start()
    sbc.waits("show surrogate-agents", "2 backoff")


def test_a_200_without_any_contact_counts_for_its_expires(sbc, trunk):
    one_aor_each(sbc)

    def bare(request):
        if trunk.proven(request, trunk.register_challenge) is None:
            return False
        trunk.reply(request, 200, headers=[("Expires", "90")])
        return True

    trunk.register_answer = bare
    sbc.start().registered(2)
    assert sbc.acli("show surrogate-agents detail").count("granted 90 s") == 2
    since = len(trunk.seen)
    for tenant in "ab":
        sbc.acli(f"notify sipd register {tenant}.trunk.example 493010^ pbx-{tenant}")
        trunk.wait(lambda m: m.method == "REGISTER" and m.uri == f"sip:{tenant}.trunk.example",
                   since=since)
    sbc.registered(2)
    # once for each agent, and not again with each refresh
    sbc.logs_line("reg-no-contact", times=2)
    assert open(sbc.log).read().count("reg-no-contact") == 2


def test_stale_is_no_failure(sbc, trunk):
    one_aor_each(sbc)
    stale = set()

    def once(request):
        if trunk.credentials(request) and aor(request) not in stale:
            stale.add(aor(request))
            trunk.challenge(request, trunk.register_challenge, stale=True)
            return True
        return False

    trunk.register_answer = once
    sbc.start().registered(2)
    assert all(len(group) == 3 for group in by_aor(trunk.registers()).values())
    assert {tries for *_, tries in lines(sbc).values()} == {0}
    sbc.no_alarm_is_left()
    assert sbc.counter("show registration", "Surrogate Reject") == 0


@pytest.mark.parametrize("code", [403, 404, 484, 600])
def test_a_final_refusal_is_not_repeated_at_once(sbc, trunk, code):
    one_aor_each(sbc)
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example" and trunk.reply(
        request, code)
    sbc.start()
    sbc.waits("show surrogate-agents", "1 refused" if code == 403 else "1 backoff")
    sbc.waits("show surrogate-agents", "1 registered")
    _, last, next_try, _ = lines(sbc)["4930100@a.trunk.example"]
    assert last == str(code) and next_try >= (290 if code == 403 else 20)
    assert len(of_tenant(trunk.registers(), "a")) == 1


@pytest.mark.parametrize("header", [
    'Digest realm="trunk.example", nonce="n", algorithm=ROT13', 'Basic realm="trunk.example"',
    'Digest', '', 'Digest realm="trunk.example", nonce="n'],
    ids=["unknown algorithm", "other scheme", "no parameters", "empty", "open quote"])
def test_a_challenge_that_nobody_can_answer_is_a_failure(sbc, trunk, header):
    one_aor_each(sbc)
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example" and trunk.reply(
        request, 401, headers=[("WWW-Authenticate", header)])
    sbc.start()
    sbc.waits("show surrogate-agents", "1 registered.*1 (backoff|refused)|1 (backoff|refused).*1 reg")
    assert len(of_tenant(trunk.registers(), "a")) == 1
    assert not of_tenant(trunk.registers(), "a")[0].all("Authorization")


def test_garbage_in_answers_is_survived(sbc, trunk):
    one_aor_each(sbc)
    rubbish = [b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 999999 X\r\nVia: \r\n\r\n", b"\0" * 600,
               b"SIP/2.0 200 OK\r\nContact: <<<<;;;expires=99999999999999999999\r\n\r\n"]

    def odd(request):
        for data in rubbish:
            trunk.socket.sendto(data, request.source)
        trunk.reply(request, 200, headers=[("Contact", "<sip:"), ("Via", ";;;")]) \
            if not trunk.credentials(request) and request.cseq % 2 == 0 else None
        return False

    trunk.register_answer = odd
    sbc.start().registered(2)


# --- 13: triggered mode

def triggered(sbc, **more):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent.update({"register-mode": "triggered", "triggered-inactivity-interval": "5", **more})
    agent["aor-count"] = "10"


def test_a_triggered_agent_registers_when_its_pbx_sends_options(sbc, trunk, pbx_a):
    triggered(sbc)
    sbc.start()
    sbc.waits("show surrogate-agents", "10 registered.*10 idle|10 idle.*10 registered")
    assert not of_tenant(trunk.registers(), "a")
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}")
    assert call.until_refused().status == 503
    pbx_a.send(pbx_a.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>"), pbx_a.sbc)
    assert pbx_a.wait(lambda m: m.status).status == 200
    sbc.registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert call.answer_to(call.within_dialog("BYE")).status == 200


@pytest.mark.parametrize("response", ["503", "480", "dropresponse"])
def test_a_silent_pbx_gets_no_calls(sbc, trunk, pbx_a, response):
    triggered(sbc, **({"triggered-oos-response": response} if response != "503" else {}))
    sbc.start()
    pbx_a.send(pbx_a.request("OPTIONS", f"sip:{sbc.ip(2)}", f"<sip:{sbc.ip(2)}>"), pbx_a.sbc)
    sbc.registered()
    sbc.waits("show surrogate-agents", "10 silent", 8.0)
    since = len(trunk.seen)
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}")
    if response != "dropresponse":
        assert call.until_refused().status == int(response)
    else:
        # Once more, and a request after it that is answered: then an answer would be here
        trunk.send(call.invite, trunk.sbc)
        options = trunk.request("OPTIONS", f"sip:{sbc.ip(1)}", f"<sip:{sbc.ip(1)}>")
        trunk.send(options, trunk.sbc)
        trunk.wait(lambda m: m.status and m.call_id == options.call_id)
        assert not [m for m in trunk.seen[since:] if m.status and m.call_id == call.invite.call_id]
    assert not pbx_a.requests("INVITE")


def test_a_call_of_a_triggered_pbx_waits_for_its_registration(sbc, trunk, pbx_a):
    triggered(sbc)
    sbc.start()
    sbc.waits("show surrogate-agents", "10 idle")
    call = pbx_a.calls("0301234").until_answered()
    mine = [m for m in trunk.seen if m.method == "REGISTER" and aor(m) == BOTH[0] and
            trunk.credentials(m)]
    assert mine and mine[0].time <= trunk.invites()[0].time
    call.hang_up()


def test_a_call_of_a_triggered_pbx_that_cannot_register_is_sent_after_4_s(sbc, trunk, pbx_a):
    triggered(sbc)
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example"
    sbc.start()
    sbc.waits("show surrogate-agents", "10 idle")
    call = pbx_a.calls("0301234")
    invite = trunk.wait(lambda m: m.method == "INVITE" and m.status is None, 6.0)
    assert invite.time - call.invite.time >= 3.9
    call.until_answered().hang_up()


def test_a_call_that_waits_can_be_cancelled(sbc, trunk, pbx_a):
    triggered(sbc)
    trunk.register_answer = lambda request: request.host("To") == "a.trunk.example"
    sbc.start()
    sbc.waits("show surrogate-agents", "10 idle")
    call = pbx_a.calls("0301234")
    call.answer(100)
    call.cancel()
    assert call.until_refused().status == 487
    sbc.no_session_is_left()
    assert not trunk.invites()


@pytest.mark.parametrize("sign", ["CRLF", "answer", "request without a route", "garbage"])
def test_what_counts_as_activity_of_a_pbx(sbc, trunk, pbx_a, sign):
    triggered(sbc)
    sbc.start()
    sbc.waits("show surrogate-agents", "10 idle")
    if sign == "CRLF":
        pbx_a.socket.sendto(b"\r\n\r\n", pbx_a.sbc)
    elif sign == "answer":
        request = pbx_a.request("OPTIONS", "sip:x", "<sip:x>")
        request.source = pbx_a.sbc
        pbx_a.reply(request, 200)
    elif sign == "garbage":
        pbx_a.socket.sendto(b"INVITE \r\nnonsense at length and no message\r\n\r\n", pbx_a.sbc)
        # A later request is answered: so the garbage was looked at
        trunk.send(trunk.request("OPTIONS", f"sip:{sbc.ip(1)}", f"<sip:{sbc.ip(1)}>"), trunk.sbc)
        trunk.wait(lambda m: m.status)
        sbc.waits("show surrogate-agents", "10 idle")
        assert not of_tenant(trunk.registers(), "a")
        return
    else:
        pbx_a.send(pbx_a.request("SUBSCRIBE", f"sip:x@{sbc.ip(2)}", f"<sip:x@{sbc.ip(2)}>"), pbx_a.sbc)
    sbc.registered()


def test_a_call_in_progress_keeps_a_triggered_pbx_active(sbc, trunk, pbx_a):
    triggered(sbc)
    sbc.start()
    pbx_a.socket.sendto(b"\r\n\r\n", pbx_a.sbc)
    sbc.registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    began = time.monotonic()
    while time.monotonic() < began + 6.5:
        assert "silent" not in sbc.acli("show surrogate-agents")
        time.sleep(0.5)
    assert call.answer_to(call.within_dialog("BYE")).status == 200


# --- 14: un-register

def test_an_orderly_end_removes_what_is_registered_where_that_is_wanted(sbc, trunk):
    sbc.element("surrogate-agent", "a.trunk.example")["un-register"] = "enabled"
    sbc.start().registered()
    since = len(trunk.seen)
    before = by_aor(trunk.registers())
    sbc.stop()
    gone = by_aor(m for m in trunk.seen[since:] if m.method == "REGISTER")
    assert sorted(gone) == [key for key in sorted(BOTH) if key[1][0] == "a"]
    for key, group in gone.items():
        assert {m.get("Expires") for m in group} == {"0"}
        assert {m.contact for m in group} == {before[key][-1].contact}
        assert {m.call_id for m in group} == {before[key][-1].call_id}
        assert not any("*" in m.get("Contact") for m in group)
        assert len(group) == 1 or not trunk.credentials(group[0])


def test_after_an_orderly_end_removed_aors_register_anew_and_others_do_not(sbc, trunk):
    sbc.element("surrogate-agent", "a.trunk.example")["un-register"] = "enabled"
    sbc.start().registered()
    sbc.stop()
    since = len(trunk.seen)
    sbc.start(configured=False).registered()
    anew = by_aor(m for m in trunk.seen[since:] if m.method == "REGISTER")
    assert sorted(anew) == [key for key in sorted(BOTH) if key[1][0] == "a"]


def test_an_orderly_end_sends_nothing_otherwise(sbc, trunk):
    sbc.start().registered()
    since = len(trunk.seen)
    sbc.stop()
    assert not [m for m in trunk.seen[since:] if m.method == "REGISTER"]


def test_a_registrar_that_hangs_does_not_hold_up_the_end(sbc, trunk):
    sbc.element("system-config")["shutdown-timeout"] = "1"
    for agent in sbc.element("surrogate-agent"):
        agent["un-register"] = "enabled"
    sbc.start().registered()
    trunk.deaf = True
    sbc.stop(within=4.5)    # without it: 5
    assert "surrogate" in open(sbc.log).read()


def test_a_changed_contact_is_registered_before_the_old_one_is_removed(sbc, trunk):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent["un-register"] = "enabled"
    sbc.start().registered()
    since = len(trunk.seen)
    agent["register-contact-user"] = "new-493010^"
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    trunk.wait(lambda m: m.method == "REGISTER" and m.get("Expires") == "0" and
               "a-4930109@" in m.get("Contact"))
    sbc.registered()
    sent = by_aor(m for m in trunk.seen[since:] if m.method == "REGISTER")
    assert len(sent) == 10
    for (user, host), group in sent.items():
        assert host == "a.trunk.example"
        assert f"<sip:new-{user}@" in group[0].get("Contact") and group[0].get("Expires") == "600"
        assert f"<sip:a-{user}@" in group[-1].get("Contact") and group[-1].get("Expires") == "0"
    # One Call-ID each, for both Contacts
    assert len({m.call_id for g in sent.values() for m in g}) == 10


@pytest.mark.parametrize("grace", ["1", "0"])
def test_a_contact_is_taken_for_a_while_after_its_registration_is_over(sbc, trunk, pbx_a, grace):
    """Behaviour.md 5.3: register-grace-timer"""
    one_aor_each(sbc)
    trunk.granted = 3
    sbc.element("sip-config").update({"register-grace-timer": grace, "trans-expire": "1"})
    sbc.start().registered(2)
    serve = trunk.serve
    trunk.serve = lambda m: None if m.method == "REGISTER" else serve(m)
    sbc.waits("show surrogate-agents", r"2 (backoff|registering)", 8.0)
    if grace == "1":
        call = trunk.calls(f"sip:a-4930100@{sbc.ip(1)}").until_answered()
        assert call.answer_to(call.within_dialog("BYE")).status == 200
    limit = time.monotonic() + 3
    while True:
        call = trunk.calls(f"sip:a-4930100@{sbc.ip(1)}")
        if call.answer().status == 404:
            break
        assert time.monotonic() < limit and call.until_answered()
        call.answer_to(call.within_dialog("BYE"))
        time.sleep(0.1)
    call.until_refused()


def test_notify_unregister_and_register_of_one_aor(sbc, trunk):
    sbc.element("surrogate-agent", "a.trunk.example")["un-register"] = "enabled"
    sbc.start().registered()
    since = len(trunk.seen)
    sbc.acli(f"notify sipd unregister {AGENT_A} 4930103")
    sbc.waits("show surrogate-agents", "1 disabled")
    sent = [m for m in trunk.seen[since:] if m.method == "REGISTER"]
    assert {aor(m) for m in sent} == {("4930103", "a.trunk.example")}
    assert {m.get("Expires") for m in sent} == {"0"}
    sbc.acli(f"notify sipd register {AGENT_A} 4930103")
    sbc.registered()
