"""
Requests outside INVITE dialogs (behaviour.md 3.8, 3.9).

- MESSAGE and PUBLISH go to the owner's trunk, prove themselves, and bear its identities.
- Towards a PBX they arrive by the registered contact, or by local-policy.
- SUBSCRIBE and REFER make dialogs of their own on each side; NOTIFY crosses in them.
- A PBX may register for an AoR of its agent: the SBC answers, the trunk sees nothing.
- OPTIONS for the SBC and for the contact of an agent are answered here.
"""
import re
import shutil

import pytest

from peers.sip import Message, token


def asks(peer, method, uri, headers=(), body="", **fields):
    """A request outside of dialogs, sent; returns it"""
    request = peer.request(method, uri, f"<{uri}>", headers, body, **fields)
    peer.send(request, peer.sbc)
    return request


def answer_to(peer, request, within=3.0):
    return peer.wait(lambda m: m.status and m.status >= 200 and m.call_id == request.call_id and
                     m.get("CSeq") == request.get("CSeq"), within)


def arrives(peer, method, within=3.0, since=0):
    return peer.wait(lambda m: m.status is None and m.method == method, within, since)


class Subscriber:
    """A subscription as the side sees it that subscribed, once it has its 2xx"""

    def __init__(self, peer, request):
        self.peer, self.request = peer, request
        self.ok = answer_to(peer, request)
        assert self.ok.status in (200, 202), self.ok
        self.cseq = request.cseq

    def again(self, expires):
        self.cseq += 1
        routes = [("Route", r) for r in reversed(self.ok.all("Record-Route"))]
        again = Message(f"SUBSCRIBE {self.ok.contact} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {self.peer.ip}:{self.peer.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"), ("From", self.request.get("From")),
            ("To", self.ok.get("To")), ("Call-ID", self.request.call_id),
            ("CSeq", f"{self.cseq} SUBSCRIBE"), ("Contact", self.request.get("Contact")),
            ("Event", self.request.get("Event")), ("Expires", str(expires))] + routes)
        self.peer.send(again, self.peer.sbc)
        return answer_to(self.peer, again)


class Notifier:
    """A subscription as the side sees it that notifies; the SUBSCRIBE is answered by it"""

    def __init__(self, peer, request, tag=None, expires=600, answers=True):
        self.peer, self.request, self.tag = peer, request, tag or token()
        self.cseq = 50
        if answers:
            peer.reply(request, 200, tag=self.tag, headers=[
                ("Contact", f"<sip:notifier@{peer.ip}:{peer.port}>"), ("Expires", str(expires))])

    def notifies(self, state="active;expires=600", body="", **headers):
        self.cseq += 1
        routes = [("Route", r) for r in self.request.all("Record-Route")]
        notify = Message(f"NOTIFY {self.request.contact} SIP/2.0", [
            ("Via", f"SIP/2.0/UDP {self.peer.ip}:{self.peer.port};branch=z9hG4bK{token()};rport"),
            ("Max-Forwards", "70"), ("From", f"{self.request.get('To')};tag={self.tag}"),
            ("To", self.request.get("From")), ("Call-ID", self.request.call_id),
            ("CSeq", f"{self.cseq} NOTIFY"),
            ("Contact", f"<sip:notifier@{self.peer.ip}:{self.peer.port}>"),
            ("Event", self.request.get("Event") or "refer"), ("Subscription-State", state)] + routes)
        if body:
            notify.headers.append(("Content-Type", headers["ctype"]))
            notify.body = body
        self.peer.send(notify, routes and self.request.source or self.peer.sbc)
        return notify


def quiet_about(peer, *methods):
    """This peer answers these methods by its test, not by itself"""
    serve = peer.serve
    peer.serve = lambda request: None if request.method in methods else serve(request)


# --- MESSAGE, PUBLISH

