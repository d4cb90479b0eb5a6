"""From a document of :mod:`exporter.outputs.api` to the sections of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exporter.insight.words import percent, size, span
from exporter.outputs.api import Document
from exporter.report.asks import asks
from exporter.report.model import Block, Chart, Report, Section, Table, Text
from exporter.show.tables import quantity, when

WINDOW = 300.0
"""Seconds of a window among the worst."""
WORST = 3
CPU = frozenset({"cpu-limit", "host", "undetermined", "bursts"})
"""Questions about lost CPU time."""
WORDS = {"ok": "fine", "info": "worth knowing", "warning": "a problem", "critical": "a serious problem", "unknown": "not known"}  # fmt: skip
FindingWords = tuple[str, str, str, str]
"""Of doctor: verdict, code, sentence, what to do."""
Mask = Callable[[str], str]


def build(
    document: Document, where: str, *, host: str, findings: Sequence[FindingWords] = (), mask: Mask = str
) -> Report:
    """``host``: the VM's own name. ``mask``: goes over every word."""
    speaking = [each for each in document["answers"] if each["level"] in {"critical", "warning", "info"}]
    speaking.sort(key=lambda each: ["critical", "warning", "info"].index(each["level"]))
    sections = [
        Section("What to ask the vSphere administrator for", _asks(document, speaking)),
        Section("What was found", _answers(document, speaking)),
        Section("Worst windows", _worst(document)),
        Section("The last hour", _charts(document)),
        Section("Events", _events(document)),
        Section("Settings and facts", _facts(document)),
        Section("Findings of doctor", _findings(findings)),
    ]
    verdict = document["verdict"]
    whole = Report(
        "What the hypervisor does to this VM",
        Text(verdict["text"], verdict["level"]),
        (
            ("Virtual machine", host),
            ("Read from", where),
            ("Time", when(document["time"])),
            ("Program", f"vmguest-exporter {document['version']}"),
        ),
        tuple(sections),
    )
    return masked(whole, mask)


def _asks(document: Document, speaking: Sequence[dict[str, Any]]) -> tuple[Block, ...]:
    rows: dict[tuple[str, str], list[str]] = {}
    spoken = {answer["key"] for answer in speaking}
    for answer in speaking:
        if answer["key"] == "steal" and not spoken & CPU:
            # Worth a setting only where time is lost.
            continue
        for ask in asks(answer["key"], document):
            rows.setdefault((ask.what, ask.where), []).append(answer["question"])
    if not rows:
        return (Text("Nothing: no question has an answer that a setting would change."),)
    table = tuple((what, where, " ".join(why)) for (what, where), why in rows.items())
    return (Table(("Please", "Where", "Because of"), table),)


def _answers(document: Document, speaking: Sequence[dict[str, Any]]) -> tuple[Block, ...]:
    blocks: list[Block] = [Text(f"{each['question']} {each['text']}", each["level"]) for each in speaking]
    problem = document["problem"]
    if problem is not None:
        blocks.append(
            Text(f"The last poll failed: {problem['text']}. {problem['advice']}".strip(), "warning")
        )
    rows = tuple(
        (each["question"], WORDS[each["level"]], each["text"], each["threshold"])
        for each in document["answers"]
    )
    return (*blocks, Table(("Question", "Answer", "In words", "What this rests on"), rows))


def _worst(document: Document) -> tuple[Block, ...]:
    """Of each chart of shares, the windows with the largest mean."""
    rows = []
    for chart in document["charts"]:
        if chart["unit"] != "ratio" or chart["title"] == "CPU used":
            continue
        for begin, end, mean in windows(document["times"], chart["values"]):
            if mean > 0:
                ago = (when(document["time"] + begin), when(document["time"] + end))
                rows.append((chart["title"], percent(mean), f"{ago[0]} to {ago[1][11:]}"))
    if not rows:
        return (Text("No time was lost in what is known of the last hour."),)
    return (
        Text(
            f"Means over {span(WINDOW)}, or over what there is; for each value the {WORST} worst, none overlapping."
        ),
        Table(("Value", "Mean", "Time"), tuple(rows)),
    )


def windows(times: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float, float]]:
    """Begin, end and mean of the worst windows, the worst first; none overlaps another."""
    known = [(at, value) for at, value in zip(times, values, strict=True) if value is not None]
    found = []
    for begin, _ in known:
        inside = [(at, value) for at, value in known if begin <= at <= begin + WINDOW]
        found.append((begin, inside[-1][0], sum(value for _, value in inside) / len(inside)))
    # A window at the end that holds a moment or two is no mean of anything, unless there is nothing longer.
    longest = max((end - begin for begin, end, _ in found), default=0.0)
    found = [each for each in found if each[1] - each[0] >= longest / 2]
    chosen: list[tuple[float, float, float]] = []
    for each in sorted(found, key=lambda each: -each[2]):
        if len(chosen) < WORST and all(each[1] < other[0] or each[0] > other[1] for other in chosen):
            chosen.append(each)
    return chosen


def _charts(document: Document) -> tuple[Block, ...]:
    times = tuple(document["times"])
    if len(times) < 2:
        return (Text("There are not two readings to draw."),)
    return tuple(
        Chart(
            each["title"],
            each["text"],
            each["unit"],
            times,
            tuple(each["values"]),
            None if each["unit"] == "ratio" else each["full"],
            each["gap"],
        )
        for each in document["charts"]
        if any(value is not None for value in each["values"])
    )


def _events(document: Document) -> tuple[Block, ...]:
    if not document["events"]:
        return (Text("Nothing was seen to happen."),)
    rows = tuple(
        (when(each["time"]), each["text"], "; ".join(filter(None, (each["guess"] and f"A guess: {each['guess']}", *each["clues"]))))
        for each in document["events"]
    )  # fmt: skip
    return (Table(("Time", "What", "Clues"), rows),)


_UNITS = {"bytes": "By", "hertz": "Hz", "seconds": "s", "time": "s"}


def _facts(document: Document) -> tuple[Block, ...]:
    rows = [
        (f"{facts['title']}: {title}", quantity(value, _UNITS.get(unit, "")))
        for facts in document["facts"]
        for title, value, unit in facts["rows"]
    ]
    return (Table(("What", "Value"), tuple(rows)),)


def _findings(findings: Sequence[FindingWords]) -> tuple[Block, ...]:
    if not findings:
        return (Text("Doctor was not asked: what was read is not the host of this machine."),)
    told = tuple(each for each in findings if each[0] in {"warn", "fail"})
    if not told:
        return (Text(f"Nothing to repair among {len(findings)} findings."),)
    return (Table(("Verdict", "Code", "Finding", "What to do"), told),)


def masked(report: Report, mask: Mask) -> Report:
    """The same, every word gone over."""

    def block(each: Block) -> Block:
        if isinstance(each, Text):
            return Text(mask(each.words), each.level)
        if isinstance(each, Table):
            return Table(each.head, tuple(tuple(map(mask, row)) for row in each.rows))
        return each

    return Report(
        report.title,
        Text(mask(report.summary.words), report.summary.level),
        tuple((name, mask(value)) for name, value in report.facts),
        tuple(Section(each.title, tuple(map(block, each.blocks))) for each in report.sections),
    )


def largest(chart: Chart) -> float:
    """What the top of a chart stands for."""
    return (
        max(chart.full or 0.0, max((value for value in chart.values if value is not None), default=0.0))
        or 1.0
    )


def shown(chart: Chart, value: float) -> str:
    return percent(value) if chart.unit == "ratio" else size(value)
