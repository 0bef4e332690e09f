"""
Tables of methods, realms, sip-interfaces, bindings and refusals (acli.md 2.2, 2.3).

- What a peer sent and what it got stands in the table of the method, side by side.
- Each refusal has its step, its status, who asked, and the object that says so.
- What reset sets to zero, and what it leaves.
"""
import collections
import json
import re
import time

import pytest

from peers.pbx import Pbx

INVITE = """\
INVITE                        ------ Server ------        ------ Client ------
Message/Event             Recent    Total   PerMax    Recent    Total   PerMax
INVITE Requests                1        1        1         2        2        2
Retransmissions                0        0        0         0        0        0
180 Ringing                    1        1        1         1        1        1
200 OK                         1        1        1         1        1        1
407 Proxy Auth Required        0        0        0         1        1        1
Response Retrans               0        0        0         0        0        0
Transaction Timeouts           0        0        0         0        0        0
Locally Throttled              0        0        0         0        0        0
"""
REALMS = """\
                           ----- Inbound ------ ----- Outbound ----- -- Latency -- ------- Max -------
Realm                    S Active   Rate  ConEx Active   Rate  ConEx    Avg    Max  Burst     In    Out
pbx-a                    I      1      -      -      0      -      -      -      -      -      -      -
pbx-b                    I      0      -      -      0      -      -      -      -      -      -      -
trunk                    I      0      -      -      1      -      -      -      -      -      -      -
"""


def body(text):
    """A table without its first line, which is the time"""
    assert re.match(r"\d\d:\d\d:\d\d-\d+\n", text), text
    return text.split("\n", 1)[1]


def document(sbc, command):
    return json.loads(sbc.acli(command + " | json"))


def data(sbc, command):
    return document(sbc, command)["data"]


def totals(row):
    return row["server"]["total"], row["client"]["total"]


def test_the_table_of_a_method_has_both_sides_of_a_call(sbc, pbx_a, trunk):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    # 100 leaves only after 200 ms without an answer
    text = re.sub(r"100 Trying.*\n", "", body(sbc.acli("show sipd invite")))
    assert text.startswith(INVITE)
    assert re.search(r"^Avg Latency=\d+\.\d{3} for 2$", text, re.M)
    assert re.search(r"^Max Latency=\d+\.\d{3}$", text, re.M)
    call.hang_up()
    assert totals(data(sbc, "show sipd bye")["200-ok"]) == (1, 1)


