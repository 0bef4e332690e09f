"""
Kamailio as the trunk of behaviour.md 7.1: registrar and proxy that check digests by themselves.

It serves a.trunk.example and b.trunk.example, challenges REGISTER with 401 (reg-a, reg-b) and calls
with 407 (a1, b1), and sends calls that proved themselves, with Record-Route, to a `Carrier` at
another address. What the carrier sends to `sip:NUMBER@DOMAIN` goes to the registered contact.
"""
import os
import re
import subprocess
import time

from .trunk import Trunk

CONFIGURATION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kamailio.cfg")


class Carrier(Trunk):
    """What stands behind the proxy: it challenges nobody"""

    def __init__(self, ip, proxy_ip, media_port=30100):
        super().__init__(ip, proxy_ip, media_port)
        self.invite_challenge = None


class Kamailio:
    """`algorithm` is MD5 or SHA-256; `challenge_dialog` challenges BYE, re-INVITE and so on; `mirror`
    gets a copy of each message (HEPv3); with `tcp` it listens for connections, too"""

    def __init__(self, folder, ip, carrier_ip, algorithm="MD5", challenge_dialog=False,
                 mirror=None, tcp=False, within=10.0):
        self.ip = ip
        self.control = f"{folder}/kamailio.ctl"
        self.log = f"{folder}/kamailio.log"
        defines = {"LISTEN": f"udp:{ip}:5060", "CONTROL": f'"unixs:{self.control}"',
                   "ALGORITHM": f'"{algorithm}"', "CARRIER": f'"sip:{carrier_ip}:5060"',
                   "CARRIER_IP": f'"{carrier_ip}"'}
        if challenge_dialog:
            defines["CHALLENGE_DIALOG"] = "1"
        if tcp:
            defines["LISTEN_TCP"] = f"tcp:{ip}:5060"
        if mirror:
            defines["MIRROR"] = f'"sip:{mirror}"'
        arguments = ["kamailio", "-DD", "-E", "-f", CONFIGURATION, "-m", "64", "-M", "4",
                     "-Y", str(folder), "-P", f"{folder}/kamailio.pid"]
        for name, value in defines.items():
            arguments += ["-A", f"{name}={value}"]
        self.process = subprocess.Popen(arguments, stdout=open(self.log, "w"),
                                        stderr=subprocess.STDOUT)
        limit = time.monotonic() + within
        while self.asks("core.uptime", check=False) is None:
            assert self.process.poll() is None and time.monotonic() < limit, open(self.log).read()
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def asks(self, *command, check=True):
        """Answer of Kamailio's own tool; None when it does not answer and need not"""
        result = subprocess.run(["kamcmd", "-s", f"unixs:{self.control}", *command],
                                capture_output=True, text=True)
        if result.returncode:
            assert not check, result.stdout + result.stderr
            return None
        return result.stdout

    def bindings(self):
        """{(user, host): contact} of the registrar"""
        found, aor = {}, None
        for line in self.asks("ul.dump").splitlines():
            name, _, value = line.strip().partition(": ")
            if name == "AoR":
                aor = tuple(value.split("@"))
            elif name == "Address":
                found[aor] = re.sub(r"[<>]", "", value)
        return found
