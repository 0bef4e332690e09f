"""
test-policy and test-credentials say what a call then meets, test-surrogate what leaves
(behaviour.md 6.1, acli.md 2.5).
"""
import json
import re
import subprocess

import pytest


def entries(sbc):
    return sbc.element("realm-config", "trunk")["auth-attributes"]


def lookup(sbc, value):
    sbc.policy("pbx-a")["policy-attributes"][0]["auth-user-lookup"] = value


def owner(sbc, **changes):
    sbc.element("surrogate-agent", "a.trunk.example").update(
        {k.replace("_", "-"): v for k, v in changes.items()})


def without_agent_a(sbc):
    agents = sbc.element("surrogate-agent")
    agents[:] = [a for a in agents if a["register-host"] != "a.trunk.example"]


def account(sbc, agent, realm="trunk.example"):
    sbc.element("session-agent", agent)["auth-attributes"] = [
        {"auth-realm": realm, "username": "t1", "password": "secret-t1"}]


def row_2a(sbc):
    pass


def row_2b(sbc):
    entries(sbc)[0]["auth-realm"] = "*"


def row_2c(sbc):
    lookup(sbc, "tenX")


def row_2c_falls_back(sbc):
    lookup(sbc, "tenX")
    sbc.element("sip-config")["auth-lookup-miss"] = "fallback"


def row_3a(sbc):
    lookup(sbc, "")


def row_3b(sbc):
    lookup(sbc, "")
    owner(sbc, auth_user_lookup="tenA")


def row_3c(sbc):
    lookup(sbc, "")
    owner(sbc, auth_user_lookup="tenX")


def row_3d(sbc):
    lookup(sbc, "")
    owner(sbc, auth_methods=["REGISTER", "BYE"])
    account(sbc, "pbx-a.example")


def row_3d_leads_to_4a(sbc):
    lookup(sbc, "")
    owner(sbc, auth_methods=["REGISTER", "BYE"])
    account(sbc, "trunk.example")


def row_4a(sbc):
    lookup(sbc, "")
    without_agent_a(sbc)
    account(sbc, "trunk.example")


def row_4a_any(sbc):
    lookup(sbc, "")
    without_agent_a(sbc)
    account(sbc, "trunk.example", "*")


def row_4b(sbc):
    lookup(sbc, "")
    without_agent_a(sbc)
    account(sbc, "pbx-a.example")


def row_4b_never_any(sbc):
    lookup(sbc, "")
    without_agent_a(sbc)
    account(sbc, "pbx-a.example", "*")


CASES = [(row_2a, "2a", "a1"), (row_2b, "2b", "a1"), (row_2c, "2c", None),
         (row_2c_falls_back, "3a", "reg-a"), (row_3a, "3a", "reg-a"), (row_3b, "3b", "a1"),
         (row_3c, "3c", None), (row_3d, "5", None), (row_3d_leads_to_4a, "4a", "t1"),
         (row_4a, "4a", "t1"), (row_4a_any, "4a", "t1"), (row_4b, "4b", "t1"),
         (row_4b_never_any, "5", None)]


def asks(sbc, command, source="pbx-a", user="4930100", host="pbx-a.local", to=None, more=""):
    """What the command prints, and its exit status"""
    line = (f"{command} source-realm {source} from-address sip:{user}@{host} "
            f"to-address {to or f'sip:0301234@{sbc.ip(2)}'} {more}")
    import conftest
    result = subprocess.run([f"{conftest.BUILD}/acli", "--socket", sbc.socket, "-c", line],
                            capture_output=True, text=True)
    return result.stdout + result.stderr, result.returncode


