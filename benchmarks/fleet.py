"""A simulated fleet on real engines: how much they take, what is lost when parts of them die, and how fast they answer.

Small, as it stands: 50 VMs for a minute. ``--large`` takes 20 to 25 minutes: growth over 100, 300 and 1,000 VMs; agents and stores
that are stopped and killed; 1,000 VMs for ten minutes on two sharded Prometheus agents with one VictoriaMetrics, in which an
agent and the store are killed; 300 VMs on a vmagent with three nodes, of which one is lost. ``--vms 25,50,100`` is the same for a
smaller machine: a thousand VMs need most of a core for themselves. Prints tables in Markdown, into ``--output`` too, as far as it
came; judges nothing. Needs ``make receivers``.

    python -m benchmarks.fleet [--large | --vms FEW,MORE,MANY [--seconds 600]] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import fleet_answers as answers
from benchmarks.fleet_answers import Asked, Loss, Verdict
from benchmarks.fleet_site import FILES, Program, Site, Store, get, missing, pages, wait

INTERVAL = 15
"""Seconds between two scrapes, as deploy/fleet has it."""
UNDER_WAY = 12
"""Seconds in which a scrape has ended, well or badly: its time limit is 10 s."""
LINE = (10_000, 100_000)
"""VMs to which the growth is drawn out."""
STORE, AGENT = (8, 32), (2, 4)
"""Cores and GiB of the nodes of which it is said when they are full."""


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
    """Of one run."""

    growth: Growth
    losses: dict[str, Loss]
    due: float
    """Pages that could have been asked for."""
    off: float
    """Those of them that fell into times in which their VM was off."""
    verdicts: list[Verdict]
    asked: list[Asked]
    notes: list[str]


class Death(NamedTuple):
    """``victim``: agent or store. It is sent ``number`` at ``at`` and started again ``after`` seconds later."""

    victim: str
    number: signal.Signals
    at: float
    after: float

    def __str__(self) -> str:
        how = "killed" if self.number is signal.SIGKILL else "stopped in order"
        return f"{self.victim} {how} at {self.at:g} s and started again {self.after:g} s later"


class Clock:
    """Seconds since the agents began."""

    def __init__(self) -> None:
        self.begun = time.time()

    def until(self, seconds: float) -> None:
        time.sleep(max(0.0, self.begun + seconds - time.time()))

    @property
    def now(self) -> float:
        return time.time() - self.begun


def measured(
    site: Site, store: Store, agents: Sequence[Program], clock: Clock, begin: float, end: float
) -> Growth:
    """What they take between two moments."""
    every = [*agents, store, site.fleet]
    clock.until(begin)
    before = (store.own(), [each.cpu for each in every], time.monotonic())
    clock.until(end)
    now, cpu, seconds = store.own(), [each.cpu for each in every], time.monotonic() - before[2]
    used = [(second - first) / seconds for first, second in zip(before[1], cpu, strict=True)]
    rows = now.get("vm_rows_inserted_total/promremotewrite", 0.0) - before[0].get(
        "vm_rows_inserted_total/promremotewrite", 0.0
    )
    store.merge()
    series = max(store.one('count({job="vmguest"})'), 1.0)
    own = store.own()
    kinds = ("storage/inmemory", "storage/small", "storage/big")
    size = sum(own.get(f"vm_data_size_bytes/{kind}", 0.0) for kind in kinds)
    kept = sum(own.get(f"vm_rows/{kind}", 0.0) for kind in kinds)
    return Growth(
        site.count,
        series / site.count,
        rows / seconds,
        size / kept if kept else 0.0,
        sum(size for name, size in own.items() if name.startswith("vm_data_size_bytes/indexdb/")) / series,
        store.rss,
        sum(each.rss for each in agents),
        site.fleet.rss,
        used[-2],
        sum(used[:-2]),
        used[-1] * INTERVAL / site.count * 1000,
        site.truth()["skipped_polls"],
    )


def targets(agent: Program) -> set[str]:
    """The VMs that a Prometheus agent scrapes."""
    active = json.loads(get(f"{agent.url}/api/v1/targets", {"state": "active"}))["data"]["activeTargets"]
    return {each["labels"]["instance"] for each in active}


def everyone_scraped(site: Site) -> None:
    """Wait until every VM that runs has handed over a page."""
    wait(
        "a first scrape of every VM",
        lambda: all(vm["pages"] for vm in site.truth()["vms"].values() if vm["host"]),
    )


def counted(site: Site, clock: Clock) -> tuple[dict[str, Any], float, float]:
    """Pages so far, the wall clock, and seconds since the beginning; and time for what is under way to arrive."""
    truth, end, lasted = site.truth(), time.time(), clock.now
    time.sleep(UNDER_WAY)
    return truth, end, lasted


def due(truth: dict[str, Any], seconds: float) -> tuple[float, float]:
    """Pages due in the last ``seconds``, and those of them for which their VM was off (since the fleet began)."""
    off = sum(
        truth["seconds"] - vm["cpu"]["seconds"]
        for vm in truth["vms"].values()
        if vm["boots"] > 1 or not vm["host"]
    )
    return len(truth["vms"]) * seconds / INTERVAL, off / INTERVAL


def sharded(
    folder: Path,
    count: int,
    seconds: float,
    *,
    deaths: Sequence[Death] = (),
    ask: bool = False,
    flags: tuple[str, ...] = (),
) -> Outcome:
    """Two Prometheus agents, one VictoriaMetrics, one vmalert, and ``deaths`` one after another."""
    notes = [str(death) for death in deaths]
    with Site(folder, count, flags=flags) as site:
        store = site.store("store")
        agents = [site.agent(shard, store) for shard in range(2)]
        clock = Clock()
        rules = site.rules("vmalert", store, store)
        for death in deaths:
            victim = store if death.victim == "store" else agents[0]
            clock.until(death.at)
            victim.end(death.number)
            clock.until(death.at + death.after)
            victim.start()
        everyone_scraped(site)
        window = min(answers.WINDOW, seconds / 2)
        clock.until(seconds - window)
        before = site.truth()
        growth = measured(site, store, agents, clock, seconds - window / 2, seconds)
        at = time.time()
        after = site.truth()
        store.flush()
        # Rules take rates over five minutes: of less, a list would be of another time than the truth.
        verdicts = answers.verdicts(store, before, after, at) if window >= answers.WINDOW else []
        shards = [targets(agent) for agent in agents]
        everyone = set(after["vms"])
        if shards[0] | shards[1] != everyone or shards[0] & shards[1]:
            notes.append(f"the shards have {len(shards[0])} and {len(shards[1])} of {len(everyone)} VMs")
        truth, end, lasted = counted(site, clock)
        for agent in agents:
            agent.end()
        rules.end()
        store.flush()
        stored = answers.stored_pages(store, end, lasted + 600)
        failed = answers.failed_scrapes(store, end, lasted + 600, truth)
        given = pages(truth)
        losses = {
            f"agent {shard}": answers.loss({name: given[name] for name in names}, stored, failed)
            for shard, names in enumerate(shards)
        }
        asked = []
        if ask:
            for name, expression, over_time in answers.questions():
                asked.append(
                    answers.ask(store, name, expression, over_time=over_time, at=at, span=min(seconds, 600))
                )
        return Outcome(growth, losses, *due(truth, lasted), verdicts, asked, notes)


def replicated(folder: Path, count: int, seconds: float, flags: tuple[str, ...] = ()) -> Outcome:
    """One vmagent, three nodes with two copies and a vmalert each, and a fourth node for the whole fleet.

    In the first third vmagent is killed and started again; in the second a node is, for good.
    """
    notes: list[str] = []
    with Site(folder, count, flags=flags) as site:
        nodes = [site.store(f"node-{place}") for place in range(3)]
        whole = site.store("whole", "-dedup.minScrapeInterval=15s")
        agent = site.vmagent(nodes)
        clock = Clock()
        for place, node in enumerate(nodes):
            site.rules(f"vmalert-{place}", node, whole, FILES / "vmagent" / "fleet-board.yml")
        vmauth = site.vmauth(nodes)
        clock.until(seconds / 3)
        agent.kill()
        agent.start()
        notes.append(f"vmagent was killed at {seconds / 3:.0f} s and started again at once")
        everyone_scraped(site)

        def copies_of_each() -> list[int]:
            own = [node.by_vm('vmguest_up{job="vmguest"}') for node in nodes]
            return [sum(name in vms for vms in own) for name in site.truth()["vms"]]

        # From vmagent's queue into a node, and from there into view.
        wait("two copies", lambda: min(copies_of_each()) >= 2)
        copies = copies_of_each()
        notes.append(f"each VM's series are on {min(copies)} to {max(copies)} nodes")
        through = json.loads(
            get(f"{vmauth.url}/api/v1/query", {"query": 'count(vmguest_up{job="vmguest"})'})
        )["data"]["result"]
        partial = int(float(through[0]["value"][1])) if through else 0
        notes.append(f"asked through vmauth, a fleet query sees {partial} of {count} VMs and does not say so")
        clock.until(seconds * 2 / 3)
        nodes[0].kill()
        notes.append(f"a node was killed at {seconds * 2 / 3:.0f} s and did not come back")
        growth = measured(site, nodes[1], [agent], clock, seconds * 2 / 3, seconds)
        seen = 'count(last_over_time(vmguest_up{job="vmguest"}[1m]))'
        running = sum(bool(vm["host"]) for vm in site.truth()["vms"].values())
        wait("the whole fleet", lambda: whole.one(seen) >= running)
        notes.append(
            f"the node for the whole fleet sees {int(whole.one(seen))} VMs; {running} of {count} run"
        )
        truth, end, lasted = counted(site, clock)
        agent.end()
        stored: dict[str, float] = {}
        failed: dict[str, float] = {}
        for node in nodes[1:]:
            node.flush()
            for kept, found in (
                (stored, answers.stored_pages(node, end, lasted + 600)),
                (failed, answers.failed_scrapes(node, end, lasted + 600, truth)),
            ):
                kept |= {name: max(number, kept.get(name, 0.0)) for name, number in found.items()}
        return Outcome(
            growth,
            {"vmagent": answers.loss(pages(truth), stored, failed)},
            *due(truth, lasted),
            [],
            [],
            notes,
        )


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
        ("CPU of one VM's exporter and host in 15 s, ms", "{0.exporter_ms:.1f}"),
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
    """Where one node ends."""
    store = min(full(grown, "store", STORE[1] * 1024), full(grown, "store_cpu", STORE[0]))
    agent = min(full(grown, "agents", 2 * AGENT[1] * 1024), full(grown, "agents_cpu", 2 * AGENT[0])) / 2
    return (
        f"By that line a store with {STORE[0]} cores and {STORE[1]} GiB, half of both kept for queries and bad days, is full at "
        f"{store:,.0f} VMs, and an agent with {AGENT[0]} cores and {AGENT[1]} GiB at {agent:,.0f}: from there on scraping is "
        "sharded, and beyond the former the store.\n"
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


def loss_table(outcomes: Sequence[tuple[str, Outcome]]) -> str:
    lines = [
        f"| {name}, {part} | {each.handed_over:,} | {each.stored:,} | {each.lost:,} | {each.given_up:,} | |"
        for name, outcome in outcomes
        for part, each in outcome.losses.items()
    ]
    for name, outcome in outcomes:
        given = sum(each.handed_over for each in outcome.losses.values())
        missed = max(outcome.due - outcome.off - given, 0.0)
        lines.append(
            f"| {name}, in all | {given:,} | | | | {missed:,.0f} of {outcome.due:,.0f}, {outcome.off:,.0f} more with their VM off |"
        )
    return rows("| | pages handed over | stored | lost | given up by the agent | not scraped |", lines)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    return rows(
        "| list | robbed | of them listed | not robbed | of them listed | too near to tell | moved or off |",
        [
            f"| {v.name} | {v.robbed} | {v.found} | {v.spared} | {v.accused} | {v.near} | {v.moved} |"
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


def report(outcomes: Sequence[tuple[str, Outcome]], grown: Sequence[Growth]) -> str:
    parts = ["### Growth\n", growth_table(grown)] if grown else []
    if len(grown) > 2:
        parts += [drawn_out(grown), ends(grown)]
    parts += ["### Losses\n", loss_table(outcomes)]
    parts += [
        f"- {name}: {note}." for name, outcome in outcomes for note in outcome.notes if note not in name
    ]
    parts.append("")
    for _, outcome in outcomes:
        if outcome.verdicts:
            parts += ["### The truth found again\n", verdict_table(outcome.verdicts)]
        if outcome.asked:
            parts += [f"### Queries at {outcome.growth.vms:,} VMs\n", query_table(outcome.asked)]
    return "\n".join(parts)


@dataclass
class Run:
    """Everything that was found so far; written after each part, so that one that fails takes nothing with it."""

    folder: Path
    output: Path | None
    grown: list[Growth] = field(default_factory=list)
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.time)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def part(self, name: str, do: Callable[[], Outcome], *, grows: bool = False, tells: bool = True) -> None:
        try:
            outcome = do()
        except (OSError, RuntimeError, TimeoutError) as error:
            self.failed.append(f"{name}: {error}")
            print(f"{name}: {error}", file=sys.stderr, flush=True)
        else:
            self.grown += [outcome.growth] * grows
            self.outcomes += [(name, outcome)] * tells
        if self.output is not None:
            self.output.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        head = (
            f"# What a fleet took\n\nWritten by `python -m benchmarks.fleet {' '.join(sys.argv[1:])}`, not by hand. "
            f"{os.cpu_count()} cores, load average {self.load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, "
            f"{time.time() - self.begun:.0f} s in all.\n\n"
        )
        failed = "".join(f"- This failed: {each}\n" for each in self.failed)
        return head + report(self.outcomes, self.grown) + failed


def large(run: Run, counts: Sequence[int], seconds: float) -> None:
    few, more, many = counts
    for count in (few, more):
        run.part(
            f"{count} VMs",
            partial(sharded, run.folder / f"grown-{count}", count, 90),
            grows=True,
            tells=False,
        )
    deaths = [
        Death("agent", signal.SIGTERM, 30, 15),
        Death("agent", signal.SIGKILL, 30, 15),
        Death("store", signal.SIGTERM, 30, 30),
        Death("store", signal.SIGKILL, 30, 30),
    ]
    with ThreadPoolExecutor() as together:
        each = [
            together.submit(sharded, run.folder / f"death-{number}", few, 90, deaths=[death])
            for number, death in enumerate(deaths)
        ]
        for death, one in zip(deaths, each, strict=True):
            run.part(f"{few:,} VMs, {death}", one.result)
    two = [
        Death("agent", signal.SIGKILL, seconds * 0.25, INTERVAL),
        Death("store", signal.SIGKILL, seconds * 0.4 - 60, 60),
    ]
    run.part(
        f"{many:,} VMs, two Prometheus agents, one store",
        partial(sharded, run.folder / "many", many, seconds, deaths=two, ask=True),
        grows=True,
    )
    run.part(f"{more:,} VMs, vmagent, three nodes", partial(replicated, run.folder / "replicated", more, 150))


def numbers(text: str) -> tuple[int, int, int]:
    few, more, many = map(int, text.split(","))
    if not 1 < few < more < many:
        raise ValueError(text)
    return few, more, many


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="--vms 100,300,1000")
    parser.add_argument(
        "--vms", type=numbers, metavar="FEW,MORE,MANY", help="growth, losses, and queries at the last"
    )
    parser.add_argument("--seconds", type=float, default=600, help="of the last and longest (600)")
    parser.add_argument("--output", type=Path, help="write the tables there too")
    args = parser.parse_args()
    if args.seconds < 2 * answers.WINDOW:
        parser.error(f"--seconds: expected {2 * answers.WINDOW} or more: rules take rates over half of it")
    if absent := missing():
        sys.exit(f"{', '.join(absent)}: not built; make receivers (needs Go)")
    with tempfile.TemporaryDirectory(prefix="fleet") as name:
        run = Run(Path(name), args.output)
        counts = args.vms or ((100, 300, 1000) if args.large else None)
        if counts is not None:
            large(run, counts, args.seconds)
        else:
            run.part(
                "50 VMs, two Prometheus agents, one store",
                partial(sharded, run.folder / "small", 50, 60),
                grows=True,
            )
        print(run.text())
    sys.exit(bool(run.failed))


if __name__ == "__main__":
    main()
