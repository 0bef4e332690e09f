"""
What an operator reads: layouts of tables, JSON, filters, reset (acli.md 1.5, 2.2 to 2.6).

- The headings are those of the specification, column by column.
- Every show command with a JSON form gives one document with its command and time.
- Recent, Total and PerMax begin anew at reset; Active stays.
"""
import json
import re

import pytest

from peers.dns import Dns

SIPD = """\
SIP Status                          -- Period -- -------- Lifetime --------
                          Active    High   Total      Total  PerMax    High
"""
ERRORS = """\
SIP Errors/Events                  ---- Lifetime ----
                            Recent     Total    PerMax
"""
AGENTS = """\
                           ----- Inbound ------ ----- Outbound ----- -- Latency -- ------- Max -------
Session Agent            S Active   Rate  ConEx Active   Rate  ConEx    Avg    Max  Burst     In    Out
"""


def body(text):
    """A table without its first line, which is the time"""
    assert re.match(r"\d\d:\d\d:\d\d-\d+\n", text), text
    return text.split("\n", 1)[1]


def one_call(sbc, pbx_a, trunk):
    call = pbx_a.calls("0301234").until_answered()
    return call


@pytest.mark.parametrize("command,heading", [("show sipd status", SIPD), ("show sipd errors", ERRORS),
                                             ("show sipd agents", AGENTS)])
def test_headings_are_those_of_the_specification(sbc, trunk, command, heading):
    sbc.start()
    assert body(sbc.acli(command)).startswith(heading)


def test_sessions_stand_under_their_heading(sbc, trunk):
    sbc.start()
    rows = [line[:24].rstrip() for line in body(sbc.acli("show sipd sessions")).splitlines()[2:]]
    assert rows == ["Sessions", "  Initial", "  Early", "  Established", "  Terminated", "Dialogs"]


JSON = ["show sipd status", "show sipd sessions", "show sipd transactions", "show sipd errors",
        "show sipd policy", "show sipd authentication", "show sipd agents", "show registration",
        "show refusals", "show media", "show sessions", "show surrogate-agents",
        "show surrogate-agents summary", "show surrogate-agents detail", "show alarms",
        "show alarms history", "show records", "show version", "show uptime", "show health",
        "show dns", "show log-level", "show credentials", "display-alarms"]


def test_each_show_command_gives_one_document(sbc, pbx_a, trunk):
    sbc.start().registered()
    one_call(sbc, pbx_a, trunk)
    for command in JSON:
        document = json.loads(sbc.acli(command + " | json"))
        assert document["v"] == 1 and document["command"] == command
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["time"])
        assert "data" in document, command
    assert json.loads(sbc.acli("show alarms", options=["--json"]))["command"] == "show alarms"
    code, output = sbc.acli_status("help | json")
    assert code == 1 and "% help has no JSON form" in output


def test_statistics_have_the_names_of_their_columns(sbc, pbx_a, trunk):
    sbc.start().registered()
    one_call(sbc, pbx_a, trunk)
    document = json.loads(sbc.acli("show sipd status | json"))
    assert document["window"] >= 0
    sessions = document["data"]["sessions"]
    assert set(sessions) == {"active", "period-high", "recent", "total", "permax", "high"}
    assert sessions["active"] == 1 and sessions["total"] == sessions["permax"] == 1
    errors = json.loads(sbc.acli("show sipd errors | json"))["data"]
    assert set(errors["call-rejects"]) == {"recent", "total", "permax"}


def test_reset_begins_counts_anew_and_leaves_what_is_active(sbc, pbx_a, trunk):
    sbc.start().registered()
    one_call(sbc, pbx_a, trunk)

    def sessions():
        return json.loads(sbc.acli("show sipd status | json"))["data"]["sessions"]
    assert sessions()["total"] == 1
    assert "Reset: sipd." in sbc.acli("reset sipd")
    after = sessions()
    assert (after["active"], after["total"], after["recent"], after["high"]) == (1, 0, 0, 1)
    assert json.loads(sbc.acli("show registration | json"))["data"]["surrogate-sent"]["total"] > 0
    sbc.acli("reset all")
    assert json.loads(sbc.acli("show registration | json"))["data"]["surrogate-sent"]["total"] == 0
    code, output = sbc.acli_status("reset nonsense")
    assert code == 1 and "Unknown word [nonsense]" in output


