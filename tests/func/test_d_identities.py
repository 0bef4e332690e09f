"""
Identities in messages inside a call: as in 5.2 and 5.3 of behaviour.md, for both directions.
"""
from peers.pbx import Taken
from peers.sip import names


def test_a_refer_of_the_pbx_names_the_trunk_s_domain(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    refer = call.within_dialog("REFER", headers=[
        ("Refer-To", f"<sip:0305678@{sbc.ip(2)}>"), ("Referred-By", "<sip:4930100@pbx-a.local>")])
    assert call.answer_to(refer).status == 200
    seen = trunk.requests("REFER")[0]
    assert seen.get("Refer-To") == "<sip:0305678@a.trunk.example>"
    assert seen.get("Referred-By") == "<sip:4930100@a.trunk.example>"
    call.hang_up()


def test_identities_of_a_re_invite_are_rewritten_on_their_way_to_the_trunk(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"), headers=[
        ("P-Asserted-Identity", "<sip:4930100@pbx-a.local>"),
        ("P-Preferred-Identity", "<sip:4930100@pbx-a.local>"),
        ("Diversion", "<sip:4930101@pbx-a.local>;reason=unconditional")])
    call.ack_to(hold, call.answer_to(hold))
    seen = trunk.requests("INVITE")[-1]
    assert seen.get("P-Asserted-Identity") in ("", "<sip:4930100@a.trunk.example>")
    assert not seen.all("P-Preferred-Identity")
    assert seen.get("Diversion") == "<sip:4930101@a.trunk.example>;reason=unconditional"
    assert not names(seen, "pbx-a.local", sbc.ip(12), sbc.ip(2))
    call.hang_up()


def test_a_request_of_the_trunk_names_the_pbx_s_domain(sbc, trunk, pbx_a):
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    taken = Taken(trunk, trunk.invites()[-1])
    info = taken.send("INFO", headers=[
        ("P-Asserted-Identity", f"<sip:0301234@{sbc.ip(11)}>"),
        ("Referred-By", "<sip:0301234@a.trunk.example>")])
    assert taken.answer_to(info).status == 200
    seen = pbx_a.requests("INFO")[0]
    assert seen.get("Referred-By") == "<sip:0301234@pbx-a.local>"
    assert not names(seen, "a.trunk.example", sbc.ip(11), sbc.ip(1))
    call.hang_up()


def test_identities_of_an_answer_are_rewritten_on_their_way_to_the_pbx(sbc, trunk, pbx_a):
    sbc.start().registered()
    answer = trunk.reply

    def reply(request, code, **fields):
        if code in (180, 200) and request.method == "INVITE":
            fields["headers"] = list(fields.get("headers", ())) + [
                ("P-Asserted-Identity", f"<sip:0301234@{sbc.ip(11)}>")]
        return answer(request, code, **fields)

    trunk.reply = reply
    call = pbx_a.calls("0301234").until_answered()
    call.hang_up()
    for message in pbx_a.seen:
        assert not names(message, sbc.ip(11), sbc.ip(1), "a.trunk.example"), message


def test_identities_of_an_answer_are_rewritten_on_their_way_to_the_trunk(sbc, trunk, pbx_a):
    pbx_a.answer_headers = [("P-Asserted-Identity", "<sip:4930105@pbx-a.local>")]
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    for message in trunk.seen:
        assert not names(message, "pbx-a.local", sbc.ip(12), sbc.ip(2)), message
    call.hang_up()


def test_the_best_answer_of_a_search_that_is_over_still_goes_back(sbc, trunk, pbx_a):
    """No called side is left when the failure is passed on"""
    sbc.policy("pbx-a")["policy-attributes"].append(
        {"next-hop": "nobody.invalid", "realm": "trunk", "cost": "1"})
    trunk.invite_answer = lambda invite: trunk.reply(invite, 500, headers=[
        ("P-Asserted-Identity", f"<sip:0301234@{sbc.ip(11)}>")]) and True
    sbc.start()
    final = pbx_a.calls("0301234").until_refused(within=6.0)
    assert final.status == 500
    assert not names(final, sbc.ip(11), sbc.ip(1))


def test_what_an_untrusted_pbx_asserts_never_reaches_the_trunk(sbc, trunk, pbx_a):
    sbc.element("sip-interface", "pbx-a")["trust-mode"] = "none"
    asserted = [("P-Asserted-Identity", "<sip:4930109@pbx-a.local>")]
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=asserted).until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"), headers=asserted)
    call.ack_to(hold, call.answer_to(hold))
    assert [m.all("P-Asserted-Identity") for m in trunk.requests("INVITE")] == [[], [], []]
    call.hang_up()


def test_what_a_trusted_pbx_asserts_reaches_the_trunk_under_its_domain(sbc, trunk, pbx_a):
    asserted = [("P-Asserted-Identity", "<sip:4930109@pbx-a.local>")]
    sbc.start().registered()
    call = pbx_a.calls("0301234", headers=asserted).until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"), headers=asserted)
    call.ack_to(hold, call.answer_to(hold))
    assert [m.all("P-Asserted-Identity") for m in trunk.requests("INVITE")] == \
        3 * [["<sip:4930109@a.trunk.example>"]]
    call.hang_up()


