"""
What each show command prints, as text and as JSON, is as in tests/golden/show (acli.md 2.2 to 2.4).

Headings, names of rows and columns, words and their order stay; of numbers, times and addresses only the place is
kept. Of JSON the shape is kept: names in their order, and what kind of value each has. Written anew with GOLDEN_WRITE=1.
"""
import contextlib
import getpass
import json
import os
import re
import time

import pytest

from conftest import ROOT

GOLDEN = f"{ROOT}/tests/golden/show"
AGENT = "a.trunk.example 493010^ pbx-a"

# name of the golden: command
COMMANDS = {
    "accounting": "show accounting",
    "alarms": "show alarms",
    "alarms-history": "show alarms history",
    "configuration": f"show configuration surrogate-agent {AGENT}",
    "configuration-short": "show configuration short steering-pool",
    "configuration-diff": "show configuration diff",
    "configuration-versions": "show configuration versions",
    "credentials": "show credentials",
    "credentials-seen": "show credentials seen",
    "dns": "show dns",
    "health": "show health",
    "log-level": "show log-level",
    "logfile": "show logfile audit.log last 1",  # the line that asks
    "logfiles": "display-logfiles",
    "media": "show media",
    "media-errors": "show media errors",
    "media-realms": "show media realms",
    "media-sessions": "show media sessions",
    "memory": "show memory",
    "processes": "show processes cpu",
    "realm": "show realm",
    "records": "show records 1",
    "refusals": "show refusals",
    "refusals-last": "show refusals last 1",
    "registration": "show registration",
    "registration-by-user": "show registration sipd by-user 4930101",
    "registration-detailed": "show registration sipd by-user 4930101 detailed",
    "running-config": f"show running-config surrogate-agent {AGENT}",
    "sessions": "show sessions",
    "session": "show sessions ID",
    "sip-interface": "show sip interface",
    "sipd-status": "show sipd status",
    "sipd-sessions": "show sipd sessions",
    "sipd-transactions": "show sipd transactions",
    "sipd-errors": "show sipd errors",
    "sipd-policy": "show sipd policy",
    "sipd-authentication": "show sipd authentication",
    "sipd-invite": "show sipd invite",
    "sipd-agents": "show sipd agents",
    "sipd-agent": "show sipd agents trunk.example",
    "sipd-realms": "show sipd realms",
    "sipd-interface": "show sipd interface",
    "sipd-rate": "show sipd rate",
    "sipd-queue": "show sipd registration-queue",
    "sipd-endpoint": "show sipd endpoint-ip 4930101",
    "surrogate-agents": f"show surrogate-agents {AGENT} limit 1",
    "surrogate-agents-detail": f"show surrogate-agents {AGENT} detail limit 1",
    "surrogate-agents-summary": "show surrogate-agents summary",
    "support-info": "show support-info",
    "uptime": "show uptime",
    "users": "show users",
    "version": "show version",
}
# shown elsewhere
ELSEWHERE = {"display-alarms", "display-backups", "display-current-cfg-version", "display-running-cfg-version"}
# all parts at once: of these the names alone, for each has a golden of its own
PARTS = {"support-info"}


BUSY = re.compile(r"\bdisk-space\b|\bcpu\b|\bloop-lag\b|\b100 Trying\b")
MARKS = (
    (r"^(disk|loop lag|memory) +(ok|warn|fail) .*", r"\1 STATE"),
    (r"^Health: (ok|warn)$", "Health: ok"),  # the machine's disk may be what warns
    (r"[A-Z]{3} [A-Z]{3} \d\d \d\d:\d\d:\d\d \d{4}", "DATE"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{3})?Z?", "TIME"),
    (r"^\d\d:\d\d:\d\d-\d+$", "HH:MM:SS-WINDOW"),
    (r"^((?:sbcd|commit|built|libre|OpenSSL|c-ares|SQLite|libyaml) +).*", r"\1VERSION"),
    (r"Latency=\d+\.\d{3}", "Latency=#"), (r"Rate = \d+\.\d", "Rate = #"),
    (r"(?i)(call-id +)\S+", r"\1ID"), (r"CSeq \d+", "CSeq #"), (r" [0-9a-z]{16} ", " ID "),
    (r"conn=\d+ uid=\d+", "conn=# uid=#"), (r"^\S+/cdr-\S+", "FILE"), (r"\b\d{6,}@", "USER@"), (r"\b(10\.0\.0\.\d+):\d{4,5}\b", r"\1:PORT"),
    (r" +(-|\d+(\.\d+)?)(?=s?,?( |$))", " #"), (r"\b[0-9a-f]{12,}\b|\b\d{9,}\b", "ID"),
)


