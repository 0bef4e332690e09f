"""
Which hop a call takes, and what its caller gets: sections 2.1, 2.4, 2.8, 2.9 of behaviour.md.

The tables themselves are walked in virtual time (tests/unit/test_sbc_hunt.c, test_policy_route.c); here
real DNS and several trunks show that the parts hang together on sockets.
"""
import time

import pytest

from peers.dns import Dns
from peers.rtp import Rtp, media, ssrc
from peers.sip import SDP, token
from peers.trunk import Trunk


@pytest.fixture
def second(sbc, peers):
    """Another trunk, at .14"""
    trunk = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    trunk.invite_challenge = None
    return trunk


@pytest.fixture
def plain(trunk):
    """The trunk of the example, which asks calls for nothing"""
    trunk.invite_challenge = None
    return trunk


def refuses(code, headers=()):
    """Function that lets a trunk answer so to each INVITE"""
    def bind(peer):
        def answer(request):
            peer.reply(request, code, headers=headers)
            return True
        peer.invite_answer = answer
    return bind


def second_route(sbc, host=14, cost="1", **more):
    attributes = sbc.policy("pbx-a")["policy-attributes"]
    attributes.append(dict(attributes[0], **{"next-hop": sbc.ip(host), "cost": cost}, **more))
    return attributes


def by_dns(sbc, peers, tmp_path, srv, hosts=None):
    """trunk.example leads to what these SRV records say"""
    names = {"one.trunk.example": sbc.ip(11), "two.trunk.example": sbc.ip(14),
             "three.trunk.example": sbc.ip(15)}
    dns = peers(Dns, tmp_path, sbc.ip(53), hosts=names if hosts is None else hosts,
                srv={"_sip._udp.trunk.example": srv})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"], "dns-timeout": "1"})
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    return dns


# --- 2.4; statements 45 and 46 of 7.2 are in test_c_races.py


def test_a_302_is_followed_and_the_caller_hears_nothing_of_it(sbc, plain, second, pbx_a):
    refuses(302, [("Contact", f"<sip:777@{sbc.ip(14)}>;q=0.3"),
                  ("Contact", f"<sip:778@{sbc.ip(15)}>;q=0.2")])(plain)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert second.invites()[0].uri == f"sip:777@{sbc.ip(14)}"
    call.hang_up()


def test_a_302_that_is_passed_on_leads_back_to_the_sbc(sbc, plain, second, pbx_a):
    sbc.element("session-agent", "trunk.example")["redirect-action"] = "proxy"
    refuses(302, [("Contact", f"<sip:777@{sbc.ip(14)}>")])(plain)
    sbc.start().registered()
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.status == 302 and not second.invites()
    assert refused.all("Contact") == [f"<sip:777@{sbc.ip(2)}:5060>"]


def test_a_pbx_s_302_never_leads_to_another_tenant(sbc, plain, pbx_a, pbx_b):
    def deflect(request):
        if request.method == "INVITE":
            pbx_a.reply(request, 302, headers=[
                ("Contact", "<sip:4930100@pbx-b.example>"),
                ("Contact", f"<sip:4930100@{sbc.ip(3)}>;q=0.5")])
    pbx_a.serve = deflect
    sbc.start().registered()
    call = plain.calls(f"sip:a-4930105@{sbc.ip(1)}")
    assert call.until_refused().status == 302
    assert len(pbx_a.requests("INVITE")) == 1 and not pbx_b.seen


def test_routes_of_equal_cost_ring_together(sbc, plain, second, pbx_a):
    second_route(sbc, cost="0")
    sbc.policy("pbx-a")["parallel-forking"] = "enabled"
    plain.answers = second.answers = [180]
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    pbx_a.wait(lambda m: len({r.tag("To") for r in pbx_a.responses(180)}) == 2)
    second.answers = [200]
    second.answer(second.invites()[0])
    call.until_answered()
    plain.wait(lambda m: m.method == "CANCEL")
    losing = plain.invites()[0]
    plain.reply(losing, 487, tag=plain.tag_of(losing))
    rings = {m.tag("To") for m in pbx_a.responses(180)}
    assert len(rings) == 2 and call.final.tag("To") in rings
    call.hang_up()
    second.wait(lambda m: m.method == "BYE")
    assert not [m for m in plain.seen if m.status is None and m.method == "BYE"]
    sbc.no_session_is_left()