@pytest.mark.parametrize("prepare,row,user", CASES, ids=[c[0].__name__ for c in CASES])
def test_a_call_is_answered_as_test_credentials_says(sbc, trunk, pbx_a, prepare, row, user):
    prepare(sbc)
    trunk.passwords["t1"] = "secret-t1"
    sbc.start().waits("show surrogate-agents", r"\b(10|20) registered")
    said, code = asks(sbc, "test-credentials", more="auth-realm trunk.example")
    assert re.search(rf"^row +{row}$", said, re.M), said
    step = int(row[0])
    verdicts = re.findall(r"^(\d) [\w-]+ +(yes|no|-)", said, re.M)
    assert verdicts == [(str(n), "no" if n < step else "yes" if n == step else "-")
                        for n in range(1, 6)]
    assert code == (1 if row in ("2c", "3c") else 0)
    assert "secret-" not in said
    call = pbx_a.calls("0301234")
    if user:
        assert re.search(rf"^user +{user}$", said, re.M), said
        call.until_answered().hang_up()
        assert [g[1] for g in trunk.good if g[0] == "INVITE"] == [user]
    else:
        assert ("passed through" if row == "5" else "fail:") in said
        assert call.until_refused().status == 407
        assert not [m for m in trunk.invites() if trunk.credentials(m)]


def test_a_trial_names_the_owner_and_the_hops_in_their_order(sbc, trunk, pbx_a):
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "pbx-b.example", "realm": "pbx-b", "cost": "7"})
    sbc.start().registered()
    said, code = asks(sbc, "test-policy")
    assert code == 0
    assert re.search(r"^owner +4930100@a.trunk.example$", said, re.M)
    assert re.findall(r"^(\d) +(\S+) +(\S+) +(\d+)", said, re.M) == \
        [("1", "trunk.example", "trunk", "0"), ("2", "pbx-b.example", "pbx-b", "7")]


def test_a_trial_without_route_or_from_a_stranger_says_what_the_caller_gets(sbc, trunk, pbx_a,
                                                                            peers):
    from peers.pbx import Pbx
    sbc.policy("pbx-a")["to-address"] = "0301"
    owner(sbc, route_to_registrar="disabled")
    sbc.start()
    said, code = asks(sbc, "test-policy", to=f"sip:0999@{sbc.ip(2)}")
    assert "404 at choose-route" in said and code == 1
    assert pbx_a.calls("0999").until_refused().status == 404
    said, code = asks(sbc, "test-policy", more=f"source-address {sbc.ip(99)}")
    assert "403 at name-source" in said and code == 1
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(2), "pbx-a.local")
    assert stranger.calls("0301234").until_refused().status == 403


def test_a_trial_from_the_trunk_finds_the_registered_contact(sbc, trunk, pbx_a):
    sbc.start().registered()
    said, code = asks(sbc, "test-policy", source="trunk", user="0301234", host=sbc.ip(11),
                      to=f"sip:a-4930105@{sbc.ip(1)}")
    assert code == 0
    assert re.search(r"^called +4930105@a.trunk.example$", said, re.M), said
    assert re.search(r"^1 +pbx-a.example +pbx-a ", said, re.M), said
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert pbx_a.requests("INVITE")[0].uri.startswith("sip:4930105@")


# --- test-surrogate, and JSON of all three

KEY = "a.trunk.example 493010^ pbx-a"


def request_of(said):
    """The REGISTER as it is printed: start line and headers"""
    lines = said[said.index("REGISTER sip:"):].rstrip().splitlines()
    return lines[0], dict(line.split(": ", 1) for line in lines[1:])


def test_the_register_that_is_shown_is_the_one_that_leaves(sbc, trunk):
    sbc.start().registered()
    start, headers = request_of(sbc.acli(f"test-surrogate {KEY} 4930103"))
    before = len(trunk.requests("REGISTER"))
    sbc.acli(f"notify sipd register {KEY} 4930103")
    sent = trunk.wait(lambda m: m.method == "REGISTER" and m.user("To") == "4930103", since=before)
    assert f"REGISTER {sent.uri} SIP/2.0" == start
    sent_headers = dict(sent.headers)
    for name in ("From", "To", "Call-ID", "CSeq", "Contact", "Expires", "Supported", "Route"):
        assert headers[name] == sent_headers[name], name
    assert "Authorization" not in headers


