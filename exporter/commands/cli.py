"""The command line: which command, with which settings; the only place that prints problems and exits.

No command means serve. The other commands are modules with ``add_arguments(parser)`` for their own arguments
and ``run(args)``, or ``run(args, load)`` where they work on the settings: ``load()`` gives them, or raises
ConfigError, which :func:`main` turns into words and exit status 2. Where something is wrong a module is asked what
else is: ``contradictions(args)`` among its arguments, ``wrong_settings(args, settings, environ, unread)`` of the
settings (``args`` None: they can't be read). A module is imported when its command is chosen, and not before.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import ModuleType

from exporter import app, log
from exporter.advice import explain
from exporter.commands import parser
from exporter.commands.parser import PROGRAM, SERVE, Command
from exporter.config import Settings, flags, load
from exporter.config.given import did_you_mean, in_order, nearest
from exporter.config.load import PartsCheck
from exporter.config.settings import BY_NAME
from exporter.errors import ConfigError, Problems, VMGuestError
from exporter.machine import signals
from exporter.machine.system import HERE

OK, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names; exit status 0 ok, 1 failed, 2 for usage or settings that waiting can't mend."""
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        _complain(*in_order(error.problems), f"try {PROGRAM} --help")
        return FAILED if error.passing else USAGE
    except VMGuestError as error:
        _complain(explain(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:  # argparse's way to end
        return end.code if isinstance(end.code, int) else FAILED


def entry() -> int:
    """Run as a program: :func:`main` on the process's own arguments, and what it printed is out when this returns."""
    if (
        sys.stdout is None
    ):  # Closed before the start: what is printed goes nowhere, as whoever closed it wanted.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  as long as the process
    signals.hear_of_children()
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        status = FAILED  # A reader such as `head` has had enough.
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _complain(f"standard output: {error.strerror}")
        elif not (HERE.windows and error.errno == errno.EINVAL and _unread()):
            raise
        status = FAILED
    else:
        return status
    # Python must not try to flush again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _unread() -> bool:
    """Whether nobody reads standard output any more: Windows says EINVAL of that, and of much else."""
    try:
        sys.stdout.flush()  # what could not be written waits there
    except OSError:
        return True
    return False


def _run(argv: Sequence[str]) -> int:
    commands = {command.name: command for command in parser.available()}
    line = flags.read(argv, [*commands], bare=[SERVE.name])
    command = commands.get(line.command or SERVE.name)
    if (
        line.broken
        and (named := next((commands[word] for word in argv if word in commands), SERVE)).usage != USAGE
    ):
        _complain(*line.problems)
        return _misused(named, argv, "; ".join(line.problems))
    if command is not SERVE:
        signals.unmask()  # The others are ended by them at any moment.
    if line.help and (command in {None, SERVE}):
        parser.whole(system=HERE).print_help()
        return OK
    if line.version:
        print(parser.version())
        return OK

    if command is None:
        line.problems.append(f"{line.command}: no such command{did_you_mean(line.command, commands)}")
        _settings(line)  # which raises, with whatever else is wrong
        return USAGE
    if command is SERVE:
        return app.serve(_settings_of_serve(line), os.environ)
    return _other(command, line, argv, [*commands])


def _settings_of_serve(line: flags.CommandLine) -> Settings:
    try:
        return _settings(line, app.wrong_settings, SERVE.uses)
    except ConfigError as error:
        # Heartbeats were taken out, and the rest of their settings was left: after a crash, one that does not start is a reset.
        rest = [name for name in (*BY_NAME, "ha.check") if name.startswith("ha.")]
        with suppress(ConfigError):
            settings = _settings(line, app.wrong_settings, (*SERVE.uses, *rest))
            if not settings.ha.enabled and app.left_on(settings):
                for problem in error.problems:
                    logging.getLogger("exporter.app").warning("%s. The next start is refused", problem)
                return settings
        raise


def _other(command: Command, line: flags.CommandLine, argv: Sequence[str], commands: Sequence[str]) -> int:
    if command.needs in HERE.lacks and not command.needing and not line.help:
        raise ConfigError(f"{command.name}: {HERE.lacks[command.needs]}")
    without = command.only_with and command.only_with not in {word.partition("=")[0] for word in line.rest}
    alone = without or not command.settings
    if alone and not line.help:
        needed = f" without {command.only_with}" if without else ""
        line.problems += [f"{each.where} has no effect on {command.name}{needed}" for each in line.given]
    module = import_module(command.module)
    own = _Own(command, module, line.rest, help=line.help)
    if own.wrong or (alone and line.problems):
        # Once more, with words that messages may repeat.
        known = flags.read(argv, commands, own=own.reader.flags(), words=own.reader.words())
        own = _Own(command, module, known.told, help=line.help)
        if not own.wrong and known.after:
            line.problems.append(
                f"{known.after}: a word stands after it that can't be used, and may be the rest of its value; put its value in quotes"
            )
        return _tell(command, line, own, alone=alone)
    settings = partial(_settings, line, _check_of(command, module, own.args), command.uses)
    status: int = module.run(own.args, settings) if command.settings else module.run(own.args)
    return status


class _Own:
    """What a command makes of the words that are its own, and what is wrong with them."""

    def __init__(self, command: Command, module: ModuleType, words: Sequence[str], *, help: bool) -> None:  # noqa: A002
        self.reader = parser.of(command, HERE)
        self.mistakes = self.reader.mistakes
        self.args: Namespace | None = None
        if help:  # The parser of the command, or of one of its own commands, prints it, and ends.
            words = [*takewhile(lambda word: word != "--", words), "--help"]
        try:
            self.args = self.reader.parse_args(words)
        except SystemExit as end:
            if not end.code:
                raise
        self.contradictions = Problems()
        if self.args is not None and hasattr(module, "contradictions"):
            self.contradictions += module.contradictions(self.args)
        self.wrong = self.args is None or bool(self.mistakes.words or self.contradictions)


def _tell(command: Command, line: flags.CommandLine, own: _Own, *, alone: bool) -> int:
    """Everything that is wrong."""
    for flag in own.mistakes.unknown:
        line.guess(nearest(flag, flags.flags()))
    line.problems += own.contradictions
    found = Problems(line.problems)
    if not alone:
        module = import_module(command.module)
        with found.gather():
            _settings(line, _check_of(command, module, own.args), command.uses, wrong=True)
    if not own.mistakes.words and command.usage == USAGE:
        raise ConfigError(*found)
    own.mistakes.print()
    told = in_order(found)
    if own.mistakes.words:
        _complain(*told)
    return _misused(command, line.rest, "; ".join((*own.mistakes.words, *told)))


def _check_of(command: Command, module: ModuleType, args: Namespace | None) -> PartsCheck:
    """What the parts that the command consists of find wrong with their settings, and the command's own module."""
    checks: list[PartsCheck] = []
    if command.reads:
        checks.append(partial(app.wrong_settings, parts=app.PARTS[:1]))
    if hasattr(module, "wrong_settings"):
        checks.append(partial(module.wrong_settings, args))

    def found(settings: Settings, environ: Mapping[str, str], unread: Collection[str]) -> list[str]:
        return [each for check in checks for each in check(settings, environ, unread)]

    return found


def _misused(command: Command, words: Sequence[str], why: str) -> int:
    if command.usage != USAGE:
        import_module(command.module).misused(words, why)
    return command.usage


def _settings(
    line: flags.CommandLine,
    check: PartsCheck | None = None,
    uses: Sequence[str] = (),
    *,
    wrong: bool = False,
) -> Settings:
    loaded = load(line.given, os.environ, line.problems, uses, meant=line.meant, check=check, wrong=wrong)
    log.set_up(loaded.log.level, loaded.log.format)
    return loaded


def _complain(*sentences: str) -> None:
    log.flush()
    for sentence in sentences:
        print(f"{PROGRAM}: {sentence}", file=sys.stderr)
