"""The flags of the settings, for argparse: it collects the values as text, and :func:`exporter.config.load` checks
them, so that everything wrong is told at once.
"""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field

from exporter.config.given import Given, did_you_mean, nearest
from exporter.config.options import Option
from exporter.config.settings import CHAPTERS, OPTIONS, chapter, need
from exporter.config.values import Switch
from exporter.machine.system import HERE, System

HELP, VERSION = ("-h", "--help"), ("--version",)


@dataclass
class CommandLine:
    """``command`` is the first word that is no flag, empty without one; ``rest`` what follows it, unread. ``broken``: a
    setting has no value, and nothing else could be told.
    """

    given: list[Given] = field(default_factory=list)
    command: str = ""
    rest: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    help: bool = False
    version: bool = False
    broken: bool = False
    hidden: list[str] = field(default_factory=list)
    """Words that may be the rest of a secret, for want of quotes; not to be repeated."""
    meant: set[str] = field(default_factory=set)
    """Names of settings that were misspelled, as far as one can guess."""

    def guess(self, near: str) -> None:
        """Note which setting is most likely meant, by its flag."""
        self.meant |= {row.name for row in OPTIONS if near in {row.flag, row.negative}}


def add_settings(parser: ArgumentParser, system: System = HERE) -> list[tuple[Option, Action]]:
    """Declare the flag of every setting, below its heading; what is given gathers in ``args.given``.

    ``system``: the one that the help is for.
    """
    parser.set_defaults(given=[])
    made = []
    for title, groups in CHAPTERS:
        section = parser.add_argument_group(title)
        for row in chapter(groups):
            switch = isinstance(row.kind, Switch)
            action = section.add_argument(
                *((row.flag, row.negative) if switch else (row.flag,)),
                action=_Collect,
                row=row,
                nargs="?" if switch else None,
                dest="given",
                metavar="true|false" if switch else row.kind.placeholder,
                help=_help(row, system).replace("%", "%%"),
            )
            made.append((row, action))
    return made


def _help(row: Option, system: System) -> str:
    """What the setting is and, in brackets, what holds without it; of one that ``system`` refuses, why."""
    needed = need(row.name)
    default = f" [{system.unset.get(row.name, row.default)}]"
    if needed is None:
        return row.help + default
    if needed.value:
        return system.told(row.help, needed.what, needed.value) + default
    return system.told(row.help, needed.what) + ("" if needed.what in system.lacks else default)


def flags() -> list[str]:
    """Of every setting."""
    return [
        *(row.flag for row in OPTIONS),
        *(row.negative for row in OPTIONS if isinstance(row.kind, Switch)),
    ]


def read(argv: Sequence[str], commands: Sequence[str] = ()) -> CommandLine:
    """Take the settings out of ``argv``. Before a command, what is no setting is a problem; after it, the rest.

    As argparse has it, no flags stand behind a ``--`` but words: those of a command, or that and all that is its own.
    """
    if "--" in argv:
        end = [*argv].index("--")
        line, words = read(argv[:end], commands), [*argv[end + 1 :]]
        if line.command:
            line.rest += ["--", *words]
        elif words and words[0] != "--" and words[0].startswith("-"):
            line.command, *line.rest = words
        elif not line.broken:
            return read([*argv[:end], *words], commands)
        return line
    parser = ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    parser.add_argument(*HELP, action="store_true")
    parser.add_argument(*VERSION, action="store_true")
    add_settings(parser)
    try:
        args, left = parser.parse_known_args([*_explicit(argv)])
    except ArgumentError as error:
        return CommandLine(problems=[_misused(error)], broken=True)
    line = CommandLine(
        [each for each in args.given if isinstance(each, Given)],
        problems=[each for each in args.given if isinstance(each, str)],
        help=args.help,
        version=args.version,
    )
    stray = _after_secrets(argv, commands)
    line.hidden = [*stray]
    known = [*flags(), *HELP, *VERSION]
    flag = ""
    while left and not line.command:
        word = left.pop(0)
        if word.startswith("-"):
            flag = word
            name = word.partition("=")[0]
            line.problems.append(f"{name}: no such flag{did_you_mean(name, known)}")
            line.guess(nearest(name, known))
        elif flag and "=" not in flag and word not in commands:
            flag = ""  # Most likely the value of the flag that isn't known.
        elif word in stray:
            line.problems.append(
                f"{stray[word]}: a word that is no command stands after it; put its value in quotes"
            )
            break
        else:
            line.command = word
    line.rest = left
    return line


def _after_secrets(argv: Sequence[str], commands: Sequence[str]) -> dict[str, str]:
    """Words that follow the value of a secret setting and are no command's name, each with the flag before it."""
    secrets = {row.flag for row in OPTIONS if row.kind.secret}
    found = {}
    flag, value = "", False
    for word in argv:
        if value:
            value = False
        elif word.startswith("-"):
            name, equals, _ = word.partition("=")
            flag, value = (name, not equals) if name in secrets else ("", False)
        elif flag and word not in commands:
            found[word] = flag
    return found


class _Collect(Action):
    """Keeps each value with the flag that it was given by, in the order of the command line."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, row: Option, **others: object) -> None:
        super().__init__(option_strings, dest, **others)  # type: ignore[arg-type]
        self.row = row

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: object, option_string: str | None = None
    ) -> None:
        del parser
        flag = option_string or self.row.flag
        found: Given | str = Given(self.row, values, flag)
        if isinstance(self.row.kind, Switch) and flag == self.row.negative:
            found = Given(self.row, "false", flag)
            if values != "true":
                found = f"{flag} takes no value; write {self.row.flag}={values} or {flag}"
        namespace.given = [*namespace.given, found]


def _explicit(argv: Sequence[str]) -> list[str]:
    """A switch alone is true. Said before argparse could take the word after it, a command's name, for its value."""
    rows = [row for row in OPTIONS if isinstance(row.kind, Switch)]
    switches = {row.flag for row in rows} | {row.negative for row in rows}
    return [f"{word}=true" if word in switches else word for word in argv]


def _misused(error: ArgumentError) -> str:
    flag = error.argument_name or ""
    row = next((row for row in OPTIONS if row.flag == flag), None)
    if row is None:
        return f"{flag}: {error.message}"
    return f"{flag}: a value is missing; expected {row.kind.expects}"
