"""The catalogue: one row per statistic, read by everything that needs to know one.

Wire decoder, C signatures, collector, Prometheus, OTLP, README table, simulator, dashboards' tests: all walk
these tables. No name, unit or help text of a metric stands in any other module.

Sources of the facts: ids, types and symbols from open-vm-tools ``lib/include/vmGuestLib.h`` and
``libguestlib/guestlibV3.x``; names, kinds and units are this project's public API.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property


class Kind(Enum):
    """What a metric is; the value is the word of the OpenMetrics ``# TYPE`` line."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    HISTOGRAM = "histogram"


class Unit(Enum):
    """Base units: UCUM code (OTLP) and Prometheus suffix."""

    BYTES = ("By", "bytes")
    SECONDS = ("s", "seconds")
    HERTZ = ("Hz", "hertz")
    BYTES_PER_SECOND = ("By/s", "bytes_per_second")
    SHARES = ("{share}", "")
    CPUS = ("{cpu}", "")
    PACKETS = ("{packet}", "")
    EVENTS = ("{event}", "")
    NONE = ("", "")
    """No unit at all. Not "1": the standard translation to Prometheus would append ``_ratio``."""
    TIMESTAMP = ("s", "timestamp_seconds")
    """Seconds since the epoch. ``unit`` of OpenMetrics is then ``seconds``."""

    @property
    def ucum(self) -> str:
        return self.value[0]

    @property
    def suffix(self) -> str:
        """What the Prometheus name ends in."""
        return self.value[1]

    @property
    def prometheus(self) -> str:
        """The OpenMetrics ``# UNIT``."""
        return "seconds" if self is Unit.TIMESTAMP else self.value[1]


class HostUnit(Enum):
    """Units in which the host counts: base unit, and factor to it as a ratio of integers (exact)."""

    MHZ = (Unit.HERTZ, 10**6, 1)
    MS = (Unit.SECONDS, 1, 10**3)
    MB = (Unit.BYTES, 2**20, 1)
    SHARES = (Unit.SHARES, 1, 1)
    CORES = (Unit.CPUS, 1, 1)
    NONE = (Unit.NONE, 1, 1)

    @property
    def unit(self) -> Unit:
        return self.value[0]

    def scale(self, value: float) -> float:
        """``value`` in base units."""
        return scale(value, *self.value[1:])


def scale(value: float, numerator: int, denominator: int) -> float:
    """``value`` times a ratio of integers: rounded once, and an integer stays one where nothing is divided."""
    return value * numerator if denominator == 1 else value * numerator / denominator


class Wire(Enum):
    """XDR type of a statistic's value in a V3 reply (``guestlibV3.x``)."""

    U32 = "u32"
    U64 = "u64"
    STRING = "string"
    """At most 512 bytes."""
    OPAQUE = "opaque"
    """No bound but the packet's."""


@dataclass(frozen=True)
class Metric:
    """One published metric.

    ``name`` is the OTLP name without the leading ``vmguest.``; the Prometheus name follows from name, unit
    and kind. ``help`` says in one sentence what a high value means for the VM.
    """

    name: str
    kind: Kind
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()

    @cached_property
    def family(self) -> str:
        """Prometheus metric family, without ``_total`` or ``_info``: ``vmguest_cpu_used_seconds``."""
        parts = (self.name.replace(".", "_"), self.unit.suffix)
        return PREFIX + "_".join(part for part in parts if part)

    @cached_property
    def prometheus(self) -> str:
        """Prometheus sample name: ``vmguest_cpu_used_seconds_total``. Of a histogram, the family."""
        return self.family + {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")

    @cached_property
    def otlp(self) -> str:
        """OpenTelemetry metric name: ``vmguest.cpu.used``."""
        suffix = ".info" if self.kind is Kind.INFO else "_timestamp" if self.unit is Unit.TIMESTAMP else ""
        return f"vmguest.{self.name}{suffix}"


PREFIX = "vmguest_"


@dataclass(frozen=True)
class Statistic:
    """One basic statistic of the ``guestlib.info.get`` reply.

    Two rows may share a ``key``: the later one wins where the host gives both (64-bit over 32-bit shares,
    the unbounded pool path over the short one).
    """

    id: int
    """Discriminant in a V3 reply, 1 to 38."""
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
    """Published only with ``--deprecated-metrics``, and never by the library road."""
    identity: bool = False
    """Published only with ``--expose-identity``."""
    public: bool = True
    """Declared in the public vmGuestLib.h; else only exported by the library."""


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
) -> Statistic:
    metric = Metric(name, kind, unit.unit, text, labels)
    return Statistic(
        id_, key, wire, symbol, v2, unit, metric, unlimited, host_info, deprecated, identity, public
    )