def test_aors_as_json_have_null_for_what_is_not_known(sbc, trunk):
    sbc.start().registered()
    data = json.loads(sbc.acli("show surrogate-agents detail | json"))["data"]
    assert data["total"] == len(data["aors"]) == 20
    assert data["states"]["registered"] == 20
    first = data["aors"][0]
    assert first["last"] == 200 and first["expires"] > 0 and first["tries"] == 0
    assert first["contact"].startswith("sip:")
    summary = json.loads(sbc.acli("show surrogate-agents summary | json"))["data"]
    assert [a["registered"] for a in summary["agents"]] == [10, 10]


def test_lists_can_be_narrowed(sbc, pbx_a, trunk):
    sbc.start().registered()
    text = sbc.acli("show surrogate-agents realm pbx-a limit 3")
    assert "... 7 more" in text and "10 AoRs: 10 registered" in text and "pbx-b" not in text
    text = sbc.acli("show surrogate-agents b.trunk.example")
    assert "10 AoRs: 10 registered" in text and "pbx-a" not in text
    one_call(sbc, pbx_a, trunk)
    assert "1 sessions" in sbc.acli("show sessions realm pbx-a")
    assert "0 sessions" in sbc.acli("show sessions realm pbx-b")
    assert "1 sessions" in sbc.acli("show sessions user 0301234")


@pytest.mark.one_worker("rows of one worker stand behind those of another")
def test_filters_are_chained(sbc, trunk):
    sbc.start().registered()
    assert sbc.acli("show surrogate-agents | include pbx-a | count").strip() == "10"
    text = sbc.acli("show surrogate-agents | begin pbx-b | exclude AoRs")
    assert text.count("pbx-b") == 10 and "pbx-a" not in text and "AoRs" not in text
    code, output = sbc.acli_status("show alarms | sort")
    assert code == 1 and "sort" in output


def test_all_agents_are_told_to_register_now(sbc, trunk):
    sbc.start().registered()
    before = sbc.counter("show registration", "Surrogate Sent")
    assert "Registering: 2 surrogate-agents." in sbc.acli("notify sipd register all")
    sbc.waits("show registration", rf"Surrogate Sent .*{before + 20}|Surrogate Sent")
    code, output = sbc.acli_status("notify sipd register all nobody")
    assert code == 1 and "There is no AoR [nobody]" in output


def test_log_levels_are_set_and_shown(sbc, trunk):
    sbc.start(level="NOTICE")
    sbc.acli("log-level surrogate DEBUG")
    levels = {r["component"]: r["level"] for r in json.loads(sbc.acli("show log-level | json"))["data"]}
    assert levels["surrogate"] == "DEBUG" and levels["sipd"] == "NOTICE"
    code, output = sbc.acli_status("log-level nothing DEBUG")
    assert code == 1 and "There is no component [nothing]" in output
    code, output = sbc.acli_status("log-level all LOUD")
    assert code == 1 and "There is no level [LOUD]" in output


def test_an_alarm_is_cleared_by_its_number(sbc, trunk):
    sbc.start()
    code, output = sbc.acli_status("clear-alarm 4711")
    assert code == 1 and "There is no alarm [4711]" in output


def test_health_is_ok_and_says_so(sbc, trunk):
    sbc.start().registered()
    document = json.loads(sbc.acli("show health | json"))["data"]
    assert {c["check"] for c in document["checks"]} >= {"database", "disk", "dns", "sip-ports"}
    assert document["health"] in ("ok", "warn")


def test_a_configuration_is_the_tree_of_its_yaml_form(sbc, trunk):
    sbc.start()
    running = json.loads(sbc.acli("show running-config | json"))["data"]
    assert set(running) == set(sbc.config)
    router = running["session-router"]
    written = sbc.config["session-router"]
    assert set(router) == set(written)
    assert [p["source-realm"] for p in router["local-policy"]] == \
        [[p["source-realm"]] for p in written["local-policy"]]
    agent = router["surrogate-agent"][0]
    assert agent["password"] == "********" and agent["aor-count"] == 10
    assert "secret-" not in json.dumps(running)
    editing = json.loads(sbc.acli("show configuration | json"))
    assert editing["command"] == "show configuration" and editing["data"] == running
    one = json.loads(sbc.acli("show running-config session-agent trunk.example | json"))["data"]
    assert [a["hostname"] for a in one["session-router"]["session-agent"]] == ["trunk.example"]
    code, output = sbc.acli_status("show running-config session-agent nowhere | json")
    assert code == 1 and "There is no session-agent [nowhere]" in output


