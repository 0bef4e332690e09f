"""
When there is a call record, and where it goes: account-config (configuration.md 2.17, acli.md 5.3).
"""
import csv
import glob
import json
import os
import re
import time

import pytest

from test_c_races import second  # noqa: F401
from test_u_change import changed

FINAL = ("stop", "attempt", "event")


def account(sbc, **parameters):
    sbc.config["session-router"]["account-config"] = {
        k.replace("_", "-"): v for k, v in parameters.items()}


def files(sbc, end=""):
    return sorted(glob.glob(f"{sbc.folder}/cdr/cdr-*{end}"))


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def appears(find, within=5.0):
    limit = time.monotonic() + within
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < limit, "nothing came"
        time.sleep(0.05)


def types_of(sbc, count):
    """Types and statuses of all records, oldest first"""
    found = sbc.records(count, types=FINAL + ("start", "interim"))
    return [(r["record-type"], r.get("status", "")) for r in reversed(found)]


# --- which records

@pytest.mark.parametrize("start, expected", [
    ("None", [("stop", "200")]), ("Invite", [("start", ""), ("stop", "200")]),
    ("OK", [("start", "200"), ("stop", "200")])])
def test_generate_start_chooses_when_a_call_is_told_first(sbc, trunk, pbx_a, start, expected):
    account(sbc, generate_start=start)
    sbc.start().registered()
    call = pbx_a.calls("0301234")
    if start == "Invite":
        record, = sbc.records(types=("start",))
        assert record["egress-realm"] == "trunk" and "connect-time" not in record
    call.until_answered()
    if start == "OK":
        record, = sbc.records(types=("start",))
        assert record["connect-time"] and "disconnect-time" not in record and "reason" not in record
    call.hang_up()
    sbc.no_session_is_left()
    sbc.records()
    assert types_of(sbc, len(expected)) == expected


@pytest.mark.parametrize("start, expected", [("Invite", ["start", "attempt"]), ("OK", ["attempt"])])
def test_a_call_that_nobody_answers_is_an_attempt(sbc, trunk, pbx_a, start, expected):
    account(sbc, generate_start=start)
    trunk.invite_challenge, trunk.answers = None, [486]
    sbc.start().registered()
    pbx_a.calls("0301234").until_refused()
    sbc.records()
    assert [t for t, _ in types_of(sbc, len(expected))] == expected


def test_each_moment_writes_an_interim_record(sbc, trunk, pbx_a, second):  # noqa: F811
    account(sbc, generate_start="None",
            generate_interim=["Reinvite-Response", "OK", "1xx", "Unsuccessful-Attempt"])
    trunk.invite_challenge, trunk.answers = None, [503]
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    call.ack_to(hold, call.answer_to(hold))
    sbc.records(4, types=("interim",))
    call.hang_up()
    sbc.records()
    assert types_of(sbc, 5) == [("interim", "503"), ("interim", "180"), ("interim", "200"),
                                ("interim", "200"), ("stop", "200")]


def test_a_refused_reinvite_writes_none(sbc, trunk, pbx_a):
    account(sbc, generate_start="None")
    trunk.inside = lambda r: trunk.reply(r, 200 if r.method == "BYE" else 488)
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    hold = call.within_dialog("INVITE", pbx_a.sdp(sendrecv="sendonly"))
    assert call.answer_to(hold).status == 488
    call.hang_up()
    sbc.records()
    assert types_of(sbc, 1) == [("stop", "200")]


def test_a_long_call_is_told_every_period(sbc, trunk, pbx_a):
    account(sbc, generate_start="None", generate_interim=["OK"], intermediate_period="1")
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    found = list(reversed(sbc.records(3, types=("interim",))))
    call.hang_up()
    durations = [int(r["duration-ms"]) for r in found]
    assert durations[0] < durations[1] < durations[2]
    assert durations[1] >= 1000 and durations[2] >= 2000
    assert len({r["session-id"] for r in found}) == 1
    assert all("ended-by" not in r and "q850" not in r for r in found)


def test_trans_at_close_keeps_them_until_the_end(sbc, trunk, pbx_a):
    account(sbc, trans_at_close="enabled", generate_interim=["OK", "1xx"])
    sbc.start().registered()
    call = pbx_a.calls("0301234").until_answered()
    other = pbx_a.calls("0305555").until_answered()
    other.hang_up()
    sbc.records()
    assert [t for t, _ in types_of(sbc, 4)] == ["interim", "start", "interim", "stop"]
    call.hang_up()
    sbc.records(2)
    found = sbc.records(8, types=FINAL + ("start", "interim"))
    assert len({r["session-id"] for r in found[:4]}) == 1
    assert found[1]["record-type"] == "interim" and "disconnect-time" not in found[1]


# --- files

