"""
The main job, shown: two PBXs that cannot authenticate call through a trunk that challenges both.

Started by run.sh as `demo.py FOLDER PIDS`: sbcd runs on configs/quickstart.yaml with its socket and the
traces in FOLDER. Kamailio is the trunk (127.0.0.11), SIPp is both PBXs and the carrier behind the
trunk. Every peer that was started has ended when this ends.
"""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from peers.kamailio import Kamailio  # noqa: E402
from peers.sip import Message, parameters  # noqa: E402
from peers.sipp import Answerer, Caller  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRUNK, CARRIER = "127.0.0.11", "127.0.0.14"
TENANTS = [("PBX A", "127.0.0.12", "127.0.0.2", "pbx-a.local", "0301234"),
           ("PBX B", "127.0.0.13", "127.0.0.3", "pbx-b.local", "0301234")]
MIRROR = 9060
WIDTH = 29


def say(text):
    print(f"== {text}", flush=True)


class Mirror:
    """Copies of what the trunk sends and receives (HEPv3), as (time, source, destination, message)"""

    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((ip, MIRROR))
        self.socket.settimeout(0.2)
        self.seen, self.running = [], True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while self.running:
            try:
                data = self.socket.recv(65535)
            except TimeoutError:
                continue
            if data[:4] == b"HEP3":
                self.seen.append(self._decode(data))

    @staticmethod
    def _decode(data):
        chunk, at = {}, 6
        while at + 6 <= len(data):
            _, kind, length = struct.unpack_from("!HHH", data, at)
            chunk[kind] = data[at + 6:at + length]
            at += max(length, 6)
        seconds, micros = (int.from_bytes(chunk[n], "big") for n in (9, 10))
        return (seconds + micros / 1e6, socket.inet_ntoa(chunk[3]), socket.inet_ntoa(chunk[4]),
                Message.parse(chunk[15]))

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()


class Arrow:
    def __init__(self, when, source, target, text):
        self.when, self.source, self.target, self.text = when, source, target, text


def note(message):
    """What a ladder says of a message: start, and who proves himself or is asked to"""
    text = f"{message.status} {message.start.split(' ', 2)[2]}" if message.status else message.method
    for name in ("Proxy-Authorization", "Authorization"):
        for value in message.all(name):
            p = parameters(value)
            text += f" [{p['username']}]"
    return text


def ladder(title, pbx, arrows):
    """The messages of one call, in their order, between four columns"""
    columns = [pbx, "SBC", "Kamailio", "carrier"]
    print(f"\n   {title}")
    print("   " + "".join(c.ljust(WIDTH) for c in columns).rstrip())
    for a in sorted(arrows, key=lambda a: a.when):
        left, right = sorted((columns.index(a.source), columns.index(a.target)))
        room = WIDTH * (right - left) - 3
        text = a.text if len(a.text) <= room - 2 else a.text[:room - 1].rsplit(" ", 1)[0]
        text = f" {text} ".center(room, "-")
        line = "<" + text + "-" if columns.index(a.target) == left else "-" + text + ">"
        bars = [("|" + " " * (WIDTH - 1)) for _ in columns]
        bars[left] = "|" + line
        print("   " + "".join(bars[:left + 1] + bars[right:]).rstrip())
    print()


def arrows_of(pbx, caller, mirror):
    """What the PBX itself saw, and what the trunk saw of the call"""
    sbc, trunk_names = "SBC", {TRUNK: "Kamailio", CARRIER: "carrier", "127.0.0.1": "SBC"}
    found, passed, copied, last = [], {}, set(), 0
    for when, source, target, message in mirror:
        if message.method in ("REGISTER", "OPTIONS"):
            continue
        # Kamailio copies the ACK of an answer without transaction twice
        key = (source, target, repr(message))
        if message.method == "ACK" and key in copied:
            continue
        copied.add(key)
        found.append(Arrow(when, trunk_names.get(source, source),
                           trunk_names.get(target, target), note(message)))
        if message.method == "INVITE" and found[-1].target == sbc:
            passed[str(message.status)] = when
    for when, sent, _, cseq, start in caller.messages():
        part = start.split(" ", 2)
        text = f"{part[1]} {part[2]}" if part[0] == "SIP/2.0" else part[0]
        # The trunk copies a message after it has left, so an answer may be here before its copy
        if cseq.endswith("INVITE") and part[1] in passed:
            when = max(when, passed[part[1]] + 1e-6)
        last = when = max(when, last + 1e-6)
        found.append(Arrow(when, pbx if sent else sbc, sbc if sent else pbx, text))
    return found