def test_a_rehearsed_register_names_target_and_user_and_no_password(sbc, trunk):
    sbc.start().registered()
    before = len(trunk.requests("REGISTER"))
    data = json.loads(sbc.acli(f"test-surrogate {KEY} | json"))["data"]
    assert data["aor"] == "4930100@a.trunk.example" and data["realm"] == "trunk"
    assert data["targets"] == [{"target": f"{sbc.ip(11)}:5060", "transport": "UDP", "avoided": False}]
    assert data["credentials"] == [{"auth-realm": "trunk.example", "row": "1a",
                                    "source": "surrogate-agent", "user": "reg-a",
                                    "result": "answered"}]
    assert data["auth-realm-known"] and data["request"].startswith("REGISTER sip:a.trunk.example ")
    assert len(trunk.requests("REGISTER")) == before


def test_a_rehearsal_without_password_or_registrar_fails_and_says_why(sbc, trunk):
    owner(sbc, password="")
    sbc.start()
    code, said = sbc.acli_status(f"test-surrogate {KEY}")
    assert code == 1 and "fail: no credential would answer" in said
    code, said = sbc.acli_status("test-surrogate a.trunk.example nobody pbx-a")
    assert code == 1 and "There is no surrogate-agent [a.trunk.example nobody pbx-a]" in said
    code, said = sbc.acli_status(f"test-surrogate {KEY} 999")
    assert code == 1 and "with AoR 999" in said
    code, said = sbc.acli_status("test-surrogate a.trunk.example")
    assert code == 1 and "Missing register-host register-user realm-id" in said


def test_trials_have_the_same_answer_as_json(sbc, trunk, pbx_a):
    sbc.start().registered()
    said, code = asks(sbc, "test-policy", more="| json")
    data = json.loads(said)["data"]
    assert code == 0 and data["owner"] == "4930100@a.trunk.example"
    assert data["hops"] == [{"rank": 1, "next-hop": "trunk.example", "realm": "trunk", "cost": 0,
                             "agent-state": "I", "lookup": "tenA",
                             "outgoing-request-uri": "sip:0301234@a.trunk.example"}]
    assert {"local-policy": "* * pbx-a", "policy-attributes": "trunk.example trunk 0",
            "verdict": "fits"} in data["stages"]
    said, code = asks(sbc, "test-credentials", more="auth-realm trunk.example | json")
    data = json.loads(said)["data"]
    assert code == 0 and (data["row"], data["user"], data["result"]) == ("2a", "a1", "answered")
    assert [s["verdict"] for s in data["steps"]] == ["no", "yes", None, None, None]
    assert data["route"]["auth-user-lookup"] == "tenA"
    said, code = asks(sbc, "test-credentials", more="auth-realm other.example | json")
    assert code == 1 and json.loads(said[:said.index("% ")])["data"]["result"] == "fail"


def test_the_route_of_a_trial_is_named_with_its_lookup(sbc, trunk, pbx_a):
    sbc.start().registered()
    said, code = asks(sbc, "test-credentials", more="auth-realm trunk.example")
    assert "route           local-policy [* * pbx-a], policy-attributes [trunk.example trunk 0], " \
           "auth-user-lookup tenA\n" in said


# --- 2.2: the first line that failed

@pytest.mark.parametrize("changes, attributes, verdict", [
    ({}, {}, "fits"),
    ({"state": "disabled"}, {}, "state"),
    ({}, {"state": "disabled"}, "state"),
    ({"source-realm": "pbx-b"}, {}, "source-realm"),
    ({"from-address": "4930200"}, {}, "from-address"),
    ({"to-address": "040"}, {}, "to-address"),
    ({"deactivate-time": "2020-01-01 00:00:00"}, {}, "activate-time"),
    ({}, {"start-time": "0100", "end-time": "0200"}, "time-of-day"),
    ({}, {"methods": ["MESSAGE"]}, "methods"),
    ({}, {"carrier": "cheap"}, "carrier"),
    # several fail: the first of the table
    ({"source-realm": "pbx-b", "state": "disabled"}, {"methods": ["MESSAGE"]}, "state"),
    ({"to-address": "040"}, {"methods": ["MESSAGE"], "carrier": "cheap"}, "to-address"),
    ({}, {"methods": ["MESSAGE"], "carrier": "cheap"}, "methods"),
])
def test_a_trial_prints_the_first_line_that_failed(sbc, changes, attributes, verdict):
    policy = sbc.policy("pbx-a")
    sbc.element("local-policy")[:] = [policy]
    policy.update(changes)
    policy["policy-attributes"][0].update(attributes)
    sbc.element("sip-interface", "pbx-a")["carriers"] = ["dear"]
    sbc.element("surrogate-agent").clear()
    sbc.start()
    said, code = asks(sbc, "test-policy", more="time-of-day 1200")
    lines = re.findall(r"^local-policy \[(.*?)\], policy-attributes \[(.*?)\]: (\S+)$", said, re.M)
    mine = [v for _, key, v in lines if key.startswith("trunk.example trunk")]
    assert mine[:1] == [verdict], said
    assert code == (0 if verdict == "fits" else 1)


