"""
Session-agents: states, pings, what makes calls avoid them (behaviour.md 2.5, 4.9).
"""
import re
import time

import pytest

from peers.dns import Dns
from peers.sip import Endpoint, parameters
from peers.trunk import Trunk


def pings(peer):
    return [m for m in peer.requests("OPTIONS") if m.user("To") == "ping"]


def pinged(sbc, interval="1", **changes):
    """The trunk as a session-agent that is pinged"""
    sbc.element("session-agent", "trunk.example").update(
        {"ping-method": "OPTIONS", "ping-interval": interval, "ping-send-mode": "continuous",
         "ttr-no-response": "1", **{k.replace("_", "-"): v for k, v in changes.items()}})
    sbc.element("sip-config")["trans-expire"] = "2"


def letter(sbc, name, wanted, within=5.0):
    sbc.waits("show sipd agents", rf"(?m)^{re.escape(name)}\s+{wanted}\b", within)


def alarms(sbc):
    return sbc.acli("show alarms")


def test_a_ping_is_an_options_with_both_users(sbc, trunk, pbx_a):
    pinged(sbc, ping_to_user_part="to", ping_from_user_part="from")
    sbc.start()
    ping = trunk.wait(lambda m: m.method == "OPTIONS")
    assert ping.uri == "sip:to@trunk.example"
    assert ping.user("To") == "to" and ping.host("To") == "trunk.example"
    assert ping.user("From") == "from" and ping.host("From") == sbc.ip(1)
    assert not ping.tag("To") and ping.get("Max-Forwards") == "70"
    first = ping
    second = trunk.wait(lambda m: m.method == "OPTIONS" and m.call_id != first.call_id)
    assert second.time - first.time >= 0.85


def test_silence_takes_it_out_and_an_answer_after_the_pause_brings_it_back(sbc, trunk, pbx_a):
    pinged(sbc)
    trunk.deaf = True
    sbc.start()
    letter(sbc, "trunk.example", "O")
    assert "session-agent-down" in alarms(sbc)
    call = pbx_a.calls("0301234")
    assert call.until_refused().status == 503
    assert not trunk.invites()
    trunk.deaf = False
    letter(sbc, "trunk.example", "I")
    assert "session-agent-down" not in alarms(sbc)
    assert "session-agent-down" in sbc.acli("show alarms history")
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.logs_line("agent-up")
    assert "agent-down" in open(sbc.log).read()


def answers_pings(trunk, code):
    """The trunk answers OPTIONS with this code, all else as ever"""
    served = type(trunk).serve

    def serve(request):
        if request.method == "OPTIONS":
            trunk.reply(request, code)
        else:
            served(trunk, request)
    trunk.serve = serve


@pytest.mark.parametrize("code, good, out, state", [
    (404, "", "", "I"), (500, "", "", "I"), (503, "", "", "O"), (408, "", "", "O"),
    (500, "", "500-599", "O"), (404, "480", "", "O"), (480, "480", "", "I"), (200, "480", "", "I"),
    (302, "", "", "I")])
def test_the_code_of_the_answer_decides(sbc, trunk, code, good, out, state):
    pinged(sbc, **({"ping-in-service-response-codes": [good]} if good else {}),
           **({"out-service-response-codes": [out]} if out else {}))
    answers_pings(trunk, code)
    sbc.start()
    trunk.wait(lambda m: m.method == "OPTIONS")
    if state == "O":
        letter(sbc, "trunk.example", "O")
    else:
        first = pings(trunk)[0]
        trunk.wait(lambda m: m.method == "OPTIONS" and m.call_id != first.call_id)
        letter(sbc, "trunk.example", "I")
        assert "agent-down" not in open(sbc.log).read()


def test_a_challenge_is_answered_with_the_credentials_of_the_session_agent(sbc, trunk):
    pinged(sbc)
    sbc.element("session-agent", "trunk.example")["auth-attribute"] = [
        {"auth-realm": "trunk.example", "username": "p1", "password": "secret-p1"}]
    trunk.passwords["p1"] = "secret-p1"
    served = type(trunk).serve

    def serve(request):
        if request.method != "OPTIONS":
            served(trunk, request)
        elif trunk.admits(request, trunk.invite_challenge):
            trunk.reply(request, 200)
    trunk.serve = serve
    sbc.start()
    proved = trunk.wait(lambda m: m.method == "OPTIONS" and m.get("Proxy-Authorization"))
    first = pings(trunk)[0]
    assert proved.call_id == first.call_id and proved.cseq == first.cseq + 1
    assert proved.tag("From") == first.tag("From")
    assert parameters(proved.get("Proxy-Authorization"))["username"] == "p1"
    later = trunk.wait(lambda m: m.method == "OPTIONS" and m.call_id != first.call_id)
    assert parameters(later.get("Proxy-Authorization"))["nc"] == "00000002"
    letter(sbc, "trunk.example", "I")


