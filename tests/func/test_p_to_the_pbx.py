"""
Requests from the trunk towards a PBX (behaviour.md 7.2, 38-42).

- A registered contact leads to the PBX of its AoR, under the names that this PBX knows.
- Policies lead there as well; what no policy names is 404.
- OPTIONS for a contact are answered here; strangers get 403 and nothing moves.
"""
import pytest

from peers.dns import Dns
from peers.sip import Endpoint, names
from peers.trunk import Trunk


def silent(pbx):
    """The PBX saw no request"""
    return [m.start for m in pbx.seen if m.status is None] == []


# 38

@pytest.mark.parametrize("contact, user, domain", [
    ("a-4930105", "4930105", "pbx-a.local"),
    ("b-4930105", "4930105", "pbx-b.local"),
    ("a-4930109", "4930109", "pbx-a.local"),
])
def test_a_registered_contact_reaches_the_pbx_of_its_aor_and_no_other(
        sbc, trunk, pbx_a, pbx_b, contact, user, domain):
    sbc.start().registered()
    pbx, other, host = (pbx_a, pbx_b, 2) if contact[0] == "a" else (pbx_b, pbx_a, 3)
    call = trunk.calls(f"sip:{contact}@{sbc.ip(1)}", headers=[
        ("Record-Route", f"<sip:edge@{sbc.ip(11)};lr>")]).until_answered()
    invite, = pbx.requests("INVITE")
    assert invite.uri == f"sip:{user}@{domain}"
    assert invite.source == (sbc.ip(host), 5060)
    assert invite.host("To") == domain
    assert (invite.user("From"), invite.host("From")) == ("0301234", domain)
    assert invite.host("Contact") == sbc.ip(host)
    assert not invite.all("Route") and not invite.all("Record-Route")
    assert call.statuses == [100, 180, 200]
    call.hang_up()
    pbx.wait(lambda m: m.status is None and m.method == "BYE")
    assert silent(other)
    for message in pbx.seen:
        assert not names(message, sbc.ip(11), sbc.ip(1), call.invite.call_id,
                         "a.trunk.example"), message
    for message in trunk.seen:
        if message.method != "REGISTER":
            assert not names(message, pbx.ip, sbc.ip(host), domain, invite.call_id), message
    sbc.no_session_is_left()


def test_a_contact_host_may_name_the_port_of_a_router_before_the_sbc(sbc, trunk, pbx_a, pbx_b):
    """4.1: where register-contact-host names a port, that one is written"""
    for tenant, port in (("a", 5070), ("b", 5080)):
        agent = next(a for a in sbc.element("surrogate-agent")
                     if a["register-host"] == f"{tenant}.trunk.example")
        agent["register-contact-host"] = f"{sbc.ip(1)}:{port}"
    sbc.start().registered()
    found = {m.get("Contact").split(";")[0].strip("<>") for m in trunk.requests("REGISTER")
             if m.user("To") == "4930105"}
    assert found == {f"sip:a-4930105@{sbc.ip(1)}:5070", f"sip:b-4930105@{sbc.ip(1)}:5080"}
    call = trunk.calls(f"sip:b-4930105@{sbc.ip(1)}:5080").until_answered()
    assert pbx_b.requests("INVITE") and not pbx_a.requests("INVITE")
    call.hang_up()


def test_a_contact_that_is_not_registered_does_not_reach_the_pbx(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    assert trunk.calls(f"sip:a-4930110@{sbc.ip(1)}").until_refused().status == 404
    assert trunk.calls(f"sip:c-4930105@{sbc.ip(1)}").until_refused().status == 404
    assert silent(pbx_a) and silent(pbx_b)


# 39

def test_with_sip_connect_the_called_number_is_that_of_to(sbc, trunk, pbx_a):
    sbc.element("realm-config", "pbx-a")["options"] = ["sip-connect-pbx-reg"]
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}",
                       to="<sip:493010517@a.trunk.example>").until_answered()
    assert pbx_a.requests("INVITE")[0].uri == "sip:493010517@pbx-a.local"
    assert pbx_a.requests("INVITE")[0].user("To") == "493010517"
    call.hang_up()


def test_with_sip_connect_a_called_party_id_comes_before_to(sbc, trunk, pbx_a):
    sbc.element("realm-config", "pbx-a")["options"] = ["sip-connect-pbx-reg"]
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}", to="<sip:493010517@a.trunk.example>",
                       headers=[("P-Called-Party-ID", "<sip:493010518@a.trunk.example>")])
    call.until_answered()
    assert pbx_a.requests("INVITE")[0].uri == "sip:493010518@pbx-a.local"
    call.hang_up()


@pytest.mark.parametrize("connect", [True, False])
def test_with_sip_connect_any_call_of_the_pbx_belongs_to_the_first_aor_that_is_registered(
        sbc, trunk, pbx_a, connect):
    """Condition 3 of 5.1 is not asked: the From is no AoR's"""
    if connect:
        sbc.element("realm-config", "pbx-a")["options"] = ["sip-connect-pbx-reg"]
    sbc.policy("pbx-a")["policy-attributes"][:] = [
        {"next-hop": "trunk.example", "realm": "trunk"}]
    sbc.start().registered()
    call = pbx_a.calls("0301234", user="4711")
    if connect:
        call.until_answered().hang_up()
    else:
        assert call.until_refused().status == 407   # nobody's credentials
    invite = trunk.invites()[0]
    assert (invite.user("From") == "4930100") == connect
    assert (invite.host("From") == "a.trunk.example") == connect


