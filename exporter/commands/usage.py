"""The text of ``--help``: commands, then every setting below its heading, with what holds without it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator

from exporter.config import CHAPTERS, chapter
from exporter.config.options import Option
from exporter.config.values import Switch

INTRODUCTION = """\
Reads what the hypervisor does to this VMware guest and publishes it as Prometheus and OpenTelemetry metrics.

usage: vmguest-exporter [setting ...]
       vmguest-exporter COMMAND --help"""

SOURCES = """\
Every setting is a flag, a variable and a key of the settings file: --poll.interval=1s is \
VMGUEST_POLL_INTERVAL=1s and, below [poll], interval = "1s". Flags win over variables, variables over the file. \
A switch is on as --name or --name=on, off as --no-name or --name=off. In brackets: what holds without it."""


def text(commands: Iterable[tuple[str, str]], width: int = 0) -> str:
    """The whole help. ``commands``: name and one sentence each. ``width`` 0: as wide as the terminal, up to 110."""
    width = width or min(shutil.get_terminal_size((100, 0)).columns, 110)
    return "\n".join(_lines([*commands], max(width, 40)))


def _lines(commands: list[tuple[str, str]], width: int) -> Iterator[str]:
    yield INTRODUCTION
    yield "\nCommands"
    for name, sentence in commands:
        yield from _wrapped(sentence, width, f"  {name:<12}", " " * 14)
    yield ""
    yield from _wrapped(SOURCES, width, "", "")
    for title, groups in CHAPTERS:
        yield f"\n{title}"
        for row in chapter(groups):
            yield f"  {spelling(row)}"
            yield from _wrapped(f"{row.help} [{row.default}]", width, " " * 6, " " * 6)
    yield "\n  --version\n      Print the version.\n  -h, --help\n      Print this."


def spelling(row: Option) -> str:
    """How the flag is written: ``--[no-]web``, ``--poll.interval=DURATION``, ``--x=… ...`` where repeatable."""
    if isinstance(row.kind, Switch):
        return f"--[no-]{row.word}"
    return f"{row.flag}={row.kind.placeholder}" + (" ..." if row.kind.repeatable else "")


def _wrapped(sentence: str, width: int, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