def normal(sbc, text):
    """Numbers, times, names drawn by chance and addresses as marks, and the blanks of such lines as one. What the
    machine is busy with is no matter of layout, and 100 leaves only where the answer is slow"""
    text = text.replace(f"127.{sbc.network}.", "10.0.0.")
    text = re.sub(rf"\b{getpass.getuser()}\b", "anna", text)
    lines = []
    for line in text.splitlines():
        marked = line
        for pattern, mark in MARKS:
            marked = re.sub(pattern, mark, marked)
        if marked != line:
            marked = re.sub(r" +", " ", marked)
        # threads of one name are one line
        if not BUSY.search(line) and [marked] != lines[-1:]:
            lines.append(marked.rstrip())
    return "\n".join(lines) + "\n"


def shape(value):
    """What kind of value, of an array that of its first element"""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "100-trying"}
    if isinstance(value, list):
        wanted = [v for v in value if not isinstance(v, dict) or v.get("name") not in ("disk-space", "cpu", "loop-lag")]
        return [shape(wanted[0])] if wanted else []
    return {bool: "flag", int: "number", float: "number", str: "text"}.get(type(value))


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    with contextlib.ExitStack() as ends:
        yield in_the_middle_of_a_call(tmp_path_factory.mktemp("layouts"), ends)


def in_the_middle_of_a_call(folder, ends):
    """One SBC in the middle of a call, with a refusal and an edit behind it, for all of them"""
    from conftest import Sbc, networks
    from peers.pbx import Pbx
    from peers.trunk import Trunk
    network, keeper = next(networks)
    ends.callback(keeper.close)
    sbc = Sbc(folder, network)
    ends.callback(sbc.stop)
    sbc.element("system-config").update({"log-target": "file"})
    trunk = ends.enter_context(contextlib.closing(Trunk(sbc.ip(11), sbc.ip(1))))
    pbx = ends.enter_context(contextlib.closing(Pbx(sbc.ip(12), sbc.ip(2), "pbx-a.local")))
    sbc.start(level=None)
    sbc.process.kill()  # an alarm that stays: daemon-restarted
    sbc.process.wait()
    sbc.start(level=None).registered()
    sbc.acli("notify sipd register all")  # what is taken over from before has no answer of its own
    limit = time.monotonic() + 8
    while not all(a["last"] and a["tries"] == 0 and a["state"] == "registered" for a in json.loads(
            sbc.acli("show surrogate-agents | json"))["data"]["aors"]):
        assert time.monotonic() < limit
        time.sleep(0.05)
    stranger = ends.enter_context(contextlib.closing(
        Pbx(sbc.ip(19), sbc.ip(2), "nobody.local", media_port=30300)))
    assert stranger.calls("0301234").until_refused().status == 403
    pbx.calls("0301234").until_answered().hang_up()
    sbc.no_session_is_left()
    sbc.waits("show accounting", r"/cdr-\S+ +\d")
    pbx.calls("0301234").until_answered()
    sbc.waits("show records 1", r"record-type +start\n")
    sbc.acli(f"configure terminal surrogate-agent {AGENT}", "register-retry-time 61", "done")
    sbc.acli("log-level media DEBUG for 5")
    return sbc


def compare(name, text):
    path = f"{GOLDEN}/{name}"
    if os.environ.get("GOLDEN_WRITE"):
        with open(path, "w") as f:
            f.write(text)
    with open(path) as f:
        assert text == f.read(), name


@pytest.mark.parametrize("name", COMMANDS)
def test_text_and_document_are_as_they_were(estate, name):
    command = COMMANDS[name]
    if name == "processes" and os.environ.get("SBC_WORKERS", "1") != "1":
        pytest.skip("one row for each thread")
    if command.endswith(" ID"):
        command = command[:-2] + estate.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
    text = estate.acli(command)
    if name in PARTS:
        text = "".join(re.findall(r"(?m)^=====.*\n", text))
    compare(f"{name}.text", normal(estate, text))
    document = json.loads(estate.acli(command + " | json"))
    assert document["v"] == 1 and document["command"].startswith(command.split()[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["time"])
    if name in PARTS:
        assert all(document["data"].values())
        document["data"] = {part: type(value).__name__ for part, value in document["data"].items()}
    compare(f"{name}.json", json.dumps(shape({k: v for k, v in document.items() if k not in ("v", "command", "time")}),
                                       indent=1) + "\n")


def test_no_show_command_is_without_its_golden(estate):
    commands = re.findall(r"(?m)^((?:show|display-)\S*(?: [a-z-]+)*)  ", estate.acli("help"))
    assert len(commands) > 25
    for command in commands:
        assert command in ELSEWHERE or any(c == command or c.startswith(command + " ")
                                           for c in COMMANDS.values()), command


def test_each_golden_belongs_to_a_command():
    assert {os.path.splitext(n)[0] for n in os.listdir(GOLDEN)} == set(COMMANDS)
