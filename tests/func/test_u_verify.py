"""
verify-config, from the shell and as a lint without a daemon (acli.md 3).

- What counts makes the command fail: ERROR, and with strict WARNING.
- The daemon asks machine, database and DNS; `static` leaves that out.
- One rule or one element can be looked at; JSON is one document.
"""
import json
import os
import subprocess

from conftest import BUILD


def verify(path, *options):
    done = subprocess.run([f"{BUILD}/sbcd", "--verify", str(path), *options], text=True,
                          capture_output=True)
    return done.returncode, done.stdout + done.stderr


def test_what_counts_makes_verify_config_fail(sbc, trunk):
    sbc.start()
    assert sbc.acli_status("verify-config static")[0] == 0
    del sbc.element("surrogate-agent", "a.trunk.example")["password"]
    sbc.acli(f"import-config {sbc.write()}", check=False)
    code, output = sbc.acli_status("verify-config static")
    assert code == 0 and "has no password" in output
    code, output = sbc.acli_status("verify-config static strict")
    assert code == 1 and "% Configuration has" in output
    sbc.element("surrogate-agent", "a.trunk.example")["realm-id"] = "nowhere"
    sbc.acli(f"import-config {sbc.write()}", check=False)
    code, output = sbc.acli_status("verify-config static")
    assert code == 1 and "reference to realm-config [nowhere] which does not exist" in output


def test_one_rule_or_one_element_is_told_and_counted(sbc, trunk):
    sbc.start()
    del sbc.element("surrogate-agent", "a.trunk.example")["password"]
    sbc.element("sip-config")["registration-rate"] = "0"
    sbc.acli(f"import-config {sbc.write()}", check=False)
    output = sbc.acli("verify-config static rule VC-0417")
    assert "has no password" in output and "not paced" not in output
    assert "0 errors, 1 warning" in output
    output = sbc.acli("verify-config static element sip-config")
    assert "not paced" in output and "has no password" not in output
    code, output = sbc.acli_status("verify-config rule VC-9999")
    assert code == 1 and "% There is no rule [VC-9999]" in output


def test_json_is_one_document_with_all_findings(sbc, trunk):
    sbc.start()
    sbc.element("sip-config")["registration-rate"] = "0"
    sbc.acli(f"import-config {sbc.write()}", check=False)
    found = json.loads(sbc.acli("verify-config static | json"))
    assert found["v"] == 1 and found["skipped"] == ["host", "dns"]
    rules = [f["id"] for f in found["findings"]]
    assert "VC-0217" in rules and len(rules) == (
        found["errors"] + found["warnings"] + found["notes"])
    assert json.loads(sbc.acli("verify-config | json"))["skipped"] == []


def test_lint_ends_with_0_1_and_2(sbc, tmp_path):
    path = sbc.write()
    assert verify(path)[0] == 0
    sbc.element("sip-config")["registration-rate"] = "0"
    path = sbc.write()
    assert verify(path)[0] == 0
    assert verify(path, "--strict")[0] == 1
    code, output = verify(path, "--strict", "--json")
    assert code == 1 and json.loads(output)["warnings"] >= 1
    bad = tmp_path / "bad.yaml"
    bad.write_text("session-router: {sip-config: {init-timer: 0}}\n")
    code, output = verify(bad)
    assert code == 1 and "bad.yaml:1:43: " in output.replace(f"{tmp_path}/", "")
    bad.write_text("a: {b\n")
    assert verify(bad)[0] == 2
    assert verify(bad, "--json")[0] == 2
    assert verify(tmp_path / "none.yaml")[0] == 2


def test_a_file_with_passwords_that_others_read_is_told(sbc):
    path = sbc.write()
    os.chmod(path, 0o644)
    assert "missing or readable by others" in verify(path, "--host")[1]
    os.chmod(path, 0o600)
    assert "readable by others" not in verify(path, "--host")[1]
    assert "readable by others" not in verify(path)[1]


