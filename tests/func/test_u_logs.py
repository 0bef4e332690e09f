"""
Levels, sipmsg.log, and the ladder of a call (acli.md 2.6, 5.2).

- A level that is set for a while ends by itself; one that is kept is an edit like any other.
- sipmsg.log has what was on the wire, and digest responses only where that was asked for.
- The ladder has the messages of both sides in their order, and no secret.
"""
import json
import os
import re
import socket
import struct


def levels(sbc):
    return {r["component"]: r for r in json.loads(sbc.acli("show log-level | json"))["data"]}


def sipmsg(sbc):
    return open(f"{sbc.folder}/log/sipmsg.log", newline="").read()


def until_written(sbc, pattern, within=3.0):
    import time
    limit = time.monotonic() + within
    while not re.search(pattern, sipmsg(sbc)):
        assert time.monotonic() < limit, sipmsg(sbc)[-3000:]
        time.sleep(0.02)


def responses(text):
    return re.findall(r'(?m)^(?:Proxy-)?Authorization: .*?response="([^"]*)"', text)


def call_with_siplog(sbc, pbx_a, mode=""):
    sbc.start(level=None).registered()
    said = sbc.acli(f"notify sipd siplog {mode}")
    call = pbx_a.calls("0301234").until_answered()
    return said, call


def test_messages_are_on_file_as_on_the_wire_with_masked_responses(sbc, pbx_a, trunk):
    said, call = call_with_siplog(sbc, pbx_a)
    assert said == "SIP messages go to sipmsg.log, digest responses masked.\n"
    call.hang_up()
    until_written(sbc, r"SIP/2.0 200 X\r\n(.+\r\n)*CSeq: \d+ BYE")
    text = sipmsg(sbc)
    assert re.search(rf"(?m)^-+\n[A-Z][a-z]{{2}} \d\d \d\d:\d\d:\d\d\.\d{{3}} On \[pbx-a\]{sbc.ip(2)}:5060 "
                     rf"received from {sbc.ip(12)}:5060\nINVITE sip:0301234@", text)
    assert f"On [trunk]{sbc.ip(1)}:5060 sent to {sbc.ip(11)}:5060\nINVITE " in text
    assert call.invite.bytes().decode() in text
    shown = responses(text)
    assert shown and set("".join(shown)) == {"*"}
    sent = [responses(m.bytes().decode())[0] for m in trunk.invites() if trunk.credentials(m)]
    assert sent and not any(response in text for response in sent)
    assert "secret-" not in text


def test_full_keeps_digest_responses_and_nosiplog_ends_it(sbc, pbx_a, trunk):
    said, call = call_with_siplog(sbc, pbx_a, "full")
    assert said == "SIP messages go to sipmsg.log, digest responses too.\n"
    assert sbc.acli("notify sipd nosiplog") == "SIP messages go nowhere.\n"
    before = sipmsg(sbc)
    sent = [responses(m.bytes().decode())[0] for m in trunk.invites() if trunk.credentials(m)]
    assert sent and sent[0] in before
    call.hang_up()
    sbc.records()
    assert sipmsg(sbc) == before
    code, said = sbc.acli_status("notify sipd siplog half")
    assert code == 1 and "Unknown word [half], possible here: full" in said


def test_call_trace_traces_from_the_start(sbc, pbx_a, trunk):
    sbc.element("system-config")["call-trace"] = "enabled"
    sbc.start(level=None).registered()
    until_written(sbc, r"REGISTER sip:a\.trunk\.example")
    assert set("".join(responses(sipmsg(sbc)))) == {"*"}


def packets(path):
    """(source, destination, bytes) of each record of a pcap file"""
    data = open(path, "rb").read()
    assert struct.unpack("=IHHIIII", data[:24])[0] == 0xa1b2c3d4
    at, found = 24, []
    while at < len(data):
        length = struct.unpack("=IIII", data[at:at + 16])[2]
        ip = data[at + 16:at + 16 + length]
        found.append((socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]), ip[28:]))
        at += 16 + length
    return found