def test_a_trial_may_be_at_another_time_with_another_carrier_and_codec(sbc):
    a = sbc.policy("pbx-a")["policy-attributes"]
    a[0].update({"start-time": "0800", "end-time": "1200", "carrier": "cheap"})
    a.append({"next-hop": "pbx-b.example", "realm": "pbx-b", "media-profiles": ["G729"]})
    a.append({"next-hop": sbc.ip(77), "realm": "trunk"})
    sbc.element("sip-interface", "pbx-a")["carriers"] = ["dear"]
    sbc.element("surrogate-agent").clear()
    sbc.start()

    def hops(more):
        said, code = asks(sbc, "test-policy", more=more)
        return re.findall(r"^\d +(\S+) +\S+ +\d", said, re.M)

    b, c = "pbx-b.example", sbc.ip(77)
    assert hops("time-of-day 1100") == [b, c]
    assert hops("time-of-day 1100 carriers cheap")[0:1] == ["trunk.example"]
    assert hops('time-of-day 1200 carriers "(dear cheap)"') == [b, c]
    assert hops("time-of-day 0800 carriers cheap media-profile PCMA") == ["trunk.example", c, b]
    assert hops("time-of-day 0000 media-profile g729") == [b, c]
    said, code = asks(sbc, "test-policy", more="time-of-day 1260")
    assert code and "[1260] is not a time of day" in said


# --- acli 2.5: every argument of the table

