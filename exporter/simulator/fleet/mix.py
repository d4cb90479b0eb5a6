"""Which VMs a fleet consists of: a mix of scenarios by weights.

What a scenario says of the VM and its workload holds; what it says of the host (neighbours, host load and memory,
balloon, compression, swap) does not: that follows from the other VMs on the same simulated host.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from exporter.errors import ConfigError
from exporter.simulator import scenario_file
from exporter.simulator.curves import constant, ramp
from exporter.simulator.faults import near
from exporter.simulator.scenario import Drive, Machine, Scenario
from exporter.simulator.scenarios import SCENARIOS

NOISY = Scenario(
    "noisy",
    "Wants all of its many vCPUs and has high shares: who shares a host with it loses CPU time.",
    machine=Machine(vcpus=16, memory=16384, cpu_shares=32000),
    drive=Drive(demand=ramp((0, 0.85), (60, 1.0), (120, 0.85), every=120)),
)
HUNGRY = Scenario(
    "hungry",
    "Uses all of its much memory: who shares a host with it loses memory to the balloon.",
    machine=Machine(vcpus=4, memory=65536),
    drive=Drive(touched=constant(1.0), needed=constant(0.6), active=constant(0.5)),
)
TOGETHER = {NOISY.name: 3, HUNGRY.name: 3}
"""Scenarios whose VMs come in groups of so many on one host: alone they do not trouble a host that has room."""

FLEET: Mapping[str, Scenario] = {**SCENARIOS, NOISY.name: NOISY, HUNGRY.name: HUNGRY}

DEFAULT: Mapping[str, float] = {
    "steady": 81,
    "noisy": 3,
    "cpu-limit": 4,
    "hungry": 3,
    "changed-limit": 2,
    "full-reservation": 2,
    "remote-memory": 2,
    "old-host": 2,
    "slow-refresh": 1,
}
"""By weight."""

MOST = 1e9
"""What weights may sum up to: whatever a fleet's VMs are counted in, it is less."""

_SIZES = ((2, 4096), (4, 8192), (4, 8192), (4, 16384), (8, 16384))
"""vCPUs and MB of VMs whose scenario is about nothing else."""
_DISKS = ("scsi0:0", "scsi0:1", "scsi0:2", "scsi0:3")


def parse(text: str) -> dict[str, float]:
    """``steady=90,noisy=10``: scenarios, built-in or TOML files, with their weights.

    Raises:
        ConfigError: everything that is wrong in it.
    """
    weights: dict[str, float] = {}
    problems: list[str] = []
    for part in text.split(","):
        name, sign, number = part.strip().rpartition("=")
        try:
            weight = float(number) if sign and name else -1.0
        except ValueError:
            weight = -1.0
        if not 0 <= weight < float("inf"):
            problems.append(f"--mix: {part!r}: expected SCENARIO=WEIGHT, such as steady=90")
        elif name in weights:
            problems.append(f"--mix: {name} is named twice")
        else:
            weights[name] = weight
            problems += [f"--mix: {each}" for each in _unknown(name)]
    whole = sum(weights.values())
    if not problems and not 0 < whole <= MOST:
        problems.append(f"--mix={text}: expected weights that sum up to more than 0 and at most {MOST:g}")
    if problems:
        raise ConfigError(*problems)
    return weights


def _unknown(name: str) -> tuple[str, ...]:
    try:
        scenario(name)
    except ConfigError as error:
        return error.problems
    return ()


def scenario(name: str) -> Scenario:
    """The fleet's or a built-in scenario of that name, else the one in the file of that name.

    Raises:
        ConfigError: there is none, or everything that is wrong in the file.
    """
    if name in FLEET:
        return FLEET[name]
    if "/" in name or name.endswith(".toml"):
        return scenario_file.read(name)
    raise ConfigError(f"no scenario {name!r}; {near(name, FLEET)} (a file's name ends in .toml)")


def draw(count: int, weights: Mapping[str, float], chance: random.Random) -> list[Scenario]:
    """``count`` scenarios in the order in which hosts are filled, each as often as its weight says.

    By largest remainder, so that a small fleet is as mixed as a large one. What belongs together stays together.
    """
    whole = sum(weights.values())
    exact = {name: count * weight / whole for name, weight in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: count - sum(counts.values())]:
        counts[name] += 1
    groups: list[list[Scenario]] = []
    for name, number in counts.items():
        size = TOGETHER.get(name, 1)
        all_of_it = [_sized(scenario(name), chance) for _ in range(number)]
        groups += [all_of_it[start : start + size] for start in range(0, number, size)]
    chance.shuffle(groups)
    return [each for group in groups for each in group]


def _sized(given: Scenario, chance: random.Random) -> Scenario:
    """Steady VMs come in all sizes, with one to four disks and one or two network cards."""
    if given is not SCENARIOS["steady"]:
        return given
    vcpus, memory = chance.choice(_SIZES)
    return replace(
        given,
        machine=replace(given.machine, vcpus=vcpus, memory=memory),
        disks=_DISKS[: chance.choice((1, 2, 2, 4))],
        nics=given.nics[: chance.choice((1, 1, 2))],
    )
