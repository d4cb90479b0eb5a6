"""What a system lacks is refused at start, and the help says so: both for the same things."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator

import pytest

from exporter.commands import cli, parser, simulate
from exporter.commands.parser import COMMANDS
from exporter.config import OPTIONS, load
from exporter.config.flags import add_settings
from exporter.config.given import Given
from exporter.config.options import Option
from exporter.config.values import Choice, Switch
from exporter.errors import ConfigError
from exporter.machine.system import LINUX, WINDOWS
from exporter.reading import where

SENTENCES = [*WINDOWS.lacks.values()]


def words(row: Option) -> tuple[str, ...]:
    """One of each kind that a setting may be given."""
    if isinstance(row.kind, Choice):
        return row.kind.words
    return ("true",) if isinstance(row.kind, Switch) else ("x",)


def refusals(row: Option, word: str) -> Iterator[str]:
    """What Windows lacks for it, by what is said at start."""
    try:
        load([Given(row, word, row.flag)], {}, system=WINDOWS)
    except ConfigError as error:
        yield from (each for each in SENTENCES if any(each in problem for problem in error.problems))


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: row.name)
def test_the_help_says_of_a_setting_what_its_refusal_says(row: Option) -> None:
    helps = {each.name: str(action.help) for each, action in add_settings(ArgumentParser(), WINDOWS)}
    told = {each for each in SENTENCES if each in helps[row.name]}
    found = {word: {*refusals(row, word)} for word in words(row)}
    assert told == set().union(*found.values())
    if told and not all(found.values()):  # then the help says of which
        (refused,) = (word for word, why in found.items() if why)
        assert f"{refused} is refused: " in helps[row.name]


def test_settings_that_windows_refuses_are_among_them() -> None:
    """What the reference has of them, docs/windows.md."""
    refused = {row.name for row in OPTIONS if any([*refusals(row, word)] for word in words(row))}
    assert {"source", "guestrpc.socket", "api.socket", "ha.enabled", "ha.lock-file"} <= refused
    assert not refused & {"web.enabled", "library.path", "config.file", "guestrpc.timeout"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_help_says_of_a_command_what_its_refusal_says(
    command: parser.Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in cli, simulate, where:
        monkeypatch.setattr(module, "HERE", WINDOWS)
    assert cli.main(["--help"]) == 0
    whole = " ".join(capsys.readouterr().out.split())
    if command.name == "serve":
        return
    assert cli.main([command.name, "--help"]) == 0
    own = " ".join(capsys.readouterr().out.split())
    if command.name in {"ha", "record"}:
        assert cli.main([command.name]) == 2
        said = capsys.readouterr().err
        (sentence,) = (each for each in SENTENCES if f"{command.name}: {each}" in said)
        assert f"{command.help.rstrip('.')}. Refused: {sentence}." in whole
        assert f"{command.help.rstrip('.')}. Refused: {sentence}." in own
    elif command.name == "simulate":
        assert "--socket is refused: Python has no unix sockets on Windows." in whole
        assert "--socket PATH unix socket to listen at, such as /tmp/host.sock. Refused: Python has no" in own
    elif command.name in {"top", "show", "check", "report"}:
        assert "exporter is refused: Python has no unix sockets on Windows." in own
        assert cli.main([command.name, "--from=exporter"]) in {2, 3}
        assert "--from=exporter: Python has no unix sockets on Windows" in "".join(capsys.readouterr())
    else:
        assert "efused" not in own


def test_on_linux_nothing_is_refused() -> None:
    assert "efused" not in parser.whole(commands=True, system=LINUX).format_help()
    for _, action in add_settings(ArgumentParser(), LINUX):
        assert "efused" not in str(action.help)


def test_the_help_has_the_librarys_name_on_the_system() -> None:
    assert "libguestlib.so.0" in parser.whole(system=LINUX).format_help()
    text = parser.whole(system=WINDOWS).format_help()
    assert "vmGuestLib.dll" in text
    assert "libguestlib" not in text