def test_a_message_proves_itself_to_kamailio_and_bears_the_owners_identity(
        sbc, kamailio, carrier, pbx_a):
    kamailio()
    sbc.start().registered()
    asked = asks(pbx_a, "MESSAGE", f"sip:0301234@{sbc.ip(2)}", body="hello", ctype="text/plain",
                 from_="<sip:4930100@pbx-a.local>")
    assert answer_to(pbx_a, asked).status == 200
    came = arrives(carrier, "MESSAGE")
    assert came.body == "hello" and came.get("Content-Type") == "text/plain"
    assert came.uri == "sip:0301234@a.trunk.example"
    assert came.host("From") == "a.trunk.example" and came.user("From") == "4930100"
    assert not came.all("Contact") and not came.all("Proxy-Authorization")
    assert not pbx_a.responses(407)


def test_a_publish_uses_the_nonce_of_a_message(sbc, trunk, pbx_a):
    sbc.start().registered()
    seen = []

    def serve(request, serve=trunk.serve):
        if request.method in ("MESSAGE", "PUBLISH") and not trunk.admits(
                request, trunk.invite_challenge):
            return
        seen.append(request)
        serve(request)
    trunk.serve = serve
    owner = dict(from_="<sip:4930100@pbx-a.local>")
    first = asks(pbx_a, "MESSAGE", f"sip:0301234@{sbc.ip(2)}", **owner)
    assert answer_to(pbx_a, first).status == 200
    second = asks(pbx_a, "PUBLISH", f"sip:0301234@{sbc.ip(2)}",
                  [("Event", "presence"), ("SIP-If-Match", "e1")], **owner)
    assert answer_to(pbx_a, second).status == 200
    assert [g for g in trunk.good if g[0] != "REGISTER"] == [("MESSAGE", "a1", 1),
                                                             ("PUBLISH", "a1", 2)]
    assert len(trunk.requests("PUBLISH")) == 1
    assert trunk.requests("PUBLISH")[0].get("SIP-If-Match") == "e1"


