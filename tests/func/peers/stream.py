"""
The same peers over TCP: one thread per connection, messages cut by Content-Length (RFC 3261 18.3).
"""
import re
import socket
import threading
import time

from .pbx import Pbx
from .sip import Message, has_more
from .trunk import Trunk


class Stream:
    """Mixed into an Endpoint: listens, connects, and sends on the connection a peer has"""

    def open(self):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.ip, self.port))
        listener.listen(16)
        listener.settimeout(0.1)
        self.connections = {}
        self.accepted = 0
        self.pings = 0
        self.chunk = None  # bytes a send; None: all at once
        return listener

    def _read(self):
        while self.running and self.socket.fileno() >= 0:
            if not has_more(self.socket, 0.1):
                continue
            with self.reading:
                try:
                    connection, peer = self.socket.accept()
                except (TimeoutError, ConnectionError):
                    continue
                self.accepted += 1
                self.adopt(connection, peer)
        for connection in list(self.connections.values()):
            connection.close()

    def adopt(self, connection, peer):
        connection.settimeout(0.1)
        self.connections[peer] = connection
        thread = threading.Thread(target=self.serve_connection, args=(connection, peer), daemon=True)
        self.threads.add(thread)
        thread.start()

    def sockets(self):
        return [self.socket, *self.connections.values()]

    def serve_connection(self, connection, peer):
        data = b""
        while self.running and connection.fileno() >= 0:
            try:
                if not has_more(connection, 0.1):
                    continue
                self.dawdle()
                with self.reading:
                    more = connection.recv(65536)
                    if not more:
                        self.connections.pop(peer, None)
                        break
                    data, messages = self.cut(data + more, peer)
                for message in messages:
                    self.treat(message)
            except TimeoutError:
                continue
            except OSError:     # also of an answer into a connection that was lost meanwhile
                break
        self.connections.pop(peer, None)
        connection.close()

    def cut(self, data, peer):
        """What is left of the data, and the messages that were whole"""
        messages = []
        while b"\r\n\r\n" in data:
            if data.startswith(b"\r\n\r\n"):  # a ping (RFC 5626 3.5.1)
                self.pings += 1
                data = data[4:]
                continue
            head, _, rest = data.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?mi)^(?:Content-Length|l)\s*:\s*(\d+)", head).group(1))
            if len(rest) < length:
                break
            messages.append(self.take(Message.parse(head + b"\r\n\r\n" + rest[:length], peer)))
            data = rest[length:]
        return data, messages

    def write(self, data, to):
        connection = self.connections.get(to)
        if not connection:
            connection = socket.create_connection(to, 2, (self.ip, 0))
            self.adopt(connection, to)
        step = self.chunk or len(data)
        for at in range(0, len(data), step):
            connection.sendall(data[at:at + step])
            if self.chunk:
                time.sleep(0.001)

    def via(self, text):
        return text.replace("SIP/2.0/UDP", "SIP/2.0/TCP")


class TcpTrunk(Stream, Trunk):
    pass


class TcpPbx(Stream, Pbx):
    pass
