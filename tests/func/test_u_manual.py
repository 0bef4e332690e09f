"""
What is made from the tables of the programs: man pages and completion, and where they are installed.

- groff has nothing to say about the pages, and each option, command, element, parameter and rule is there.
- What a page names as an option, the program takes.
- bash completes options, files, elements, and commands of several words with their quotes.
"""
import os
import re
import subprocess

import pexpect
import pytest

from conftest import BUILD, ROOT

PAGES = ("sbcd.8", "acli.1", "sbc.yaml.5")


def text_of(page):
    """The page as somebody reads it, unfilled and without overstrikes"""
    environment = dict(os.environ, MANWIDTH="2000", MAN_KEEP_FORMATTING="", LC_ALL="C.UTF-8", MANROFFOPT="-rHY=0")
    text = subprocess.run(["man", "-l", "-P", "cat", f"{BUILD}/man/{page}"], env=environment, check=True,
                          capture_output=True, text=True).stdout
    return re.sub(r".\x08", "", text)


@pytest.mark.parametrize("page", PAGES)
def test_groff_has_nothing_to_say_about_a_page(page):
    result = subprocess.run(["man", "--warnings=all", "-E", "UTF-8", "-l", "-Tutf8", "-Z", f"{BUILD}/man/{page}"],
                            env=dict(os.environ, MANROFFSEQ="", LC_ALL="C.UTF-8"), capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == "" and len(result.stdout) > 5000
    assert "@" not in re.sub(r"\S+@\S+", "", text_of(page)), "a mark was not replaced"


def test_the_configuration_page_has_all_that_the_manual_has():
    page = text_of("sbc.yaml.5")
    manual = subprocess.run([f"{BUILD}/sbcd", "--manual"], check=True, capture_output=True, text=True).stdout
    elements = re.findall(r"^(\S+) > (?:(\S+) > )?(\S+)$", manual, re.M)
    parameters = re.findall(r"^    ([a-z][a-z-]+)$", manual, re.M)
    rules = re.findall(r"^    (VC-\d{4}) ", manual, re.M)
    assert len(elements) > 20 and len(parameters) > 250 and len(rules) > 100
    for folder, above, name in elements:
        assert f"\n   {' / '.join(filter(None, (folder, above, name)))}\n" in page
    for name in set(parameters) - {"last-modified-by", "last-modified-date"}:
        assert parameters.count(name) == len(re.findall(rf"^       {name}(?: |$)", page, re.M)), name
    for rule in rules:
        assert f"\n       {rule} " in page


def test_the_shell_page_says_who_may_end_a_trial():
    """acli.md 1.7, 1.9"""
    page = re.sub(r"\s+", " ", text_of("acli.1"))
    said = page[page.index("Versions on trial"):page.index("Test commands")]
    for words in ("every superuser may end the trial, also while another holds the lock", "activate-config accept keeps",
                  "activate-config rollback lets the version that ran before return at once", "for 1 to 60 minutes"):
        assert words in said, words


def options_of(page):
    section = re.search(r"^OPTIONS$(.*?)^[A-Z]", text_of(page), re.M | re.S).group(1)
    return re.findall(r"^       (?:-[a-z], )?--([a-z-]+)(?: ([A-Z]+)\b)?(?: .*)?$", section, re.M)


def test_what_the_pages_name_the_programs_take(tmp_path):
    for program, page, last, code in (("sbcd", "sbcd.8", "--version", 0), ("acli", "acli.1", "--bogus", 2)):
        options = options_of(page)
        assert len(options) > 10
        for name, argument in options:
            words = [f"--{name}"] + (["5"] if argument in ("S", "N") else ["NOTICE"] if argument else [])
            if name in ("help", "version"):
                continue
            said = subprocess.run([f"{BUILD}/{program}", *words, last], capture_output=True, text=True,
                                  cwd=tmp_path, timeout=5)
            assert said.returncode == code, (words, said)
            complaints = [line for line in said.stderr.splitlines() if "unrecognized" in line]
            assert len(complaints) == (last == "--bogus"), (words, said)
        # --help has a line for each option and is no error; nothing else has to be there
        said = subprocess.run([f"{BUILD}/{program}", "--password-file", "/nowhere", "--help"]
                              if program == "acli" else [f"{BUILD}/{program}", "--help"],
                              capture_output=True, text=True, timeout=5)
        assert (said.returncode, said.stderr) == (0, "") and said.stdout.startswith(f"usage: {program} ")
        lines = re.findall(r"(?m)^  (?:-[a-z], )?--([a-z-]+)(?: ([A-Z]+))? +\S", said.stdout)
        assert lines == options
        assert set(re.findall(r"--([a-z-]+)", said.stdout)) == {n for n, _ in options}
        said = subprocess.run([f"{BUILD}/{program}", "--version"], capture_output=True, text=True, timeout=5)
        assert (said.returncode, said.stderr) == (0, "")
        assert re.fullmatch(rf"{program} \d+\.\d+(\.\d+)?\n", said.stdout), said.stdout


def test_the_page_of_the_shell_has_every_command(sbc, trunk):
    sbc.start()
    page = text_of("acli.1")
    commands = [line.split("  ")[0] for line in sbc.acli("help").splitlines()]
    assert len(commands) > 50
    for command in commands:
        assert re.search(rf"^       {re.escape(command)}", page, re.M), command


@pytest.fixture
def bash(tmp_path):
    (tmp_path / "site.yaml").write_text("")
    (tmp_path / "with blank.yaml").write_text("")
    child = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], cwd=str(tmp_path), encoding="utf8", timeout=5,
                          env=dict(os.environ, PS1="$ ", TERM="dumb", INPUTRC="/dev/null"), dimensions=(50, 400))
    child.delaybeforesend = None
    child.sendline(f"PS1='ready> '; bind 'set show-all-if-ambiguous on' 'set bell-style none'; "
                   f"source {BUILD}/man/sbcd; source {BUILD}/man/acli")
    child.expect("\nready> ")
    yield child
    child.close(force=True)