def test_a_trace_is_a_pcap_file_of_one_address_or_of_all(sbc, pbx_a, trunk):
    sbc.start().registered()
    path = f"{sbc.folder}/log/trunk.pcap"
    assert sbc.acli(f"notify all trace {sbc.ip(11)} trunk.pcap") == \
        f"SIP messages of {sbc.ip(11)} go to trunk.pcap.\n"
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    assert sbc.acli("notify all notrace") == "The trace has ended.\n"
    found = packets(path)
    assert {p[0] for p in found} | {p[1] for p in found} == {sbc.ip(1), sbc.ip(11)}
    assert [p[2].split(b" ")[0] for p in found if p[1] == sbc.ip(11)][:4] == [b"INVITE", b"ACK", b"INVITE", b"ACK"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    size = os.path.getsize(path)
    # all of them, while sipmsg.log goes on beside it
    sbc.acli("notify sipd siplog", "notify all trace all all.pcap")
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    sbc.acli("notify all notrace")
    assert {sbc.ip(12), sbc.ip(11)} <= {p[0] for p in packets(f"{sbc.folder}/log/all.pcap")}
    assert os.path.getsize(path) == size and "INVITE sip:" in open(f"{sbc.folder}/log/sipmsg.log").read()
    before = os.path.getsize(f"{sbc.folder}/log/sipmsg.log")
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    sbc.acli("notify sipd nosiplog")
    assert os.path.getsize(f"{sbc.folder}/log/sipmsg.log") > before
    assert sbc.acli("notify all notrace") == "There was no trace.\n"
    for words, why in (("all ../a.pcap", "is no name"), ("nowhere a.pcap", "is not an address"), ("all", "Missing FILE"),
                       ("", "Missing ADDR or all, and FILE"), ("all a b", "Unexpected word [b]")):
        code, said = sbc.acli_status(f"notify all trace {words}")
        assert code == 1 and why in said, (words, said)


def test_the_ladder_has_both_sides_in_their_order(sbc, pbx_a, trunk):
    _, call = call_with_siplog(sbc, pbx_a)
    number = sbc.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    call.hang_up()
    sbc.no_session_is_left()
    sbc.records()
    # of a call that is over, by its record
    steps = json.loads(sbc.acli(f"show sessions {number} ladder | json"))["data"]
    assert all(s["time"] <= t["time"] for s, t in zip(steps, steps[1:]))

    def side(name):
        return [("<" if s["direction"] == "received" else ">") + s["message"]
                for s in steps if s["side"] == name and s["message"] != "100 Trying"]
    assert side("ingress") == ["<INVITE", ">180 X", ">200 X", "<ACK", "<BYE", ">200 OK"]
    assert side("egress") == [">INVITE", "<407 X", ">ACK", ">INVITE", "<180 X", "<200 X", ">ACK",
                              ">BYE", "<200 X"]
    assert {s["peer"] for s in steps if s["side"] == "egress"} == {f"{sbc.ip(11)}:5060"}
    text = sbc.acli(f"show sessions {number} ladder")
    assert re.match(rf"Time +pbx-a {sbc.ip(12)}:5060 +SBC trunk {sbc.ip(11)}:5060\n", text)
    assert re.search(r"(?m)^\d\d:\d\d:\d\d\.\d{3}  INVITE -+> \|$", text)
    assert re.search(r"(?m)^\d\d:\d\d:\d\d\.\d{3} {37}\| <-+ 407 X$", text)
    assert "response" not in text and "nonce" not in text


def test_a_ladder_that_nobody_copied_says_how(sbc, pbx_a, trunk):
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered()
    number = sbc.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    code, said = sbc.acli_status(f"show sessions {number} ladder")
    assert code == 1 and "notify sipd siplog begins to" in said
    code, said = sbc.acli_status("show sessions 4711 ladder")
    assert code == 1 and "There is no session [4711]" in said


def test_a_level_for_a_while_names_its_end(sbc, trunk):
    sbc.start(level=None)
    assert sbc.acli("log-level surrogate DEBUG for 3") == "Level of surrogate is DEBUG for 3 minutes.\n"
    row = levels(sbc)["surrogate"]
    assert (row["level"], row["configured"]) == ("DEBUG", "NOTICE") and row["until"]
    assert levels(sbc)["sipd"]["until"] is None
    code, said = sbc.acli_status("log-level surrogate DEBUG for ever")
    assert code == 1 and "for [ever] is not a number" in said
    code, said = sbc.acli_status("log-level surrogate DEBUG always")
    assert code == 1 and "Unexpected word [always]" in said


def test_debug_of_the_sip_part_ends_by_hand_where_it_began(sbc, trunk):
    sbc.start(level=None)
    sbc.acli("log-level auth INFO")
    assert "DEBUG for 5m 0s" in sbc.acli("notify sipd debug 5")
    now = levels(sbc)
    assert {c for c in now if now[c]["level"] == "DEBUG"} == {"sipd", "surrogate", "auth", "policy",
                                                              "realms"}
    sbc.acli("notify sipd nodebug")
    now = levels(sbc)
    assert now["auth"]["level"] == "INFO" and now["sipd"]["level"] == "NOTICE"
    assert not any(row["until"] for row in now.values())


def test_a_persistent_level_is_an_edit(sbc, trunk):
    sbc.start(level=None)
    sbc.acli("log-level media INFO persist", "log-level media DEBUG persist",
             "log-level dns INFO persist")
    diff = sbc.acli("show configuration diff")
    assert "log-levels" in diff and "media=INFO" not in diff
    assert "media=DEBUG" in diff and "dns=INFO" in diff
    sbc.acli("log-level all MINOR persist")
    diff = sbc.acli("show configuration diff")
    assert re.search(r"\+ process-log-level +MINOR", diff) and "log-levels" not in diff
    assert levels(sbc)["media"] == {"component": "media", "level": "MINOR", "until": None,
                                    "configured": "NOTICE"}
    sbc.acli("save-config", "activate-config")
    assert levels(sbc)["media"]["configured"] == "MINOR"
