"""The views as lines of styled pieces: for Textual, and for output that is no terminal.

A style is a level of the insight (``ok`` to ``critical``), ``title``, ``dim``, or empty. Each level has its mark too, so
everything can be read without colours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from exporter.insight.words import span
from exporter.outputs.api import Document
from exporter.show.tables import MARKS, quantity, sections, when
from exporter.top.frame import Frame, number
from exporter.top.quantities import CPU, DISK, MEMORY, NETWORK, DeviceColumn, Quantity

Line = list[tuple[str, str]]
"""Pieces of text with their styles."""
BLOCKS = "▁▂▃▄▅▆▇█"
VIEWS = {"c": "CPU", "m": "memory", "d": "disks", "n": "network", "h": "host", "e": "events", "?": "help"}
WAITS = "reading …"
"""Stands for a rate until there are two samples to take it from."""
_UNITS = {"bytes": "By", "hertz": "Hz", "seconds": "s", "time": "s"}
FLOOR = 0.1
"""Share that the top of a line of lost time stands for, at least: a little must not look like much."""
_UNSEEN = (
    "What a guest can't see: %RDY, %CSTP and %MLMTD apart from each other (stolen holds them all), DAVG and KAVG (LAT is"
    " the whole of a request), %DRPTX and %DRPRX."
)


def head(frame: Frame, width: int) -> list[Line]:
    """The verdict, in three lines at most."""
    verdict = frame.now["verdict"]
    words = textwrap.wrap(verdict["text"], max(width - 2, 20)) or [""]
    if len(words) > 3:
        words = [*words[:2], textwrap.shorten(" ".join(words[2:]), max(width - 2, 20), placeholder=" …")]
    marks = [MARKS[verdict["level"]], *[" "] * 2]
    return [[(f"{mark} {line}", verdict["level"])] for mark, line in zip(marks, words, strict=False)]


def body(view: str, frame: Frame, width: int) -> list[Line]:
    """The lines of a view, by its key."""
    if view == "?":
        return [*_help(width)]
    if not frame.now["up"]:
        problem = frame.now["problem"]
        said = f"{problem['text']}. {problem['advice']}" if problem is not None else "No poll has ended yet."
        return [[(line, "warning")] for line in textwrap.wrap(said, width)]
    if view == "c":
        return [*_quantities(CPU, frame, width), [], *_below_cpu(frame, width)]
    if view == "m":
        return [*_quantities(MEMORY, frame, width), *_below_memory(frame)]
    if view == "d":
        return [*_devices("disk", DISK, "vmguest_disk_", frame)]
    if view == "n":
        return [*_devices("mac", NETWORK, "vmguest_network_", frame)]
    return [*(_host(frame.now) if view == "h" else _events(frame.now, width))]


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if value == float("inf"):
        return "unlimited"
    return f"{value:.0f}" if unit == "MB" or (not unit and value == int(value)) else f"{value:.1f}"


def spark(values: Sequence[float | None], width: int, full: float | None = None) -> str:
    """The last values, one for each column; the largest of each piece where there are more. A space: not known."""
    if width <= 0 or not values:
        return ""
    per = max(-(-len(values) // width), 1)
    pieces = [values[max(end - per, 0) : end] for end in range(len(values), 0, -per)][::-1]
    tops = [max((each for each in piece if each is not None), default=None) for piece in pieces]
    top = max([full or 0.0, *(each for each in tops if each is not None)], default=0.0) or 1.0
    last = len(BLOCKS) - 1
    return "".join(" " if each is None else BLOCKS[min(int(each / top * last + 0.5), last)] for each in tops)


def hour(document: Document, key: str) -> tuple[list[float | None], float | None]:
    """The last hour's values of a chart or of a part of the band, and what the top of it stands for."""
    for part in document["band"]["parts"]:
        if part["key"] == key and key.startswith("lost_"):
            return part["values"], FLOOR
    for chart in document["charts"]:
        if chart["key"] == key:
            return chart["values"], chart["full"] if chart["unit"] == "bytes" or key == "cpu_used" else FLOOR
    return [], None


def _quantities(rows: Sequence[Quantity], frame: Frame, width: int) -> Iterator[Line]:
    document = frame.now
    levels = {answer["key"]: answer["level"] for answer in document["answers"]}
    room = min(width - 27, 124)
    times = document["times"]
    ago = f"last {span(-times[0])}" if times and times[0] < 0 else ""
    yield [(f"  {'':<11}{'':>10}   {ago}", "dim")]
    for row in rows:
        level = levels.get(row.question, "")
        level = level if level in {"info", "warning", "critical"} else ""
        value = row.take(frame)
        words = WAITS if value is None and frame.waits else figure(value, row.unit)
        values, full = hour(document, row.chart) if row.chart else ([], None)
        yield [
            (MARKS[level] if level else " ", level),
            (f" {row.name:<11}", ""),
            (f"{words:>10}", level),
            (f" {row.unit:<4} " if row.unit != "%" else " %    ", "dim"),
            (spark(values, room - 4, full), level),
        ]


