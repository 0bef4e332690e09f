"""
What the SBC says and hears on the loopback, for peers that keep no messages themselves: SIPp,
baresip, Kamailio.

Each end that speaks with an address of the SBC becomes a peer of peers/crossing.py. Needs the right
to read packets; without it nothing is seen and `reason` says why.
"""
import socket
import threading

from .sip import Message

IPV4, UDP, OUTGOING = 0x0800, 17, 4
MOST = 20000  # messages that are looked at


class End:
    """One address that faces one address of the SBC"""

    def __init__(self, ip, sbc_ip):
        self.ip, self.sbc = ip, (sbc_ip, 5060)
        self.seen, self.sent = [], []


class Wire:
    def __init__(self, sbc_ips):
        self.sbc_ips = set(sbc_ips)
        self.ends, self.heard, self.reason, self.running = {}, [], None, True
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
        if packet[9] != UDP or b"SIP/2.0" not in packet[begin + 8:begin + 200]:
            return
        source, to = (socket.inet_ntoa(packet[n:n + 4]) for n in (12, 16))
        if (source in self.sbc_ips) != (to in self.sbc_ips) and len(self.heard) < MOST:
            self.heard.append((source, to, packet[begin + 8:]))

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
