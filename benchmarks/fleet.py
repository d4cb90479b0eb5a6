"""A simulated fleet on real engines: how much they take, what is lost when parts of them die, and how fast they answer.

Small, as it stands: 50 VMs for a minute. ``--large`` takes 20 to 25 minutes, and 35 at most: growth over 100, 300 and 1,000 VMs;
agents, stores and a replica that are stopped and killed, one at a time; 1,000 VMs for ten minutes on two sharded Prometheus
agents with one VictoriaMetrics, in which an agent and the store are killed. ``--vms 25,50,100`` is the same for a smaller machine: a
thousand VMs need most of a core for themselves. ``--seconds`` and ``--part`` make it shorter: ``--vms 20,50,100 --seconds 60 --part 30``
is a rehearsal of four minutes.

Prints tables in Markdown, into ``--output`` too; as far as it came they stand in a file ``.partial`` beside, and stay there if its
growth could not be measured. A part that fails is named in them, and the others go on; the exit status is 1 then. Judges
nothing. Needs ``make receivers``. Where ``--output`` is deploy/fleet/MEASURED.md, deploy/README.md gets its sums from it; ``--write``
does that alone. SIGTERM ends everything that it started.

    python -m benchmarks.fleet [--large | --vms FEW,MORE,MANY [--seconds 600] [--part 120]] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import fleet_answers as answers
from benchmarks.fleet_answers import INTERVAL, SHIFT, WINDOW, Loss
from benchmarks.fleet_site import (
    FILES,
    OVER,
    OverError,
    Program,
    Site,
    Store,
    get,
    missing,
    pages,
    pause,
    say,
    wait,
)
from benchmarks.fleet_tables import Growth, Outcome, report, written
from benchmarks.host import ROOT

MEASURED, README = FILES / "MEASURED.md", ROOT / "deploy" / "README.md"
LIMIT = 32 * 60
"""Seconds after which a run has to end; with what is under way then, it has ended within 35 minutes."""
UNDER_WAY = 12
"""Seconds in which a scrape has ended, well or badly: its time limit is 10 s."""
ARRIVED, SEEN = 60, 240
"""Seconds in which what was sent has arrived, if it ever does, and in which rules have brought it to where it is asked for."""
FOR_GOOD = float("inf")


class Death(NamedTuple):
    """``victim``: agent, store, vmagent or node. It is sent ``number`` at ``at`` and started again ``after`` seconds later."""

    victim: str
    number: signal.Signals
    at: float
    after: float

    def __str__(self) -> str:
        how = "killed" if self.number is signal.SIGKILL else "stopped in order"
        if self.after == FOR_GOOD:
            return f"{self.victim} {how}, not started again"
        return f"{self.victim} {how}, started again {f'{self.after:g} s later' if self.after else 'at once'}"


class Clock:
    """Seconds since the agents began."""

    def __init__(self) -> None:
        self.begun = time.time()

    def until(self, seconds: float) -> None:
        pause(self.begun + seconds - time.time())

    @property
    def now(self) -> float:
        return time.time() - self.begun


@contextmanager
def step(outcome: Outcome, what: str) -> Iterator[None]:
    """One of those that others do not need: when it fails, that is noted and the part goes on."""
    say(f"{outcome.name}: {what}")
    try:
        yield
    except OverError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, it must not take the rest of 20 minutes with it
        outcome.failed.append(f"{what}: {type(error).__name__}: {error}")
        say(f"{outcome.name}: {outcome.failed[-1]}")


class Meter:
    """What they take from its beginning on."""

    def __init__(self, site: Site, store: Store, agents: Sequence[Program]) -> None:
        self._site, self._store, self._agents = site, store, agents
        self._every = [*agents, store, site.fleet]
        self._own = store.own()
        self._cpu = [each.cpu for each in self._every]
        self._begun = time.monotonic()

    def growth(self) -> Growth:
        site, store = self._site, self._store
        own, cpu, seconds = store.own(), [each.cpu for each in self._every], time.monotonic() - self._begun
        used = [(second - first) / seconds for first, second in zip(self._cpu, cpu, strict=True)]
        taken = "vm_rows_inserted_total/promremotewrite"
        samples = own.get(taken, 0.0) - self._own.get(taken, 0.0)
        store.merge()
        series = max(store.one('count({job="vmguest"})'), 1.0)
        own = store.own()
        kinds = ("storage/inmemory", "storage/small", "storage/big")
        size = sum(own.get(f"vm_data_size_bytes/{kind}", 0.0) for kind in kinds)
        kept = sum(own.get(f"vm_rows/{kind}", 0.0) for kind in kinds)
        return Growth(
            site.count,
            series / site.count,
            samples / seconds,
            size / kept if kept else 0.0,
            sum(size for name, size in own.items() if name.startswith("vm_data_size_bytes/indexdb/"))
            / series,
            store.rss,
            sum(each.rss for each in self._agents),
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


def die(deaths: Sequence[Death], victims: dict[str, Program], clock: Clock) -> None:
    """One after another, each after its time."""
    for death in deaths:
        victim = victims[death.victim]
        clock.until(death.at)
        victim.end(death.number)
        if death.after != FOR_GOOD:
            clock.until(death.at + death.after)
            victim.start()


def counted(site: Site, clock: Clock) -> tuple[dict[str, Any], float, int]:
    """Pages so far, the wall clock, and seconds to look back; and time for what is under way to arrive."""
    truth, end, lasted = site.truth(), time.time(), clock.now
    pause(UNDER_WAY)
    return truth, end, int(lasted) + 600


def sharded(
    outcome: Outcome,
    folder: Path,
    count: int,
    seconds: float,
    *,
    deaths: Sequence[Death] = (),
    ask: bool = False,
    flags: tuple[str, ...] = (),
) -> None:
    """Two Prometheus agents, one VictoriaMetrics, one vmalert, and ``deaths`` one after another."""
    with Site(folder, count, flags=flags) as site:
        store = site.store("store")
        agents = [site.agent(shard, store) for shard in range(2)]
        clock = Clock()
        rules = site.rules("vmalert", store, store)
        die(deaths, {"store": store, "agent": agents[0]}, clock)
        everyone_scraped(site)
        if outcome.grows or ask:
            watched(outcome, site, store, agents, clock, seconds)
        clock.until(seconds)
        at = time.time()
        truth, end, back = counted(site, clock)
        everyone = set(truth["vms"])
        shards = [everyone]
        with step(outcome, "shards"):
            shards = [targets(agent) for agent in agents]
            if shards[0] | shards[1] != everyone or shards[0] & shards[1]:
                outcome.notes.append(
                    f"the shards have {len(shards[0])} and {len(shards[1])} of {len(everyone)} VMs"
                )
        for agent in agents:
            agent.end()
        rules.end()
        store.flush()
        with step(outcome, "losses"):
            stored = answers.stored_pages(store, end, back)
            failed = answers.failed_scrapes(store, end, back, truth)
            gaps = answers.gaps(store.times('up{job="vmguest"}'), INTERVAL)
            given = pages(truth)
            outcome.losses = [
                answers.loss({name: given[name] for name in sorted(names)}, stored, failed, gaps)
                for names in shards
            ]
        if ask:
            outcome.asked_of = count
            for name, expression, over_time in answers.questions():
                with step(outcome, name):
                    outcome.asked.append(
                        answers.ask(
                            store, name, expression, over_time=over_time, at=at, span=min(seconds, 600)
                        )
                    )


def watched(
    outcome: Outcome, site: Site, store: Store, agents: Sequence[Program], clock: Clock, seconds: float
) -> None:
    """The last seconds of a run: what it takes, and whether its lists hold the right VMs."""
    truths: list[dict[str, Any]] = []
    # Rules take rates over five minutes: of less, a list would be of another time than the truth.
    lists = seconds >= WINDOW + 2 * SHIFT
    if lists:
        for moment in (seconds - WINDOW - SHIFT, seconds - WINDOW):
            clock.until(moment)
            truths.append(site.truth())
    clock.until(max(seconds - WINDOW / 2, seconds / 2))
    meter = Meter(site, store, agents)
    if lists:
        clock.until(seconds - SHIFT)
        truths.append(site.truth())
    clock.until(seconds)
    if lists:
        with step(outcome, "lists against the truth"):
            at = time.time()
            truths.append(site.truth())
            store.flush()
            outcome.verdicts = answers.verdicts(store, truths, at)
    with step(outcome, "growth"):
        outcome.growth = meter.growth()


def replicated(
    outcome: Outcome,
    folder: Path,
    count: int,
    seconds: float,
    *,
    deaths: Sequence[Death] = (),
    flags: tuple[str, ...] = (),
) -> None:
    """One vmagent, three nodes with two copies and a vmalert each, and a fourth node for the whole fleet with its own."""
    with Site(folder, count, flags=flags) as site:
        nodes, whole, agent, rules = three_nodes(site)
        clock = Clock()
        vmauth = site.vmauth(nodes)
        everyone_scraped(site)
        with step(outcome, "copies"):
            copies_of(outcome, site, nodes, vmauth)
        die(deaths, {"vmagent": agent, "node": nodes[0]}, clock)
        clock.until(seconds)
        alive = [node for node in nodes if node.process is not None and node.process.poll() is None]
        with step(outcome, "the node for the whole fleet"):
            whole_fleet(outcome, site, whole)
        truth, end, back = counted(site, clock)
        with step(outcome, "rules that build on recorded series"):
            building_rules(outcome, alive, whole, rules)
        with step(outcome, "losses"):

            def found() -> Loss:
                return kept_by(alive, truth, end, back)

            # Not stopped before: at its end vmagent leaves in its queue what it has not sent.
            with suppress(TimeoutError):
                wait("all pages to arrive", lambda: not found().lost, ARRIVED)
            outcome.losses = [found()]


class ThreeNodes(NamedTuple):
    nodes: list[Store]
    whole: Store
    agent: Program
    rules: Program
    """Of the node for the whole fleet."""


def three_nodes(site: Site) -> ThreeNodes:
    """What deploy/fleet/vmagent/compose.yaml starts beside the fleet."""
    nodes = [site.store(f"node-{place}") for place in range(3)]
    whole = site.store("whole", "-dedup.minScrapeInterval=15s")
    agent = site.vmagent(nodes)
    for place, node in enumerate(nodes):
        site.rules(f"rules-{place}", node, whole, FILES / "vmagent" / "fleet-board.yml")
    return ThreeNodes(nodes, whole, agent, site.rules("rules-whole", whole, whole))


def kept_by(nodes: Sequence[Store], truth: dict[str, Any], end: float, back: int) -> Loss:
    """Of pages before ``end``, those that any of ``nodes`` has."""
    stored: dict[str, float] = {}
    failed: dict[str, float] = {}
    times: dict[str, set[float]] = {}
    for node in nodes:
        node.flush()
        for kept, found in (
            (stored, answers.stored_pages(node, end, back)),
            (failed, answers.failed_scrapes(node, end, back, truth)),
        ):
            kept |= {name: max(number, kept.get(name, 0.0)) for name, number in found.items()}
        for name, moments in node.times('up{job="vmguest"}').items():
            times.setdefault(name, set()).update(moments)
    gaps = answers.gaps({name: sorted(each) for name, each in times.items()}, INTERVAL)
    return answers.loss(pages(truth), stored, failed, gaps)


def copies_of(outcome: Outcome, site: Site, nodes: Sequence[Store], vmauth: Program) -> None:
    """On how many nodes each VM is, and what a question to all of them through vmauth gives."""
    up = 'last_over_time(vmguest_up{job="vmguest"}[10m])'

    def copies() -> list[int]:
        own = [node.by_vm(up) for node in nodes]
        seen = [name for name, vm in site.truth()["vms"].items() if vm["pages"]]
        return [sum(name in vms for vms in own) for name in seen]

    # From vmagent's queue into a node, and from there into view.
    wait("two copies of every VM's series", lambda: min(copies()) >= 2, SEEN)
    found = copies()
    outcome.notes.append(f"each VM's series are on {min(found)} to {max(found)} nodes")
    through = json.loads(get(f"{vmauth.url}/api/v1/query", {"query": f"count({up})"}))["data"]["result"]
    part = int(float(through[0]["value"][1])) if through else 0
    outcome.notes.append(
        f"asked through vmauth, a fleet query sees {part} of {site.count} VMs and does not say so"
    )


def whole_fleet(outcome: Outcome, site: Site, whole: Store) -> None:
    seen = 'count(last_over_time(vmguest_up{job="vmguest"}[2m]))'

    def running() -> int:
        return sum(bool(vm["host"]) for vm in site.truth()["vms"].values())

    wait("every VM on the node for the whole fleet", lambda: whole.one(seen) >= running(), SEEN)
    outcome.notes.append(
        f"the node for the whole fleet sees {int(whole.one(seen))} VMs; {running()} of {site.count} run"
    )


def building_rules(outcome: Outcome, nodes: Sequence[Store], whole: Store, rules: Program) -> None:
    """Rules that build on recorded series find them on the node for the whole fleet, and tell the right VMs.

    Held against what the nodes answer from what was scraped; alerts that are to last for minutes are pending until then.
    """
    building = answers.building()
    stolen = "rate(vmguest_cpu_stolen_seconds_total[5m]) / (rate(vmguest_elapsed_seconds_total[5m]) > 0) / vmguest_vcpus"

    def on_nodes(expression: str) -> set[str]:
        return {name for node in nodes for name in node.by_vm(expression)}

    def told(alert: str) -> set[str]:
        return set(whole.by_vm(f'last_over_time(ALERTS{{alertname="{alert}"}}[1m])'))

    def idle() -> set[str]:
        return building - evaluated(rules)

    wait("rules that build on recorded series to find them", lambda: not idle(), SEEN)

    def right() -> bool:
        starved = told("VMGuestCPUStarved")
        return (
            told("VMGuestCPULimitBinding")
            == on_nodes("vmguest_cpu_limit_hertz / vmguest_vcpus / vmguest_host_cpu_frequency_hertz < 0.98")
            and starved >= on_nodes(f"{stolen} > 0.1 and vmguest_cpu_limit_hertz == Inf")
            and not starved & on_nodes(f"{stolen} < 0.025")
        )

    wait("alerts about recorded ratios for the right VMs", right, SEEN)
    outcome.notes.append(
        f"{len(building)} rules build on recorded series and find them on the node for the whole fleet: CPU is stolen from "
        f"{len(told('VMGuestCPUStarved'))} VMs, {len(told('VMGuestCPULimitBinding'))} have a CPU limit that binds"
    )


def evaluated(rules: Program) -> set[str]:
    """Rules of which each expression was evaluated without an error and found series."""
    groups = json.loads(get(f"{rules.url}/api/v1/rules"))["data"]["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    bad = {rule["name"] for rule in found if rule.get("lastError") or not rule.get("lastSeriesFetched")}
    return {rule["name"] for rule in found} - bad


Part = tuple[Outcome, Callable[[Outcome], None]]


@dataclass
class Run:
    """Everything that was found so far; written whenever there is more, so that what fails takes nothing with it."""

    output: Path | None
    outcomes: list[Outcome] = field(default_factory=list)
    begun: float = field(default_factory=time.time)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def parts(self, *parts: Part) -> None:
        """All of them at once, to their ends."""
        self.outcomes += [outcome for outcome, _ in parts]
        with ThreadPoolExecutor(len(parts)) as together:
            ways = [together.submit(self._part, outcome, do) for outcome, do in parts]
            while not all(way.done() for way in ways):
                time.sleep(1)
                self.keep()
        self.keep()

    def _part(self, outcome: Outcome, do: Callable[[Outcome], None]) -> None:
        say(f"{outcome.name}: begins")
        try:
            pause(0)
            do(outcome)
        except Exception as error:  # noqa: BLE001  whatever it is, the other parts go on
            outcome.failed.append(f"{type(error).__name__}: {error}")
            say(f"{outcome.name}: {outcome.failed[-1]}")
        else:
            say(f"{outcome.name}: done")

    @property
    def failed(self) -> bool:
        return any(outcome.failed for outcome in self.outcomes)

    @property
    def partial(self) -> Path | None:
        return self.output and self.output.with_name(f"{self.output.name}.partial")

    def keep(self) -> None:
        if self.partial is not None:
            self.partial.write_text(self.text(), encoding="utf-8")

    @property
    def whole(self) -> bool:
        """Whether it has what its tables are for, be it that something else failed."""
        return all(outcome.growth for outcome in self.outcomes if outcome.grows)

    def finish(self) -> bool:
        """Put the result where it belongs; one that is not whole stays beside, and what was there stays too."""
        if self.output is None or self.partial is None:
            return False
        self.keep()
        if self.whole:
            self.partial.replace(self.output)
        else:
            say(f"not all of it could be measured: what there is stands in {self.partial}")
        return self.whole

    def text(self) -> str:
        return (
            f"# What a fleet took\n\nWritten by `python -m benchmarks.fleet {' '.join(sys.argv[1:])}`, not by hand. "
            f"{os.cpu_count()} cores, load average {self.load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, "
            f"{time.time() - self.begun:.0f} s in all.\n\n{report(self.outcomes)}"
        )


def large(run: Run, folder: Path, counts: Sequence[int], seconds: float, part: float) -> None:
    few, more, many = counts

    def grown(count: int) -> Part:
        return Outcome(f"{count:,} VMs, two agents and one store", grows=True), partial(
            sharded, folder=folder / f"grown-{count}", count=count, seconds=1.5 * part
        )

    run.parts(grown(few), grown(more))
    early, minute = part / 4, min(60, part / 2)
    one_at_a_time = [
        Death("agent", signal.SIGTERM, early, INTERVAL),
        Death("agent", signal.SIGKILL, early, INTERVAL),
        Death("store", signal.SIGTERM, early, minute),
        Death("store", signal.SIGKILL, early, minute),
    ]
    deaths: list[Part] = [
        (
            Outcome(f"{few:,} VMs, two agents and one store: {death}"),
            partial(sharded, folder=folder / f"death-{place}", count=few, seconds=part, deaths=[death]),
        )
        for place, death in enumerate(one_at_a_time)
    ]
    vmagent = Death("vmagent", signal.SIGKILL, part / 2, 0)
    deaths.append(
        (
            Outcome(f"{few:,} VMs, vmagent and three nodes: {vmagent}"),
            partial(replicated, folder=folder / "vmagent", count=few, seconds=part, deaths=[vmagent]),
        )
    )
    run.parts(*deaths)
    two = [
        Death("agent", signal.SIGKILL, seconds * 0.2, INTERVAL),
        Death("store", signal.SIGKILL, seconds * 0.3, min(60, seconds * 0.1)),
    ]
    run.parts(
        (
            Outcome(f"{many:,} VMs, two agents and one store: {two[0]}; {two[1]}", grows=True),
            partial(sharded, folder=folder / "many", count=many, seconds=seconds, deaths=two, ask=True),
        )
    )
    node = Death("node", signal.SIGKILL, part / 2, FOR_GOOD)
    run.parts(
        (
            Outcome(f"{more:,} VMs, vmagent and three nodes: {node}"),
            partial(replicated, folder=folder / "replicated", count=more, seconds=part, deaths=[node]),
        )
    )


def numbers(text: str) -> tuple[int, int, int]:
    few, more, many = map(int, text.split(","))
    if not 1 < few < more < many:
        raise ValueError(text)
    return few, more, many


def write() -> None:
    """Put MEASURED.md's sums into deploy/README.md."""
    README.write_text(
        written(README.read_text(encoding="utf-8"), MEASURED.read_text(encoding="utf-8")), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", action="store_true", help="--vms 100,300,1000")
    parser.add_argument(
        "--vms", type=numbers, metavar="FEW,MORE,MANY", help="growth, losses, and queries at the last"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=600,
        help=f"of the longest part (600); lists need {WINDOW + 2 * SHIFT}",
    )
    parser.add_argument("--part", type=float, default=120, help="seconds of each of the others (120)")
    parser.add_argument("--output", type=Path, help="write the tables there too")
    parser.add_argument(
        "--write", action="store_true", help="only put MEASURED.md's sums into deploy/README.md"
    )
    args = parser.parse_args()
    if args.write:
        write()
        return
    if min(args.seconds, args.part) < 2 * INTERVAL:
        parser.error(f"--seconds, --part: expected {2 * INTERVAL} or more: two scrapes")
    if absent := missing():
        sys.exit(f"{', '.join(absent)}: not built; make receivers (needs Go)")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: OVER.set())
    limit = threading.Timer(LIMIT, OVER.set)
    limit.daemon = True
    limit.start()
    counts = args.vms or ((100, 300, 1000) if args.large else None)
    run = Run(args.output)
    with tempfile.TemporaryDirectory(prefix="fleet") as name:
        if counts is not None:
            large(run, Path(name), counts, args.seconds, args.part)
        else:
            small = Outcome("50 VMs, two agents and one store", grows=True)
            run.parts((small, partial(sharded, folder=Path(name) / "small", count=50, seconds=60)))
    limit.cancel()
    print(run.text())
    if run.finish() and args.output.resolve() == MEASURED and counts is not None:
        write()
    sys.exit(run.failed)


if __name__ == "__main__":
    main()
