"""What a fleet took, as Markdown: the tables of MEASURED.md, and what deploy/README.md has of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.fleet_answers import Asked, Loss, Verdict

LINE = (10_000, 100_000)
"""VMs to which the growth is drawn out."""
STORE, AGENT = (8, 32), (2, 4)
"""Cores and GiB of the nodes of which it is said when they are full."""
BAR = 15
"""Milliseconds of CPU that a VM may take in 15 s, so that a thousand fit one core."""
DAY = 86_400


class Growth(NamedTuple):
    """Memory in MiB, CPU in seconds per second."""

    vms: int
    series: float
    samples: float
    """A second."""
    sample_bytes: float
    index_bytes: float
    """On disk, for each series."""
    store: float
    agents: float
    exporters: float
    store_cpu: float
    agents_cpu: float
    exporter_ms: float
    """CPU of one VM's exporter in one interval."""
    skipped: int


@dataclass
class Outcome:
    """Of one part of a run, as far as it came."""

    name: str
    grows: bool = False
    """Whether its growth belongs into the table of growth."""
    growth: Growth | None = None
    losses: list[Loss] = field(default_factory=list)
    """One for each agent."""
    verdicts: list[Verdict] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    asked_of: int = 0
    """VMs that were there when the questions were asked."""
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def rows(header: str, lines: Sequence[str]) -> str:
    return "\n".join((header, "|" + " --- |" * (header.count("|") - 1), *lines, ""))


def growth_table(grown: Sequence[Growth]) -> str:
    names = (
        ("series per VM", "{0.series:.0f}"),
        ("samples a second", "{0.samples:.0f}"),
        ("bytes a sample on disk", "{0.sample_bytes:.2f}"),
        ("bytes of index a series", "{0.index_bytes:.0f}"),
        ("memory of the store, MiB", "{0.store:.0f}"),
        ("memory of the agents, MiB", "{0.agents:.0f}"),
        ("memory of all exporters in their one process, MiB", "{0.exporters:.0f}"),
        ("CPU of the store, cores", "{0.store_cpu:.3f}"),
        ("CPU of the agents, cores", "{0.agents_cpu:.3f}"),
        (f"CPU of one VM's exporter and host in 15 s, ms (at most {BAR})", "{0.exporter_ms:.1f}"),
        ("polls skipped", "{0.skipped}"),
    )
    header = "| | " + " | ".join(f"{each.vms:,} VMs" for each in grown) + " |"
    return rows(
        header,
        [f"| {name} | " + " | ".join(form.format(each) for each in grown) + " |" for name, form in names],
    )


def fitted(grown: Sequence[Growth], key: str) -> tuple[float, float]:
    """A straight line through the measurements by least squares: at no VM, and for each."""
    xs, ys = [float(each.vms) for each in grown], [float(getattr(each, key)) for each in grown]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
    return y - slope * x, slope


def full(grown: Sequence[Growth], key: str, room: float) -> float:
    """VMs at which half of ``room`` is used."""
    base, slope = fitted(grown, key)
    return (room / 2 - base) / slope if slope > 0 else float("inf")


def ends(grown: Sequence[Growth]) -> str:
    """Where one node ends, and what each VM takes."""
    store = min(full(grown, "store", STORE[1] * 1024), full(grown, "store_cpu", STORE[0]))
    agent = min(full(grown, "agents", 2 * AGENT[1] * 1024), full(grown, "agents_cpu", 2 * AGENT[0])) / 2
    each = {key: fitted(grown, key)[1] * 1024 for key in ("store", "agents", "exporters")}
    return (
        f"Each VM more takes {each['store']:,.0f} KiB of the store's memory, {each['agents']:,.0f} of the agents' and "
        f"{each['exporters']:,.0f} of the exporters' process. By that line a store with {STORE[0]} cores and {STORE[1]} GiB, "
        f"half of both kept for queries and bad days, is full at {store:,.0f} VMs, and an agent with {AGENT[0]} cores and "
        f"{AGENT[1]} GiB at {agent:,.0f}: from there on scraping is sharded, and beyond the former the store.\n"
    )


def drawn_out(grown: Sequence[Growth]) -> str:
    """The same for more VMs than were there."""

    def line(key: str, vms: int) -> float:
        base, slope = fitted(grown, key)
        return max(base + slope * vms, 0.0)

    names = (
        ("samples", "samples a second", 1.0, "{:,.0f}"),
        ("store", "memory of the store, GiB", 1 / 1024, "{:.1f}"),
        ("agents", "memory of all agents together, GiB", 1 / 1024, "{:.1f}"),
        ("store_cpu", "CPU of the store, cores", 1.0, "{:.1f}"),
        ("agents_cpu", "CPU of all agents together, cores", 1.0, "{:.1f}"),
    )
    header = "| drawn out | " + " | ".join(f"{vms:,} VMs" for vms in LINE) + " |"
    return rows(
        header,
        [
            f"| {name} | " + " | ".join(form.format(line(key, vms) * scale) for vms in LINE) + " |"
            for key, name, scale, form in names
        ],
    )


