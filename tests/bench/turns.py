"""
How long the commands of an operator hold up the SIP loop (acli.md 1.1: 20 ms at most).

Large databases, one after the other; each heavy command against a running sbcd, in which turns.so takes the
processor time of each turn of the loops. A row says of one command: the longest turn of a SIP thread, by
processor time and by the clock; the longest of the front thread; how long the command took; and the longest
silence of the daemon meanwhile (1.10: a sign of life each second).

    /usr/bin/python3 tests/bench/bench.py turns [DATABASE]...    of: agents aors names realms policies credentials calls
    TURNS_LIMIT=5 ...    where the thread was after 5 ms of a long turn, not after 15
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST = 20.0     # [ms] of a turn of a SIP thread
SILENT = 1.8     # [s]: a sign comes each second, on a machine that does other things too
WITHIN = 180    # [s] for a command
MANY = 100000
REALMS, OF_REALMS = 5000, 10000
CREDENTIALS = 1000000
CALLS = 50000


class Operator:
    """A connection to the control socket; questions are answered with yes"""

    def __init__(self, path):
        import socket
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(WITHIN)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.silence = 0.0

    def hears(self):
        """(code, is it the last line, text)"""
        since = time.monotonic()
        line = self.lines.readline().decode()
        self.silence = max(self.silence, time.monotonic() - since)
        assert line, "the connection is closed"
        return line[:4], line[4] == " ", line[5:].rstrip("\n")

    def says(self, line):
        """(did it succeed, what was printed)"""
        self.silence = 0.0
        self.socket.sendall(line.encode() + b"\n")
        if line.endswith("\t"):
            return self.completes()
        told = []
        while True:
            code, last, text = self.hears()
            if code[0] == "5":
                continue
            if code == "4001":
                data = open(text, "rb").read()
                self.socket.sendall(b"%d\n" % len(data) + data)
            elif code == "4002":
                self.lines.read(int(text.split()[0]))
            elif code in ("2001", "2002"):
                self.socket.sendall(b"yes\n" if "yes" in text else b"y\n")
            elif last and code[0] in "089":
                return code[0] == "0", "\n".join([*told, text] if code[0] != "0" else told)
            else:
                told.append(text)

    def completes(self):
        told = []
        while True:
            code, last, text = self.hears()
            if code[0] == "3":
                told.append(text)
            if last and code[0] in "089":
                return True, "\n".join(told)


class Turns:
    """An SBC with turns.so in it, and an operator who types"""

    def __init__(self, bench, title, network, change):
        self.bench, self.title, self.stem_n = bench, title, 0
        self.b = bench.Bench(network, change)
        self.sbc = self.b.sbc
        self.folder = self.b.folder.name
        self.sbc.environment = {"LD_PRELOAD": f"{bench.BUILD}/tests/bench_turns.so", "TURNS": f"{self.folder}/turns",
                                **{k: v for k, v in os.environ.items() if k == "TURNS_LIMIT"}}

    def __enter__(self):
        self.b.__enter__()
        self.operator = Operator(self.sbc.socket)
        self.operator.says("enable")
        self.symbols = self.bench.Symbols()
        print(f"\n-- {self.title}", flush=True)
        return self

    def __exit__(self, *failure):
        self.b.__exit__()

    def take(self):
        """{thread: (turns, longest by processor time and by the clock [ms], where it was)} since the last time"""
        path = f"{self.folder}/turns.{self.stem_n}"
        os.kill(self.b.pid, signal.SIGRTMIN)
        limit = time.monotonic() + 60
        while not os.path.exists(path):
            assert time.monotonic() < limit, "no turns"
            time.sleep(0.005)
        self.stem_n += 1
        found = {}
        for line in open(path):
            name, turns, cpu, wall, *stack = line.split()
            found[name] = int(turns), int(cpu) / 1000, int(wall) / 1000, stack
        return found

    def where(self, stack):
        """Names of the functions, the signal handler left out"""
        addresses = [int(a[1:], 16) - 1 for a in stack if a.startswith("+")]
        names = self.symbols.look_up(addresses)
        told = []
        for a in stack:
            told += names[int(a[1:], 16) - 1] if a.startswith("+") else [a]
        return " < ".join(n for n in told if n != "?")

    def file(self, change=None):
        """The configuration in a file; YAML holds JSON, which Python writes faster"""
        if change:
            change(self.sbc)
        path = f"{self.folder}/changed.yaml"
        with open(path, "w") as f:
            json.dump(self.sbc.config, f, indent=0)
        return path

    def runs(self, line, rest=0.0, name=None, fails=False, until=None):
        """One row; what goes on behind the answer is waited for: `rest` seconds, or until a command prints a pattern"""
        self.take()
        since = time.monotonic()
        well, told = self.operator.says(line)
        took, silence = time.monotonic() - since, self.operator.silence
        time.sleep(rest)
        if until:
            limit = time.monotonic() + WITHIN
            while not re.search(until[1], self.operator.says(until[0])[1]):
                if time.monotonic() > limit:
                    self.bench.missed.append(f"turns: {line}: [{until[1]}] never came")
                    break
                time.sleep(0.2)
        found = self.take()
        sip = max((x for n, x in found.items() if n.startswith("sip-")), key=lambda x: x[1])
        clock = max(x[2] for n, x in found.items() if n.startswith("sip-"))
        front = max(x[1] for n, x in found.items() if n not in ("job", "lookup", "media") and not n.startswith("sip-"))
        name = name or line.replace("\t", " Tab")
        name = name.replace(self.folder + "/", "")
        self.bench.turn_rows.append((self.title, name, sip[1], clock, front, took, silence))
        over, silent = sip[1] > MOST, silence > SILENT
        print(f"{name[:72]:72} {sip[1]:7.1f} ms  by the clock {clock:7.1f}  front {front:7.1f}  {took:6.2f} s  "
              f"silent {silence:5.2f}{'  MISSED' if over or silent else ''}", flush=True)
        if silent:
            self.bench.missed.append(f"turns: {self.title}: {name}: silent for {silence:.1f} s")
        if over:
            self.bench.missed.append(f"turns: {self.title}: {name}: {sip[1]:.1f} ms")
            print(f"    {self.where(sip[3])}", flush=True)
        if well == fails:
            self.bench.missed.append(f"turns: {name}: {told[-300:]}")
            print(f"    {told[-300:]}", flush=True)
        return told

    def activates(self, name, change, rest=3.0, until=None, changes=True):
        """Import, save and activate what was changed, one row each"""
        path = self.file(change)
        if name == "add" or not changes:
            self.runs(f"import-config {path}", name=f"import-config ({name})")
            self.runs("show configuration diff", name=f"show configuration diff ({name})")
            self.runs("verify-config", name=f"verify-config ({name})")
            self.runs("save-config", name=f"save-config ({name})")
        else:
            self.operator.says(f"import-config {path}")
            self.operator.says("save-config")
        self.runs("activate-config", rest, f"activate-config ({name})", until=until)

    def shows(self, *lines):
        for line in lines:
            self.runs(line)


ANY = ("show sipd status", "show sipd sessions", "show sipd transactions", "show sipd errors", "show sipd policy",
       "show sipd authentication", "show sipd rate", "show sipd register", "show sipd invite", "show sipd registration-queue",
       "show sipd agents", "show sipd realms", "show sipd interface", "show sip interface", "show registration",
       "show realm", "show media", "show media realms", "show media errors", "show media sessions", "show sessions", "show refusals",
       "show dns", "show health", "show memory", "show processes cpu", "show alarms", "show alarms history", "show accounting",
       "show users", "show log-level", "show version", "show uptime", "show records", "show credentials",
       "show credentials seen", "show configuration", "show configuration short", "show configuration diff",
       "show configuration diff saved", "show configuration versions", "show running-config", "show running-config | json",
       "show support-info", "verify-config", "verify-config detail", "verify-config | json", "export-config", "export-config text", "reset all",
       "clear-cache dns", "clear-cache nonce", "clear-cache credentials",
       "log-level all DEBUG for 1", "log-level all NOTICE", "notify sipd siplog", "notify sipd nosiplog", "notify all rotate-logs",
       "backup-config bench", "restore-backup-config bench", "discard", "realm-specifics pbx-a", "delete-backup-config bench",
       "test-policy source-realm pbx-a from-address sip:1@a.example to-address sip:4930200@b.example",
       "test-credentials source-realm pbx-a from-address sip:1@a.example to-address sip:4930200@b.example auth-realm trunk.example",
       "show surrogate-agents", "show surrogate-agents summary", "show surrogate-agents detail", "surrogate-agent a\t", "show surrogate-agents \t")

SURROGATES = ("show surrogate-agents limit 1000000", "show surrogate-agents limit 1000000 detail", "show surrogate-agents limit 1000000 summary",
              "show surrogate-agents limit 1000000 | json", "show surrogate-agents state registered | count", "show surrogate-agents state refused",
              "show surrogate-agents registrar nobody.example", "show surrogate-agents realm pbx-b",
              "show registration sipd by-user 00099999", "show registration sipd by-realm pbx-a", "show registration sipd by-realm pbx-a detailed",
              "show registration sipd by-ip 127.0.0.0*", "show registration sipd by-registrar a.trunk.example",
              "show registration sipd by-route sip:nobody@nowhere.example", "show sipd endpoint-ip 00099999")


def without_agents(sbc):
    sbc.config["session-router"]["sip-config"].update({"registration-rate": "4000", "nonce-cache-size": "0"})
    sbc.config["session-router"]["surrogate-agent"] = []


def agents(count, **more):
    """So many surrogate-agents of one AoR each, none with a name of its own but its user"""
    def change(sbc):
        sbc.config["session-router"]["surrogate-agent"] = [{
            "register-host": "a.trunk.example", "register-user": f"{n:08}", "realm-id": "pbx-a", "customer-next-hop": "pbx-a.example",
            "proxy-name": "trunk.example", "password": "secret-bench", "register-expires": "3600",
            **{k.replace("_", "-"): v(n) if callable(v) else v for k, v in more.items()}} for n in range(count)]
    return change


def tenant(count, **more):
    def change(sbc):
        sbc.config["session-router"]["surrogate-agent"] = [{
            "register-host": "a.trunk.example", "register-user": "0^^^^^^^", "realm-id": "pbx-a", "customer-next-hop": "pbx-a.example",
            "proxy-name": "trunk.example", "password": "secret-bench", "aor-count": str(count), "count-start": "0", "register-expires": "3600",
            **{k.replace("_", "-"): v for k, v in more.items()}}] if count else []
    return change


def registered(n):
    return "show registration", rf"Surrogate Regs +{n}\b"


def agents_bench(bench):
    with Turns(bench, f"{MANY} surrogate-agents", "124.1", without_agents) as t:
        registrar = bench.Registrar(t.sbc, 3600, 3600)
        try:
            t.activates("add", agents(MANY), until=registered(MANY))
            t.shows(*ANY, *SURROGATES)
            t.runs("notify sipd register all", 3, until=registered(MANY))
            t.runs("notify sipd unregister a.trunk.example 00099999 pbx-a", 1)
            t.runs("notify sipd register a.trunk.example 00099999 pbx-a", 1)
            t.runs("clear-cache registration sip by-user 00099999", 1)
            t.runs("clear-cache registration sip all", 3, until=registered(MANY))
            t.runs("test-surrogate a.trunk.example 00099999 pbx-a")
            t.runs("import-surrogate-agents " + rows_of_agents(t, MANY))
            t.runs("discard")
            t.activates("change", agents(MANY, register_retry_time="60"))
            t.activates("change of what is registered", agents(MANY, register_contact_user=lambda n: f"c{n:08}"), until=registered(MANY))
            t.activates("disable", agents(MANY, state="disabled"), until=registered(0))
            t.activates("enable", agents(MANY), until=registered(MANY))
            t.activates("one less", agents(MANY - 1))
            t.file(agents(0))
            t.operator.says(f"import-config {t.file()}")
            t.operator.says("save-config")
            t.runs("activate-config confirm 5", until=registered(0), name="activate-config confirm 5 (remove)")
            t.runs("activate-config rollback", until=registered(MANY - 1))
            t.runs("activate-config confirm 5", name="activate-config confirm 5 (remove again)")
            t.runs("activate-config rollback", 3, name="activate-config rollback (at once)", until=registered(MANY - 1))
            t.runs("activate-config", 1, "activate-config (remove)", until=registered(0))
            t.runs("delete-config")
        finally:
            registrar.process.terminate()


def rows_of_agents(t, count):
    path = f"{t.folder}/agents.csv"
    with open(path, "w") as f:
        f.write("register-host,register-user,realm-id,customer-next-hop,proxy-name,password\n")
        for n in range(count):
            f.write(f"b.trunk.example,{n:08},pbx-a,pbx-a.example,trunk.example,secret{n}\n")
    return path


def aors_bench(bench):
    key = "a.trunk.example 0^^^^^^^ pbx-a"

    def begin(sbc):
        without_agents(sbc)
        sbc.element("session-agent").append({"hostname": "other.example", "ip-address": sbc.ip(11), "realm-id": "trunk", "port": "5060"})
    with Turns(bench, f"one surrogate-agent of {MANY} AoRs", "124.2", begin) as t:
        registrar = bench.Registrar(t.sbc, 3600, 3600)
        try:
            t.activates("add", tenant(MANY), until=registered(MANY))
            t.shows(*SURROGATES, f"show surrogate-agents {key} detail", "show support-info")
            t.runs(f"notify sipd unregister {key}", 1, until=registered(0))
            t.runs(f"notify sipd register {key}", 1, until=registered(MANY))
            t.runs("notify sipd register all", 3, until=registered(MANY))
            t.runs(f"notify sipd unregister {key} 00000042", 0.5)
            t.runs(f"notify sipd register {key} 00000042", 0.5)
            t.runs("clear-cache registration sip all", 3, until=registered(MANY))
            t.runs("clear-cache registration sip by-ip " + t.b.ip(11), 3, until=registered(MANY))
            t.runs(f"test-surrogate {key} 00000042")
            t.activates("change", tenant(MANY, register_retry_time="60"))
            t.activates("another password", tenant(MANY, password="secret-bench2"), 3)
            t.activates("password back", tenant(MANY), 3)
            t.activates("contact", tenant(MANY, register_contact_user="c^^^^^^^"), until=registered(MANY))
            t.activates("one AoR less", tenant(MANY - 1), until=registered(MANY - 1))
            t.activates("one AoR more", tenant(MANY), until=registered(MANY))
            t.activates("another count-start", tenant(MANY, count_start="50000"), until=registered(MANY))
            t.activates("count-start back", tenant(MANY), until=registered(MANY))
            t.activates("another registrar", tenant(MANY, proxy_name="other.example"), 3, until=registered(MANY))
            t.activates("registrar back", tenant(MANY), 3, until=registered(MANY))
            t.activates("disable", tenant(MANY, state="disabled"), until=registered(0))
            t.activates("enable", tenant(MANY), until=registered(MANY))
            t.operator.says(f"import-config {t.file(tenant(0))}")
            t.operator.says("save-config")
            t.runs("activate-config confirm 5", name="activate-config confirm 5 (remove)")
            t.runs("activate-config rollback", 3, name="activate-config rollback (at once)", until=registered(MANY))
            t.activates("remove", tenant(0), 1, until=registered(0))
        finally:
            registrar.process.terminate()


def names_bench(bench):
    """Everything is a name of its own: registrars, next hops of the PBXs, session-agents. DNS knows them all"""
    from peers.dns import Dns

    def named(count):
        def change(sbc):
            agents(count, proxy_name="", register_host=lambda n: f"r{n}.example", customer_next_hop=lambda n: f"p{n}.example")(sbc)
            known = [a for a in sbc.element("session-agent") if a.get("ip-address")]
            sbc.config["session-router"]["session-agent"] = known + [
                {"hostname": f"s{n}.example", "realm-id": "trunk", "ping-method": "OPTIONS", "ping-interval": "300"} for n in range(count)]
        return change

    def begin(sbc):
        without_agents(sbc)
        sbc.config["session-router"]["sip-config"]["egress-realm-id"] = "trunk"
        sbc.config["system"]["system-config"]["dns-servers"] = [f"{sbc.ip(9)}:{Dns.PORT}"]
    t = Turns(bench, f"{MANY} surrogate-agents, {MANY} session-agents, all DNS names", "124.3", begin)
    hosts = f"{t.folder}/hosts"
    with open(hosts, "w") as f:
        f.write("".join(f"{t.b.ip(11)} r{n}.example s{n}.example\n{t.b.ip(12)} p{n}.example\n" for n in range(MANY)))
    dns = Dns(t.folder, t.b.ip(9), more=[f"--addn-hosts={hosts}"], within=30)
    try:
        with t:
            registrar = bench.Registrar(t.sbc, 3600, 3600)
            try:
                t.activates("add", named(MANY), 10)
                t.runs("show registration", 40, name="show registration, and 40 s of asking")
                t.shows("show dns", "clear-cache dns", "show sipd agents", "show sipd agents | json", "show sipd registration-queue",
                        "show surrogate-agents", "show surrogate-agents limit 1000000 detail", "show health", "show support-info", "reset all",
                        "reset session-agent s42.example", "show sipd agents s42.example")
                t.runs("verify-config", name="verify-config (DNS of all)")
                t.activates("change", lambda sbc: [a.update({"register-retry-time": "60"}) for a in sbc.element("surrogate-agent")], 10)
                t.activates("remove", named(0), 10)
                t.activates("add again", named(MANY), 10)
            finally:
                registrar.process.terminate()
    finally:
        dns.close()


def realms_bench(bench):
    def many(count, each):
        def change(sbc):
            kept = ("pbx-a", "pbx-b", "trunk")
            realms = [r for r in sbc.element("realm-config") if r["identifier"] in kept]
            sbc.config["media-manager"]["realm-config"] = realms + [
                {"identifier": f"r{n}", "parent-realm": "pbx-a", "addr-prefix": f"10.{n // 250}.{n % 250}.0/24"} for n in range(count)]
            known = [a for a in sbc.element("session-agent") if a["realm-id"] in kept]
            sbc.config["session-router"]["session-agent"] = known + [
                {"hostname": f"agent{n}.example", "ip-address": f"10.{n % count // 250}.{n % count % 250}.{1 + n // count}", "realm-id": f"r{n % count}",
                 "constraints": "enabled", "max-sessions": "100"} for n in range(each if count else 0)]
        return change
    with Turns(bench, f"{REALMS} realms, {OF_REALMS} session-agents", "124.4", without_agents) as t:
        t.activates("add", many(REALMS, OF_REALMS))
        t.shows(*ANY, "show realm r42", "show sipd realms r42", "show sipd agents agent42.example", "show sipd agents agent42.example invite",
                "show sipd agents | json", "show realm | json", "show media realms | json",
                "reset session-agent agent42.example", "realm-specifics r42", "show sipd agents \t", "show realm \t")

        def limits(sbc):
            for a in sbc.element("session-agent"):
                a["max-sessions"] = "200"
        t.activates("change", limits)
        t.activates("remove", many(0, 0))


def policies_bench(bench):
    def many(count):
        def change(sbc):
            known = [p for p in sbc.element("local-policy") if not p["to-address"].startswith("0049")]
            sbc.config["session-router"]["local-policy"] = known + [
                {**known[0], "to-address": f"0049{n:07}"} for n in range(count)]
        return change
    with Turns(bench, f"{MANY} local-policies", "124.5", without_agents) as t:
        t.activates("add", many(MANY))
        t.shows(*ANY, "test-policy source-realm * from-address sip:1@a.example to-address sip:00490099999@b.example",
                "show running-config local-policy", "show configuration local-policy * 0049\t", "local-policy * 0049\t")
        t.activates("remove", many(0))


def credentials_bench(bench):
    with Turns(bench, f"{CREDENTIALS} credentials", "124.6", None) as t:
        rows = f"{t.folder}/credentials.csv"
        with open(rows, "w") as f:
            f.write("auth-realm,auth-user-lookup,username,password\n")
            for n in range(CREDENTIALS):
                f.write(f"trunk.example,user{n},name{n},secret{n}\n")
        t.runs(f"import-credentials {rows} realm trunk replace")
        t.shows(*ANY, "show credentials realm trunk", "show credentials realm trunk lookup user99999", "show credentials limit 1000000")
        t.activates("change", lambda sbc: sbc.element("system-config").update({"hostname": "other"}))
        with open(rows, "w") as f:
            f.write("auth-realm,auth-user-lookup,username,password\ntrunk.example,user1,name1,secret1\n")
        t.runs(f"import-credentials {rows} realm trunk merge")
        t.runs(f"import-credentials {rows} realm trunk replace", name="import-credentials (one instead of all)")


def calls_bench(bench):
    """Many calls are held meanwhile"""
    with Turns(bench, f"{CALLS} calls held", "124.7", bench.direct_media) as t:
        generator = subprocess.Popen(
            [f"{bench.BUILD}/tests/bench_generator", "--pbx", t.b.ip(12), "--trunk", t.b.ip(11), "--sbc", t.b.ip(2), "--calls", str(CALLS),
             "--rate", "2000", "--hold", "170000"], stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(CALLS / 2000 + 35)    # 64*T1: nothing else is under way
            t.shows("show sipd sessions", "show sessions", "show sessions limit 1000000", "show sessions limit 1000000 | json", "show sessions state early",
                    "show sessions realm nobody", "show sessions agent trunk.example", "show sessions user nobody", "show realm", "show media sessions",
                    "show sipd agents", "show support-info", "reset all")
            t.activates("change", lambda sbc: sbc.element("system-config").update({"hostname": "other"}))
            t.activates("one session-agent changes", lambda sbc: next(
                a for a in sbc.element("session-agent") if a["hostname"] == "trunk.example").update({"max-sessions": "100000"}))

            def port(sbc):
                next(i for i in sbc.element("sip-interface") if i["realm-id"] == "pbx-a")["sip-ports"][0]["port"] = "5080"
            t.activates("ends calls", port, 10)
        finally:
            generator.terminate()


DATABASES = {"agents": agents_bench, "aors": aors_bench, "names": names_bench, "realms": realms_bench, "policies": policies_bench,
             "credentials": credentials_bench, "calls": calls_bench}


def bench_turns(bench, names):
    bench.make("generator", "turns.so")
    bench.turn_rows = []
    for name in names or DATABASES:
        DATABASES[name](bench)
    for title in dict.fromkeys(row[0] for row in bench.turn_rows):
        found = [row for row in bench.turn_rows if row[0] == title]
        worst = max(found, key=lambda row: row[2])
        silent = max(found, key=lambda row: row[6])
        bench.rows.append((f"longest turn of a SIP thread by {len(found)} commands, {title}", f"{worst[2]:.1f}: {worst[1]}", "ms CPU", f"{MOST:.0f}"))
        bench.rows.append(("    longest silence of the daemon", f"{silent[6]:.2f}: {silent[1]}", "s", "a sign each second"))
