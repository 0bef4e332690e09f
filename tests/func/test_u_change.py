"""
Live change of configuration: import, save, activate, discard (acli.md 1.7, 1.8).

- Statements 7, 14 and 37 of behaviour.md 7.2.
- A sip-port is added, removed, moved; calls over the old one go on to their end.
- What is refused leaves everything as it was: a file, a configuration with ERROR, a port in use.
- Calls keep the plan they began with, and registrations that did not change are not repeated.
"""
import os
import re
import socket
import time

import pytest

from peers.pbx import Pbx
from peers.trunk import Trunk


def changed(sbc, *commands, check=True):
    """Import the configuration of the test, save, activate"""
    return sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config", *commands,
                    check=check)


def versions(sbc):
    text = sbc.acli("show version")
    return tuple(int(re.search(rf"{name} configuration +(\d+)", text).group(1))
                 for name in ("saved", "running"))


def settled(trunk):
    """Number of messages up to now"""
    return len(trunk.seen)


def registers_since(trunk, since):
    return [m for m in trunk.seen[since:] if m.status is None and m.method == "REGISTER"]


# --- the shell

def test_a_change_is_edited_saved_and_running_one_after_the_other(sbc, trunk):
    sbc.start().registered()
    assert versions(sbc) == (1, 1)
    assert "Nothing to save, version 1." in sbc.acli("save-config")
    assert "No differences." in sbc.acli("show configuration diff")
    sbc.element("surrogate-agent", "a.trunk.example")["register-retry-time"] = "60"
    assert "no errors" in sbc.acli(f"import-config {sbc.write()}")
    diff = sbc.acli("show configuration diff")
    assert re.search(r"- register-retry-time +30\n +\+ register-retry-time +60\n1 element changed, "
                     r"0 added, 0 removed", diff), diff
    assert versions(sbc) == (1, 1)
    assert "Saved as version 2. Running is version 1; use activate-config." in sbc.acli("save-config")
    assert versions(sbc) == (2, 1)
    assert "No differences." in sbc.acli("show configuration diff saved")
    assert "register-retry-time" in sbc.acli("show configuration diff")
    assert "register-retry-time             30" in sbc.acli("show running-config surrogate-agent")
    output = sbc.acli("activate-config")
    assert re.search(r"surrogate-agent \[.*\] changed  live\nRunning is version 2\.", output), output
    assert versions(sbc) == (2, 2)
    assert "register-retry-time             60" in sbc.acli("show running-config surrogate-agent")
    assert re.search(r"(?m)^ +2 .* yes\n +1 .*[^s]$", sbc.acli("show configuration versions"))
    sbc.kill()
    sbc.start(configured=False)
    assert versions(sbc) == (2, 2)


def test_edits_survive_kill_and_are_discarded_on_demand(sbc, trunk):
    sbc.start().registered()
    sbc.element("system-config")["hostname"] = "other"
    sbc.element("surrogate-agent", "b.trunk.example")["register-retry-time"] = "77"
    sbc.acli(f"import-config {sbc.write()}")
    sbc.kill()
    sbc.start(configured=False)
    assert "2 elements changed" in sbc.acli("show configuration diff")
    output = sbc.acli("discard", check=False)
    assert "Discard 2 changes? [y/n]" in output and "2 elements changed" in sbc.acli(
        "show configuration diff")
    one = 'discard surrogate b.trunk.example "493010^" pbx-b'
    assert "Discard 1 change? [y/n]" in sbc.acli(one, check=False)
    assert "2 elements changed" in sbc.acli("show configuration diff")
    assert "Discarded 1 change." in sbc.acli(one, options=["--yes"])
    assert "Discarded 0 changes." in sbc.acli(one, check=False)
    assert "1 element changed" in sbc.acli("show configuration diff")
    assert "Discarded 1 change." in sbc.acli("discard", options=["--yes"])
    assert "No differences." in sbc.acli("show configuration diff")
    assert "Nothing to save, version 1." in sbc.acli("save-config")


