"""The manual page and the completions: made from the parser, tried in the shells themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exporter.commands import parser
from exporter.config import OPTIONS

pytest.importorskip("shtab", reason="make .venv brings it: the completions' generator")
from deploy.packages import command_line


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    command_line.write(folder)
    return folder


def run(*argv: str, stdin: str = "") -> str:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not here: apt-get install {argv[0]}")
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


BASH = """
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "$(complete -p vmguest-exporter | sed 's/.*-F \\([^ ]*\\).*/\\1/')" vmguest-exporter "${COMP_WORDS[-1]}"
    echo "${COMPREPLY[@]}"
}
"""

WORDS = [
    ("--log.l", "--log.level"),
    ("--source g", "guestrpc"),
    ("--extended do", "doctor"),
    ("doctor --bu", "--bundle"),
    ("doctor --poll.i", "--poll.interval"),
    ("ha post-app-state n", "need-reset"),
]


@pytest.mark.parametrize(("typed", "completed"), WORDS)
def test_bash_completes(made: Path, typed: str, completed: str) -> None:
    script = (
        f"source {made}/completions/bash/vmguest-exporter\n{BASH}complete_words vmguest-exporter {typed}\n"
    )
    assert run("bash", stdin=script).split() == [completed]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("--source = si", ["simulated"]),
        ("--log.level =", ["debug", "info", "warn", "error"]),
        ("--log.level = debug --source = si", ["simulated"]),
        ("--log.level = debug --source gu", ["guestrpc"]),
        ("--extended =", ["true", "false"]),
        ("--extended = f", ["false"]),
        ("--extended = off doc", ["doctor"]),
        ("--extended = off ha --ha.source = l", ["library"]),
        ("show --format = j", ["json"]),
        ("ha --log.level = debug post-app-state n", ["need-reset"]),
    ],
)
def test_bash_takes_an_equals_sign_for_a_word(made: Path, typed: str, completed: list[str]) -> None:
    """COMP_WORDBREAKS has it, so that the words of --source=si are three (bash(1), Programmable Completion)."""
    script = (
        f"source {made}/completions/bash/vmguest-exporter\n{BASH}complete_words vmguest-exporter {typed}\n"
    )
    assert run("bash", stdin=script).split() == completed


def test_fish_and_zsh_complete_behind_an_equals_sign(made: Path) -> None:
    assert '"--log.level=[' in (made / "completions" / "zsh" / "_vmguest-exporter").read_text()
    script = (
        f'source {made}/completions/fish/vmguest-exporter.fish; complete -C "vmguest-exporter --source=si"'
    )
    assert run("fish", "-c", script).split("\t")[0].strip() == "--source=simulated"


@pytest.mark.parametrize(("typed", "completed"), WORDS)
def test_fish_completes(made: Path, typed: str, completed: str) -> None:
    script = f'source {made}/completions/fish/vmguest-exporter.fish; complete -C "vmguest-exporter {typed}"'
    assert [line.split("\t")[0] for line in run("fish", "-c", script).splitlines()] == [completed]


def test_zsh_takes_its_completion(made: Path) -> None:
    file = made / "completions" / "zsh" / "_vmguest-exporter"
    assert file.read_text().startswith("#compdef vmguest-exporter\n")
    assert run("zsh", "-n", str(file)) == ""


def test_the_manual_has_every_setting_and_command(made: Path) -> None:
    text = (made / "man" / "vmguest-exporter.1").read_text().replace("\\-", "-")
    for row in OPTIONS:
        assert re.search(rf"{re.escape(row.flag)}\b", text), row.flag
    for command in parser.available():
        assert f"vmguest-exporter {command.name}" in text


def test_the_manual_has_each_way_to_call_it_in_a_line(made: Path) -> None:
    text = (made / "man" / "vmguest-exporter.1").read_text().replace("\\-", "-")
    synopsis = text.partition(".SH SYNOPSIS\n")[2].partition(".SH")[0]
    assert synopsis.split("\n.br\n") == [
        ".B vmguest-exporter\n[SETTING ...]",
        ".B vmguest-exporter\nCOMMAND --help\n",
    ]


def test_the_manual_is_well_formed(made: Path) -> None:
    assert run("groff", "-Kutf8", "-ww", "-man", "-z", str(made / "man" / "vmguest-exporter.1")) == ""


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    files = [path.read_bytes() for path in command_line.write(tmp_path)]
    assert [path.read_bytes() for path in command_line.write(tmp_path)] == files
    assert rb"2023\-11\-14" in files[0]
