"""
Tenants cannot reach each other's calls, and no secret leaves (behaviour.md 7.2, 49, 51).

- INVITE with Replaces and REFER that name the other tenant's dialog have no effect on it.
- A request with the tags of another tenant's dialog is 481 in one's own realm.
- After calls, refusals, alarms and a stop no file and no output holds a password.
"""
import base64
import os
import re
from urllib.parse import quote

import pytest

from peers.pbx import Pbx
from peers.sip import HASHES


def dialogs(call, invite):
    """Both names of a call: as its PBX knows it, and as the trunk does"""
    final = call.final
    return [(call.invite.call_id, final.tag("To"), final.tag("From")),
            (call.invite.call_id, final.tag("From"), final.tag("To")),
            (invite.call_id, invite.tag("From"), ""),
            (invite.call_id, "", invite.tag("From"))]


def goes_on(sbc, call, trunk):
    """The call of A is as it was: a re-INVITE is answered, BYE reaches the trunk"""
    again = call.within_dialog("INVITE", call.pbx.sdp())
    answer = call.answer_to(again)
    assert answer.status == 200, answer
    call.ack_to(again, answer)
    assert not [m for m in call.pbx.seen if m.status is None]
    byes = len(trunk.requests("BYE"))
    call.hang_up()
    trunk.wait(lambda m: len(trunk.requests("BYE")) > byes)


# 49

@pytest.mark.parametrize("which", range(4))
def test_replaces_cannot_name_another_tenants_call(sbc, trunk, pbx_a, pbx_b, which):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    call_id, to_tag, from_tag = dialogs(call, trunk.invites()[-1])[which]
    from_tag = from_tag or trunk.tag_of(trunk.invites()[-1])
    to_tag = to_tag or trunk.tag_of(trunk.invites()[-1])
    attack = pbx_b.calls("0301234", headers=[
        ("Replaces", f"{call_id};to-tag={to_tag};from-tag={from_tag}"), ("Require", "replaces")])
    assert attack.until_refused().status == 481
    for message in trunk.seen:
        assert message.status or not message.all("Replaces")
    assert len({m.call_id for m in trunk.invites()}) == 1
    goes_on(sbc, call, trunk)
    sbc.no_session_is_left()


def test_replaces_of_an_unknown_call_is_481(sbc, trunk, pbx_a):
    sbc.start().registered()
    attack = pbx_a.calls("0301234", headers=[("Replaces", "nowhere;to-tag=a;from-tag=b")])
    assert attack.until_refused().status == 481
    assert not trunk.invites()