@pytest.mark.parametrize("form", ["csv", "json", "both"])
def test_records_go_to_files_of_each_form(sbc, trunk, pbx_a, form):
    account(sbc, file_format=form)
    trunk.invite_challenge = None
    sbc.start().registered()
    pbx_a.calls("0301234", user="4930100", headers=[
        ("Diversion", '"Doe, \\"J\\"" <sip:4930107@pbx-a.local>')]).until_answered().hang_up()
    sbc.records()
    wanted = {"csv": [".csv"], "json": [".jsonl"], "both": [".csv", ".jsonl"]}[form]
    appears(lambda: len(files(sbc, ".part")) == len(wanted))
    sbc.stop()
    found = files(sbc)
    assert [os.path.splitext(f)[1] for f in found] == wanted
    for path in found:
        assert re.fullmatch(r"cdr-\d{8}-\d{6}-0001\.(csv|jsonl)", os.path.basename(path))
        assert os.stat(path).st_mode & 0o007 == 0
        rows = read_csv(path) if path.endswith("csv") else read_json(path)
        assert [r["record-type"] for r in rows] == ["start", "stop"]
        assert [r["sequence"] for r in rows] == (["1", "2"] if path.endswith("csv") else [1, 2])
        assert rows[1]["called-number"] == "0301234" and rows[1]["reason"] == "normal"
        if path.endswith("csv"):
            assert len(rows[0]) == 65 and rows[0]["reason"] == "" and None not in rows[0]
        else:
            assert "reason" not in rows[0] and "" not in rows[0].values()
            numbers = {k for k, v in rows[1].items() if isinstance(v, int)}
            assert {"record-version", "sequence", "duration-ms", "setup-ms", "status", "in-packets", "config-version"} <= numbers
            assert not numbers & {"session-id", "called-number", "setup-time", "auth-user-lookup"}


def journal(sbc):
    """Its records, each behind a head of 12 bytes that begins with the length; a length of 0 ends them"""
    data, at = open(f"{sbc.database}.records", "rb").read(), 0
    while length := int.from_bytes(data[at:at + 4], "little"):
        at += 12 + (length & 0x7fffffff)
    return data[:at]


def test_sigkill_loses_no_record_and_writes_none_twice(sbc, trunk, pbx_a):
    account(sbc, generate_start="None")
    trunk.invite_challenge = None
    sbc.start().registered()
    for n in range(3):
        pbx_a.calls(f"030123{n}").until_answered().hang_up()
    sbc.records(3)
    appears(lambda: files(sbc, ".part"))
    for n in range(3, 6):
        pbx_a.calls(f"030123{n}").until_answered().hang_up()
    # in the journal, which takes them a moment after the call (store/records.h)
    appears(lambda: journal(sbc).count(b"normal") == 3)
    sbc.kill()
    sbc.start(configured=False).registered()
    pbx_a.calls("0301236").until_answered().hang_up()
    sbc.records(7)
    sbc.stop()
    assert not files(sbc, ".part")
    rows = [r for path in files(sbc, ".csv") for r in read_csv(path)]
    # calls that end within one turn of the media thread may change places
    assert sorted(r["called-number"] for r in rows) == [f"030123{n}" for n in range(7)]
    sequences = [int(r["sequence"]) for r in rows]
    assert sequences == sorted(set(sequences))


def test_rotate_logs_begins_a_new_file(sbc, trunk, pbx_a):
    account(sbc, generate_start="None")
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    # told when all of a turn are in the files, which is behind the first byte of the first
    sbc.waits("show accounting", r"/cdr/cdr-\d+-\d+-0001\.csv\.part +1 +0 +0")
    sbc.acli("notify all rotate-logs")
    first, = appears(lambda: files(sbc, ".csv"))
    assert not files(sbc, ".part") and len(read_csv(first)) == 1
    pbx_a.calls("0301234").until_answered().hang_up()
    appears(lambda: files(sbc, ".part"))


@pytest.mark.parametrize("parameter", ["state", "file-output"])
def test_without_output_there_are_records_and_no_files(sbc, trunk, pbx_a, parameter):
    sbc.config["session-router"]["account-config"] = {parameter: "disabled"}
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.records()
    sbc.stop()
    assert not os.path.exists(f"{sbc.folder}/cdr")


def test_a_folder_that_is_gone_raises_an_alarm_and_stops_no_call(sbc, trunk, pbx_a, tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    account(sbc, file_path=str(place), generate_start="None")
    sbc.start().registered()
    place.rmdir()
    place.write_text("no folder")
    pbx_a.calls("0301234").until_answered().hang_up()
    sbc.waits("show alarms", "cdr-write-failed", 9)
    assert sbc.records()[0]["reason"] == "normal"
    place.unlink()
    place.mkdir()
    pbx_a.calls("0305678").until_answered().hang_up()
    sbc.no_alarm_is_left(9)
    appears(lambda: [r["called-number"] for p in place.iterdir() for r in read_csv(p)] == ["0301234", "0305678"])


def test_forms_change_with_the_configuration(sbc, trunk, pbx_a):
    account(sbc, generate_start="None")
    sbc.start().registered()
    pbx_a.calls("0301234").until_answered().hang_up()
    appears(lambda: files(sbc, ".csv.part"))
    account(sbc, generate_start="None", file_format="json")
    changed(sbc)
    appears(lambda: files(sbc, ".csv"))
    pbx_a.calls("0305678").until_answered().hang_up()
    path, = appears(lambda: files(sbc, ".jsonl.part"))
    record, = appears(lambda: read_json(path))  # written out a moment after the file is begun
    assert record["called-number"] == "0305678"
    assert len(read_csv(files(sbc, ".csv")[0])) == 1
