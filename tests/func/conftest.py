"""
Fixtures: an SBC on addresses of its own, and the peers of behaviour.md 7.1 around it.

Each test gets a network 127.A.B.0/24 to itself, so nothing is shared and ports may be the usual ones.
"""
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peers.baresip import Baresip  # noqa: E402
from peers.crossing import crossings  # noqa: E402
from peers.kamailio import Carrier, Kamailio  # noqa: E402
from peers.pbx import Pbx  # noqa: E402
from peers.sipp import Answerer, Caller  # noqa: E402
from peers.trunk import Trunk  # noqa: E402
from peers.wire import Wire  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SBC_BUILD", f"{ROOT}/build")
SLOWER = 12 if BUILD.endswith(("-tsan", "-asan")) else 1  # times that a start takes there
# What takes an hour is of ./test.sh soak
collect_ignore = [] if "SBC_SOAK" in os.environ else ["test_z_soak.py"]
SILENT = (Answerer, Baresip, Caller, Kamailio)  # they keep no messages


def own_networks():
    """(network, socket that keeps it from other runs of tests on this machine), one after the other"""
    for n in itertools.count(os.getpid() % 200 * 100 + 1):
        network, keeper = f"{n // 250 % 120 + 1}.{n % 250 + 1}", socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            keeper.bind((f"127.{network}.254", 30999))
            yield network, keeper
        except OSError:
            keeper.close()


networks = own_networks()


def rows(text):
    """Lines of `name  value`; names of several words end at two blanks"""
    found = {}
    for line in text.splitlines():
        name, _, value = re.sub(r"  +", "\t", line.strip(), count=1).partition("\t")
        if not value:
            name, _, value = line.strip().partition(" ")
        found[name] = value.strip()
    return found


class Shell:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")

    def sends(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def hears(self):
        """(code, text) of the next line"""
        line = self.lines.readline()
        return line[:4], line[5:].rstrip("\n")

    def says(self, line):
        self.sends(line)
        return self.hears()

    def close(self):
        self.lines.close()
        self.socket.close()


class Sbc:
    """sbcd on a network of its own; `config` may be changed before start"""

    def __init__(self, folder, network):
        self.folder, self.network = str(folder), network
        text = open(f"{ROOT}/configs/quickstart.yaml").read()
        self.config = yaml.load(text.replace("127.0.0.", f"127.{network}."), yaml.BaseLoader)
        # The pace of the example only makes tests wait; those about pacing set it back
        self.config["session-router"]["sip-config"]["registration-rate"] = "1000"
        self.config["session-router"]["sip-config"]["sip-workers"] = os.environ.get("SBC_WORKERS", "1")
        # The disk and the processors of the machine are not what tests are about
        self.config["system"]["system-config"]["alarm-threshold"] = [
            {"type": kind, "severity": "critical", "value": "100"} for kind in ("cpu", "space")]
        self.process = None
        self.logs = 0
        self.build = BUILD
        self.database = f"{self.folder}/sbc.db"
        self.environment = {}

    def ip(self, host):
        return f"127.{self.network}.{host}"

    # --- shortcuts into the configuration

    def element(self, name, key=None):
        """Element by its first key, or the single one"""
        for folder in self.config.values():
            if name in folder:
                found = folder[name]
                if key is None:
                    return found
                return next(e for e in found if key in (e.get(k) for k in (
                    "identifier", "hostname", "realm-id", "register-host")))
        raise KeyError(name)

    def policy(self, realm):
        return next(p for p in self.element("local-policy") if p["source-realm"] == realm)

    # --- life

    def write(self):
        path = f"{self.folder}/sbc.yaml"
        with open(path, "w") as f:
            yaml.dump(self.config, f, sort_keys=False)
        return path

    @property
    def socket(self):
        return f"{self.folder}/acli.sock"

    def start(self, configured=True, level="DEBUG", within=5.0 * SLOWER):
        arguments = [f"{BUILD}/sbcd", "--db", self.database, "--socket", self.socket]
        if level:
            arguments += ["--log-level", level]
        if configured:
            arguments += ["--config", self.write()]
        self.logs += 1
        self.log = f"{self.folder}/sbcd.{self.logs}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT,
                                            env=dict(os.environ, **self.environment))
        limit = time.monotonic() + within
        while "sbcd: ready" not in open(self.log).read():
            assert self.process.poll() is None, "sbcd ended:\n" + open(self.log).read()
            assert time.monotonic() < limit, "sbcd is not ready:\n" + open(self.log).read()
            time.sleep(0.02)
        return self

    def stop(self, within=12.0):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(within)
        self.process = None
        text = open(self.log, errors="replace").read()
        assert code == 0 and "Sanitizer" not in text and "runtime error" not in text, text[-8000:]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def files_with_secrets(self):
        """Files of the run that hold a password, apart from the configuration given to sbcd"""
        found = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not name.endswith(".yaml") and \
                        b"secret-" in open(path, "rb").read():
                    found.append(path)
        return found

    def acli_status(self, *commands, options=()):
        """(exit status, what it printed)"""
        arguments = [f"{BUILD}/acli", "--socket", self.socket, "--timeout", "10", *options]
        for command in commands:
            arguments += ["-c", command]
        result = subprocess.run(arguments, capture_output=True, text=True)
        assert "secret-" not in result.stdout + result.stderr, commands
        return result.returncode, result.stdout + result.stderr

    def acli(self, *commands, check=True, options=()):
        code, output = self.acli_status(*commands, options=options)
        if check:
            assert code == 0, output
        return output

    def shell(self):
        """A connection to the control socket, line by line"""
        return Shell(self.socket)

    def waits(self, command, pattern, within=5.0):
        """Until the output of a command matches"""
        limit = time.monotonic() + within
        while True:
            output = self.acli(command)
            match = re.search(pattern, output)
            if match:
                return match
            assert time.monotonic() < limit, f"[{pattern}] never came:\n{output}"
            time.sleep(0.05)

    def no_alarm_is_left(self, within=5.0):
        """But that the machine had no time for a loop, which may be raised at any moment"""
        self.waits("show alarms", r"\AId.*\n(No alarms\.\n|(\d+ +loop-lag .*\n)+)\Z", within)

    def counter(self, command, row):
        match = re.search(rf"^{re.escape(row)}\s+.*?(\d+)\s+\d+\s*-?$", self.acli(command), re.M)
        return int(match.group(1))

    def session(self):
        """What `show sessions ID` says of the one call there is"""
        number = self.waits("show sessions", r"(?m)^(\d{6,}) ").group(1)
        return rows(self.acli(f"show sessions {number}"))

    def records(self, count=1, within=4.0, types=("stop", "attempt", "event")):
        """The newest call records of these types, newest first, once there are so many"""
        limit = time.monotonic() + within
        while True:
            found = [rows(text) for text in self.acli(f"show records {min(4 * count, 1000)}").split("\n\n")]
            found = [r for r in found if r.get("record-type") in types]
            if len(found) >= count:
                return found[:count]
            assert time.monotonic() < limit, f"{len(found)} records only"
            time.sleep(0.05)

    def logs_line(self, text, within=5.0, times=1):
        """Until the log, which has a thread of its own, says it so many times"""
        limit = time.monotonic() + within
        while open(self.log).read().count(text) < times:
            assert time.monotonic() < limit, f"[{text}] never came:\n{open(self.log).read()}"
            time.sleep(0.05)

    def ports_used(self):
        """Media ports that calls hold at this moment"""
        return int(re.search(r"^Used Ports\s+(\d+)", self.acli("show media"), re.M).group(1))

    def registered(self, count=20, within=8.0):
        self.waits("show surrogate-agents", rf"\b{count} registered", within)
        return self

    def no_session_is_left(self, within=5.0):
        self.waits("show sessions", r"^0 sessions|\n0 sessions", within)


