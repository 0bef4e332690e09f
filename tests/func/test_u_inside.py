"""
What an operator sees of the program itself: users, memory, threads, caches (acli.md 2.4, 2.6).
"""
import json
import re

from peers.dns import Dns


def data(sbc, command):
    return json.loads(sbc.acli(command + " | json"))["data"]


def test_each_connection_is_a_user_with_its_mode_and_lock(sbc, trunk):
    sbc.start()
    shell = sbc.shell()
    shell.says("enable")
    assert shell.says("configure exclusive")[0] == "0000"
    rows = data(sbc, "show users")
    assert len(rows) == 2
    mine = next(r for r in rows if not r["lock"])
    other = next(r for r in rows if r["lock"])
    assert other["mode"] == "configure" and mine["mode"] == "superuser"
    assert other["connection"] < mine["connection"] and mine["from"] == "local"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine["since"])
    assert mine["idle"] == 0
    shell.close()


def test_memory_lists_what_is_kept(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    memory = data(sbc, "show memory usage")
    pools = {p["pool"]: p for p in memory["pools"]}
    assert memory["total-memory"] > 64 << 20
    assert 1 << 20 < pools["process"]["bytes"] <= pools["process"]["high"]
    assert pools["sessions"]["objects"] == 1 and pools["registrations"]["objects"] == 20
    assert pools["flows"]["objects"] == 2 and pools["nonce cache"]["objects"] >= 1
    assert pools["transactions"]["objects"] > 0 and pools["configuration"]["objects"] > 10
    assert re.match(r"Total Memory: \d+ MB\nPool +Objects +Bytes +High +Limit\n",
                    sbc.acli("show memory"))
    code, said = sbc.acli_status("show memory all")
    assert code == 1 and "Unknown word [all], possible here: usage" in said


def test_each_thread_has_its_time(sbc, trunk):
    sbc.start().registered()
    threads = data(sbc, "show processes cpu")
    names = [t["thread"] for t in threads]
    assert "media" in names and "job" in names and "sip-0" in names
    assert all(t["cpu-s"] >= 0 and t["now"] >= 0 for t in threads)


def test_a_nonce_that_was_cleared_is_asked_for_anew(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    before = len(trunk.invites())
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(trunk.invites()) == before + 1  # credentials at once
    assert sbc.acli("clear-cache nonce") == "The nonce cache is empty.\n"
    assert {p["pool"]: p for p in data(sbc, "show memory")["pools"]}["nonce cache"]["objects"] == 0
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(trunk.invites()) == before + 3  # challenged once more


def test_names_that_were_cleared_are_asked_for_anew(sbc, peers, pbx_a, trunk):
    peers(Dns, sbc.folder, sbc.ip(53), hosts={"trunk.example": sbc.ip(11)})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"],
                                         "dns-timeout": "1"})
    agent = sbc.element("session-agent", "trunk.example")
    agent.pop("ip-address", None)
    sbc.start().registered()
    assert any(r["name"] == "trunk.example" for r in data(sbc, "show dns")["cache"])
    assert sbc.acli("clear-cache dns") == "The dns cache is empty.\n"
    assert all(not r["answers"] for r in data(sbc, "show dns")["cache"])
    sbc.acli("notify sipd register all")
    sbc.waits("show dns", rf"(?m)^trunk.example .*{sbc.ip(11)}")
    sbc.registered()


def test_dns_servers_have_a_state_and_a_round_trip(sbc, peers, pbx_a, trunk):
    dns = peers(Dns, sbc.folder, sbc.ip(53), hosts={"trunk.example": sbc.ip(11)})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"],
                                         "dns-timeout": "1"})
    sbc.element("session-agent", "trunk.example").pop("ip-address", None)
    sbc.start().registered()
    servers = data(sbc, "show dns")["servers"]
    assert [(s["servers"], s["state"], s["silent"]) for s in servers] == \
        [(f"{sbc.ip(53)}:30053", "in service", 0)]
    assert servers[0]["answered"] > 0 and 0 <= servers[0]["round-trip"] < 1
    assert re.search(rf"(?m)^{sbc.ip(53)}:30053 +in service +0\.\d\d\d +\d+ +0 +0$", sbc.acli("show dns"))
    # one name alone, its services with it
    assert sbc.acli_status("clear-cache dns nowhere.example")[0] == 1
    assert re.fullmatch(r"\d+ answers? for trunk.example (is|are) forgotten.\n",
                        sbc.acli("clear-cache dns trunk.example"))
    dns.close()
    sbc.acli("notify sipd register all")
    sbc.waits("show dns", rf"(?m)^{sbc.ip(53)}:30053 +(silent|down) ")
    assert data(sbc, "show dns")["servers"][0]["lost"] > 0


def test_credentials_that_were_cleared_are_read_anew(sbc, pbx_a, trunk):
    sbc.start().registered()
    assert sbc.acli("clear-cache credentials") == "The credentials cache is empty.\n"
    pbx_a.calls("0301234").until_answered().hang_up()
    code, said = sbc.acli_status("clear-cache everything")
    assert code == 1 and "Unknown word [everything], possible here: credentials, dns, nonce, registration" in said


# --- media