def test_a_discard_that_changes_nothing_leaves_the_lock_free(sbc, trunk):
    sbc.start().registered()
    shell = sbc.shell()

    def says(line, wanted):
        shell.sends(line)
        while True:
            code, text = shell.hears()
            if code in ("0000", "2001") or code[0] in "89":
                assert code == wanted, (line, code, text)
                return
    says("enable", "0000")
    for line, code in (("discard", "0000"), ("discard system-config", "0000"), ("discard system-config x", "9003"),
                       ("discard realm-config", "9003"), ("discard realm-config nowhere", "9003"), ("discard nothing", "9001")):
        says(line, code)
        assert not re.search(r"yes *$", sbc.acli("show users"), re.M), line
    sbc.acli("configure terminal system system-config", "hostname other", "done")
    for line in ("discard", "discard system-config"):
        says(line, "2001")
        says("n", "0000")
        assert not re.search(r"yes *$", sbc.acli("show users"), re.M), line
    shell.close()


def test_merge_replaces_key_by_key_and_keeps_the_rest(sbc, trunk, tmp_path):
    sbc.start().registered()
    part = tmp_path / "part.yaml"
    part.write_text("session-router:\n  session-agent:\n    - {hostname: more.example, "
                    "ip-address: 127.9.9.9, realm-id: trunk}\n")
    sbc.acli(f"import-config {part} merge")
    diff = sbc.acli("show configuration diff")
    assert "0 elements changed, 1 added, 0 removed" in diff and "more.example" in diff, diff
    # the same file alone is the whole configuration
    output = sbc.acli(f"import-config {part}")
    assert re.search(r"[1-9]\d* errors?", output), output


def test_an_export_imported_again_changes_nothing_but_masked_secrets(sbc, trunk, tmp_path):
    sbc.start().registered()
    path = f"{tmp_path}/export.yaml"
    sbc.acli(f"export-config {path} running yaml")
    assert os.stat(path).st_mode & 0o777 == 0o600
    text = open(path).read()
    assert "trunk.example" in text and "secret-" not in text
    assert sbc.acli("export-config running text").count("surrogate-agent") >= 2
    assert sbc.acli("export-config running yaml").strip() == text.strip()


def test_a_file_that_cannot_be_read_or_taken_changes_nothing(sbc, trunk, tmp_path):
    sbc.start().registered()
    code, output = sbc.acli_status(f"import-config {tmp_path}/none.yaml")
    assert code == 2 and "No such file" in output
    bad = tmp_path / "bad.yaml"
    bad.write_text("session-router:\n  sip-config: {nonsense: 1}\n  session-agent:\n"
                   "    - {hostname: x, colour: red}\n")
    code, output = sbc.acli_status(f"import-config {bad}")
    assert code == 1
    assert f"{bad}:2:" in output and f"{bad}:4:" in output and "nothing was changed" in output
    bad.write_text("session-router: [\n")
    code, output = sbc.acli_status(f"import-config {bad}")
    assert code == 1 and "was not taken" in output
    assert "No differences." in sbc.acli("show configuration diff")
    assert versions(sbc) == (1, 1)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "{}\n", "session-router: {}\n"])
@pytest.mark.parametrize("how", ["", "merge"])
def test_a_file_without_an_element_does_not_empty_editing(sbc, tmp_path, text, how):
    sbc.start(level=None)
    (tmp_path / "none.yaml").write_text(text)
    code, said = sbc.acli_status(f"import-config {tmp_path}/none.yaml {how}")
    assert code == 1 and "none.yaml was not taken; nothing was changed" in said, said
    assert "No differences." in sbc.acli("show configuration diff")


def test_a_configuration_with_errors_is_saved_but_never_runs(sbc, trunk, pbx_a):
    sbc.start().registered()
    sbc.policy("pbx-a")["policy-attributes"][0]["realm"] = "nowhere"
    output = changed(sbc, check=False)
    assert re.search(r"Configuration has \d+ errors?; nothing was activated", output), output
    assert versions(sbc) == (2, 1)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert "pbx-a" in sbc.acli("show running-config local-policy")


