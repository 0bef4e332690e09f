"""
A DNS server of its own for a test: dnsmasq on an address of the test's network, port 30053.
"""
import socket
import subprocess
import time


class Dns:
    """`hosts`: {name: address}; `srv`: {owner: [(target, port, priority[, weight])]}"""

    PORT = 30053

    def __init__(self, folder, ip, hosts=None, srv=None, within=5.0, more=()):
        self.ip, self.log = ip, f"{folder}/dnsmasq.log"
        self.arguments = [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            f"--port={self.PORT}", f"--listen-address={ip}", "--bind-interfaces", "--pid-file=",
            "--log-facility=-", "--local=/example/", "--user=", *(more or ["--log-queries", "--local-ttl=1"])]
        self.arguments += [f"--host-record={name},{address}" for name, address in (hosts or {}).items()]
        self.arguments += [f"--srv-host={owner}," + ",".join(str(part) for part in target)
                           for owner, targets in (srv or {}).items() for target in targets]
        self.process = subprocess.Popen(self.arguments, stdout=open(self.log, "w"),
                                        stderr=subprocess.STDOUT)
        limit = time.monotonic() + within
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < limit, open(self.log).read()

    def _answers(self):
        """Does it answer a question at all (here for A of the root)?"""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect((self.ip, self.PORT))
            try:
                s.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\4test\7example\0\0\1\0\1")
                return len(s.recv(512)) > 0
            except OSError:
                time.sleep(0.02)
                return False

    def close(self):
        self.process.terminate()
        self.process.wait(5)
