"""Metrics that are worked out: what the host's numbers mean. Names are public; the rules stand in docs/insight.md."""

from __future__ import annotations

from exporter.catalogue.metric import Kind, Metric
from exporter.catalogue.units import Unit

_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM

# fmt: off
CPU_LOST = Metric("cpu.lost", _C, Unit.SECONDS,
    "Stolen time by cause: limit (a CPU limit that was used up; may hold some loss to the host), host (neighbours, a"
    " parent pool's limit, co-stop or clock reduction: a guest can't tell which), undetermined (a limit binds, use was"
    " below it). memory is contention for memory, stands beside and may overlap.", ("cause",))
CPU_LIMIT_STATE = Metric("cpu.limit_state", _G, Unit.NONE,
    "What the CPU limit does; the present state is 1. throttling: it binds, is used up, and time is stolen.", ("state",))
MEMORY_LIMIT_STATE = Metric("memory.limit_state", _G, Unit.NONE,
    "What the memory limit does; the present state is 1. reclaiming: it binds, is used up, and the host takes memory.",
    ("state",))
RECLAIM_PENDING = Metric("memory.reclaim_pending", _G, Unit.BYTES,
    "Memory that the host wants next: what the balloon's target is ahead of its size. A target is no promise.")
RECLAIM_WORST_CASE = Metric("memory.reclaim_worst_case", _G, Unit.BYTES,
    "Memory that the largest balloon allowed would take beyond the present one.")
RECLAIM_DEFICIT = Metric("memory.reclaim_deficit", _G, Unit.BYTES,
    "What the guest lacks, free swap included, to give what the host wants next; above 0 it may run out of memory.")
SETTING_CHANGES = Metric("setting_changes", _C, Unit.CHANGES,
    "Changes seen of a setting of this VM: reservation, limit, shares, largest balloon, pool, vCPUs, memory.", ("setting",),
    created=False)
STOLEN_RATIO = Metric("cpu.stolen_ratio", _H, Unit.RATIO,
    "Share of one vCPU's time that was stolen, a sample of the host each: shows bursts that averages hide.")
MEMORY_CONTENTION_RATIO = Metric("cpu.memory_contention_ratio", _H, Unit.RATIO,
    "Share of one vCPU's time spent waiting for memory, a round of extended statistics each.")
REFRESH_INTERVAL = Metric("host.refresh_interval", _G, Unit.SECONDS,
    "Time between two samples of the host; absent until it was seen to repeat one.")
PAUSE = Metric("pause", _H, Unit.SECONDS,
    "Pauses of the whole VM. host_clock: the host's went on while the guest's stood still; wakeup: the exporter woke late, and"
    " neither pressure, throttling nor steal explains it. Experimental: only with --experimental.", ("seen_by",))
GUEST_STEAL = Metric("guest.steal", _C, Unit.SECONDS,
    "Steal that the guest's kernel shows, all vCPUs; 0 for ever where the host does not give it the clock.")
GUEST_STEAL_ACCOUNTING = Metric("guest.steal_accounting", _G, Unit.NONE,
    "1 where the kernel's steal can be believed, 0 where the host took time that it does not show; absent until known.")
# fmt: on

INSIGHT_METRICS = (
    CPU_LOST,
    CPU_LIMIT_STATE,
    MEMORY_LIMIT_STATE,
    RECLAIM_PENDING,
    RECLAIM_WORST_CASE,
    RECLAIM_DEFICIT,
    SETTING_CHANGES,
    STOLEN_RATIO,
    MEMORY_CONTENTION_RATIO,
    REFRESH_INTERVAL,
    PAUSE,
    GUEST_STEAL,
    GUEST_STEAL_ACCOUNTING,
)
