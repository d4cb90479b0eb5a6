"""``vmguest-exporter show``: one reading, for people (a table) or for programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping

from exporter.config import Settings, argument
from exporter.errors import ConfigError, VMGuestError
from exporter.outputs.prometheus import OPENMETRICS, TEXT, Format
from exporter.reading.base import NoAnswer, Place
from exporter.reading.host import silence
from exporter.reading.where import add_arguments as add_place
from exporter.reading.where import contradictions as place_contradictions
from exporter.reading.where import duration, open_reading, quiet
from exporter.reading.where import wrong_settings as wrong_place
from exporter.show import tables, textfile

FORMATS = ("table", "json", "prometheus", "openmetrics")
WATCH = "2s"
NARROWEST = 20
"""Columns for which tables are laid out at least; below, the terminal breaks lines."""
EXAMPLES = """\
examples:
  vmguest-exporter show --watch=5s
  vmguest-exporter show --from=host --for=10s --format=json
  vmguest-exporter show metrics --output=/var/lib/node_exporter/vmguest.prom"""

wrong_settings = wrong_place


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [metrics] [OPTION ...] [SETTING ...]"
    parser.epilog = EXAMPLES
    parser.add_argument(
        "what",
        nargs="?",
        choices=("reading", "metrics"),
        default="reading",
        metavar="metrics",
        help="only what host and guest gave, as prometheus",
    )
    parser.add_argument("--format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("--raw", action="store_true", help="the host's own names, numbers and units")
    parser.add_argument(
        "--watch",
        metavar="DURATION",
        type=duration,
        nargs="?",
        const=WATCH,
        help="repeat it, at this interval; default: %(const)s",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=argument.file,
        help="of metrics: replace FILE, for node_exporter",
    )
    add_place(parser, "2s")


def run(args: Namespace, load: Callable[[], Settings], *, environ: Mapping[str, str] = os.environ) -> int:
    """Show; exit status 0, or 1 where the host gives nothing.

    Raises:
        ConfigError: arguments that contradict each other.
        VMGuestError: there is nothing to read.
    """
    if found := contradictions(args):
        raise ConfigError(*found)
    settings = load()
    quiet(settings)
    if isinstance(args.watch, str):
        args.watch = duration(args.watch)
    if args.what == "metrics":
        # One reading: what spans a while is for others to work out.
        args.seconds = 0.0
        return _metrics(args, settings)
    with_host = args.watch if args.watch is not None else None
    reading = open_reading(args, settings, interval=with_host)
    try:
        if args.watch is None:
            return _show(args, reading, environ)
        return _watch(args, reading, environ)
    finally:
        reading.close()


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be together."""
    found = place_contradictions(args)
    metrics = args.what == "metrics"
    if args.output is not None and args.what == "reading":
        found.append("--output goes with metrics: vmguest-exporter show metrics --output=FILE")
    if args.output is not None and (why := argument.unwritable(args.output)):
        found.append(f"--output={args.output}: {why}")
    if metrics and args.format in {"table", "json"}:
        found.append(f"--format={args.format} has no effect on metrics; leave it out, or leave metrics out")
    if args.raw and (metrics or args.format in {"prometheus", "openmetrics"}):
        found.append("--raw goes with --format=table or json")
    if args.watch is not None and args.output is not None:
        found.append("--watch and --output exclude each other; a timer runs the command again")
    return found


def _metrics(args: Namespace, settings: Settings) -> int:
    form = OPENMETRICS if args.format == "openmetrics" else TEXT
    try:
        page = _page(args, settings, form)
    except ConfigError:
        raise
    except VMGuestError:
        if args.output is not None:  # What stood there before would be taken for now.
            textfile.replace(args.output, textfile.select(silence(form)))
        raise
    if args.output is not None:
        textfile.replace(args.output, page)
    else:
        print(page.decode(), end="")
    return 0 if b"\nvmguest_up 1" in page else 1


def _page(args: Namespace, settings: Settings, form: Format) -> bytes:
    reading = open_reading(args, settings)
    try:
        return textfile.select(reading.page(form))
    finally:
        reading.close()


def _show(args: Namespace, reading: Place, environ: Mapping[str, str]) -> int:
    if args.format in {"prometheus", "openmetrics"}:
        print(reading.page(OPENMETRICS if args.format == "openmetrics" else TEXT).decode(), end="")
        return 0
    found = reading.document()
    if args.format == "json":
        print(json.dumps(found["raw"] if args.raw else found, indent=2, ensure_ascii=False))
    elif args.raw:
        print(tables.raw(found), end="")
    else:
        width = min(max(shutil.get_terminal_size((100, 0)).columns, NARROWEST), 110)
        print(tables.text(found, reading.name, width=width, colour=colour(environ)), end="")
    return 0 if found["up"] else 1


def _watch(args: Namespace, reading: Place, environ: Mapping[str, str]) -> int:
    """Until Ctrl-C; a terminal is cleared before each."""
    clear = sys.stdout.isatty() and environ.get("TERM") != "dumb"
    while True:
        time.sleep(args.watch)
        if clear:
            print("\x1b[H\x1b[2J", end="")
        try:
            _show(args, reading, environ)
        except NoAnswer as error:  # It may be started again.
            print(f"{error}; trying again", file=sys.stderr)
        sys.stdout.flush()


def colour(environ: Mapping[str, str]) -> bool:
    """Only on a terminal, and not where NO_COLOR (no-color.org) or a dumb terminal says otherwise."""
    return sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