_U32, _U64 = Wire.U32, Wire.U64
_MHZ, _MS, _MB, _SHARES = HostUnit.MHZ, HostUnit.MS, HostUnit.MB, HostUnit.SHARES

_MEMORY_SHARES = "Weight of this VM against its siblings when memory is scarce; a low one is squeezed first."
_POOL = "Path of the resource pool on the host that this VM competes in."

# fmt: off
STATISTICS: tuple[Statistic, ...] = (
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
         "CPU time used on the whole host; a session change may mean another host.", Kind.COUNTER, host_info=True),
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

BY_ID: dict[int, Statistic] = {row.id: row for row in STATISTICS}
BY_KEY: dict[str, Statistic] = {row.key: row for row in STATISTICS}
"""Where two rows share a key, the later one."""


_G, _C, _I = Kind.GAUGE, Kind.COUNTER, Kind.INFO
_EV, _NO = Unit.EVENTS, Unit.NONE

# Beside the host's numbers: what the guest's own kernel sees, so that ratios need no second exporter.
# fmt: off
VCPUS = Metric("vcpus", _G, Unit.NONE, "Virtual CPUs online in this guest, by its kernel.")
GUEST_MEMORY = Metric("guest_memory", _G, Unit.BYTES, "Memory that the guest's kernel sees.")

# The session: one run of the VM on one host between two events that reset the host's counters.
SESSION = Metric("session", _I, _NO, "Opaque id of the host's session; a new one after power-on, vMotion, resume, revert, reset or some hot-plug.", ("session_id",))
SESSION_START = Metric("session.start", _G, Unit.TIMESTAMP, "When the host began to count for the present session.")
SESSION_CHANGES = Metric("session.changes", _C, _EV, "Session changes seen since the exporter started; the host does not tell their cause.")

# The exporter about itself.
UP = Metric("up", _G, _NO, "1 when the last poll was good and is fresh; 0 otherwise. Statistics older than three intervals are left out.")
POLLS = Metric("polls", _C, _EV, "Polls begun.")
POLL_ERRORS = Metric("poll.errors", _C, _EV, "Polls that failed, by kind of error.", ("kind",))
POLL_DURATION = Metric("poll.duration", Kind.HISTOGRAM, Unit.SECONDS, "Time that a poll took, from request to decoded values.")
POLLS_MISSED = Metric("polls.missed", _C, _EV, "Polls skipped because the one before took longer than the interval.")
POLLS_UNCHANGED = Metric("polls.unchanged", _C, _EV, "Polls in which the host repeated its last sample (elapsed had not moved); no error.")
LAST_POLL = Metric("last_poll", _G, Unit.TIMESTAMP, "When the last good poll read the host.")
SOURCE = Metric("source", _I, _NO, "Road in use to the host, its transport and the version of the reply.", ("source", "transport", "protocol"))
BUILD = Metric("exporter.build", _I, _NO, "Version of the exporter and of Python.", ("version", "python"))
LIBRARY_RESTARTS = Metric("library.restarts", _C, _EV, "Times that the child process with VMware's library had to be started anew.")
EXTENDED_UP = Metric("extended.up", _G, _NO, "1 when the last round over the extended statistics was good and is fresh; absent where the host has none.")
EXTENDED_DROPPED = Metric("extended.dropped", _C, _EV, "Extended statistics dropped because a cap on names, labels or devices was reached or a name could not be used.")

