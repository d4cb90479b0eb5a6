"""What the exporter counts about itself began when it did, by whatever the wall clock shows."""

from __future__ import annotations

import pytest

from exporter import catalogue
from exporter.clock import Instant, Life, Lives
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Known, Published
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot

WALL = 1_700_000_000.0


class World:
    def __init__(self, ahead: float = WALL - 100) -> None:
        self.now, self.ahead = 100.0, ahead
        self.published = Published(
            lambda: PollState(interval=5.0),
            others=[self.others],
            guest=Guest,
            wall=lambda: self.now + self.ahead,
            monotonic=lambda: self.now,
        )

    @staticmethod
    def others() -> list[Family]:
        return [Family(catalogue.OTLP_EXPORTS, (Point(1.0, (("outcome", "success"),)),))]

    def starts(self) -> set[float | None]:
        """Of all counters; every way to ask gives the same."""
        found = [
            {
                point.created
                for family in families
                for point in family.points
                if family.metric.kind.value == "counter"
            }
            for families in (
                self.published.collect(),
                [*self.published.polled(), *self.published.others()],
            )
        ]
        assert found[0] == found[1]
        return found[0]


def test_all_own_counters_begin_with_the_process() -> None:
    world = World()
    world.now += 500
    assert world.starts() == {WALL}
    world.ahead += 0.001
    world.now += 500
    assert world.starts() == {WALL}


def test_a_clock_that_is_set_back_to_before_it_moves_it_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    assert world.starts() == {WALL}
    world.ahead -= 3600
    for _ in range(3):
        world.now += 5
        assert world.starts() == {WALL - 3600}
    assert len(caplog.records) == 1


def test_a_clock_that_is_not_set_makes_it_unknown_until_it_is() -> None:
    world = World(ahead=0.0)
    assert world.starts() == {None}
    world.now, world.ahead = 160.0, WALL - 100
    assert world.starts() == {WALL}


def test_a_part_that_is_added_is_published_from_then_on() -> None:
    world = World()
    before = world.published.collect()
    values = iter((3.0, 3.0, 4.0))
    world.published.add(lambda: [Family(catalogue.OTLP_QUEUE_LENGTH, (Point(next(values)),))])
    queue = Family(catalogue.OTLP_QUEUE_LENGTH, (Point(3.0),))
    assert queue in world.published.others()
    assert [family for family in world.published.collect() if family not in before] == [queue]
    # It is asked anew each time.
    assert Family(catalogue.OTLP_QUEUE_LENGTH, (Point(4.0),)) in world.published.others()


def test_what_was_known_one_sample_and_one_round_before_is_the_hosts_counters_alone() -> None:
    def snapshot(used: int) -> Snapshot:
        return Snapshot(5, 3, {"cpu_used": used, "memory_used": 7})

    def extended(microseconds: int) -> ExtendedSnapshot:
        values = (ExtendedValue("vm.cpu.contention.cpu", microseconds, "accumulate", "us"),)
        return ExtendedSnapshot(5, {"resources": values}, WALL, 100.0)

    state = PollState(
        interval=5.0,
        snapshot=snapshot(9000),
        snapshot_before=snapshot(8000),
        extended=extended(3_000_000),
        extended_before=extended(2_000_000),
        extended_interval=15.0,
        extended_up=True,
        read_monotonic=100.0,
        lives=Lives(Life(1, WALL)),
    )
    published = Published(lambda: state, guest=Guest)
    found = published.before(Known(state, None, Instant(WALL, 100.0)))
    assert {(family.name, *(point.value for point in family.points)) for family in found} == {
        ("vmguest_cpu_used_seconds", 8.0),
        ("vmguest_cpu_contention_seconds", 2.0),
    }