def test_the_outgoing_request_uri_is_the_one_that_leaves(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()

    def outgoing(said):
        """The last column of each hop"""
        return re.findall(r"^\d+ .* (sips?:\S+|-)$", said, re.M)

    said, _ = asks(sbc, "test-policy")
    pbx_a.calls("0301234").until_answered().hang_up()
    assert outgoing(said) == [trunk.invites()[0].uri] == ["sip:0301234@a.trunk.example"]
    # to a PBX, by the contact that was registered for it
    said, _ = asks(sbc, "test-policy", source="trunk", user="0301234", host=sbc.ip(11),
                   to=f"sip:a-4930105@{sbc.ip(1)}")
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert outgoing(said) == [pbx_a.requests("INVITE")[0].uri]


def test_the_request_uri_towards_a_strict_agent_has_its_address(sbc, trunk, pbx_a):
    sbc.element("session-agent", "trunk.example")["loose-routing"] = "disabled"
    sbc.start().registered()
    said, _ = asks(sbc, "test-policy")
    pbx_a.calls("0301234").until_answered()
    assert trunk.invites()[0].uri == f"sip:0301234@{sbc.ip(11)}"
    assert re.search(rf"^1 .* {re.escape(trunk.invites()[0].uri)}$", said, re.M), said


EDIT = ("configure terminal", "local-policy * * pbx-a", "policy-attributes trunk.example trunk 0")


def test_the_configuration_that_is_asked_may_be_the_editing_or_the_saved_one(sbc, trunk, pbx_a):
    sbc.start().registered()

    def cost(config):
        said, code = asks(sbc, "test-policy", more=config)
        assert code == 0, said
        return re.search(r"^1 +trunk.example +trunk +(\d+)", said, re.M).group(1)

    sbc.acli(*EDIT, "cost 5", "done all", "save-config")
    sbc.acli("configure terminal", "local-policy * * pbx-a", "policy-attributes trunk.example trunk 5",
             "cost 7", "done all")
    assert [cost(c) for c in ("", "config running", "config saved", "config editing", "config ed")] \
        == ["0", "0", "5", "7", "7"]
    assert pbx_a.calls("0301234").until_answered()


def test_in_configuration_mode_it_is_the_editing_one(sbc, trunk):
    sbc.start().registered()
    line = f"test-policy source-realm pbx-a from-address sip:4930100@pbx-a.local " \
           f"to-address sip:0301234@{sbc.ip(2)}"
    said = sbc.acli(*EDIT, "cost 5", "done all", "quit", line, "configure terminal", line)
    assert re.findall(r"(?m)^1 +trunk.example +trunk +(\d+)", said) == ["0", "5"]


def test_credentials_of_a_configuration_that_does_not_run_are_its_own(sbc, trunk, pbx_a, tmp_path):
    sbc.start().registered()
    rows = tmp_path / "rows.csv"
    rows.write_text("auth-realm,auth-user-lookup,username,password\n"
                    "trunk.example,tenA,imported,i\nother.example,tenA,only,o\n")
    sbc.acli(f"import-credentials {rows} realm trunk")

    def user(config, realm="trunk.example"):
        said, _ = asks(sbc, "test-credentials", more=f"auth-realm {realm} {config}")
        found = re.search(r"^user +(\S+)$", said, re.M)
        return found and found.group(1)

    # the entry that runs wins; one that is edited wins over it, and without any the row counts
    sbc.acli("configure terminal", "realm-config trunk", "auth-attribute trunk.example tenA",
             "username edited", "done all")
    assert (user(""), user("config editing"), user("config saved")) == ("a1", "edited", "a1")
    sbc.acli("configure terminal", "realm-config trunk", "auth-attribute",
             "no trunk.example tenA", "exit", "done")
    assert (user(""), user("config editing")) == ("a1", "imported")
    assert user("config editing", "other.example") == user("", "other.example") == "only"
    # what fails when it is missing, by the edited sip-config
    sbc.acli("configure terminal", "sip-config", "auth-lookup-miss fallback", "done")
    said, code = asks(sbc, "test-credentials", more="auth-realm strange.example config editing")
    assert code == 0 and re.search(r"^row +3a$", said, re.M), said
    assert asks(sbc, "test-credentials", more="auth-realm strange.example")[1] == 1


def test_a_configuration_with_an_error_is_not_tried(sbc, trunk):
    sbc.start()
    sbc.acli(*EDIT, "realm nowhere", "done all")
    said, code = asks(sbc, "test-policy", more="config editing")
    assert code == 1 and "% Configuration has 1 error; nothing can be tried with it" in said
    assert asks(sbc, "test-policy")[1] == 0


def test_from_any_realm_the_policies_of_all_are_asked(sbc, trunk, pbx_a):
    sbc.start().registered()
    said, code = asks(sbc, "test-policy", source='"*"')
    assert code == 0, said
    lines = dict(re.findall(r"^local-policy \[(.*?)\], .*: (\S+)$", said, re.M))
    assert lines["* * pbx-a"] == "fits" and "source-realm" not in lines.values(), said
    assert re.search(r"^1 +trunk.example +trunk ", said, re.M)
    assert re.search(r"^owner +none$", said, re.M)
    # a challenge of its trunk is answered for whom one names
    said, code = asks(sbc, "test-credentials", source='"*"',
                      more=f"auth-realm trunk.example surrogate-agent {KEY}")
    assert code == 0 and re.search(r"^owner +4930100@a.trunk.example$", said, re.M), said


def test_the_request_may_be_that_of_another_surrogate_agent(sbc, trunk, pbx_a):
    row_3a(sbc)
    sbc.start().registered()
    b = "b.trunk.example 493010^ pbx-b"
    for key in (b, f'"{b}"'):
        said, code = asks(sbc, "test-credentials",
                          more=f"auth-realm trunk.example surrogate-agent {key} method INVITE")
        assert code == 0 and re.search(r"^owner +4930100@b.trunk.example$", said, re.M), said
        assert re.search(r"^user +reg-b$", said, re.M), said
    # the AoR that calls, where From names one
    said, _ = asks(sbc, "test-credentials", user="4930107", more=f"auth-realm x surrogate-agent {b}")
    assert re.search(r"^owner +4930107@b.trunk.example$", said, re.M), said
    said, code = asks(sbc, "test-credentials", more="auth-realm x surrogate-agent a b c")
    assert code == 1 and "% There is no surrogate-agent [a b c]" in said


CHALLENGE = """SIP/2.0 407 Proxy Authentication Required
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK7
Proxy-Authenticate: Digest realm="trunk.example",
  nonce="n1", algorithm=MD5
Proxy-Authenticate: Digest realm="trunk.example", nonce="n2", algorithm=SHA-256, qop="auth"
Proxy-Authenticate: Digest realm="elsewhere", nonce="n3"
WWW-Authenticate: Basic realm="no digest"

"""


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "wire"])
def test_a_challenge_out_of_a_file_is_answered_realm_by_realm(sbc, trunk, tmp_path, end):
    sbc.start().registered()
    path = tmp_path / "challenge.txt"
    path.write_bytes(CHALLENGE.replace("\n", end).encode())
    said, code = asks(sbc, "test-credentials", more=f"challenge {path}")
    assert code == 0, said
    assert re.findall(r"^challenge +(\S+) \[(.*)\] (\S+)$", said, re.M) == [
        ("proxy", "trunk.example", "SHA-256"), ("proxy", "elsewhere", "MD5")]
    assert re.findall(r"^row +(\S+)$", said, re.M) == ["2a", "2c"]
    assert re.findall(r"^result +(\w+)", said, re.M) == ["answered", "fail"]
    said, code = asks(sbc, "test-credentials", more=f"challenge {path} | json")
    data = json.loads(said)["data"]
    assert [(c["auth-realm"], c["algorithm"], c["user"], c["result"]) for c in data["challenges"]] == \
        [("trunk.example", "SHA-256", "a1", "answered"), ("elsewhere", "MD5", None, "fail")]


