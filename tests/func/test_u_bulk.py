"""
Credentials in bulk (acli.md 1.8): CSV files into the credential table.

- All or nothing: each bad row is told with its line, and then nothing is taken.
- What is taken answers at once, without a save or an activation.
- Credentials of single AoRs make those that were refused try again at once.
- import-surrogate-agents takes rows into editing; what has no column stays as it was.
- At a terminal a bar shows how far it is; nowhere else.
"""
import json
import os
import re
import socket
import subprocess
import threading

import pexpect
import pytest


def imported(sbc):
    rows = json.loads(sbc.acli("show credentials | json"))["data"]
    return [(r["realm"], r["auth-realm"], r["lookup"]) for r in rows if r["origin"] == "imported"]


@pytest.fixture
def csv(sbc, tmp_path):
    """Makes files, which are gone before somebody looks for secrets on the disk"""
    made = []

    def write(name, *rows, header="auth-realm,auth-user-lookup,username,password"):
        made.append(tmp_path / name)
        made[-1].write_text("\n".join([header, *rows]) + "\n")
        return made[-1]
    yield write
    for path in made:
        path.unlink()


def test_rows_are_taken_and_count_at_once(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("a.csv", "trunk.example,tenX,x1,secret-x", "trunk.example,tenY,y1,secret-y")
    output = sbc.acli(f"import-credentials {path} realm trunk")
    assert "2 credentials of realm-config [trunk] taken, live now." in output
    assert imported(sbc) == [("trunk", "trunk.example", "tenX"), ("trunk", "trunk.example", "tenY")]
    # user names, and whether there is a password; never more
    known = {r["lookup"]: (r["user"], r["password"]) for r in json.loads(sbc.acli("show credentials | json"))["data"]}
    assert known["tenX"] == ("x1", "set") and known["tenY"] == ("y1", "set")
    assert known["tenA"][0] and known["tenA"][1] == "set"
    path = csv("b.csv", "trunk.example,tenZ,z1,secret-z")
    sbc.acli(f"import-credentials {path} realm trunk merge")
    assert [r[2] for r in imported(sbc)] == ["tenX", "tenY", "tenZ"]
    sbc.acli(f"import-credentials {path} realm trunk")
    assert [r[2] for r in imported(sbc)] == ["tenZ"]


def test_every_bad_row_is_told_and_nothing_is_taken(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("bad.csv", "trunk.example,tenX,x1,secret-x", "trunk.example,tenY,y1",
               "trunk.example,,z1,secret-z", "trunk.example,tenW,w1,")
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and "has 3 bad rows; nothing was changed" in output
    assert re.findall(r"bad\.csv:(\d+): ", output) == ["3", "4", "5"]
    assert imported(sbc) == []
    path = csv("head.csv", "a,b,c,d", header="realm,user,password")
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and "head.csv:1: " in output


HEAD = b"auth-realm,auth-user-lookup,username,password\n"


@pytest.mark.parametrize("data, line, why", [
    (b"", 1, "is not the header that is expected"),
    (HEAD.upper() + b"r,l,u,p\n", 1, "is not the header that is expected"),
    (HEAD.replace(b",", b";") + b"r;l;u;p\n", 1, "is not the header that is expected"),
    (HEAD + b'r,l,u,"p\nr,l2,u,p\n', 2, "has a quote that is not closed"),
    (HEAD + b'r,l,"u"x,p\n', 2, "has text behind a quote"),
    (HEAD + b'r,l,u"x,p\n', 2, "has a quote inside a value"),
    (HEAD + b"r,l,u,p,q\n", 2, "has too many columns"),
    (HEAD + b"r,l,u\n", 2, "has too few columns"),
    (HEAD + b",l,u,p\n", 2, "has an empty value that is required"),
    (HEAD + b"r,,u,p\n", 2, "has an empty value that is required"),
    (HEAD + b"r,l,,p\n", 2, "has an empty value that is required"),
    (HEAD + b"r,l,u,\n", 2, "has no password"),
    (HEAD + b"r,l,u,********\n", 2, "has a masked password"),
    (HEAD + b"r,l,u,$sbc1$abc\n", 2, "has a password that begins with $sbc1$"),
    (HEAD + b"r," + 256 * b"l" + b",u,p\n", 2, "has a value of more than 255 bytes"),
    (HEAD + b"r,l,u," + 1025 * b"p" + b"\n", 2, "has a password of more than 1024 bytes"),
    (HEAD + b"r,l\0x,u,p\n", 2, "has a control character"),
    (HEAD + b'r,"l\nm",u,p\n', 2, "has a control character"),
    (HEAD + b"r,l\xe9,u,p\n", 2, "has a value that is not UTF-8"),
    (HEAD + b"r,l,u\xc0\xaf,p\n", 2, "has a value that is not UTF-8"),
    (HEAD + b"r,l,u,p\nr,l,u2,p\n", 3, "has the key of a line before"),
], ids=lambda v: v.replace(" ", "-") if isinstance(v, str) else None)
def test_each_kind_of_bad_row_is_named(sbc, csv, data, line, why):
    sbc.start(level=None)
    path = csv("bad.csv")
    path.write_bytes(data)
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and f"bad.csv:{line}: the row {why}\n" in output, output
    assert "nothing was changed" in output and imported(sbc) == []


@pytest.mark.parametrize("data", [
    HEAD.replace(b"\n", b"\r\n") + b"r,l,u,p\r\n", b"\xef\xbb\xbf" + HEAD + b"r,l,u,p\n",
    HEAD + b"\n\nr,l,u,p\n\n", HEAD + b"r,l,u,p", HEAD + '"r","l","ü","a,""b\x7e"\n'.encode(),
    HEAD + b"r,l,u,p\xe9\n",
], ids=["crlf", "bom", "blank lines", "no end", "quotes", "bytes in a password"])
def test_rows_that_other_programs_write_are_taken(sbc, csv, data):
    sbc.start(level=None)
    path = csv("good.csv")
    path.write_bytes(data)
    sbc.acli(f"import-credentials {path} realm trunk")
    assert imported(sbc) == [("trunk", "r", "l")]


def test_what_does_not_exist_is_said(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("a.csv", "r,l,u,secret-p")
    code, output = sbc.acli_status(f"import-credentials {path} realm nowhere")
    assert code == 1 and "% There is no realm-config [nowhere]" in output
    code, output = sbc.acli_status(f"import-credentials {path} surrogate-agent nobody")
    assert code == 1 and "% There is no surrogate-agent [nobody]" in output
    code, output = sbc.acli_status(f"import-credentials {path}")
    assert code == 1 and "% Missing realm R, or surrogate-agent KEY" in output
    code, output = sbc.acli_status(f"import-credentials {tmp_path}/none.csv realm trunk")
    assert code == 2


def test_a_refused_aor_registers_with_its_own_credentials_at_once(sbc, trunk, csv, tmp_path):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    right, agent["password"] = agent["password"], "secret-wrong"
    sbc.start()
    sbc.waits("show surrogate-agents", r"10 refused", 8.0)
    user = agent["auth-user"] if agent.get("auth-user") else ""
    first = json.loads(sbc.acli("show surrogate-agents realm pbx-a | json"))["data"]["aors"][0]["aor"]
    first = first.split("@")[0]
    path = csv("aors.csv", f"{first},{user},{right}", header="aor-user,auth-user,password")
    output = sbc.acli(f"import-credentials {path} surrogate-agent a.trunk.example")
    assert "1 credential of surrogate-agent [a.trunk.example " in output
    sbc.waits("show surrogate-agents realm pbx-a", r"1 registered, 9 refused", 8.0)
    assert "has [10] AoRs but own credentials for [1]" in sbc.acli("verify-config rule VC-0418")


def test_more_bad_rows_than_are_shown_are_counted(sbc, trunk, csv):
    sbc.start()
    path = csv("bad.csv", *["r,l,u"] * 1200)
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and len(re.findall(r"has too few columns", output)) == 1000
    assert "... 200 more" in output and "has 1200 bad rows; nothing was changed" in output
    path = csv("twice.csv", *[f"r,l{n % 150},u,secret-p" for n in range(300)])
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    lines = re.findall(r"twice\.csv:(\d+): the row has the key of a line before", output)
    assert code == 1 and [int(n) for n in lines] == list(range(152, 302))


AGENTS = "register-host,register-user,realm-id,customer-next-hop,password"


def agents_of(sbc):
    """Rows of the editing configuration: user@host -> object"""
    tree = json.loads(sbc.acli("show configuration surrogate-agent | json"))["data"]
    return {a["register-user"] + "@" + a["register-host"]: a for a in tree["session-router"]["surrogate-agent"]}


def test_agents_come_from_a_file_and_keep_what_has_no_column(sbc, trunk, csv):
    sbc.start()
    before = agents_of(sbc)
    key = "493010^@a.trunk.example"
    old = before[key]
    hop = old["customer-next-hop"]
    path = csv("agents.csv", f"a.trunk.example,alice,pbx-a,{hop},secret-alice,",
               f"{old['register-host']},493010^,pbx-a,{hop},********,\"Berlin, 2nd floor\"",
               header=AGENTS + ",description")
    output = sbc.acli(f"import-surrogate-agents {path}")
    assert "2 surrogate-agents taken into editing." in output and "Verification passed" in output
    after = agents_of(sbc)
    assert set(after) == set(before) | {"alice@a.trunk.example"}
    changed = dict(old, description="Berlin, 2nd floor")
    assert after[key] == changed
    text = sbc.acli("show configuration surrogate-agent")
    assert len(re.findall(r'last-modified-by +\S+@local\n +last-modified-date +"\d{4}-', text)) == 2
    # the stored password is still the right one, and that of alice is nowhere in clear
    sbc.acli("save-config", "activate-config")
    assert sbc.waits("show surrogate-agents", r"20 registered", 8.0)
    sbc.acli(f"import-surrogate-agents {path} replace")
    assert set(agents_of(sbc)) == {"alice@a.trunk.example", key}


def test_every_bad_agent_is_told_and_nothing_is_taken(sbc, trunk, csv):
    sbc.start()
    before = agents_of(sbc)
    path = csv("agents.csv", "new.example,alice,pbx-a,127.0.0.9,secret-alice,60",
               "new.example,bob,pbx-a,127.0.0.9,secret-bob,29",
               "new.example,carol,pbx-a,,secret-carol,60",
               "new.example,alice,pbx-a,127.0.0.9,secret-alice,60",
               "new.example,dave,pbx-a", "new.example,fred,pbx-a,127.0.0.9,********,60",
               'new.example,"eve,pbx-a,127.0.0.9,secret-eve,60',
               header=AGENTS + ",register-retry-time")
    code, output = sbc.acli_status(f"import-surrogate-agents {path}")
    assert code == 1 and "has 6 bad rows; nothing was changed" in output
    told = dict(re.findall(r"agents\.csv:(\d+): the row (.+)", output))
    assert told == {
        "3": "has invalid register-retry-time [29], which is out of range 30-3600",
        "4": "is missing customer-next-hop",
        "5": "has the key of a line before",
        "6": "has 3 columns, the header 6",
        "7": "has a masked password, and none is stored",
        "8": "has a quote that is not closed",
    }
    assert "secret-" not in output and agents_of(sbc) == before
    path = csv("head.csv", "x,y,z", header="register-host,register-user,colour,register-host")
    code, output = sbc.acli_status(f"import-surrogate-agents {path}")
    assert code == 1
    for said in ("has no parameter [colour]", "it has register-host twice", "it lacks realm-id"):
        assert f"head.csv:1: the row is no header: {said}" in output or said in output


class FakeDaemon(threading.Thread):
    """Says what it is given when a line comes: for what acli shows of it"""
    def __init__(self, path, said):
        super().__init__(daemon=True)
        self.said = said
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.go = threading.Event()
        self.start()

    def run(self):
        peer, _ = self.listener.accept()
        for line in peer.makefile("r"):
            if line.startswith("import"):
                for part in self.said:
                    peer.sendall(part.encode() + b"\n")
                    if part.startswith("5000"):
                        self.go.wait(5)
                        self.go.clear()
            else:
                peer.sendall(b"0000 sbc1# \n")


SAID = ["5000-", "5000-reading 25 100", "5000-storing 100 100", "1000-two lines", "0000 sbc1# "]


def test_a_bar_shows_how_far_it_is_at_a_terminal(sbc, tmp_path):
    fake = FakeDaemon(str(tmp_path / "fake"), SAID)
    child = pexpect.spawn(f"{sbc.build}/acli", ["--socket", str(tmp_path / "fake"), "-c", "import"],
                          env=dict(os.environ, TERM="vt100"), encoding="utf8", timeout=5)
    fake.go.set()
    child.expect(r"\rreading  \[#{10} {30}\]  25 %")
    fake.go.set()
    child.expect(r"\rstoring  \[#{40}\] 100 %")
    fake.go.set()
    child.expect(r"\r +\rtwo lines")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_there_is_no_bar_where_nobody_looks(sbc, tmp_path):
    fake = FakeDaemon(str(tmp_path / "fake"), SAID)
    fake.go.wait = lambda _: None
    result = subprocess.run([f"{sbc.build}/acli", "--socket", str(tmp_path / "fake"), "-c", "import"],
                            capture_output=True, text=True, timeout=5)
    assert (result.returncode, result.stdout, result.stderr) == (0, "two lines\n", "")


def test_words_behind_a_command_may_be_shortened_and_names_may_not(sbc, trunk, csv):
    sbc.start()
    path = csv("a.csv", "trunk.example,tenX,x1,secret-x")
    assert "taken, live now" in sbc.acli(f"import-cred {path} re trunk mer")
    code, output = sbc.acli_status(f"import-cred {path} realm trun")
    assert code == 1 and "% There is no realm-config [trun]" in output
    assert "Verification passed" in sbc.acli("verify-config stat det")
    code, output = sbc.acli_status("verify-config st")
    assert code == 1 and "% Ambiguous word [st]: static, strict" in output
    code, output = sbc.acli_status("verify-config loud")
    assert code == 1 and "% Unknown word [loud]" in output


def test_words_and_names_behind_a_command_are_offered(sbc, trunk):
    sbc.start()
    shell = sbc.shell()
    shell.says("enable")
    shell.says("configure terminal")

    def offered(line):
        shell.sends(line + "\t")
        said = []
        while not said or not re.match(r"\d{4} ", said[-1]):
            said.append(shell.lines.readline())
        return [word[5:].strip() for word in said if word.startswith("3001")]
    assert offered("verify-config ") == ["detail", "element", "rule", "static", "strict"]
    assert offered("verify-config element surr") == ["surrogate-agent"]
    assert offered("verify-config rule VC-011") == [f"VC-011{n}" for n in (0, 1, 2, 3, 4, 6, 7, 8, 9)]
    assert offered("import-credentials a.csv ") == ["realm", "surrogate-agent"]
    assert offered("import-credentials a.csv realm ") == ["pbx-a", "pbx-b", "trunk"]
    assert offered("import-credentials a.csv realm trunk ") == ["merge", "replace"]
    assert offered("import-surrogate-agents a.csv ") == ["merge", "replace"]
    shell.close()


def test_an_import_says_who_brought_what_is_new_and_leaves_what_is_not(sbc, trunk):
    sbc.start()
    sbc.acli(f"import-config {sbc.write()}")
    before = sbc.acli("show configuration session-agent trunk.example")
    sbc.element("session-agent", "trunk.example")["description"] = "changed"
    sbc.acli(f"import-config {sbc.write()}")
    after = sbc.acli("show configuration session-agent trunk.example")
    assert re.search(r"last-modified-by +\S+@local\n +last-modified-date +\"2", after)
    assert not re.search(r"last-modified-by +\S+@local", before)
    other = sbc.acli("show configuration session-agent pbx-a.example")
    assert not re.search(r"last-modified-by +\S+@local", other)


# --- how often each answered (2.4)

def usage(sbc):
    """{(auth-realm, lookup): (used, last used, last refused)}"""
    rows = json.loads(sbc.acli("show credentials realm trunk | json"))["data"]
    return {(r["auth-realm"], r["lookup"]): (r["used"], r["last-used"], r["last-refused"]) for r in rows}


def test_each_entry_tells_how_often_it_answered_and_when_it_was_refused(sbc, trunk, pbx_a):
    entries = sbc.element("realm-config", "trunk")["auth-attributes"]
    entries[:] = [dict(entries[0], **{"auth-realm": "*"}), dict(entries[0], **{"auth-user-lookup": "tenZ"})]
    any_realm, other = ("*", "tenA"), ("trunk.example", "tenZ")
    sbc.start().registered()
    sbc.acli(f"test-credentials source-realm pbx-a from-address sip:4930100@pbx-a.local "
             f"to-address sip:0301234@{sbc.ip(2)} auth-realm trunk.example")
    assert set(usage(sbc).values()) == {(0, None, None)}, "a trial is no use"
    pbx_a.calls("0301234").until_answered().hang_up()
    used, first, refused = usage(sbc)[any_realm]
    assert used >= 1 and first.startswith("20") and refused is None
    # once more, unasked this time
    pbx_a.calls("0301235").until_answered().hang_up()
    again, last, refused = usage(sbc)[any_realm]
    assert again > used and last >= first and refused is None
    trunk.passwords["a1"] = "another"
    assert pbx_a.calls("0301236").until_refused().status == 407
    assert usage(sbc)[any_realm][2] >= last
    assert usage(sbc)[other] == (0, None, None)
    said = sbc.acli("show credentials realm trunk limit 1")
    assert said.endswith("... 1 more\n") and said.count("\n") == 3, said
    for wrong, says in (("limit x", "limit [x] is not a number"), ("realm", "Missing R"),
                        ("colour red", "Unknown word [colour], possible here: limit N, lookup L, realm R, seen")):
        code, said = sbc.acli_status(f"show credentials {wrong}")
        assert code == 1 and says in said, said