def test_refer_with_replaces_of_another_tenants_call_does_not_reach_it(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    own = pbx_b.calls("0301235").until_answered()
    names = f"{call.invite.call_id}%3Bto-tag%3D{call.final.tag('To')}%3Bfrom-tag%3D" \
            f"{call.final.tag('From')}"
    refer = own.within_dialog("REFER", headers=[
        ("Refer-To", f"<sip:0301234@{sbc.ip(3)}?Replaces={names}>")])
    answer = own.answer_to(refer)
    # What is relayed names no dialog; the secret names of A's call do not cross
    for message in trunk.seen:
        if message.status is None and message.method == "REFER":
            assert "Replaces" not in message.get("Refer-To"), message
            assert call.invite.call_id not in repr(message)
    assert answer.status >= 200
    goes_on(sbc, call, trunk)
    own.hang_up()
    sbc.no_session_is_left()


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO", "CANCEL"])
def test_a_request_in_another_tenants_dialog_is_481(sbc, trunk, pbx_a, pbx_b, method):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    forged = pbx_b.request(method, f"sip:x@{sbc.ip(3)}", call.final.get("To"),
                           body=pbx_b.sdp() if method in ("INVITE", "UPDATE") else "",
                           from_=call.final.get("From").split(";tag")[0],
                           tag=call.final.tag("From"), call_id=call.invite.call_id, cseq=99)
    if method == "CANCEL":
        forged.set("Via", call.invite.get("Via")).set("CSeq", "1 CANCEL")
    trunk.wait(lambda m: m.method == "ACK" and m.status is None and "carrier@" in m.start)
    count = len(trunk.seen)
    pbx_b.send(forged, pbx_b.sbc)
    assert pbx_b.wait(lambda m: m.status and m.call_id == forged.call_id).status == 481
    assert not [m for m in trunk.seen[count:] if m.status is None]
    goes_on(sbc, call, trunk)


# 51

# Operands of commands that say little without
OPERANDS = {"show records": ["20"], "show surrogate-agents": ["detail", "state refused"],
            "show configuration": ["versions", "diff saved", "diff running"],
            "show sipd": ["status", "errors", "authentication", "agents", "policy", "sessions",
                          "transactions"],
            "show alarms": ["history"], "show running-config": ["realm-config", "surrogate-agent"]}


def commands_that_show():
    """Every show command of the shell's own table"""
    source = open(os.path.join(os.path.dirname(__file__), "../../cli/commands.c")).read()
    found = re.findall(r'\{ "((?:show|display|verify)[^"]*)"', source)
    assert "show alarms" in found and len(found) > 8
    return found


def forms_of(secret):
    """A secret as it may stand somewhere: in clear, and in the usual disguises"""
    clear = secret.encode()
    yield clear
    yield clear.hex().encode()
    yield clear.hex().upper().encode()
    # base64 at each of the three places within a longer text, less what its neighbours change
    for pad in range(3):
        yield base64.b64encode(b"x" * pad + clear)[(4 if pad else 0):-4]
    yield "".join(f"{c}\0" for c in secret).encode()
    yield quote(secret, safe="").replace("-", "%2D").encode()


def half_hashes(user, secret):
    """H(user:realm:password): whoever has it can answer any challenge of that realm"""
    text = f"{user}:trunk.example:{secret}".encode()
    for algorithm in HASHES.values():
        digest = algorithm(text)
        yield digest.hexdigest().encode()
        yield digest.digest()


def test_no_secret_stands_anywhere_but_in_the_yaml(sbc, trunk, pbx_a, pbx_b):
    # One lookup has a wrong password and one is missing: refusals and alarms are written as well
    entries = sbc.element("realm-config", "trunk")["auth-attributes"]
    for entry in entries:
        if entry["username"] == "b1":
            entry["password"] = "secret-wrong"
    secrets = {(e["username"], e["password"]) for e in entries} | \
        {(a["auth-user"], a["password"]) for a in sbc.element("surrogate-agent")}
    needles = {form for user, secret in secrets for form in forms_of(secret)}
    needles |= {half for user, secret in secrets for half in half_hashes(user, secret)}
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    trunk.dialog_challenge = trunk.invite_challenge
    call.answer_to(call.within_dialog("INFO"))
    assert pbx_b.calls("0301234").until_refused().status == 407
    outputs = {}
    for command in commands_that_show():
        for operand in ["", *OPERANDS.get(command, [])]:
            line = f"{command} {operand}".strip()
            outputs[line] = sbc.acli(line, check=False).encode()
    for line in ("nonsense secret", "show secret", "test-credentials", "notify sipd register x y z",
                 "export-config", "export-config running yaml", "export-config running text",
                 "verify-config detail"):
        outputs[line] = sbc.acli(line, check=False).encode()
    number = sbc.process.pid
    for name in ("cmdline", "environ", "status", "maps"):
        outputs[name] = open(f"/proc/{number}/{name}", "rb").read()
    call.hang_up()
    sbc.records(2)
    sbc.stop()
    looked = []
    for root, _, files in os.walk(sbc.folder):
        for name in files:
            if not name.endswith(".yaml"):
                looked.append(name)
                outputs[name] = open(os.path.join(root, name), "rb").read()
    assert any(n.endswith(".db") for n in looked) and any(n.endswith(".log") for n in looked)
    for peer in (trunk, pbx_a, pbx_b):
        for message in peer.seen:
            outputs[f"{peer.ip} {message.start} {id(message)}"] = message.bytes()
    for where, text in outputs.items():
        for needle in needles:
            assert needle not in text, (where, needle)
    # the search can find: the peer's own words hold what the SBC's must not
    assert any(needle in open(f"{sbc.folder}/sbc.yaml", "rb").read() for needle in needles)


def test_the_key_file_is_for_its_owner_alone(sbc, trunk):
    sbc.start()
    assert os.stat(f"{sbc.folder}/sbc.key").st_mode & 0o777 == 0o600


def test_errors_of_the_command_line_hold_no_secret(sbc):
    """A configuration that is refused: its findings name no password"""
    sbc.element("realm-config", "trunk")["auth-attributes"].append(
        {"auth-realm": "trunk.example", "auth-user-lookup": "tenA", "username": "a2",
         "password": "secret-a2", "nonsense": "secret-a3"})
    with pytest.raises(AssertionError):
        sbc.start()
    sbc.process = None
    text = open(sbc.log).read()
    assert "nonsense" in text
    assert not re.search(r"secret-[ab]", text), text


def test_a_tenants_own_dialog_is_named_as_the_trunk_knows_it(sbc, trunk, pbx_a):
    """Replaces and REFER of the same tenant: mapped, not refused (3.1)"""
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    invite = trunk.invites()[-1]
    mine = f"{call.invite.call_id};to-tag={call.final.tag('To')};from-tag={call.final.tag('From')}"
    theirs = f"{invite.call_id};to-tag={trunk.tag_of(invite)};from-tag={invite.tag('From')}"
    second = pbx_a.calls("0301234", headers=[("Replaces", mine + ";early-only")]).until_answered()
    assert trunk.invites()[-1].get("Replaces") == theirs + ";early-only"
    escaped = mine.replace(";", "%3b").replace("=", "%3d")
    refer = second.within_dialog("REFER", headers=[
        ("Refer-To", f"<sip:0301234@{sbc.ip(2)}?Subject=x&Replaces={escaped}>;method=INVITE")])
    second.answer_to(refer)
    relayed = trunk.requests("REFER")[-1].get("Refer-To")
    assert relayed.endswith(f"?Subject=x&Replaces={theirs.replace(';', '%3B').replace('=', '%3D')}>"
                            ";method=INVITE"), relayed
    second.hang_up()
    call.hang_up()
    sbc.no_session_is_left()


# 5.4: what two tenants may have in common

def test_tenants_with_the_same_numbers_hosts_and_addresses_stay_apart(sbc, trunk, peers, pbx_a):
    """PBX B has the private address and the customer-host of PBX A, behind its own sip-interface"""
    sbc.element("surrogate-agent", "b.trunk.example")["customer-host"] = "pbx-a.local"
    agent = sbc.element("session-agent", "pbx-b.example")
    agent["ip-address"], agent["port"] = sbc.ip(12), "5061"
    sbc.element("realm-config", "pbx-b")["addr-prefix"] = f"{sbc.ip(12)}/32"
    pbx_b = peers(Pbx, sbc.ip(12), sbc.ip(3), "pbx-a.local", media_port=30200, port=5061)
    sbc.start().registered()
    for pbx, letter in ((pbx_a, "a"), (pbx_b, "b")):
        before = len(trunk.invites())
        call = pbx.calls("0301234").until_answered()
        for invite in trunk.invites()[before:]:
            assert invite.uri == f"sip:0301234@{letter}.trunk.example"
            assert invite.host("From") == f"{letter}.trunk.example"
        assert trunk.good[-1][:2] == ("INVITE", f"{letter}1")
        call.hang_up()
        other = pbx_b if pbx is pbx_a else pbx_a
        count = len(other.requests("INVITE"))
        call = trunk.calls(f"sip:{letter}-4930105@{sbc.ip(1)}").until_answered()
        assert pbx.requests("INVITE") and len(other.requests("INVITE")) == count
        call.hang_up()
    sbc.no_session_is_left()


@pytest.mark.one_worker("each keeps the nonces of its tenants")
def test_tenants_with_one_user_at_one_target_share_a_nonce_and_nothing_else(sbc, trunk, pbx_a,
                                                                            pbx_b):
    for entry in sbc.element("realm-config", "trunk")["auth-attributes"]:
        entry["username"], entry["password"] = "a1", "secret-a1"
    sbc.start().registered()
    nonces = []
    for pbx in (pbx_a, pbx_b):
        pbx.calls("0301234").until_answered().hang_up()
        nonces.append(trunk.credentials(trunk.invites()[-1])[0])
    assert len(trunk.invites()) == 3
    assert nonces[0]["nonce"] == nonces[1]["nonce"]
    assert int(nonces[1]["nc"], 16) > int(nonces[0]["nc"], 16)


@pytest.mark.parametrize("header", [
    ("P-Asserted-Identity", "<sip:4930105@b.trunk.example>"),
    ("P-Preferred-Identity", "<sip:4930105@b.trunk.example>"),
    ("Route", "<sip:b.trunk.example;lr>"), ("X-Auth-User-Lookup", "tenB"),
    ("Proxy-Authorization", 'Digest username="b1", realm="trunk.example", nonce="n", uri="sip:x", '
     'response="' + "0" * 32 + '"')])
def test_nothing_in_a_message_selects_another_tenants_credentials(sbc, trunk, pbx_a, header):
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=[header]).until_answered()
    assert {g[1] for g in trunk.good if g[0] == "INVITE"} == {"a1"}
    call.hang_up()
