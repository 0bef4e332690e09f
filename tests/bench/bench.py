"""
CPU of sbcd per unit of work, memory per held call, and what the small programs say.

CPU is user + system time of all threads of sbcd, read from /proc before and after. Load comes from
SIPp on both sides. Three runs each: median and range. Targets: quality.md.

quality.md has its targets from a machine on which Kamailio (stateful proxy, fast allocator) takes 0.070 s
for 1,000 plain calls. How much it takes here changes with the hour and with the rate: a wake-up of an idle
virtual processor costs 20 us, whatever is done in it. So Kamailio runs between our loads at the same rate,
and each figure of a call is also given as it would be where Kamailio takes 0.070; targets hold for these.
What quality.md compares, media not through the SBC and a rate that keeps the thread busy, must hold as
measured, too.

Where a slow hour does not let one thread take 8,000 calls a second, BENCH_RATE=4000 says how many are busy; where one
run differs much from the next, BENCH_RUNS=7 (up to 9) makes more than three of them.

In a virtual machine memory that is touched for the first time is the host's work, and charged to whoever
touches it. So it is touched before each load of calls, for SBC and Kamailio alike (`back`).

    ./test.sh bench
    /usr/bin/python3 tests/bench/bench.py [NAME]...     of: calls kamailio numbers steady overload workers held structures registrations refresh scale turns programs
    /usr/bin/python3 tests/bench/bench.py turns [DATABASE]...     commands of operators: turns.py
"""
import bisect
import json
import mmap
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/func")
HERE = f"{ROOT}/tests/bench"
BUILD = os.environ.setdefault("SBC_BUILD", f"{ROOT}/build-release")  # conftest.py reads it, too
CALLS, RATE = 16000, 2000
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
BUSY_RATE = int(os.environ.get("BENCH_RATE", "8000"))  # more than SIPp can make
BUSY_CALLS = 6 * BUSY_RATE
BACKED = 1024  # memory that is free and touched before a load of calls [MiB]
SLOW_CALLS, SLOW_RATE = 4000, 400  # a rate at which nearly every message wakes the thread up
QUOTED, FIRST = 0.070, 0.120  # Kamailio's plain call in quality.md; what a challenged call may take at first
OVERLOAD_FROM, OVERLOAD_TO, OVERLOAD_SECONDS = 4000, 24000, 8
WORKERS_RATE, WORKERS_FROM = 8000, 10000
HELD, HELD_RATE, HOLD = 20000, 1000, 64000  # [ms]
STEADY = 10  # [s]
REST = 36  # 64*T1 and some seconds: nothing waits for a late answer any more [s]
AORS = 10000
TICK = os.sysconf("SC_CLK_TCK")
rows = []
missed = []  # what did not reach its target, and loads in which calls failed


def row(work, values, unit, target, most=None):
    """`most` is what the median may be; above it the benchmark fails"""
    text = f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"
    if most is not None and statistics.median(values) > most:
        missed.append(f"{work}: {text} {unit}, at most {most} wanted")
        target += ", MISSED"
    rows.append((work, text, unit, target))
    print(f"{work:58} {text:>26} {unit:14} target {target}", flush=True)


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of_workers(pid):
    """CPU seconds of each signalling thread"""
    tasks = (open(f"/proc/{pid}/task/{task}/stat").read().rsplit(")", 1) for task in os.listdir(f"/proc/{pid}/task"))
    return {name.split("(", 1)[1]: (int(rest.split()[11]) + int(rest.split()[12])) / TICK
            for name, rest in tasks if "(sip-" in name}


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def back():
    """Touch memory and free it: the host has it ready then"""
    with mmap.mmap(-1, BACKED << 20) as free:
        free.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, BACKED << 20, mmap.PAGESIZE):
            free[at] = 1