def test_routes_of_several_realms_ring_together_and_sound_flows_with_the_one_that_answers(
        sbc, plain, pbx_a, pbx_b, peers):
    second_route(sbc, host=13, cost="0", realm="pbx-b")
    sbc.policy("pbx-a")["parallel-forking"] = "enabled"
    # towards PBX B its own numbers have an owner, the caller's has none
    plain.answers = pbx_b.answers = [183]
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    pbx_a.wait(lambda m: len({r.tag("To") for r in pbx_a.responses(183)}) == 2)
    offers = [media(peer.requests("INVITE")[0]) for peer in (plain, pbx_b)]
    assert [ip for ip, _ in offers] == [sbc.ip(1), sbc.ip(3)]
    assert sbc.ports_used() == 6
    pbx_b.answers = [200]
    pbx_b.serve(pbx_b.requests("INVITE")[0])
    call.until_answered()
    plain.wait(lambda m: m.method == "CANCEL")
    losing = plain.invites()[0]
    plain.reply(losing, 487, tag=plain.tag_of(losing))
    assert sbc.ports_used() == 4
    ends = [(peers(Rtp, peer.ip, peer.media_port), to) for peer, to in
            ((pbx_a, media(call.final)), (pbx_b, offers[1]))]
    for (one, to), (other, _) in (ends, ends[::-1]):
        one.sends(to)
        assert [ssrc(d) for _, d in other.hears(1)] == [one.ssrc]
    call.hang_up()
    pbx_b.wait(lambda m: m.method == "BYE")
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


# --- 2.1


@pytest.mark.crosses("the caller shall go to the routes himself")
def test_proxy_mode_redirect_answers_with_the_routes(sbc, plain, second, pbx_a):
    second_route(sbc)
    sbc.element("sip-interface", "pbx-a")["proxy-mode"] = "redirect"
    sbc.start().registered()
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.status == 302
    assert refused.all("Contact") == [f"<sip:0301234@{sbc.ip(11)}:5060>;q=1",
                                      f"<sip:0301234@{sbc.ip(14)}:5060>;q=0.500"]
    assert not plain.invites() and not second.invites()


@pytest.mark.parametrize("route, options, taken", [
    ("<sip:{sbc};lr>, <sip:{two};lr>", [], "two"),
    ("<sip:trunk.example;lr>", [], "one"),
    ("<sip:192.0.2.77;lr>", [], "one"),
    ("<sip:{two};lr>", ["strip-route-headers"], "one"),
])
def test_a_route_of_the_caller_counts_when_it_names_a_candidate(sbc, plain, second, pbx_a, route,
                                                                options, taken):
    second_route(sbc)
    if options:
        sbc.element("sip-interface", "pbx-a")["options"] = options
    sbc.start().registered()
    value = route.format(sbc=sbc.ip(2), two=sbc.ip(14))
    call = pbx_a.calls("0301234", headers=[("Route", value)]).until_answered()
    invites = {"one": plain.invites(), "two": second.invites()}
    assert [name for name, seen in invites.items() if seen] == [taken]
    assert not invites[taken][0].all("Route")
    call.hang_up()


def test_media_profiles_prefer_the_route_with_a_codec_of_the_offer(sbc, plain, second, pbx_a):
    attributes = second_route(sbc, cost="0")
    attributes[0]["media-profiles"] = ["G729"]
    attributes[1]["media-profiles"] = ["pcma"]
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert second.invites() and not plain.invites()
    body = SDP.format(ip=sbc.ip(12), port=30000).replace("RTP/AVP 8 101", "RTP/AVP 18 101") \
        .replace("a=rtpmap:8 PCMA/8000\r\n", "")
    pbx_a.calls("0301234", body=body).until_answered().hang_up()
    assert plain.invites()