def test_a_message_to_a_registered_contact_reaches_its_pbx(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    asked = asks(trunk, "MESSAGE", f"sip:a-4930105@{sbc.ip(1)}", body="hi", ctype="text/plain")
    assert answer_to(trunk, asked).status == 200
    assert arrives(pbx_a, "MESSAGE").uri == "sip:4930105@pbx-a.local"
    assert not pbx_b.requests("MESSAGE")


def test_a_wrong_password_gives_the_pbx_the_second_challenge(sbc, trunk, pbx_a):
    sbc.start().registered()
    trunk.passwords["a1"] = "another"
    serve = trunk.serve
    trunk.serve = lambda r: trunk.admits(r, trunk.invite_challenge) if r.method == "MESSAGE" \
        else serve(r)
    asked = asks(pbx_a, "MESSAGE", f"sip:0301234@{sbc.ip(2)}", from_="<sip:4930100@pbx-a.local>")
    assert answer_to(pbx_a, asked).status == 407
    assert len(trunk.requests("MESSAGE")) == 2


# --- SUBSCRIBE, REFER

def test_shutdown_ends_a_subscription_on_both_sides(sbc, trunk, pbx_a):
    quiet_about(trunk, "SUBSCRIBE")
    sbc.start().registered()
    asked = asks(pbx_a, "SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}",
                 [("Event", "presence"), ("Expires", "600")], from_="<sip:4930100@pbx-a.local>")
    request = arrives(trunk, "SUBSCRIBE")
    notifier = Notifier(trunk, request)
    Subscriber(pbx_a, asked)
    notify = notifier.notifies()
    assert answer_to(trunk, notify).status == 200
    since = len(trunk.seen)
    sbc.stop()
    last = [m for m in pbx_a.requests("NOTIFY") if m.call_id == asked.call_id][-1]
    assert last.get("Subscription-State").startswith("terminated;reason=probation;retry-after=")
    assert last.get("Event") == "presence"
    gone = [m for m in trunk.seen[since:] if m.status is None and m.method == "SUBSCRIBE"]
    assert gone[0].get("Expires") == "0" and gone[0].call_id == request.call_id
    assert gone[0].get("Event") == "presence"


def test_a_subscription_runs_through_kamailio_with_every_challenge_answered(
        sbc, kamailio, carrier, pbx_a):
    kamailio(challenge_dialog=True)
    quiet_about(carrier, "SUBSCRIBE")
    sbc.start().registered()
    asked = asks(pbx_a, "SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}",
                 [("Event", "presence"), ("Expires", "600")], from_="<sip:4930100@pbx-a.local>")
    notifier = Notifier(carrier, arrives(carrier, "SUBSCRIBE"))
    subscriber = Subscriber(pbx_a, asked)
    assert subscriber.ok.get("Expires") == "600"

    notify = notifier.notifies(body="<presence/>", ctype="application/pidf+xml")
    heard = arrives(pbx_a, "NOTIFY")
    assert heard.call_id == asked.call_id and heard.body == "<presence/>"
    assert heard.get("Subscription-State") == "active;expires=600"
    assert answer_to(carrier, notify).status == 200
    assert sbc.counter("show sipd", "Subscriptions") == 1

    # Kamailio challenges the refresh; it carries the credentials of the agent
    since = len(carrier.seen)
    carrier.serve = lambda r: Notifier(carrier, r, notifier.tag, 500) if r.method == "SUBSCRIBE" \
        else None
    assert subscriber.again(600).get("Expires") == "500"
    assert arrives(carrier, "SUBSCRIBE", since=since).tag("To") == notifier.tag

    notify = notifier.notifies("terminated;reason=noresource")
    assert answer_to(carrier, notify).status == 200
    sbc.waits("show sipd", r"(?m)^Subscriptions\s+0\b")
    assert subscriber.again(600).status == 481
    assert not pbx_a.responses(407)


def test_a_fork_notifies_in_dialogs_of_its_own(sbc, trunk, pbx_a):
    quiet_about(trunk, "SUBSCRIBE")
    sbc.start().registered()
    asked = asks(pbx_a, "SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}", [("Event", "dialog")])
    came = arrives(trunk, "SUBSCRIBE")
    second = Notifier(trunk, came, "two", answers=False)
    second.cseq = 70
    assert answer_to(trunk, second.notifies()).status == 200
    first = Notifier(trunk, came, "one")
    subscriber = Subscriber(pbx_a, asked)
    assert answer_to(trunk, first.notifies()).status == 200
    tags = {m.tag("From") for m in pbx_a.requests("NOTIFY")}
    assert len(tags) == 2 and subscriber.ok.tag("To") in tags


def test_a_refer_outside_a_dialog_is_followed_by_its_notifies(sbc, trunk, pbx_a):
    quiet_about(trunk, "REFER")
    sbc.start().registered()
    asked = asks(pbx_a, "REFER", f"sip:0301234@{sbc.ip(2)}",
                 [("Refer-To", f"<sip:0305678@{sbc.ip(2)}>")], from_="<sip:4930100@pbx-a.local>")
    came = arrives(trunk, "REFER")
    assert "sip:0305678@a.trunk.example" in came.get("Refer-To")
    notifier = Notifier(trunk, came)
    assert answer_to(pbx_a, asked).status == 200
    notify = notifier.notifies("terminated;reason=noresource", ctype="message/sipfrag;version=2.0",
                               body=f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {sbc.ip(11)}\r\n")
    assert answer_to(trunk, notify).status == 200
    assert arrives(pbx_a, "NOTIFY").body == "SIP/2.0 200 OK\r\n"


def test_a_subscription_of_the_trunk_reaches_its_pbx_and_notify_is_proved(
        sbc, trunk, pbx_a, pbx_b):
    """6.2: a NOTIFY of the PBX is decided like a new request of this PBX"""
    quiet_about(pbx_a, "SUBSCRIBE")
    sbc.start().registered()
    trunk.dialog_challenge = trunk.invite_challenge
    asked = asks(trunk, "SUBSCRIBE", f"sip:a-4930105@{sbc.ip(1)}",
                 [("Event", "dialog"), ("Expires", "600")])
    came = arrives(pbx_a, "SUBSCRIBE")
    assert came.uri == "sip:4930105@pbx-a.local" and came.host("From") == "pbx-a.local"
    notifier = Notifier(pbx_a, came)
    Subscriber(trunk, asked)
    notify = notifier.notifies()
    assert answer_to(pbx_a, notify).status == 200
    assert [g for g in trunk.good if g[0] == "NOTIFY"] == [("NOTIFY", "a1", 1)]
    assert not pbx_b.requests("SUBSCRIBE")


def test_a_subscription_outlives_the_policy_that_led_it(sbc, trunk, pbx_a):
    """It keeps the plan that it began with, and its credentials answer still (6.2)"""
    quiet_about(trunk, "SUBSCRIBE")
    sbc.start().registered()
    asked = asks(pbx_a, "SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}", [("Event", "dialog")],
                 from_="<sip:4930100@pbx-a.local>")
    notifier = Notifier(trunk, arrives(trunk, "SUBSCRIBE"))
    subscriber = Subscriber(pbx_a, asked)
    sbc.element("local-policy").remove(sbc.policy("pbx-a"))
    sbc.acli(f"import-config {sbc.write()}", "save-config", "activate-config")
    refused = asks(pbx_a, "SUBSCRIBE", f"sip:0301234@{sbc.ip(2)}", [("Event", "dialog")])
    assert answer_to(pbx_a, refused).status == 404

    assert answer_to(trunk, notifier.notifies()).status == 200

    def serve(request):
        if trunk.admits(request, trunk.invite_challenge):
            Notifier(trunk, request, notifier.tag)
    trunk.serve = serve
    assert subscriber.again(600).status == 200
    assert ("SUBSCRIBE", "a1", 1) in trunk.good
    assert answer_to(trunk, notifier.notifies("terminated")).status == 200
    sbc.waits("show sipd", r"(?m)^Subscriptions\s+0\b")


def test_waiting_messages_are_told_without_subscription(sbc, trunk, pbx_a, pbx_b):
    sbc.start().registered()
    state = [("Event", "message-summary"), ("Subscription-State", "terminated")]
    asked = asks(trunk, "NOTIFY", f"sip:a-4930105@{sbc.ip(1)}", state,
                 body="Messages-Waiting: yes\r\n", ctype="application/simple-message-summary")
    assert answer_to(trunk, asked).status == 200
    came = arrives(pbx_a, "NOTIFY")
    assert came.uri == "sip:4930105@pbx-a.local" and came.body == "Messages-Waiting: yes\r\n"
    for uri, event in ((f"sip:4930200@{sbc.ip(1)}", "message-summary"),
                       (f"sip:a-4930105@{sbc.ip(1)}", "presence")):
        asked = asks(trunk, "NOTIFY", uri, [("Event", event)])
        assert answer_to(trunk, asked).status == 481
    assert len(pbx_a.requests("NOTIFY")) == 1 and not pbx_b.requests("NOTIFY")


# --- REGISTER of a PBX

@pytest.mark.parametrize("domain", ["pbx-a.local", "a.trunk.example", "SBC"])
def test_a_pbx_may_register_for_the_aor_of_its_agent(sbc, trunk, pbx_a, domain):
    sbc.start().registered()
    aor = f"sip:4930103@{domain.replace('SBC', sbc.ip(2))}"
    since = len(trunk.registers())
    asked = pbx_a.request("REGISTER", f"sip:{sbc.ip(2)}", f"<{aor}>", [("Expires", "3600")],
                          from_=f"<{aor}>", contact_user="4930103")
    pbx_a.send(asked, pbx_a.sbc)
    answer = answer_to(pbx_a, asked)
    assert answer.status == 200
    contact, expires = re.fullmatch(r"<(.*)>;expires=(\d+)", answer.get("Contact")).groups()
    assert contact == asked.contact and 60 <= int(expires) <= 600
    assert len(trunk.registers()) == since


@pytest.mark.parametrize("expires, said", [("3600", None), ("90", "90"), ("0", "0")])
def test_with_add_reg_expires_the_answer_has_expires_too(sbc, trunk, pbx_a, expires, said):
    sbc.element("sip-config")["options"] = "add-reg-expires"
    sbc.start().registered()
    aor = f"sip:4930103@{sbc.ip(2)}"
    asked = pbx_a.request("REGISTER", f"sip:{sbc.ip(2)}", f"<{aor}>", [("Expires", expires)],
                          from_=f"<{aor}>", contact_user="4930103")
    pbx_a.send(asked, pbx_a.sbc)
    answer = answer_to(pbx_a, asked)
    granted = re.findall(r";expires=(\d+)", answer.get("Contact"))
    assert answer.all("Expires") == (granted or ["0"])
    assert said in (None, answer.get("Expires"))


@pytest.mark.parametrize("option, said", [(None, []), ("add-reg-expires", ["77"])])
def test_a_register_that_is_passed_on_has_expires_in_its_answer_where_that_is_wanted(
        sbc, trunk, pbx_a, option, said):
    if option:
        sbc.element("sip-config")["options"] = option
    sbc.start().registered()
    trunk.register_answer = lambda r: r.user("To") == "777" and bool(trunk.reply(
        r, 200, headers=[("Contact", "<sip:other@10.9.8.7>;expires=5"),
                         ("Contact", r.get("Contact") + ";expires=77")]))
    asked = pbx_a.request("REGISTER", "sip:b.trunk.example", "<sip:777@b.trunk.example>",
                          contact_user="777")
    pbx_a.send(asked, pbx_a.sbc)
    answer = answer_to(pbx_a, asked)
    assert answer.status == 200 and answer.all("Contact") == [f"<{asked.contact}>;expires=77"]
    assert answer.all("Expires") == said


def test_a_register_is_a_sign_of_life(sbc, trunk, pbx_a):
    sbc.element("surrogate-agent", "a.trunk.example")["register-mode"] = "triggered"
    sbc.start().registered(10)
    asked = pbx_a.request("REGISTER", f"sip:{sbc.ip(2)}", "<sip:4930103@pbx-a.local>")
    pbx_a.send(asked, pbx_a.sbc)
    assert answer_to(pbx_a, asked).get("Contact").endswith(";expires=60")
    sbc.registered(20)


def test_a_pbx_that_unregisters_gets_no_contact_and_the_agent_stays(sbc, trunk, pbx_a):
    sbc.start().registered()
    asked = pbx_a.request("REGISTER", f"sip:{sbc.ip(2)}", "<sip:4930103@pbx-a.local>",
                          [("Expires", "0")])
    pbx_a.send(asked, pbx_a.sbc)
    answer = answer_to(pbx_a, asked)
    assert answer.status == 200 and not answer.all("Contact")
    assert not any(r.get("Expires") == "0" for r in trunk.registers())


def test_the_aor_of_another_tenant_is_nobodys(sbc, trunk, pbx_a, pbx_b):
    """The number is that of both; b.trunk.example is B's alone: it is routed like any other"""
    sbc.start().registered()
    trunk.register_answer = lambda r: r.user("To") == "4930103" and \
        r.source[0] == sbc.ip(1) and r.get("X-Mine") and bool(trunk.reply(r, 403))
    asked = pbx_a.request("REGISTER", "sip:b.trunk.example", "<sip:4930103@b.trunk.example>",
                          [("X-Mine", "1")])
    pbx_a.send(asked, pbx_a.sbc)
    assert answer_to(pbx_a, asked).status == 403


# --- OPTIONS

def options(peer, uri):
    return answer_to(peer, asks(peer, "OPTIONS", uri))


def test_options_without_user_are_for_the_sbc_and_with_one_for_a_route(sbc, trunk, pbx_a):
    sbc.start().registered()
    answer = options(pbx_a, f"sip:{sbc.ip(2)}")
    assert answer.status == 200 and not answer.body
    for name in ("Allow", "Accept", "Supported"):
        assert answer.all(name)
    assert not trunk.requests("OPTIONS")
    # by the name of the SBC too
    assert options(pbx_a, "sip:sbc1").status == 200
    assert not trunk.requests("OPTIONS")
    assert options(pbx_a, f"sip:0301234@{sbc.ip(2)}").status == 200
    assert trunk.requests("OPTIONS")[0].uri == "sip:0301234@a.trunk.example" or \
        trunk.requests("OPTIONS")[0].uri == "sip:0301234@trunk.example"
    assert options(trunk, f"sip:4930299@{sbc.ip(1)}").status == 404


def test_options_for_a_contact_say_when_the_pbx_is_silent(sbc, trunk, pbx_a):
    sbc.element("surrogate-agent", "a.trunk.example")["register-mode"] = "triggered"
    sbc.start().registered(10)
    assert options(trunk, f"sip:a-4930105@{sbc.ip(1)}").status in (404, 480)
    options(pbx_a, f"sip:{sbc.ip(2)}")
    sbc.registered(20)
    assert options(trunk, f"sip:a-4930105@{sbc.ip(1)}").status == 200


def test_options_for_a_contact_say_when_the_pbx_is_out_of_service(sbc, trunk, pbx_a, pbx_b):
    sbc.element("session-agent", "pbx-a.example").update(
        {"ping-method": "OPTIONS", "ping-interval": "1", "ping-send-mode": "continuous"})
    sbc.element("sip-config")["trans-expire"] = "2"
    pbx_a.deaf = True
    sbc.start().registered()
    sbc.waits("show sipd agents", r"(?m)^pbx-a.example\s+O\b")
    assert options(trunk, f"sip:a-4930105@{sbc.ip(1)}").status == 480
    assert options(trunk, f"sip:b-4930105@{sbc.ip(1)}").status == 200
    asked = asks(trunk, "MESSAGE", f"sip:a-4930105@{sbc.ip(1)}")
    assert answer_to(trunk, asked).status == 480
    assert not pbx_a.requests("MESSAGE")


# --- With other peers

UAC = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="messages">
  <send retrans="500"><![CDATA[
      MESSAGE sip:0301234@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: <sip:4930100@pbx-a.local>;tag=[call_number]
      To: <sip:0301234@[remote_ip]>
      Call-ID: [call_id]
      CSeq: 1 MESSAGE
      Max-Forwards: 70
      Content-Type: text/plain
      Content-Length: [len]

      number [call_number]
  ]]></send>
  <recv response="200"/>
</scenario>
"""


@pytest.mark.skipif(not shutil.which("sipp"), reason="no SIPp")
def test_sipp_sends_200_messages_through_kamailio(sbc, kamailio, carrier, tmp_path):
    import subprocess
    kamailio()
    sbc.start().registered()
    scenario = tmp_path / "messages.xml"
    scenario.write_text(UAC)
    done = subprocess.run(["sipp", f"{sbc.ip(2)}:5060", "-sf", str(scenario), "-i", sbc.ip(12),
                           "-p", "5060", "-m", "200", "-r", "200", "-nostdin",
                           "-timeout", "20"], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert len({m.body for m in carrier.requests("MESSAGE")}) == 200


# --- Records

def test_generate_event_names_the_methods_that_write_a_record(sbc, trunk, pbx_a):
    sbc.config["session-router"]["account-config"] = {"generate-event": ["MESSAGE"]}
    sbc.start().registered()
    serve = trunk.serve
    trunk.serve = lambda r: trunk.admits(r, trunk.invite_challenge) and serve(r) \
        if r.method == "MESSAGE" else serve(r)
    owner = dict(from_="<sip:4930100@pbx-a.local>")
    for method in ("PUBLISH", "MESSAGE"):
        asked = asks(pbx_a, method, f"sip:0301234@{sbc.ip(2)}", **owner)
        assert answer_to(pbx_a, asked).status == 200
    record, = sbc.records(1)
    expected = {
        "record-type": "event", "method": "MESSAGE", "status": "200", "ended-by": "egress",
        "reason": "normal", "ingress-realm": "pbx-a", "egress-realm": "trunk",
        "calling-number": "4930100", "called-number": "0301234", "auth-source": "policy",
        "auth-user": "a1", "challenges": "1", "next-hop": "trunk.example", "routes-tried": "1",
        "surrogate-aor": "4930100@a.trunk.example", "ingress-call-id": asked.call_id,
        "egress-calling-uri": "sip:4930100@a.trunk.example"}
    assert {k: record.get(k) for k in expected} == expected
    assert "PUBLISH" not in sbc.acli("show records 5")


def test_a_notify_that_nobody_subscribed_to_is_481(sbc, trunk, pbx_a):
    sbc.start().registered()
    for event, state in (("presence", "active"), ("refer", "terminated"), ("dialog", "active")):
        notify = trunk.request("NOTIFY", f"sip:a-4930105@{sbc.ip(1)}", f"<sip:a-4930105@{sbc.ip(1)}>",
                               headers=[("Event", event), ("Subscription-State", state)])
        trunk.send(notify, trunk.sbc)
        assert trunk.wait(lambda m: m.status and m.call_id == notify.call_id).status == 481, event
    assert not [m for m in pbx_a.seen if m.status is None]
