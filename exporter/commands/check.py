"""``vmguest-exporter check``: a monitoring plugin. Everything that goes wrong is UNKNOWN, on standard output.

Checkmk's agent, zabbix_sender and Telegraf read the state from the lines, and Telegraf drops those of a command that
ends with another status than 0: for them it is 0, but for a command line or settings that can't be used.
"""

from __future__ import annotations

import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from exporter.advice import explain
from exporter.check import contract, formats
from exporter.check.measures import BY_KEY
from exporter.check.ranges import Range, parse
from exporter.check.results import State, Summary, judge, key_of
from exporter.config import Settings
from exporter.errors import ConfigError, VMGuestError
from exporter.reading.where import add_arguments as add_place
from exporter.reading.where import open_reading, quiet

EXAMPLES = """\
examples:
  vmguest-exporter check
  vmguest-exporter check -w stolen=5 -c stolen=10 -c balloon=20
  vmguest-exporter check --profile=sap --from=host --for=30s"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [OPTION ...] [SETTING ...]"
    parser.epilog = EXAMPLES
    parser.description = textwrap.fill(f"{parser.description} KEY: {', '.join(BY_KEY)}", 79)
    for letter, name, what in (
        ("-w", "--warning", "WARNING outside of RANGE: [@]start:end (or -w)"),
        ("-c", "--critical", "CRITICAL outside of it (or -c)"),
    ):
        parser.add_argument(name, metavar="KEY=RANGE", type=threshold, action="append", default=[], help=what)
        vars(
            parser.add_argument(
                letter,
                dest=name.lstrip("-"),
                metavar="KEY=RANGE",
                type=threshold,
                action="append",
                help=f"the same as {name}",
            )
        )["aside"] = True
    parser.add_argument(
        "--only", metavar="KEY", action="append", default=[], help="only these questions; may be given again"
    )
    parser.add_argument(
        "--profile",
        metavar="NAME|FILE",
        help=f"what was promised: {', '.join(contract.BUILT_IN)}, a TOML file",
    )
    parser.add_argument(
        "--strict", action="store_true", help="what the host does not give is UNKNOWN, not OK"
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        choices=(*formats.FORMATS,),
        default="nagios",
        help=f"{', '.join(formats.FORMATS)}",
    )
    add_place(parser)


def threshold(text: str) -> tuple[str, Range]:
    """``KEY=RANGE``, for argparse."""
    key, mark, found = text.partition("=")
    if not mark or key not in BY_KEY:
        raise ArgumentTypeError(f"{text!r}: expected KEY=RANGE, KEY one of {', '.join(BY_KEY)}")
    try:
        return key, parse(found)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def run(args: Namespace, load: Callable[[], Settings]) -> int:
    """Check; the plugin's exit status. Never raises for what a user or a host can do."""
    misused = False
    try:
        summary, where = _check(args, load())
    except ConfigError as error:
        summary, where, misused = _unknown("; ".join(error.problems)), "", not error.passing
    except VMGuestError as error:
        summary, where = _unknown(explain(error)), ""
    except Exception as error:  # noqa: BLE001  a traceback would end with 1, which is WARNING
        summary, where = _unknown(f"a mistake in this program: {type(error).__name__}: {error}"), ""
    if args.profile is not None:
        summary = replace(summary, name=f"profile {Path(args.profile).stem}")
    print(formats.FORMATS[args.format](summary, where))
    if args.format in formats.BY_STATUS or misused:
        return summary.state.value
    return 0


def _check(args: Namespace, settings: Settings) -> tuple[Summary, str]:
    quiet(settings)
    promised = contract.load(args.profile) if args.profile is not None else None
    reading = open_reading(args, settings, strict=True)
    try:
        document = reading.document()
    finally:
        reading.close()
    keys = {key_of(answer["key"]) for answer in document["answers"]}
    if unknown := set(args.only) - keys:
        raise ConfigError(f"--only={', '.join(sorted(unknown))}: expected one of {', '.join(sorted(keys))}")
    if promised is not None and args.only:
        raise ConfigError("--only has no effect with --profile: a profile names what it is about")
    summary = judge(
        document,
        warning=dict(args.warning),
        critical=dict(args.critical),
        contract=promised,
        only=frozenset(args.only),
        strict=args.strict,
    )
    return summary, reading.name


def _unknown(text: str) -> Summary:
    return Summary(State.UNKNOWN, text, ())
