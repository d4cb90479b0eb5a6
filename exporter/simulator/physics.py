"""What follows from a scenario: levels as functions of time, counters as their integrals.

Time is cut into cells of one second, counted from the session's start. Within a cell rates are constant, taken
at its middle, so a counter depends on the scenario and the time alone, never on when or how often it is read.

CPU, in vCPUs::

    wants  = vCPUs x demand
    stalls = part of it that waits for swapped memory       -> contention.mem
    ran    = min((wants - stalls) x (1 - neighbours), limit / clock rate)        -> used
    stolen = wants - stalls - ran                           -> stolen, contention.cpu
    limited = the part of it that the limit alone took: what neighbours left and the limit did not let run
    idle   = vCPUs - wants

Memory: levels follow their targets LAG seconds later; a balloon takes no more than the guest can give, and nothing
where its driver is missing. Mapped + ballooned + swapped + zipped never exceed the VM's
memory; what is mapped beyond a limit lies in swap. Used = mapped - saved by sharing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from exporter.catalogue import NO_LIMIT, OLD_NO_LIMIT_MB
from exporter.simulator.curves import Curve, OverTime
from exporter.simulator.scenario import Drive, Machine

LAG = 10.0
"""Seconds by which memory levels trail their targets."""
BALLOON_MAX = 65
"""Percent of the VM's memory: the default of ``sched.mem.maxmemctl``."""
CHURN = 256
"""KB per second that go out of swap and into it again, per percent of memory swapped."""

CPU_LIMIT, HOST_MHZ, MEMORY_LIMIT, SWAPPED = 2, 5, 7, 13
"""Statistics that a scenario may set and the physics obey."""


class Totals(NamedTuple):
    """Rates per second, or what they add up to since the session's start."""

    used: float = 0.0
    """Seconds of vCPU time, as the next three."""
    stolen: float = 0.0
    limited: float = 0.0
    """The part of ``stolen`` that the CPU limit took; no guest is told, tests are."""
    stalled: float = 0.0
    host_used: float = 0.0
    """Seconds of core time on the whole host."""
    commands: float = 0.0
    """To all disks."""
    latency: float = 0.0
    """Microseconds that those commands took."""
    packets: float = 0.0
    """Through all network cards."""
    swap_in: float = 0.0
    swap_out: float = 0.0
    """KB."""


class Memory(NamedTuple):
    """Levels in KB."""

    mapped: int
    active: int
    ballooned: int
    swapped: int
    zipped: int
    shared: int
    saved: int
    balloon_target: int
    swap_target: int
    target: int
    host_cache: int
    """The part of ``swapped`` that lies in the host's SSD cache."""
    remote: int
    """The part of ``mapped`` on another NUMA node."""
    others: int
    """What other VMs use on the host."""