# --- 2.8


def test_srv_priority_and_weight_order_the_targets(sbc, plain, second, pbx_a, peers, tmp_path):
    by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 20, 100),
                                  ("two.trunk.example", 5060, 10, 1)])
    sbc.start().registered()
    pbx_a.calls("0301234", user="999", from_="<sip:999@elsewhere.example>").until_answered().hang_up()
    assert second.invites() and not plain.invites()


def test_a_dead_target_is_left_soon_and_avoided_afterwards(sbc, second, pbx_a, peers, tmp_path):
    """No one listens at .11; well under Timer B"""
    third = peers(Trunk, sbc.ip(15), sbc.ip(1))
    third.invite_challenge = None
    by_dns(sbc, peers, tmp_path, [("three.trunk.example", 5060, 10), ("two.trunk.example", 5060, 20)])
    sbc.element("sip-interface", "trunk")["initial-inv-trans-expire"] = "1"
    sbc.start()
    third.deaf = True
    started = time.monotonic()
    pbx_a.calls("0301234", from_="<sip:9@x.example>").until_answered().hang_up()
    assert time.monotonic() - started > 0.9
    first, next_one = third.invites()[0], second.invites()[0]
    assert (first.call_id, first.tag("From"), first.cseq) == \
        (next_one.call_id, next_one.tag("From"), next_one.cseq)
    asked = len(third.invites())
    pbx_a.calls("0301234", from_="<sip:9@x.example>").until_answered().hang_up()
    assert len(third.invites()) == asked


def test_a_closed_port_is_noticed_at_once(sbc, second, pbx_a, peers, tmp_path):
    """ICMP port unreachable is a transport error (RFC 3263 4.3): nobody waits for Timer B of 32 s"""
    by_dns(sbc, peers, tmp_path, [("three.trunk.example", 5060, 10), ("two.trunk.example", 5060, 20)])
    sbc.start()
    pbx_a.calls("0301234", from_="<sip:9@x.example>").until_answered().hang_up()


def test_the_registrar_s_other_targets_are_met_when_that_of_the_registration_fails(
        sbc, plain, second, pbx_a, peers, tmp_path):
    by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 10), ("two.trunk.example", 5060, 20)])
    sbc.start().registered()
    refuses(503)(plain)
    call = pbx_a.calls("0301234").until_answered()
    assert len(plain.invites()) == 1 and len(second.invites()) == 1
    call.hang_up()


def test_a_silent_dns_keeps_the_last_answer_and_without_one_gives_503(sbc, plain, second, pbx_a, peers,
                                                                      tmp_path):
    dns = by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 10)])
    second_route(sbc)[1]["next-hop"] = "other.trunk.example"
    sbc.start().registered()
    dns.process.terminate()
    dns.process.wait(5)
    pbx_a.calls("0301234", from_="<sip:9@x.example>").until_answered().hang_up()
    sbc.policy("pbx-a")["policy-attributes"].pop(0)
    sbc.stop()
    sbc.start()
    refused = pbx_a.calls("0301234", from_="<sip:9@x.example>").until_refused()
    assert refused.status == 503 and refused.get("Retry-After") == "5"


def test_a_name_that_does_not_exist_is_404(sbc, plain, pbx_a, peers, tmp_path):
    by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 10)])
    sbc.policy("pbx-a")["policy-attributes"][0]["next-hop"] = "nobody.trunk.example"
    sbc.start()
    assert pbx_a.calls("0301234", from_="<sip:9@x.example>").until_refused().status == 404


