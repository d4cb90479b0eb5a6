"""What Prometheus would have stored of a VM to which something happens: hours of it, made in seconds.

A simulated host and the exporter's own poller and collector run on a clock that is turned by hand; the pages are the
input series of promtool's unit tests. A series that ends is marked stale, as Prometheus does at the next scrape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.catalogue import INSIGHT_METRICS
from exporter.insight.observer import Observer
from exporter.metrics.collector import Options
from exporter.metrics.published import Published
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.curves import constant, steps
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.scenario import Scenario
from exporter.simulator.scenarios import SCENARIOS
from exporter.simulator.server import Server
from exporter.snapshot import Guest

HOUR, MINUTE = 3600, 60
STEADY = SCENARIOS["steady"]
LABELS = 'job="vmguest",instance="vm1"'
PUSHED_LABELS = 'job="vmguest",instance="0f0e",host_name="vm1"'
STRANGER = 'up{job="vmguest",instance="vm2:9100"}'
BESIDE = 'up{job="node",instance="vm1:9100"}'
STATUSES = ("green", "gray", "red")


@dataclass(frozen=True, eq=False)
class Situation:
    """``away``: seconds from and to which nothing answers. ``restarts``: seconds at which the exporter begins anew."""

    name: str
    scenario: Scenario = STEADY
    scrape: int = 15
    polls: int = 0
    """Seconds between two polls; 0: one for each scrape."""
    away: tuple[tuple[int, float], ...] = ()
    restarts: tuple[int, ...] = ()
    session_after: float = math.inf
    """Seconds from when it goes ``away`` to a new session: shut down, and begins anew."""
    heartbeats: bool = False
    failing: int = 0
    """Seconds for which health checks have failed when it first goes ``away``; heartbeats go on for 60 of them."""
    stuck: int = 0
    """Seconds for which no heartbeat was taken when it first goes ``away``, for no reason that it knows."""
    dry_run: bool = False
    maintenance: bool = False
    """Monitoring was handed back before it goes ``away``."""
    runs_on: bool = False
    """While it is ``away`` only nobody hears of it: it is the network."""
    beside: str = ""
    """Another exporter on the same machine, which ``goes`` away with this one or ``stays``."""
    stranger: bool = False
    """Another machine's node_exporter is in the job, and dies after an hour."""
    removed: bool = False
    """Whether nobody asks any more while it is away: no ``up``."""
    pushed: bool = False
    """Over OTLP: no ``up`` at any time, and a series that ends is not marked."""
    spelling: Callable[[Mapping[str, float]], Mapping[str, float]] = dict
    """Series under the names of another exporter."""
    hours: float = 2.5
    fires: frozenset[str] = field(default_factory=frozenset)
    pages: frozenset[str] = field(default_factory=frozenset)
    """Those that fire as critical, too."""


def series(situation: Situation) -> list[dict[str, str]]:
    """Promtool's ``input_series``."""
    steps = int(situation.hours * HOUR / situation.scrape)
    values: dict[str, dict[int, float]] = {}
    for step, samples in enumerate(_scrapes(situation, steps)):
        for name, value in samples.items():
            values.setdefault(name, {})[step] = value
    return [
        {
            "series": name.replace(LABELS, PUSHED_LABELS) if situation.pushed else name,
            "values": _written(at, steps, marked=not situation.pushed),
        }
        for name, at in values.items()
    ]


def _written(at: dict[int, float], steps: int, *, marked: bool) -> str:
    words = []
    for step in range(steps):
        if step in at:
            words.append(_number(at[step]))
        else:
            words.append("stale" if marked and step - 1 in at else "_")
    return " ".join(words)


def _number(value: float) -> str:
    return "Inf" if value == math.inf else repr(value)