# OTLP push.
OTLP_EXPORTS = Metric("otlp.exports", _C, _EV, "OTLP exports, by outcome.", ("outcome",))
OTLP_QUEUE_LENGTH = Metric("otlp.queue_length", _G, _NO, "Exports that wait to be sent or sent again; near its bound, data is about to be lost.")
OTLP_LAST_SUCCESS = Metric("otlp.last_success", _G, Unit.TIMESTAMP, "When the receiver last took an export.")

# vSphere HA Application Monitoring.
HA_ENABLED = Metric("ha.enabled", _G, _NO, "1 when the host has confirmed that application monitoring is on: silence then resets this VM.")
HA_HEALTHY = Metric("ha.healthy", _G, _NO, "1 when the exporter's health and every check are good.")
HA_CHECK_HEALTHY = Metric("ha.check_healthy", _G, _NO, "1 when this check counts as good.", ("check",))
HA_APP_STATUS = Metric("ha.app_status", _G, _NO, "Application monitoring status as vSphere HA sees it; the present one is 1.", ("status",))
HA_REQUESTED_RESET = Metric("ha.requested_reset", _G, _NO, "1 after this program asked the host to reset the VM.")
HA_HEARTBEATS = Metric("ha.heartbeats", _C, _EV, "Heartbeats that the host has taken.")
HA_HEARTBEAT_ERRORS = Metric("ha.heartbeat_errors", _C, _EV, "Heartbeats that failed, by kind of error.", ("kind",))
HA_HEARTBEATS_WITHHELD = Metric("ha.heartbeats_withheld", _C, _EV, "Heartbeats not sent because health was bad; 30 s of them and HA may reset the VM.")
HA_REENABLES = Metric("ha.reenables", _C, _EV, "Times that monitoring was lost (session change, host restart) and switched on again.")
HA_LAST_HEARTBEAT = Metric("ha.last_heartbeat", _G, Unit.TIMESTAMP, "When the host last took a heartbeat.")
HA_DRY_RUN_RESETS = Metric("ha.dry_run_resets", _C, _EV, "Resets that would have happened, had this not been a dry run.")
# fmt: on

GUEST_METRICS = (VCPUS, GUEST_MEMORY)
SESSION_METRICS = (SESSION, SESSION_START, SESSION_CHANGES)
SELF_METRICS = (
    UP,
    POLLS,
    POLL_ERRORS,
    POLL_DURATION,
    POLLS_MISSED,
    POLLS_UNCHANGED,
    LAST_POLL,
    SOURCE,
    BUILD,
    LIBRARY_RESTARTS,
    EXTENDED_UP,
    EXTENDED_DROPPED,
)
OTLP_METRICS = (OTLP_EXPORTS, OTLP_QUEUE_LENGTH, OTLP_LAST_SUCCESS)
HA_METRICS = (
    HA_ENABLED,
    HA_HEALTHY,
    HA_CHECK_HEALTHY,
    HA_APP_STATUS,
    HA_REQUESTED_RESET,
    HA_HEARTBEATS,
    HA_HEARTBEAT_ERRORS,
    HA_HEARTBEATS_WITHHELD,
    HA_REENABLES,
    HA_LAST_HEARTBEAT,
    HA_DRY_RUN_RESETS,
)


@dataclass(frozen=True)
class ExtendedStatistic:
    """A known extended statistic: ``category`` (resources, host, session, vscsi, vnet) and the host's name.

    ``labels`` are constant. ``basic``: the basic statistic's key that wins where the basic reply holds it;
    the extended one then steps in only when it is absent.
    """

    category: str
    name: str
    metric: Metric
    units: str = ""
    """The documented unit: of a text reply, which carries none."""
    labels: tuple[tuple[str, str], ...] = ()
    basic: str = ""


def _ext(category: str, name: str, units: str, metric: Metric, *labels: tuple[str, str]) -> ExtendedStatistic:
    return ExtendedStatistic(category, name, metric, units, labels)


def _instead(name: str, units: str, key: str) -> ExtendedStatistic:
    return ExtendedStatistic("resources", name, BY_KEY[key].metric, units, (), key)


# fmt: off
CPU_CONTENTION = Metric("cpu.contention", _C, Unit.SECONDS,
    "Time in which vCPUs could have run but did not, by cause; its make-up differs between ESXi releases.", ("cause",))