def test_a_sip_interface_counts_what_passes_there(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    assert totals(data(sbc, "show sipd interface pbx-a invite")["invite-requests"]) == (1, 0)
    assert totals(data(sbc, "show sipd interface trunk invite")["invite-requests"]) == (0, 2)
    assert totals(data(sbc, "show sipd realms trunk inv")["407-proxy-auth-required"]) == (0, 1)
    assert totals(data(sbc, "show sipd interface pbx-b invite")["invite-requests"]) == (0, 0)
    code, said = sbc.acli_status("show sipd interface nowhere invite")
    assert code == 1 and "There is no sip-interface [nowhere]" in said


def test_session_agents_and_realms_count_what_is_theirs(sbc, pbx_a, trunk):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    call.hang_up()
    agent = "show sipd agents trunk.example "
    assert totals(data(sbc, agent + "invite")["invite-requests"]) == (0, 2)
    assert totals(data(sbc, agent + "invite")["407-proxy-auth-required"]) == (0, 1)
    assert totals(data(sbc, agent + "bye")["200-ok"]) == (0, 1)
    assert data(sbc, agent + "invite")["latency"]["count"] == 2
    # REGISTERs leave for it too, and each realm has its own share of them
    assert totals(data(sbc, agent + "register")["register-requests"])[1] >= 20
    assert totals(data(sbc, "show sipd realms pbx-a invite")["invite-requests"]) == (1, 0)
    assert totals(data(sbc, "show sipd realms pbx-a bye")["200-ok"]) == (1, 0)
    assert totals(data(sbc, "show sipd realms pbx-b invite")["invite-requests"]) == (0, 0)
    assert totals(data(sbc, "show sipd realms trunk invite")["invite-requests"]) == (0, 2)
    sbc.acli("reset sipd")
    assert totals(data(sbc, agent + "invite")["invite-requests"]) == (0, 0)
    for what, element in (("agents", "session-agent"), ("realms", "realm-config")):
        code, said = sbc.acli_status(f"show sipd {what} nowhere invite")
        assert code == 1 and f"There is no {element} [nowhere]" in said


def test_methods_may_be_shortened_while_they_are_unique(sbc, trunk):
    sbc.start()
    assert "invite-requests" in data(sbc, "show sipd inv")
    code, said = sbc.acli_status("show sipd re")
    assert code == 1 and "Ambiguous word [re]: realms, refer, register, registration-queue" in said
    code, said = sbc.acli_status("show sipd nonsense")
    assert code == 1 and "Unknown word [nonsense], possible here: agents, authentication" in said
    code, said = sbc.acli_status("show sipd status now")
    assert code == 1 and "Unexpected word [now]" in said


def test_a_repeated_request_and_answer_count_as_such(sbc, pbx_a, trunk):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.send(call.invite, (sbc.ip(2), 5060))
    pbx_a.send(call.invite, (sbc.ip(2), 5060))
    sbc.waits("show sipd invite", r"Retransmissions +2 +2 +2 ")
    assert totals(data(sbc, "show sipd invite")["invite-requests"]) == (1, 2)


def test_realms_and_sip_interfaces_show_their_calls(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    assert body(sbc.acli("show sipd realms")) == REALMS
    rows = {r["sip-interface"]: r for r in data(sbc, "show sipd interface")}
    assert rows["pbx-a"]["inbound"]["active"] == 1 and rows["trunk"]["outbound"]["active"] == 1
    assert rows["pbx-b"]["latency"] == {"avg": None, "max": None}
    assert rows["trunk"]["latency"]["max"] >= 0
    realm = data(sbc, "show realm trunk")[0]
    assert (realm["in"], realm["out"], realm["sip-ports"], realm["agents"]) == (0, 1, 1, 1)
    assert realm["ports-used"] == 1 and realm["ports-free"] == 499
    code, said = sbc.acli_status("show realm nowhere")
    assert code == 1 and "There is no realm-config [nowhere]" in said
    code, said = sbc.acli_status("show sipd realms nowhere | json")
    assert code == 1 and "There is no realm-config [nowhere]" in said


def test_an_agent_shows_its_rate_burst_and_limits(sbc, pbx_a, trunk):
    sbc.element("session-agent", "trunk.example").update(
        {"constraints": "enabled", "max-sessions": "3", "max-sustain-rate": "5",
         "sustain-rate-window": "10", "burst-rate-window": "2"})
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    agent = data(sbc, "show sipd agents trunk.example")[0]
    assert agent["burst"] == 1 and agent["outbound"]["rate"] == 0.1
    assert agent["constraints"] == [{"name": "max-sessions", "value": 1, "limit": 3},
                                    {"name": "max-sustain-rate", "value": 0.1, "limit": 5}]
    assert "Constraint  max-sessions 1 of 3\n" in sbc.acli("show sipd agents trunk.example")


def test_each_column_of_the_agents_table_is_of_its_side(sbc, pbx_a, trunk):
    """acli.md 2.3: ConEx, latency, Burst, In and Out, of agents, realms and sip-interfaces"""
    wide = {"name": "wide", "max-burst-rate": "100", "burst-rate-window": "60"}
    sbc.config["session-router"]["session-constraints"] = [wide, dict(wide, **{"name": "two", "max-inbound-sessions": "2"})]
    sbc.element("realm-config", "pbx-a")["constraint-name"] = "two"
    sbc.element("sip-interface", "pbx-a")["constraint-name"] = "wide"
    sbc.element("session-agent", "pbx-a.example").update(
        {"constraints": "enabled", "max-burst-rate": "100", "burst-rate-window": "60"})
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    trunk.invite_answer = lambda i: time.sleep(0.2)  # it takes its time, and answers as before
    second = pbx_a.calls("0301235").until_answered()
    assert pbx_a.calls("0301236").until_refused().status == 503
    second.hang_up()
    sbc.waits("show sessions", "(?m)^1 sessions$")

    def sides(row):
        return [(row[side]["active"], row[side]["max"], row[side]["conex"]) for side in ("inbound", "outbound")]

    agents = {a["session-agent"]: a for a in data(sbc, "show sipd agents")}
    assert sides(agents["pbx-a.example"]) == [(1, 2, 0), (0, 0, 0)]
    assert sides(agents["trunk.example"]) == [(0, 0, 0), (1, 2, 0)]
    assert agents["pbx-a.example"]["burst"] >= 2
    realm = {r["realm"]: r for r in data(sbc, "show sipd realms")}["pbx-a"]
    assert sides(realm) == [(1, 2, 1), (0, 0, 0)] and realm["burst"] >= 2 and realm["state"] in "IC"
    interfaces = {i["sip-interface"]: i for i in data(sbc, "show sipd interface")}
    assert interfaces["pbx-a"]["burst"] >= 2 and interfaces["pbx-a"]["inbound"]["max"] >= 2
    # quick answers and a slow one
    for row in (agents["trunk.example"], interfaces["trunk"]):
        assert 0 < row["latency"]["avg"] < 0.19 < row["latency"]["max"] < 1.5, row


def test_a_violation_counts_for_the_direction_it_stops(sbc, pbx_a, trunk):
    sbc.element("session-agent", "pbx-a.example").update({"constraints": "enabled", "max-inbound-sessions": "1"})
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    pbx_a.calls("0301235").until_refused()
    agent = data(sbc, "show sipd agents pbx-a.example")[0]
    assert (agent["inbound"]["conex"], agent["outbound"]["conex"], agent["state"]) == (1, 0, "C")
    assert "Violations  inbound 1, outbound 0\n" in sbc.acli("show sipd agents pbx-a.example")


def test_sip_ports_are_listed_with_their_state(sbc, trunk):
    sbc.element("sip-interface", "pbx-b")["state"] = "disabled"
    sbc.start()
    ports = data(sbc, "show sip interface")
    assert [(p["realm"], p["address"], p["port"], p["transport"], p["state"]) for p in ports] == [
        ("trunk", sbc.ip(1), 5060, "UDP", "open"), ("pbx-a", sbc.ip(2), 5060, "UDP", "open"),
        ("pbx-b", sbc.ip(3), 5060, "UDP", "disabled")]


def test_bindings_are_found_by_what_is_known_of_them(sbc, trunk):
    sbc.start().registered()

    def aors(way):
        # those of one worker stand behind those of another
        return sorted(b["aor"] for b in data(sbc, f"show registration sipd {way}"))
    assert aors("by-user 4930103") == ["4930103@a.trunk.example", "4930103@b.trunk.example"]
    assert aors("by-user 4930103@a.trunk.example") == ["4930103@a.trunk.example"]
    assert len(aors("by-user 493010*")) == 20 and aors("by-user 493010") == []
    assert len(aors("by-realm pbx-b")) == 10 and len(aors("by-ip " + sbc.ip(11))) == 20
    assert len(aors("by-registrar a.trunk.example")) == 10
    text = sbc.acli("show registration sipd by-realm pbx-a limit 4")
    assert text.count("@a.trunk.example") == 4 and "... 6 more" in text
    one, = (x for x in data(sbc, "show sipd endpoint-ip 4930101") if x["aor"] == "4930101@a.trunk.example")
    assert one["contact-registrar"] == f"sip:a-4930101@{sbc.ip(1)}" and one["flags"] == "S"
    assert one["remote"] == f"{sbc.ip(11)}:5060" and one["transport"] == "UDP"
    code, said = sbc.acli_status("show registration sipd by-magic x")
    assert code == 1 and "Missing by-user U" in said


def test_who_waits_to_register_stands_in_the_queue(sbc, trunk):
    sbc.element("sip-config")["registration-rate"] = "1"
    sbc.start()
    queue = sbc.waits("show sipd registration-queue", r"(?m)^trunk.example\|trunk +(\d+)")
    assert 10 <= int(queue.group(1)) <= 20
    row = data(sbc, "show sipd registration-queue")[0]
    assert row["due"] <= 20 and row["backlog"] == 0 and row["oldest-due"] >= 0
    assert 0 < row["limit-s"] <= int(sbc.element("sip-config")["sip-workers"])  # each has one at least


def test_the_queue_says_how_many_left_in_a_second(sbc, trunk):
    """Sent/s: REGISTERs of Recent over its width; Backlog: due for over 60 s (5.1)"""
    sbc.start().registered()
    document = json.loads(sbc.acli("show sipd registration-queue | json"))
    sent = len(trunk.registers())
    assert document["data"][0]["sent-s"] == pytest.approx(sent / max(document["window"], 1), rel=0.5), sent
    assert document["data"][0]["due"] == 0 and document["data"][0]["oldest-due"] is None


def test_the_summary_counts_each_agents_aors_by_state(sbc, trunk):
    sbc.element("sip-config")["registration-rate"] = "1"
    answers = trunk.register
    trunk.register = lambda r: (trunk.reply(r, 404) if r.host("To") == "a.trunk.example" else answers(r))
    sbc.start()
    sbc.waits("show surrogate-agents", r"backoff")
    for _ in range(200):
        agents = data(sbc, "show surrogate-agents summary")
        states = collections.Counter((a["aor"].split("@")[1], a["state"]) for a in data(sbc, "show surrogate-agents")["aors"])
        if agents == data(sbc, "show surrogate-agents summary"):
            break
    for row in agents["agents"]:
        host = row["agent"].split()[0]
        assert row["aors"] == 10
        assert (row["failing"], row["waiting"], row["registered"]) == (
            states[host, "backoff"], states[host, "waiting"], states[host, "registered"]), (row, states)
    rows = {r["agent"].split()[0]: r for r in agents["agents"]}
    assert rows["a.trunk.example"]["failing"] >= 1 and rows["a.trunk.example"]["oldest-failure"]
    assert sum(r["waiting"] for r in rows.values()) >= 1


def test_media_and_trust_stand_at_their_realm(sbc, pbx_a, trunk):
    sbc.element("realm-config", "trunk")["access-control-trust-level"] = "medium"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    flows = {r["realm"]: (r["flows"], r["used"]) for r in data(sbc, "show media realms")}
    assert flows == {"pbx-a": (1, 1), "pbx-b": (0, 0), "trunk": (1, 1)}
    assert {r["realm"]: r["trust"] for r in data(sbc, "show realm")} == {"pbx-a": "none", "pbx-b": "none", "trunk": "medium"}


def test_requests_a_second_stand_by_method_and_direction(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    doc = document(sbc, "show sipd rate")
    rates = {r["method"]: r for r in doc["data"]}
    seconds = max(1, doc["window"])
    assert rates["INVITE"]["in-s"] == round(1 / seconds - 0.0005, 3) or seconds == 1
    assert rates["REGISTER"]["out-s"] > rates["REGISTER"]["in-s"] == 0


# --- refusals

def test_a_refusal_names_step_status_source_and_object(sbc, pbx_a, trunk, peers):
    sbc.start().registered()
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local")
    call = stranger.calls("0301234").until_refused()
    assert call.status == 403
    kept = data(sbc, "show refusals last 5")
    assert len(kept) == 1
    row = kept[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row.pop("time"))
    assert row.pop("call-id") == call.call_id
    assert row == {"step": "name-source", "status": 403, "realm": "pbx-a",
                   "source": f"{sbc.ip(99)}:5060", "method": "INVITE",
                   "from": "sip:4930100@pbx-a.local", "to": f"sip:0301234@{sbc.ip(2)}",
                   "object": "sip-interface [pbx-a]",
                   "reason": "allow-anonymous does not admit the source"}
    sbc.logs_line("step=name-source code=403")


def test_each_step_and_status_is_a_row_of_its_own(sbc, pbx_a, trunk, peers):
    sbc.policy("pbx-a")["to-address"] = "0301"
    for agent in sbc.element("surrogate-agent"):
        agent["route-to-registrar"] = "disabled"
    sbc.start().registered()
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local")
    stranger.calls("0301234").until_refused()
    assert pbx_a.calls("0999").until_refused().status == 404
    assert pbx_a.calls("0998").until_refused().status == 404
    rows = re.findall(r"(?m)^([a-z-]+ \d{3}) +(\d+) +(\d+) +(\d+)$", sbc.acli("show refusals"))
    assert rows == [("name-source 403", "1", "1", "1"), ("choose-route 404", "2", "2", "2")]
    assert list(data(sbc, "show refusals step choose-route")) == ["choose-route-404"]
    route = data(sbc, "show refusals last 1 step choose-route")[0]
    assert route["object"] == "realm-config [pbx-a]" and route["to"].startswith("sip:0998@")
    assert "Reset: refusals." in sbc.acli("reset refusals")
    assert data(sbc, "show refusals")["choose-route-404"]["total"] == 0
    assert len(data(sbc, "show refusals last 9")) == 3
    code, said = sbc.acli_status("show refusals step nowhere")
    assert code == 1 and "There is no step [nowhere]" in said
    code, said = sbc.acli_status("show refusals last many")
    assert code == 1 and "last [many] is not a number" in said


def test_a_limit_that_refuses_throttles_the_method_and_is_named(sbc, pbx_a, trunk):
    sbc.element("session-agent", "pbx-a.example").update(
        {"constraints": "enabled", "max-inbound-sessions": "1"})
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    assert pbx_a.calls("0301235").until_refused().status == 503
    row = data(sbc, "show refusals last 1")[0]
    assert (row["step"], row["status"], row["object"]) == \
        ("take-capacity", 503, "session-agent [pbx-a.example]")
    assert totals(data(sbc, "show sipd invite")["locally-throttled"]) == (1, 0)


def test_a_call_without_credentials_is_refused_by_authenticate(sbc, pbx_a, trunk):
    sbc.element("realm-config", "trunk")["auth-attributes"] = []
    sbc.element("sip-config")["auth-lookup-miss"] = "fail"
    sbc.start().registered()
    assert pbx_a.calls("0301234").until_refused().status == 407
    row = data(sbc, "show refusals last 1")[0]
    assert (row["step"], row["status"]) == ("authenticate", 407)


def test_reset_sipd_clears_the_methods_and_leaves_refusals(sbc, pbx_a, trunk, peers):
    sbc.start().registered()
    peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local").calls("0301234").until_refused()
    assert totals(data(sbc, "show sipd invite")["403-forbidden"]) == (1, 0)
    sbc.acli("reset sipd")
    table = data(sbc, "show sipd invite")
    assert totals(table["403-forbidden"]) == (0, 0) == totals(table["invite-requests"])
    assert table["latency"] == {"avg": 0, "max": 0, "count": 0}
    assert data(sbc, "show refusals")["name-source-403"]["total"] == 1
