"""
Power cuts (quality.md "Survival"): no corruption, whatever the disk had taken by then.

- Every write to the database, its WAL and the journal of records is noted in its order while calls,
  registrations and activations go on (peers/power.c). A cut at any step leaves all that was synced, and of
  the rest nothing, all, or any part of it in pieces of 512 bytes: the disk keeps no order of its own.
- Each such image is opened: undamaged, with the version that ran, every record older than the last second,
  and no CSeq that was sent before.
- Files copied while they are written to are opened, too.
- With ./test.sh soak there are more cuts.
"""
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import threading
import time

import pytest

from test_s_survival import is_undamaged

HERE = os.path.dirname(os.path.abspath(__file__))
SOAK = "SBC_SOAK" in os.environ
LOAD = 12 if SOAK else 5      # [s]
CUTS = 60 if SOAK else 12
SECTOR = 512                  # the disk writes no smaller piece
LAST_SECOND = 2.5             # a record is moved once a second, and a busy machine takes its time
WRITE, SYNC, TRUNCATE, UNLINK = 1, 2, 3, 4
HEAD = struct.Struct("=I16sQQQ")


class Disk:
    """The files that a power cut leaves"""

    def __init__(self):
        self.kept, self.pending = {}, {}

    def take(self, op, name, offset, data):
        if op == SYNC:
            for step in self.pending.pop(name, []):
                self.apply(name, *step)
        elif op == UNLINK:
            self.kept.pop(name, None)
            self.pending.pop(name, None)
        else:
            self.pending.setdefault(name, []).append((op, offset, data))

    def apply(self, name, op, offset, data):
        file = self.kept.setdefault(name, bytearray())
        if op == TRUNCATE:
            del file[offset:]
            file.extend(bytes(offset - len(file)))
        else:
            file.extend(bytes(max(0, offset - len(file))))
            file[offset:offset + len(data)] = data

    def cut(self, chance):
        """The power is off: what was not synced is there with this chance, sector by sector"""
        for name, steps in self.pending.items():
            for op, offset, data in steps:
                if op == TRUNCATE:
                    if random.random() < chance:
                        self.apply(name, op, offset, data)
                    continue
                for at in range(0, len(data), SECTOR):
                    if random.random() < chance:
                        self.apply(name, op, offset + at, data[at:at + SECTOR])
        return self.kept


def steps_of(path):
    """(op, file, time, offset, data) of each step that was noted"""
    data, at, found = open(path, "rb").read(), 0, []
    while at + HEAD.size <= len(data):
        op, name, when, offset, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        body = data[at:at + length] if op == WRITE else b""
        at += len(body)
        found.append((op, name.rstrip(b"\0").decode(), when / 1e6, offset, body))
    return found


def image(steps, count, chance):
    disk = Disk()
    for op, name, _, offset, data in steps[:count]:
        disk.take(op, name, offset, data)
    return disk.cut(chance)