def test_without_sip_connect_the_called_number_is_that_of_the_aor(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}", to="<sip:493010517@a.trunk.example>",
                       headers=[("P-Called-Party-ID", "<sip:493010518@a.trunk.example>")])
    call.until_answered()
    assert pbx_a.requests("INVITE")[0].uri == "sip:4930105@pbx-a.local"
    call.hang_up()


# 40

def test_a_policy_leads_to_the_pbx_and_another_number_is_not_found(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    call = trunk.calls(f"sip:4930200@{sbc.ip(1)}").until_answered()
    assert pbx_a.requests("INVITE")[0].uri.startswith("sip:4930200@")
    call.hang_up()
    assert trunk.calls(f"sip:4930299@{sbc.ip(1)}").until_refused().status == 404
    call = trunk.calls(f"sip:4930300@{sbc.ip(1)}").until_answered()
    assert pbx_b.requests("INVITE")[0].uri.startswith("sip:4930300@")
    call.hang_up()
    assert len(pbx_a.requests("INVITE")) == len(pbx_b.requests("INVITE")) == 1


# 41

def test_options_for_a_contact_are_answered_by_the_sbc(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    ping = trunk.request("OPTIONS", f"sip:a-4930105@{sbc.ip(1)}",
                         f"<sip:a-4930105@{sbc.ip(1)}>")
    trunk.send(ping, trunk.sbc)
    answer = trunk.wait(lambda m: m.status and m.call_id == ping.call_id)
    assert answer.status == 200
    assert "INVITE" in answer.get("Allow") and not answer.body
    sbc.no_session_is_left()
    assert silent(pbx_a) and silent(pbx_b)


# 42

@pytest.mark.parametrize("uri", ["sip:a-4930105@{}", "sip:4930200@{}", "sip:4930299@{}"])
def test_a_stranger_is_forbidden_and_moves_nothing(sbc, trunk, pbx_a, pbx_b, peers, uri):
    from peers.pbx import Call
    sbc.start().registered()
    stranger = peers(Endpoint, sbc.ip(99))
    uri = uri.format(sbc.ip(1))
    seen = len(trunk.seen)
    invite = stranger.request("INVITE", uri, f"<{uri}>", body=pbx_a.sdp(ip=stranger.ip))
    assert Call(stranger, invite, trunk.sbc).until_refused().status == 403
    assert silent(pbx_a) and silent(pbx_b) and len(trunk.seen) == seen
    assert sbc.ports_used() == 0


def test_a_pbx_reaches_another_tenants_contact_only_as_a_number_of_its_own_trunk(
        sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    call = pbx_a.calls("b-4930105", uri=f"sip:b-4930105@{sbc.ip(1)}").until_answered()
    assert trunk.invites()[0].user("From") == "4930100"
    assert trunk.invites()[0].uri == "sip:b-4930105@a.trunk.example"
    assert [c["username"] for c in trunk.credentials(trunk.invites()[-1])] == ["a1"]
    assert silent(pbx_b)
    call.hang_up()


def test_a_policy_with_action_redirect_gives_the_caller_the_next_hops(sbc, trunk, pbx_a):
    """behaviour.md 2.3: 302 with one Contact for each candidate"""
    attributes = sbc.policy("pbx-a")["policy-attributes"]
    attributes[0]["action"] = "redirect"
    attributes.append(dict(attributes[0], **{"next-hop": "192.0.2.7:5070", "cost": "1"}))
    sbc.start().registered()
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.status == 302
    assert refused.all("Contact") == ["<sip:0301234@trunk.example>;q=1",
                                      "<sip:0301234@192.0.2.7:5070>;q=0.500"]
    assert not trunk.invites()
    sbc.no_session_is_left()


# 1.3: who may call at all

@pytest.mark.parametrize("allowed, prefix, codes", [
    ("all", "127.0.0.0/32", (200, 200)),
    ("agents-only", "127.0.0.0/8", (403, 403)),
    ("realm-prefix", "127.0.0.0/8", (200, 200)),
    ("realm-prefix", "127.0.0.0/32", (403, 403)),
    ("registered", "127.0.0.0/8", (403, 200)),
    ("register-prefix", "127.0.0.0/8", (403, 200)),
])
def test_a_stranger_calls_as_allow_anonymous_says_and_an_emergency_passes(
        sbc, trunk, pbx_a, peers, allowed, prefix, codes):
    from peers.pbx import Pbx
    interface = sbc.element("sip-interface", "pbx-a")
    interface["sip-ports"][0]["allow-anonymous"] = allowed
    interface["anonymous-priority"] = "urgent"
    sbc.element("realm-config", "pbx-a")["addr-prefix"] = prefix
    sbc.element("local-policy").append(
        {"from-address": "*", "to-address": "112", "source-realm": "pbx-a",
         "policy-priority": "emergency",
         "policy-attributes": [{"next-hop": "trunk.example", "realm": "trunk",
                                "auth-user-lookup": "tenA"}]})
    sbc.start().registered()
    stranger = peers(Pbx, sbc.ip(99), sbc.ip(2), "stranger.example")
    for number, code in zip(("0301234", "112"), codes):
        call = stranger.calls(number)
        assert call.answer().status == code, number
        call.until_answered().hang_up() if code == 200 else call.until_refused()
    assert pbx_a.calls("0301234").until_answered().hang_up()


# 4.9: where the PBX is

@pytest.mark.parametrize("mode, response, status", [
    ("automatic", "503", 480), ("triggered", "486", 486)])
def test_a_pbx_that_is_out_of_service_cannot_be_called(sbc, trunk, pbx_a, mode, response, status):
    sbc.element("surrogate-agent", "a.trunk.example").update(
        {"register-mode": mode, "triggered-oos-response": response,
         "triggered-inactivity-interval": "86400"})
    sbc.element("session-agent", "pbx-a.example").update(
        {"ping-method": "OPTIONS", "ping-interval": "1", "ping-send-mode": "continuous"})
    sbc.start().registered()   # the answers to the pings are activity
    serve = pbx_a.serve
    pbx_a.serve = lambda request: pbx_a.reply(request, 503) if request.method == "OPTIONS" \
        else serve(request)
    sbc.waits("show sipd agents", r"(?m)^pbx-a.example\s+O\b")
    assert trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_refused().status == status
    assert not pbx_a.requests("INVITE")
    # OPTIONS for its contact says so, too (3.9)
    options = trunk.request("OPTIONS", f"sip:a-4930105@{sbc.ip(1)}", f"<sip:a-4930105@{sbc.ip(1)}>")
    trunk.send(options, trunk.sbc)
    answer = trunk.wait(lambda m: m.status and m.call_id == options.call_id)
    assert answer.status == 480


def test_a_next_hop_without_session_agent_is_judged_by_its_calls(sbc, trunk, pbx_a):
    """Silent, it gets no calls for 30 s"""
    agents = sbc.element("session-agent")
    agents[:] = [a for a in agents if a["hostname"] != "pbx-a.example"]
    sbc.element("surrogate-agent", "a.trunk.example")["customer-next-hop"] = sbc.ip(12)
    sbc.element("local-policy")[:] = [p for p in sbc.element("local-policy")
                                      if p["to-address"] != "4930200"]
    sbc.element("sip-config")["trans-expire"] = "1"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()   # a customer next hop is no stranger
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    pbx_a.deaf = True
    assert trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_refused(within=4.0).status in (408, 480)
    seen = len(pbx_a.requests("INVITE"))
    pbx_a.deaf = False
    assert trunk.calls(f"sip:a-4930106@{sbc.ip(1)}").until_refused().status == 480
    assert len(pbx_a.requests("INVITE")) == seen


def test_calls_from_every_target_of_the_registrar_are_taken(sbc, trunk, pbx_a, peers, tmp_path):
    """4.6: the call may come from another address than the one that has the binding"""
    other = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    stranger = peers(Trunk, sbc.ip(15), sbc.ip(1), media_port=30400)
    peers(Dns, tmp_path, sbc.ip(53), hosts={"one.trunk.example": sbc.ip(11), "two.trunk.example": sbc.ip(14)},
          srv={"_sip._udp.trunk.example": [("one.trunk.example", 5060, 10), ("two.trunk.example", 5060, 20)]})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"], "dns-timeout": "1"})
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    sbc.start().registered()
    assert trunk.registers() and not other.registers()
    other.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    invite, = pbx_a.requests("INVITE")
    assert invite.uri == "sip:4930105@pbx-a.local"
    assert stranger.calls(f"sip:a-4930105@{sbc.ip(1)}").until_refused().status == 403
    assert len(pbx_a.requests("INVITE")) == 1


def test_calls_from_the_host_of_the_service_route_are_taken(sbc, trunk, pbx_a, peers):
    """2.1: beside session-agents and the registrar itself"""
    edge = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    other = peers(Trunk, sbc.ip(15), sbc.ip(1), media_port=30400)
    trunk.register_headers = [("Service-Route", f"<sip:{sbc.ip(14)};lr>, <sip:{sbc.ip(15)};lr>")]
    sbc.element("realm-config", "trunk")["addr-prefix"] = sbc.ip(0) + "/24"
    sbc.element("sip-interface")[0]["sip-ports"][0]["allow-anonymous"] = "realm-prefix"
    sbc.start().registered()
    edge.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    assert [m.uri for m in pbx_a.requests("INVITE")] == ["sip:4930105@pbx-a.local"]
    # The second on the way does not speak to us, and a policy knows no such number
    assert other.calls(f"sip:a-4930105@{sbc.ip(1)}").until_refused().status == 404
    assert len(pbx_a.requests("INVITE")) == 1
