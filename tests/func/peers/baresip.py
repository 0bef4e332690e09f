"""
baresip without a sound card: it sends a tone and keeps what it heard as a WAV file.
"""
import glob
import json
import math
import os
import signal
import socket
import struct
import subprocess
import time
import wave

MODULES = "/usr/lib/baresip/modules"


class Baresip:
    """`accounts` is a line of baresip's accounts file; `calls` a URI to dial at once"""

    def __init__(self, folder, name, ip, account, calls=None, tone=440, ports=(31000, 31020)):
        self.folder = f"{folder}/{name}"
        self.ip = ip
        os.makedirs(self.folder)
        tone_write(f"{self.folder}/tone.wav", tone)
        with open(f"{self.folder}/config", "w") as f:
            f.write("\n".join([
                f"sip_listen {ip}:5060", f"net_interface {ip}", f"module_path {MODULES}",
                "module g711.so", "module aufile.so", "module aubridge.so", "module sndfile.so",
                "module_app account.so", "module_app menu.so",
                "module_app ctrl_tcp.so", f"ctrl_tcp_listen {ip}:4444",
                f"audio_source aufile,{self.folder}/tone.wav", "audio_player aubridge,sink",
                "audio_alert aubridge,alert", "ausrc_srate 8000", "auplay_srate 8000",
                "ausrc_channels 1", "auplay_channels 1", f"rtp_ports {ports[0]}-{ports[1]}",
                f"snd_path {self.folder}", ""]))
        with open(f"{self.folder}/accounts", "w") as f:
            f.write(account + "\n")
        open(f"{self.folder}/contacts", "w").close()
        self.log = f"{self.folder}/log"
        arguments = ["baresip", "-f", self.folder, "-v"] + (["-e", f"/dial {calls}"] if calls else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                                        stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
        self.says("baresip is ready")

    def says(self, text, within=5.0):
        limit = time.monotonic() + within
        while text not in open(self.log, errors="replace").read():
            assert self.process.poll() is None and time.monotonic() < limit, \
                open(self.log, errors="replace").read()
            time.sleep(0.05)

    def command(self, name, parameters=""):
        """What its user does: hold, resume, transfer URI (module ctrl_tcp, netstrings of JSON)"""
        text = json.dumps({"command": name, "params": parameters}).encode()
        with socket.create_connection((self.ip, 4444), 3) as control:
            control.sendall(b"%d:%s," % (len(text), text))
            control.settimeout(3)
            return control.recv(65536).decode("utf-8", "replace")

    def close(self):
        """Hang up and end"""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def heard(self):
        """Samples of what came from the other side"""
        samples = []
        for path in glob.glob(f"{self.folder}/dump-*-dec.wav"):
            with wave.open(path) as w:
                assert (w.getframerate(), w.getnchannels(), w.getsampwidth()) == (8000, 1, 2)
                data = w.readframes(w.getnframes())
                samples += struct.unpack(f"<{len(data) // 2}h", data)
        return samples


def tone_write(path, tone, rate=8000, seconds=5):
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(b"".join(
            struct.pack("<h", int(12000 * math.sin(2 * math.pi * tone * n / rate)))
            for n in range(rate * seconds)))


def pitch(samples, rate=8000):
    """Frequency of a pure tone [Hz], by its changes of sign"""
    changes = sum(1 for a, b in zip(samples, samples[1:]) if (a < 0) != (b < 0))
    return changes * rate / 2 / max(len(samples), 1)
