"""
sbcd --verify as a lint in CI (acli.md 3.3), and the rules that ask this machine or DNS.

- YAML and ACLI text; no database, no privileges, no network; the same file gives the same bytes.
- A masked secret counts as set. What cannot be printed is not said to be clean.
- --host and --dns add their rules, and without them nobody is asked; a DNS that is silent costs 2 s for a
  name and 10 s for all, and is told.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import BUILD, SLOWER
from peers.dns import Dns


def run(*arguments, **words):
    done = subprocess.run([f"{BUILD}/sbcd", *map(str, arguments)], capture_output=True, text=True, **words)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def rules(path, *options):
    """Ids found, with the object's key: ("VC-0302", "gw.example")"""
    done = run("--verify", path, "--json", *options)
    found = json.loads(done.stdout)
    return {(f["id"], " ".join(f["key"])) for f in found["findings"]}, found


def test_acli_text_is_read_like_yaml(sbc, tmp_path):
    sbc.start()
    sbc.acli(f"export-config {tmp_path}/a.txt text")
    text = (tmp_path / "a.txt").read_text()
    assert text.startswith("system-config\n")
    assert run("--verify", tmp_path / "a.txt").returncode == 0
    (tmp_path / "b.txt").write_text(text.replace("realm-id                        pbx-a", "realm-id   nowhere", 1))
    done = run("--verify", tmp_path / "b.txt")
    assert done.returncode == 1 and "reference to realm-config [nowhere] which does not exist" in done.stdout
    (tmp_path / "c.txt").write_text(text + "session-agent\n    colour                          red\n")
    line = text.count("\n") + 2
    done = run("--verify", tmp_path / "c.txt")
    assert done.returncode == 1 and f"c.txt:{line}:5: " in done.stdout, done.stdout


def test_a_masked_secret_counts_as_set(sbc):
    path = sbc.write()
    text = open(path).read()
    masked = "\n".join(line.split("password: ")[0] + "password: '********'" if "password: " in line else line
                       for line in text.splitlines())
    with open(path, "w") as f:
        f.write(masked + "\n")
    assert masked.count("********") >= 4 and "secret-" not in masked
    done = run("--verify", path, "--strict")
    assert done.returncode == 0 and done.stdout == "Verification passed: no errors, no warnings.\n"


