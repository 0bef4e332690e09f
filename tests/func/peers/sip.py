"""
A SIP end point for tests: one UDP socket, messages as they are, nothing hidden.

It answers what a test tells it to, keeps all it saw, and computes and checks digests by itself, so a
wrong answer of the SBC is refused as a real peer would. What several peers play together (Kamailio,
SIPp, baresip) is in the modules beside this one.
"""
import hashlib
import os
import random
import re
import select
import socket
import string
import struct
import threading
import time

COMPACT = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "l": "Content-Length",
           "c": "Content-Type", "k": "Supported", "s": "Subject", "e": "Content-Encoding"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256,
          "SHA-512-256": lambda data: hashlib.new("sha512_256", data)}
LATE = float(os.environ.get("PEERS_LATE", "0"))  # [s] that some read later, see README.md
SO_TIMESTAMPNS, STAMP_ROOM = 35, 64  # of Linux; socket(7)


def token(length=10):
    return "".join(random.choice(string.ascii_lowercase + string.digits) for _ in range(length))


class Message:
    """A request or response; headers in order, as (name, value)"""

    def __init__(self, start, headers=(), body=""):
        self.start, self.headers, self.body = start, list(headers), body
        self.source = None
        self.time = time.monotonic()  # when it came

    @classmethod
    def parse(cls, data, source=None):
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        lines = head.split("\r\n")
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip()
            headers.append((COMPACT.get(name.lower(), name), value.strip()))
        message = cls(lines[0], headers, body)
        message.source = source
        return message

    def all(self, name):
        return [value for n, value in self.headers if n.lower() == name.lower()]

    def get(self, name, default=""):
        return (self.all(name) or [default])[0]

    def set(self, name, value):
        self.headers = [(n, v) for n, v in self.headers if n.lower() != name.lower()]
        self.headers.append((name, value))
        return self

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def method(self):
        return self.get("CSeq").split()[-1] if self.status else self.start.split()[0]

    @property
    def uri(self):
        return self.start.split()[1]

    @property
    def cseq(self):
        return int(self.get("CSeq").split()[0])

    @property
    def call_id(self):
        return self.get("Call-ID")

    def tag(self, header):
        match = re.search(r";tag=([^;>\s]+)", self.get(header))
        return match.group(1) if match else ""

    def user(self, header):
        match = re.search(r"sips?:([^@>]*)@", self.get(header))
        return match.group(1) if match else ""

    def host(self, header):
        match = re.search(r"sips?:(?:[^@>]*@)?([^:;>?\s]+)", self.get(header))
        return match.group(1) if match else ""

    @property
    def contact(self):
        match = re.search(r"<([^>]+)>", self.get("Contact"))
        return match.group(1) if match else self.get("Contact").split(";")[0]

    def bytes(self):
        lines = [self.start] + [f"{n}: {v}" for n, v in self.headers if n != "Content-Length"]
        body = self.body.encode()
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def __repr__(self):
        return self.bytes().decode()


def names(message, *words):
    """Those of the words that stand in the message; 127.0.0.1 is not in 127.0.0.12"""
    return [w for w in words if re.search(rf"(?<![\w.]){re.escape(w)}(?![\w])", repr(message))]


def parameters(value):
    """Parameters of a challenge or of credentials"""
    return {k: (q or p) for k, q, p in re.findall(r'([a-z0-9*-]+)=(?:"([^"]*)"|([^\s,"]+))', value,
                                                   re.I)}


def user_hash(p, user):
    """What stands for the user when userhash was asked for (RFC 7616 3.4.4)"""
    algorithm = p.get("algorithm", "MD5").upper().removesuffix("-SESS")
    return HASHES[algorithm](f'{user}:{p["realm"]}'.encode()).hexdigest()


def digest(p, method, password, body="", user=None):
    """Response value for the parameters of credentials (RFC 7616, RFC 2069 without qop)"""
    algorithm = p.get("algorithm", "MD5").upper()
    session = algorithm.endswith("-SESS")

    def h(text):
        return HASHES[algorithm.removesuffix("-SESS")](text.encode()).hexdigest()

    ha1 = h(f'{user or p["username"]}:{p["realm"]}:{password}')
    if session:
        ha1 = h(f'{ha1}:{p["nonce"]}:{p["cnonce"]}')
    qop = p.get("qop")
    ha2 = h(f'{method}:{p["uri"]}' + (f":{h(body)}" if qop == "auth-int" else ""))
    if not qop:
        return h(f'{ha1}:{p["nonce"]}:{ha2}')
    return h(f'{ha1}:{p["nonce"]}:{p["nc"]}:{p["cnonce"]}:{qop}:{ha2}')


SDP = ("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n"
       "m=audio {port} RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
       "a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n")


def transaction(request):
    """What a request and its repetitions have in common"""
    return request.get("Via"), request.get("CSeq"), request.call_id


def datagrams(family, ip, port):
    """A socket that tells when each datagram came, however late it is read"""
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.bind((ip, port))
    opened.settimeout(0.1)
    return opened


def has_more(opened, within=0.0):
    """Has this socket something to read?"""
    if opened.fileno() < 0:  # closed
        return False
    ready = select.poll()    # select() knows no descriptor above 1023
    ready.register(opened, select.POLLIN)
    return bool(ready.poll(within * 1000))


