"""
A SIP end point for tests: one UDP socket, messages as they are, nothing hidden.

It answers what a test tells it to, keeps all it saw, and computes and checks digests by itself, so a
wrong answer of the SBC is refused as a real peer would. What several peers play together (Kamailio,
SIPp, baresip) is in the modules beside this one.
"""
import hashlib
import random
import re
import socket
import string
import threading
import time

COMPACT = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "l": "Content-Length",
           "c": "Content-Type", "k": "Supported", "s": "Subject", "e": "Content-Encoding"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256,
          "SHA-512-256": lambda data: hashlib.new("sha512_256", data)}


def token(length=10):
    return "".join(random.choice(string.ascii_lowercase + string.digits) for _ in range(length))


class Message:
    """A request or response; headers in order, as (name, value)"""

    def __init__(self, start, headers=(), body=""):
        self.start, self.headers, self.body = start, list(headers), body
        self.source = None
        self.time = time.monotonic()

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


class Endpoint:
    """One UDP socket with a thread that reads it; requests go to `serve`"""

    def __init__(self, ip, port=5060):
        self.ip, self.port = ip, port
        self.socket = self.open()
        self.seen, self.sent = [], []
        self.changed = threading.Condition()
        self.deaf = False
        self.running = True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def open(self):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((self.ip, self.port))
        opened.settimeout(0.1)
        return opened

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
        while self.running:
            try:
                data, source = self.socket.recvfrom(65535)
            except (TimeoutError, ConnectionError):
                continue
            if len(data) < 12:
                continue
            self.take(Message.parse(data, source))

    def take(self, message):
        with self.changed:
            self.seen.append(message)
            self.changed.notify_all()
        if not self.deaf and message.status is None:
            self.serve(message)

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
        with self.changed:
            while True:
                for message in self.seen[since:]:
                    if fits(message):
                        return message
                rest = limit - time.monotonic()
                if rest <= 0:
                    raise AssertionError(
                        f"{self.ip} waited {within} s in vain; it saw:\n" +
                        "\n".join(m.start + " | CSeq " + m.get("CSeq") for m in self.seen[since:]))
                self.changed.wait(rest)

    def requests(self, method):
        with self.changed:
            return [m for m in self.seen if m.status is None and m.method == method]

    def responses(self, code=None):
        with self.changed:
            return [m for m in self.seen if m.status and code in (None, m.status)]

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