def _scrapes(situation: Situation, steps: int) -> list[Mapping[str, float]]:
    """The samples of each scrape."""
    time = [0.0]

    def now() -> float:
        return time[0]

    # Promtool's time begins at 0; a wall clock that near to 1970 would not be believed.
    offset = 1_790_000_000.0
    connector = InProcess(Server(SimulatedHost(situation.scenario, now, seed=1)))

    def guest() -> Guest:
        with connector.server.hold() as host:
            return host.guest()

    def exporter() -> tuple[Poller, Published]:
        wall = lambda: offset + now()  # noqa: E731
        extended = ExtendedReader(15.0, clock=now, wall=wall)
        source = WireSource(connector, source="simulated")
        observer = Observer(guest)
        poller = Poller(source, 5.0, clock=now, wall=wall, on_state=observer.polled, extended=extended)
        return poller, Published(
            lambda: poller.state,
            Options(),
            guest=lambda: observer.insight.guest,
            insight=lambda: observer.insight,
            wall=wall,
            monotonic=now,
        )

    poller, published = exporter()
    due = [*situation.restarts]
    found: list[Mapping[str, float]] = []
    was_away = False
    beats = 0
    begins = sorted(start + situation.session_after for start, _ in situation.away)
    for step in range(steps):
        time[0] = step * situation.scrape
        away = any(start <= time[0] < end for start, end in situation.away)
        beside = {BESIDE: float(not away or situation.beside == "stays")} if situation.beside else {}
        if situation.stranger:
            beside |= {STRANGER: float(time[0] < HOUR)}
        if begins and begins[0] <= time[0]:
            # Between two scrapes, too.
            time[0] = begins.pop(0)
            connector = InProcess(Server(SimulatedHost(situation.scenario, now, seed=step)))
            time[0] = step * situation.scrape
        if away:
            gone = {} if situation.removed or situation.pushed else {f"up{{{LABELS}}}": 0.0}
            found.append(gone | beside)
            was_away, beats = True, beats if situation.runs_on else 0
            continue
        if (was_away and not situation.runs_on) or (due and due[0] <= time[0]):
            due = [at for at in due if at > time[0]]
            was_away = False
            poller.stop()
            poller, published = exporter()
        for _ in range(situation.scrape // situation.polls if situation.polls else 1):
            poller.poll()
            poller.poll_extended(now() + 5.0)
            time[0] += situation.polls
        time[0] = step * situation.scrape
        samples = dict(situation.spelling(_samples(published))) | beside
        if situation.heartbeats:
            left = situation.away[0][0] - time[0] if situation.away else 0.0
            failing = 0 < left <= situation.failing
            if not (failing and left < situation.failing - 60) and not 0 < left <= situation.stuck:
                beats += situation.scrape // 10
            samples |= _heartbeats(situation, beats, healthy=not failing)
        found.append(samples if situation.pushed else samples | {f"up{{{LABELS}}}": 1.0})
    poller.stop()
    return found


def _samples(published: Published) -> dict[str, float]:
    samples = {}
    for family in published.collect():
        for point in family.points:
            labels = "".join(f',{name}="{text}"' for name, text in point.labels)
            samples[f"{family.metric.prometheus}{{{LABELS}{labels}}}"] = point.value
        name = family.metric.prometheus
        for words, histogram in family.histograms if family.metric in INSIGHT_METRICS else ():
            labels = "".join(f',{key}="{text}"' for key, text in words)
            samples[f"{name}_count{{{LABELS}{labels}}}"] = float(histogram.count)
            for bound, count in zip(histogram.bounds, histogram.counts, strict=True):
                samples[f'{name}_bucket{{{LABELS}{labels},le="{bound:g}"}}'] = float(count)
    return samples


def _heartbeats(situation: Situation, count: int, *, healthy: bool) -> dict[str, float]:
    """As they are until the last scrape, also before an orderly stop."""
    green = {
        f'vmguest_ha_app_status{{{LABELS},status="{name}"}}': float(name == "green") for name in STATUSES
    }
    until = {f"vmguest_ha_maintenance_end_timestamp_seconds{{{LABELS}}}": 1_800_000_000.0}
    return (until if situation.maintenance else green) | {
        f"vmguest_ha_enabled{{{LABELS}}}": float(not situation.maintenance),
        f"vmguest_ha_healthy{{{LABELS}}}": float(healthy),
        f"vmguest_ha_requested_reset{{{LABELS}}}": 0.0,
        f"vmguest_ha_dry_run{{{LABELS}}}": float(situation.dry_run),
        f"vmguest_ha_heartbeats_total{{{LABELS}}}": float(count),
    }


def windows_exporter(samples: Mapping[str, float]) -> dict[str, float]:
    """The same VM as windows_exporter's vmware, cpu and memory collectors show it."""
    names = {
        "vmguest_cpu_reservation_hertz": ("cpu_reservation_mhz", 1e-6),
        "vmguest_cpu_limit_hertz": ("cpu_limit_mhz", 1e-6),
        "vmguest_cpu_shares": ("cpu_shares", 1),
        "vmguest_host_cpu_frequency_hertz": ("host_processor_speed_mhz", 1e-6),
        "vmguest_cpu_used_seconds_total": ("cpu_time_seconds_total", 1),
        "vmguest_cpu_stolen_seconds_total": ("cpu_stolen_seconds_total", 1),
        "vmguest_memory_limit_bytes": ("mem_limit_bytes", 1),
        "vmguest_memory_ballooned_bytes": ("mem_ballooned_bytes", 1),
        "vmguest_memory_swapped_bytes": ("mem_swapped_bytes", 1),
        "vmguest_memory_used_bytes": ("mem_used_bytes", 1),
        "vmguest_memory_shares": ("mem_shares", 1),
    }
    unlimited = {"cpu_limit_mhz": 4294967295.0, "mem_limit_bytes": 4294967295.0 * 2**20}
    spelt = {}
    for name, (theirs, factor) in names.items():
        value = samples[f"{name}{{{LABELS}}}"] * factor
        spelt[f"windows_vmware_{theirs}{{{LABELS}}}"] = unlimited[theirs] if value == math.inf else value
    spelt[f"windows_cpu_logical_processor{{{LABELS}}}"] = samples[f"vmguest_vcpus{{{LABELS}}}"]
    spelt[f"windows_memory_physical_total_bytes{{{LABELS}}}"] = samples[
        f"vmguest_guest_memory_bytes{{{LABELS}}}"
    ]
    spelt[f'windows_exporter_collector_success{{{LABELS},collector="vmware"}}'] = 1.0
    return spelt


def machine(scenario: Scenario = STEADY, **changes: Any) -> Scenario:
    return replace(scenario, machine=replace(scenario.machine, **changes))


FOR_EVER = math.inf
DAY_TO_DAY = (
    Situation("steady, scraped every 15 s"),
    Situation("steady, every 30 s", scrape=30),
    Situation("steady, every 60 s", scrape=60),
    Situation("steady, pushed every 60 s", scrape=60, pushed=True),
    Situation("a new session every 20 min", replace(STEADY, session_every=20 * MINUTE), hours=4),
    Situation("exporter restarted twice", restarts=(HOUR, HOUR + 20 * MINUTE)),
    Situation("VM rebooted (2 min)", away=((HOUR, HOUR + 2 * MINUTE),), session_after=15),
    Situation("target removed", away=((HOUR, FOR_EVER),), removed=True),
    Situation("a stranger in the job dies", stranger=True),
    Situation("1 vCPU, 512 MiB", machine(vcpus=1, memory=512)),
    Situation("128 vCPUs", machine(vcpus=128, host_cores=256, memory=98304)),
    Situation("host without information", replace(STEADY, host_info=False)),
    Situation("ESX 3.x", SCENARIOS["v2-host"]),
    Situation("windows_exporter", spelling=windows_exporter),
)
"""Nothing of it is anybody's trouble."""

TROUBLE = (
    Situation(
        "a new session every 8 min",
        replace(STEADY, session_every=8 * MINUTE),
        fires=frozenset({"VMGuestSessionChurn"}),
    ),
    Situation(
        "VM reset every 10 min",
        away=tuple((at, at + MINUTE) for at in range(10 * MINUTE, 2 * HOUR, 10 * MINUTE)),
        session_after=30,
        fires=frozenset({"VMGuestSessionChurn"}),
    ),
    Situation(
        "exporter stopped",
        away=((HOUR, FOR_EVER),),
        fires=frozenset({"VMGuestExporterDown"}),
    ),
    Situation(
        "pushes stop",
        away=((HOUR, FOR_EVER),),
        pushed=True,
        scrape=60,
        fires=frozenset({"VMGuestExporterSilent"}),
    ),
    Situation(
        "noisy neighbour",
        SCENARIOS["noisy-neighbour"],
        fires=frozenset({"VMGuestCPUStarved"}),
        pages=frozenset({"VMGuestCPUStarved"}),
    ),
    Situation(
        "CPU limit",
        SCENARIOS["cpu-limit"],
        fires=frozenset({"VMGuestCPULimitThrottling", "VMGuestCPULimitBinding"}),
    ),
    Situation(
        "ballooning",
        SCENARIOS["ballooning"],
        fires=frozenset({"VMGuestBallooned"}),
    ),
    Situation(
        "swapping",
        SCENARIOS["swapping"],
        fires=frozenset(
            {
                "VMGuestBallooned",
                "VMGuestBalloonNearMaximum",
                "VMGuestHypervisorSwapActive",
                "VMGuestHypervisorSwapped",
                "VMGuestMemoryContention",
            }
        ),
    ),
)
INSIGHT = (
    Situation("bursts", SCENARIOS["burst"], polls=1, hours=1, fires=frozenset({"VMGuestCPUBursts"})),
    Situation(
        "short loads into a limit",
        replace(
            machine(cpu_limit=5200),
            drive=STEADY.drive._replace(demand=steps((0, 0.2), (4, 1.0), (7, 0.2), every=10)),
        ),
        hours=1,
        fires=frozenset({"VMGuestCPULostUndetermined", "VMGuestCPULimitBinding"}),
    ),
    Situation(
        "memory limit, used up",
        replace(
            machine(memory_limit=4096),
            drive=STEADY.drive._replace(shared=constant(0.0), balloon=constant(0.1), needed=constant(0.95)),
        ),
        hours=1.5,
        fires=frozenset(
            {
                "VMGuestMemoryLimitReclaiming",
                "VMGuestMemoryLimitBinding",
                "VMGuestMemoryMayRunOut",
                "VMGuestBallooned",
                "VMGuestBalloonGrowing",
                "VMGuestHypervisorSwapActive",
                "VMGuestHypervisorSwapped",
                "VMGuestMemoryContention",
            }
        ),
        pages=frozenset({"VMGuestMemoryMayRunOut"}),
    ),
    Situation(
        "reclaim",
        SCENARIOS["reclaim"],
        hours=1,
        fires=frozenset({"VMGuestMemoryMayRunOut", "VMGuestBallooned", "VMGuestBalloonGrowing"}),
        pages=frozenset({"VMGuestMemoryMayRunOut"}),
    ),
    Situation(
        "dead balloon",
        SCENARIOS["dead-balloon"],
        hours=1,
        fires=frozenset(
            {
                "VMGuestBalloonStuck",
                "VMGuestBalloonGrowing",
                "VMGuestHypervisorSwapActive",
                "VMGuestMemoryContention",
            }
        ),
    ),
    Situation(
        "a limit set after an hour",
        replace(machine(), set={2: steps((0, 0xFFFFFFFF), (HOUR, 10400))}),
        fires=frozenset({"VMGuestSettingChanged"}),
    ),
    Situation("slow host", SCENARIOS["slow-refresh"], hours=1),
    Situation("full reservation", SCENARIOS["full-reservation"], hours=1),
    Situation("remote memory", SCENARIOS["remote-memory"], hours=1, fires=frozenset({"VMGuestNUMARemote"})),
    Situation("pauses", SCENARIOS["pause"], hours=1),
)
"""The scenarios of what is worked out."""
GONE = "VMGuestHAExporterDown"
SILENT = "VMGuestHAExporterSilent"
RESET = "VMGuestHAReset"
START = 20 * MINUTE


def watched(
    name: str,
    *,
    fires: tuple[str, ...] = (),
    pages: tuple[str, ...] = (),
    gone: float = 0,
    beside: str = "goes",
    **more: Any,
) -> Situation:
    """One with heartbeats, and what is ``gone`` for so many seconds. What ``pages`` fires, too."""
    away = ((START, START + gone),) if gone else ()
    hours = 1
    fired, paged = frozenset(fires + pages), frozenset(pages)
    return Situation(
        name, heartbeats=True, beside=beside, away=away, hours=hours, fires=fired, pages=paged, **more
    )


HEARTBEATS = (
    *(watched(f"heartbeats, every {scrape} s", scrape=scrape) for scrape in (15, 30, 60)),
    watched("a session every 20 min", scenario=replace(STEADY, session_every=20 * MINUTE)),
    watched("exporter restarted", beside="stays", restarts=(START,)),
    *(
        watched(
            f"VM rebooted in order, every {scrape} s",
            fires=(GONE,),
            gone=2 * MINUTE,
            session_after=30,
            scrape=scrape,
        )
        for scrape in (15, 30, 60)
    ),
    watched("VM shut down", fires=(GONE, "VMGuestExporterDown"), gone=FOR_EVER),
    watched("target removed", gone=FOR_EVER, removed=True),
    watched("target removed, VM up", gone=FOR_EVER, removed=True, beside="stays"),
    watched("VM off for 5 min", fires=(GONE, "VMGuestExporterDown"), gone=330, session_after=300),
    watched("network away for 3 min", fires=(GONE,), gone=3 * MINUTE, runs_on=True),
    watched(
        "network away for 3 min, a session begins in it",
        fires=(GONE,),
        gone=3 * MINUTE,
        session_after=100,
        runs_on=True,
    ),
    watched(
        "exporter dead, VM up",
        fires=("VMGuestExporterDown",),
        pages=(GONE,),
        gone=FOR_EVER,
        beside="stays",
    ),
    watched("reset by hand, back after 30 s", fires=(GONE,), gone=30, session_after=5),
    *(
        watched(
            f"VM hung, reset after {after} s, every {scrape} s",
            fires=(GONE,),
            pages=(RESET,),
            gone=2 * MINUTE,
            session_after=after,
            scrape=scrape,
        )
        for after, scrape in ((60, 15), (75, 15), (75, 30), (75, 60))
    ),
    *(
        watched(
            f"VM hung, reset after 75 s, back after {gone} s",
            fires=(GONE, "VMGuestExporterDown"),
            pages=(RESET,),
            gone=gone,
            session_after=75,
        )
        for gone in (330, 900)
    ),
    watched(
        "checks fail, VM reset",
        fires=(GONE,),
        pages=(RESET, "VMGuestHAUnhealthy"),
        failing=120,
        gone=2 * MINUTE,
        session_after=5,
    ),
    watched(
        "checks fail, VM reset, back after 30 s",
        fires=(GONE,),
        pages=(RESET, "VMGuestHAUnhealthy"),
        failing=120,
        gone=30,
        session_after=5,
    ),
    watched(
        "heart stuck, VM reset, back after 30 s",
        fires=(GONE,),
        pages=(RESET, "VMGuestHAHeartbeatLate"),
        stuck=90,
        gone=30,
        session_after=5,
    ),
    watched("dry run, VM reset", gone=2 * MINUTE, session_after=75, dry_run=True),
    watched("dry run, checks fail", failing=120, gone=30, session_after=5, dry_run=True),
    watched(
        "dry run, exporter dead, VM up",
        fires=("VMGuestExporterDown",),
        gone=FOR_EVER,
        beside="stays",
        dry_run=True,
    ),
    watched("maintenance, VM off for 2 min", gone=2 * MINUTE, session_after=75, maintenance=True),
)
"""With heartbeats for vSphere HA. A loss warns; what shows that it was no orderly stop pages."""


def pushes(name: str, **more: Any) -> Situation:
    return watched(name, pushed=True, scrape=60, **more)


PUSHED = (
    pushes("heartbeats"),
    pushes("a session every 20 min", scenario=replace(STEADY, session_every=20 * MINUTE)),
    pushes("exporter restarted", beside="stays", restarts=(START,)),
    pushes("VM rebooted in order", fires=(SILENT,), gone=2 * MINUTE, session_after=30),
    pushes("VM shut down", fires=(SILENT, "VMGuestExporterSilent"), gone=FOR_EVER),
    pushes("VM off for 5 min", fires=(SILENT, "VMGuestExporterSilent"), gone=330, session_after=300),
    pushes("network away for 3 min", fires=(SILENT,), gone=3 * MINUTE, runs_on=True),
    pushes(
        "exporter dead, VM up",
        fires=("VMGuestExporterSilent",),
        pages=(SILENT,),
        gone=FOR_EVER,
        beside="stays",
    ),
    pushes("VM hung, reset after 75 s", fires=(SILENT,), pages=(RESET,), gone=2 * MINUTE, session_after=75),
    *(
        pushes(
            f"VM hung, reset after 75 s, back after {gone} s",
            fires=(SILENT, "VMGuestExporterSilent"),
            pages=(RESET,),
            gone=gone,
            session_after=75,
        )
        for gone in (330, 900)
    ),
    pushes(
        "checks fail, VM reset, back after 30 s",
        pages=(RESET, "VMGuestHAUnhealthy", "VMGuestHAHeartbeatLate"),
        failing=180,
        gone=30,
        session_after=5,
    ),
    pushes("dry run, VM reset", gone=2 * MINUTE, session_after=75, dry_run=True),
    pushes("maintenance, VM off for 2 min", gone=2 * MINUTE, session_after=75, maintenance=True),
)
"""The same by OTLP every 60 s: there is no ``up``, and nothing says that a series has ended."""
SITUATIONS = (*DAY_TO_DAY, *TROUBLE, *HEARTBEATS, *PUSHED, *INSIGHT)