@pytest.mark.one_worker("rows of one worker stand behind those of another")
def test_an_answer_of_many_slices_is_whole_in_each_form(sbc, tmp_path):
    """The worker says 200 rows in a turn; filters and the document go on from one to the next"""
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent.update({"register-user": "4930^^^", "register-contact-user": "a-4930^^^", "aor-count": "777"})
    sbc.element("surrogate-agent", "b.trunk.example")["state"] = "disabled"
    sbc.start(level=None)
    users = [f"4930{n:03}@a.trunk.example" for n in range(777)]
    aors = json.loads(sbc.acli("show surrogate-agents | json"))["data"]["aors"]
    assert [a["aor"] for a in aors][:777] == users and len(aors) == 787
    text = sbc.acli("show surrogate-agents")
    assert re.findall(r"(?m)^(\S+@a\S+) ", text) == users
    assert sbc.acli("show surrogate-agents | include @a.trunk | count").strip() == "777"
    assert sbc.acli("show surrogate-agents | begin 4930500@ | exclude disabled | include @ | count").strip() == "277"
    sbc.acli(f"show surrogate-agents | include @a.trunk | save {tmp_path}/rows")
    assert re.findall(r"(?m)^(\S+) ", (tmp_path / "rows").read_text()) == users
    detail = json.loads(sbc.acli("show surrogate-agents detail | json"))["data"]["aors"]
    assert [a["aor"] for a in detail] == [a["aor"] for a in aors]


# Command, and the member of data that has the rows (None: data itself)
LISTS = [("show sipd agents", None), ("show sipd realms", None), ("show sipd interface", None),
         ("show realm", None), ("show sip interface", None), ("show media realms", None),
         ("show sipd registration-queue", None), ("show sipd endpoint-ip TRUNK", None),
         ("show surrogate-agents", "aors"), ("show surrogate-agents summary", "agents"),
         ("show registration sipd by-user *", None), ("show dns", "cache"), ("show sessions", None),
         ("show media sessions", None), ("show credentials", None), ("show credentials seen", None),
         ("show alarms", None), ("show alarms history", None), ("display-alarms", None)]


def test_every_list_takes_a_limit(sbc, peers, pbx_a, trunk, tmp_path):
    names = {f"{n}.trunk.example": sbc.ip(11) for n in ("one", "two", "three")}
    peers(Dns, tmp_path, sbc.ip(53), hosts=names)
    sbc.element("system-config")["dns-servers"] = [f"{sbc.ip(53)}:30053"]
    sbc.element("sip-config")["max-sessions"] = "4"
    sbc.element("system-config")["alarm-threshold"] = [{"type": "sessions", "severity": "minor", "value": "50"}]
    sbc.element("session-agent", "pbx-a.example").update(
        {"constraints": "enabled", "max-sessions": "4", "cac-alarm-threshold": "50"})
    sbc.start().registered()
    for name in names:
        sbc.acli(f"dns lookup {name} a")
    for _ in range(2):
        one_call(sbc, pbx_a, trunk)
    cut = set()
    for name in ("sessions", "cac-utilisation"):
        sbc.waits("show alarms", rf"\d +{name} ")
    for name, where in LISTS:
        command = name.replace("TRUNK", sbc.ip(11))
        whole = json.loads(sbc.acli(command + " | json"))
        rows = whole["data"] if where is None else whole["data"][where]
        assert "more" not in whole, command
        some = json.loads(sbc.acli(command + " limit 1 | json"))
        shown = some["data"] if where is None else some["data"][where]
        per = 2 if command == "show media sessions" else 1  # a row for each side
        total = len(rows) // per
        assert len(shown) == min(total, 1) * per, command
        assert some.get("more", 0) == max(total - 1, 0), (command, some)
        text = sbc.acli(command + " limit 1")
        if total > 1:
            assert f"... {total - 1} more\n" in text, (command, text)
            cut.add(name)
        for wrong, says in (("limit", "Missing N"), ("limit x", "limit [x] is not a number"),
                            ("limit 99999999999", "limit [99999999999] is out of range 0-4294967295")):
            code, output = sbc.acli_status(f"{command} {wrong}")
            assert code == 1 and says in output, (command, wrong, output)
    # There are one registrar and one who challenged
    assert {name for name, _ in LISTS} - cut == {"show sipd registration-queue", "show credentials seen"}


@pytest.mark.parametrize("command, what", [
    ("show realm", "realm-config"), ("show sipd realms", "realm-config"), ("show media realms", "realm-config"),
    ("show sipd agents", "session-agent"), ("show sipd interface", "sip-interface")])
def test_of_a_name_that_is_none_nothing_is_shown(sbc, command, what):
    sbc.start()
    for form in ("", " limit 3", " | json"):
        code, said = sbc.acli_status(f"{command} nothing{form}")
        assert (code, said) == (1, f"% There is no {what} [nothing]\n"), (command, form)
