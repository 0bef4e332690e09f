"""
SIPp, Kamailio and baresip over TCP: the programs of others cut the SBC's stream, and the SBC theirs.

- Hundreds of calls of SIPp in one stream each way.
- Kamailio registers and challenges over a connection; its two Record-Routes (RFC 5658) lead a call
  back to it that goes on by UDP behind it.
- baresip is called over TCP, and hangs up.
"""
import pytest

from peers.baresip import Baresip
from peers.kamailio import Kamailio
from peers.sipp import Answerer, Caller, numbers

CALLS, RATE = 200, 100


@pytest.fixture
def by_tcp(sbc):
    """Function: the side of a realm speaks TCP"""
    def side(realm, agent):
        interface = next(i for i in sbc.element("sip-interface") if i["realm-id"] == realm)
        interface["sip-ports"][0]["transport-protocol"] = "TCP"
        sbc.element("session-agent", agent)["transport-method"] = "DynamicTCP"
    return side


def test_hundreds_of_calls_go_from_sipp_to_sipp(sbc, peers, by_tcp, tmp_path):
    by_tcp("trunk", "trunk.example")
    by_tcp("pbx-a", "pbx-a.example")
    sbc.element("surrogate-agent").clear()
    peers(Answerer, tmp_path, sbc.ip(11), tcp=True)
    sbc.start()
    caller = peers(Caller, tmp_path, sbc.ip(12), sbc.ip(2), "4930100", "pbx-a.local",
                   numbers(CALLS), CALLS, RATE, tcp=True)
    assert caller.wait(40) == 0, open(caller.errors).read()[-3000:]
    counted = caller.counted()
    assert int(counted["SuccessfulCall(C)"]) == CALLS
    assert int(counted["FailedCall(C)"]) == 0
    sbc.no_session_is_left()
    assert sbc.ports_used() == 0


def test_kamailio_registers_and_challenges_over_tcp(sbc, peers, by_tcp, carrier, pbx_a, tmp_path):
    by_tcp("trunk", "trunk.example")
    registrar = peers(Kamailio, tmp_path, sbc.ip(11), sbc.ip(14), tcp=True, challenge_dialog=True)
    sbc.start().registered()
    assert all("transport=tcp" in contact.lower() for contact in registrar.bindings().values())
    call = pbx_a.calls("0301234").until_answered()
    assert call.statuses == [100, 180, 200]
    carrier.wait(lambda m: m.status is None and m.method == "ACK")
    call.hang_up()
    carrier.wait(lambda m: m.status is None and m.method == "BYE")
    call = carrier.calls("sip:4930105@a.trunk.example").until_answered()
    bye = call.within_dialog("BYE")
    assert call.answer_to(bye).status == 200
    sbc.no_session_is_left()


def test_baresip_is_called_over_tcp_and_hangs_up(sbc, peers, by_tcp, trunk, tmp_path):
    """It connects from 127.0.0.1 whatever its address, so that it cannot begin the call here"""
    by_tcp("pbx-a", "pbx-a.example")
    sbc.start().registered()
    pbx = peers(Baresip, tmp_path, "pbx", sbc.ip(12),
                f"<sip:4930105@{sbc.ip(12)}>;regint=0;answermode=auto;audio_codecs=pcma")
    call = trunk.calls(f"sip:a-4930105@{sbc.ip(1)}").until_answered()
    assert call.statuses[0] == 100 and call.statuses[-1] == 200
    pbx.says("Call established")
    pbx.close()
    trunk.wait(lambda m: m.status is None and m.method == "BYE")
    record, = sbc.records()
    assert record["status"] == "200"
    sbc.no_session_is_left()