class Endpoint:
    """One UDP socket with a thread that reads it; requests go to `serve`"""

    def __init__(self, ip, port=5060):
        self.ip, self.port = ip, port
        self.socket = self.open()
        self.arrived, self.sent = [], []
        self.answered = {}  # transaction: last answer
        self.changed = threading.Condition()
        self.reading = threading.Lock()
        self.deaf = False
        self.late = random.choice([0, LATE])
        self.running = True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.threads = {self.thread}
        self.thread.start()

    def open(self):
        return datagrams(socket.AF_INET, self.ip, self.port)

    def write(self, data, to):
        self.socket.sendto(data, to)

    def via(self, text):
        """The Via as this transport writes it"""
        return text

    def close(self):
        self.running = False
        self.thread.join(2)
        self.socket.close()

    def _read(self):
        while self.running and self.socket.fileno() >= 0:
            if not has_more(self.socket, 0.1):
                continue
            self.dawdle()
            with self.reading:
                message = self._next()
            if message:
                self.treat(message)

    def dawdle(self):
        if self.late:
            time.sleep(self.late)

    def _next(self):
        try:
            data, stamps, _, source = self.socket.recvmsg(65535, STAMP_ROOM)
        except (TimeoutError, ConnectionError):
            return None
        if len(data) < 12:
            return None
        message = Message.parse(data, source)
        for _, _, stamp in stamps:
            seconds, nanoseconds = struct.unpack("=qq", stamp)
            message.time -= time.time() - seconds - nanoseconds / 1e9
        return self.take(message)

    def take(self, message):
        with self.changed:
            self.arrived.append(message)
            self.changed.notify_all()
        return message

    def treat(self, message):
        """A request that came again gets its answer again (RFC 3261 17.2); a 2xx to INVITE has come by itself"""
        if self.deaf or message.status is not None:
            return
        before = self.answered.get(transaction(message))
        if before is None or message.method == "ACK":
            self.serve(message)
        elif not (before.method == "INVITE" and before.status // 100 == 2):
            self.write(before.bytes(), message.source)

    def sockets(self):
        """Where messages come in"""
        return [self.socket]

    @property
    def seen(self):
        """
        All that came. What a socket holds already has come, although the thread of this peer had no
        time for it yet: what a test knows from one peer may be asked of another one at once.
        """
        limit = time.monotonic() + 1
        while threading.current_thread() not in self.threads and time.monotonic() < limit:
            with self.reading:
                if not any(has_more(s) for s in self.sockets()):
                    break
            time.sleep(0.001)
        return self.arrived

    def serve(self, request):
        """What this peer does with a request; overridden"""

    def send(self, message, to):
        with self.changed:
            self.sent.append(message)
        message.headers = [(n, self.via(v) if n == "Via" else v) for n, v in message.headers]
        self.write(message.bytes(), to)

    def wait(self, fits, within=3.0, since=0):
        """First message that fits, among those seen and to come"""
        limit = time.monotonic() + within
        while True:
            with self.changed:
                known = list(self.arrived)
            for message in known[since:]:  # `fits` may ask this peer for more
                if fits(message):
                    return message
            rest = limit - time.monotonic()
            if rest <= 0:
                raise AssertionError(
                    f"{self.ip} waited {within} s in vain; it saw:\n" +
                    "\n".join(m.start + " | CSeq " + m.get("CSeq") for m in known[since:]))
            with self.changed:
                if len(self.arrived) == len(known):
                    self.changed.wait(rest)

    def requests(self, method):
        """
        Requests of this method in their order. One that came again when its timer said so, because
        this machine had no time for half a second, counts once (RFC 3261 17.1.1.2); `seen` has it.
        """
        found, first = [], {}
        for m in list(self.seen):
            if m.status is None and m.method == method:
                before = first.setdefault(transaction(m), m)
                if before is m or m.time - before.time < 0.4:
                    found.append(m)
        return found

    def responses(self, code=None):
        return [m for m in list(self.seen) if m.status and code in (None, m.status)]

    def responses_sent(self, code=None):
        with self.changed:
            return [m for m in self.sent if m.status and code in (None, m.status)]

    def reply(self, request, code, reason="X", tag=None, headers=(), body="", ctype=None):
        via = request.all("Via")
        headers = list(headers)
        to = request.get("To")
        if ";tag=" not in to and code > 100:
            to += f";tag={tag or token()}"
        answer = Message(f"SIP/2.0 {code} {reason}",
                         [("Via", v) for v in via] +
                         [("From", request.get("From")), ("To", to),
                          ("Call-ID", request.call_id), ("CSeq", request.get("CSeq"))] +
                         [("Record-Route", r) for r in request.all("Record-Route")] + headers)
        if body:
            answer.headers.append(("Content-Type", ctype or "application/sdp"))
            answer.body = body
        self.send(answer, request.source)
        self.answered[transaction(request)] = answer
        return answer

    def request(self, method, uri, to, headers=(), body="", **fields):
        """A request outside a dialog, not yet sent"""
        branch = fields.get("branch", "z9hG4bK" + token())
        message = Message(
            f"{method} {uri} SIP/2.0",
            [("Via", f"SIP/2.0/UDP {self.ip}:{self.port};branch={branch};rport"),
             ("Max-Forwards", str(fields.get("max_forwards", 70))),
             ("From", fields.get("from_", f"<sip:test@{self.ip}>") + f";tag={fields.get('tag') or token()}"),
             ("To", to), ("Call-ID", fields.get("call_id") or token(16)),
             ("CSeq", f"{fields.get('cseq', 1)} {method}"),
             ("Contact", f"<sip:{fields.get('contact_user', 'test')}@{self.ip}:{self.port}>")] +
            list(headers))
        if body:
            message.headers.append(("Content-Type", fields.get("ctype", "application/sdp")))
            message.body = body
        return message