class Load:
    """SIPp on both sides of whoever stands at host 2 of the network"""

    def sipp(self, scenario, host, port, *arguments):
        # SIPp's default buffer of 64 KiB holds two dozen messages
        return subprocess.Popen(
            ["sipp", "-sf", f"{HERE}/{scenario}", "-i", self.ip(host), "-p", str(port),
             "-nostdin", "-buff_size", "4194304", "-trace_err", "-error_file", f"{self.folder.name}/{scenario}.err",
             *arguments], cwd=self.folder.name, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def load(self, uas, calls, rate, hold):
        """Calls from the PBX to the trunk; CPU seconds used in between"""
        back()
        trunk = self.sipp(uas, 11, 5060, "-m", str(calls), "-timeout", "120")
        time.sleep(0.3)
        before = self.used()
        pbx = self.sipp("uac.xml", 12, 5060, f"{self.ip(2)}:5060", "-m", str(calls), "-r", str(rate),
                        "-l", str(calls), "-d", str(hold), "-timeout", "120",
                        "-trace_stat", "-stf", f"{self.folder.name}/stat.csv", "-fd", "1")
        code = pbx.wait()
        used = self.used() - before
        trunk.terminate()
        trunk.wait()
        if code:
            missed.append(f"calls failed in SIPp: {type(self).__name__}, {uas}, {calls} calls at {rate}/s")
            print(f"   {missed[-1]}", flush=True)
        return used


    def generate(self, calls, rate, *arguments):
        """The same by our own generator, which can make more and plays loss; what it reports, with `used` CPU seconds"""
        back()
        before = self.used()
        p = subprocess.run([f"{BUILD}/tests/bench_generator", "--pbx", self.ip(12), "--trunk", self.ip(11), "--sbc", self.ip(2),
                            "--calls", str(calls), "--rate", str(rate), *arguments], capture_output=True, text=True, timeout=120)
        report = json.loads(p.stdout.splitlines()[-1])
        return {**report, "used": self.used() - before, "goodput": report["completed"] / report["seconds"]}


class Kamailio(Load):
    """A stateful proxy in the place of the SBC, with its default or its fast allocator"""

    def __init__(self, network, fast):
        self.network, self.folder = network, tempfile.TemporaryDirectory()
        self.arguments = ["-x", "fm", "-X", "fm"] if fast else []

    def ip(self, host):
        return f"127.{self.network}.{host}"

    def __enter__(self):
        text = open(f"{HERE}/kamailio.cfg").read().replace("LISTEN", self.ip(2)).replace("TRUNK", self.ip(11))
        with open(f"{self.folder.name}/kamailio.cfg", "w") as file:
            file.write(text)
        self.process = subprocess.Popen(
            ["kamailio", "-f", file.name, "-DD", "-E", "-m", "2048", "-M", "64", "-Y", self.folder.name,
             *self.arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def used(self):
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        return sum(cpu(pid) for pid in [self.process.pid, *children])


class Bench(Load):
    """An SBC with a PBX realm and a trunk realm; `changes` are made to the configuration"""

    def __init__(self, network, change=None):
        from conftest import Sbc
        self.folder = tempfile.TemporaryDirectory()
        self.sbc = Sbc(self.folder.name, network)
        self.sbc.config["session-router"]["surrogate-agent"] = []
        for pool in self.sbc.element("steering-pool"):
            pool["start-port"], pool["end-port"] = "10000", "65001"
        if change:
            change(self.sbc)

    def __enter__(self):
        self.sbc.start(level="WARNING", within=60)
        return self

    def __exit__(self, *failure):
        self.sbc.kill()
        self.folder.cleanup()

    @property
    def pid(self):
        return self.sbc.process.pid

    def ip(self, host):
        return self.sbc.ip(host)

    def used(self):
        return cpu(self.pid)


def direct_media(sbc):
    sbc.config["media-manager"]["media-manager"] = {"state": "disabled"}


def no_nonces(sbc):
    sbc.config["session-router"]["sip-config"]["nonce-cache-size"] = "0"


def proves_invites(sbc):
    """A cached nonce is for INVITE, as the row of quality.md has it; else BYE, too, computes an answer (behaviour.md 6.4)"""
    direct_media(sbc)
    for entry in sbc.element("realm-config", "trunk")["auth-attributes"]:
        entry["in-dialog-methods"] = ["INVITE"]


def kamailio(network, fast, rate, calls):
    with Kamailio(network, fast) as k:
        return k.load("uas.xml", calls, rate, 100) * 1000 / calls


def bench_calls():
    def challenged(sbc):
        direct_media(sbc)
        no_nonces(sbc)
    loads = {  # change, UAS, calls, rate, target, most as measured, most beside Kamailio
        "call INVITE-180-200-ACK-BYE": (direct_media, "uas.xml", CALLS, RATE, "0.060", None, None),
        "the same, every INVITE challenged with 407": (challenged, "uas-407.xml", CALLS, RATE, "0.075; 0.120 first", FIRST, FIRST),
        "the same, cached nonce in INVITE": (proves_invites, "uas.xml", CALLS, RATE, "0.060", None, None),
        "the same, cached nonce in INVITE and BYE": (direct_media, "uas.xml", CALLS, RATE, "", None, None),
        "challenged, with media ports opened and closed": (no_nonces, "uas-407.xml", CALLS, RATE, "0.120 first", None, FIRST),
        "challenged, slow": (challenged, "uas-407.xml", SLOW_CALLS, SLOW_RATE, "0.120 first", None, FIRST),
    }
    measured, beside, proxy = {}, {}, {}
    for run in range(RUNS):
        for n, (name, (change, uas, calls, rate, *_)) in enumerate(loads.items()):
            with Bench(f"{120 + n}.{run + 1}", change) as b:
                if "cached" in name:
                    b.load("uas-407.xml", 1, 1, 100)
                measured.setdefault(name, []).append(b.load(uas, calls, rate, 100) * 1000 / calls)
            yardstick = kamailio(f"127.{run * 10 + n + 1}", True, rate, calls)
            proxy.setdefault(rate, []).append(yardstick)
            beside.setdefault(name, []).append(measured[name][-1] * QUOTED / yardstick)
    for name, (_, _, _, rate, target, most, most_beside) in loads.items():
        row(f"{name}, {rate}/s", measured[name], "s CPU / 1000", target, most)
        row(f"    where Kamailio takes {QUOTED:.3f}", beside[name], "s CPU / 1000", target, most_beside)
    for rate, figures in proxy.items():
        row(f"Kamailio, stateful proxy, fast allocator, plain, {rate}/s", figures, "s CPU / 1000", f"(quality.md: {QUOTED:.3f})")


def make(*programs):
    subprocess.run(["ninja", "-C", BUILD, "--quiet", *[f"tests/bench_{n}" for n in programs]], check=True)


def bench_numbers():
    """Our generator on both sides, Kamailio beside it: all calls to one number, each to its own; twice as many as SIPp
    can make, and more; packets lost and late"""
    make("generator")
    prove = ("--challenge", "trunk.example:a1:secret-a1")

    def challenged(sbc):
        direct_media(sbc)
        no_nonces(sbc)
    loads = {  # rate, change, generator's options, target
        "plain, a number each": (RATE, direct_media, (), "0.060"),
        "plain, one number": (RATE, direct_media, ("--one-number",), "0.060"),
        "challenged, a number each": (RATE, challenged, prove, "0.075"),
        "challenged, one number": (RATE, challenged, (*prove, "--one-number"), "0.075"),
        "cached nonce in INVITE": (RATE, proves_invites, (), "0.060"),
        "cached nonce in INVITE and BYE": (RATE, direct_media, (), ""),
        "challenged, 1 % lost and 20 ms late each way": (RATE, challenged, (*prove, "--loss", "1", "--delay", "20"), ""),
        "plain": (BUSY_RATE, direct_media, (), "0.060"),
        "with every INVITE challenged": (BUSY_RATE, challenged, prove, "0.075"),
        "with a cached nonce in INVITE": (BUSY_RATE, proves_invites, (), "0.060"),
        "with a cached nonce in INVITE and BYE": (BUSY_RATE, direct_media, (), ""),
    }
    measured, beside, proxy = {}, {}, {}
    for run in range(RUNS):
        for n, (name, (rate, change, options, _)) in enumerate(loads.items()):
            calls = BUSY_CALLS if rate == BUSY_RATE else CALLS
            with Bench(f"{130 + run}.{n + 1}", change) as b:
                if "cached" in name:
                    b.load("uas-407.xml", 1, 1, 100)
                r = b.generate(calls, rate, *options)
            measured.setdefault(name, []).append(r["used"] * 1000 / calls)
            if r["completed"] != calls or r["wrong_digests"]:
                missed.append(f"generator, {name}, {rate}/s: {r}")
        for n, rate in enumerate((RATE, BUSY_RATE)):
            with Kamailio(f"127.{run * 10 + n + 1}", True) as k:
                calls = BUSY_CALLS if rate == BUSY_RATE else CALLS
                proxy.setdefault(rate, []).append(k.generate(calls, rate)["used"] * 1000 / calls)
        for name, (rate, *_) in loads.items():
            beside.setdefault(name, []).append(measured[name][-1] * QUOTED / proxy[rate][-1])
    for name, (rate, _, _, target) in loads.items():
        row(f"call by our generator, {name}, {rate}/s", measured[name], "s CPU / 1000", target)
        row(f"    where Kamailio takes {QUOTED:.3f}", beside[name], "s CPU / 1000", target)
    for rate, figures in proxy.items():
        row(f"Kamailio, stateful proxy, fast allocator, plain, by our generator, {rate}/s", figures, "s CPU / 1000",
            f"(quality.md: {QUOTED:.3f})")


def steady(load):
    """CPU per 1000 calls when as many end their 64*T1 as begin: what a call costs for good, not from a fresh start"""
    generator = subprocess.Popen(
        [f"{BUILD}/tests/bench_generator", "--pbx", load.ip(12), "--trunk", load.ip(11), "--sbc", load.ip(2),
         "--calls", str((REST + STEADY + 4) * RATE), "--rate", str(RATE)], stdout=subprocess.PIPE, text=True)
    time.sleep(REST)
    before = load.used()
    time.sleep(STEADY)
    used = load.used() - before
    report = json.loads(generator.communicate(timeout=120)[0].splitlines()[-1])
    if report["completed"] != report["calls"]:
        missed.append(f"steady: {type(load).__name__}: {report}")
    return used * 1000 / (STEADY * RATE)


def bench_steady():
    """Plain calls with 64*T1 of calls behind them"""
    make("generator")
    measured, proxy = [], []
    for run in range(RUNS):
        with Bench(f"140.{run + 1}", direct_media) as b:
            measured.append(steady(b))
        with Kamailio(f"127.{150 + run}", True) as k:
            proxy.append(steady(k))
    row(f"plain call with {REST} s of calls behind it, {RATE}/s", measured, "s CPU / 1000", "0.060")
    row(f"    where Kamailio takes {QUOTED:.3f}", [x * QUOTED / y for x, y in zip(measured, proxy)], "s CPU / 1000", "0.060")
    row("    Kamailio, stateful proxy, fast allocator", proxy, "s CPU / 1000", f"(quality.md: {QUOTED:.3f})")


def bench_overload():
    """The most calls per second of which none is refused or repeated, and what is left of it at twice that rate"""
    make("generator")
    best, shares, repeated = [], [], []
    for run in range(RUNS):
        rate, most = OVERLOAD_FROM, None
        while rate <= OVERLOAD_TO:
            with Bench(f"135.{run * 40 + rate // 1000}", direct_media) as b:
                r = b.generate(rate * OVERLOAD_SECONDS, rate)
            if r["completed"] < r["calls"] or r["repeated"]:
                break
            most, rate = rate, rate + 1000
        if not most:
            missed.append(f"overload: {OVERLOAD_FROM}/s is too much already: {r}")
            continue
        with Bench(f"136.{run + 1}", direct_media) as b:
            r = b.generate(2 * most * OVERLOAD_SECONDS, 2 * most)
        best.append(most)
        shares.append(100 * r["goodput"] / most)
        repeated.append(1000 * r["repeated"] / r["calls"])
    if best:
        row("most plain calls per second, none refused, nothing repeated", best, "/s", "")
        row("goodput at twice that rate", shares, "% of it", "90")
        row("    messages that were repeated then", repeated, "per 1000 calls", "")
        if statistics.median(shares) < 90:
            missed.append(f"goodput at twice the most: {shares}")


def bench_workers():
    """What a second signalling worker takes off the first, and how many more calls that makes, where the machine has
    processors left: generator and SBC share two of them here"""
    make("generator")
    busiest, most = {1: [], 2: []}, {1: [], 2: []}

    def several(workers):
        def change(sbc):
            direct_media(sbc)
            sbc.config["session-router"]["sip-config"]["sip-workers"] = str(workers)
        return change
    for run in range(RUNS):
        for workers in busiest:
            with Bench(f"137.{10 * run + workers}", several(workers)) as b:
                before = cpu_of_workers(b.pid)
                r = b.generate(WORKERS_RATE * OVERLOAD_SECONDS, WORKERS_RATE)
                used = cpu_of_workers(b.pid)
            busiest[workers].append(max(used[name] - before[name] for name in used) * 1000 / r["calls"])
            if r["completed"] != r["calls"]:
                missed.append(f"{workers} workers: {r}")
            best = 0
            for rate in range(WORKERS_FROM, OVERLOAD_TO, 1000):
                with Bench(f"138.{40 * run + 20 * (workers - 1) + rate // 1000 % 20}", several(workers)) as b:
                    r = b.generate(rate * OVERLOAD_SECONDS, rate)
                if r["completed"] < r["calls"] or r["repeated"]:
                    break
                best = rate
            most[workers].append(best)
    row(f"signalling thread of one worker, plain calls, {WORKERS_RATE}/s", busiest[1], "s CPU / 1000", "")
    row("    the busier of two", busiest[2], "s CPU / 1000", "less")
    row("most plain calls per second, none refused, nothing repeated, one worker", most[1], "/s", "")
    row("    two workers", most[2], "/s", "more")
    if statistics.median(busiest[2]) > 0.7 * statistics.median(busiest[1]) or statistics.median(most[2]) <= statistics.median(most[1]):
        missed.append(f"two workers against one: {busiest} s CPU per 1000 of the busiest, {most} calls per second")


def bench_kamailio():
    """What the proxy takes with the allocator that Debian's package starts with"""
    figures = [kamailio(f"128.{run + 1}", False, RATE, CALLS) for run in range(RUNS)]
    row(f"Kamailio, stateful proxy, default allocator, plain, {RATE}/s", figures, "s CPU / 1000", "(quality.md: 0.23)")


class Tally:
    """What an SBC has allocated: bench_tally.so asks jemalloc. With `stacks` also by whom, which makes it slow"""

    def __init__(self, bench, stacks=False):
        self.bench, self.stem, self.n = bench, f"{bench.folder.name}/tally", 0
        bench.sbc.environment = {"LD_PRELOAD": f"{BUILD}/tests/bench_tally.so", "TALLY": self.stem}
        if stacks:
            bench.sbc.environment["MALLOC_CONF"] = "prof:true,lg_prof_sample:0"

    def take(self):
        """(bytes allocated, bytes resident) now, when what is free went back to the kernel"""
        path = f"{self.stem}.{self.n}.size"
        os.kill(self.bench.pid, signal.SIGRTMIN)
        limit = time.monotonic() + 60
        while not os.path.exists(path):
            assert time.monotonic() < limit, "no tally"
            time.sleep(0.02)
        self.n += 1
        return int(open(path).read().split()[0]), resident(self.bench.pid) * 1024

    def stacks(self, n):
        """{addresses of sbcd in the stack, innermost first: (objects, bytes)} of the n-th tally"""
        text, maps = open(f"{self.stem}.{n}.heap").read().split("MAPPED_LIBRARIES:")
        places = [line.split() for line in maps.splitlines() if line.endswith("/sbcd")]
        base = int(places[0][0].split("-")[0], 16) - int(places[0][2], 16)
        end = max(int(place[0].split("-")[1], 16) for place in places)
        found = {}
        for stack, objects, size in re.findall(r"@ ([0-9a-fx ]+)\n  t\*: (\d+): (\d+)", text):
            key = tuple(a - base - 1 for a in (int(x, 16) for x in stack.split()) if base <= a < end)
            before = found.get(key, (0, 0))
            found[key] = (before[0] + int(objects), before[1] + int(size))
        return found


def held(network):
    """Bytes that a held call takes: (allocated, resident) when the last one is answered, and 64*T1 later"""
    b = Bench(network, direct_media)
    tally = Tally(b)
    with b:
        # The database keeps up to 4 MiB of its pages in memory: a start record and a last one of each of these
        b.generate(13000, RATE, "--hold", "10")
        time.sleep(REST)
        before = tally.take()
        generator = subprocess.Popen(
            [f"{BUILD}/tests/bench_generator", "--pbx", b.ip(12), "--trunk", b.ip(11), "--sbc", b.ip(2), "--calls", str(HELD),
             "--rate", str(HELD_RATE), "--hold", str(HOLD)], stdout=subprocess.PIPE, text=True)
        time.sleep(HELD / HELD_RATE + 1)
        fresh = tally.take()
        time.sleep(REST)
        settled = tally.take()
        report = json.loads(generator.communicate(timeout=180)[0].splitlines()[-1])
        if report["completed"] != HELD:
            missed.append(f"{HELD} held: {report}")
    return [[(now - then) / HELD / 1024 for now, then in zip(x, before)] for x in (fresh, settled)]


def bench_held():
    make("generator", "tally.so")
    runs = [held(f"125.{run + 1}") for run in range(RUNS)]
    row(f"memory of a held call, {HELD} held, the last one just answered", [r[0][1] for r in runs], "KiB", "")
    row("    of it allocated", [r[0][0] for r in runs], "KiB", "")
    row(f"memory of a held call, {HELD} held for longer than 64*T1", [r[1][1] for r in runs], "KiB", "4", 4)
    row("    of it allocated", [r[1][0] for r in runs], "KiB", "")


# What an allocation is, by the functions that made it, innermost first: the first rule that matches one of them.
# What begins with "beside": the SBC's own, with a bound that has nothing to do with calls
STRUCTURES = [
    ("beside: pages of the database, 4 MiB at most, and its queue", r"^statement_|^connection_|^records?_|^put_run|^reel_|^put_csv"),
    ("which row of an AoR counts, for the writer", r"^slots_grow|^segments_grow|^newest_"),
    ("beside: history of alarms", r"^alarm_|^history_"),
    ("slots of hash tables", r"^grow$|^table_add"),
    ("texts of two dialogs and a record, a block each", r"^cdr_|^texts_|^text_put|^text_tagged"),
    ("struct hunt", r"^hunt_alloc"),
    ("struct leg", r"^leg_make|^leg_twin"),
    ("struct media_report", r"^report_of"),
    ("struct media", r"^media_alloc"),
    ("struct stream, of media", r"^stream_reserve"),
    ("struct call", r"^call_place"),
    ("struct parting: a leg that waits for a late 2xx", r"^parting_"),
    ("struct repeat: a 2xx that waits for its ACK", r"^repeat_start"),
    ("struct transaction, server", r"^transaction_open"),
    ("struct transaction, client", r"^client_open"),
    ("bytes of an answer", r"^wire_response"),
    ("bytes of a request", r"^wire_request"),
    ("struct registration", r"^registration_alloc"),
    ("texts of a registration", r"^registration_text"),
    ("a credential that was looked up, at most credential-cache-size", r"^cached_make"),
]


class Symbols:
    """Names of the functions of sbcd; with debug information those that were inlined, too"""

    def __init__(self):
        table = subprocess.run(["nm", "--defined-only", f"{BUILD}/sbcd"], capture_output=True, text=True, check=True).stdout
        self.functions = sorted((int(a, 16), name) for a, kind, name in (line.split() for line in table.splitlines()
                                                                      if len(line.split()) == 3) if kind in "tT")
        self.names = {}

    def look_up(self, addresses):
        new = sorted(set(addresses) - set(self.names))
        said = subprocess.run(["addr2line", "-a", "-i", "-f", "-e", f"{BUILD}/sbcd"], input="\n".join(map(hex, new)),
                              capture_output=True, text=True).stdout
        for part in re.split(r"^0x", said, flags=re.M)[1:]:
            lines = part.splitlines()
            names = [name for name in lines[1::2] if name != "??"]
            address = int(lines[0], 16)
            near = bisect.bisect(self.functions, (address, "~")) - 1
            self.names[address] = names or [self.functions[near][1]]
        return self.names


def structures(symbols, now, then, n):
    """{structure: (objects, bytes) of each of n} by which there is more now than then"""
    names = symbols.look_up(a for stack in (*now, *then) for a in stack[:8])
    found = {}
    for stack in {*now, *then}:
        chain = [name for a in stack[:8] for name in names[a]]
        what = next((what for what, rule in STRUCTURES if any(re.search(rule, name) for name in chain[:8])),
                    "other: " + " < ".join(chain[:2]))
        plus, minus, total = now.get(stack, (0, 0)), then.get(stack, (0, 0)), found.get(what, (0, 0))
        found[what] = tuple(t + (p - m) / n for t, p, m in zip(total, plus, minus))
    return found


def structures_of_calls(network, symbols, change, n=2000):
    """What a call has when it is answered and 64*T1 later, and what is left when it ended: a long one, a short one"""
    b = Bench(network, change)
    tally = Tally(b, stacks=True)
    with b:
        b.generate(200, 100)
        time.sleep(REST)
        tally.take()
        generator = subprocess.Popen(
            [f"{BUILD}/tests/bench_generator", "--pbx", b.ip(12), "--trunk", b.ip(11), "--sbc", b.ip(2), "--calls", str(n),
             "--rate", "500", "--hold", "45000"], stdout=subprocess.PIPE, text=True)
        time.sleep(n / 500 + 1)
        tally.take()
        time.sleep(REST)
        tally.take()
        generator.communicate(timeout=120)
        time.sleep(1)
        tally.take()
        time.sleep(REST)
        tally.take()
        b.generate(n, 500)
        time.sleep(1)
        tally.take()
        return [structures(symbols, tally.stacks(last), tally.stacks(first), n)
                for first, last in ((0, 1), (0, 2), (0, 3), (4, 5))]


def structures_of_registrations(network, symbols, n=10000, few=100):
    """What one AoR more has from the start, what more once it is registered, and that 64*T1 later"""
    stacks = []
    for aors in (few, n):
        b = Bench(f"{network}{aors % 7}", agents(aors, aors, 1000))
        tally = Tally(b, stacks=True)
        registrar = Registrar(b.sbc, 3600, 2 * n // 1000 + 60)
        with b:
            tally.take()
            b.sbc.waits("show registration", rf"Surrogate Regs +{aors}\b", 2 * n // 1000 + 60)
            tally.take()
            time.sleep(REST)
            tally.take()
            registrar.report()
            stacks.append([tally.stacks(i) for i in range(3)])
    (none, *_), (begun, fresh, later) = stacks
    return [structures(symbols, begun, none, n - few), structures(symbols, fresh, begun, n), structures(symbols, later, begun, n)]


def structures_table(title, columns, found):
    """Lines of Markdown: rows by size, what is below half a byte left out, what is the SBC's own behind the sum"""
    def cell(column, what):
        objects, size = column.get(what, (0, 0))
        return f"{size:.0f} ({objects:.2f})" if abs(size) >= 0.5 else ""
    whats = sorted({what for column in found for what in column}, key=lambda w: -max(c.get(w, (0, 0))[1] for c in found))
    table = {what: [cell(column, what) for column in found] for what in whats}
    table = {what: cells for what, cells in table.items() if any(cells)}
    sums = [sum(size for what, (_, size) in column.items() if not what.startswith("beside")) for column in found]
    return [f"| {title} | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns),
            *(f"| {what} | " + " | ".join(cells) + " |" for what, cells in table.items() if not what.startswith("beside")),
            "| in all | " + " | ".join(f"{size:.0f}" for size in sums) + " |",
            *(f"| {what} | " + " | ".join(cells) + " |" for what, cells in table.items() if what.startswith("beside")), ""]


def bench_structures():
    """Bytes (and objects) per structure, as the allocator rounds them; goes into RESULTS.md by itself"""
    make("generator", "tally.so")
    symbols = Symbols()
    moments = ["just answered", "64*T1 later", "just ended", "a short one just ended"]
    lines = structures_table("call, media direct", moments, structures_of_calls("125.20", symbols, direct_media))
    lines += structures_table("call, media through the SBC", moments, structures_of_calls("125.21", symbols, None))
    lines += structures_table("AoR of a surrogate-agent", ["configured", "more when just registered", "64*T1 later"],
                              structures_of_registrations("125.3", symbols))
    text = open(f"{HERE}/RESULTS.md").read()
    begin, end = "<!-- structures: written by bench.py -->\n", "<!-- end of structures -->\n"
    head, rest = text.split(begin)
    with open(f"{HERE}/RESULTS.md", "w") as file:
        file.write(head + begin + "\n".join(lines) + end + rest.split(end)[1])
    print("\n".join(lines), flush=True)


class Registrar:
    """The trunk's half of our generator: challenges each REGISTER, checks the digest, counts"""

    def __init__(self, bench, expires, seconds):
        self.process = subprocess.Popen(
            [f"{BUILD}/tests/bench_generator", "--pbx", bench.ip(12), "--trunk", bench.ip(11), "--sbc", bench.ip(2), "--calls", "0",
             "--registrar", f"trunk.example:secret-bench:{expires}", "--seconds", str(seconds)],
            stdout=subprocess.PIPE, text=True)

    def report(self):
        return json.loads(self.process.communicate(timeout=600)[0].splitlines()[-1])


def agents(count, each, rate):
    """The change to a configuration with so many AoRs, of `each` an agent"""
    def change(sbc):
        sbc.config["session-router"]["sip-config"].update({"registration-rate": str(rate), "nonce-cache-size": "0"})
        sbc.config["session-router"]["surrogate-agent"] = [{
            "register-host": "a.trunk.example", "register-user": f"{n}user^^^^^", "realm-id": "pbx-a",
            "aor-count": str(each), "count-start": "0", "customer-next-hop": "pbx-a.example",
            "proxy-name": "trunk.example", "password": "secret-bench"} for n in range(count // each)]
    return change


def registrations(network, aors, rate):
    """CPU [s] per 1000, growth [KiB] of each, report of the registrar, for so many from cold"""
    b = Bench(network, agents(aors, min(aors, 10000), rate))
    registrar = Registrar(b.sbc, 3600, 2 * aors // rate + 15)
    with b:
        before, size = cpu(b.pid), resident(b.pid)
        b.sbc.waits("show registration", rf"Surrogate Regs +{aors}\b", 2 * aors // rate + 60)
        used, growth = (cpu(b.pid) - before) * 1000 / aors, (resident(b.pid) - size) / aors
        report = registrar.report()
    if report["wrong_digests"] or report["granted"] != aors:
        missed.append(f"{aors} registrations: {report}")
    return used, growth, report


def bench_registrations():
    make("generator")
    runs = [registrations(f"126.{run + 1}", AORS, 1000) for run in range(RUNS)]
    row(f"{AORS} surrogate registrations from cold, each challenged", [r[0] for r in runs], "s CPU / 1000", "0.08")
    row("REGISTERs sent for them", [r[2]["registers"] for r in runs], "", f"{2 * AORS}")
    row("most REGISTERs in a second, registration-rate 1000", [r[2]["most_registers"] for r in runs], "/s", "1000")
    row("memory growth of a registration while registering", [r[1] for r in runs], "KiB", "1")


def refreshes(network, aors, expires):
    """CPU [s] per 1000 refreshes in the steady state and their rate, each of three windows, and KiB resident then.
    They come at 50-90 % of `expires`, or half of it below 20 s, so the rate is aors / (0.7 or 0.5 * expires)"""
    rate, window = 8000, 20
    steady = 2 * aors / rate + 0.9 * expires + 5  # behind the start [s]
    b = Bench(network, agents(aors, min(aors, 10000), rate))
    registrar = Registrar(b.sbc, expires, int(steady + RUNS * window + 60))

    def now():
        said = re.search(r"200 OK(?: +\d+){4} +(\d+)", b.sbc.acli("show sipd register"))
        return cpu(b.pid), int(said[1])
    each, rates = [], []
    with b:
        time.sleep(steady)
        for run in range(RUNS):
            before = now()
            if before[1] < aors:
                missed.append(f"{aors} AoRs: after {steady:.0f} s {before[1]} had been registered")
            time.sleep(window)
            used, done = (y - x for x, y in zip(before, now()))
            each.append(used * 1000 / done)
            rates.append(done / window)
        size = resident(b.pid)
    registrar.process.terminate()
    return each, rates, size


def refresh_row(network, aors, expires):
    each, rates, size = refreshes(network, aors, expires)
    row(f"refresh, challenged, {aors} registered, {min(rates):.0f}-{max(rates):.0f}/s", each, "s CPU / 1000", "as with 10,000")
    row("    resident in all", [size / 1024], "MiB", "1536 with 1,000,000", 1536)
    return each


def bench_refresh():
    """What a refresh costs with more and more AoRs, at one rate, which is below what registration-rate lets through: where it
    is above, they wait, leave in full turns and cost less each. What few cost is measured right behind the many, for the
    machine is another one ten minutes later. Takes 18 minutes, twelve of them for the million"""
    make("generator")
    for n, (aors, expires) in enumerate(((100000, 43), (1000000, 430))):
        many = refresh_row(f"127.23{2 * n}", aors, expires)
        few = refresh_row(f"127.23{2 * n + 1}", 10000, 6)
        alike("    than 10,000 right behind it", few, many)


def alike(work, few, many):
    """Cost does not grow, +- 10 %: of each run against its neighbour, for the machine is another one minutes later"""
    changes = [100 * (m / f - 1) for f, m in zip(few, many)]
    row(f"    {work}", changes, "%", "+- 10")
    if statistics.median(changes) > 10:
        missed.append(f"{work}: {statistics.median(changes):+.0f} %")


def calls_while_held(network, to_the_end):
    """CPU [s] per 1000 calls set up while few are held, and while nearly all are: 50,000 in the end, at 2000/s; that all of them end
    well, too, is waited for `to_the_end`"""
    with Bench(network, direct_media) as b:
        generator = subprocess.Popen(
            [f"{BUILD}/tests/bench_generator", "--pbx", b.ip(12), "--trunk", b.ip(11), "--sbc", b.ip(2), "--calls", "50000",
             "--rate", "2000", "--hold", "60000"], stdout=subprocess.PIPE, text=True)
        figures, begun = [], time.monotonic()
        for second in (2, 17):  # the last call begins in second 25
            time.sleep(begun + second - time.monotonic())
            before = cpu(b.pid)
            time.sleep(5)
            figures.append((cpu(b.pid) - before) * 1000 / (5 * 2000))
        if not to_the_end:
            generator.kill()
            generator.wait()
            return figures
        report = json.loads(generator.communicate(timeout=180)[0].splitlines()[-1])
        if report["completed"] != 50000:
            missed.append(f"50,000 held: {report}")
    return figures


class Plain(yaml.CSafeDumper):
    def ignore_aliases(self, data):
        return True


def calls_with_policies(network, count):
    """CPU [s] per 1000 calls while there are so many local-policies, each for a number of its own"""
    def change(sbc):
        direct_media(sbc)
        known = sbc.policy("pbx-a")
        sbc.element("local-policy").extend(
            {**known, "to-address": f"0049{n:07}"} for n in range(count))

        def write():
            with open(f"{sbc.folder}/sbc.yaml", "w") as file:
                yaml.dump(sbc.config, file, sort_keys=False, Dumper=Plain)
            return file.name
        sbc.write = write
    with Bench(network, change) as b:
        r = b.generate(CALLS, RATE)
        if r["completed"] != CALLS:
            missed.append(f"{count} policies: {r}")
        return r["used"] * 1000 / CALLS


def start_seconds(network):
    """From exec to listening, with 1,000,000 credentials and 100,000 AoRs in the database [s]"""
    b = Bench(network, agents(100000, 10000, 1000))
    rows = f"{b.folder.name}/credentials.csv"
    with open(rows, "w") as file:
        file.write("auth-realm,auth-user-lookup,username,password\n")
        for n in range(1000000):
            file.write(f"trunk.example,user{n},name{n},secret{n}\n")
    with b:
        code, said = b.sbc.acli_status(f"import-credentials {rows} realm trunk replace", options=("--timeout", "120"))
        if code or "1000000" not in said.replace(",", ""):
            missed.append(f"import of 1,000,000 credentials: {said[-300:]}")
        b.sbc.stop()
        begun = time.monotonic()
        b.sbc.start(configured=False, level="WARNING", within=60)
        return time.monotonic() - begun


def bench_scale():
    """What grows, and what the cost of a call or a registration does then"""
    make("generator")
    held = [calls_while_held(f"127.{200 + run}", run == 0) for run in range(max(RUNS, 7))]
    row("call set up at 2000/s, 4,000 to 14,000 held", [h[0] for h in held], "s CPU / 1000", "")
    row("the same, 34,000 to 44,000 held", [h[1] for h in held], "s CPU / 1000", "")
    alike("calls held", [h[0] for h in held], [h[1] for h in held])
    few, many = zip(*[[calls_with_policies(f"127.{base + run}", count) for base, count in ((230, 10), (240, 100000))]
                      for run in range(RUNS)])
    row("call with 10 local-policies", few, "s CPU / 1000", "")
    row("call with 100,000 local-policies", many, "s CPU / 1000", "")
    alike("local-policies", few, many)
    many = registrations("127.210", 100000, 4000)
    row("100,000 surrogate registrations from cold, 4000/s", [many[0]], "s CPU / 1000", "0.08")
    row("REGISTERs sent for them", [many[2]["registers"]], "", "200000")
    row("memory growth of a registration while registering", [many[1]], "KiB", "1")
    row("start with 1,000,000 credentials, 100,000 AoRs", [start_seconds(f"127.{220 + run}") for run in range(RUNS)], "s", "5")


def bench_programs():
    names = ["scan", "timer", "routes", "credentials", "verify", "records", "transactions", "rtp"]
    names = [n for n in names if os.path.exists(f"{HERE}/{n}.c")]
    make(*names)
    for name in names:
        print(f"\n-- {name}", flush=True)
        subprocess.run([f"{BUILD}/tests/bench_{name}"], cwd=ROOT, timeout=300)


def bench_turns(databases=()):
    """How long commands hold up the SIP loop"""
    import turns
    turns.bench_turns(sys.modules[__name__], databases)


def main():
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    benches = {"calls": bench_calls, "kamailio": bench_kamailio, "numbers": bench_numbers, "steady": bench_steady,
               "overload": bench_overload, "workers": bench_workers, "held": bench_held, "structures": bench_structures, "registrations": bench_registrations, "refresh": bench_refresh, "scale": bench_scale,
               "turns": bench_turns, "programs": bench_programs}
    if sys.argv[1:2] == ["turns"]:
        bench_turns(sys.argv[2:])
    else:
        for name in sys.argv[1:] or benches:
            benches[name]()
    print()
    print("| work | measured: median (range) | unit | target |\n|---|---|---|---|")
    for line in rows:
        print("| " + " | ".join(line) + " |")
    for text in missed:
        print(f"FAILED {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
