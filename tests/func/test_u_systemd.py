"""
What systemd is told (sd_notify(3)), with a socket of ours in its place.

- READY=1 comes once every sip-port is bound; a start that fails never says it.
- WATCHDOG=1 comes at least twice in WATCHDOG_USEC, and stops when the signalling thread, or the one of
  the shell, hangs: a debugger holds that one thread.
- STOPPING=1 comes first at the end, with the time that calls may still take.
"""
import ctypes
import errno
import os
import signal
import socket
import time

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
SILENCE = 0.6  # [s] WATCHDOG_USEC


class Systemd:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)

    def hears(self, within):
        """The next message as a dict of its lines; None: silence"""
        self.socket.settimeout(within)
        try:
            text = self.socket.recv(4096).decode()
        except TimeoutError:
            return None
        return dict(line.split("=", 1) for line in text.splitlines())

    def forgets(self):
        while self.hears(0.001):
            pass


@pytest.fixture
def systemd(sbc, tmp_path):
    peer = Systemd(str(tmp_path / "notify"))
    sbc.environment = dict(sbc.environment, NOTIFY_SOCKET=str(tmp_path / "notify"),
                           WATCHDOG_USEC=str(int(SILENCE * 1e6)))
    yield peer
    peer.socket.close()


def ptrace(request, thread):
    LIBC.ptrace.argtypes = [ctypes.c_long] * 4
    assert LIBC.ptrace(request, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())


class Held:
    """One thread of a process stands still as long as this lasts"""
    def __init__(self, pid, name):
        tasks = [int(t) for t in os.listdir(f"/proc/{pid}/task")
                 if open(f"/proc/{pid}/task/{t}/comm").read().strip() == name]
        self.thread = pid if name == "sbcd" else tasks[0]

    def __enter__(self):
        ptrace(PTRACE_SEIZE, self.thread)
        ptrace(PTRACE_INTERRUPT, self.thread)
        os.waitpid(self.thread, 0x40000000)  # __WALL

    def __exit__(self, *_):
        ptrace(PTRACE_DETACH, self.thread)


def test_readiness_is_told_when_all_ports_are_bound(sbc, trunk, systemd):
    sbc.start()
    first = systemd.hears(2.0)
    assert first["READY"] == "1"
    port = sbc.element("sip-interface", "trunk")["sip-ports"][0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError) as e:
        probe.bind((port["address"], int(port.get("port", 5060))))
    assert e.value.errno == errno.EADDRINUSE


def test_signs_of_life_come_in_time_and_the_end_is_told(sbc, trunk, systemd):
    sbc.start()
    assert systemd.hears(2.0)["READY"] == "1"
    began, count = time.monotonic(), 0
    while count < 6:
        assert systemd.hears(SILENCE) == {"WATCHDOG": "1"}
        count += 1
    assert time.monotonic() - began < 6 * SILENCE / 2
    sbc.process.send_signal(signal.SIGTERM)
    while "STOPPING" not in (said := systemd.hears(2.0)):
        assert said == {"WATCHDOG": "1"}
    assert int(said["EXTEND_TIMEOUT_USEC"]) > 5e6 and said["WATCHDOG_USEC"] == said["EXTEND_TIMEOUT_USEC"]
    sbc.stop()
    assert systemd.hears(0.01) is None


@pytest.mark.parametrize("thread", ["sip-0", "sbcd"])
def test_a_thread_that_hangs_silences_the_watchdog(sbc, trunk, systemd, thread):
    sbc.start()
    assert systemd.hears(2.0)["READY"] == "1"
    with Held(sbc.process.pid, thread):
        systemd.forgets()
        systemd.hears(SILENCE)  # one may be under way
        assert systemd.hears(2 * SILENCE) is None
    assert systemd.hears(2 * SILENCE) == {"WATCHDOG": "1"}


def test_without_systemd_nothing_is_said(sbc, trunk, systemd):
    del sbc.environment["NOTIFY_SOCKET"]
    sbc.start()
    sbc.stop()
    assert systemd.hears(0.01) is None


def test_a_start_that_fails_is_never_ready(sbc, trunk, systemd):
    sbc.element("sip-interface", "trunk")["sip-ports"][0]["address"] = "192.0.2.1"
    with pytest.raises(AssertionError, match="sbcd ended"):
        sbc.start()
    sbc.process = None
    assert systemd.hears(0.01) is None