def test_an_auth_realm_seen_in_challenges_without_an_entry_is_warned_of(sbc, trunk, pbx_a):
    """VC-0510: what peers of a realm ask for, the look-ups in use must have"""
    trunk.register_challenge = dict(trunk.register_challenge, realm="registrar.example")
    sbc.start().registered()
    # A REGISTER is answered by its agent: no entry is missing for it
    assert "VC-0510" not in sbc.acli("verify-config", check=False)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert "VC-0510" not in sbc.acli("verify-config", check=False)

    trunk.invite_challenge = dict(trunk.invite_challenge, realm="moved.example")
    assert pbx_a.calls("0301234").until_refused().status == 407
    assert "has no entry for auth-realm [moved.example], seen in challenges" in \
        sbc.acli("verify-config rule VC-0510", check=False)
    # Activation says it too, and goes on; with the entry it is silent
    for lookup, user in (("tenA", "a1"), ("tenB", "b1")):
        sbc.element("realm-config", "trunk")["auth-attributes"].append(
            {"auth-realm": "moved.example", "auth-user-lookup": lookup, "username": user,
             "password": f"secret-{user}"})
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    assert "VC-0510" not in sbc.acli("verify-config", check=False)
    pbx_a.calls("0301234").until_answered().hang_up()

    seen = {(r["realm"], r["auth-realm"]): r
            for r in json.loads(sbc.acli("show credentials seen | json"))["data"]}
    assert seen[("trunk", "moved.example")]["answered-by"] == "policy"
    assert seen[("trunk", "moved.example")]["target"] == f"{sbc.ip(11)}:5060"
    assert seen[("trunk", "moved.example")]["algorithms"] == "MD5"
    assert seen[("trunk", "moved.example")]["count"] == 2
    assert seen[("trunk", "registrar.example")]["answered-by"] == "register"
    assert not json.loads(sbc.acli("show credentials seen realm pbx-a | json"))["data"]


def test_detail_names_rule_place_hint_and_a_way_there_that_works(sbc, trunk):
    sbc.start()
    sbc.element("local-policy").append({"to-address": ["49302", "49303", "49304"], "source-realm": "trunk"})
    sbc.policy("pbx-a")["policy-attributes"].append({"next-hop": "trunk.example", "realm": "nowhere", "cost": "7"})
    sbc.acli(f"import-config {sbc.write()}", check=False)
    _, output = sbc.acli_status("verify-config static detail")
    assert """\
WARNING: local-policy [* 49302+2 trunk] has no policy-attributes
        VC-0313  session-router/local-policy [* 49302+2 trunk]
        hint: It matches and routes nowhere
        fix:  configure terminal session-router local-policy * (49302 49303 49304) trunk
""" in output
    assert """\
ERROR: policy-attributes [trunk.example nowhere 7] from local-policy [* * pbx-a] has reference to realm-config \
[nowhere] which does not exist
        VC-0101  session-router/local-policy/policy-attributes [trunk.example nowhere 7] realm
        hint: Create realm-config [nowhere] or correct realm
        fix:  configure terminal session-router local-policy * * pbx-a
""" in output
    fixes = [line.split("fix:  ")[1] for line in output.splitlines() if "fix:  " in line]
    assert len(fixes) >= 2
    for fix in fixes:
        shown = sbc.acli(fix, "show short")
        assert "source-realm" in shown and fix.split()[-1] in shown
        assert ("49304" in shown) == ("49304" in fix)


def test_a_key_is_ignored_as_it_is_printed_or_in_full(sbc, trunk):
    sbc.start()
    sbc.element("local-policy").append({"to-address": ["49302", "49303"], "source-realm": "trunk"})
    for key in ("* 49302+1 trunk", "* (49302 49303) trunk"):
        sbc.element("system-config")["verify-ignore"] = [f"VC-0313:{key}"]
        sbc.acli(f"import-config {sbc.write()}", check=False)
        assert sbc.acli("verify-config static") == "Verification passed: no errors, no warnings, 1 ignored.\n"