def test_two_operators_do_not_change_at_once(sbc, trunk):
    sbc.start().registered()
    path = sbc.write()
    first = sbc.shell()
    assert first.says("enable")[0] == "0000"
    first.sends(f"import-config {path}")
    assert first.hears()[0] == "4001"
    code, output = sbc.acli_status(f"import-config {path}")
    assert code == 1 and "Configuration is locked by" in output
    assert sbc.acli_status("activate-config")[0] == 1
    first.close()   # ends before it sent the file: the lock is free
    sbc.waits(f"import-config {path}", "no errors")
    assert "Nothing to save" in sbc.acli("save-config")


# --- statements 7, 14, 37

def test_7_a_new_password_counts_at_once_and_for_its_agent_only(sbc, trunk):
    trunk.passwords["reg-a"] = "secret-new"
    sbc.start()
    sbc.waits("show surrogate-agents", r"\b10 registered.*10 refused|\b10 refused.*10 registered")
    since = settled(trunk)
    sbc.element("surrogate-agent", "a.trunk.example")["password"] = "secret-new"
    changed(sbc)
    sbc.registered(20)
    seen = registers_since(trunk, since)
    assert {m.uri for m in seen} == {"sip:a.trunk.example"}
    assert len({m.user("To") for m in seen}) == 10
    assert "surrogate-credentials-refused" not in sbc.acli("show alarms")


def test_7_registrations_with_the_new_password_are_paced(sbc, trunk):
    sbc.element("sip-config")["registration-rate"] = "40"
    trunk.passwords["reg-a"] = "secret-new"
    sbc.start()
    sbc.waits("show surrogate-agents", r"\b10 registered.*10 refused|\b10 refused.*10 registered", 12)
    since = settled(trunk)
    sbc.element("surrogate-agent", "a.trunk.example")["password"] = "secret-new"
    changed(sbc)
    sbc.registered(20)
    firsts = {}
    for m in registers_since(trunk, since):
        firsts.setdefault(m.user("To"), m.time)
    assert len(firsts) == 10
    moments = sorted(firsts.values())
    assert moments[-1] - moments[0] >= 9 / 40 - 0.03
    assert moments[-1] - moments[0] < 3


@pytest.mark.parametrize("unregister", ["enabled", "disabled"])
def test_14_disabling_an_agent_sends_one_expires_0_for_each_aor_or_nothing(sbc, trunk, unregister):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent["un-register"] = unregister
    sbc.start().registered()
    since = settled(trunk)
    agent["state"] = "disabled"
    changed(sbc)
    sbc.waits("show surrogate-agents", r"\b10 registered")
    sbc.waits("show surrogate-agents", r"\b10 disabled")
    seen = [m for m in registers_since(trunk, since)]
    final = [m for m in seen if trunk.credentials(m) or not trunk.register_challenge]
    if unregister == "disabled":
        assert not seen
        return
    assert len({m.user("To") for m in seen}) == 10
    for m in seen:
        assert m.uri == "sip:a.trunk.example"
        assert m.get("Expires") == "0" and m.get("Contact").startswith("<sip:a-49301")
        assert "*" not in m.get("Contact")
    assert len(final) == 10


