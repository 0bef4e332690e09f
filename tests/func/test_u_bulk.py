"""
Credentials in bulk (acli.md 1.8): CSV files into the credential table.

- All or nothing: each bad row is told with its line, and then nothing is taken.
- What is taken answers at once, without a save or an activation.
- Credentials of single AoRs make those that were refused try again at once.
"""
import json
import re

import pytest


def imported(sbc):
    rows = json.loads(sbc.acli("show credentials | json"))["data"]
    return [(r["realm"], r["auth-realm"], r["lookup"]) for r in rows if r["origin"] == "imported"]


@pytest.fixture
def csv(sbc, tmp_path):
    """Makes files, which are gone before somebody looks for secrets on the disk"""
    made = []

    def write(name, *rows, header="auth-realm,auth-user-lookup,username,password"):
        made.append(tmp_path / name)
        made[-1].write_text("\n".join([header, *rows]) + "\n")
        return made[-1]
    yield write
    for path in made:
        path.unlink()


def test_rows_are_taken_and_count_at_once(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("a.csv", "trunk.example,tenX,x1,secret-x", "trunk.example,tenY,y1,secret-y")
    output = sbc.acli(f"import-credentials {path} realm trunk")
    assert "2 credentials of realm-config [trunk] taken, live now." in output
    assert imported(sbc) == [("trunk", "trunk.example", "tenX"), ("trunk", "trunk.example", "tenY")]
    path = csv("b.csv", "trunk.example,tenZ,z1,secret-z")
    sbc.acli(f"import-credentials {path} realm trunk merge")
    assert [r[2] for r in imported(sbc)] == ["tenX", "tenY", "tenZ"]
    sbc.acli(f"import-credentials {path} realm trunk")
    assert [r[2] for r in imported(sbc)] == ["tenZ"]


def test_every_bad_row_is_told_and_nothing_is_taken(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("bad.csv", "trunk.example,tenX,x1,secret-x", "trunk.example,tenY,y1",
               "trunk.example,,z1,secret-z", "trunk.example,tenW,w1,")
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and "has 3 bad rows; nothing was changed" in output
    assert re.findall(r"bad\.csv:(\d+): ", output) == ["3", "4", "5"]
    assert imported(sbc) == []
    path = csv("head.csv", "a,b,c,d", header="realm,user,password")
    code, output = sbc.acli_status(f"import-credentials {path} realm trunk")
    assert code == 1 and "head.csv:1: " in output


def test_what_does_not_exist_is_said(sbc, trunk, csv, tmp_path):
    sbc.start()
    path = csv("a.csv", "r,l,u,secret-p")
    code, output = sbc.acli_status(f"import-credentials {path} realm nowhere")
    assert code == 1 and "% There is no realm-config [nowhere]" in output
    code, output = sbc.acli_status(f"import-credentials {path} surrogate-agent nobody")
    assert code == 1 and "% There is no surrogate-agent [nobody]" in output
    code, output = sbc.acli_status(f"import-credentials {path}")
    assert code == 1 and "% Missing realm R, or surrogate-agent KEY" in output
    code, output = sbc.acli_status(f"import-credentials {tmp_path}/none.csv realm trunk")
    assert code == 2


def test_a_refused_aor_registers_with_its_own_credentials_at_once(sbc, trunk, csv, tmp_path):
    agent = sbc.element("surrogate-agent", "a.trunk.example")
    right, agent["password"] = agent["password"], "secret-wrong"
    sbc.start()
    sbc.waits("show surrogate-agents", r"10 refused", 8.0)
    user = agent["auth-user"] if agent.get("auth-user") else ""
    first = json.loads(sbc.acli("show surrogate-agents realm pbx-a | json"))["data"]["aors"][0]["aor"]
    first = first.split("@")[0]
    path = csv("aors.csv", f"{first},{user},{right}", header="aor-user,auth-user,password")
    output = sbc.acli(f"import-credentials {path} surrogate-agent a.trunk.example")
    assert "1 credential of surrogate-agent [a.trunk.example " in output
    sbc.waits("show surrogate-agents realm pbx-a", r"1 registered, 9 refused", 8.0)
    assert "has [10] AoRs but own credentials for [1]" in sbc.acli("verify-config rule VC-0418")