def test_a_challenge_without_credentials_is_an_answer(sbc, trunk):
    pinged(sbc)
    answers_pings(trunk, 407)
    sbc.start()
    first = trunk.wait(lambda m: m.method == "OPTIONS")
    trunk.wait(lambda m: m.method == "OPTIONS" and m.call_id != first.call_id)
    letter(sbc, "trunk.example", "I")


def test_keep_alive_is_silent_while_the_session_agent_speaks(sbc, trunk, pbx_a):
    pinged(sbc)
    sbc.element("session-agent", "trunk.example")["ping-send-mode"] = "keep-alive"
    sbc.start()
    limit = time.monotonic() + 2.5
    while time.monotonic() < limit:
        options = trunk.request("OPTIONS", f"sip:{sbc.ip(1)}", f"<sip:{sbc.ip(1)}>")
        trunk.send(options, trunk.sbc)
        trunk.wait(lambda m: m.status and m.call_id == options.call_id)
        time.sleep(0.1)
    assert len(pings(trunk)) <= 1
    trunk.wait(lambda m: m.method == "OPTIONS" and m.time > limit)


def test_in_service_period_passes_before_it_is_used(sbc, trunk, pbx_a):
    pinged(sbc, in_service_period="2")
    trunk.deaf = True
    sbc.start()
    letter(sbc, "trunk.example", "O")
    trunk.deaf = False
    letter(sbc, "trunk.example", "S")
    assert pbx_a.calls("0301234").until_refused().status == 503
    letter(sbc, "trunk.example", "I")
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_failed_ping_while_coming_back_takes_it_out_again(sbc, trunk):
    pinged(sbc, in_service_period="60")
    trunk.deaf = True
    sbc.start()
    letter(sbc, "trunk.example", "O")
    trunk.deaf = False
    letter(sbc, "trunk.example", "S")
    trunk.deaf = True
    letter(sbc, "trunk.example", "O")


def test_calls_in_progress_survive_that_it_goes_out(sbc, trunk, pbx_a):
    pinged(sbc)
    sbc.start()
    letter(sbc, "trunk.example", "I")
    call = pbx_a.calls("0301234").until_answered()
    answers_pings(trunk, 503)
    letter(sbc, "trunk.example", "O")
    call.hang_up()
    bye = trunk.wait(lambda m: m.method == "BYE" and not m.status)
    assert bye.call_id == trunk.invites()[0].call_id


def test_503_with_retry_after_keeps_new_calls_away(sbc, trunk, pbx_a):
    sbc.start()
    trunk.invite_answer = lambda m: trunk.reply(m, 503, headers=[("Retry-After", "2")])
    assert pbx_a.calls("0301234").until_refused().status == 503
    trunk.invite_answer = None
    seen = len(trunk.invites())
    assert pbx_a.calls("0301234").until_refused().status == 503
    assert len(trunk.invites()) == seen
    time.sleep(2)
    pbx_a.calls("0301234").until_answered().hang_up()


def test_a_disabled_session_agent_is_not_pinged(sbc, trunk):
    pinged(sbc, state="disabled")
    sbc.element("session-agent", "pbx-a.example").update(
        {"ping-method": "OPTIONS", "ping-interval": "1", "ping-send-mode": "continuous"})
    watch = Endpoint(sbc.ip(12))
    try:
        sbc.start()
        first = watch.wait(lambda m: m.method == "OPTIONS")
        watch.wait(lambda m: m.method == "OPTIONS" and m.call_id != first.call_id)
    finally:
        watch.close()
    assert not pings(trunk)
    letter(sbc, "trunk.example", "D")


