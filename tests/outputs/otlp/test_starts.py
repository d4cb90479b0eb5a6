from __future__ import annotations

from collections.abc import Hashable

from exporter.clock import UNSEEN, Life
from exporter.outputs.otlp.starts import MOST, Starts


class Taken(Starts):
    """Of a receiver that takes each point."""

    def start(self, series: Hashable, created: float | None, life: Life, time: float) -> float:
        self.begin()
        start = super().start(series, created, life, time)
        self.accepted()
        return start


def test_a_start_that_is_known_is_the_points_start() -> None:
    starts = Taken()
    assert starts.start("a", 5.0, Life(1, 5.0), 10.0) == 5.0
    assert starts.start("a", 3.0, Life(1, 3.0), 8.0) == 3.0


def test_what_stands_in_for_an_unknown_one_is_the_first_points_time() -> None:
    starts = Taken()
    assert [starts.start("a", None, UNSEEN, time) for time in (10.0, 15.0, 20.0)] == [10.0] * 3
    assert starts.start("b", None, UNSEEN, 20.0) == 20.0


def test_it_stays_where_the_start_becomes_known_and_ends_with_the_life() -> None:
    starts = Taken()
    starts.start("a", None, Life(1), 10.0)
    assert starts.start("a", 2.0, Life(1, 2.0), 15.0) == 10.0
    assert starts.start("a", 16.0, Life(2, 16.0), 20.0) == 16.0
    assert starts.start("a", None, Life(3), 25.0) == 25.0


def test_what_an_exporter_before_showed_without_a_start_is_not_reached_back_over() -> None:
    starts, life = Taken(), Life(1, 2.0, late=True)
    assert [starts.start("a", 2.0, life, time) for time in (10.0, 15.0)] == [10.0, 10.0]
    assert starts.start("a", 16.0, Life(2, 16.0), 20.0) == 16.0


def test_a_start_that_becomes_known_after_all_points_takes_over() -> None:
    """A guest that comes up in 1970 and is set later: page, status and OTLP say the same from then on."""
    starts = Taken()
    assert [starts.start("a", None, Life(1), time) for time in (100.0, 105.0)] == [100.0, 100.0]
    assert [starts.start("a", 1.7e9, Life(1, 1.7e9), 1.7e9 + age) for age in (1010.0, 1015.0)] == [
        1.7e9,
        1.7e9,
    ]
    assert len(starts) == 0


def test_a_clock_that_is_set_back_to_before_it_moves_it_once() -> None:
    starts = Taken()
    assert [starts.start("a", None, UNSEEN, time) for time in (100.0, 40.0, 45.0, 200.0)] == [
        100.0,
        40.0,
        40.0,
        40.0,
    ]


def test_what_was_not_taken_leaves_nothing_behind() -> None:
    starts = Starts()
    for time in (10.0, 10.0, 20.0, 20.0):
        starts.begin()
        assert starts.start("a", None, UNSEEN, time) == time
    starts.accepted()
    starts.begin()
    assert starts.start("a", 25.0, UNSEEN, 30.0) == 25.0, "known, in a batch that is dropped"
    starts.begin()
    assert [starts.start("a", None, UNSEEN, time) for time in (35.0, 15.0, 40.0)] == [20.0, 15.0, 20.0]
    starts.begin()
    assert starts.start("a", None, Life(5), 50.0) == 50.0
    starts.begin()
    assert starts.start("a", None, UNSEEN, 50.0) == 20.0


def test_a_stand_in_of_a_clock_that_was_not_set_yet_gives_way_once() -> None:
    """Start times in 1970 would say that the counter rose over half a century."""
    starts = Taken()
    today = 1.75e9
    assert [starts.start("a", None, UNSEEN, time) for time in (15.0, 20.0, today, today + 5, today + 10)] == [
        15.0,
        15.0,
        today,
        today,
        today,
    ]
    assert starts.start("a", None, UNSEEN, 30.0) == 30.0, "set back"
    assert [starts.start("a", None, UNSEEN, today + age) for age in (60, 65)] == [today + 60] * 2
    # Its start is known, but lies before a point that was sent: the battery was flat, and it was set later.
    assert starts.start("b", None, Life(1), 1.57e9) == 1.57e9
    assert [starts.start("b", 1.56e9, Life(1), today + age) for age in (0, 5)] == [today] * 2


def test_series_of_sessions_that_are_long_over_are_forgotten() -> None:
    """A host that shows another session with each poll must not fill the memory; what goes on is kept."""
    starts = Taken()
    starts.start("nic", None, Life(1), 1.0)
    for session in range(30_000):
        starts.start(("host", session), None, UNSEEN, 10.0 + session)
    assert len(starts) <= MOST
    assert starts.start("nic", None, Life(1), 99_999.0) == 1.0
    assert starts.start(("host", 29_999), None, UNSEEN, 99_999.0) == 30_009.0
