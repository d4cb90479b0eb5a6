"""What the exporter counts about itself began when it did, by whatever the wall clock shows."""

from __future__ import annotations

import pytest

from exporter import catalogue
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.snapshot import Guest, PollState

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
