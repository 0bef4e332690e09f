"""
baresip at both ends, Kamailio as the trunk between: a call with sound (behaviour.md 7.2, 16, 47).

- The PBX's tone is heard at the carrier's, the carrier's at the PBX.
- The call record counts the packets of both directions.
- tshark finds nothing malformed in what the SBC sent.
"""
import os
import signal
import subprocess
import time

import pytest

from peers.baresip import Baresip, pitch
from peers.kamailio import Kamailio

SECONDS = 2.0


@pytest.fixture
def sound(sbc, peers, tmp_path):
    """(PBX, carrier, record) of a call that lasted two seconds"""
    def talk():
        # baresip's packets do not leave from the address of its SDP but, on loopback, from
        # 127.0.0.1: as behind NAT
        for realm in ("pbx-a", "trunk"):
            sbc.element("realm-config", realm)["symmetric-latching"] = "enabled"
        peers(Kamailio, tmp_path, sbc.ip(11), sbc.ip(14))
        sbc.start().registered()
        carrier = peers(Baresip, tmp_path, "carrier", sbc.ip(14),
                        f"<sip:0301234@{sbc.ip(14)}>;regint=0;answermode=auto;audio_codecs=pcma",
                        tone=1000, ports=(31100, 31120))
        pbx = peers(Baresip, tmp_path, "pbx", sbc.ip(12),
                    f'<sip:4930100@pbx-a.local>;regint=0;outbound="sip:{sbc.ip(2)}:5060";'
                    "audio_codecs=pcma", calls=f"sip:0301234@{sbc.ip(2)}", tone=440)
        for end in (pbx, carrier):
            end.says("Call established", within=5)
        time.sleep(SECONDS)   # the length of the call
        pbx.close()
        record, = sbc.records()
        carrier.close()
        return pbx, carrier, record
    return talk


def test_both_ends_hear_each_other(sbc, sound):
    pbx, carrier, record = sound()
    assert record["status"] == "200" and record["auth-user"] == "a1"
    at_least = int(SECONDS * 50 * 0.8)
    assert int(record["in-packets"]) >= at_least and int(record["out-packets"]) >= at_least
    assert record["in-lost"] == record["out-lost"] == "0"
    for end, tone in ((pbx, 1000), (carrier, 440)):
        samples = end.heard()
        assert len(samples) > 8000 * SECONDS * 0.7
        assert max(samples) > 1000
        middle = samples[len(samples) // 4:len(samples) * 3 // 4]
        assert abs(pitch(middle) - tone) < tone * 0.05, pitch(middle)
    sbc.no_session_is_left()


def test_nothing_that_the_sbc_sends_is_malformed(sbc, sound, tmp_path):
    path = f"{tmp_path}/capture.pcap"
    network = sbc.ip(0)
    log = open(f"{tmp_path}/capture.log", "w")
    capture = subprocess.Popen(["dumpcap", "-q", "-i", "lo", "-P", "-w", path, "-f",
                                f"udp and net {network}/24"], stdout=log, stderr=log)
    try:
        limit = time.monotonic() + 5
        while not (os.path.exists(path) and os.path.getsize(path) >= 24):
            if capture.poll() is not None or time.monotonic() > limit:
                pytest.skip("no right to capture here: " + open(log.name).read().strip()[-200:])
            time.sleep(0.05)
        sound()
    finally:
        capture.send_signal(signal.SIGINT)
        capture.wait(5)
    ours = " or ".join(f"ip.src == {sbc.ip(n)}" for n in (1, 2, 3))

    def frames(wanted):
        result = subprocess.run(
            ["tshark", "-r", path, "-n", "-o", "rtp.heuristic_rtp:TRUE", "-Y",
             f"({ours}) and ({wanted})"], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()

    assert len(frames("sip and sdp")) >= 3
    assert len(frames("rtp and rtp.version == 2 and rtp.p_type == 8")) > SECONDS * 50
    wrong = frames("_ws.malformed or _ws.expert.severity == error or "
                   "(_ws.expert.severity == warning and (sip or sdp))")
    assert not wrong, "\n".join(wrong)
