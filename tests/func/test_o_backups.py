"""
Backups, versions and what is deleted (acli.md 1.7, 1.8).

- backup-config, display-backups, delete-backup-config, restore-backup-config, delete-config.
- export-config --secrets asks, and is recorded; without it no password is written.
- realm-specifics prints and deletes every object that names a realm.
"""
import os
import re
import stat

from test_o_shell import AGENT, operator  # noqa: F401


def edit(sbc, value, *more):
    sbc.acli("configure terminal", f"surrogate-agent {AGENT}", f"register-retry-time {value}",
             "done", "exit", *more)


def retry_time(sbc, text=None):
    text = text or sbc.acli("show configuration surrogate-agent a.trunk.example")
    return re.search(r"register-retry-time +(\d+)", text).group(1)


def test_a_backup_is_made_listed_restored_and_deleted(sbc):
    sbc.start()
    assert sbc.acli("display-backups") == "There are no backups.\n"
    assert sbc.acli("backup-config first") == "Backup [first] is made of saved.\n"
    path = f"{sbc.folder}/backup/first.yaml"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    text = open(path).read()
    assert "$sbc1$" in text and "secret-" not in text
    edit(sbc, 61)
    sbc.acli("backup-config second editing")
    listed = sbc.acli("display-backups").splitlines()
    assert listed[0].split() == ["Name", "Version", "Source", "Elements", "Size", "Date"]
    assert listed[1].split()[:3] == ["first", "1", "saved"]
    assert listed[2].split()[:3] == ["second", "2", "editing"]
    assert listed[1].split()[4] == str(len(text))

    assert "Editing is what was restored." in sbc.acli("restore-backup-config first")
    assert "No differences." in sbc.acli("show configuration diff saved")
    sbc.acli("restore-backup-config second")
    assert retry_time(sbc) == "61"
    # The passwords are the same: nothing but what was edited differs
    diff = sbc.acli("show configuration diff running")
    assert "1 element changed, 0 added, 0 removed" in diff and "password" not in diff

    code, output = sbc.acli_status("delete-backup-config first")
    assert code == 1 and "needs --yes" in output and os.path.exists(path)
    assert "Backup [first] is deleted." in sbc.acli("delete-backup-config first",
                                                    options=["--yes"])
    assert not os.path.exists(path)
    assert sorted(os.listdir(f"{sbc.folder}/backup")) == ["second.yaml"]


def test_a_backup_never_replaces_another_and_has_a_name(sbc):
    sbc.start()
    sbc.acli("backup-config one")
    before = open(f"{sbc.folder}/backup/one.yaml").read()
    for line, error in (("backup-config one", "% Backup [one] exists already"),
                        ("backup-config", "% Missing NAME"),
                        ("backup-config ../one", "% NAME [../one] is no name"),
                        ("backup-config .one", "% NAME [.one] is no name"),
                        ('backup-config "a/b"', "% NAME [a/b] is no name"),
                        ("backup-config two nonsense", "% Unknown word [nonsense]"),
                        ("restore-backup-config none", "% There is no backup [none]"),
                        ("restore-backup-config version 9", "% There is no version 9"),
                        ("restore-backup-config version x", "% There is no version [x]"),
                        ("restore-backup-config one nowhere", "% Unknown word [nowhere]"),
                        ("restore-backup one", "% Unknown word [restore-backup], possible here: "),
                        ("delete-conf", "% Unknown word [delete-conf], did you mean")):
        code, output = sbc.acli_status(line, options=["--yes"])
        assert code == 1 and error in output, (line, output)
    # What is not there is not asked about
    for options in ([], ["--yes"]):
        code, output = sbc.acli_status("delete-backup-config none", options=options)
        assert code == 1 and output == "% There is no backup [none]\n"
    assert open(f"{sbc.folder}/backup/one.yaml").read() == before
    assert os.listdir(f"{sbc.folder}/backup") == ["one.yaml"]


def test_a_damaged_backup_is_refused_whole(sbc):
    sbc.start()
    sbc.acli("backup-config one")
    path = f"{sbc.folder}/backup/one.yaml"
    with open(path, "a") as f:
        f.write("session-router:\n  nonsense: 1\n")
    edit(sbc, 61)
    code, output = sbc.acli_status("restore-backup-config one")
    assert code == 1 and "% Backup [one] was not taken; nothing was changed" in output
    assert retry_time(sbc) == "61"


def test_a_restore_to_running_runs_and_one_with_errors_is_refused(sbc, trunk):
    sbc.start().registered()
    sbc.acli("backup-config good")
    edit(sbc, 61, "save-config", "activate-config")
    output = sbc.acli("restore-backup-config good running")
    assert "Saved as version 3." in output and "Running is version 3." in output
    assert retry_time(sbc, sbc.acli("show running-config surrogate-agent")) == "30"
    sbc.acli("configure terminal", f"surrogate-agent {AGENT}", "realm-id nowhere", "done", "exit",
             "backup-config bad editing", "discard", options=["--yes"])
    code, output = sbc.acli_status("restore-backup-config bad running")
    assert code == 1 and re.search(r"% Configuration has \d+ errors?; nothing was changed", output)
    assert "version is 3" in sbc.acli("display-current-cfg-version")
    assert "No differences." in sbc.acli("show configuration diff saved")
    # Errors do not keep it out of editing, or out of saved
    assert "nowhere" in sbc.acli("restore-backup-config bad", "show configuration diff")


