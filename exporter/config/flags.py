"""The command line: settings by the table, a subcommand, and what is left for the subcommand.

argparse stops at the first mistake, matches abbreviations and costs memory that a server keeps for ever; the
settings' flags are regular enough to need none of it. Subcommands have argparse for their own arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from exporter.config.given import Given, did_you_mean
from exporter.config.options import Option
from exporter.config.settings import OPTIONS
from exporter.config.values import Switch


class CommandLine(NamedTuple):
    """``command`` is the first word that is no flag, empty without one; ``rest`` what follows it, unread."""

    given: list[Given]
    command: str
    rest: list[str]
    problems: list[str]
    help: bool
    version: bool


def read(argv: Sequence[str]) -> CommandLine:
    """Take the settings out of ``argv``. Before a command, what is no setting is a problem; after it, the rest."""
    flags = {row.flag: row for row in OPTIONS}
    negatives = {row.negative: row for row in OPTIONS if isinstance(row.kind, Switch)}
    given: list[Given] = []
    rest: list[str] = []
    problems: list[str] = []
    command, help_, version = "", False, False
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if row := flags.get(flag):
            given += _value(row, flag, value if equals else None, words, problems)
        elif row := negatives.get(flag):
            if equals:
                problems.append(f"{flag} takes no value; write {row.flag}={value} or {flag}")
            else:
                given.append(Given(row, "false", flag))
        elif command:
            rest.append(word)
        elif word in {"-h", "--help"}:
            help_ = True
        elif word == "--version":
            version = True
        elif word.startswith("-"):
            known = [*flags, *negatives, "--help", "--version"]
            problems.append(f"{flag}: no such flag{did_you_mean(flag, known)}")
        else:
            command = word
    return CommandLine(given, command, rest, problems, help_, version)


def _value(row: Option, flag: str, value: str | None, words: list[str], problems: list[str]) -> list[Given]:
    if isinstance(row.kind, Switch):
        return [Given(row, "true" if value is None else value, flag)]
    if value is None:
        if not words or words[0].startswith("--"):
            problems.append(f"{flag}: a value is missing; expected {row.kind.expects}")
            return []
        value = words.pop(0)
    return [Given(row, value, flag)]
