"""A VM that lacks nothing: 4 vCPUs of 2.5 GHz, 8 GiB."""

from __future__ import annotations

from exporter.insight.memory import Reclaim
from exporter.insight.vitals import Vitals
from exporter.snapshot import Guest

INF = float("inf")
GIB = 2**30
MIB = 2**20

GUEST = Guest(4, 8 * GIB, 8 * GIB, 4 * GIB, 0, 4, 0.0, "boot")
WELL = Vitals(
    window=300.0,
    guest=GUEST,
    host_frequency=2.5e9,
    cpu_limit=INF,
    cpu_limit_state="none",
    cpu_reservation=0.0,
    used=0.4,
    used_rate=4e9,
    stolen=0.001,
    lost_limit=0.0,
    lost_host=0.001,
    lost_undetermined=0.0,
    worst=0.01,
    high=0,
    sample=5.0,
    memory_limit=INF,
    memory_limit_state="none",
    memory_reservation=0.0,
    ballooned=0.0,
    balloon_target=0.0,
    balloon_max=5.2 * GIB,
    reclaim=Reclaim(0.0, 5.2 * GIB, 0.0, 6.0 * GIB),
    swapped=0.0,
    zipped=0.0,
    memory_window=300.0,
    swap_in=0.0,
    memory_contention=0.0,
    numa_local=0.98,
)
