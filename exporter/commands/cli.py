"""The command line: which command, with which settings; the only place that prints problems and exits.

No command means serve. The other commands are modules with ``add_arguments(parser)`` for their own arguments
and ``run(args)``, or ``run(args, load)`` where they work on the settings: ``load()`` gives them, or raises
ConfigError, which :func:`main` turns into words and exit status 2. Where something is wrong a module is asked what
else is: ``contradictions(args)`` among its arguments, ``wrong_settings(args, settings, environ, unread)`` of the
settings (``args`` None: they can't be read). A module is imported when its command is chosen, and not before.
"""

from __future__ import annotations

import errno
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
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
    line = flags.read(argv, [*commands])
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
        for word in line.rest:
            if word == "--":
                continue
            if word in line.hidden:
                line.problems.append("serve takes settings only; put a value that has spaces in quotes")
                continue
            hint = did_you_mean(word.partition("=")[0], flags.flags()) if word.startswith("--") else ""
            line.problems.append(f"{word}: serve takes settings only{hint}")
        return app.serve(_settings(line, app.wrong_settings, SERVE.uses), os.environ)
    return _other(command, line)


def _other(command: Command, line: flags.CommandLine) -> int:
    if command.needs in HERE.lacks and not command.needing and not line.help:
        raise ConfigError(f"{command.name}: {HERE.lacks[command.needs]}")
    without = command.only_with and command.only_with not in {word.partition("=")[0] for word in line.rest}
    alone = without or not command.settings
    if alone and not line.help:
        needed = f" without {command.only_with}" if without else ""
        line.problems += [f"{each.where} has no effect on {command.name}{needed}" for each in line.given]
    # The parser of the command, or of one of its own commands, prints the help.
    reader = parser.of(command, line.hidden, HERE)
    mistakes = reader.mistakes
    args = None
    try:
        words = [*takewhile(lambda word: word != "--", line.rest), "--help"] if line.help else line.rest
        args = reader.parse_args(words)
    except SystemExit as end:
        if not end.code:
            return OK
    module = import_module(command.module)
    settings = partial(_settings, line, _check_of(command, module, args), command.uses)
    found = Problems()
    if args is not None and hasattr(module, "contradictions"):
        found += module.contradictions(args)
    if args is None or mistakes.words or found or (alone and line.problems):
        for flag in mistakes.unknown:
            line.guess(nearest(flag, flags.flags()))
        line.problems += found
        found = Problems(line.problems)
        if not alone:
            with found.gather():
                settings(wrong=True)
        if not mistakes.words and command.usage == USAGE:
            raise ConfigError(*found)
        mistakes.print()
        told = in_order(found)
        if mistakes.words:
            _complain(*told)
        return _misused(command, line.rest, "; ".join((*mistakes.words, *told)))
    status: int = module.run(args, settings) if command.settings else module.run(args)
    return status


def _check_of(command: Command, module: ModuleType, args: Namespace | None) -> PartsCheck | None:
    """What the parts that the command consists of find wrong with their settings, or the command's own module."""
    if command.reads:
        return partial(app.wrong_settings, parts=app.PARTS[:1])
    return partial(module.wrong_settings, args) if hasattr(module, "wrong_settings") else None


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
