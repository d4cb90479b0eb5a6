"""The flags of the settings, for argparse: it collects the values as text, and :func:`exporter.config.load` checks
them, so that everything wrong is told at once.
"""

from __future__ import annotations

from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from exporter.config.given import Given, nearest
from exporter.config.hiding import HELP, HIDDEN, VERSION, flag_of, hide_secrets, is_flag, no_such_flag
from exporter.config.options import Option
from exporter.config.settings import CHAPTERS, OPTIONS, chapter, need
from exporter.config.values import Switch
from exporter.machine.system import HERE, System


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
    told: list[str] = field(default_factory=list)
    """``rest`` as messages may repeat it."""
    after: str = ""
    """Flag that words which may not be repeated stand after."""
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


def read(
    argv: Sequence[str],
    commands: Collection[str] = (),
    *,
    bare: Collection[str] = (),
    own: Collection[str] = (),
    words: Collection[str] = (),
) -> CommandLine:
    """Take the settings out of ``argv``. Before a command, what is no setting is a problem; after it, the rest.

    ``bare``: those of ``commands`` that take nothing but settings. ``own`` and ``words``: flags and words of the command that
    is meant, for what may be told of its rest.
    """
    told = hide_secrets(argv, {*flags(), *HELP, *VERSION, *own}, {*commands, *words})
    line = _Reader(commands, bare, told.after).read([*argv], told.words)
    line.after = told.after
    return line


@dataclass(frozen=True)
class _Reader:
    commands: Collection[str]
    bare: Collection[str]
    after: str
    """Flag that words which may not be repeated stand after."""

    def read(self, argv: list[str], told: list[str]) -> CommandLine:
        """As argparse has it, no flags stand behind a ``--`` but words: those of a command, or that and all that is its own.

        ``told``: the words of ``argv`` as messages may repeat them.
        """
        if "--" not in argv:
            return self._read(argv, told)
        end = argv.index("--")
        line, words, shown_words = self.read(argv[:end], told[:end]), argv[end + 1 :], told[end + 1 :]
        if line.command in self.bare:
            line.problems += [self._stray(word, line) for word in shown_words if word != "--"]
        elif line.command:
            line.rest += ["--", *words]
            line.told += ["--", *shown_words]
        elif words and words[0] != "--" and words[0].startswith("-"):
            line.command, *line.told = shown_words
            line.rest = words[1:]
        elif not line.broken:
            return self.read([*argv[:end], *words], [*told[:end], *shown_words])
        return line

    def _read(self, argv: list[str], told: list[str]) -> CommandLine:
        try:
            args, left = _parse(argv)
            _, shown_left = _parse(told)
        except ArgumentError as error:
            return CommandLine(problems=[_misused(error)], broken=True)
        line = CommandLine(
            [each for each in args.given if isinstance(each, Given)],
            problems=[each for each in args.given if isinstance(each, str)],
            help=args.help,
            version=args.version,
        )
        flag = ""
        lost = False
        for at, word in enumerate(shown_left):
            if is_flag(word):
                flag = word
                line.problems.append(self._no_flag(word, line))
            elif flag and "=" not in flag and word not in self.commands:
                flag = ""  # Most likely the value of the flag that isn't known.
            elif line.command or HIDDEN in word or not word:
                lost = not line.command
                line.problems.append(self._stray(word, line))
            elif lost:
                continue  # What the command is can't be told.
            else:
                line.command = word
                if word not in self.bare:
                    line.rest, line.told = left[at + 1 :], shown_left[at + 1 :]
                    break
        return line

    def _no_flag(self, word: str, line: CommandLine) -> str:
        if word.startswith(f"-{HIDDEN}"):
            return self._in_quotes("flag")
        known = [*flags(), *HELP, *VERSION]
        line.guess(nearest(flag_of(word), known))
        return no_such_flag(word, known)

    def _stray(self, word: str, line: CommandLine) -> str:
        if word == HIDDEN and self.after:
            return self._in_quotes("command")
        if not word:
            return "'': an empty word; leave it out"
        return f"{word}: " + (f"{line.command} takes settings only" if line.command else "no such command")

    def _in_quotes(self, what: str) -> str:
        return f"{self.after}: a word that is no {what} stands after it; put its value in quotes"


def _parse(argv: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Settings, and what is left."""
    parser = ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    parser.add_argument(*HELP, action="store_true")
    parser.add_argument(*VERSION, action="store_true")
    add_settings(parser)
    return parser.parse_known_args([*_explicit(argv)])


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
        return f"{flag}: it takes no value"
    return f"{flag}: a value is missing; expected {row.kind.expects}"
