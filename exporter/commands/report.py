"""``vmguest-exporter report``: one file for the people who run vSphere."""

from __future__ import annotations

import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from exporter.commands.doctor import source_of
from exporter.config import Settings, argument
from exporter.doctor.examine import examine, weigh
from exporter.doctor.rows import choose
from exporter.doctor.world import World
from exporter.errors import ConfigError
from exporter.masking import Masker
from exporter.reading.base import Place
from exporter.reading.host import recorded
from exporter.reading.where import add_arguments as add_place
from exporter.reading.where import contradictions as place_contradictions
from exporter.reading.where import open_reading, quiet
from exporter.reading.where import wrong_settings as wrong_place
from exporter.report import html, markdown
from exporter.report.content import FindingWords, build
from exporter.report.model import Report
from exporter.snapshot import Guest

FORMATS: dict[str, Callable[[Report], str]] = {"html": html.write, "markdown": markdown.write}
EXAMPLES = """\
examples:
  vmguest-exporter report -o vm.html
  vmguest-exporter report --format=markdown --from=host --for=1m
  vmguest-exporter report host.rec -o vm.html"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s [RECORDING] [OPTION ...] [SETTING ...]"
    parser.epilog = EXAMPLES
    parser.add_argument(
        "recording", nargs="?", metavar="RECORDING", help="of `vmguest-exporter record`, in place of a host"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=argument.file, help="default: standard output")
    parser.add_argument(
        "--format", metavar="FORMAT", choices=(*FORMATS,), default="html", help=" or ".join(FORMATS)
    )
    parser.add_argument(
        "--unmasked", action="store_true", help="with the VM's name, MAC and IP addresses and uuids"
    )
    parser.add_argument("--vcpus", metavar="N", type=argument.positive, help="where a recording does not say")
    parser.add_argument("--memory", metavar="GIB", type=argument.positive, help="the same")
    add_place(parser)


def run(args: Namespace, load: Callable[[], Settings], *, environ: Mapping[str, str] = os.environ) -> int:
    """Write the report; exit status 0, or 1 where the host gives nothing.

    Raises:
        ConfigError: arguments that contradict each other, or a file that can't be read or written.
        VMGuestError: there is nothing to read.
    """
    if found := contradictions(args):
        raise ConfigError(*found)
    settings = load()
    quiet(settings)
    reading = _reading(args, settings)
    try:
        document = reading.document()
    finally:
        reading.close()
    own = args.recording is None and args.url is None and settings.source not in {"simulated", "replay"}
    name = socket.gethostname() if own else "not told"
    elsewhere = urlsplit(args.url).hostname or "" if args.url is not None else ""
    names = [name] if own else [elsewhere] if elsewhere != "localhost" else []
    masker = Masker([word for each in names for word in (each, each.partition(".")[0])])
    report = build(
        document,
        reading.name if args.recording is None else args.recording,
        host=name,
        findings=_findings(settings, environ) if own else (),
        mask=str if args.unmasked else masker.text,
    )
    text = FORMATS[args.format](report)
    if args.output is None:
        sys.stdout.write(text)
    else:
        try:
            args.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--output={args.output}: {error.strerror}") from error
        print(
            f"{args.output}: written{'' if args.unmasked else ', names and addresses masked'}",
            file=sys.stderr,
        )
    return 0 if document["up"] else 1


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be together."""
    found = place_contradictions(args) if args.recording is None else []
    if args.recording is None and (args.vcpus or args.memory):
        found.append("--vcpus and --memory are for a recording; a host's guest tells them itself")
    if args.output is not None and (why := argument.unwritable(args.output)):
        found.append(f"--output={args.output}: {why}")
    return found


def wrong_settings(args: Namespace | None, *_others: object) -> list[str]:
    """What else is wrong with the place."""
    return wrong_place(args) if args is not None and args.recording is None else []


def _reading(args: Namespace, settings: Settings) -> Place:
    if args.recording is None:
        return open_reading(args, settings)
    memory = args.memory and args.memory * 2**30
    return recorded(settings, args.recording, Guest(args.vcpus, memory, memory))


def _findings(settings: Settings, environ: Mapping[str, str]) -> tuple[FindingWords, ...]:
    world = World(environ=environ)
    world.settings = settings
    source = source_of(settings)
    try:
        checks = choose(source, world.platform, simulated=bool(world.socket_path))
        found = weigh(examine(checks, world, clock=world.clock), source)
    finally:
        world.close()
    return tuple(
        (
            each.verdict.value,
            each.code,
            each.diagnosis.sentence,
            each.diagnosis.advice.sentence if each.diagnosis.advice is not None else "",
        )
        for each in found
    )