@pytest.mark.parametrize("text, ends, says", [
    ("SIP/2.0 401 No\nWWW-Authenticate: Digest realm=\"elsewhere\", nonce=\"n\"\n", 1,
     "% The call would fail"),
    ("SIP/2.0 401 No\nWWW-Authenticate: Basic realm=\"x\"\n", 0, "none that can be answered"),
    ("SIP/2.0 401 No\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=NEW-1\n", 0,
     "none that can be answered"),
    ("SIP/2.0 200 OK\n\n", 1, "holds no 401 or 407"),
    ("", 1, "holds no 401 or 407"),
    ("\0\x01\xff" * 1000, 1, "holds no 401 or 407"),
], ids=["missing", "basic", "unknown", "200", "empty", "noise"])
def test_other_files_are_passed_through_or_refused(sbc, trunk, tmp_path, text, ends, says):
    sbc.start()
    path = tmp_path / "challenge.txt"
    path.write_text(text)
    said, code = asks(sbc, "test-credentials", more=f"challenge {path}")
    assert (code, says in said) == (ends, True), said


def test_a_file_that_cannot_be_read_is_said(sbc, tmp_path):
    sbc.start()
    said, code = asks(sbc, "test-credentials", more=f"challenge {tmp_path}/none")
    assert code and "none" in said and "% " in said
    assert asks(sbc, "test-credentials", more="auth-realm x")[1] == 1


@pytest.mark.parametrize("words, says", [
    ("source-realm pbx-a", "% Missing from-address"),
    ("colour red", "% Unknown word [colour], possible here: config, source-realm, from-address, "
                   "to-address, source-address, method, time-of-day, carriers, media-profile\n"),
    ("config new", "% config [new] is not one of: running, editing, saved"),
    ("source-address nowhere", "% source-address [nowhere] "),
    ("method (INVITE BYE)", "% method "),
    ("carriers (a b", "% "),
    ("media-profile", "% Missing media-profile"),
], ids=lambda w: w.split()[0] if isinstance(w, str) else None)
def test_arguments_that_cannot_be_are_named(sbc, words, says):
    sbc.start()
    code, said = sbc.acli_status(f"test-policy {words}")
    assert code == 1 and says in said, said
    code, said = sbc.acli_status(
        "test-policy source-realm nowhere from-address sip:1@a to-address sip:2@b")
    assert code == 1 and "% There is no realm-config [nowhere]" in said


