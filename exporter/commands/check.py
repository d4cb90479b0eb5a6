"""``vmguest-exporter check``: a monitoring plugin. Everything that goes wrong is UNKNOWN, on standard output.

Checkmk's agent, zabbix_sender and Telegraf read the state from the lines, and Telegraf drops those of a command that
ends with another status than 0: for them it is 0, but for a command line or settings that can't be used.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from exporter.advice import explain
from exporter.check import contract, formats
from exporter.check.measures import BY_KEY
from exporter.check.ranges import Range, parse
from exporter.check.results import State, Summary, judge
from exporter.config import Settings
from exporter.config.given import did_you_mean
from exporter.errors import ConfigError, Problems, VMGuestError
from exporter.reading.where import add_arguments as add_place
from exporter.reading.where import contradictions as place_contradictions
from exporter.reading.where import open_reading, quiet
from exporter.reading.where import wrong_settings as wrong_place

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
        "--only", metavar="KEY", type=key, action="append", default=[], help="only this; may be given again"
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


def key(text: str) -> str:
    """What a threshold or a question is about, for argparse."""
    if text not in BY_KEY:
        raise ArgumentTypeError(f"{text!r}: expected one of {', '.join(BY_KEY)}{did_you_mean(text, BY_KEY)}")
    return text


def threshold(text: str) -> tuple[str, Range]:
    """``KEY=RANGE``, for argparse."""
    name, mark, found = text.partition("=")
    if not mark:
        raise ArgumentTypeError(f"{text!r}: expected KEY=RANGE, such as stolen=10")
    try:
        return key(name), parse(found)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def run(args: Namespace, load: Callable[[], Settings]) -> int:
    """Check; the plugin's exit status. Never raises for what a user or a host can do."""
    mistaken = False
    try:
        summary, where = _check(args, load())
    except ConfigError as error:
        summary, where, mistaken = _unknown("; ".join(error.problems)), "", not error.passing
    except VMGuestError as error:
        summary, where = _unknown(explain(error)), ""
    except Exception as error:  # noqa: BLE001  a traceback would end with 1, which is WARNING
        summary, where = _unknown(f"a mistake in this program: {type(error).__name__}: {error}"), ""
    if args.profile is not None:
        summary = replace(summary, name=f"profile {Path(args.profile).stem}")
    try:
        print(formats.FORMATS[args.format](summary, where), flush=True)
    except OSError as error:
        print(f"vmguest-exporter: standard output: {error.strerror}", file=sys.stderr)
        # What could not be written must not be tried again at the end, which would make the exit status another.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return State.UNKNOWN.value
    if args.format in formats.BY_STATUS or mistaken:
        return summary.state.value
    return 0


def misused(words: Sequence[str], why: str) -> None:
    """Say on standard output why the command line ``words`` can't be read, in the format that it names, if any."""
    named = re.findall(r"--format[= ](\S+)", " ".join(words))
    form = formats.FORMATS.get(named[-1] if named else "", formats.nagios)
    print(form(_unknown(why), ""))


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be together."""
    found = place_contradictions(args)
    if args.profile is not None and args.only:
        found.append(
            "--only has no effect with --profile: leave it out, or give --profile a TOML file with the rules that you want"
        )
    given = dict.fromkeys(each[0] for each in (*args.warning, *args.critical) if each is not None)
    if args.only and None not in args.only:
        found += [
            f"a threshold for {name} has no effect: add --only={name}"
            for name in given
            if name not in args.only
        ]
    return found


def wrong_settings(args: Namespace | None, *_others: object) -> list[str]:
    """What else is wrong with the place, and with the profile."""
    found = Problems(wrong_place(args))
    if args is not None and args.profile is not None:
        with found.gather():
            contract.load(args.profile)
    return found


def _check(args: Namespace, settings: Settings) -> tuple[Summary, str]:
    quiet(settings)
    if found := contradictions(args):
        raise ConfigError(*found)
    promised = contract.load(args.profile) if args.profile is not None else None
    reading = open_reading(args, settings, strict=True)
    try:
        document = reading.document()
    finally:
        reading.close()
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
