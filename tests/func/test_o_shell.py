"""
The operator's shell as somebody uses it: he types and reads (acli.md 1).

- Modes, prompts, paths; elements edited, selected, renamed, deleted; completion, help, pages.
- Two operators at once, a connection that is cut in the middle of an edit, a broken lock.
- Batch: exit status, questions, objects that were not stored; a database without its daemon.
"""
import json
import os
import re
import subprocess

import pexpect
import pytest
import yaml

PROMPT = r"(\*{0,2})sbc1(\([a-z-]+\))?([>#]) "


class Operator:
    """acli in a terminal. Control sequences are taken out of what is read"""

    def __init__(self, sbc, home, rows=200, arguments=()):
        environment = dict(os.environ, HOME=str(home), TERM="vt100")
        self.child = pexpect.spawn(f"{sbc.build}/acli", ["--socket", sbc.socket, *arguments],
                                   env=environment, encoding="utf8", timeout=5,
                                   dimensions=(rows, 160))
        self.child.delaybeforesend = None
        self.greeting = self.reads(PROMPT)

    def keys(self, text):
        self.child.send(text)

    def reads(self, pattern):
        """What came up to the pattern, and the pattern"""
        self.child.expect(pattern)
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", self.child.before + self.child.after)

    def types(self, line, until=PROMPT):
        """Type a line; what is printed up to the next prompt"""
        self.keys(line + "\r")
        self.child.expect(r"\n")
        return self.reads(until)

    def enters(self, *lines):
        for line in lines:
            text = self.types(line)
        return text

    def ends(self):
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def operator(sbc, tmp_path):
    opened = []

    def make(**words):
        words.setdefault("home", tmp_path)
        opened.append(Operator(sbc, **words))
        return opened[-1]

    yield make
    for o in opened:
        o.child.close(force=True)


AGENT = "a.trunk.example 493010^ pbx-a"


# --- modes and paths

def test_prompts_follow_the_modes(sbc, operator):
    sbc.start()
    o = operator()
    assert o.types("enable").endswith("sbc1# ")
    assert o.types("configure terminal").endswith("sbc1(configure)# ")
    assert o.types("session-router").endswith("sbc1(session-router)# ")
    assert o.types("local-policy").endswith("sbc1(local-policy)# ")
    assert o.types("policy-attributes").endswith("sbc1(policy-attributes)# ")
    assert o.types("exit").endswith("sbc1(local-policy)# ")
    assert o.types("exit").endswith("sbc1(session-router)# ")
    # A word of the top of the tree, from anywhere; several words on one line
    assert o.types("realm-config").endswith("sbc1(realm-config)# ")
    assert o.types("quit").endswith("sbc1# ")
    assert o.types("conf t session-router sip-conf").endswith("sbc1(sip-config)# ")
    assert o.types("quit").endswith("sbc1# ")
    assert o.types("exit").endswith("sbc1> ")
    o.keys("\x04")
    assert o.ends() == 0