def _below_cpu(frame: Frame, width: int) -> Iterator[Line]:
    document = frame.now
    limit, reservation = number(document, "cpu_limit"), number(document, "cpu_reservation")
    shares = frame.value("vmguest_cpu_shares")
    parts = [
        ("vCPUs", figure(document["guest"].get("vcpus"), "")),
        ("host", _rate(number(document, "host_frequency"))),
        ("limit", _rate(limit)),
        ("reservation", _rate(reservation)),
        ("shares", figure(shares, "")),
    ]
    yield [("   ".join(f"{name} {value}" for name, value in parts), "")]
    window = document["numbers"]["window"]
    if window:
        yield [(f"by limit, by host, unclear, worst: over the last {span(window)}", "dim")]
    for answer in document["answers"]:
        if answer["level"] in {"critical", "warning"} and answer["text"] not in document["verdict"]["text"]:
            words = textwrap.shorten(answer["text"], width - 2, placeholder=" …")
            yield [(f"{MARKS[answer['level']]} {words}", answer["level"])]


def _below_memory(frame: Frame) -> Iterator[Line]:
    limit, reservation = (number(frame.now, f"memory_{name}") for name in ("limit", "reservation"))
    shares = frame.value("vmguest_memory_shares")
    yield [
        (f"limit {_size(limit)}   reservation {_size(reservation)}   shares {figure(shares, '')}", ""),
    ]


def _rate(value: float | None) -> str:
    return "-" if value is None else "unlimited" if value == float("inf") else quantity(value, "Hz")


def _size(value: float | None) -> str:
    return "-" if value is None else "unlimited" if value == float("inf") else quantity(value, "By")


def _devices(label: str, columns: Sequence[DeviceColumn], prefix: str, frame: Frame) -> Iterator[Line]:
    devices = frame.devices(label, prefix)
    if not devices:
        yield [("The host gives no statistics of these.", "dim")]
        return
    yield [(f"{'':<19}" + "".join(f"{column.name:>10}" for column in columns), "title")]
    for device in devices:
        values = (column.take(frame, device) for column in columns)
        cells = "".join(
            f"{WAITS if each is None and frame.waits else figure(each, '.'):>10}" for each in values
        )
        yield [(f"{device:<19}", ""), (cells, "")]
    interval = frame.now["poll"]["extended_interval"]
    yield []
    yield [(f"Between two rounds of extended statistics, every {span(interval)}.", "dim")]


def _host(document: Document) -> Iterator[Line]:
    for facts in document["facts"][1:]:
        yield [(facts["title"], "title")]
        for title, value, unit in facts["rows"]:
            yield [(f"  {title:<30}", "dim"), (quantity(value, _UNITS.get(unit, "")), "")]
    for title, rows in sections(document):
        if title == "Host":
            for name, value in rows:
                yield [(f"  {name:<30}", "dim"), (value, "")]


def _events(document: Document, width: int) -> Iterator[Line]:
    if not document["events"]:
        yield [("Nothing was seen to happen.", "dim")]
    for event in document["events"]:
        yield [(f"{when(event['time'])}  ", "dim"), (event["text"], "")]
        clues = "; ".join(filter(None, (event["guess"] and f"a guess: {event['guess']}", *event["clues"])))
        for line in textwrap.wrap(clues, max(width - 4, 20)):
            yield [(f"    {line}", "dim")]


def _help(width: int) -> Iterator[Line]:
    keys = "   ".join(f"{key} {name}" for key, name in VIEWS.items())
    yield [(keys, "title")]
    yield [("s other interval   space pause   q quit   arrows, page keys: scroll", "title")]
    yield []
    for rows in (CPU, MEMORY, DISK, NETWORK):
        for row in rows:
            name = row.name.strip()
            yield [(f"{name:<11}", ""), (" " if row.esxtop else "*", "dim"), (f" {row.text}", "dim")]
    yield []
    for line in textwrap.wrap(f"* is not esxtop's. {_UNSEEN}", width):
        yield [(line, "dim")]


def plain(lines: Sequence[Line]) -> str:
    """Without styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)
