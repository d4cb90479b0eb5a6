"""The extended statistics that are known by name, a row each; others are named by a rule (``extended_names``)."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalogue.metric import Kind, Metric
from exporter.catalogue.statistics import BY_KEY
from exporter.catalogue.units import Unit

_G, _C, _I = Kind.GAUGE, Kind.COUNTER, Kind.INFO


@dataclass(frozen=True)
class ExtendedStatistic:
    """A known extended statistic: ``category`` (resources, host, session, vscsi, vnet) and the host's name.

    ``labels`` are constant. ``basic``: the basic statistic's key that wins where the basic reply has held it in
    this session; the extended one steps in only where it never did.
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


def _instead(name: str, units: str, key: str, category: str = "resources") -> ExtendedStatistic:
    return ExtendedStatistic(category, name, BY_KEY[key].metric, units, (), key)


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
    _instead("host.cpu.processorMHz", "MHz", "host_cpu_frequency", "host"),
    _ext("host", "host.cpu.coresPerPkg", "cores", Metric("host.cpu.cores_per_package", _G, Unit.CPUS,
        "Physical CPU cores in each of the host's packages (sockets); a VM with more vCPUs spans NUMA nodes.")),
    _ext("vnet", "num.tx", "packets", Metric("network.transmit_packets", _C, Unit.PACKETS,
        "Packets that left this virtual NIC, by the hypervisor's count.", ("mac",))),
    _ext("vnet", "num.rx", "packets", Metric("network.receive_packets", _C, Unit.PACKETS,
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
