"""What top shows, a row each. An esxtop name stands only where the quantity is equal; docs/terminal.md has the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.top.frame import Frame, number

Take = Callable[[Frame], float | None]
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Quantity:
    """``name``: as shown. ``unit``: %, MB (2^20 bytes, as esxtop has it), MB/s, GHz, or empty for a count.

    ``chart``: key of the last hour's line. ``question``: whose level colours it. ``text``: what it is, for the help.
    """

    name: str
    unit: str
    take: Take
    text: str
    esxtop: bool = False
    chart: str = ""
    question: str = ""


def _share(name: str) -> Take:
    """One of the verdict's shares of a vCPU's time, over its window."""

    def take(frame: Frame) -> float | None:
        found = number(frame.now, name)
        return None if found is None else 100 * found

    return take


def _rate_per_vcpu(name: str, *, extended: bool = False, **labels: str) -> Take:
    def take(frame: Frame) -> float | None:
        rate = frame.extended_rate(name, **labels) if extended else frame.rate(name, **labels)
        vcpus = frame.now["guest"].get("vcpus")
        return None if rate is None or not vcpus else 100 * rate / vcpus

    return take


def _used(frame: Frame) -> float | None:
    """As esxtop has it: of the VM, so that 4 vCPUs reach 400."""
    rate = frame.rate("vmguest_cpu_used_seconds_total")
    return None if rate is None else 100 * rate


def _size(name: str) -> Take:
    def take(frame: Frame) -> float | None:
        found = frame.value(name)
        return None if found is None else found / MIB

    return take


def _number(name: str, factor: float) -> Take:
    def take(frame: Frame) -> float | None:
        found = number(frame.now, name)
        return None if found is None else found / factor

    return take


def _flow(name: str) -> Take:
    def take(frame: Frame) -> float | None:
        found = frame.extended_rate(name)
        return None if found is None else found / MIB

    return take


def _memory(frame: Frame) -> float | None:
    guest = frame.now["guest"]
    found = guest.get("installed_bytes") or guest.get("memory_bytes")
    return found / MIB if found else None


def _active(frame: Frame) -> float | None:
    active, whole = frame.value("vmguest_memory_active_bytes"), _memory(frame)
    return None if active is None or not whole else 100 * active / MIB / whole


def _local(frame: Frame) -> float | None:
    found = number(frame.now, "numa_local")
    return None if found is None else 100 * found


CPU: tuple[Quantity, ...] = (
    Quantity("%USED", "%", _used, "CPU time used, of the whole VM: 4 vCPUs reach 400", True, "cpu_used"),
    Quantity("used/vCPU", "%", _share("used"), "the same for one vCPU, over the verdict's window"),
    Quantity("stolen", "%", _rate_per_vcpu("vmguest_cpu_stolen_seconds_total"), "runnable but not run, one vCPU; near to %RDY, not equal", False, "cpu_stolen"),
    Quantity("  by limit", "%", _share("lost_limit"), "laid to a CPU limit that was used up; over the window", False, "lost_limit", "cpu-limit"),
    Quantity("  by host", "%", _share("lost_host"), "laid to the host: neighbours, co-stop, a pool's limit; over the window", False, "lost_host", "host"),
    Quantity("  unclear", "%", _share("lost_undetermined"), "can't be laid to either; over the window", False, "lost_undetermined", "undetermined"),
    Quantity("worst", "%", _share("worst"), "the worst sample of the window", False, "worst", "bursts"),
    Quantity("%SWPWT", "%", _rate_per_vcpu("vmguest_cpu_contention_seconds_total", extended=True, cause="memory"), "waiting for memory that the host fetches, one vCPU", True, "contention_memory", "swap"),
)  # fmt: skip
MEMORY: tuple[Quantity, ...] = (
    Quantity("MEMSZ", "MB", _memory, "size of the VM's memory", True),
    Quantity("GRANT", "MB", _size("vmguest_memory_mapped_bytes"), "guest memory that host memory backs", True),
    Quantity("%ACTV", "%", _active, "in recent use, by the host's sampling", True, "memory_active"),
    Quantity("used", "MB", _size("vmguest_memory_used_bytes"), "host memory consumed, less what sharing saves", False, "memory_used"),
    Quantity("MCTLSZ", "MB", _size("vmguest_memory_ballooned_bytes"), "taken by the balloon", True, "memory_ballooned", "balloon"),
    Quantity("MCTLTGT", "MB", _size("vmguest_memory_balloon_target_bytes"), "what the balloon is steered to", True, "", "balloon-driver"),
    Quantity("MCTLMAX", "MB", _size("vmguest_memory_balloon_max_bytes"), "largest balloon allowed", True),
    Quantity("SWCUR", "MB", _size("vmguest_memory_swapped_bytes"), "in the host's swap", True, "memory_swapped", "swap"),
    Quantity("SWTGT", "MB", _size("vmguest_memory_swap_target_bytes"), "what swapping is steered to", True),
    Quantity("SWR/s", "MB/s", _flow("vmguest_memory_swap_in_bytes_total"), "read back from the host's swap", True, "", "swap"),
    Quantity("SWW/s", "MB/s", _flow("vmguest_memory_swap_out_bytes_total"), "written to the host's swap", True),
    Quantity("zipped", "MB", _size("vmguest_memory_zipped_bytes"), "compressed now; an amount, where esxtop's ZIP/s is a rate"),
    Quantity("N%L", "%", _local, "on the NUMA node of its vCPUs", True, "", "numa"),
    Quantity("wanted", "MB", _number("reclaim_pending", MIB), "what the host wants next", False, "", "reclaim"),
    Quantity("to give", "MB", _number("reclaim_spare", MIB), "available memory and free swap of the guest"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceColumn:
    """One column of disks or network cards."""

    name: str
    take: Callable[[Frame, str], float | None]
    text: str
    esxtop: bool = True


def _device(label: str, name: str, factor: float = 1.0) -> Callable[[Frame, str], float | None]:
    def take(frame: Frame, device: str) -> float | None:
        rate = frame.extended_rate(name, **{label: device})
        return None if rate is None else rate * factor

    return take


def _latency(what: str) -> Callable[[Frame, str], float | None]:
    """Milliseconds of one request, on the mean of the round."""

    def take(frame: Frame, device: str) -> float | None:
        spent = frame.extended_rate(f"vmguest_disk_latency_{what}_seconds_total", disk=device)
        count = frame.extended_rate(f"vmguest_disk_num_{what}_total", disk=device)
        return None if spent is None or count is None else 1000 * spent / count if count else 0.0

    return take


DISK: tuple[DeviceColumn, ...] = (
    DeviceColumn("READS/s", _device("disk", "vmguest_disk_num_reads_total"), "read requests"),
    DeviceColumn("WRITES/s", _device("disk", "vmguest_disk_num_writes_total"), "write requests"),
    DeviceColumn("MBREAD/s", _device("disk", "vmguest_disk_size_reads_bytes_total", 1 / MIB), "read, 2^20 bytes"),
    DeviceColumn("MBWRTN/s", _device("disk", "vmguest_disk_size_writes_bytes_total", 1 / MIB), "written, 2^20 bytes"),
    DeviceColumn("LAT/rd", _latency("reads"), "ms of one read, as the virtual disk sees it"),
    DeviceColumn("LAT/wr", _latency("writes"), "ms of one write"),
)  # fmt: skip
NETWORK: tuple[DeviceColumn, ...] = (
    DeviceColumn("PKTTX/s", _device("mac", "vmguest_network_transmit_packets_total"), "packets sent"),
    DeviceColumn("MbTX/s", _device("mac", "vmguest_network_transmit_bytes_total", 8e-6), "sent, 10^6 bits"),
    DeviceColumn("PKTRX/s", _device("mac", "vmguest_network_receive_packets_total"), "packets received"),
    DeviceColumn("MbRX/s", _device("mac", "vmguest_network_receive_bytes_total", 8e-6), "received, 10^6 bits"),
)  # fmt: skip