def test_one_tenants_wrong_password_leaves_it_in_service(sbc, trunk, pbx_a, pbx_b):
    for name in ("a", "b"):
        next(a for a in sbc.element("surrogate-agent")
             if a["register-host"] == f"{name}.trunk.example")["aor-count"] = "1"
    trunk.passwords["reg-a"] = "another"
    sbc.start()
    sbc.waits("show surrogate-agents", r"1 registered")
    sbc.waits("show surrogate-agents", r"refused")
    letter(sbc, "trunk.example", "I")   # B's registration stands
    pbx_b.calls("0301234").until_answered().hang_up()


def test_refused_everywhere_is_said_and_ends_with_one_that_is_accepted(sbc, trunk, pbx_a,
                                                                      pbx_b):
    agents = sbc.element("surrogate-agent")
    agents[:] = [a for a in agents if a["register-host"] == "a.trunk.example"]
    agents[0]["aor-count"] = "2"
    trunk.passwords["reg-a"] = "another"
    sbc.start()
    letter(sbc, "trunk.example", "R")
    sbc.logs_line("agent-refused")
    assert pbx_a.calls("0301234").until_refused().status == 503  # statement 6 of 7.2
    pbx_b.calls("0301234").until_answered().hang_up()  # uses none of the refused credentials
    trunk.passwords["reg-a"] = "secret-reg-a"
    sbc.acli("notify sipd register a.trunk.example 493010^ pbx-a")
    letter(sbc, "trunk.example", "I")


@pytest.mark.parametrize("invalidate", ["disabled", "enabled"])
def test_bindings_over_a_session_agent_that_goes_out_are_renewed_where_that_is_wanted(
        sbc, trunk, invalidate):
    pinged(sbc, invalidate_registrations=invalidate)
    sbc.start().registered()
    serve = trunk.serve
    trunk.serve = lambda request: trunk.reply(request, 503) if request.method == "OPTIONS" \
        else serve(request)
    since = len(trunk.registers())
    sbc.waits("show alarms history", "session-agent-down")
    if invalidate == "enabled":
        trunk.wait(lambda m: len({m.get("To") for m in trunk.registers()[since:]}) == 20)
    sbc.registered()
    if invalidate == "disabled":
        letter(sbc, "trunk.example", "O")
        assert len(trunk.registers()) == since


def test_one_ping_by_hand_says_what_came_and_changes_nothing(sbc, trunk):
    sbc.start()
    answers_pings(trunk, 486)
    said = sbc.acli("ping sip trunk.example")
    assert re.search(r"SIP/2\.0 486 ", said) and f"{trunk.ip}:" in said and "UDP" in said
    ping = trunk.wait(lambda m: m.method == "OPTIONS")
    assert ping.host("To") == "trunk.example"
    trunk.deaf = True
    code, said = sbc.acli_status("ping sip trunk.example")
    assert code != 0 and "No answer" in said
    letter(sbc, "trunk.example", "I")
    assert sbc.acli_status("ping sip nobody.example")[0] != 0


def test_reset_lets_it_begin_anew(sbc, trunk, pbx_a):
    """ttr-no-response is an hour: without reset it would be out for that long"""
    pinged(sbc)
    sbc.element("session-agent", "trunk.example")["ttr-no-response"] = "3600"
    trunk.deaf = True
    sbc.start()
    letter(sbc, "trunk.example", "O")
    shown = sbc.acli("show sipd agents trunk.example")
    assert re.search(r"(?m)^State +out of service for ", shown)
    assert re.search(r"(?m)^Last ping +bad, ", shown)
    assert re.search(r"(?m)^Targets +1, 1 without", shown)
    # a good answer alone does not end the hour
    trunk.deaf = False
    sbc.waits("show sipd agents trunk.example", r"(?m)^Last ping +good")
    letter(sbc, "trunk.example", "O")
    assert "begins anew" in sbc.acli("reset session-agent trunk.example")
    letter(sbc, "trunk.example", "I")
    pbx_a.calls("0301234").until_answered().hang_up()
    assert sbc.acli_status("reset session-agent nobody.example")[0] != 0


