"""
What crosses the SBC that must not: addresses, names, Call-IDs, tags, branches, credentials.

Each peer keeps every datagram it saw and sent. A side is the address of the SBC that its peers face.
Everything that names something of one side is a mark of it, and no message that reaches another side
may hold a mark (behaviour.md 3.1, 5.2, 5.3; statements 15 and 17 of 7.2). The check runs after every
test; one that lets something across on purpose says so: @pytest.mark.crosses("why").
"""
import re
from urllib.parse import unquote

from .sip import parameters

WORD = re.compile(r"[\w.!%*+`'~-]+")
SHORTEST = 6  # shorter texts are a test's own words, not random ones
CREDENTIALS = ("authorization", "proxy-authorization")
# Of credentials these belong to the SBC and its account. A nonce is the challenger's: a challenge
# that nobody answers goes on to the caller, with its nonce (behaviour.md 6.4)
OWNED = ("response", "cnonce")


def words(text):
    found = set(WORD.findall(text))
    return found | set(WORD.findall(unquote(text))) if "%" in text else found


def texts(message):
    """What stands in a message, header by header"""
    yield "start line", message.start
    for name, value in message.headers:
        yield name, value
    yield "body", message.body


def marks_of(message):
    """Names of the dialog and the transaction that a message belongs to"""
    yield from words(message.call_id)
    for header in ("From", "To"):
        yield message.tag(header)
    for via in message.all("Via"):
        match = re.search(r";branch=([^;,\s]+)", via)
        yield match.group(1) if match else ""


class Side:
    """Peers that face one address of the SBC"""

    def __init__(self, address):
        self.address, self.peers = address, []
        self.places, self.marks, self.accounts = {}, {}, set()
        self.sent, self.said = set(), {}

    def mark(self, word, what):
        if len(word) >= SHORTEST:
            self.marks.setdefault(word, what)

    def learn(self, hosts):
        self.places[self.address] = "the SBC's address there"
        for peer in self.peers:
            self.places[peer.ip] = "a peer's address"
            if getattr(peer, "domain", None) in hosts:
                self.places[peer.domain] = "the PBX's domain"
            for message in peer.seen + peer.sent:
                for word in marks_of(message):
                    self.mark(word, f"Call-ID, tag or branch of {message.start}")
            for message in peer.seen:
                self.learn_credentials(message)
            for message in peer.sent:
                self.sent.update((n.lower(), v) for n, v in message.headers)
                self.said.setdefault(message.call_id, set()).update(words(repr(message)))

    def learn_credentials(self, message):
        for name in CREDENTIALS:
            for value in message.all(name):
                given = parameters(value)
                # Names of accounts are short: they count with their quotes on
                if "username" in given:
                    self.accounts.add(f'"{given["username"]}"')
                for key in OWNED:
                    self.mark(given.get(key, ""), f"{key} of credentials")

    def has_said(self, message, name):
        """What an answer repeats to whom said it (RFC 3261 8.2.6.2)"""
        echo = message.status and name in ("Via", "From", "To", "Call-ID")
        return self.said.get(message.call_id, set()) if echo else set()


def sides_of(peers, hosts):
    sides = {}
    for peer in peers:
        if not hasattr(peer, "sbc") or not hasattr(peer, "seen"):
            continue
        side = sides.setdefault(peer.sbc[0], Side(peer.sbc[0]))
        side.peers.append(peer)
    for side in sides.values():
        side.learn(hosts)
    return list(sides.values())


def found_in(message, side, others):
    """(header, word, what it is): names of other sides in a message that reached this one"""
    for name, text in texts(message):
        here = words(text) - side.has_said(message, name)
        for other in others:
            # Credentials of the caller's own pass through as they are (6.1, row 5)
            if name.lower() in CREDENTIALS and (name.lower(), text) in other.sent:
                continue
            for word in here & other.places.keys() - side.places.keys():
                yield name, word, other.places[word]
            for word in here & other.marks.keys():
                yield name, word, other.marks[word]
            for word in other.accounts:
                if word in text:
                    yield name, word, "an account"


def crossings(peers, hosts):
    """Everything that crossed, as lines to read; hosts are the customer-hosts of the agents"""
    sides, lines = sides_of(peers, hosts), []
    for side in sides:
        others = [s for s in sides if s is not side]
        for peer in side.peers:
            for message in list(peer.seen):
                lines += [f"{peer.ip} saw in {message.start!r}, {name}: {word} ({what})"
                          for name, word, what in found_in(message, side, others)]
    return lines
