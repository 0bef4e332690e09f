"""
SIPp as a PBX that calls, and as a peer that answers.

`Caller` and `Answerer` run a scenario beside this file and keep the numbers that SIPp counted.
"""
import csv
import os
import random
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Sipp:
    def __init__(self, scenario, ip, arguments, folder, port=5060, trace=True, tcp=False):
        self.name = f"sipp-{scenario.split('.')[0]}-{ip}"
        self.folder = str(folder)
        self.shorts = f"{self.folder}/{self.name}.short.csv"
        self.errors = f"{self.folder}/{self.name}.errors"
        self.stats = f"{self.folder}/{self.name}.stats.csv"
        for path in (self.shorts, self.errors, self.stats):
            if os.path.exists(path):
                os.unlink(path)
        self.process = subprocess.Popen(
            ["sipp", "-sf", f"{HERE}/{scenario}", "-i", ip, "-p", str(port), "-nostdin",
             *(["-trace_shortmsg", "-shortmessage_file", self.shorts] if trace else []),
             *(["-t", "t1"] if tcp else []),
             "-trace_err", "-error_file", self.errors,
             "-trace_stat", "-stf", self.stats, "-fd", "1", *arguments],
            cwd=self.folder, stdout=open(f"{self.folder}/{self.name}.out", "w"),
            stderr=subprocess.STDOUT)

    def wait(self, within):
        """Exit status of SIPp: 0 when every call was as the scenario says"""
        return self.process.wait(within)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def counted(self):
        """Last row of SIPp's statistics: {column: text}"""
        rows = list(csv.DictReader(open(self.stats), delimiter=";"))
        return rows[-1]

    def messages(self):
        """(time, sent?, Call-ID, CSeq, first line) of each message"""
        found = []
        if not os.path.exists(self.shorts):
            return found
        for line in open(self.shorts, errors="replace"):
            part = line.rstrip("\n").split("\t")
            if len(part) >= 7:
                found.append((float(part[2]), part[3] == "S", part[4],
                              part[5].removeprefix("CSeq:").strip(), part[6]))
        return found


class Answerer(Sipp):
    """Answers each INVITE with 180 and 200"""

    def __init__(self, folder, ip, port=5060, media_port=30100, scenario="answers.xml",
                 trace=True, tcp=False):
        super().__init__(scenario, ip, ["-mp", str(media_port)], folder, port, trace, tcp)


class Caller(Sipp):
    """Calls `count` times, `rate` a second, each call for `lasts` ms"""

    def __init__(self, folder, ip, to, user, domain, numbers=("0301234",), count=1, rate=10,
                 lasts=200, media_port=30000, port=5060, scenario="pbx_calls.xml",
                 trace=True, tcp=False):
        path = f"{folder}/numbers-{ip}.csv"
        with open(path, "w") as f:
            f.write("SEQUENTIAL\n" + "".join(f"{n}\n" for n in numbers))
        super().__init__(scenario, ip, [
            "-inf", path, "-key", "user", user, "-key", "domain", domain, "-m", str(count),
            "-r", str(rate), "-d", str(lasts), "-l", str(count), "-mp", str(media_port),
            "-timeout", str(max(60, 2 * count // rate + 60)), "-timeout_error", f"{to}:5060"],
            folder, port, trace, tcp)


def numbers(count):
    return [f"0{random.randint(10**6, 10**10 - 1)}" for _ in range(count)]
