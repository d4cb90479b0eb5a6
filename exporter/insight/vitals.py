"""The numbers that the verdict is about, out of the published state and what was worked out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.insight.growth import CONTENTION, USE, resource
from exporter.insight.history import Moment, given, since, window
from exporter.insight.interval import number
from exporter.insight.memory import Reclaim, reclaim
from exporter.insight.observer import Insight
from exporter.insight.timeline import Entry
from exporter.insight.words import span
from exporter.snapshot import Guest, PollState, Snapshot

DAY = 86400.0
"""Seconds for which a change of a setting is told."""
HOUR = 3600.0
"""Seconds over which session changes are counted, as the alert rule does."""


@dataclass(frozen=True, slots=True)
class HeartbeatState:
    """What is known of the vSphere HA heartbeats, where they are on."""

    enabled: bool
    healthy: bool
    status: str = ""
    dry_run: bool = False
    maintenance: bool = False
    reset_requested: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """Numbers in base units; None where the host, or too short a time, does not give them.

    Shares hold for the last ``window`` seconds and for one vCPU: 1 is all the time of all vCPUs.
    """

    window: float = 0.0
    guest: Guest = field(default_factory=Guest)
    host_frequency: float | None = None
    cpu_limit: float | None = None
    cpu_limit_state: str | None = None
    """Over the last interval."""
    cpu_reservation: float | None = None
    used: float | None = None
    used_rate: float | None = None
    """Hertz, of all vCPUs together."""
    not_measured: str = ""
    """Why no stolen time can ever be told of this host, as a sentence; empty where nothing stands in the way."""
    stolen: float | None = None
    lost_limit: float | None = None
    lost_host: float | None = None
    lost_undetermined: float | None = None
    worst: float | None = None
    """Share that was stolen in the worst sample of the window."""
    high: int = 0
    """Samples of the window in which more than a tenth was stolen."""
    sample: float | None = None
    """Seconds that a sample spans: the poll interval, or the host's own rhythm where that is slower."""
    memory_limit: float | None = None
    memory_limit_state: str | None = None
    memory_reservation: float | None = None
    ballooned: float | None = None
    balloon_target: float | None = None
    balloon_max: float | None = None
    balloon_stuck: float = 0.0
    """Seconds for which the balloon has not followed a target well above it."""
    reclaim: Reclaim = field(default_factory=lambda: Reclaim(None, None, None, None))
    swapped: float | None = None
    zipped: float | None = None
    memory_window: float = 0.0
    """Seconds for which the next two hold: they are read by rounds, and know nothing of the CPU limit."""
    swap_in: float | None = None
    """Bytes per second."""
    memory_contention: float | None = None
    numa_local: float | None = None
    """Share of the VM's memory on the NUMA node of its vCPUs."""
    setting_entries: tuple[Entry, ...] = ()
    """Of the last day, oldest first."""
    session_entries: tuple[Entry, ...] = ()
    """Of the last hour, oldest first."""
    pauses_watched: bool = False
    pause_entries: tuple[Entry, ...] = ()
    """Of the last hour, oldest first."""
    steal_accounting: bool | None = None
    heartbeat: HeartbeatState | None = None

    @property
    def capacity(self) -> float | None:
        """Hertz that the vCPUs could use if nothing held them back."""
        vcpus = self.guest.vcpus
        return vcpus * self.host_frequency if vcpus and self.host_frequency else None

    @property
    def limit_use(self) -> float | None:
        """Share of the CPU limit that is used; 0 without a limit."""
        return self.used_rate / self.cpu_limit if self.used_rate is not None and self.cpu_limit else None

    @property
    def during(self) -> str:
        """The window in words, the same for every sentence."""
        return f"in the last {span(self.window)}"