def test_a_list_of_carriers_needs_no_quotes(sbc):
    a = sbc.policy("pbx-a")["policy-attributes"]
    a[0]["carrier"] = "cheap"
    a.append({"next-hop": "pbx-b.example", "realm": "pbx-b", "carrier": "dear"})
    sbc.element("surrogate-agent").clear()
    sbc.start()
    said, code = asks(sbc, "test-policy", more="carriers (cheap dear) method INVITE")
    assert re.findall(r"(?m)^\d +(\S+)", said) == ["trunk.example", "pbx-b.example"], said
    said, code = asks(sbc, "test-policy", more="carriers dear")
    assert re.findall(r"(?m)^\d +(\S+)", said) == ["pbx-b.example"], said


# --- ... or one by one, in a mode of its own

def test_arguments_are_set_one_by_one_and_show_runs_them(sbc, trunk, pbx_a, tmp_path):
    sbc.start().registered()
    line = f"source-realm pbx-a from-address sip:4930100@pbx-a.local to-address sip:0301234@{sbc.ip(2)}"
    whole = sbc.acli(f"test-policy {line}")
    one_by_one = ["test-policy", "source-realm pbx-a", "from-address sip:4930100@pbx-a.local",
                  f"to-address sip:0301234@{sbc.ip(2)}"]
    assert sbc.acli(*one_by_one, "show") == whole
    document = json.loads(sbc.acli(*one_by_one, "show | json"))
    assert document["command"] == "test-policy" and document["data"]["hops"][0]["realm"] == "trunk"
    path = tmp_path / "challenge.txt"
    path.write_text(CHALLENGE)
    said = sbc.acli("test-credentials", *one_by_one[1:], "auth-realm trunk.example", "show",
                    f"challenge {path}", "show", f"surrogate-agent {KEY}", "show")
    assert re.findall(r"(?m)^user +(\S+)$", said) == ["a1"] * 3
    said = sbc.acli("test-surrogate", f"surrogate-agent {KEY}", "aor 4930103", "show")
    assert "aor             4930103@a.trunk.example" in said
    code, said = sbc.acli_status("test-policy", "show")
    assert code == 1 and "% Missing source-realm" in said
    code, said = sbc.acli_status("test-credentials", *one_by_one[1:], "show")
    assert code == 1 and "% Missing auth-realm" in said


# --- test-surrogate of a configuration that does not run

def test_a_register_of_the_editing_configuration_goes_on_counting(sbc, trunk):
    sbc.start().registered()
    sbc.acli("configure terminal", f"surrogate-agent {KEY}", "register-expires 1234",
             "auth-user other", "done")
    _, now = request_of(sbc.acli(f"test-surrogate {KEY} 4930103"))
    said = sbc.acli(f"test-surrogate {KEY} 4930103 config editing")
    _, then = request_of(said)
    assert (now["Expires"], then["Expires"]) == ("600", "1234")
    for name in ("From", "Call-ID", "CSeq"):
        assert now[name] == then[name]
    assert re.search(r"^trunk.example +1a +surrogate-agent +other +answered$", said, re.M), said


def test_an_agent_that_was_never_activated_can_be_rehearsed(sbc, trunk):
    sbc.start().registered()
    sbc.acli("configure terminal", f"surrogate-agent {KEY}", "copy new.example alice pbx-a",
             "register-contact-user alice", "auth-user alice", "aor-count 1", "done")
    new = "new.example alice pbx-a"
    assert sbc.acli_status(f"test-surrogate {new}")[0] == 1
    data = json.loads(sbc.acli(f"test-surrogate {new} config editing | json"))["data"]
    assert data["request"].startswith("REGISTER sip:new.example SIP/2.0")
    assert data["targets"][0]["target"] == f"{sbc.ip(11)}:5060"
    assert data["auth-realm-known"] is False and data["credentials"][0]["user"] == "alice"
    assert not [m for m in trunk.requests("REGISTER") if "new.example" in m.uri]
    # nothing of it stays
    assert "new.example" not in sbc.acli("show surrogate-agents")