@pytest.fixture
def sbc(tmp_path, request):
    network, keeper = next(networks)
    daemon = Sbc(tmp_path, network)
    if request.node.get_closest_marker("one_worker"):
        daemon.config["session-router"]["sip-config"]["sip-workers"] = "1"
    yield daemon
    daemon.stop()
    # Statement 51 of behaviour.md 7.2, after every test
    assert not daemon.files_with_secrets()
    keeper.close()


@pytest.fixture
def wall_clock(sbc, tmp_path):
    """Function that steps the wall clock of the SBC to so many seconds from the true one"""
    shim, file = f"{tmp_path}/wall_clock.so", f"{tmp_path}/offset"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, f"{ROOT}/tests/func/peers/wall_clock.c"],
                   check=True)

    def step(seconds):
        with open(file, "r+b") as f:
            f.write(seconds.to_bytes(8, "little", signed=True))

    open(file, "wb").write(bytes(8))
    sbc.environment = {"LD_PRELOAD": shim, "WALL_CLOCK": file,
                       "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return step


def pytest_configure(config):
    config.addinivalue_line("markers", "crosses(why): something crosses the SBC on purpose")
    config.addinivalue_line("markers", "one_worker(why): several signalling workers differ here by design")


@pytest.fixture
def peers(sbc, request):
    opened, wires = [], []
    checked = not request.node.get_closest_marker("crosses")

    def make(kind, *arguments, **words):
        # Those who keep no messages are listened to on the wire, but not at the pace of load
        if checked and not wires and kind in SILENT and words.get("trace", True):
            wires.append(Wire(sbc.ip(n) for n in (1, 2, 3)))
        peer = kind(*arguments, **words)
        opened.append(peer)
        return peer

    yield make
    for peer in opened:
        peer.close()
    heard = opened
    for wire in wires:
        wire.close()
        heard = wire.peers(opened)
    # Behaviour.md 3.1, after every test
    if checked:
        agents = sbc.config["session-router"].get("surrogate-agent", [])
        assert not crossings(heard, [a["customer-host"] for a in agents if "customer-host" in a])


@pytest.fixture
def trunk(sbc, peers):
    return peers(Trunk, sbc.ip(11), sbc.ip(1))


@pytest.fixture
def pbx_a(sbc, peers):
    return peers(Pbx, sbc.ip(12), sbc.ip(2), "pbx-a.local")


@pytest.fixture
def pbx_b(sbc, peers):
    return peers(Pbx, sbc.ip(13), sbc.ip(3), "pbx-b.local", media_port=30200)


@pytest.fixture
def kamailio(sbc, peers, tmp_path):
    """Function that starts Kamailio in the place of the trunk"""
    return lambda **words: peers(Kamailio, tmp_path, sbc.ip(11), sbc.ip(14), **words)


@pytest.fixture
def carrier(sbc, peers):
    """What stands behind Kamailio"""
    return peers(Carrier, sbc.ip(14), sbc.ip(11))