def test_an_element_is_selected_changed_and_done(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal", "session-router", "surrogate-agent")
    o.types("select", until="register-host: ")
    listed = o.types("", until="selection: ")
    assert re.search(rf"1: {re.escape(AGENT)}  10 AoRs, enabled", listed), listed
    o.types("1")
    assert "% register-retry-time [20] is out of range 30-3600" in o.types("register-retry-time 20")
    o.types("register-retry-time 61")
    text = o.types("done")
    assert "register-retry-time             61" in text and "last-modified-by" in text
    assert "secret-" not in text and text.endswith("**sbc1(surrogate-agent)# ")
    o.types("quit")
    assert "+ register-retry-time             61" in o.types("show configuration diff")
    assert o.types("save-config").endswith("*sbc1# ")
    assert o.types("activate-config").endswith("sbc1# ")


def test_exit_asks_for_what_is_not_stored(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal", f"surrogate-agent {AGENT}", "description changed")
    question = rf"Save changes to surrogate-agent \[{re.escape(AGENT)}\]\? \[y/n/c\] "
    o.types("exit", until=question)
    assert o.types("c").endswith("sbc1(surrogate-agent)# ")
    o.types("exit", until=question)
    o.keys("\x03")  # Ctrl-C answers c
    assert o.reads(PROMPT).endswith("sbc1(surrogate-agent)# ")
    o.types("quit", until=question)
    assert o.types("n").endswith("sbc1# ")
    assert "No differences." in o.types("show configuration diff")
    o.enters(f"configure terminal surrogate-agent {AGENT}", "description changed")
    o.types("realm-config", until=question)
    assert o.types("y").endswith("**sbc1(realm-config)# ")
    assert "changed" in o.types("show configuration short surrogate-agent a.trunk.example")


def test_a_sub_element_is_stored_in_its_parent_and_with_it(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal local-policy * * pbx-a", "policy-attributes")
    assert "needs next-hop" in o.types("done")
    o.enters("next-hop second.example", "realm trunk", "cost 5", "done")
    assert o.types("exit").endswith("sbc1(local-policy)# ")
    question = o.types("exit", until=r"\[y/n/c\] ")
    assert "local-policy [* * pbx-a]" in question and "policy-attributes [second.example trunk 5]" \
        in question
    o.types("y")
    text = sbc.acli('show configuration local-policy "* * pbx-a"')
    assert text.count("next-hop") == 2 and "second.example" in text
    # The same key again is refused; deleting it leaves the other one
    o.enters("local-policy * * pbx-a", "policy-attributes second.example trunk 5", "cost 6", "done")
    o.types("exit")
    o.types("policy-attributes")
    assert "is deleted from local-policy" in o.types("no second.example trunk 6")
    o.enters("exit", "done")
    assert sbc.acli('show configuration local-policy "* * pbx-a"').count("next-hop") == 1


def test_a_secret_is_asked_for_twice_and_never_shown(sbc, operator, tmp_path):
    sbc.start()
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}")
    o.types("password", until="password: ")
    o.types("hidden-one", until="password again: ")
    assert "typed differently" in o.types("hidden-two")
    o.types("password", until="password: ")
    o.types("hidden-one", until="password again: ")
    assert "hidden" not in o.types("hidden-one")
    o.types("password hidden-three")
    o.types("passwort hidden-four")  # misspelt, and kept out of the history all the same
    assert "password                        ********" in o.types("done")
    o.types("quit")
    assert "******** (changed)" in o.types("show configuration diff")
    history = open(tmp_path / ".acli_history").read()
    assert "hidden" not in history and "show" in history
    assert os.stat(tmp_path / ".acli_history").st_mode & 0o777 == 0o600
    for name in ("sbc.db", "sbc.db-wal"):
        assert b"hidden" not in open(f"{sbc.folder}/{name}", "rb").read()


def test_what_is_in_use_is_not_deleted_but_by_force_or_with_its_users(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal session-agent")
    text = o.types("no trunk.example")
    assert "% session-agent [trunk.example] is in use by" in text
    assert "session-router local-policy [* * pbx-a] policy-attributes [trunk.example trunk 0] next-hop" \
        in text, text
    assert "is deleted." in o.types("no trunk.example force")
    left = sbc.acli("show configuration")
    assert "next-hop                    trunk.example" in left
    o.enters("quit")
    o.types("discard", until=r"\[y/n\] ")
    o.types("y")
    o.enters("configure terminal session-agent")
    assert "is deleted." in o.types("no trunk.example cascade")
    left = sbc.acli("show configuration")
    assert "next-hop                    trunk.example" not in left
    assert not re.search(r"proxy-name +trunk.example", left)


def test_a_changed_key_renames_and_takes_references_along(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal realm-config pbx-a", "identifier tenant-a")
    text = o.types("done", until=r"references too\? \[y/n/c\] ")
    assert "session-router sip-interface [pbx-a] realm-id" in text
    o.types("y")
    text = sbc.acli("show configuration")
    assert not re.search(r" pbx-a\n", text) and text.count("tenant-a\n") > 4
    assert "no errors" in sbc.acli("verify-config")


# --- completion, help, history, pages

def test_tab_completes_words_and_names(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal")
    o.keys("surr\t")
    o.reads("ogate-agent ")
    o.keys("b\t")
    o.reads(r"\.trunk\.example ")
    o.keys("4\t")
    o.reads(r"93010\^ ")
    o.keys("p\t")
    o.reads("bx-b ")
    assert o.types("").endswith("sbc1(surrogate-agent)# ")
    o.keys("register-re\t")
    o.reads("try-time ")
    o.keys("\x15register-\t")
    o.keys("\t")
    shown = o.reads("register-user")
    assert "register-contact-host" in shown and "register-expires" in shown, shown
    o.keys("\x15realm-id t\t")
    o.reads("runk ")
    assert o.types("") and "now trunk" in o.types("realm-id")


ODD = ["a b", 'q"uote', "back\\slash", "hash#x", "bar|x", "ask?x", "(par)", "+49301", "-x", "plain"]


def in_quotes(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_of_very_many_names_each_is_found_and_what_they_share_is_right(sbc, operator):
    names = [f"ag{n:04}.example" for n in range(2500)]
    sbc.element("session-agent").extend({"hostname": name, "ip-address": f"127.9.{n // 250}.{n % 250 + 1}",
                                         "realm-id": "trunk"} for n, name in enumerate(names))
    sbc.start(level=None)
    o = operator(rows=80)
    o.enters("enable", "configure terminal session-router")
    for typed, more in (("ag24", None), ("ag2499", ".example "), ("ag0", None), ("pb", "x-")):
        o.keys(f"\x15session-agent {typed}\t")
        if more:
            o.reads(re.escape(more))
    o.types("\x15")
    # two thousand share no more than ag: a Tab adds nothing
    o.keys("session-agent ag\t")
    assert o.types("").endswith("(session-agent)# ")
    assert "now empty" not in o.types("show short") and "hostname                        ag\n" in o.types("show short")
    o.types("exit", until=r"\[y/n/c\] ")
    o.types("n")
    o.keys("session-agent ag?")
    assert "... 2450 more" in o.reads(r"more")[-80:] + o.reads(PROMPT)


def test_names_with_odd_characters_are_kept_shown_and_completed(sbc, operator, tmp_path):
    sbc.start()
    o = operator()
    o.enters("enable", "configure terminal", "surrogate-agent")
    for user in ODD:
        o.enters(f"surrogate-agent odd.example {in_quotes(user)} pbx-a", "customer-next-hop pbx-a.example")
        assert f"surrogate-agent odd.example {in_quotes(user)} pbx-a".endswith("pbx-a")
        text = o.types("done")
        assert re.search(rf"register-user +({re.escape(in_quotes(user))}|{re.escape(user)})\n", text), text
    data = json.loads(sbc.acli("show configuration surrogate-agent | json"))["data"]
    assert [a["register-user"] for a in data["session-router"]["surrogate-agent"]][2:] == ODD
    # begun with its quote, without it, and one that needs none
    for typed, more in (('"q', r'\"uote" '), ('"q\\"u', 'ote" '), ("q", r'"q\"uote" '), ("a ", None),
                        ("ha", '"hash#x" '), ('"pl', 'ain" '), ("pl", "ain "), ('"a ', 'b" '),
                        ("+", "49301 "), ('"+', '49301" '), ('"ba', None)):
        o.keys(f"\x15surrogate-agent odd.example {typed}\t")
        if more:
            o.reads(re.escape(more))
            o.keys("pbx\t")
            o.reads("-a ")
            assert o.types("").endswith("(surrogate-agent)# ")
            shown = o.types("register-user")
            assert "now " in shown, shown
    # a list goes out as text and comes in unchanged
    o.enters("quit", "save-config")
    path = tmp_path / "odd.text"
    sbc.acli(f"export-config {path} editing text", f"import-config {path}")
    assert json.loads(sbc.acli("show configuration surrogate-agent | json"))["data"] == data


def test_names_of_files_are_completed_in_quotes_too(sbc, operator, tmp_path):
    sbc.start()
    folder = tmp_path / "my files"
    folder.mkdir()
    (folder / "one two.yaml").write_text("x")
    (tmp_path / "plain.yaml").write_text("x")
    o = operator()
    o.types("enable")
    o.keys(f'import-config "{tmp_path}/my\t')
    o.reads("files/")
    o.keys("on\t")
    o.reads('two.yaml" ')
    o.keys(f"\x15import-config {tmp_path}/my\t")
    o.reads("files/")
    o.keys("on\t")
    o.reads('two.yaml" ')
    o.keys(f"\x15import-config {tmp_path}/pl\t")
    o.reads("ain.yaml ")


def test_words_behind_commands_are_completed_shortened_and_explained(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable")
    for typed, more in (("show sipd ag", "ents "), ("tr", "unk.example "), ("\x15ping sip pb", "x-"),
                        ("\x15show realm pbx-a", " "), ("\x15notify sipd unregister a", ".trunk.example "),
                        ("\x15show surrogate-agents realm tr", "unk "), ("\x15log-level surr", "ogate "),
                        ("\x15show surrogate-agents state bac", "koff "), ("\x15show sessions state TAL", "KING "),
                        ("\x15reboot fo", "rce "), ("\x15show realm li", "mit "),
                        ("\x15show sipd agents trunk.example li", "mit "), ("\x15show sip interface l", "imit "),
                        ("\x15show media realms l", "imit "), ("\x15display-alarms l", "imit "),
                        ("\x15show surrogate-agents a.tr", "unk.example ")):
        o.keys(typed + "\t")
        o.reads(re.escape(more))
    o.keys("\x15show sipd re?")
    text = o.reads(r"sbc1# ")
    for word in ("realms", "registration-queue", "register", "refer"):
        assert re.search(rf"(?m)^  {word} +\S", text), (word, text)
    o.keys("\x15")
    assert "Severity" in sbc.acli("sh alarms hist") and "Ingress K" in sbc.acli("show media real pbx-a")
    assert "2 AoRs\n" in sbc.acli("show registr sipd by-us 4930101 det | exclude zzz")
    assert sbc.acli("log-le media WARN for 5") == "Level of media is WARNING for 5 minutes.\n"
    assert "... 1 more" in sbc.acli("show sip interface lim 2")
    assert "Unknown word [2]" in sbc.acli_status("show sipd agents lim 2")[1]
    assert "trunk" in sbc.acli("show sipd agents trunk.example lim 1")
    # states in any case; help in order
    assert "0 AoRs" in sbc.acli("show surrogate-agents state Given-Up")
    assert "0 sessions" in sbc.acli("show sessions state talking")
    commands = re.findall(r"(?m)^([a-z].*?)  ", sbc.acli("help"))
    assert commands == sorted(commands) and len(commands) > 50
    # a name is never a shortened word
    code, said = sbc.acli_status("show realm pbx")
    assert code == 1 and "There is no realm-config [pbx]" in said
    code, said = sbc.acli_status("log-level d DEBUG")
    assert code == 1 and "% Ambiguous word [d]: d" in said


def test_a_test_command_is_a_mode_with_parameters(sbc, operator):
    sbc.start()
    o = operator()
    o.types("enable")
    assert o.types("test-pol").endswith("sbc1(test-policy)# ")
    o.keys("sou\t")
    o.keys("\t")  # the common part is source-
    assert "source-address" in o.reads("source-realm")
    o.keys("\x15source-realm tr\t")
    o.reads("unk ")
    o.types("")
    o.keys("?")
    text = o.reads(r"test-policy.# ")
    assert "media-profile" in text and re.search(r"(?m)^  show +Run it", text) and "done" not in text
    assert "default running, now running" in o.types("config")
    assert "now trunk" in o.types("source-realm")
    assert "now empty" in o.types("default source-realm")
    assert "% Missing source-realm" in o.types("show")
    assert "% method [a b] is not a method" in o.types('method "a b"')
    # `show` with a word is the command, and commands go on
    assert "Severity" in o.types("show alarms")
    assert o.types("exit").endswith("sbc1# ")
    # in configuration mode the object at hand waits, and editing is asked
    o.types(f"configure terminal surrogate-agent {AGENT}")
    o.types("description waiting")
    assert o.types("test-credentials").endswith("sbc1(test-credentials)# ")
    assert "now editing" in o.types("config")
    o.keys("surrogate-agent b\t")
    o.reads(r"\.trunk\.example ")
    o.keys("\t")
    o.reads(r"493010\^ ")
    o.keys("\t")
    o.reads("pbx-b ")
    o.types("")
    assert "now b.trunk.example 493010^ pbx-b" in o.types("surrogate-agent")
    assert o.types("exit").endswith("sbc1(surrogate-agent)# ")
    assert "waiting" in o.types("show")
    o.types("test-policy")
    o.types("quit", until=r"\[y/n/c\] ")
    assert o.types("n").endswith("sbc1# ")
    o.enters("configure terminal", "test-policy")
    assert o.types("session-router").endswith("sbc1(session-router)# ")
    o.types("quit")
    # behind the command, too
    o.keys("test-cred so\t\t")
    o.reads("source-realm")
    o.keys("\x15test-credentials surrogate-agent b\t")
    o.reads(r"\.trunk\.example ")
    o.keys("\x15test-surrogate a.trunk.example 493010^ pbx-a con\t")
    o.reads("fig ")
    o.keys("e\t")
    o.reads("diting ")


def test_a_question_mark_lists_what_may_follow_at_once(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}")
    o.keys("register-retry-time ?")
    text = o.reads(r"now 30")
    assert "number, 30-3600 s, default 300" in text
    o.reads("sbc1.surrogate-agent.# ")
    o.keys("\x15realm-id ?")
    assert "pbx-b" in o.reads(r"trunk")
    o.reads(PROMPT)
    o.keys("\x15description \"really?\"\r")  # in quotes it is a letter
    o.reads(PROMPT)
    assert "really?" in o.types("show short")


def test_the_history_comes_back_and_survives(sbc, operator):
    sbc.start()
    o = operator()
    o.types("show version")
    o.keys("\x10\r")  # Ctrl-P
    assert "saved configuration" in o.reads(PROMPT).lower()
    o.types("show uptime")
    for keys, printed in (("\x10\x10\r", "saved configuration"),          # two back
                          ("\x1b[A\x1b[A\x1b[B\r", "saved configuration"),  # arrows: two back, one on
                          ("\x10\x10\x10\x0e\x0e\r", "saved configuration")):  # Ctrl-N
        o.keys(keys)
        assert printed in o.reads(PROMPT).lower(), repr(keys)
    # Ctrl-L: a clean screen with the prompt and what is typed; then left, right and a letter put in
    o.keys("show vrsion\x0c")
    o.reads(r"sbc1> show vrsion")
    o.keys("\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[C" + "e\r")
    assert "saved configuration" in o.reads(PROMPT).lower()
    o.keys("quit\r")
    assert o.ends() == 0
    o = operator()
    assert "show version" in o.types("history")


def test_long_output_stops_at_each_page(sbc, operator):
    sbc.start()
    o = operator(rows=20)
    o.types("enable")
    first = o.types("show configuration", until="--More-- ")
    assert first.count("\n") <= 20
    o.keys(" ")
    assert o.reads("--More-- ").count("\n") > 15  # a page
    o.keys("\r")
    assert o.reads("--More-- ").count("\n") == 1  # a line
    o.keys("x")  # no key of it
    o.keys("q")
    assert o.reads(PROMPT).endswith("sbc1# ")
    assert "--More--" not in o.types("show configuration | no-more")
    assert "Paging is off." in o.types("cli more disabled")
    assert "--More--" not in o.types("show configuration")
    o.types("cli terminal-height 10")
    assert o.types("show configuration", until="--More-- ").count("\n") <= 10
    o.keys("q")


def test_bytes_that_are_no_character_are_seen_and_eat_no_key(sbc, operator, monkeypatch):
    for locale in ("C.UTF-8", "C"):
        monkeypatch.setenv("LC_ALL", locale)
        if not sbc.process:
            sbc.start()
        o = operator()
        for typed, shown in ((b"gr\xfcn", "gr\ufffdn"), (b"gr\xe4", "gr\ufffd"), (b"\xff\xfe", "\ufffd\ufffd"),
                             ("gr\u00fcn".encode(), "gr\u00fcn")):
            os.write(o.child.child_fd, b"show realm " + typed + b"\r")
            assert f"% There is no realm-config [{shown}]" in o.reads(r"\][^\n]*\n[^\n]*sbc1> "), typed
        o.child.close(force=True)


def test_filters_are_completed_and_explained(sbc, operator, tmp_path):
    sbc.start()
    (tmp_path / "plain.text").write_text("x")
    o = operator()
    for typed, more in (("show realm | inc", "lude "), ("\x15show realm | include a | cou", "nt "),
                        (f"\x15show realm | save {tmp_path}/pl", "ain.text ")):
        o.keys(typed + "\t")
        o.reads(re.escape(more))
    o.keys("\x15show realm | ?")
    text = o.reads(r"sbc1> ")
    for word in ("begin", "count", "exclude", "include", "json", "no-more", "save"):
        assert re.search(rf"(?m)^  {word} +\S", text), (word, text)
    o.keys("\x15show realm | count | ?")
    text = o.reads(r"sbc1> ")
    assert "  include" in text and "json" not in text
    o.keys("\x15show realm | include ?")
    assert "include ?" in o.reads(r"Enter") + o.reads(r"sbc1> ")


def test_a_ping_ends_with_ctrl_c_and_holds_nobody_up(sbc, operator):
    sbc.start()
    o = operator()
    o.types("enable")
    o.keys("ping 127.0.0.1 count 100\r")
    o.reads(r"reply from 127\.0\.0\.1, seq 2, ")  # each as it comes
    # what others ask of the database meanwhile does not wait for it
    assert "No differences." in sbc.acli("show configuration diff", options=["--timeout", "3"])
    o.keys("\x03")
    o.reads(PROMPT)
    assert "No differences." in o.types("show configuration diff")
    # a connection that is cut ends it, too: the daemon stops within its time
    o.keys("ping 127.0.0.1 count 100\r")
    o.reads(r"seq 1, ")
    o.child.close(force=True)
    sbc.stop(within=5.0)


def test_filters_may_be_chained(sbc, tmp_path):
    sbc.start()
    lines = [line for line in sbc.acli("show configuration").splitlines()
             if "realm-id" in line and "trunk" not in line]
    assert sbc.acli("show configuration | include realm-id | exclude trunk | count").strip() == \
        str(len(lines)) and lines
    begun = sbc.acli("show configuration short | begin surrogate-agent")
    assert begun.startswith("surrogate-agent\n")
    path = tmp_path / "out.text"
    assert sbc.acli(f"show configuration | save {path}") == ""
    assert open(path).read() == sbc.acli("show configuration")
    assert os.stat(path).st_mode & 0o777 == 0o600
    other = tmp_path / "with blanks.text"
    assert sbc.acli(f'show configuration to-file "{other}" surrogate-agent') == ""
    assert open(other).read() == sbc.acli("show configuration surrogate-agent")
    code, output = sbc.acli_status("show configuration to-file")
    assert code == 1 and "% Missing NAME" in output
    code, output = sbc.acli_status("show version | nonsense")
    assert code == 1 and "Unknown filter [nonsense]" in output


# --- several operators

def test_the_first_change_takes_the_lock_and_the_second_operator_reads_whose_it_is(sbc, operator):
    sbc.start()
    anna, bert = operator(), operator()
    for o in (anna, bert):
        o.enters("enable", f"configure terminal surrogate-agent {AGENT}")
    anna.enters("description anna", "done")
    bert.types("description bert")
    assert re.search(r"% Configuration is locked by \S+, connection \d+, since \d\d:\d\d:\d\d",
                     bert.types("done"))
    assert "% Configuration is locked" in bert.types("save-config")
    anna.enters("quit", "save-config")
    # Saved: the lock is free, and what bert has at hand is stored now, when he knows of anna's
    bert.types("done", until=r"Overwrite\? \[y/n\] ")
    assert "description                     bert" in bert.types("y")


def test_a_broken_lock_is_told_to_its_owner(sbc, operator):
    sbc.start()
    anna, bert = operator(), operator()
    anna.enters("enable", "configure exclusive")
    bert.enters("enable", "configure terminal system-config", "location here")
    assert "% Configuration is locked" in bert.types("done")
    assert "unlocked" in bert.types("unlock-config")
    anna.reads("Your lock of the configuration was broken by")
    assert "location                        here" in bert.types("done")


def test_an_exclusive_lock_outlives_save_config(sbc, operator):
    sbc.start()
    anna, bert = operator(), operator()
    anna.enters("enable", "configure exclusive", "system-config", "location there", "done",
                "save-config")
    bert.enters("enable", "configure terminal system-config", "location here")
    assert "% Configuration is locked" in bert.types("done")
    anna.enters("quit")
    assert "location                        here" in bert.types("done")


def test_a_connection_cut_in_an_edit_loses_the_object_and_keeps_what_was_done(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}", "description kept", "done",
             "register-retry-time 99")
    o.child.close(force=True)
    other = operator()
    other.types("enable")
    text = other.types("configure terminal")
    assert re.search(r"Note: 1 unsaved edit by \S+ since \d\d:\d\d\.", text), text
    shown = other.enters(f"surrogate-agent {AGENT}", "show")
    assert "description                     kept" in shown
    assert "register-retry-time             30" in shown
    other.enters("description mine", "done")  # and its lock is gone


def test_edits_survive_kill(sbc, operator):
    sbc.start()
    o = operator()
    o.enters("enable", f"configure terminal surrogate-agent {AGENT}", "description kept", "done")
    sbc.kill()
    assert "% The connection to the daemon is lost" in o.child.read()
    sbc.start(configured=False)
    assert "description                     kept" in sbc.acli(
        "show configuration surrogate-agent a.trunk.example")


# --- batch

def batch(sbc, text, *options):
    result = subprocess.run([f"{sbc.build}/acli", "--socket", sbc.socket, *options], input=text,
                            capture_output=True, text=True, timeout=20)
    return result.returncode, result.stdout, result.stderr


def test_standard_input_is_read_like_a_file(sbc):
    sbc.start()
    script = f"# a comment\nconfigure terminal\nsurrogate-agent {AGENT}\ndescription batch\ndone\n"
    code, output, errors = batch(sbc, script)
    assert (code, errors) == (0, "") and "description                     batch" in output
    assert "sbc1" not in output.replace("sbc1.", "")


def test_the_first_failure_ends_a_batch_unless_it_is_to_go_on(sbc):
    sbc.start()
    code, output, errors = batch(sbc, "show nothing\nshow version\n")
    assert code == 1 and errors.startswith("% Unknown word [nothing]") and output == ""
    code, output, errors = batch(sbc, "show nothing\nshow version\n", "--keep-going")
    assert code == 1 and "onfiguration" in output


def test_a_line_of_a_batch_is_one_however_it_is_made(sbc):
    sbc.start()
    # one that is too long is refused whole: its end is no command
    for length in (8200, 30000):
        code, said, errors = batch(sbc, "show realm " + "x" * length + " show users\nshow uptime", "--keep-going")
        assert code == 1 and errors == "% The line is longer than 8192 bytes\n", errors[:200]
        assert said.count("\n") == 1 and " up 0 days" in said
    code, said, errors = batch(sbc, "show up\0nonsense\nshow uptime\n", "--keep-going")
    assert code == 1 and errors == "% The line holds a zero byte\n" and said.count(" up 0 days") == 1
    # a byte order mark in front of all is none of them
    code, said, errors = batch(sbc, "\ufeffshow uptime\nshow uptime\n")
    assert code == 0 and not errors and said.count(" up 0 days") == 2
    # -c with some lines runs each
    said = sbc.acli("show uptime\n# nothing\nshow users\nshow uptime")
    assert said.count(" up 0 days") == 2 and "Connection" in said
    code, said = sbc.acli_status("show uptime\nnonsense\nshow users")
    assert code == 1 and "Unknown word [nonsense]" in said and "Connection" not in said


def test_ctrl_c_does_not_hide_what_an_import_did(sbc, operator, tmp_path):
    sbc.start()
    big = tmp_path / "big.yaml"
    with open(f"{sbc.folder}/sbc.yaml") as f:
        config = yaml.safe_load(f)
    agents = config["session-router"]["surrogate-agent"]
    agents += [dict(agents[0], **{"register-user": f"x{i}^", "register-contact-user": f"x{i}^"}) for i in range(1500)]
    big.write_text(yaml.dump(config))
    o = operator()
    o.types("enable")
    o.keys(f"import-config {big}\r")
    o.reads("big.yaml\r\n")
    o.keys("\x03")
    o.child.timeout = 20
    said = o.reads(PROMPT)
    assert "Verification passed" in said and said.endswith("**sbc1# "), said
    # what is shown stops all the same
    o.types("cli more disabled")
    o.keys("show configuration\r")
    o.reads("register-user +x1")
    o.keys("\x03")
    assert len(o.reads(PROMPT)) < 2000000
    assert "up 0 days" in o.types("show uptime")


def test_an_object_that_was_not_stored_is_an_error(sbc):
    sbc.start()
    code, _, errors = batch(sbc, f"configure terminal surrogate-agent {AGENT}\ndescription lost\n")
    assert code == 1 and f"% surrogate-agent [{AGENT}] was not stored" in errors
    code, _, errors = batch(sbc, f"configure terminal surrogate-agent {AGENT}\ndescription lost\n"
                                 "exit\n")
    assert code == 1 and "Save changes to surrogate-agent" in errors
    assert "No differences." in sbc.acli("show configuration diff")
    code, _, errors = batch(sbc, f"configure terminal surrogate-agent {AGENT}\ndescription kept\n"
                                 "exit\n", "--yes")
    assert (code, errors) == (0, "")
    assert "kept" in sbc.acli("show configuration diff")


def test_a_user_gets_no_further_than_he_may(sbc):
    sbc.start()
    code, _, errors = batch(sbc, "configure terminal\n", "--user")
    assert code == 1 and "% Access denied" in errors


def test_acli_text_goes_out_and_comes_in_unchanged(sbc, tmp_path):
    sbc.start()
    path = tmp_path / "all.text"
    sbc.acli(f"export-config {path} running text", f"import-config {path}")
    assert "No differences." in sbc.acli("show configuration diff")
    text = open(path).read().replace("register-retry-time             30",
                                     "register-retry-time             nonsense", 1)
    open(path, "w").write(text)
    line = text[:text.index("nonsense")].count("\n") + 1
    code, output = sbc.acli_status(f"import-config {path}")
    assert code == 1 and f"{path}:{line}:37: " in output, output
    assert "No differences." in sbc.acli("show configuration diff")


# --- without the daemon

def offline(sbc, *commands, options=()):
    arguments = [f"{sbc.build}/acli", "--offline", "--db", sbc.database, *options]
    for command in commands:
        arguments += ["-c", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=20)
    return result.returncode, result.stdout + result.stderr


def test_a_database_is_edited_without_its_daemon(sbc):
    sbc.start()
    code, output = offline(sbc, f"configure terminal surrogate-agent {AGENT}", "description no",
                           "done")
    assert code == 1 and "it is only read" in output and "read-only, nothing was changed" in output
    sbc.stop()
    code, output = offline(sbc, f"configure terminal surrogate-agent {AGENT}", "description off",
                           "done", "quit", "save-config")
    assert code == 0 and "Saved as version 2." in output, output
    code, output = offline(sbc, "show sipd")
    assert code == 1 and "% This needs the daemon" in output
    sbc.start(configured=False)
    assert "description" in sbc.acli("show configuration diff running")
    sbc.acli("activate-config")
    assert "description                     off" in sbc.acli(
        "show running-config surrogate-agent a.trunk.example")