def test_who_has_his_address_by_dns_is_no_stranger(sbc, plain, second, pbx_a, peers, tmp_path):
    by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 10), ("two.trunk.example", 5060, 20)])
    stranger = peers(Trunk, sbc.ip(99), sbc.ip(1))
    sbc.start().registered()
    for peer in (plain, second):
        call = peer.calls(f"sip:4930200@{sbc.ip(1)}")
        call.until_answered().hang_up()
    assert stranger.calls(f"sip:4930200@{sbc.ip(1)}").until_refused().status == 403


def test_a_pbx_that_is_known_by_name_only_owns_its_calls(sbc, trunk, pbx_a, peers, tmp_path):
    by_dns(sbc, peers, tmp_path, [("one.trunk.example", 5060, 10)],
           hosts={"one.trunk.example": sbc.ip(11), "pbx-a.example": sbc.ip(12)})
    del sbc.element("session-agent", "pbx-a.example")["ip-address"]
    sbc.policy("pbx-a")["policy-attributes"][0]["auth-user-lookup"] = ""
    trunk.passwords["a1"] = "secret-other"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    assert trunk.credentials(trunk.invites()[-1])[0]["username"] == "reg-a"


# --- 2.9


@pytest.mark.parametrize("seconds", ["0", "42"])
def test_retry_after_upon_offline_is_said_when_all_routes_are_out(sbc, plain, pbx_a, seconds):
    sbc.element("sip-config")["retry-after-upon-offline"] = seconds
    sbc.element("session-agent", "trunk.example")["state"] = "disabled"
    sbc.start()
    refused = pbx_a.calls("0301234", from_="<sip:9@x.example>").until_refused()
    assert refused.status == 503 and refused.get("Retry-After", "0") == seconds


def test_a_policy_outside_its_window_is_404(sbc, plain, pbx_a):
    sbc.policy("pbx-a")["deactivate-time"] = "2020-01-01 00:00:00"
    sbc.element("surrogate-agent", "a.trunk.example")["route-to-registrar"] = "disabled"
    sbc.start()
    assert pbx_a.calls("0301234").until_refused().status == 404


def test_retry_after_of_the_called_side_stays_there(sbc, plain, pbx_a):
    refuses(503, [("Retry-After", "3000")])(plain)
    sbc.start().registered()
    refused = pbx_a.calls("0301234").until_refused()
    assert refused.status == 503 and not refused.all("Retry-After")


def test_a_call_that_comes_back_is_a_loop(sbc, plain, pbx_a):
    """RFC 3261 16.3: the same Call-ID and From tag as a leg of ours, the same Request-URI"""
    plain.answers = [180]
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    invite = plain.wait(lambda m: m.method == "INVITE" and m.status is None)
    back = plain.request("INVITE", invite.uri, invite.get("To"), body=plain.sdp(),
                         from_="<sip:x@y.example>", tag=invite.tag("From"), call_id=invite.call_id,
                         branch="z9hG4bK" + token())
    plain.send(back, plain.sbc)
    assert plain.wait(lambda m: m.status and m.status >= 300 and m.call_id == invite.call_id).status == 482
    call.cancel()
    assert call.answer(487)


@pytest.mark.parametrize("changes, wanted", [
    ({"req-uri-carrier-mode": "uri-param"}, "sip:0301234;cic=1234@a.trunk.example"),
    ({"req-uri-carrier-mode": "prefix"}, "sip:12340301234@a.trunk.example"),
    ({"loose-routing": "disabled"}, "sip:0301234@{ip}")])
def test_the_session_agent_gets_the_carrier_and_its_address_where_it_wants_them(sbc, trunk, pbx_a, changes, wanted):
    """And the credentials are computed for what is sent"""
    sbc.element("session-agent", "trunk.example").update(changes)
    sbc.policy("pbx-a")["policy-attributes"][0]["carrier"] = "1234"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert {m.uri for m in trunk.invites()} == {wanted.format(ip=sbc.ip(11))}
    assert [g[:2] for g in trunk.good if g[0] == "INVITE"] == [("INVITE", "a1")]
    call.hang_up()
