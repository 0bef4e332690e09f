"""
A configuration of 100,000 local policies is handled in seconds (acli.md 3.1), and whoever waits for it
hears each second that the daemon is alive (1.10).
"""
import threading
import time

POLICIES = 100000
WITHIN = 120    # [s] for each step: ends a test that hangs; alone a step is one or two


def many(sbc):
    """The configuration of the test and many policies more, as text: PyYAML would need minutes"""
    path = sbc.write()
    assert list(sbc.config["session-router"])[-1] == "local-policy"
    with open(path, "a") as f:
        for n in range(POLICIES):
            f.write("  - {from-address: \"*\", to-address: \"49%07d\", source-realm: pbx-a, "
                    "policy-attributes: [{next-hop: trunk.example, realm: trunk}]}\n" % n)
    return path


class Operator:
    def __init__(self, sbc):
        self.shell = sbc.shell()
        self.shell.socket.settimeout(5)     # far more than a second between two signs of life

    def hears(self):
        """Lines up to the end of the answer, and the signs of life among them"""
        lines, signs = [], 0
        while True:
            line = self.shell.lines.readline()
            if line.startswith("5000"):
                signs += 1
                continue
            lines.append(line)
            if line[4:5] == " " and line[0] in "0489":
                return "".join(lines), signs

    def says(self, line):
        since = time.monotonic()
        self.shell.sends(line)
        answer, signs = self.hears()
        if answer.startswith("4001"):
            data = open(line.split()[1], "rb").read()
            self.shell.socket.settimeout(WITHIN)
            self.shell.socket.sendall(b"%d\n" % len(data) + data)
            self.shell.socket.settimeout(5)
            answer, signs = self.hears()
        took = time.monotonic() - since
        assert answer.splitlines()[-1].startswith("0000"), answer[-500:]
        assert took < WITHIN, (line, took)
        # a sign is missing at most at the beginning, and while answers are written
        assert signs >= int(took) - 2, (line, took, signs)
        return answer


def test_a_hundred_thousand_policies_are_imported_saved_and_activated_in_seconds(sbc, trunk):
    sbc.start().registered()
    operator = Operator(sbc)
    operator.says("enable")
    assert "no errors" in operator.says(f"import-config {many(sbc)}")
    assert "Saved as version 2." in operator.says("save-config")
    assert "Running is version 2." in operator.says("activate-config")
    # the same once more, and one that differs little
    assert "no errors" in operator.says(f"import-config {many(sbc)}")
    assert "No differences." in operator.says("show configuration diff")
    sbc.element("surrogate-agent", "a.trunk.example")["register-retry-time"] = "60"
    operator.says(f"import-config {many(sbc)}")
    assert "Saved as version 3." in operator.says("save-config")
    answer = operator.says("activate-config")
    assert "surrogate-agent [a.trunk.example 493010^ pbx-a] changed  live" in answer
    assert "Running is version 3." in answer
    others_are_served_while_one_asks_for_support_info(sbc, operator.shell)
    operator.shell.close()


def others_are_served_while_one_asks_for_support_info(sbc, shell):
    """The audit log tells what the daemon answered meanwhile, however late this test looks"""
    answer = []

    def read():
        while not answer or answer[-1] and not answer[-1].startswith("0000 "):
            answer.append(shell.lines.readline())

    reader = threading.Thread(target=read)
    other = sbc.shell()
    shell.sends("show support-info")
    reader.start()
    while reader.is_alive():
        other.sends("show uptime")
        while other.hears()[0] != "0000":
            pass
        time.sleep(0.01)    # so often that the log is not rotated
    text = "".join(answer)
    assert text.count("local-policy") >= POLICIES and "===== log" in text
    events = open(f"{sbc.folder}/log/audit.log").read()
    asked, ended = [events.index('cmd="show support-info"' + how) for how in ("\n", " result=ok\n")]
    # where others wait, it is one before it is in the way and one that waited: two
    assert events.count('cmd="show uptime" result=ok', asked, ended) > 5
    other.close()


def test_who_waits_for_a_long_list_hears_that_there_is_life(sbc):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    agent.update({"state": "disabled", "aor-count": "400000", "register-user": "0^^^^^^",
                  "register-contact-user": "0^^^^^^"})
    sbc.start(within=30)
    operator = Operator(sbc)
    operator.shell.sends("show surrogate-agents state registered")
    since = time.monotonic()
    answer, signs = operator.hears()
    took = time.monotonic() - since
    assert took > 2, "too fast to say anything: take more AoRs"
    assert signs >= int(took) - 2 and signs > 0, (took, signs)
    assert answer.splitlines()[-1].startswith("0000")
    operator.shell.close()
