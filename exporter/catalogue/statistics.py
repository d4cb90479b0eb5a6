"""The basic statistics of the host, a row each.

Sources of the facts: ids, types and symbols from open-vm-tools ``lib/include/vmGuestLib.h`` and
``libguestlib/guestlibV3.x``; names, kinds and units are this project's public API.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from exporter.catalogue.metric import SESSION_ID, Kind, Metric
from exporter.catalogue.units import HostUnit


class Wire(Enum):
    """XDR type of a statistic's value in a V3 reply (``guestlibV3.x``)."""

    U32 = "u32"
    U64 = "u64"
    STRING = "string"
    """At most 512 bytes."""
    OPAQUE = "opaque"
    """No bound but the packet's."""


@dataclass(frozen=True)
class BasicStatistic:
    """One basic statistic of the ``guestlib.info.get`` reply.

    Two rows may share a ``key``: the later one wins where the host gives both (64-bit over 32-bit shares,
    the unbounded pool path over the short one).
    """

    id: int
    """Discriminant in a V3 reply, from 1 without gaps."""
    key: str
    """Key in :attr:`exporter.snapshot.Snapshot.values`."""
    wire: Wire
    symbol: str | None
    """Function of vmGuestLib that returns it, after ``VMGuestLib_``; None: no getter exists."""
    v2: bool
    """Whether a V2 reply holds it too."""
    unit: HostUnit
    metric: Metric
    unlimited: tuple[int, ...] = ()
    """Host values that mean *no limit*; published as +Inf."""
    host_info: bool = False
    """Given only where ``tools.guestlib.enableHostInfo`` is TRUE."""
    deprecated: bool = False
    """Published only with ``--deprecated-metrics``, and never by VMware's library."""
    identity: bool = False
    """Published only with ``--expose-identity``."""
    public: bool = True
    """Declared in the public vmGuestLib.h; else only exported by the library."""

    @property
    def nothing(self) -> tuple[int, ...]:
        """-1 as the wire has it, which is no value where it does not mean *no limit*.

        Of the 64-bit shares the 32-bit one too: VMware's GetMemShares64 widens what older hosts send.
        """
        ones = {Wire.U32: [2**32 - 1], Wire.U64: [2**64 - 1]}.get(self.wire, [])
        if self.key == "memory_shares":
            ones = [2**32 - 1, 2**64 - 1]
        return tuple(value for value in ones if value not in self.unlimited)

    def scaled(self, value: int) -> float:
        """In base units; *unlimited* is +Inf, so that ``used / limit`` is 0 and ``min(limit, x)`` is right."""
        return float("inf") if value in self.unlimited else self.unit.scale(value)


NO_LIMIT = 0xFFFFFFFF
"""u32 -1. Basic statistics' sentinel for "unlimited"."""
OLD_NO_LIMIT_MB = 0x1FC000
"""2080768 MB: the memory limit that an ESX 3.5 host was seen to give for "unlimited"."""


def _row(
    id_: int,
    key: str,
    wire: Wire,
    symbol: str | None,
    unit: HostUnit,
    name: str,
    text: str,
    kind: Kind = Kind.GAUGE,
    *,
    v2: bool = False,
    unlimited: tuple[int, ...] = (),
    host_info: bool = False,
    deprecated: bool = False,
    identity: bool = False,
    public: bool = True,
    labels: tuple[str, ...] = (),
) -> BasicStatistic:
    of_host = host_info and kind is Kind.COUNTER
    metric = Metric(name, kind, unit.unit, text, (SESSION_ID,) if of_host else labels, of_host)
    return BasicStatistic(
        id_, key, wire, symbol, v2, unit, metric, unlimited, host_info, deprecated, identity, public
    )


_U32, _U64 = Wire.U32, Wire.U64
_MHZ, _MS, _MB, _SHARES = HostUnit.MHZ, HostUnit.MS, HostUnit.MB, HostUnit.SHARES

_MEMORY_SHARES = "Weight of this VM against its siblings when memory is scarce; a low one is squeezed first."
_POOL = "Path of the resource pool on the host that this VM competes in."

