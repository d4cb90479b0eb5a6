"""The built-in scenarios, a row each."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.catalogue import NO_LIMIT, OLD_NO_LIMIT_MB
from exporter.simulator.curves import constant, ramp, steps
from exporter.simulator.scenario import Drive, Machine, Scenario, ScenarioEvent

# What is wrong stays wrong after the first minute or two: alert rules wait for 10 minutes and more.
_ROWS = (
    Scenario("steady", "A VM that lacks nothing on a host with room."),
    Scenario(
        "noisy-neighbour",
        "Other VMs take a quarter to a half of the CPU time that this one wants (stolen).",
        drive=Drive(
            demand=ramp((0, 0.55), (45, 0.80), (90, 0.55), every=90),
            neighbours=ramp((0, 0.25), (35, 0.50), (80, 0.25), every=80),
            host_load=ramp((0, 0.94), (35, 1.0), (80, 0.94), every=80),
        ),
    ),
    Scenario(
        "ballooning",
        "The host runs short of memory and takes 40 % of this VM's by the balloon.",
        drive=Drive(
            balloon=ramp((5, 0.0), (65, 0.40)),
            compress=ramp((40, 0.0), (80, 0.01)),
            host_memory=ramp((0, 0.80), (60, 0.95)),
        ),
    ),
    Scenario(
        "cpu-limit",
        "Somebody limited the VM to 2600 MHz, a quarter of what its vCPUs could do.",
        machine=Machine(cpu_limit=2600),
        drive=Drive(demand=ramp((0, 0.35), (50, 0.70), (100, 0.35), every=100)),
    ),
    Scenario(
        "swapping",
        "Balloon at its maximum and not enough: a fifth of the VM's memory lies in the host's swap.",
        drive=Drive(
            touched=constant(0.95),
            balloon=ramp((0, 0.30), (30, 0.65)),
            compress=ramp((20, 0.0), (50, 0.03)),
            swap=ramp((20, 0.0), (60, 0.20)),
            host_memory=ramp((0, 0.90), (40, 1.0)),
            disk_latency=ramp((20, 900), (60, 22000)),
        ),
    ),
    Scenario(
        "vmotion",
        "A new session every 30 s: new id, counters restart, connections break, HA forgets.",
        session_every=30.0,
    ),
    Scenario(
        "host-stats-disabled",
        "tools.guestlib.enableHostInfo is off: statistics of the host are marked as not valid.",
        host_info=False,
    ),
    Scenario(
        "v2-host",
        "ESX 3.x: V2 replies only, no extended statistics.",
        machine=Machine(memory_limit=OLD_NO_LIMIT_MB, hypervisor="VMware ESX 3.5.0 build-64607"),
        versions=(2,),
        host_info=False,
        encodings=(),
    ),
    Scenario(
        "old-host",
        "ESXi 6.0: the list ends at 37, without 64-bit memory shares.",
        machine=Machine(hypervisor="VMware ESXi 6.0.0 build-2494585"),
        statistics=37,
    ),
    Scenario(
        "older-host",
        "ESX 4.x: the list ends at 30, no extended statistics.",
        machine=Machine(hypervisor="VMware ESX 4.0.0 build-164009"),
        statistics=30,
        encodings=(),
    ),
    Scenario(
        "reclaim",
        "The host wants half of the VM's memory, and the guest can give a quarter.",
        drive=Drive(
            needed=constant(0.75),
            balloon=ramp((5, 0.0), (60, 0.50)),
            host_memory=ramp((0, 0.80), (60, 0.97)),
        ),
    ),
    Scenario(
        "dead-balloon",
        "The host wants memory by the balloon, but the guest has no driver for it: the host swaps instead.",
        machine=Machine(balloon_driver=False),
        drive=Drive(
            balloon=ramp((5, 0.0), (60, 0.30)),
            swap=ramp((90, 0.0), (150, 0.10)),
            host_memory=ramp((0, 0.80), (60, 0.97)),
        ),
    ),
    Scenario(
        "burst",
        "Other VMs take two thirds of the CPU time for 2 s in every 30, and nothing in between.",
        drive=Drive(neighbours=steps((0, 0.0), (20, 0.66), (22, 0.0), every=30)),
    ),
    Scenario(
        "pause",
        "The VM stands still for 4 s in every minute, as for the snapshots of a backup.",
        events=tuple(ScenarioEvent(at, "pause", "4") for at in range(60, 3600, 60)),
    ),
    Scenario(
        "changed-limit",
        "After a minute somebody limits the VM to 2400 MHz, and halves its shares.",
        drive=Drive(demand=ramp((0, 0.35), (50, 0.70), (100, 0.35), every=100)),
        set={2: steps((0, NO_LIMIT), (60, 2400)), 3: steps((0, 4000), (60, 2000))},
    ),
    Scenario(
        "slow-refresh",
        "A host that takes a new sample every 20 s and repeats it in between.",
        refresh=20.0,
    ),
    Scenario(
        "full-reservation",
        "All of the VM's memory is reserved on a host that is short of it.",
        machine=Machine(memory_reservation=8192),
        drive=Drive(host_memory=constant(0.95), host_load=constant(0.9)),
    ),
    Scenario(
        "remote-memory",
        "Nearly half of the VM's memory lies on another NUMA node than its vCPUs.",
        drive=Drive(numa_remote=constant(0.45)),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {row.name: row for row in _ROWS}
