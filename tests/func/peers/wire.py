"""
What the SBC says and hears on the loopback, for peers that keep no messages themselves: SIPp,
baresip, Kamailio. Datagrams are messages; a TCP stream is put together from its segments and cut by
Content-Length.

Each end that speaks with an address of the SBC becomes a peer of peers/crossing.py. Needs the right
to read packets; without it nothing is seen and `reason` says why.
"""
import re
import socket
import threading

from .sip import Message

IPV4, TCP, UDP, OUTGOING = 0x0800, 6, 17, 4
SYN = 2
MOST = 20000  # messages that are looked at
LENGTH = re.compile(rb"(?mi)^(?:Content-Length|l)[ \t]*:[ \t]*(\d+)")
BEGIN = re.compile(rb"[A-Z]+ sips?:\S+ SIP/2\.0\r\n|SIP/2\.0 \d{3} ")


class End:
    """One address that faces one address of the SBC"""

    def __init__(self, ip, sbc_ip):
        self.ip, self.sbc = ip, (sbc_ip, 5060)
        self.seen, self.sent = [], []


class Stream:
    """One direction of a TCP connection: segments in any order, messages out"""

    def __init__(self, begin):
        self.next, self.waiting, self.data = begin, {}, b""

    def take(self, sequence, payload):
        """Messages that are complete now"""
        if payload:
            self.waiting[sequence] = max(payload, self.waiting.get(sequence, b""), key=len)
        while self.waiting:
            first = min(self.waiting, key=self.ahead)
            behind = -self.ahead(first)
            if behind < 0:
                break
            # what came before may come again
            fresh = self.waiting.pop(first)[behind:]
            self.data += fresh
            self.next = (self.next + len(fresh)) % 2**32
        return list(self.messages())

    def ahead(self, sequence):
        return (sequence - self.next + 2**31) % 2**32 - 2**31

    def messages(self):
        while True:
            self.data = self.data.lstrip(b"\r\n")  # pings (RFC 5626 3.5.1)
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end or not BEGIN.match(head):
                return
            length = LENGTH.search(head)
            length = int(length.group(1)) if length else 0
            if len(rest) < length:
                return
            self.data = rest[length:]
            yield head + end + rest[:length]

    def is_whole(self):
        return not self.waiting


class Wire:
    def __init__(self, sbc_ips):
        self.sbc_ips = set(sbc_ips)
        self.ends, self.heard, self.reason, self.running = {}, [], None, True
        self.streams = {}
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
        except PermissionError as e:
            self.reason, self.thread = str(e), None
            return
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("lo", IPV4))
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while self.running:
            try:
                packet, address = self.socket.recvfrom(65535)
            except (TimeoutError, OSError):
                continue
            if address[2] != OUTGOING:
                self.take(packet)

    def take(self, packet):
        begin = (packet[0] & 15) * 4
        source, to = (socket.inet_ntoa(packet[n:n + 4]) for n in (12, 16))
        if (source in self.sbc_ips) == (to in self.sbc_ips):
            return
        if packet[9] == UDP and b"SIP/2.0" in packet[begin + 8:begin + 200]:
            self.hear(source, to, packet[begin + 8:])
        elif packet[9] == TCP:
            packet = packet[:int.from_bytes(packet[2:4], "big") or None]
            for message in self.segment(source, to, packet[begin:]):
                self.hear(source, to, message)

    def segment(self, source, to, tcp):
        ports, sequence = tcp[:4], int.from_bytes(tcp[4:8], "big")
        if tcp[13] & SYN:
            self.streams[source, to, ports] = Stream((sequence + 1) % 2**32)
            return []
        stream = self.streams.get((source, to, ports))
        return stream.take(sequence, tcp[(tcp[12] >> 4) * 4:]) if stream else []

    def hear(self, source, to, data):
        if len(self.heard) < MOST:
            self.heard.append((source, to, data))

    def is_whole(self):
        """Nothing of a stream was missed"""
        return all(stream.is_whole() for stream in self.streams.values())

    def end(self, ip, sbc_ip):
        return self.ends.setdefault((ip, sbc_ip), End(ip, sbc_ip))

    def close(self):
        self.running = False
        if self.thread:
            self.thread.join(2)
            self.socket.close()

    def peers(self, opened):
        """All that faces the SBC; who stands behind a proxy is of the proxy's side"""
        for source, to, data in self.heard:
            message = Message.parse(data, source)
            if source in self.sbc_ips:
                self.end(to, source).seen.append(message)
            else:
                self.end(source, to).sent.append(message)
        self.heard.clear()
        ends = {end.ip: end for end in self.ends.values()}
        found = list(ends.values())
        for peer in opened:
            before = ends.get(peer.sbc[0]) if hasattr(peer, "seen") and hasattr(peer, "sbc") else None
            if before:
                behind = End(peer.ip, before.sbc[0])
                behind.seen, behind.sent = peer.seen, peer.sent
                found.append(behind)
            else:
                found.append(peer)
        return found
