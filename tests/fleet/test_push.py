"""OTLP for a share of a fleet: one thread, and each VM as it would push itself."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.fleet.push import AGAIN, FleetPush
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.settings import PushSettings
from tests.fleet.conftest import MakeFleet, Time, turn

SETTINGS = PushSettings("http://127.0.0.1:9/v1/metrics", interval=60.0, capacity=3)


class Receiver:
    """Takes exports, or says ``result``."""

    def __init__(self) -> None:
        self.result = ExportResult(Outcome.SUCCESS)
        self.taken: list[MetricsData] = []
        self.asked = 0
        self.closed = False
        self.came = threading.Event()
        """Set once something was taken."""

    def export(self, data: MetricsData) -> ExportResult:
        self.asked += 1
        if self.result.outcome is Outcome.SUCCESS:
            self.taken.append(data)
            self.came.set()
        return self.result

    def close(self) -> None:
        self.closed = True


def attribute(data: MetricsData, name: str) -> object:
    return data.resource_metrics[0].resource.attributes[name]


def polls(data: MetricsData) -> float:
    (metric,) = (
        each for each in data.resource_metrics[0].scope_metrics[0].metrics if each.name == "vmguest.polls"
    )
    value: float = metric.data.data_points[0].value  # type: ignore[union-attr]
    return value


def test_each_vm_is_a_resource_of_its_own(make_fleet: MakeFleet, clock: Time) -> None:
    fleet, receiver = make_fleet(3), Receiver()
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    turn(fleet, clock)
    for each in push.pushing:
        push.turn(each)
    assert [attribute(data, "host.name") for data in receiver.taken] == [*fleet.vms]
    assert len({attribute(data, "service.instance.id") for data in receiver.taken}) == 3
    assert len({attribute(data, "host.id") for data in receiver.taken}) == 3
    # The same over restarts: of the name alone.
    again = FleetPush(make_fleet(3), [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    turn(fleet, clock)
    assert again.pushing[0].identity == attribute(receiver.taken[0], "service.instance.id")


def test_batches_wait_in_order_while_the_receiver_is_away(
    make_fleet: MakeFleet, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, receiver = make_fleet(1), Receiver()
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    receiver.result = ExportResult(Outcome.FAILED, "refused", "connection refused")
    with caplog.at_level("INFO", "exporter.fleet"):
        for _ in range(5):
            turn(fleet, clock)
            push.turn(push.pushing[0])
        receiver.result = ExportResult(Outcome.SUCCESS)
        turn(fleet, clock)
        push.turn(push.pushing[0])
    # Three may wait; the oldest went.
    assert [polls(data) for data in receiver.taken] == [4, 5, 6]
    assert [record.message for record in caplog.records] == [
        "the OTLP receiver takes no exports, which wait",
        "the OTLP receiver takes exports again",
    ]


def test_after_a_failure_nobody_tries_for_a_moment(make_fleet: MakeFleet, clock: Time) -> None:
    fleet, receiver = make_fleet(5), Receiver()
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    receiver.result = ExportResult(Outcome.FAILED, "refused")
    turn(fleet, clock)
    for each in push.pushing:
        push.turn(each)
    assert receiver.asked == 1
    clock.now += AGAIN
    push.turn(push.pushing[1])
    assert receiver.asked == 2


def test_what_is_refused_for_good_blocks_nothing(make_fleet: MakeFleet, clock: Time) -> None:
    fleet, receiver = make_fleet(1), Receiver()
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    receiver.result = ExportResult(Outcome.REJECTED, "400")
    turn(fleet, clock)
    push.turn(push.pushing[0])
    receiver.result = ExportResult(Outcome.SUCCESS)
    turn(fleet, clock)
    push.turn(push.pushing[0])
    assert [polls(data) for data in receiver.taken] == [2]


def test_a_vm_that_is_off_pushes_nothing(make_fleet: MakeFleet, clock: Time) -> None:
    fleet, receiver = make_fleet(1), Receiver()
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    push.turn(push.pushing[0])
    assert receiver.asked == 0, "nothing was polled yet"
    turn(fleet, clock)
    fleet.estate.stop(fleet.estate.vms[0], 1e9)
    push.turn(push.pushing[0])
    assert receiver.asked == 0


def test_one_thread_pushes_for_all(make_fleet: MakeFleet, clock: Time) -> None:
    fleet, receiver = make_fleet(2), Receiver()
    turn(fleet, clock)
    push = FleetPush(fleet, [*fleet.vms], SETTINGS, client=lambda _: receiver, clock=clock)
    before = {*threading.enumerate()}
    # The clock stands: the first turn is due at once, the second never.
    push.start()
    assert [each.name for each in {*threading.enumerate()} - before] == ["fleet-push"]
    assert receiver.came.wait(60)
    push.stop()
    assert receiver.closed
    assert [attribute(data, "host.name") for data in receiver.taken] == [next(iter(fleet.vms))]
