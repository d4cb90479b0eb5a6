"""Who is polled when, and what VMs that are off are like."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from exporter.fleet.fleet import Fleet
from exporter.fleet.vm import Exporter
from exporter.outputs.prometheus import TEXT, VMGuestCollector
from exporter.simulator.fleet.estate import Estate
from exporter.simulator.fleet.operations import CALM
from tests.fleet.conftest import PARTS, MakeFleet, Time, turn


def value(exporter: Exporter, name: str) -> float:
    page = TEXT.page(VMGuestCollector(exporter.published.collect)).decode()
    (line,) = (line for line in page.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def running(fleet: Fleet, name: str) -> Exporter:
    found = fleet.exporter(name)
    assert found is not None
    return found


def test_every_vm_has_an_exporter_of_its_own(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(20)
    turn(fleet, clock, 3)
    used = {name: value(running(fleet, name), "vmguest_cpu_used_seconds_total") for name in fleet.vms}
    assert len(used) == 20
    assert len(set(used.values())) > 15
    assert all(value(running(fleet, name), "vmguest_up") == 1 for name in fleet.vms)
    assert fleet.exporter("nobody") is None


def test_a_move_is_a_session_change_and_the_exporter_goes_on(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(36)
    vm = fleet.estate.vms[0]
    turn(fleet, clock, 2)
    exporter = running(fleet, vm.name)
    fleet.estate.move(vm, fleet.estate.hosts[1], "vMotion")
    turn(fleet, clock)
    assert running(fleet, vm.name) is exporter
    assert value(exporter, "vmguest_session_changes_total") == 1
    assert value(exporter, "vmguest_polls_total") == 3


def test_a_vm_that_is_off_has_no_exporter_and_then_a_new_one(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(36, plan=replace(CALM, first_failure=25, failure_every=1e9, restart_after=(30, 30)))
    turn(fleet, clock, 1)
    before = {name: running(fleet, name) for name in fleet.vms}
    turn(fleet, clock, 1)
    off = [name for name in fleet.vms if fleet.exporter(name) is None]
    assert len(off) == 18
    polls = {name: before[name].poller.state.polls for name in off}
    turn(fleet, clock, 1)
    assert all(before[name].poller.state.polls == polls[name] for name in off)
    turn(fleet, clock, 2)
    for name in fleet.vms:
        assert (running(fleet, name) is before[name]) == (name not in off)
    assert all(value(running(fleet, name), "vmguest_session_changes_total") == 0 for name in off)
    assert fleet.truth()["vms"][off[0]]["boots"] == 2


def test_the_truth_counts_pages(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(2)
    turn(fleet, clock)
    first, second = fleet.vms
    fleet.served(first)
    fleet.served(first)
    told = fleet.truth()
    assert [told["vms"][name]["pages"] for name in (first, second)] == [2, 0]
    assert told["skipped_polls"] == 0


def eventually(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_thread_polls_them_all_again_and_again() -> None:
    fleet = Fleet(Estate(30, {"steady": 1}, plan=CALM), replace_interval(0.05))
    before = set(threading.enumerate())
    fleet.start()
    try:
        (one,) = set(threading.enumerate()) - before
        assert one.name == "fleet"
        eventually(lambda: all(running(fleet, name).poller.state.polls >= 3 for name in fleet.vms))
    finally:
        fleet.stop()
    assert not one.is_alive()


def replace_interval(interval: float) -> Any:
    return PARTS._replace(interval=interval)


def test_a_machine_that_is_too_slow_skips_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    # A hundred VMs within a microsecond.
    fleet = Fleet(Estate(100, {"steady": 1}, plan=CALM), replace_interval(1e-6))
    with caplog.at_level("WARNING", "exporter.fleet"):
        fleet.start()
        try:
            eventually(lambda: fleet.truth()["skipped_polls"] > 1000)
        finally:
            fleet.stop()
    assert [record.message for record in caplog.records if record.name == "exporter.fleet"] == [
        "this machine is too slow for so many VMs: polls are skipped"
    ]


def test_the_truth_is_not_told_in_the_middle_of_a_poll(
    make_fleet: MakeFleet, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ask the VM's host, which is not for two threads."""
    fleet = make_fleet(1)
    told: list[object] = []
    asking = threading.Thread(target=lambda: told.append(fleet.truth()))

    def poll(_exporter: object, _due: float) -> None:
        asking.start()
        asking.join(0.3)
        assert told == []

    monkeypatch.setattr(Exporter, "poll", poll)
    turn(fleet, clock)
    asking.join(20)
    assert len(told) == 1
