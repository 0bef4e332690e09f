"""
Strangers that flood: datagrams from addresses nobody knows, at a rate, until stopped.
"""
import random
import socket
import threading
import time

from .sip import token

REQUEST = """{method} sip:{user}@{to} SIP/2.0\r
Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{branch};rport\r
Max-Forwards: 70\r
From: <sip:stranger@{ip}>;tag={tag}\r
To: <sip:{user}@{to}>\r
Call-ID: {callid}\r
CSeq: 1 {method}\r
Contact: <sip:stranger@{ip}:{port}>\r
Content-Length: 0\r
\r
"""


class Flood:
    """`kind`: a method, "garbage", or "broken" (SIP that is cut short)"""

    def __init__(self, kind, to, ips, rate):
        self.kind, self.to, self.rate, self.sent = kind, to, rate, 0
        self.sockets = []
        for ip in ips:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((ip, 0))
            s.setblocking(False)
            self.sockets.append(s)
        self.going = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _datagram(self, s):
        if self.kind == "garbage":
            return random.randbytes(random.randint(1, 1200))
        ip, port = s.getsockname()
        text = REQUEST.format(method="INVITE" if self.kind == "broken" else self.kind, to=self.to[0],
                              ip=ip, port=port, user=token(6), branch=token(), tag=token(6),
                              callid=token(14)).encode()
        return text[:random.randint(20, len(text) - 3)] if self.kind == "broken" else text

    def _run(self):
        begun = time.monotonic()
        while self.going:
            due = int((time.monotonic() - begun) * self.rate) - self.sent
            for _ in range(max(due, 0)):
                s = random.choice(self.sockets)
                try:
                    s.sendto(self._datagram(s), self.to)
                except BlockingIOError:
                    pass
                self.sent += 1
            time.sleep(0.005)  # the pace of the flood

    def close(self):
        self.going = False
        self.thread.join()
        for s in self.sockets:
            s.close()