@pytest.fixture
def noted(sbc, tmp_path):
    """Path of the steps that sbcd took since its start"""
    shim, log = f"{tmp_path}/power.so", f"{tmp_path}/steps"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, f"{HERE}/peers/power.c"], check=True)
    sbc.environment = {"LD_PRELOAD": shim, "POWER_LOG": log, "POWER_FILES": sbc.database,
                       "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return log


class Load:
    """Calls one after the other, and activations beside them; (time of the end, what) of each"""

    def __init__(self, sbc, pbx):
        self.sbc, self.pbx = sbc, pbx
        self.calls, self.versions = [], []
        self.going = True
        self.failed = None

    def activate(self):
        try:
            while self.going:
                number = len(self.versions) + 2
                for agent in self.sbc.element("surrogate-agent"):
                    agent["register-retry-time"] = str(100 + number)
                self.sbc.acli(f"import-config {self.sbc.write()}", "save-config", "activate-config")
                self.versions.append((time.monotonic(), number))
        except AssertionError as failure:
            self.failed = failure

    def run(self, seconds, beside=lambda: None):
        thread = threading.Thread(target=self.activate)
        thread.start()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                number = f"0{len(self.calls):07d}"
                self.pbx.calls(number).until_answered().hang_up()
                self.calls.append((time.monotonic(), number))
                beside()
        finally:
            self.going = False
            thread.join()
        assert not self.failed, self.failed


def ran(sbc, version):
    """Is it this version as a whole, or a later one?"""
    running = int(re.search(r"running configuration +(\d+)", sbc.acli("show version")).group(1))
    values = set(re.findall(r"register-retry-time +(\d+)",
                            sbc.acli("show running-config surrogate-agent")))
    assert running >= version
    assert values == ({str(100 + running)} if running > 1 else {"30"})


def numbers_called(path):
    """Of all records: show records has the newest thousand"""
    db = sqlite3.connect(path)
    found = {number for number, in db.execute('SELECT "called-number" FROM record')}
    db.close()
    return found


def cseqs(trunk, before=None, since=0):
    """The highest CSeq of each Call-ID that REGISTERed"""
    found = {}
    for m in trunk.seen[since:]:
        if m.status is None and m.method == "REGISTER" and (before is None or m.time < before):
            found[m.call_id] = max(found.get(m.call_id, 0), m.cseq)
    return found


def test_a_power_cut_at_any_moment_leaves_an_undamaged_database(sbc, noted, trunk, pbx_a, tmp_path):
    trunk.granted = 8         # refreshed between 4 and 7.2 s
    sbc.start(level="NOTICE").registered()
    begun = time.monotonic()
    load = Load(sbc, pbx_a)
    load.run(LOAD)
    sbc.kill()
    steps = steps_of(noted)
    first = next(i for i, step in enumerate(steps) if step[2] > begun)
    assert {name for _, name, *_ in steps} >= {"", "-wal", ".records"}
    assert len(load.versions) >= 3 and len(load.calls) >= 20
    sbc.environment = {}
    key = f"{sbc.folder}/sbc.key"

    for n in range(CUTS):
        count = random.randrange(first, len(steps) + 1)
        when = steps[count - 1][2]
        chance = (0.0, 1.0, 0.5, random.random())[n % 4]
        folder = tmp_path / f"cut{n}"
        folder.mkdir()
        sbc.database = f"{folder}/sbc.db"
        for suffix, data in image(steps, count, chance).items():
            open(sbc.database + suffix, "wb").write(data)
        shutil.copy(key, folder)
        said = f"cut {n} after step {count} of {len(steps)}, {chance:.2f} of what was not synced"
        shutil.copytree(folder, f"{folder}.looked-at")
        is_undamaged(f"{folder}.looked-at/sbc.db")

        since = len(trunk.seen)
        sbc.start(configured=False, level="NOTICE")
        ran(sbc, max([1] + [v for t, v in load.versions if t < when]))
        assert sbc.acli_status("verify-config static")[0] == 0, said
        known = numbers_called(sbc.database)
        lost = [c for t, c in load.calls if t < when - LAST_SECOND and c not in known]
        assert not lost, f"{said}: {len(lost)} records lost"
        # Whatever row was lost: no REGISTER has a number that this Call-ID had
        sent = cseqs(trunk, when)
        sbc.acli("notify sipd register all")
        sbc.registered()
        trunk.wait(lambda m: m.status is None and m.method == "REGISTER", 3.0, since)
        lowest = {}
        for m in trunk.seen[since:]:
            if m.status is None and m.method == "REGISTER":
                lowest.setdefault(m.call_id, m.cseq)
        assert lowest and all(cseq > sent.get(call_id, 0) for call_id, cseq in lowest.items()), said
        sbc.kill()
        is_undamaged(sbc.database)
        shutil.rmtree(folder)
        shutil.rmtree(f"{folder}.looked-at")


def test_copies_of_the_files_under_load_open_undamaged(sbc, trunk, pbx_a, tmp_path):
    """The process stands still for each copy, as under a snapshot of the disk"""
    sbc.start(level="NOTICE").registered()
    copies = []

    def copy():
        if random.random() > 0.3 or len(copies) >= 4 * CUTS:
            return
        folder = tmp_path / f"copy{len(copies)}"
        folder.mkdir()
        sbc.process.send_signal(signal.SIGSTOP)
        time.sleep(0.002)                 # it stops when it is scheduled next
        for name in ("sbc.db", "sbc.db-wal", "sbc.db.records", "sbc.key"):
            if os.path.exists(f"{sbc.folder}/{name}"):
                shutil.copy(f"{sbc.folder}/{name}", folder)
        sbc.process.send_signal(signal.SIGCONT)
        copies.append(folder)

    load = Load(sbc, pbx_a)
    load.run(LOAD / 2, copy)
    sbc.stop()
    assert len(copies) >= 3
    for folder in copies:
        db = sqlite3.connect(f"{folder}/sbc.db")
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
    sbc.database = f"{random.choice(copies)}/sbc.db"
    sbc.start(configured=False, level="NOTICE")
    ran(sbc, 1)
    assert sbc.acli_status("verify-config static")[0] == 0
