"""
RTP by hand: a socket that sends numbered packets and keeps what it hears.
"""
import re
import socket
import struct
import time


class Rtp:
    def __init__(self, ip, port=0, ssrc=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, port))
        self.ip, self.port = self.socket.getsockname()
        self.ssrc = ssrc or (0x5eed0000 | self.port)
        self.seq = 0
        self.heard = []    # (source, packet)

    def close(self):
        self.socket.close()

    def packet(self, payload=b"\xd5" * 160, version=2, kind=8):
        self.seq += 1
        return struct.pack("!BBHII", version << 6, kind, self.seq, self.seq * 160,
                           self.ssrc) + payload

    def sends(self, to, data=None, count=1, pause=0.0):
        for _ in range(count):
            self.socket.sendto(self.packet() if data is None else data, to)
            if pause:
                time.sleep(pause)

    def hears(self, count=1, within=1.0):
        """Packets until there are so many, or the time is over"""
        limit = time.monotonic() + within
        start = len(self.heard)
        while len(self.heard) - start < count:
            rest = limit - time.monotonic()
            if rest <= 0:
                break
            self.socket.settimeout(rest)
            try:
                data, source = self.socket.recvfrom(2048)
            except (TimeoutError, ConnectionError):
                continue
            self.heard.append((source, data))
        return self.heard[start:]


def ssrc(data):
    return struct.unpack_from("!I", data, 8)[0]


def media(message):
    """(address, port) of the first stream of a message's SDP"""
    return (re.search(r"^c=IN IP4 (\S+)", message.body, re.M).group(1),
            int(re.search(r"^m=audio (\d+)", message.body, re.M).group(1)))