@pytest.mark.parametrize("typed, becomes", [
    ("sbcd --ver\t\tz", None),
    ("sbcd --veri\tz", "sbcd --verify z"),
    ("sbcd --verify si\tz", "sbcd --verify site.yaml z"),
    ("sbcd --config wi\tz", "sbcd --config with\\ blank.yaml z"),
    ("sbcd --manual surr\tz", "sbcd --manual surrogate-agent z"),
    ("sbcd --log-level NOT\tz", "sbcd --log-level NOTICE z"),
    ("acli --keep\tz", "acli --keep-going z"),
    ("acli --command verify\tz", "acli --command verify-config z"),
    ('acli -c "show surr\tz', 'acli -c "show surrogate-agents" z'),
    ("acli -c show\\ surr\tz", "acli -c show\\ surrogate-agents z"),
    ("acli -f si\tz", "acli -f site.yaml z"),
])
def test_bash_completes_what_is_typed(bash, typed, becomes):
    bash.send(typed)
    bash.expect("z")
    line = bash.before.split("\r")[-1].replace("\x07", "") + "z"
    if becomes:
        assert line.endswith(becomes), repr(bash.before)
    else:
        assert "--verify" in bash.before and "--version" in bash.before


def test_everything_is_installed_where_it_is_looked_for(tmp_path):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", str(tmp_path)],
                   check=True, capture_output=True)
    installed = {os.path.relpath(os.path.join(folder, name), tmp_path / "usr/local")
                 for folder, _, names in os.walk(tmp_path) for name in names}
    assert installed >= {"bin/sbcd", "bin/acli", "share/man/man8/sbcd.8", "share/man/man1/acli.1",
                         "share/man/man5/sbc.yaml.5", "share/bash-completion/completions/sbcd",
                         "share/bash-completion/completions/acli", "lib/systemd/system/sbcd.service"}
    unit = (tmp_path / "usr/local/lib/systemd/system/sbcd.service").read_text()
    assert "Type=notify" in unit and "WatchdogSec=" in unit and "ExecStart=/usr/local/bin/sbcd " in unit
    assert unit == open(f"{ROOT}/configs/sbcd.service").read()