NUMA_MEMORY = Metric("numa.memory", _G, Unit.BYTES,
    "Guest memory on the NUMA node of its vCPUs (local) or on another (remote); remote memory is slower.", ("locality",))
HYPERVISOR = Metric("hypervisor", _I, Unit.NONE, "Version of the hypervisor; bios_uuid only with --expose-identity.",
    ("version", "provider", "bios_uuid"))
HOST_FACTS = Metric("host", _I, Unit.NONE, "Facts about the host's hardware that are words.")

EXTENDED: tuple[ExtendedStatistic, ...] = (
    _ext("resources", "vm.cpu.contention.cpu", "us", CPU_CONTENTION, ("cause", "cpu")),
    _ext("resources", "vm.cpu.contention.mem", "us", CPU_CONTENTION, ("cause", "memory")),
    _ext("resources", "vm.numa.local", "KB", NUMA_MEMORY, ("locality", "local")),
    _ext("resources", "vm.numa.remote", "KB", NUMA_MEMORY, ("locality", "remote")),
    _ext("resources", "guest.mem.consumed", "KB", Metric("memory.consumed", _G, Unit.BYTES,
        "Host memory consumed for the guest's memory, the host's view.")),
    _ext("resources", "guest.mem.swapIn", "KB", Metric("memory.swap_in", _C, Unit.BYTES,
        "Guest memory read back from the host's swap; while it grows, the guest is stalling.")),
    _ext("resources", "guest.mem.swapOut", "KB", Metric("memory.swap_out", _C, Unit.BYTES,
        "Guest memory written to the host's swap; it grows under memory pressure.")),
    _ext("resources", "ovhd.mem.swapped", "KB", Metric("overhead.memory.swapped", _G, Unit.BYTES,
        "Overhead memory of this VM in the host's swap.")),
    _ext("resources", "ovhd.mem.swapIn", "KB", Metric("overhead.memory.swap_in", _C, Unit.BYTES,
        "Overhead memory read back from the host's swap.")),
    _ext("resources", "ovhd.mem.swapOut", "KB", Metric("overhead.memory.swap_out", _C, Unit.BYTES,
        "Overhead memory written to the host's swap.")),
    _instead("vm.cpu.reserved", "MHz", "cpu_reservation"),
    _instead("vm.cpu.limit", "MHz", "cpu_limit"),
    _instead("vm.cpu.used", "us", "cpu_used"),
    _instead("guest.mem.reserved", "KB", "memory_reservation"),
    _instead("guest.mem.limit", "KB", "memory_limit"),
    _instead("guest.mem.mapped", "KB", "memory_mapped"),
    _instead("guest.mem.swapped", "KB", "memory_swapped"),
    _instead("guest.mem.ballooned", "KB", "memory_ballooned"),
    _ext("vnet", "num.tx", "packets", Metric("network.transmit.packets", _C, Unit.PACKETS,
        "Packets that left this virtual NIC, by the hypervisor's count.", ("mac",))),
    _ext("vnet", "num.rx", "packets", Metric("network.receive.packets", _C, Unit.PACKETS,
        "Packets that reached this virtual NIC, by the hypervisor's count.", ("mac",))),
    _ext("vnet", "size.tx", "bytes", Metric("network.transmit", _C, Unit.BYTES,
        "Bytes that left this virtual NIC, by the hypervisor's count.", ("mac",))),
    _ext("vnet", "size.rx", "bytes", Metric("network.receive", _C, Unit.BYTES,
        "Bytes that reached this virtual NIC, by the hypervisor's count.", ("mac",))),
    _ext("vnet", "reservation", "MBps", Metric("network.reservation", _G, Unit.BYTES_PER_SECOND,
        "Bandwidth guaranteed to this virtual NIC; 0 means that none is.", ("mac",))),
    _ext("vnet", "limit", "MBps", Metric("network.limit", _G, Unit.BYTES_PER_SECOND,
        "Upper bound of this virtual NIC's bandwidth, +Inf without one.", ("mac",))),
)
# fmt: on