def vitals_of(
    state: PollState, insight: Insight, now: float, heartbeat: HeartbeatState | None = None
) -> Vitals:
    """``now`` by the monotonic clock, in seconds. Nothing stale goes in."""
    snapshot = state.snapshot
    if snapshot is None or not state.fresh(now):
        return Vitals(
            guest=insight.guest, heartbeat=heartbeat, setting_entries=_since(insight, "setting", now - DAY)
        )
    extended = state.fresh_extended(now)
    local = resource(extended, "vm.numa.local") if extended is not None else None
    remote = resource(extended, "vm.numa.remote") if extended is not None else None
    moments = since(insight.moments, now - HOUR)
    found = window(moments)
    # A CPU limit has nothing to do with these.
    of_memory = {key: given(window(moments, any_limit=True), key) for key in (CONTENTION, "swap_in")}

    def rate(key: str, moments: tuple[Moment, ...]) -> float | None:
        return moments[-1].rate(moments[0], key) if moments else None

    def of_cpu(key: str) -> float | None:
        return rate(key, given(found, key))

    samples = found[1:]
    use, frequency = of_cpu(USE), number(snapshot, "host_cpu_frequency")
    return Vitals(
        window=_length(found),
        guest=insight.guest,
        host_frequency=frequency,
        cpu_limit=number(snapshot, "cpu_limit"),
        cpu_limit_state=insight.cpu_limit,
        cpu_reservation=number(snapshot, "cpu_reservation"),
        used=of_cpu("cpu_used"),
        used_rate=use * frequency if use is not None and frequency is not None else None,
        not_measured=_not_measured(snapshot, insight.guest),
        stolen=of_cpu("cpu_stolen"),
        lost_limit=of_cpu("lost_limit"),
        lost_host=of_cpu("lost_host"),
        lost_undetermined=of_cpu("lost_undetermined"),
        worst=max((worst for moment in samples if (worst := moment.get("worst")) is not None), default=None),
        high=int(sum(moment.get("high") or 0.0 for moment in samples)),
        sample=max(state.interval, insight.refresh or 0.0),
        memory_limit=number(snapshot, "memory_limit"),
        memory_limit_state=insight.memory_limit,
        memory_reservation=number(snapshot, "memory_reservation"),
        ballooned=number(snapshot, "memory_ballooned"),
        balloon_target=number(snapshot, "memory_balloon_target"),
        balloon_max=number(snapshot, "memory_balloon_max"),
        balloon_stuck=insight.balloon_stuck,
        reclaim=reclaim(snapshot, insight.guest),
        swapped=number(snapshot, "memory_swapped"),
        zipped=number(snapshot, "memory_zipped"),
        memory_window=max(map(_length, of_memory.values())),
        swap_in=rate("swap_in", of_memory["swap_in"]) if extended is not None else None,
        memory_contention=rate(CONTENTION, of_memory[CONTENTION]) if extended is not None else None,
        numa_local=local / (local + remote)
        if local is not None and remote is not None and local + remote
        else None,
        setting_entries=_since(insight, "setting", now - DAY),
        session_entries=_since(insight, "session", now - HOUR),
        pauses_watched=bool(insight.pauses),
        pause_entries=_since(insight, "pause", now - HOUR),
        steal_accounting=insight.steal_accounting,
        heartbeat=heartbeat,
    )


def _not_measured(snapshot: Snapshot, guest: Guest) -> str:
    if "cpu_stolen" not in snapshot.values:
        return "The host gives no stolen time."
    if "elapsed" not in snapshot.values:
        return "The host gives no elapsed time, so what share of it was stolen can't be told."
    if guest.vcpus is None:
        return "Stolen time per vCPU can't be told: the number of vCPUs is not known."
    return ""


def _length(moments: tuple[Moment, ...]) -> float:
    return moments[-1].at - moments[0].at if moments else 0.0


def _since(insight: Insight, kind: str, at: float) -> tuple[Entry, ...]:
    """By the monotonic clock: a wall clock that is set makes nothing of the last hour older or newer."""
    return tuple(entry for entry in insight.timeline if entry.kind == kind and entry.at >= at)
