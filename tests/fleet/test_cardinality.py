"""How many series a VM has, and how many begin when something happens to it: promises of deploy/README.md and docs/simulator.md.

``_created`` is left out: no scrape example here keeps it.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import load
from exporter.config.flags import read
from exporter.fleet.start import Wanted, serving
from exporter.fleet.vm import Exporter
from exporter.outputs.prometheus import TEXT, VMGuestCollector
from exporter.simulator.fleet import mix
from exporter.simulator.fleet.inventory import NEW_BUILD, VM
from exporter.simulator.fleet.operations import CALM
from tests.fleet.conftest import MakeFleet, Time, turn

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
SUMS = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
PROMISED = {
    scenario: int(most)
    for scenario, most in re.findall(r"^\| `([\w-]+)` \| (\d+) \|$", DOCUMENT, re.MULTILINE)
}
PER_MOVE = int(re.findall(r"\*\*(\d+) a vMotion\*\*", SUMS)[0])
PER_UPGRADE = int(re.findall(r"\*\*(\d+) an ESXi upgrade\*\*", SUMS)[0])
RELEASE = "vmguest_hypervisor_info"
"""Its label is the release itself: it is another series after an upgrade, and stands beside the promise."""
PER_DISK, PER_CARD = map(int, re.findall(r"\*\*(\d+) a disk and (\d+) a network card\*\*", DOCUMENT)[0])


def devices(vm: VM) -> tuple[int, int]:
    scenario = vm.host_side.scenario
    return len(scenario.disks), len(scenario.nics)


def series_of(exporter: Exporter | None) -> set[str]:
    assert exporter is not None
    page = TEXT.page(VMGuestCollector(exporter.published.collect)).decode()
    lines = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    return {line for line in lines if not re.match(r"\w+_created\b", line)}


@pytest.fixture
def lived(make_fleet: MakeFleet, clock: Time) -> Callable[[str], tuple[set[str], ...]]:
    def live(scenario: str) -> tuple[set[str], ...]:
        """Series of one VM at the start, after a vMotion, and after another one to a host of a new release."""
        fleet = make_fleet(36, {scenario: 1})
        first, second = fleet.estate.hosts
        vm = next(each for each in first.vms if devices(each) == (2, 2))
        seen = []
        for number in range(3):
            # Long enough for all that comes later: a slow host's rhythm, a limit that changes.
            for _ in range(8):
                clock.now += 15
                fleet.turn(vm, clock.now)
            seen.append(series_of(fleet.exporter(vm.name)))
            if number == 0:
                fleet.estate.move(vm, second, "vMotion")
            else:
                first.build = NEW_BUILD
                fleet.estate.move(vm, first, "vMotion")
        return tuple(seen)

    return live


def test_no_family_is_served_that_is_not_counted_here(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(1)
    turn(fleet, clock, 8)
    given = load(read(("--web.listen-address=127.0.0.1:0",)).given, {})
    with (
        serving(given, {}, Wanted(1, mix={"steady": 1}, plan=CALM)) as server,
        urllib.request.urlopen(f"{server.urls[0]}vm/web-00001/metrics", timeout=20) as answer,
    ):
        page = answer.read().decode()
    served = set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE))
    counted = {re.match(r"\w+", series)[0] for series in series_of(fleet.exporter("web-00001"))}  # type: ignore[index]
    assert len(served) > 50
    assert served - {each for each in served if each.endswith("_created")} <= counted | {
        name.removesuffix("_bucket") for name in counted
    }


def test_there_is_a_promise_for_each_scenario() -> None:
    assert PROMISED.keys() == mix.FLEET.keys()


@pytest.mark.parametrize("scenario", mix.FLEET)
def test_series_of_a_vm_and_how_many_begin(
    scenario: str, lived: Callable[[str], tuple[set[str], ...]]
) -> None:
    start, moved, upgraded = lived(scenario)
    assert len(start) == PROMISED[scenario]
    # Not one more at a time, however often it moves.
    assert len(moved) == len(upgraded) == PROMISED[scenario]
    begun = moved - start
    assert len(begun) <= PER_MOVE
    assert all('session_id="' in series for series in begun)
    # A VM comes to another release by another vMotion.
    by_release = {series for series in upgraded - moved if "session_id=" not in series}
    assert len({series for series in by_release if not series.startswith(RELEASE)}) == PER_UPGRADE
    assert len(by_release) == len({series for series in moved - upgraded if series.startswith(RELEASE)}) <= 1


def test_counters_and_gauges_go_on_over_moves_and_releases(
    lived: Callable[[str], tuple[set[str], ...]],
) -> None:
    """The promise's other half: most of them are the same series as before."""
    start, moved, upgraded = lived("steady")
    assert len(start & moved & upgraded) == len(start) - PER_MOVE - 1
    (before,), (after,) = ({each for each in page if each.startswith(RELEASE)} for page in (moved, upgraded))
    assert NEW_BUILD in after
    assert NEW_BUILD not in before


def test_the_promise_is_the_same_in_both_documents() -> None:
    assert re.findall(r"\*\*(\d+) series a vMotion\*\*", DOCUMENT) == [str(PER_MOVE)]
    assert re.findall(r"\*\*(\d+) an ESXi upgrade\*\*", DOCUMENT) == [str(PER_UPGRADE)]
    for text in (DOCUMENT, SUMS):
        assert {RELEASE, "vmguest_session_info", "vmguest_host_cpu_used_seconds_total"} <= set(
            re.findall(r"`(vmguest_\w+)`", text)
        )


def test_series_of_a_disk_and_of_a_network_card(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(36)
    turn(fleet, clock, 2)
    found = {devices(vm): len(series_of(fleet.exporter(vm.name))) for vm in fleet.estate.vms}
    assert len(found) == 6
    for (disks, cards), count in found.items():
        assert count - found[2, 2] == PER_DISK * (disks - 2) + PER_CARD * (cards - 2)


def test_none_begin_while_nothing_moves_but_one_that_waits(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(54, mix.DEFAULT)
    turn(fleet, clock, 2)
    before = {name: series_of(fleet.exporter(name)) for name in fleet.vms}
    turn(fleet, clock, 14)
    begun = set().union(*(series_of(fleet.exporter(name)) - before[name] for name in fleet.vms))
    assert begun == {"vmguest_guest_steal_accounting"}
    assert "`vmguest_guest_steal_accounting`" in SUMS
