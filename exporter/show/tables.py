"""A document of :mod:`exporter.outputs.api` as tables that a person reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter import catalogue
from exporter.insight.words import hertz, percent, size, span
from exporter.outputs.api import Document

MARKS = {"ok": "✓", "info": "i", "warning": "!", "critical": "✕", "unknown": "?"}
"""The same as on the page: never a colour alone."""
COLOURS = {"ok": "32", "info": "36", "warning": "33", "critical": "31;1", "unknown": "2"}
"""Of ANSI (ECMA-48)."""

SHARES: tuple[tuple[str, str], ...] = (
    ("used", "used"),
    ("stolen", "stolen"),
    ("lost_limit", "lost to the CPU limit"),
    ("lost_host", "lost to the host"),
    ("lost_undetermined", "lost, undetermined"),
    ("worst", "worst sample"),
    ("memory_contention", "waiting for memory"),
)
"""Shares of one vCPU's time over the window: the number's name, and ours for people."""
AREAS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("CPU", ("cpu",)),
    ("Memory", ("memory", "numa", "overhead")),
    ("Disks", ("disk",)),
    ("Network", ("network",)),
    ("Guest", ("guest", "vcpus")),
    ("Host", ("host", "hypervisor", "session", "elapsed", "resource")),
    ("vSphere HA", ("ha",)),
)
"""Heading -> first words of the metrics' names. What is of the exporter itself is left to /metrics."""
_SHOWN_AS_SHARES = frozenset({catalogue.CPU_LOST.prometheus})
Row = tuple[str, str]


def text(document: Document, where: str, *, width: int = 80, colour: bool = False) -> str:
    """The whole of it."""
    lines = [*verdict(document, width=width, colour=colour), f"From {where}, {when(document['time'])}."]
    for title, rows in sections(document):
        if rows:
            lines += ["", _bold(title, colour), *_aligned(rows, width)]
    return "\n".join(lines) + "\n"


def verdict(document: Document, *, width: int = 80, colour: bool = False) -> list[str]:
    """The verdict, and below it each answer that is not *fine*."""
    found = document["verdict"]
    lines = _marked(found["level"], found["text"], width, colour)
    problem = document["problem"]
    if problem is not None:
        lines += textwrap.wrap(
            f"The last poll failed: {problem['text']}. {problem['advice']}".rstrip(), width
        )
    for answer in document["answers"]:
        if answer["level"] in {"info", "warning", "critical"} and answer["text"] not in found["text"]:
            lines += _marked(answer["level"], answer["text"], width, colour)
    return lines


def sections(document: Document) -> Iterator[tuple[str, list[Row]]]:
    """Heading and rows of each area."""
    by_area: dict[str, list[Row]] = {title: [] for title, _ in AREAS}
    by_area["CPU"] += list(shares(document))
    for metric in document["metrics"]:
        area = _area(metric["name"])
        if area is not None and metric["kind"] != "histogram" and metric["name"] not in _SHOWN_AS_SHARES:
            by_area[area] += _rows(metric)
    yield from by_area.items()
    events = [(when(each["time"]), _event(each)) for each in document["events"][:10]]
    yield "Events", events


def shares(document: Document) -> Iterator[Row]:
    """Where one vCPU's time went in the window."""
    numbers = document["numbers"]
    window = numbers["window"]
    for key, title in SHARES:
        if numbers.get(key) is not None:
            yield f"{title}, last {span(window)}", percent(numbers[key])


def quantity(value: Any, unit: str) -> str:
    """A number in base units, for people."""
    if value == "unlimited" or not isinstance(value, int | float):
        return str(value)
    if unit == "By":
        return size(value)
    if unit == "By/s":
        return f"{size(value)}/s"
    if unit == "Hz":
        return hertz(value)
    if unit == "s":
        return when(value) if value > 1e9 else span(value)
    if unit == "1":
        return percent(value)
    return f"{value:,.0f}".replace(",", " ") if value == int(value) else f"{value:.4g}"


def when(time: float) -> str:
    """A time since the epoch; one that no calendar has stays a number. Windows' own ends with the year 3000."""
    try:
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time)
    except OverflowError:
        return f"{time:.14g} s since 1970"
    return date.strftime("%Y-%m-%d %H:%M:%S UTC")


def raw(document: Document) -> str:
    """As the host said it: its own names, numbers and units, a line each."""
    found = document["raw"]
    lines = [f"{key} {value}" for key, value in found["statistics"].items()]
    for group, values in found["groups"].items():
        lines += ["", f"[{group}]"]
        for name, each in values.items():
            lines.append(" ".join(filter(None, (name, "=", str(each["value"]), each["units"], each["type"]))))
    return "\n".join(lines) + "\n"


def _area(name: str) -> str | None:
    word = name.removeprefix("vmguest_").partition("_")[0]
    return next((title for title, words in AREAS if word in words), None)


def _rows(metric: dict[str, Any]) -> Iterator[Row]:
    words = name_of(metric)
    first, _, rest = words.partition(" ")
    if rest and first in {"cpu", "memory", "disk", "network", "guest", "host"}:
        # The heading says it.
        words = rest
    for point in metric["points"]:
        labels = point["labels"]
        if metric["kind"] == "info" or set(labels) == {"session_id"}:
            shown = ", ".join(value for value in labels.values() if value)
            if metric["kind"] == "info" or metric["name"] == "vmguest_session_info":
                yield words, shown
                continue
            labels = {}
        if "state" in labels or "status" in labels:
            if point["value"]:
                yield words, labels.get("state", labels.get("status", ""))
            continue
        title = " ".join(filter(None, (words, *labels.values())))
        # The CPU time of a large host's life is longer than what passes for a date.
        length = metric["unit"] == "s" and not metric["name"].endswith("_timestamp_seconds")
        value = span(point["value"]) if length else quantity(point["value"], metric["unit"])
        yield title, f"{value}" + (" in all" if metric["kind"] == "counter" else "")


def name_of(metric: dict[str, Any]) -> str:
    """``vmguest_memory_balloon_target_bytes`` as ``memory balloon target``."""
    name: str = metric["name"].removeprefix("vmguest_")
    for ending in ("_total", "_info", "_timestamp_seconds", "_bytes", "_seconds", "_hertz"):
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def _event(event: dict[str, Any]) -> str:
    guess = f" ({event['guess']}, a guess)" if event["guess"] else ""
    return f"{event['text']}{guess}"


def _marked(level: str, words: str, width: int, colour: bool) -> list[str]:
    lines = textwrap.wrap(words, width - 2) or [""]
    mark = f"\x1b[{COLOURS[level]}m{MARKS[level]}\x1b[0m" if colour else MARKS[level]
    return [f"{mark} {lines[0]}", *(f"  {line}" for line in lines[1:])]


def _aligned(rows: list[Row], width: int) -> Iterator[str]:
    column = min(max(len(title) for title, _ in rows), width // 2)
    for title, value in rows:
        first, *rest = textwrap.wrap(value, max(width - column - 4, 20)) or [""]
        yield f"  {title:<{column}}  {first}".rstrip()
        yield from (f"  {'':<{column}}  {line}" for line in rest)


def _bold(words: str, colour: bool) -> str:
    return f"\x1b[1m{words}\x1b[0m" if colour else words