# fmt: off
STATISTICS: tuple[BasicStatistic, ...] = (
    _row(1, "cpu_reservation", _U32, "GetCpuReservationMHz", _MHZ, "cpu.reservation",
         "CPU rate guaranteed to the whole VM; 0 means that nothing is.", v2=True),
    _row(2, "cpu_limit", _U32, "GetCpuLimitMHz", _MHZ, "cpu.limit",
         "Upper bound of the whole VM's CPU rate, +Inf without one; below vCPUs times host frequency it throttles.",
         v2=True, unlimited=(NO_LIMIT,)),
    _row(3, "cpu_shares", _U32, "GetCpuShares", _SHARES, "cpu.shares",
         "Weight of this VM against its siblings when CPU is scarce; normal is 1000 per vCPU.", v2=True),
    _row(4, "cpu_used", _U64, "GetCpuUsedMs", _MS, "cpu.used",
         "CPU time charged to the VM, summed over vCPUs; its rate reaches the number of vCPUs.", Kind.COUNTER, v2=True),
    _row(5, "host_cpu_frequency", _U32, "GetHostProcessorSpeed", _MHZ, "host.cpu.frequency",
         "Nominal frequency of the host's physical CPUs.", v2=True),
    _row(6, "memory_reservation", _U32, "GetMemReservationMB", _MB, "memory.reservation",
         "Memory guaranteed to the VM; what lies above may be ballooned or swapped.", v2=True),
    _row(7, "memory_limit", _U32, "GetMemLimitMB", _MB, "memory.limit",
         "Upper bound of the host memory for the VM, +Inf without one; below the VM's memory size the host reclaims at once.",
         v2=True, unlimited=(NO_LIMIT, OLD_NO_LIMIT_MB)),
    _row(8, "memory_shares", _U32, "GetMemShares", _SHARES, "memory.shares", _MEMORY_SHARES, v2=True),
    _row(9, "memory_mapped", _U32, "GetMemMappedMB", _MB, "memory.mapped",
         "Guest memory that host memory backs now; pages shared between VMs count in full.", v2=True),
    _row(10, "memory_active", _U32, "GetMemActiveMB", _MB, "memory.active",
         "Guest memory in recent use, as the host estimates it by sampling; noisy.", v2=True),
    _row(11, "memory_overhead", _U32, "GetMemOverheadMB", _MB, "memory.overhead",
         "Host memory that running this VM takes beyond the guest's own.", v2=True),
    _row(12, "memory_ballooned", _U32, "GetMemBalloonedMB", _MB, "memory.ballooned",
         "Guest memory taken back by the balloon driver: missing to the guest, owned by no process.", v2=True),
    _row(13, "memory_swapped", _U32, "GetMemSwappedMB", _MB, "memory.swapped",
         "Guest memory in the host's swap file now (not the guest's own swap); touching it stalls the guest.", v2=True),
    _row(14, "memory_shared", _U32, "GetMemSharedMB", _MB, "memory.shared",
         "Guest memory in copy-on-write pages shared with others.", v2=True),
    _row(15, "memory_shared_saved", _U32, "GetMemSharedSavedMB", _MB, "memory.shared_saved",
         "Host memory that page sharing saves for this VM, an estimate.", v2=True),
    _row(16, "memory_used", _U32, "GetMemUsedMB", _MB, "memory.used",
         "Host memory consumed for the guest's memory: mapped minus saved by sharing.", v2=True),
    _row(17, "elapsed", _U64, "GetElapsedMs", _MS, "elapsed",
         "Time since the VM began to run on this host, by the host's clock; the divisor for rates of the other counters.",
         Kind.COUNTER, v2=True),
    _row(18, "resource_pool_path", Wire.STRING, "GetResourcePoolPath", HostUnit.NONE, "resource_pool", _POOL,
         Kind.INFO, v2=True, identity=True, labels=("path",)),
    _row(19, "cpu_stolen", _U64, "GetCpuStolenMs", _MS, "cpu.stolen",
         "Time in which a vCPU was runnable but not scheduled by the host, summed over vCPUs; near to CPU ready, not equal to Linux steal.",
         Kind.COUNTER),
    _row(20, "memory_target", _U64, "GetMemTargetSizeMB", _MB, "memory.target",
         "Host memory that the host's scheduler wants this VM to have; below used, memory is about to be reclaimed."),
    _row(21, "host_cpu_cores", _U32, "GetHostNumCpuCores", HostUnit.CORES, "host.cpu.cores",
         "Physical CPU cores of the host.", host_info=True),
    _row(22, "host_cpu_used", _U64, "GetHostCpuUsedMs", _MS, "host.cpu.used",
         "CPU time used on the whole host, a series for each session: another session may be another host.", Kind.COUNTER, host_info=True),
    _row(23, "host_memory_swapped", _U64, "GetHostMemSwappedMB", _MB, "host.memory.swapped",
         "Memory swapped out on the whole host; anything above 0 tells of pressure.", host_info=True),
    _row(24, "host_memory_shared", _U64, "GetHostMemSharedMB", _MB, "host.memory.shared",
         "Copy-on-write shared memory on the whole host.", host_info=True),
    _row(25, "host_memory_used", _U64, "GetHostMemUsedMB", _MB, "host.memory.used",
         "Memory consumed on the whole host; near to physical, reclaiming begins.", host_info=True),
    _row(26, "host_memory_physical", _U64, "GetHostMemPhysMB", _MB, "host.memory.physical",
         "Physical memory of the host that its kernel may use.", host_info=True),
    _row(27, "host_memory_physical_free", _U64, "GetHostMemPhysFreeMB", _MB, "host.memory.physical_free",
         "Free physical memory of the host; a low value is what starts ballooning and swapping.", host_info=True),
    _row(28, "host_memory_kernel_overhead", _U64, "GetHostMemKernOvhdMB", _MB, "host.memory.kernel_overhead",
         "Memory of the host's kernel; deprecated by VMware, hosts after ESXi 7.0 may no longer fill it.",
         host_info=True, deprecated=True),
    _row(29, "host_memory_mapped", _U64, "GetHostMemMappedMB", _MB, "host.memory.mapped",
         "Mapped memory on the whole host.", host_info=True),
    _row(30, "host_memory_unmapped", _U64, "GetHostMemUnmappedMB", _MB, "host.memory.unmapped",
         "Unmapped memory on the whole host.", host_info=True),
    _row(31, "memory_zipped", _U32, "GetMemZippedMB", _MB, "memory.zipped",
         "Guest memory that the host holds compressed; a sign of memory pressure one step short of swapping.", public=False),
    _row(32, "memory_zip_saved", _U32, "GetMemZipSavedMB", _MB, "memory.zip_saved",
         "Host memory that compression saves for this VM.", public=False),
    _row(33, "memory_host_cache_swapped", _U32, "GetMemLLSwappedMB", _MB, "memory.host_cache_swapped",
         "Guest memory swapped to the host's low-latency (SSD) cache; slower than memory, faster than the swap file.", public=False),
    _row(34, "memory_swap_target", _U32, "GetMemSwapTargetMB", _MB, "memory.swap_target",
         "Amount of swapped guest memory that the host is steering to; above swapped, more will be swapped.", public=False),
    _row(35, "memory_balloon_target", _U32, "GetMemBalloonTargetMB", _MB, "memory.balloon_target",
         "Balloon size that the host is steering to; above ballooned, the guest is about to lose memory.", public=False),
    _row(36, "memory_balloon_max", _U32, "GetMemBalloonMaxMB", _MB, "memory.balloon_max",
         "Largest balloon allowed; beyond it the host compresses and swaps.", public=False),
    _row(37, "resource_pool_path", Wire.OPAQUE, None, HostUnit.NONE, "resource_pool", _POOL,
         Kind.INFO, identity=True, labels=("path",)),
    _row(38, "memory_shares", _U64, "GetMemShares64", _SHARES, "memory.shares", _MEMORY_SHARES),
)
# fmt: on

CURRENT_LIST = 38
"""Length of the list that ESXi 7.0 and later send, the longest that was ever seen. A row beyond it is of a newer host:
what today's hosts are short of is not counted by it."""

BY_ID: dict[int, BasicStatistic] = {row.id: row for row in STATISTICS}
BY_KEY: dict[str, BasicStatistic] = {row.key: row for row in STATISTICS}
"""Where two rows share a key, the later one."""
