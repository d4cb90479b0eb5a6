"""The commands there are, and their parsers: for reading a command line, for the help, the manual and the shells."""

from __future__ import annotations

import shutil
import sys
from argparse import Action, ArgumentParser, HelpFormatter, RawDescriptionHelpFormatter
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from exporter import __version__
from exporter.commands.arguments import HelpfulParser, OwnParser
from exporter.config.flags import add_settings, flags
from exporter.config.hiding import HELP, VERSION
from exporter.config.places import Location
from exporter.config.values import Choice, Switch
from exporter.machine.system import HEARTBEATS, HERE, UNIX_SOCKETS, VSOCK, System

PROGRAM = "vmguest-exporter"

DESCRIPTION = "Reads what the hypervisor does to this VMware guest and publishes it as Prometheus and OpenTelemetry metrics."

USAGE = "%(prog)s [SETTING ...]\n       %(prog)s COMMAND --help"

SETTINGS = """\
Every setting is a flag, a variable and a key of the settings file: --poll.interval=1s is \
VMGUEST_POLL_INTERVAL=1s and, below [poll], interval = "1s". Flags win over variables, variables over the file. \
A switch is on as --name or --name=on, off as --no-name or --name=off. In brackets: what holds without it."""


class Command(NamedTuple):
    """``settings``: whether the module's ``run`` is given a loader of the settings. ``usage``: the exit status of a
    command line that can't be read; where it is not 2, the module's ``misused(words, why)`` says so in its own way.
    ``only_with``: the flag of the command without which settings have no effect.
    ``needs``: what a system may lack, without which the command can't be, or only its flag ``needing``. ``uses``: settings
    that have an effect on it without what they need elsewhere. ``reads``: whether it reads the host that the settings name.
    """

    name: str
    module: str
    help: str
    settings: bool
    usage: int = 2
    only_with: str = ""
    needs: str = ""
    needing: str = ""
    uses: tuple[str, ...] = ()
    reads: bool = False

    def told(self, system: System) -> str:
        """Its help on ``system``."""
        return system.told(self.help, self.needs, self.needing)


SERVE = Command(
    "serve",
    "exporter.app",
    "Read the host and publish. This is what happens without a command.",
    True,
    # Without heartbeats too: by them, what an exporter that died has left on is found, and handed back.
    uses=("ha.lock-file", "ha.source"),
)

COMMANDS: tuple[Command, ...] = (
    SERVE,
    Command(
        "doctor",
        "exporter.commands.doctor",
        "Find out why numbers are missing, and what to change.",
        True,
        uses=("library.path", "guestrpc.socket", "ha.lock-file"),
    ),
    Command("top", "exporter.commands.top", "Watch live, as esxtop does on the host.", True, reads=True),
    Command(
        "show", "exporter.commands.show", "Show one reading: verdict, tables, metrics.", True, reads=True
    ),
    Command(
        "check",
        "exporter.commands.check",
        "Be a monitoring plugin: one line, exit status 0 to 3.",
        True,
        3,
        reads=True,
    ),
    Command(
        "report",
        "exporter.commands.report",
        "Write a report for the people who run vSphere.",
        True,
        reads=True,
    ),
    Command(
        "ha",
        "exporter.commands.ha",
        "Single calls of vSphere HA Application Monitoring.",
        True,
        needs=HEARTBEATS,
        uses=("guestrpc.socket", "ha.source", "ha.lock-file"),
    ),
    Command(
        "simulate",
        "exporter.commands.simulate",
        "Play the hypervisor's side on a unix socket, or a fleet of VMs.",
        True,
        only_with="--fleet",
        needs=UNIX_SOCKETS,
        needing="--socket",
    ),
    Command(
        "record", "exporter.commands.record", "Write the host's raw replies to a file.", True, needs=VSOCK
    ),
    Command("reference", "exporter.commands.reference", "Print the tables of metrics and settings.", False),
)


def available() -> list[Command]:
    """The commands that this installation has."""
    return [command for command in COMMANDS if find_spec(command.module) is not None]


def whole(*, commands: bool = False, files: object = None, system: System = HERE) -> ArgumentParser:
    """The whole command line as one parser, for people and for tools that read a parser.

    ``commands``: with the arguments of each command. ``files``: what such a tool takes for "a file's name"; then
    it is told which words a setting takes, and that commands take settings too. ``system``: the one that the help is
    for. A command line is read by :func:`exporter.config.flags.read`.
    """
    parser = HelpfulParser(
        prog=PROGRAM,
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=_formatter(),
        add_help=False,
    )
    places = parser.add_subparsers(title="Commands", metavar="COMMAND", dest="command", prog=PROGRAM)
    parser.add_argument_group("Settings", SETTINGS)
    _describe_settings(parser, files, system)
    for command in available():
        told = command.told(system)
        below = places.add_parser(command.name, help=told, description=told)
        if commands and command is not SERVE:
            import_module(command.module).add_arguments(below)
        elif command is SERVE:
            below.usage = "%(prog)s [SETTING ...]"
        if files is not None and command.settings:
            _describe_settings(below, files, system)
    others = parser.add_argument_group("Others")
    others.add_argument(*VERSION, action="version", version=version(), help="Print the version.")
    others.add_argument(*HELP, action="help", help="Print this.")
    return parser


def _describe_settings(parser: ArgumentParser, files: object, system: System) -> None:
    for row, action in add_settings(parser, system):
        if isinstance(row.kind, Switch):
            action.nargs = 0  # --web, --no-web: how people write it
        elif files is not None and isinstance(row.kind, Choice):
            action.choices = row.kind.words
        elif files is not None and isinstance(row.kind, Location):
            vars(action)["complete"] = files


class _Short(RawDescriptionHelpFormatter):
    """For a screen of 24 lines: what is aside stands in the manual page and in the flag that it belongs to."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

    def add_argument(self, action: Action) -> None:
        if not getattr(action, "aside", False):
            super().add_argument(action)


def of(command: Command, system: System = HERE) -> OwnParser:
    """The parser of a command's own arguments; imports its module."""
    parser = OwnParser(
        prog=f"{PROGRAM} {command.name}",
        description=command.told(system),
        formatter_class=_Short,
        add_help=False,
        settings=flags() if command.settings else (),
    )
    settings = f"; {PROGRAM} --help has settings" if command.settings else ""
    parser.add_argument(*HELP, action="help", help=f"this{settings}")
    import_module(command.module).add_arguments(parser)
    return parser


def version() -> str:
    return f"{PROGRAM} {__version__} (Python {sys.version.split()[0]})"


def _formatter() -> partial[HelpFormatter]:
    return partial(
        HelpFormatter, max_help_position=6, width=min(shutil.get_terminal_size((100, 0)).columns, 110)
    )