def acli(folder, *commands):
    arguments = [f"{ROOT}/build/acli", "--socket", os.path.relpath(f"{folder}/acli.sock")]
    for command in commands:
        arguments += ["-c", command]
    result = subprocess.run(arguments, capture_output=True, text=True)
    return result.stdout + result.stderr


def until(question, within, what):
    limit = time.monotonic() + within
    while not question():
        if time.monotonic() > limit:
            raise SystemExit(f"== {what} did not happen within {within} s")
        time.sleep(0.1)


def record(folder):
    text = acli(folder, "show records 1")
    return dict(re.findall(r"^(\S+) +(.+)$", text, re.M))


def call(folder, mirror, tenant):
    pbx, ip, sbc, domain, number = tenant
    say(f"{pbx} ({ip}) calls {number}; it registers nowhere and knows no password")
    since, before = len(mirror.seen), record(folder).get("session-id")
    caller = Caller(folder, ip, sbc, "4930100", domain, [number], lasts=300)
    try:
        code = caller.wait(30)
    finally:
        caller.close()
    if code:
        raise SystemExit(open(caller.errors).read() if os.path.exists(caller.errors) else
                         f"== SIPp ended with {code}: {folder}/{caller.name}.out")
    until(lambda: record(folder).get("session-id") not in (None, before), 5, "the call's record")
    ladder(f"from {pbx} by the SBC and the trunk to the carrier; in brackets whose credentials",
           pbx, arrows_of(pbx, caller, mirror.seen[since:]))
    r = record(folder)
    say(f"{pbx}: challenged {r['challenges']} time(s), answered by {r['auth-source']} as "
        f"[{r['auth-user']}], realm [{r['auth-realm']}], auth-user-lookup "
        f"[{r.get('auth-user-lookup', '')}]; status {r['status']}")


def main(folder, pids):
    opened, scratch = [], None

    def note_pid(peer):
        """For run.sh, should this be killed"""
        with open(pids, "a") as f:
            f.write(f"{peer.process.pid}\n")

    try:
        say(f"listening for copies of the trunk's messages on {TRUNK}:{MIRROR}")
        mirror = Mirror(TRUNK)
        opened.append(mirror)
        say(f"starting Kamailio as registrar and trunk on {TRUNK}:5060")
        # Its control socket needs a short path, wherever this repository lies
        scratch = tempfile.TemporaryDirectory(prefix="kamailio-")
        opened.append(Kamailio(scratch.name, TRUNK, CARRIER, mirror=f"{TRUNK}:{MIRROR}"))
        note_pid(opened[-1])
        say(f"starting SIPp as the carrier behind it on {CARRIER}:5060")
        opened.append(Answerer(folder, CARRIER))
        note_pid(opened[-1])
        say("waiting until the SBC has registered every number of both tenants")
        until(lambda: re.search(r"\b20 registered", acli(folder, "show surrogate-agents")), 90,
              "registration")
        print(acli(folder, "show surrogate-agents"))
        say(f"{len(opened[1].bindings())} bindings at Kamailio, each REGISTER proved to it: "
            f"{registers(mirror.seen)}")
        for tenant in TENANTS:
            call(folder, mirror, tenant)
    finally:
        say("ending the peers")
        for peer in reversed(opened):
            peer.close()
        if scratch:
            scratch.cleanup()


def registers(seen):
    requests = [m for _, source, _, m in seen if m.status is None and m.method == "REGISTER"]
    asked = [m for _, _, _, m in seen if m.status == 401]
    users = sorted({parameters(v)["username"] for m in requests for v in m.all("Authorization")})
    return f"{len(requests)} REGISTERs, {len(asked)} challenges, users {', '.join(users)}"


if __name__ == "__main__":
    main(*map(os.path.abspath, sys.argv[1:3]))
