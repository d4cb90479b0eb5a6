"""Disks and cards share what the scenario says, whatever comes and goes."""

from __future__ import annotations

import re

import pytest

from exporter.simulator.curves import constant
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Drive, Scenario

DRIVE = Drive(disk_commands=constant(100), packets=constant(1000))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(**more: object) -> tuple[SimulatedHost, Clock]:
    clock = Clock()
    return SimulatedHost(Scenario("shared", "", drive=DRIVE, **more), clock), clock  # type: ignore[arg-type]


def done(host: SimulatedHost, kind: str, *counters: str) -> dict[str, int]:
    groups = re.findall(rf"^{kind} (\S+)$", host.stat("text", "").decode(), re.MULTILINE)
    text = {group: host.stat("text", f"{kind} {group}").decode() for group in groups}
    return {
        group: sum(int(re.findall(rf"\b{re.escape(name)} = (\d+)", text[group])[0]) for name in counters)
        for group in groups
    }


def commands(host: SimulatedHost) -> dict[str, int]:
    return done(host, "vscsi", "num.reads", "num.writes")


@pytest.mark.parametrize("disks", [("a",), ("a", "b"), ("a", "b", "c", "d", "e")])
def test_all_disks_do_together_what_the_scenario_says(disks: tuple[str, ...]) -> None:
    host, clock = made(disks=disks)
    clock.now = 600
    found = commands(host)
    assert sum(found.values()) == pytest.approx(100 * 600, rel=0.001)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_all_cards_too() -> None:
    host, clock = made()
    clock.now = 600
    assert sum(done(host, "vnet", "num.tx", "num.rx").values()) == pytest.approx(1000 * 600, rel=0.001)


def test_a_disk_that_comes_takes_its_share_from_then_on_and_gives_it_back() -> None:
    host, clock = made(disks=("a", "b"))
    clock.now = 600
    before = commands(host)
    host.add_disk("c")
    assert commands(host) == {**before, "c": 0}
    clock.now = 1200
    during = commands(host)
    assert sum(during.values()) == pytest.approx(100 * 1200, rel=0.001)
    assert all(during[name] > before.get(name, 0) for name in during)
    gone = during.pop("a")
    host.remove_disk("a")
    assert commands(host) == during
    clock.now = 1800
    assert sum(commands(host).values()) + gone == pytest.approx(100 * 1800, rel=0.001)
