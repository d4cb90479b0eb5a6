"""The command line: which command, with which settings; the only place that prints problems and exits.

No command means serve. The other commands are modules with ``add_arguments(parser)`` for their own arguments
and ``run(args)``, or ``run(args, load)`` where they work on the settings: ``load()`` gives them, or raises
ConfigError, which :func:`main` turns into words and exit status 2. A module is imported when its command is
chosen, and not before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from exporter import __version__
from exporter.advice import explain
from exporter.config import Settings, flags, load
from exporter.config.given import did_you_mean
from exporter.errors import ConfigError, VMGuestError

PROGRAM = "vmguest-exporter"

OK, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130
"""128 + SIGINT, as shells say it."""


class Command(NamedTuple):
    """``settings``: whether the module's ``run`` is given a loader of the settings."""

    name: str
    module: str
    help: str
    settings: bool


COMMANDS: tuple[Command, ...] = (
    Command(
        "serve", "exporter.app", "Read the host and publish. This is what happens without a command.", True
    ),
    Command(
        "doctor", "exporter.commands.doctor", "Find out why numbers are missing, and what to change.", True
    ),
    Command("ha", "exporter.commands.ha", "Single calls of vSphere HA Application Monitoring.", True),
    Command("simulate", "exporter.commands.simulate", "Play the hypervisor's side on a unix socket.", False),
    Command("record", "exporter.commands.record", "Write the host's raw replies to a file.", True),
    Command("reference", "exporter.commands.reference", "Print the tables of metrics and settings.", False),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names; exit status 0 ok, 1 failed, 2 bad usage or settings."""
    try:
        return _run(flags.read(sys.argv[1:] if argv is None else argv))
    except ConfigError as error:
        _complain(*error.problems, f"try {PROGRAM} --help")
        return USAGE
    except VMGuestError as error:
        _complain(explain(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:  # argparse's way to end
        return end.code if isinstance(end.code, int) else FAILED


def entry() -> None:
    """The console script."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader such as `head` has had enough. Python must not try to flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    sys.exit(status)


def available() -> list[Command]:
    """The commands that this installation has."""
    from importlib.util import find_spec

    return [command for command in COMMANDS if find_spec(command.module) is not None]


def _run(line: flags.CommandLine) -> int:
    if line.help:
        from exporter.commands import usage

        print(usage.text((command.name, command.help) for command in available()))
        return OK
    if line.version:
        print(f"{PROGRAM} {__version__} (Python {sys.version.split()[0]})")
        return OK

    def settings() -> Settings:
        return _settings(line)

    if line.command in {"", "serve"}:
        return _serve(line, settings)
    commands = {command.name: command for command in available()}
    command = commands.get(line.command)
    if command is None:
        line.problems.append(f"{line.command}: no such command{did_you_mean(line.command, commands)}")
        settings()  # which raises, with whatever else is wrong
        return USAGE
    return _other(command, line, settings)


def _serve(line: flags.CommandLine, settings: Callable[[], Settings]) -> int:
    if line.rest in (["-h"], ["--help"]):
        return main(["--help"])
    line.problems.extend(f"{word}: serve takes settings only" for word in line.rest)
    loaded = settings()
    from exporter.app import serve

    return serve(loaded, os.environ)


def _other(command: Command, line: flags.CommandLine, settings: Callable[[], Settings]) -> int:
    from argparse import ArgumentParser
    from importlib import import_module

    if not command.settings and (line.given or line.problems):
        foreign = (f"{each.where} has no effect on {command.name}" for each in line.given)
        raise ConfigError(*line.problems, *foreign)
    module = import_module(command.module)
    parser = ArgumentParser(
        prog=f"{PROGRAM} {command.name}",
        description=command.help,
        epilog=f"Settings such as --config.file work here too: see {PROGRAM} --help."
        if command.settings
        else None,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    args = parser.parse_args(line.rest)
    status: int = module.run(args, settings) if command.settings else module.run(args)
    return status


def _settings(line: flags.CommandLine) -> Settings:
    from exporter import log

    loaded = load(line.given, os.environ, line.problems)
    log.set_up(loaded.log.level, loaded.log.format)
    return loaded


def _complain(*sentences: str) -> None:
    for sentence in sentences:
        print(f"{PROGRAM}: {sentence}", file=sys.stderr)