class Physics:
    """One session of a VM: from ``began`` (ms of the scenario's time) on.

    ``given`` holds the statistics that the scenario sets, by id; it may change while the session goes on.
    """

    def __init__(
        self, machine: Machine, drive: Drive, given: Mapping[int, Curve], *, seed: int = 0, began: int = 0
    ) -> None:
        self._machine = machine
        self._drive = drive
        self._given = given
        self._seed = seed
        self._began = began
        self._cell = 0
        self._totals = Totals()
        self._swapped = self._swapped_at(began / 1000)
        self._swapped_next = self._swapped_at(began / 1000 + 1)
        self._rates = self._rates_of(0)

    def totals(self, now: int) -> Totals:
        """The counters at ``now`` (ms of the scenario's time, never less than before)."""
        cell, passed = divmod(now - self._began, 1000)
        while self._cell < cell:
            self._totals = self._after(1.0)
            self._cell += 1
            # Carried over, not asked for anew: a level that was set meanwhile is moved within the next cell.
            self._swapped = self._swapped_next
            self._swapped_next = self._swapped_at(self._began / 1000 + self._cell + 1)
            self._rates = self._rates_of(self._cell)
        return self._after(passed / 1000)

    def _after(self, fraction: float) -> Totals:
        """The totals when ``fraction`` of the present cell has passed."""
        sums = Totals(
            *(total + rate * fraction for total, rate in zip(self._totals, self._rates, strict=True))
        )
        moved = (self._swapped_next - self._swapped) * fraction
        return sums._replace(swap_in=sums.swap_in + max(-moved, 0), swap_out=sums.swap_out + max(moved, 0))

    def _rates_of(self, cell: int) -> Totals:
        machine, drive = self._machine, self._drive
        time = self._began / 1000 + cell + 0.5
        wants = machine.vcpus * _fraction(drive.demand.number(time) * self._jitter(cell))
        swapped = min(self._swapped / (machine.memory << 10), 1.0)
        runnable = wants * (1 - min(1.5 * swapped, 0.6))
        ran = runnable * (1 - _fraction(drive.neighbours.number(time)))
        limit, clock = (
            self._set(CPU_LIMIT, machine.cpu_limit, time),
            self._set(HOST_MHZ, machine.host_mhz, time),
        )
        left = ran
        if limit != NO_LIMIT and clock:
            ran = min(left, limit / clock)
        commands = max(drive.disk_commands.number(time), 0.0)
        churn = CHURN * 100 * swapped
        return Totals(
            used=ran,
            stolen=runnable - ran,
            limited=left - ran,
            stalled=wants - runnable,
            host_used=ran + (machine.host_cores - ran) * _fraction(drive.host_load.number(time)),
            commands=commands,
            latency=commands * max(drive.disk_latency.number(time), 0.0),
            packets=max(drive.packets.number(time), 0.0),
            swap_in=churn,
            swap_out=churn,
        )

    def _jitter(self, cell: int) -> float:
        """0.95 to 1.05, the same for the same cell and seed: real curves are not smooth."""
        mixed = (self._began // 1000 + cell + 1) * 2654435761 + self._seed * 40503
        return 0.95 + 0.1 * ((mixed ^ mixed >> 15) & 0xFFFF) / 0xFFFF

    def memory(self, time: float) -> Memory:
        """The levels at ``time`` (seconds of the scenario's time)."""
        machine, drive = self._machine, self._drive
        size = machine.memory << 10
        before = time - LAG

        def part(curve: OverTime, at: float) -> int:
            return int(size * _fraction(curve.number(at)))

        most = size * BALLOON_MAX // 100
        balloon_target = min(part(drive.balloon, time), most)
        ballooned = (
            min(part(drive.balloon, before), most, self.givable(time)) if machine.balloon_driver else 0
        )
        swap_target = min(part(drive.swap, time), size - balloon_target)
        swapped = min(part(drive.swap, before), size - ballooned)
        zipped = min(part(drive.compress, before), size - ballooned - swapped)
        touched = part(drive.touched, time)
        mapped = max(touched - ballooned - swapped - zipped, 0)
        target = max(touched - balloon_target - swap_target - part(drive.compress, time), 0)
        limit = self._set(MEMORY_LIMIT, machine.memory_limit, time)
        if limit not in (NO_LIMIT, OLD_NO_LIMIT_MB) and mapped > limit << 10:
            excess = mapped - (limit << 10)
            mapped -= excess
            swapped += excess
            swap_target = min(swap_target + excess, size - balloon_target)
            target = min(target, mapped)
        shared = int(mapped * _fraction(drive.shared.number(time)))
        return Memory(
            mapped=mapped,
            active=min(part(drive.active, time), mapped),
            ballooned=ballooned,
            swapped=swapped,
            zipped=zipped,
            shared=shared,
            saved=shared * 3 // 4,
            balloon_target=balloon_target,
            swap_target=swap_target,
            target=target,
            host_cache=int(swapped * _fraction(drive.host_cache.number(time))),
            remote=int(mapped * _fraction(drive.numa_remote.number(time))),
            others=int((machine.host_memory << 10) * _fraction(drive.host_memory.number(time))),
        )

    def givable(self, time: float) -> int:
        """KB that the guest could give at ``time`` if nothing were ballooned: what its processes do not hold."""
        size = self._machine.memory << 10
        return size - int(size * _fraction(self._drive.needed.number(time)))

    def _swapped_at(self, time: float) -> int:
        """KB swapped as the host tells it: swap-in and swap-out follow that level."""
        given = self._set(SWAPPED, -1, time)
        return self.memory(time).swapped if given < 0 else given << 10

    def _set(self, statistic: int, default: int, time: float) -> int:
        """A statistic's number where the scenario sets one, else ``default``."""
        curve = self._given.get(statistic)
        value = default if curve is None else curve.at(time)
        return default if isinstance(value, str | bool) else int(value)


def _fraction(value: float) -> float:
    return min(max(value, 0.0), 1.0)