def loss_table(outcomes: Sequence[Outcome]) -> str:
    def line(outcome: Outcome) -> str:
        whole = Loss(*(sum(each) for each in zip(*outcome.losses, strict=True)))
        return (
            f"| {outcome.name} | {whole.handed_over:,} | {whole.given_up:,} | {whole.stored:,} "
            f"| **{whole.lost:,}** | {whole.missed:,} |"
        )

    header = "| killed is by SIGKILL | pages handed over | of them too late for the agent | stored | **scraped and lost** | scrapes missed meanwhile |"
    return rows(header, [line(each) for each in outcomes if each.losses])


AT_THE_END = (
    "Lost is counted for each VM, by the times of its pages. A scrape that is under way when the counting ends is stored and not"
    " handed over yet: so a VM can have one page more than it handed over, and one that it lost would not show then.\n"
)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    return rows(
        "| list | robbed | of them listed | not robbed | of them listed | too near to tell | moved, off or not scraped |",
        [
            f"| {v.name} | {v.robbed} | {v.found} | {v.spared} | {v.accused} | {v.near} | {v.apart} |"
            for v in verdicts
        ],
    )


def query_table(asked: Sequence[Asked]) -> str:
    return rows(
        "| query | | ms | samples read | results |",
        [
            f"| {each.what} | {'range' if each.over_time else 'instant'} | {each.time * 1000:.0f} | {each.samples:,} | {each.results} |"
            for each in asked
        ],
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """Everything that there is so far."""
    grown = sorted(each.growth for each in outcomes if each.grows and each.growth)
    parts = []
    if failed := [f"- {each.name}: {why}" for each in outcomes for why in each.failed]:
        parts += ["### What failed\n", *failed, ""]
    if grown:
        parts += ["### Growth\n", growth_table(grown)]
    if len(grown) > 2:
        parts += [drawn_out(grown), ends(grown)]
    if any(each.losses for each in outcomes):
        parts += ["### Losses\n", loss_table(outcomes), AT_THE_END]
    if notes := [f"- {each.name}: {note}." for each in outcomes for note in each.notes]:
        parts += [*notes, ""]
    for each in outcomes:
        if each.verdicts:
            parts += ["### The truth found again\n", verdict_table(each.verdicts)]
            parts += [
                f"- Not where they should be, {v.name}: {', '.join(v.names)}.\n"
                for v in each.verdicts
                if v.names
            ]
        if each.asked:
            parts += [f"### Queries at {each.asked_of:,} VMs\n", query_table(each.asked)]
    return "\n".join(parts)


# What deploy/README.md has of it

BEGIN, END = "<!-- fleet/MEASURED.md -->", "<!-- /fleet/MEASURED.md -->"
"""Between them stands what the script writes."""


SUMS = (
    ("samples a second", "samples a second", "samples a second", ""),
    ("memory of the store", "memory of the store, MiB", "memory of the store, GiB", "MiB GiB"),
    ("memory of the agents", "memory of the agents, MiB", "memory of all agents together, GiB", "MiB GiB"),
    ("CPU of the store, cores", "CPU of the store, cores", "CPU of the store, cores", ""),
    ("CPU of the agents, cores", "CPU of the agents, cores", "CPU of all agents together, cores", ""),
)
"""A line there, the line that was measured, the one that is drawn out, and the units of both."""


def tables(measured: str) -> list[dict[str, list[str]]]:
    """Those of its growth, a line by its name: what was measured, and what is drawn out."""
    text = measured.partition("### Growth\n")[2].partition("### ")[0]
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        found.append({name: numbers for name, *numbers in lines if not name.startswith("---")})
    return found


def sums(measured: str) -> str:
    """The table and the sentence for deploy/README.md, from the text of MEASURED.md."""
    small, *drawn = tables(measured)
    large = drawn[0] if drawn else {}
    lines = []
    for name, before, behind, units in SUMS:
        unit, _, more = units.partition(" ")
        numbers = [f"{each} {unit}".strip() for each in small[before]]
        numbers += [f"{each} {more}".strip() for each in large.get(behind, ())]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    samples = [
        float(each.replace(",", "")) for each in small["samples a second"] + large.get("samples a second", [])
    ]
    a_day = float(small["bytes a sample on disk"][-1]) * DAY / 1e9
    lines.append(f"| on disk a day, GB | {' | '.join(f'{each * a_day:,.1f}' for each in samples)} |")
    header = [*small[""], *(f"{each}, drawn out" for each in large.get("drawn out", ()))]
    sentence = re.search(r"^Each VM more takes .*$", measured, re.MULTILINE)
    return rows(f"| measured | {' | '.join(header)} |", lines) + (f"\n{sentence[0]}\n" if sentence else "")


def written(readme: str, measured: str) -> str:
    """``readme`` with the sums of ``measured`` in it."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    if not after:
        raise ValueError(f"no {BEGIN} … {END} in it")
    return f"{before}{BEGIN}\n\n{sums(measured)}\n{END}{after}"
