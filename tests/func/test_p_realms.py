"""
Realms below realms, realms with DNS servers of their own, and sides that are switched off: sections
1.3, 2.2 and 2.8 of behaviour.md, 2.2, 2.7 and 2.8 of configuration.md.
"""
import re
import socket

import pytest

from peers.dns import Dns
from peers.pbx import Pbx
from peers.rtp import media
from peers.trunk import Trunk


@pytest.fixture
def plain(trunk):
    """The trunk of the example, which asks calls for nothing"""
    trunk.invite_challenge = None
    return trunk


def interface(sbc, realm):
    return next(i for i in sbc.element("sip-interface") if i["realm-id"] == realm)


def changed(sbc):
    return sbc.acli(f"import-config {sbc.write()} replace", "save-config", "activate-config")


# --- Realms below a realm: they have its sip-interface and its media ports


@pytest.fixture
def tenants(sbc):
    """pbx-a and pbx-b lie below `access`, the one that has the sip-interface (127.x.2)"""
    realms = sbc.element("realm-config")
    realms.append({"identifier": "access", "access-control-trust-level": "high"})
    for realm in ("pbx-a", "pbx-b"):
        sbc.element("realm-config", realm)["parent-realm"] = "access"
    interfaces = sbc.element("sip-interface")
    interfaces.remove(interface(sbc, "pbx-b"))
    interface(sbc, "pbx-a")["realm-id"] = "access"
    pools = sbc.element("steering-pool")
    pools.remove(next(p for p in pools if p["realm-id"] == "pbx-b"))
    next(p for p in pools if p["realm-id"] == "pbx-a")["realm-id"] = "access"
    return sbc


def test_each_tenant_below_one_sip_interface_has_calls_of_its_own(tenants, trunk, pbx_a, peers):
    sbc = tenants
    pbx_b = peers(Pbx, sbc.ip(13), sbc.ip(2), "pbx-b.local", media_port=30200)
    sbc.start().registered()
    for pbx, user in ((pbx_a, "a1"), (pbx_b, "b1")):
        call = pbx.calls("0301234").until_answered()
        assert trunk.good[-1][:2] == ("INVITE", user)
        assert media(call.final)[0] == sbc.ip(2)
        call.hang_up()
    for letter, pbx, other in (("a", pbx_a, pbx_b), ("b", pbx_b, pbx_a)):
        since = len(other.requests("INVITE"))
        trunk.calls(f"sip:{letter}-4930105@{sbc.ip(1)}").until_answered().hang_up()
        invite = pbx.requests("INVITE")[-1]
        assert invite.uri == f"sip:4930105@pbx-{letter}.local" and invite.source[0] == sbc.ip(2)
        assert len(other.requests("INVITE")) == since
    records = sbc.records(4)
    assert {r["ingress-realm"] for r in records} | {r["egress-realm"] for r in records} == {
        "pbx-a", "pbx-b", "trunk"}
    sbc.no_session_is_left()


def test_a_request_inside_a_dialog_of_another_tenant_below_is_481(tenants, trunk, pbx_a, peers):
    """Both come in by the same sip-port: the realm is that of the source"""
    sbc = tenants
    pbx_b = peers(Pbx, sbc.ip(13), sbc.ip(2), "pbx-b.local", media_port=30200)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    stolen = pbx_b.request("BYE", call.final.contact, call.final.get("To"),
                           from_=call.final.get("From").split(";tag=")[0],
                           contact_user="4930100")
    stolen.set("From", call.final.get("From")).set("Call-ID", call.final.call_id)
    stolen.set("CSeq", "77 BYE")
    pbx_b.send(stolen, pbx_b.sbc)
    assert pbx_b.wait(lambda m: m.status and m.get("CSeq") == "77 BYE").status == 481
    assert not trunk.requests("BYE")
    call.hang_up()


def test_policies_of_a_parent_serve_its_children_where_that_is_wanted(tenants, plain, pbx_a):
    sbc = tenants
    sbc.element("surrogate-agent").clear()
    policy = sbc.policy("pbx-a")
    policy["source-realm"] = "access"
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 404
    sbc.config["session-router"]["session-router"] = {"match-lp-src-parent-realms": "enabled"}
    changed(sbc)
    pbx_a.calls("0301234").until_answered().hang_up()


