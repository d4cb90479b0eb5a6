"""What may happen to a simulated VM, as frozen data. The built-in rows are in :mod:`exporter.simulator.scenarios`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.catalogue import CURRENT_LIST, NO_LIMIT
from exporter.errors import ConfigError
from exporter.protocol.stat_get import ENCODINGS
from exporter.simulator.curves import Curve, OverTime, constant, ramp
from exporter.simulator.faults import Fault
from exporter.simulator.ha import MonitorOptions as HaOptions

_LEAST = {
    "vcpus": 1,
    "memory": 1,
    "host_mhz": 1,
    "host_cores": 1,
    "host_memory": 1,
    "cpu_reservation": 0,
    "cpu_limit": 0,
    "cpu_shares": -1,
    "memory_reservation": 0,
    "memory_limit": 0,
    "memory_shares": -1,
    "guest_swap": 0,
}


@dataclass(frozen=True)
class Machine:
    """What the VM and its host are. Memory in MB (2^20 bytes), clock rates in MHz.

    ``cpu_limit`` and ``memory_limit`` are :data:`~exporter.catalogue.NO_LIMIT` for none. Shares of -1 are the
    normal ones: 1000 per vCPU, 10 per MB.
    """

    vcpus: int = 4
    memory: int = 8192
    cpu_reservation: int = 0
    cpu_limit: int = NO_LIMIT
    cpu_shares: int = -1
    memory_reservation: int = 0
    memory_limit: int = NO_LIMIT
    memory_shares: int = -1
    resource_pool_path: str = "/host/user/pool-web"
    host_mhz: int = 2600
    host_cores: int = 32
    host_memory: int = 262144
    hypervisor: str = "VMware ESXi 8.0.3 build-24022510"
    balloon_driver: bool = True
    """Whether the guest has one; without, the balloon stays empty whatever the host wants."""
    guest_swap: int = 0
    """MB of free swap in the guest."""

    def __post_init__(self) -> None:
        problems = [
            f"machine.{name} = {getattr(self, name)}: expected a number of {least} or more"
            for name, least in _LEAST.items()
            if getattr(self, name) < least
        ]
        if self.vcpus > self.host_cores:
            problems.append(
                f"machine.vcpus = {self.vcpus}: expected at most machine.host_cores ({self.host_cores})"
            )
        if self.memory > self.host_memory // 2:
            problems.append(
                f"machine.memory = {self.memory}: expected at most half of machine.host_memory ({self.host_memory})"
            )
        if problems:
            raise ConfigError(*problems)

    @property
    def shares(self) -> tuple[int, int]:
        """Of CPU and of memory."""
        return (
            1000 * self.vcpus if self.cpu_shares < 0 else self.cpu_shares,
            10 * self.memory if self.memory_shares < 0 else self.memory_shares,
        )


class Drive(NamedTuple):
    """What drives the VM and its host, over time; everything else follows from it. Fractions are 0 to 1."""

    demand: OverTime = ramp((0, 0.22), (40, 0.45), (70, 0.30), (110, 0.22), every=110)
    """Of the vCPUs' time, what the guest wants to run."""
    neighbours: OverTime = constant(0.01)
    """Of what it wants to run, what other VMs take from it."""
    touched: OverTime = constant(0.8)
    """Of its memory, what the guest has ever used."""
    needed: OverTime = constant(0.3)
    """Of its memory, what the guest's processes hold and can't give back."""
    active: OverTime = ramp((0, 0.18), (60, 0.30), (150, 0.18), every=150)
    """Of its memory, what the guest uses now."""
    shared: OverTime = constant(0.08)
    """Of the mapped memory, what other VMs have the same pages of."""
    balloon: OverTime = constant(0.0)
    """Of the memory, what the host wants back by the balloon."""
    compress: OverTime = constant(0.0)
    """Of the memory, what the host wants to keep compressed."""
    swap: OverTime = constant(0.0)
    """Of the memory, what the host wants in its swap."""
    host_cache: OverTime = constant(0.25)
    """Of the swapped memory, what lies in the host's SSD cache."""
    numa_remote: OverTime = constant(0.02)
    """Of the mapped memory, what lies on another NUMA node."""
    host_load: OverTime = ramp((0, 0.25), (50, 0.40), (130, 0.25), every=130)
    """Of the host's cores, what other VMs use."""
    host_memory: OverTime = constant(0.55)
    """Of the host's memory, what other VMs use."""
    disk_commands: OverTime = ramp((0, 150), (30, 420), (90, 150), every=90)
    """Commands per second to all disks."""
    disk_latency: OverTime = constant(900)
    """Microseconds per command."""
    packets: OverTime = ramp((0, 900), (45, 2600), (100, 900), every=100)
    """Packets per second through all network cards."""


@dataclass(frozen=True)
class ScenarioEvent:
    """Something that happens once, ``at`` seconds after the start: ``do`` is one of :data:`EVENTS`."""

    at: float
    do: str
    what: str = ""
    """The disk or network card; a session change's cause; seconds of a host restart's outage, or of a pause."""


EVENTS = ("session-change", "host-restart", "add-disk", "remove-disk", "add-nic", "remove-nic", "pause")


@dataclass(frozen=True)
class Scenario:
    """One story. Statistics in ``set`` (by id) are sent as given, whatever the physics say.

    Configuration that is set (limits, clock rate) is obeyed by the physics; a counter or level that is set is
    the wire's alone, for extremes and odd hosts.
    """

    name: str
    summary: str
    machine: Machine = field(default_factory=Machine)
    drive: Drive = field(default_factory=Drive)
    set: Mapping[int, Curve] = field(default_factory=dict)
    disks: tuple[str, ...] = ("scsi0:0", "scsi0:1")
    nics: tuple[str, ...] = ("00:50:56:9a:1b:01", "00:50:56:9a:1b:02")
    session_id: int = 0
    """Of the first session; 0 draws one."""
    session_every: float = 0.0
    """Seconds between session changes, 0 for none."""
    events: tuple[ScenarioEvent, ...] = ()
    versions: tuple[int, ...] = (3, 2)
    """Reply formats that the host knows."""
    statistics: int = CURRENT_LIST
    """Length of the V3 list: 30 before ESX 5.0, 37 before ESXi 7.0."""
    refresh: float = 0.02
    """Seconds for which the host repeats a sample. Real hosts do so for longer."""
    host_info: bool = True
    """``tools.guestlib.enableHostInfo``."""
    encodings: tuple[str, ...] = ENCODINGS
    """Of the extended statistics; empty for a host without them."""
    json_list: bool = False
    """Extended statistics in JSON as a list of objects with ``name``, not as an object keyed by name."""
    secure_only: bool = False
    """``guest_rpc.rpci.auth.app.APP_MONITOR``: guest statistics and HA for privileged connections only."""
    privileged: bool = True
    """Whether connections count as coming from a port below 1024."""
    ha: HaOptions = field(default_factory=HaOptions)
    faults: tuple[Fault, ...] = ()