@pytest.fixture
def open_to_all():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sbc-lint-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_neither_database_nor_rights_nor_network_are_needed(sbc, open_to_all):
    path = sbc.write()
    before = set(os.listdir(sbc.folder))
    # tmp_path is nobody else's, so the program is copied to where nobody can run it
    program = open_to_all / "sbcd"
    shutil.copyfile(f"{BUILD}/sbcd", program)
    program.chmod(0o755)
    with open(path) as f:
        done = subprocess.run(["unshare", "--net", "setpriv", "--reuid", "65534", "--regid", "65534",
                               "--clear-groups", "--no-new-privs", "--bounding-set=-all", str(program),
                               "--verify", "/dev/stdin"], stdin=f, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0 and "Verification passed" in done.stdout, done
    assert set(os.listdir(sbc.folder)) == before


def test_the_same_file_gives_the_same_bytes(sbc):
    sbc.element("sip-config")["registration-rate"] = "0"
    for agent in sbc.element("surrogate-agent"):
        agent["realm-id"] = "nowhere"
    path = sbc.write()
    first = [run("--verify", path, *options).stdout for options in ((), ("--json",))]
    for _ in range(3):
        assert [run("--verify", path, *options).stdout for options in ((), ("--json",))] == first
    severities = [line.split(":")[0] for line in first[0].splitlines()[1:-2]]
    assert severities == sorted(severities, key=["ERROR", "WARNING", "NOTE"].index) and len(set(severities)) > 1


def test_what_cannot_be_printed_is_not_said_to_be_clean(sbc):
    path = sbc.write()
    for options in ((), ("--json",)):
        with open("/dev/full", "w") as full:
            done = subprocess.run([f"{BUILD}/sbcd", "--verify", path, *options], stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and "sbcd: " in done.stderr
    assert run("--verify", sbc.folder).returncode == 2


def test_json_of_a_file_that_cannot_be_taken_counts_errors_and_notes_apart(sbc, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("system:\n  phy-interface: [{name: lan}]\n"
                    "session-router:\n  sip-config: {init-timer: 0, max-timer: x}\n")
    done = run("--verify", path, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and (document["errors"], document["notes"]) == (2, 1)
    assert [f["severity"] for f in document["findings"]] == ["ERROR", "ERROR", "NOTE"]
    assert [(f["line"], f["id"]) for f in document["findings"]] == [(4, "VC-0105"), (4, "VC-0105"), (2, "VC-0120")]
    done = run("--verify", path)
    assert f"{path}:2:3: NOTE: phy-interface is not needed" in done.stdout and done.returncode == 1


# --- host

def test_host_rules_look_at_this_machine_and_only_when_asked(sbc, tmp_path):
    sbc.element("sip-interface", "trunk")["sip-ports"][0]["address"] = "192.0.2.1"
    sbc.config["session-router"]["account-config"] = {"file-path": "/nonexistent/records"}
    path = sbc.write()
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first, _ = map(int, f.read().split())
    sbc.element("steering-pool", "trunk")["end-port"] = str(first)
    path = sbc.write()
    found, document = rules(path)
    assert not {i for i, _ in found} & {"VC-0209", "VC-0609", "VC-1002", "VC-0720"}
    assert document["skipped"] == ["host", "dns"]
    found, document = rules(path, "--host")
    assert {i for i, _ in found} >= {"VC-0209", "VC-0609", "VC-1002"}
    assert document["skipped"] == ["dns"]


def test_a_start_is_refused_for_what_this_machine_lacks(sbc):
    sbc.config["session-router"]["account-config"] = {"file-path": "/nonexistent/records"}
    sbc.element("sip-interface", "pbx-a")["sip-ports"].append({"address": "192.0.2.1"})
    done = run("--config", sbc.write(), "--db", sbc.database, "--socket", sbc.socket)
    assert done.returncode == 1
    assert "has address [192.0.2.1] which this machine does not have" in done.stderr
    sbc.process = None


# --- DNS

@pytest.fixture
def dns(sbc, tmp_path):
    server = Dns(tmp_path, sbc.ip(60), hosts={
        "here.example": sbc.ip(11), "ours.example": sbc.ip(1), "alien.example": sbc.ip(99),
        "pbx1.example": sbc.ip(12), "pbx2.example": sbc.ip(14),
    }, srv={"_sip._udp.pbxes.example": [("pbx1.example", 5060, 1), ("pbx2.example", 5060, 2)]})
    yield server
    server.close()


def asking(sbc, server):
    sbc.element("system-config")["dns-servers"] = [f"{sbc.ip(60)}:{server}"]


def test_each_rule_that_asks_dns_finds_its_name_and_no_other(sbc, dns):
    asking(sbc, dns.PORT)
    agents = sbc.element("session-agent")
    agents += [{"hostname": "nowhere.example", "realm-id": "trunk"}, {"hostname": "here.example", "realm-id": "trunk"}]
    sbc.policy("pbx-a")["policy-attributes"] += [
        {"next-hop": "gone.example", "realm": "trunk", "cost": "5", "auth-user-lookup": "tenA"},
        {"next-hop": "alien.example", "realm": "trunk", "cost": "6", "auth-user-lookup": "tenA"}]
    template = {"realm-id": "pbx-a", "customer-next-hop": "pbx-a.example", "proxy-name": "trunk.example",
                "password": "secret-x"}
    def agent(host, user, **words):
        return dict(template, **{"register-host": host, "register-user": user}, **{
            k.replace("_", "-"): v for k, v in words.items()})
    sbc.element("surrogate-agent").extend([
        agent("a.trunk.example", "c1", register_contact_host="alien.example"),
        agent("a.trunk.example", "c2", register_contact_host="missing.example"),
        agent("a.trunk.example", "c3", register_contact_host="ours.example"),
        agent("a.trunk.example", "h1", customer_next_hop="lost.example"),
        agent("a.trunk.example", "h2", customer_next_hop="pbxes.example"),
        agent("a.trunk.example", "h3", customer_next_hop="pbx1.example"),
        agent("void.example", "r1", proxy_name="", realm_id="pbx-b", customer_next_hop="pbx-b.example"),
    ])
    sbc.element("local-policy").remove(sbc.policy("pbx-b"))
    sbc.element("sip-config")["egress-realm-id"] = "trunk"
    found, document = rules(sbc.write(), "--dns")
    asked = {"VC-0118", "VC-0302", "VC-0316", "VC-0410", "VC-0412", "VC-0413", "VC-0415"}
    assert {f for f in found if f[0] in asked} == {
        ("VC-0302", "nowhere.example"),
        ("VC-0316", "gone.example trunk 5"),
        ("VC-0410", "a.trunk.example c1 pbx-a"), ("VC-0410", "a.trunk.example c2 pbx-a"),
        ("VC-0412", "a.trunk.example h1 pbx-a"),
        ("VC-0413", "a.trunk.example h2 pbx-a"),
        ("VC-0415", "void.example r1 pbx-b"),
    }
    assert document["skipped"] == ["host"]


class BlackHole:
    """Takes questions and answers none"""
    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.port = self.socket.getsockname()[1]

    def questions(self):
        self.socket.setblocking(False)
        n = 0
        try:
            while self.socket.recv(512):
                n += 1
        except BlockingIOError:
            return n


def test_a_silent_dns_costs_two_seconds_and_is_told(sbc):
    hole = BlackHole(sbc.ip(60))
    asking(sbc, hole.port)
    sbc.element("session-agent").append({"hostname": "nowhere.example", "realm-id": "trunk"})
    path = sbc.write()
    found, document = rules(path)
    assert "VC-0118" not in {i for i, _ in found} and hole.questions() == 0 and "dns" in document["skipped"]
    began = time.monotonic()
    found, document = rules(path, "--dns", "--strict")
    assert time.monotonic() - began < 10.0 * SLOWER and hole.questions() > 0   # c-ares by itself: 5 s, and again
    assert ("VC-0118", "nowhere.example") in found and "VC-0302" not in {i for i, _ in found}
    assert run("--verify", path, "--dns").returncode == 0
    hole.socket.close()


def test_many_silent_names_cost_ten_seconds_together(sbc):
    hole = BlackHole(sbc.ip(60))
    asking(sbc, hole.port)
    agents = sbc.element("session-agent")
    agents += [{"hostname": f"n{n}.example", "realm-id": "trunk", "state": "enabled"} for n in range(2000)]
    path = sbc.write()
    began = time.monotonic()
    found, _ = rules(path, "--dns")
    assert time.monotonic() - began < 60.0 * SLOWER     # one after the other it would be an hour
    assert len([i for i, _ in found if i == "VC-0118"]) == 2000
    hole.socket.close()


def test_disabled_objects_and_addresses_are_not_asked_for(sbc):
    hole = BlackHole(sbc.ip(60))
    asking(sbc, hole.port)
    sbc.element("session-agent").append({"hostname": "nowhere.example", "realm-id": "trunk", "state": "disabled"})
    found, document = rules(sbc.write(), "--dns")
    assert "VC-0118" not in {i for i, _ in found} and hole.questions() == 0 and document["skipped"] == ["host"]
    hole.socket.close()
