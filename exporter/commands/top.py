"""``vmguest-exporter top``: esxtop from inside."""

from __future__ import annotations

import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from exporter.config import Settings, argument
from exporter.errors import ConfigError
from exporter.machine.extras import how_to_get
from exporter.outputs.api import Document
from exporter.reading.base import Place
from exporter.reading.host import HostReading
from exporter.reading.where import add_arguments as add_place
from exporter.reading.where import contradictions as place_contradictions
from exporter.reading.where import duration, open_reading, quiet
from exporter.reading.where import wrong_settings as wrong_place
from exporter.top import batch
from exporter.top.frame import Frame

FIRST = 0.3
"""Seconds after which a host that is read here is looked at first: by then it has answered."""
RATES = 30.0
"""Seconds that the first line of a host that is read here waits for its rates, at most: some take a sample in 20."""
EXAMPLES = """\
examples:
  vmguest-exporter top
  vmguest-exporter top --source=simulated --simulated.scenario=swapping
  vmguest-exporter top --batch --iterations=60 > hour.csv"""

wrong_settings = wrong_place


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [OPTION ...] [SETTING ...]"
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--interval", metavar="DURATION", type=duration, default="2s", help="default: %(default)s"
    )
    parser.add_argument("--iterations", metavar="N", type=argument.positive, help="end after N readings")
    parser.add_argument("--batch", action="store_true", help="CSV on standard output")
    add_place(parser, None)


def run(args: Namespace, load: Callable[[], Settings], *, environ: Mapping[str, str] = os.environ) -> int:
    """Show until the user quits; exit status 0, and that of the signal that ended it.

    Raises:
        ConfigError: arguments that contradict each other, or no Textual.
        VMGuestError: there is nothing to read.
    """
    if found := contradictions(args, environ):
        raise ConfigError(*found)
    settings = load()
    quiet(settings)
    reading = open_reading(args, settings, interval=args.interval)
    try:
        if _on_screen(args, environ):
            return _live(args, reading)
        # An exporter knows them; a host must be read twice.
        rates = RATES if isinstance(reading, HostReading) else 0.0
        frames = batch.frames(
            _patient(reading, rates),
            lambda: time.sleep(args.interval),
            args.iterations,
            lambda error: print(f"{error}; trying again", file=sys.stderr, flush=True),
        )
        if args.batch:
            batch.write(frames, sys.stdout)
        else:
            batch.lines(frames, sys.stdout, shutil.get_terminal_size((80, 0)).columns)
        return 0
    finally:
        reading.close()


def contradictions(args: Namespace, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Arguments that can't be together, or not here."""
    found = place_contradictions(args)
    if _on_screen(args, environ) and find_spec("textual") is None:
        found.append(
            f"the live view needs Textual; {how_to_get('textual>=4,<9')}; --batch and TERM=dumb do without"
        )
    return found


def _on_screen(args: Namespace, environ: Mapping[str, str]) -> bool:
    return not args.batch and sys.stdout.isatty() and sys.stdin.isatty() and environ.get("TERM") != "dumb"


def _live(args: Namespace, reading: Place) -> int:
    from exporter.top.app import Top  # noqa: PLC0415  Textual is an extra

    # Exported by what uses readline, and by some shells' settings: Python takes them for the terminal's size whatever
    # that becomes.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    app = Top(_patient(reading), lambda: reading.name, args.interval, args.iterations)
    app.run(mouse=False)  # What is on the screen can be marked and copied.
    return app.return_code or 0


def _patient(reading: Place, rates: float = 0.0) -> Callable[[], Document]:
    """Reads; the first time, after a host that is read here had the time to answer; up to ``rates`` seconds for rates."""
    begun = time.monotonic()

    def read() -> Document:
        document = reading.document()
        while time.monotonic() - begun < (FIRST if document["poll"]["polls"] == 0 else rates):
            if document["poll"]["polls"] and not (document["up"] and Frame.first(document).waits):
                break
            time.sleep(0.02)
            document = reading.document()
        return document

    return read