def test_a_number_that_the_registrar_adds_is_one_more_identity(sbc, trunk, pbx_a):
    """P-Associated-URI (RFC 7315 4.1, behaviour.md 4.9): who calls with it is the owner"""
    trunk.register_headers = [("P-Associated-URI",
                               "<sip:4930999@a.trunk.example>, <tel:+4930998>")]
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")
    sbc.element("surrogate-agent")[0]["aor-count"] = "1"
    sbc.element("surrogate-agent")[1]["state"] = "disabled"
    sbc.start().registered(1)
    for user in ("4930999", "+4930998"):
        call = pbx_a.calls("0301234", user=user).until_answered()
        assert trunk.invites()[-1].user("From") == user
        assert trunk.invites()[-1].host("From") == "a.trunk.example"
        assert trunk.credentials(trunk.invites()[-1])[0]["username"] == "reg-a"
        call.hang_up()
    assert pbx_a.calls("0301234", user="4930997").until_refused().status == 407


def test_each_customer_host_of_a_pbx_is_hidden_with_and_without_owner(sbc, trunk, pbx_a):
    """Two agents of one PBX, each with a customer-host"""
    agents = sbc.element("surrogate-agent")
    agents.append(dict(agents[0], **{
        "register-user": "4940^", "register-contact-user": "c-4940^", "aor-count": "2",
        "customer-host": "other-a.local"}))
    sbc.start().registered(22)
    for user in ("4930100", "4940", "999"):
        for host in ("pbx-a.local", "other-a.local"):
            call = pbx_a.calls("0301234", from_=f"<sip:{user}@{host}>", headers=[
                ("Diversion", "<sip:1@pbx-a.local>, <sip:2@other-a.local>"),
                ("History-Info", "<sip:3@other-a.local>;index=1")]).until_answered()
            call.hang_up()
    sbc.no_session_is_left()
    for message in trunk.seen:
        assert not names(message, "pbx-a.local", "other-a.local"), message


def test_p_asserted_id_gives_the_calls_of_a_pbx_an_owner(sbc, trunk, pbx_a):
    """Its numbers are no AoRs: the identity at its session-agent is (behaviour.md 5.1)"""
    sbc.policy("pbx-a")["policy-attributes"][0].pop("auth-user-lookup")
    sbc.element("session-agent", "pbx-a.example")["p-asserted-id"] = "sip:4930105@pbx-a.local"
    sbc.start().registered()
    call = pbx_a.calls("0301234", user="777").until_answered()
    invite = trunk.invites()[-1]
    assert invite.get("From").startswith("<sip:4930105@a.trunk.example>")
    assert invite.get("P-Asserted-Identity") == "<sip:4930105@a.trunk.example>"
    assert [g[1] for g in trunk.good if g[0] == "INVITE"] == ["reg-a"]
    call.hang_up()


def test_uri_fqdn_domain_stands_in_for_every_host_but_register_host(sbc, trunk, pbx_a):
    sbc.element("sip-interface", "trunk")["uri-fqdn-domain"] = "fqdn.example"
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    invite = trunk.invites()[-1]
    assert invite.uri == "sip:0301234@a.trunk.example"
    pbx_a.calls("0301234", uri="sip:0301234@far.example").until_answered().hang_up()
    invite = trunk.invites()[-1]
    assert invite.uri == "sip:0301234@fqdn.example" and invite.host("To") == "fqdn.example"
    assert invite.host("From") == "a.trunk.example"


def test_teluri_scheme_writes_tel_uris(sbc, trunk, pbx_a):
    sbc.element("sip-interface", "trunk")["teluri-scheme"] = "enabled"
    sbc.start().registered()
    pbx_a.calls("+49301234").until_answered().hang_up()
    first, second = trunk.invites()
    assert second.uri == "tel:+49301234" and second.get("To") == "<tel:+49301234>"
    assert second.get("From").startswith("<tel:4930100;phone-context=a.trunk.example>;tag=")
    # the digest is over what was sent (6.3)
    assert trunk.credentials(second)[0]["uri"] == "tel:+49301234"


def test_addresses_of_the_trunk_s_side_do_not_reach_the_pbx(sbc, trunk, pbx_a):
    """Any address inside the realm's prefix, not only the one that sent the call"""
    sbc.element("realm-config", "trunk")["addr-prefix"] = f"127.{sbc.network}.8/29".replace(
        f"127.{sbc.network}.8", sbc.ip(8))
    sbc.start().registered()
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}", headers=[
        ("Diversion", f"<sip:1@{sbc.ip(14)}>;reason=x, <sip:2@a.trunk.example>"),
        ("History-Info", f"<sip:1@{sbc.ip(10)}>;index=1"),
        ("P-Asserted-Identity", f"<sip:1@{sbc.ip(9)}:5080>")]).until_answered()
    seen = pbx_a.requests("INVITE")[0]
    assert seen.get("Diversion") == "<sip:1@pbx-a.local>;reason=x, <sip:2@pbx-a.local>"
    assert seen.get("History-Info") == "<sip:1@pbx-a.local>;index=1"
    assert seen.get("P-Asserted-Identity") == "<sip:1@pbx-a.local>"
    assert not names(seen, *(sbc.ip(n) for n in (8, 9, 10, 11, 14)))
    call.hang_up()