def test_37_a_changed_password_answers_the_next_challenge_of_a_call_that_goes_on(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    entry = next(e for e in sbc.element("realm-config", "trunk")["auth-attributes"]
                 if e["auth-user-lookup"] == "tenA")
    entry["password"] = trunk.passwords["a1"] = "secret-changed"
    changed(sbc)
    trunk.dialog_challenge = dict(trunk.invite_challenge)
    since = len(trunk.good)
    again = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    answer = call.answer_to(again)
    assert answer.status == 200
    call.ack_to(again, answer)
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE" and trunk.credentials(m))
    assert {user for _, user, _ in trunk.good[since:]} == {"a1"}
    pbx_a.calls("0301234").until_answered().hang_up()


def test_37_a_call_of_a_deleted_policy_still_answers_with_its_credentials(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    sbc.element("local-policy").remove(sbc.policy("pbx-a"))
    changed(sbc)
    trunk.dialog_challenge = dict(trunk.invite_challenge)
    since = len(trunk.good)
    call.hang_up()
    trunk.wait(lambda m: m.status is None and m.method == "BYE" and trunk.credentials(m))
    assert ("BYE", "a1") in {(method, user) for method, user, _ in trunk.good[since:]}
    assert sbc.records()[0]["config-version"] == "1"
    # A new one goes where its AoR is registered, with the agent's own credentials
    since = len(trunk.good)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert {user for method, user, _ in trunk.good[since:]} == {"reg-a"}


# --- sip-ports

def ports_of(sbc, realm):
    return sbc.element("sip-interface", realm)["sip-ports"]


def test_a_port_that_is_added_serves_at_once_and_touches_no_registration(sbc, trunk, pbx_a, peers):
    sbc.start().registered()
    since = settled(trunk)
    ports_of(sbc, "pbx-a").append({"address": sbc.ip(2), "port": "5080", "transport-protocol": "UDP",
                                   "allow-anonymous": "agents-only"})
    assert f"sip-interface [pbx-a] changed  restarts sip-port [{sbc.ip(2)} 5080 UDP]\n" in changed(sbc)
    pbx_a.sbc = (sbc.ip(2), 5080)
    pbx_a.calls("0301234").until_answered().hang_up()
    pbx_a.sbc = (sbc.ip(2), 5060)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert not registers_since(trunk, since)


def test_a_port_that_moves_serves_its_calls_to_their_end_and_no_new_ones(sbc, trunk, pbx_a):
    sbc.element("sip-config")["trans-expire"] = "2"   # so long a transaction stays after its end
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    since = settled(trunk)
    ports_of(sbc, "pbx-a")[0]["port"] = "5080"
    # the one that goes drains: no call ends
    assert f"restarts sip-port [{sbc.ip(2)} 5060 UDP], [{sbc.ip(2)} 5080 UDP]\n" in changed(sbc)
    old, new = (sbc.ip(2), 5060), (sbc.ip(2), 5080)
    assert pbx_a.calls("0301234").until_refused().status == 503
    pbx_a.sbc = new
    other = pbx_a.calls("0301234").until_answered()
    again = call.within_dialog("INVITE", pbx_a.sdp())
    answer = call.answer_to(again)
    assert answer.status == 200
    call.ack_to(again, answer)
    call.hang_up()
    # From the trunk's side, too: leg A of the second call is at the new port
    other.hang_up()
    sbc.no_session_is_left()
    assert not registers_since(trunk, since)
    # Nobody uses it any more: it is closed, and its address is free
    sbc.logs_line(f"port-close sip-port={old[0]}:{old[1]}", within=8.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(old)


def test_a_port_that_comes_back_while_it_drains_is_the_same(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    for _ in range(3):
        ports_of(sbc, "pbx-a")[0]["port"] = "5080"
        changed(sbc)
        ports_of(sbc, "pbx-a")[0]["port"] = "5060"
        changed(sbc)
    pbx_a.calls("0301234").until_answered().hang_up()
    call.hang_up()
    sbc.no_session_is_left()


def test_the_trunks_port_moves_and_new_contacts_are_registered_there(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    since = settled(trunk)
    ports_of(sbc, "trunk")[0]["port"] = "5070"
    changed(sbc)
    trunk.wait(lambda m: m.status is None and m.method == "REGISTER" and
               m.get("Contact").startswith("<sip:b-4930109@") and ":5070" in m.get("Contact") and
               trunk.credentials(m), 5.0, since)
    sbc.registered()
    call.hang_up()   # its leg to the trunk is at 5060 still
    trunk.sbc = (sbc.ip(1), 5070)
    incoming = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}:5070").until_answered()
    incoming.hang_up()


def test_a_port_in_use_refuses_the_whole_change(sbc, trunk, pbx_a):
    sbc.start().registered()
    since = settled(trunk)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((sbc.ip(3), 5090))
        ports_of(sbc, "pbx-a")[0]["port"] = "5080"
        ports_of(sbc, "pbx-b")[0]["port"] = "5090"
        sbc.element("surrogate-agent", "a.trunk.example")["state"] = "disabled"
        output = changed(sbc, check=False)
        assert re.search(r"sip-port \S+:5090/UDP of sip-interface \[pbx-b\] cannot be opened: Address "
                         r"already in use; nothing was activated", output), output
        assert "config-activation-failed" in sbc.acli("show alarms")
        assert versions(sbc) == (2, 1)
        pbx_a.calls("0301234").until_answered().hang_up()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((sbc.ip(2), 5080))   # what was opened for it is closed again
    sbc.acli("activate-config")            # now it can be
    assert "config-activation-failed" not in sbc.acli("show alarms")
    pbx_a.sbc = (sbc.ip(2), 5080)
    sbc.waits("show surrogate-agents", r"\b10 registered")
    assert versions(sbc) == (2, 2)
    assert all(m.uri == "sip:a.trunk.example" for m in registers_since(trunk, since))


# --- agents, pools, realms

def test_limits_pools_and_agents_follow_and_nothing_else_is_touched(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    since = settled(trunk)
    pool = next(p for p in sbc.element("steering-pool") if p["realm-id"] == "pbx-a")
    before = dict(pool)
    pool["end-port"] = str(int(pool["start-port"]) + 1)
    changed(sbc)
    call = pbx_a.calls("0301234").until_answered()
    assert pbx_a.calls("0301234").until_refused().status == 503
    pbx_b.calls("0301234").until_answered().hang_up()
    pool.update(before)
    changed(sbc)
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.element("session-agent", "pbx-a.example").update(
        {"constraints": "enabled", "max-sessions": "1"})
    changed(sbc)
    assert pbx_a.calls("0301234").until_refused().status in (403, 486, 503)
    call.hang_up()
    assert not registers_since(trunk, since)


def test_a_tenant_is_added_and_removed_while_the_others_go_on(sbc, trunk, pbx_a, pbx_b):
    agents = sbc.element("surrogate-agent")
    policies = sbc.element("local-policy")
    realms, pools = sbc.element("realm-config"), sbc.element("steering-pool")
    interfaces, peers_ = sbc.element("sip-interface"), sbc.element("session-agent")
    kept = [list(x) for x in (agents, policies, realms, pools, interfaces, peers_)]

    def without_b():
        agents[:] = [a for a in agents if a["realm-id"] != "pbx-b"]
        policies[:] = [p for p in policies if p["source-realm"] != "pbx-b" and
                       p["policy-attributes"][0]["realm"] != "pbx-b"]
        realms[:] = [r for r in realms if r["identifier"] != "pbx-b"]
        pools[:] = [p for p in pools if p["realm-id"] != "pbx-b"]
        interfaces[:] = [i for i in interfaces if i["realm-id"] != "pbx-b"]
        peers_[:] = [p for p in peers_ if p["realm-id"] != "pbx-b"]

    without_b()
    sbc.start().registered(10)
    call = pbx_a.calls("0301234").until_answered()
    since = settled(trunk)
    for mine, all_of in zip((agents, policies, realms, pools, interfaces, peers_), kept):
        mine[:] = all_of
    changed(sbc)
    sbc.registered(20)
    assert {m.uri for m in registers_since(trunk, since)} == {"sip:b.trunk.example"}
    going = pbx_b.calls("0301234").until_answered()
    without_b()
    changed(sbc)
    going.hang_up()      # it keeps the plan it began with
    call.hang_up()
    sbc.no_session_is_left()
    assert "10 registered" in sbc.acli("show surrogate-agents")