def test_a_version_is_restored_by_its_number(sbc):
    sbc.start()
    edit(sbc, 61, "save-config")
    edit(sbc, 62, "save-config")
    sbc.acli("restore-backup-config version 2")
    assert retry_time(sbc) == "61"
    assert "Saved as version 4." in sbc.acli("restore-backup-config version 1 saved")
    assert retry_time(sbc) == "30"
    # Saved: the lock is free for others
    edit(sbc, 63)


def test_versions_say_what_verify_found_when_they_were_saved(sbc):
    sbc.config["system"]["system-config"]["config-versions-kept"] = "3"
    sbc.start()
    edit(sbc, 61, "save-config")
    sbc.acli("configure terminal", f"surrogate-agent {AGENT}", "realm-id nowhere", "done", "exit",
             "save-config")
    rows = [line.split() for line in sbc.acli("show configuration versions").splitlines()]
    assert rows[0] == ["Version", "Saved", "By", "Elements", "Errors", "Warnings", "Running"]
    assert [r[0] for r in rows[1:]] == ["3", "2", "1"]
    assert int(rows[1][4]) > 0 and rows[2][4] == "0" and rows[3][4:] == ["-", "-", "yes"]
    # The running one is kept beside the newest
    for place in ("a", "b", "c"):
        sbc.acli("configure terminal", "system-config", f"location {place}", "done", "exit",
                 "save-config")
    rows = [line.split() for line in sbc.acli("show configuration versions").splitlines()]
    assert [r[0] for r in rows[1:]] == ["6", "5", "4", "1"]


def test_delete_config_empties_editing_and_saved_and_running_goes_on(sbc, trunk, pbx_a, operator):
    sbc.start().registered()
    edit(sbc, 61)
    o = operator()
    o.types("enable")
    o.types("delete-config", until="Type yes: ")
    assert "Nothing was deleted." in o.types("y")
    o.types("delete-config", until="Type yes: ")
    text = o.types("yes")
    name = re.search(r"Backup is \[(before-delete-\d{14})\]\. Running is version 1 and goes on", text)
    assert name, text
    assert "surrogate-agent" not in sbc.acli("show configuration short")
    assert "surrogate-agent" in sbc.acli("show running-config")
    pbx_a.calls("0301234").until_answered().hang_up()
    # Unsaved edits are not lost either
    listed = sbc.acli("display-backups")
    assert f"{name.group(1)}-editing" in listed
    sbc.acli(f"restore-backup-config {name.group(1)}-editing")
    assert retry_time(sbc) == "61"


def test_export_with_secrets_asks_and_is_recorded(sbc, tmp_path):
    sbc.start()
    path = tmp_path / "out.yaml"
    code, output = sbc.acli_status(f"export-config {path} --secrets")
    assert code == 1 and "needs --yes" in output and not path.exists()
    sbc.acli(f"export-config {path} --secrets", options=["--yes"])
    assert "secret-" in path.read_text() and "$sbc1$" not in path.read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    text = tmp_path / "out.text.yaml"
    sbc.acli(f"export-config {text} text --secrets", options=["--yes"])
    assert "secret-" in text.read_text()
    plain = tmp_path / "plain.yaml"
    sbc.acli(f"export-config {plain}")
    assert "secret-" not in plain.read_text() and "********" in plain.read_text()
    # Importing what was exported changes nothing
    for each in (path, text, plain):
        sbc.acli(f"import-config {each}")
        assert "No differences." in sbc.acli("show configuration diff"), each
        sbc.acli("discard", options=["--yes"])
    log = open(f"{sbc.folder}/log/audit.log").read()
    assert log.count(", secrets yes") >= 4 and "secret-" not in log
    for each in (path, text):
        each.unlink()


def test_realm_specifics_prints_and_deletes_what_names_a_realm(sbc, operator):
    sbc.start()
    text = sbc.acli("realm-specifics pbx-a")
    heads = re.findall(r"(?m)^(\S+)$", text)
    for element in ("realm-config", "steering-pool", "sip-interface", "local-policy",
                    "surrogate-agent", "session-agent"):
        assert element in heads, element
    assert "pbx-b" not in re.findall(r"(?m)^    (?:identifier|realm-id) +(\S+)$", text)
    code, output = sbc.acli_status("realm-specifics nowhere")
    assert code == 1 and "% There is no realm-config [nowhere]" in output
    o = operator()
    o.types("enable")
    listed = o.types("delete realm-specifics pbx-a", until="Type yes: ")
    assert "session-router sip-interface [pbx-a]" in listed
    assert "Nothing was deleted." in o.types("no")
    o.types("delete realm-specifics pbx-a", until="Type yes: ")
    count = len(re.findall(r"(?m)^    \S+ \S+ \[", listed))
    assert f"{count} elements are deleted." in o.types("yes")
    left = sbc.acli("show configuration")
    assert not re.search(r"\bpbx-a\b", left.replace("pbx-a.local", ""))
    assert re.search(r"(?m)^    identifier +pbx-b$", left)
    code, output = sbc.acli_status("delete realm-spec pbx-b")
    assert code == 1 and "% Unknown word [realm-spec], possible here: realm-specifics" in output


def test_activation_names_the_number_of_unsaved_edits(sbc):
    sbc.start()
    edit(sbc, 61, "save-config")
    edit(sbc, 62)
    assert "Note: 1 unsaved edit is not part of version 2." in sbc.acli("activate-config")
