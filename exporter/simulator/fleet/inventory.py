"""The fleet's VMs and hosts, as an inventory has them, and who stands on which host at the start."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from exporter.simulator.fleet.levels import Timeline
from exporter.simulator.fleet.share import NOTHING, Taken
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Drive, Machine, Scenario

VMS_PER_HOST, HOSTS_PER_CLUSTER = 18, 16
"""At the start. A host has 32 cores and 256 GiB: it has a quarter of its CPU left, and half of its memory."""
MODELS = (2600, 3000)
"""MHz of the hosts: all of one cluster are alike."""
OLD_BUILD, NEW_BUILD = "VMware ESXi 8.0.3 build-24022510", "VMware ESXi 9.0.1 build-25148080"
_APPLICATIONS = ("web", "app", "db", "cache", "queue", "batch")
_TEAMS = ("shop", "payments", "search", "platform")
_SYSTEMS = ("rhel-9", "debian-12", "windows-2022")


@dataclass(eq=False)
class Losses:
    """What is true of one VM, in CPU seconds since the start, however often a session changed."""

    elapsed: float = 0.0
    """Seconds in which it ran."""
    wanted: float = 0.0
    ran: float = 0.0
    to_limit: float = 0.0
    """Beyond its CPU limit, while it got all that the limit allows: without the limit it would have had more."""
    to_vms: dict[str, float] = field(default_factory=dict)
    """What it was allowed and others had."""
    to_both: float = 0.0
    """Beyond its CPU limit, while others had some of what the limit allows: neither alone held it back."""
    taken: Taken = NOTHING
    """MB that the host wants of its memory now."""
    taken_for: dict[str, float] = field(default_factory=dict)
    """VM -> MB of that."""


@dataclass(eq=False)
class PhysicalHost:
    """Memory in MB."""

    name: str
    cluster: str
    mhz: int
    cores: int = 32
    memory: int = 262144
    build: str = OLD_BUILD
    down_until: float = 0.0
    """Failed, or being upgraded."""
    vms: list[VM] = field(default_factory=list)


@dataclass(eq=False)
class VM:
    """``host_side`` answers its exporter; it is the same object wherever the VM stands."""

    name: str
    labels: Mapping[str, str]
    host: PhysicalHost | None
    host_side: SimulatedHost
    timeline: Timeline
    workload: Drive
    phase: float
    """Seconds by which its workload is ahead of others of its scenario."""
    boots: int = 1
    off_until: float = 0.0
    """After its host failed; 0 while it runs."""
    losses: Losses = field(default_factory=Losses)

    @property
    def off(self) -> bool:
        return self.host is None


def build(
    scenarios: Sequence[Scenario], chance: random.Random, clock: Callable[[], float]
) -> tuple[list[PhysicalHost], list[VM]]:
    """Hosts, filled one after another with VMs of ``scenarios``. ``clock``: seconds since the fleet began."""
    hosts = [_host(number) for number in range(-(-len(scenarios) // VMS_PER_HOST))]
    vms = []
    for number, scenario in enumerate(scenarios):
        host = hosts[number // VMS_PER_HOST]
        vms.append(_vm(number, scenario, host, chance, clock))
        host.vms.append(vms[-1])
    return hosts, vms


def _host(number: int) -> PhysicalHost:
    cluster = number // HOSTS_PER_CLUSTER
    return PhysicalHost(f"esx-{number + 1:03}", f"cluster-{cluster + 1}", MODELS[cluster % len(MODELS)])


def _vm(
    number: int,
    scenario: Scenario,
    host: PhysicalHost,
    chance: random.Random,
    clock: Callable[[], float],
) -> VM:
    application = _APPLICATIONS[number % len(_APPLICATIONS)]
    name = f"{application}-{number + 1:05}"
    # No host among them: a series would be another one after each vMotion.
    labels = {
        "instance": name,
        "cluster": host.cluster,
        "datacenter": f"dc-{1 + int(host.cluster.rpartition('-')[2]) % 2}",
        "folder": f"/production/{application}",
        "team": _TEAMS[number // len(_APPLICATIONS) % len(_TEAMS)],
        "guest_os": _SYSTEMS[number // 5 % len(_SYSTEMS)],
    }
    timeline = Timeline()
    cards = tuple(_mac(2 * number + card) for card in range(len(scenario.nics)))
    played = replace(
        scenario,
        # What an older release is like is the scenario's business; all others are what their host runs.
        machine=on(scenario, host),
        drive=timeline.drive(scenario.drive),
        nics=cards,
    )
    seed = chance.getrandbits(32)
    side = SimulatedHost(played, clock, seed)
    return VM(name, labels, host, side, timeline, scenario.drive, chance.uniform(0, 600))


def _mac(serial: int) -> str:
    """Of the range for addresses that are given by hand, 00:50:56:00:00:00 to 00:50:56:3f:ff:ff."""
    return f"00:50:56:{serial >> 16 & 0x3F:02x}:{serial >> 8 & 0xFF:02x}:{serial & 0xFF:02x}"


def on(scenario: Scenario, host: PhysicalHost) -> Machine:
    """The machine of ``scenario`` as it is on ``host``."""
    current = scenario.machine.hypervisor in (OLD_BUILD, NEW_BUILD)
    return replace(
        scenario.machine,
        host_mhz=host.mhz,
        host_cores=host.cores,
        host_memory=host.memory,
        hypervisor=host.build if current else scenario.machine.hypervisor,
    )