def test_media_of_a_session_has_both_sides_and_what_came(sbc, pbx_a, trunk):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    number = sbc.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    rows = data(sbc, f"show media sessions {number}")
    assert [(r["id"], r["side"]) for r in rows] == [(number, "ingress"), (number, "egress")]
    assert rows[0]["local"].startswith(sbc.ip(2) + ":") and rows[1]["local"].startswith(sbc.ip(1) + ":")
    assert rows[0]["codec"].startswith("PCMA") and rows[0]["idle"] is None
    assert len(data(sbc, "show media sessions")) == 2
    call.hang_up()
    sbc.no_session_is_left()
    assert data(sbc, "show media sessions") == []
    code, said = sbc.acli_status(f"show media sessions {number}")
    assert code == 1 and "There is no session" in said


def test_media_realms_count_ports_and_flows_and_errors_what_failed(sbc, pbx_a, trunk):
    pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "pbx-a")
    pool["end-port"] = str(int(pool["start-port"]) + 1)
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    realms = {r["realm"]: r for r in data(sbc, "show media realms")}
    assert (realms["pbx-a"]["used"], realms["pbx-a"]["free"], realms["pbx-a"]["flows"]) == (1, 0, 1)
    assert realms["trunk"]["flows"] == 1 and realms["pbx-b"]["flows"] == 0
    assert [r["realm"] for r in data(sbc, "show media realms pbx-a")] == ["pbx-a"]
    assert data(sbc, "show media errors")["no-ports"]["total"] == 0
    assert pbx_a.calls("0301235").until_refused().status == 503
    assert data(sbc, "show media errors")["no-ports"]["total"] == 1
    sbc.acli("reset media")
    assert data(sbc, "show media errors")["no-ports"]["total"] == 0
    code, said = sbc.acli_status("show media realms nowhere")
    assert code == 1 and "There is no realm-config [nowhere]" in said
    code, said = sbc.acli_status("show media everything")
    assert code == 1 and "possible here: errors, realms, sessions" in said


def test_the_status_ends_with_its_rates(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    text = sbc.acli("show sipd status")
    assert re.search(r"(?m)^Session Rate = \d+\.\d\nLoad Rate = \d+\.\d$", text)
    status = data(sbc, "show sipd status")
    assert status["session-rate"] > 0 and status["load-rate"] >= 0


def test_support_info_has_all_parts_and_no_secret(sbc, pbx_a, trunk):
    sbc.element("system-config")["log-target"] = "file"
    sbc.start(level=None).registered()
    pbx_a.calls("0301234").until_answered()
    text = sbc.acli("show support-info")
    titles = re.findall(r"(?m)^===== (.+)$", text)
    assert titles == ["version", "uptime", "health", "alarms", "memory", "users", "log-level",
                      "sip interface", "realm", "statistics", "refusals", "running-config", "log"]
    parts = dict(zip(titles, re.split(r"(?m)^===== .+\n", text)[1:]))
    assert parts["health"].rstrip().splitlines()[-1].startswith("Health: ")
    assert "SIP Status" in parts["statistics"] and "INVITE Requests" in parts["statistics"]
    assert "surrogate-agent" in parts["running-config"] and "********" in parts["running-config"]
    assert " sipd start " in parts["log"] and "secret-" not in text


def test_support_info_is_one_document_with_all_parts(sbc, pbx_a, trunk):
    sbc.element("system-config")["log-target"] = "file"
    sbc.start(level=None).registered()
    pbx_a.calls("0301234").until_answered()
    text = sbc.acli("show support-info | json")
    whole = json.loads(text)
    assert whole["command"] == "show support-info" and whole["window"] >= 0
    parts = whole["data"]
    assert list(parts) == [
        "version", "uptime", "health", "alarms", "memory", "users", "log-level", "sip-interface",
        "realm", "sipd-status", "sipd-sessions", "sipd-transactions", "sipd-errors", "sipd-policy",
        "sipd-authentication", "sipd-agents", "sipd-realms", "sipd-interface", "sipd-rate",
        "sipd-registration-queue", *(f"sipd-{m}" for m in (
            "invite", "cancel", "bye", "options", "register", "info", "prack", "update", "refer",
            "subscribe", "notify", "message", "publish")),
        "registration", "media", "media-errors", "refusals", "running-config", "log"]
    assert parts["health"]["health"] == "ok" and parts["alarms"] == []
    assert parts["sipd-invite"]["invite-requests"]["server"]["total"] == 1
    assert any(" sipd start " in line for line in parts["log"])
    assert "secret-" not in text and "********" in text


def test_cleared_registrations_are_made_anew(sbc, trunk):
    sbc.start().registered()
    before = sbc.counter("show registration", "Surrogate Sent")
    assert "Registering: 2 surrogate-agents." in sbc.acli("clear-cache registration sip by-user 4930103")
    sbc.waits("show sipd registration-queue", r"trunk +0 ")
    after = sbc.counter("show registration", "Surrogate Sent")
    assert after == before + 2
    code, said = sbc.acli_status("clear-cache registration sip")
    assert code == 1 and "Missing all, by-user U or by-ip IP" in said
    before = after
    assert "Registering: 20 AoRs." in sbc.acli(f"clear-cache registration sip by-ip {sbc.ip(11)}")
    sbc.waits("show sipd registration-queue", r"trunk +0 ")
    assert sbc.counter("show registration", "Surrogate Sent") == before + 20
    code, said = sbc.acli_status(f"clear-cache registration sip by-ip {sbc.ip(99)}")
    assert code == 1 and f"There is no AoR at [{sbc.ip(99)}]" in said
