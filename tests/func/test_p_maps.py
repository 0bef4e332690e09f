"""
Status codes that become others: sip-response-map (configuration.md 2.7-2.9 and 2.14, behaviour.md 2.9).
"""
import pytest



@pytest.fixture
def plain(trunk):
    trunk.invite_challenge = None
    return trunk


def maps(sbc, **named):
    """Maps of rows recv-code, xmit-code and more"""
    sbc.config["session-router"]["sip-response-map"] = [
        {"name": name, "entries": [dict({"recv-code": str(a), "xmit-code": str(b)}, **more)
                                   for a, b, more in rows]} for name, rows in named.items()]


def answers(trunk, code, reason="Because", headers=()):
    def answer(request):
        trunk.reply(request, code, reason, headers=headers)
        return True
    trunk.invite_answer = answer


def refused(pbx, number="0301234"):
    final = pbx.calls(number).until_refused()
    return final.status, final.start.split(" ", 2)[2]


def test_an_answer_that_is_passed_on_is_mapped_for_the_side_it_goes_to(sbc, plain, pbx_a, pbx_b):
    maps(sbc, one=[(486, 480, {"reason": "Later"})], two=[(486, 600, {})], all=[(486, 404, {})])
    sbc.element("sip-config")["response-map"] = "all"
    sbc.element("sip-interface", "pbx-a")["response-map"] = "one"
    sbc.element("sip-interface", "trunk")["response-map"] = "two"
    answers(plain, 486)
    sbc.start().registered()
    assert refused(pbx_a) == (480, "Later")
    assert refused(pbx_b) == (404, "Not Found")
    answers(plain, 487)
    assert refused(pbx_a)[0] == 487


def test_the_map_of_the_session_agent_wins(sbc, plain, pbx_a):
    maps(sbc, one=[(486, 480, {})], two=[(486, 600, {})])
    sbc.element("sip-interface", "pbx-a")["response-map"] = "one"
    sbc.element("session-agent", "pbx-a.example")["response-map"] = "two"
    answers(plain, 486)
    sbc.start().registered()
    assert refused(pbx_a) == (600, "Busy Everywhere")


def test_answers_of_the_sbc_have_a_map_of_their_own(sbc, plain, pbx_a):
    maps(sbc, passed=[(404, 480, {}), (484, 480, {})], own=[(404, 603, {})], agents=[(404, 604, {})])
    sbc.element("sip-config")["response-map"] = "passed"
    sbc.element("sip-interface", "pbx-a").update({"response-map": "passed", "local-response-map": "own"})
    sbc.policy("pbx-a")["to-address"] = "030"
    sbc.element("surrogate-agent").clear()
    answers(plain, 404)
    sbc.start()
    assert refused(pbx_a)[0] == 480
    assert refused(pbx_a, "0401234")[0] == 603
    path = sbc.write()
    sbc.element("session-agent", "pbx-a.example")["local-response-map"] = "agents"
    sbc.write()
    sbc.acli(f"import-config {path}", "save-config", "activate-config")
    assert refused(pbx_a, "0401234")[0] == 604


def test_an_entry_may_be_for_one_method(sbc, plain, pbx_a):
    maps(sbc, own=[(404, 603, {}), (404, 410, {"method": "INVITE"})])
    sbc.element("sip-interface", "pbx-a")["local-response-map"] = "own"
    sbc.policy("pbx-a")["to-address"] = "030"
    sbc.element("surrogate-agent").clear()
    sbc.start()
    assert refused(pbx_a, "0401234")[0] == 410
    message = pbx_a.request("MESSAGE", f"sip:0401234@{sbc.ip(2)}", "<sip:0401234@x>")
    pbx_a.send(message, pbx_a.sbc)
    assert pbx_a.wait(lambda m: m.status and m.call_id == message.call_id).status == 603


def test_a_cause_becomes_a_reason_header(sbc, plain, pbx_a):
    maps(sbc, one=[(486, 480, {"q850-cause": "19", "q850-reason": 'no "answer"'})])
    sbc.element("sip-interface", "pbx-a")["response-map"] = "one"
    answers(plain, 486, headers=[("Reason", "Q.850;cause=17")])
    sbc.start().registered()
    final = pbx_a.calls("0301234").until_refused()
    assert final.all("Reason") == ['Q.850;cause=19;text="no \\"answer\\""']


def test_a_code_never_leaves_its_class(sbc, plain, pbx_a):
    """Neither does a failure become an answer, nor an answer a failure"""
    maps(sbc, one=[(486, 200, {}), (180, 486, {}), (200, 486, {}), (183, 180, {})])
    sbc.element("sip-interface", "pbx-a")["response-map"] = "one"
    plain.answers = [183, 180, 200]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    assert len([m for m in pbx_a.responses(180) if m.call_id == call.invite.call_id]) == 2
    call.hang_up()
    answers(plain, 486)
    assert refused(pbx_a)[0] == 486


def test_inside_a_dialog_answers_are_mapped_too(sbc, plain, pbx_a):
    maps(sbc, one=[(415, 488, {})])
    sbc.element("sip-interface", "pbx-a")["response-map"] = "one"
    plain.inside = lambda request: plain.reply(request, 415 if request.method == "INFO" else 200)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    assert call.answer_to(call.within_dialog("INFO", "x", ctype="text/plain")).status == 488
    call.hang_up()


def test_a_map_that_is_missing_is_an_error(sbc):
    sbc.element("sip-interface", "pbx-a")["response-map"] = "nobody"
    with pytest.raises(AssertionError, match="nobody"):
        sbc.start(within=3)
    sbc.kill()


def test_an_answer_that_is_repeated_is_the_one_of_before_the_map_came(sbc, plain, pbx_a):
    """The one to a BYE is not kept but made again"""
    sbc.start().registered()
    call, later = [pbx_a.calls("0301234").until_answered() for _ in range(2)]
    bye = call.within_dialog("BYE")
    first = call.answer_to(bye)
    maps(sbc, own=[(200, 202, {})])
    sbc.element("sip-interface", "pbx-a")["local-response-map"] = "own"
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    assert later.answer_to(later.within_dialog("BYE")).status == 202
    since = len(pbx_a.seen)
    pbx_a.send(bye, pbx_a.sbc)
    again = pbx_a.wait(lambda m: m.status and m.call_id == bye.call_id and m.get("CSeq") == bye.get("CSeq"),
                       since=since)
    assert again.bytes() == first.bytes()
