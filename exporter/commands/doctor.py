"""``vmguest-exporter doctor``: why don't I see my numbers?"""

from __future__ import annotations

import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping

from exporter import log
from exporter.config import Settings, argument
from exporter.doctor import report
from exporter.doctor.bundle import EXISTS, BundleContents, write
from exporter.doctor.examine import examine, weigh
from exporter.doctor.rows import choose
from exporter.doctor.world import World
from exporter.errors import ConfigError

SOURCES = ("guestrpc", "library")


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [OPTION ...] [SETTING ...]"
    parser.add_argument("--json", action="store_true", help="findings as JSON on standard output")
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        type=argument.file,
        help="write what a maintainer needs to help into FILE (.tar.gz), after showing what that is",
    )
    parser.add_argument(
        "--unmasked",
        action="store_true",
        help="leave names, pool paths, MAC and IP addresses and uuids in the bundle as they are",
    )


def run(
    args: Namespace,
    load: Callable[[], Settings],
    *,
    environ: Mapping[str, str] = os.environ,
    world: World | None = None,
) -> int:
    """Examine and report; the exit status. ``world`` is for tests.

    Raises:
        ConfigError: the bundle can't be written.
    """
    if found := contradictions(args):
        raise ConfigError(*found)
    world = world or World(environ=environ)
    try:
        world.settings = load()
    except ConfigError as error:
        world.config_error = error
    if world.settings.log.level != "debug":
        # What the exporter would log of the host stands in the findings.
        log.set_up("error", world.settings.log.format)
    source = source_of(world.settings)
    try:
        return _report(args, world, source, environ)
    finally:
        world.close()


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be together, and a bundle that can't be written."""
    if args.bundle is None:
        return ["--unmasked has no effect without --bundle=FILE"] if args.unmasked else []
    why = argument.uncreatable(args.bundle, EXISTS)
    return [f"--bundle={args.bundle}: {why}"] if why else []


def _report(args: Namespace, world: World, source: str, environ: Mapping[str, str]) -> int:
    began = world.clock()
    checks = choose(source, world.platform, simulated=bool(world.socket_path))
    findings = weigh(examine(checks, world, clock=world.clock), source)
    seconds = world.clock() - began
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(world.wall()))
    if args.json:
        print(report.as_json(findings, source=source, time=stamp, seconds=seconds), end="")
    else:
        width = min(shutil.get_terminal_size((100, 0)).columns, 120)
        print(report.text(findings, seconds=seconds, width=width, colour=colour(environ)), end="")
    if args.bundle is not None:
        contents = BundleContents(world, findings, source, stamp, seconds)
        write(args.bundle, contents.members(mask=not args.unmasked), confirm=confirm, show=say)
    return report.status(findings)


def source_of(settings: Settings) -> str:
    """The source that the exporter would read with these settings; ``auto`` where that is open."""
    if settings.source in SOURCES:
        return settings.source
    return "guestrpc" if settings.guestrpc.socket else "auto"


def say(words: str) -> None:
    """Beside the report, which may be JSON for a pipe."""
    print(words, file=sys.stderr)


def confirm(question: str) -> bool:
    """Ask a person; where there is none, who has asked for it wants it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [Y/n] ", end="", file=sys.stderr, flush=True)
    # An empty line is Enter; the end of the input, Ctrl-D, is none.
    return sys.stdin.readline().lower() in {"\n", "y\n", "yes\n"}


def colour(environ: Mapping[str, str], stream: object = None) -> bool:
    """Only on a terminal, and not where NO_COLOR (no-color.org) or a dumb terminal says otherwise."""
    stream = stream or sys.stdout
    return (
        bool(getattr(stream, "isatty", lambda: False)())
        and not environ.get("NO_COLOR")
        and environ.get("TERM") != "dumb"
    )