def test_of_several_addresses_one_that_is_out_is_skipped_and_comes_back(sbc, trunk, pbx_a, peers, tmp_path):
    """ping-all-addresses: each is pinged and used by itself (configuration.md 2.9)"""
    best = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    best.invite_challenge = trunk.invite_challenge = None
    peers(Dns, tmp_path, sbc.ip(53), hosts={"one.trunk.example": sbc.ip(11), "two.trunk.example": sbc.ip(14)},
          srv={"_sip._udp.trunk.example": [("two.trunk.example", 5060, 10), ("one.trunk.example", 5060, 20)]})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"], "dns-timeout": "1"})
    sbc.element("surrogate-agent").clear()
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    pinged(sbc, ping_all_addresses="enabled")
    sbc.start()
    for peer in (best, trunk):
        peer.wait(lambda m: m.method == "OPTIONS")
    pbx_a.calls("0301234").until_answered().hang_up()
    assert len(best.invites()) == 1 and not trunk.invites()

    best.deaf = True
    sbc.logs_line("agent-target-down")
    pbx_a.calls("0301235").until_answered().hang_up()
    assert len(best.invites()) == 1 and len(trunk.invites()) == 1
    letter(sbc, "trunk.example", "I")
    assert "session-agent-down" not in alarms(sbc)
    shown = sbc.acli("show sipd agents trunk.example")
    assert re.findall(r"(?m)^Target +(\S+) UDP (\w+)$", shown) == [
        (f"{sbc.ip(14)}:5060", "out"), (f"{sbc.ip(11)}:5060", "good")]

    best.deaf = False
    sbc.logs_line("agent-target-up", within=6.0)
    pbx_a.calls("0301236").until_answered().hang_up()
    assert len(best.invites()) == 2 and len(trunk.invites()) == 1


def test_registrations_leave_an_address_that_pings_find_out(sbc, trunk, peers, tmp_path):
    """4.6: with invalidate-registrations at once; and it is tried last while it is out"""
    best = peers(Trunk, sbc.ip(14), sbc.ip(1), media_port=30300)
    peers(Dns, tmp_path, sbc.ip(53), hosts={"one.trunk.example": sbc.ip(11), "two.trunk.example": sbc.ip(14)},
          srv={"_sip._udp.trunk.example": [("two.trunk.example", 5060, 10), ("one.trunk.example", 5060, 20)]})
    sbc.element("system-config").update({"dns-servers": [f"{sbc.ip(53)}:30053"], "dns-timeout": "1"})
    agent = sbc.element("session-agent", "trunk.example")
    del agent["ip-address"]
    agent["port"] = "0"
    pinged(sbc, ping_all_addresses="enabled", invalidate_registrations="enabled")
    sbc.start().registered()
    assert len({m.get("To") for m in best.registers()}) == 20 and not trunk.registers()

    serve, since = best.serve, len(best.registers())
    best.serve = lambda request: best.reply(request, 503) if request.method == "OPTIONS" \
        else serve(request)
    trunk.wait(lambda m: len({m.get("To") for m in trunk.registers()}) == 20, 6.0)
    sbc.registered()
    before = len(trunk.registers())
    sbc.acli("notify sipd register a.trunk.example 493010^ pbx-a")
    trunk.wait(lambda m: len({m.get("To") for m in trunk.registers()[before:]}) == 10)
    sbc.registered()
    assert len(best.registers()) == since
    letter(sbc, "trunk.example", "I")


# --- Option via-origin (configuration.md 2.9)

def origins(requests):
    return [re.findall(r";origin=([^;,\s]+)", m.all("Via")[0]) for m in requests]


@pytest.mark.crosses("via-origin tells the session-agent where a request came from")
def test_via_origin_tells_the_session_agent_where_its_requests_came_from(sbc, trunk, pbx_a):
    sbc.element("session-agent", "trunk.example")["options"] = "via-origin"
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.answer_to(call.within_dialog("INFO")).status == 200
    call.hang_up()
    message = pbx_a.request("MESSAGE", f"sip:0301234@{sbc.ip(2)}", f"<sip:0301234@{sbc.ip(2)}>",
                            body="hello", from_="<sip:4930100@pbx-a.local>", ctype="text/plain")
    pbx_a.send(message, pbx_a.sbc)
    pbx_a.wait(lambda m: m.status == 200 and m.call_id == message.call_id)
    carried = [m for name in ("INVITE", "INFO", "MESSAGE") for m in trunk.requests(name)]
    assert len(carried) >= 4 and all(found == [pbx_a.ip] for found in origins(carried))
    # of the SBC's own, BYE too, there is nothing to tell; the PBX has no such option
    assert not any(origins(trunk.registers() + trunk.requests("BYE")))
    trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered().hang_up()
    assert not any(origins(m for m in pbx_a.seen if m.status is None))