# --- What is switched off


def asks(ip, port=5060):
    """Is somebody at this port? ICMP says so at once"""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1.0)
    s.connect((ip, port))
    s.send(b"\r\n\r\n")
    try:
        s.recv(100)
        return True
    except TimeoutError:
        return True
    except ConnectionRefusedError:
        return False
    finally:
        s.close()


def test_a_sip_interface_that_is_switched_off_ends_its_calls_with_bye(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    mine, theirs = pbx_a.calls("0301234").until_answered(), pbx_b.calls("0305678").until_answered()
    interface(sbc, "pbx-a")["state"] = "disabled"
    # what it costs is said before (acli 1.7)
    assert f"sip-interface [pbx-a] changed  restarts sip-port [{sbc.ip(2)} 5060 UDP], ends 1 call\n" \
        in changed(sbc)
    pbx_a.wait(lambda m: m.status is None and m.method == "BYE")
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    sbc.waits("show sessions", r"(?m)^1 session")
    assert not pbx_b.requests("BYE")
    # its sip-port stays for the BYEs, and takes nothing new
    assert pbx_a.calls("0301234").until_refused().status == 503
    theirs.hang_up()
    interface(sbc, "pbx-a")["state"] = "enabled"
    changed(sbc)
    pbx_a.calls("0301234").until_answered().hang_up()
    assert mine


def test_without_sip_no_port_is_open(sbc, trunk, pbx_a):
    sbc.element("sip-config")["state"] = "disabled"
    sbc.start()
    assert not any(asks(sbc.ip(n)) for n in (1, 2, 3)) and not trunk.seen
    sbc.element("sip-config")["state"] = "enabled"
    changed(sbc)
    sbc.registered()
    call = pbx_a.calls("0301234").until_answered()
    pbx_a.calls("0301235").until_answered()
    sbc.element("sip-config")["state"] = "disabled"
    assert "sip-config changed  live, ends 2 calls\n" in changed(sbc)
    pbx_a.wait(lambda m: m.status is None and m.method == "BYE")
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    assert call and pbx_a.calls("0301234").until_refused().status == 503


# --- DNS servers of a realm


def test_a_realm_asks_its_own_dns_servers(sbc, plain, pbx_a, peers, tmp_path):
    """Those of dns-realm, of the parent, of the system: the same name is somebody else there"""
    for host, address in ((53, sbc.ip(11)), (54, sbc.ip(99))):
        folder = tmp_path / str(host)
        folder.mkdir()
        peers(Dns, folder, sbc.ip(host), hosts={"carrier.example": address})
    servers = f"{sbc.ip(53)}:30053"
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(54)}:30053"], "dns-timeout": "1"})
    sbc.policy("pbx-a")["policy-attributes"][0]["next-hop"] = "carrier.example"
    realms = sbc.element("realm-config")
    trunk = sbc.element("realm-config", "trunk")
    realms.append({"identifier": "names", "dns-servers": servers})
    for given in ({"dns-servers": servers}, {"dns-realm": "names"}, {"parent-realm": "names"}):
        for name in ("dns-servers", "dns-realm", "parent-realm"):
            trunk.pop(name, None)
        trunk.update(given)
        if sbc.process:
            changed(sbc)
        else:
            sbc.start().registered()
        pbx_a.calls("0301234").until_answered().hang_up()


# --- Several stages


def test_a_route_that_is_looked_up_further_leads_where_its_key_does(sbc, plain, pbx_a, peers):
    second = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    second.invite_challenge = None
    sbc.config["session-router"]["session-router"] = {"additional-lp-lookups": "1"}
    first = sbc.policy("pbx-a")["policy-attributes"][0]
    first.update({"next-hop": "carrier.example", "lookup": "multi"})
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "trunk.example", "realm": "trunk", "cost": "5"})
    sbc.element("local-policy").append({
        "from-address": "*", "to-address": "carrier.example", "source-realm": "pbx-a",
        "policy-attributes": [{"next-hop": sbc.ip(14), "realm": "trunk"}]})
    second.invite_answer = lambda invite: bool(second.reply(invite, 480)) or True
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(second.invites()) == 1 and len(plain.invites()) == 1
    assert re.match(r"sip:0301234@", second.invites()[0].uri)
