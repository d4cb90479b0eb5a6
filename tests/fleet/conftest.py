"""A fleet on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from exporter.fleet.fleet import Fleet
from exporter.fleet.vm import Parts
from exporter.outputs.web.connections import Refusals
from exporter.simulator.fleet.estate import Estate
from exporter.simulator.fleet.operations import CALM, Plan

WALL = 1_790_000_000.0
PARTS = Parts(15.0, 15.0)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now


@pytest.fixture
def clock() -> Time:
    return Time()


MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(clock: Time) -> MakeFleet:
    def make(
        count: int,
        mixed: Mapping[str, float] | None = None,
        plan: Plan = CALM,
        parts: Parts = PARTS,
        seed: int = 1,
    ) -> Fleet:
        estate = Estate(count, mixed or {"steady": 1}, seed=seed, plan=plan, clock=clock)
        # With what the server says of itself, as each page of a fleet has it.
        return Fleet(estate, parts, others=Refusals().families, clock=clock, wall=clock.wall)

    return make


def turn(fleet: Fleet, clock: Time, rounds: int = 1) -> None:
    """Every VM's turn, every 15 s."""
    for _ in range(rounds):
        clock.now += 15
        for vm in fleet.estate.vms:
            fleet.turn(vm, clock.now)
