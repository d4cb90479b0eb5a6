"""When something began, by a wall clock that may be wrong and may be set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import PLAUSIBLE, Instant, Life, Lives, Start, words

WALL = 1_700_000_000.0


def test_a_start_is_the_wall_clock_less_the_age() -> None:
    assert Start(40.0).at(Instant(WALL, 100.0)) == Start(40.0, WALL - 60)


def test_a_start_that_is_known_is_a_fact() -> None:
    start = Start(40.0, WALL - 60)
    for wall in (WALL - 60, WALL + 5, WALL + 1e6):
        assert start.at(Instant(wall, 105.0)) is start


def test_a_clock_that_is_set_back_to_before_it_moves_it_once() -> None:
    start = Start(40.0, WALL - 60).at(Instant(WALL - 3600, 100.0))
    assert start.wall == WALL - 3660
    assert start.at(Instant(WALL - 3595, 105.0)) is start


@pytest.mark.parametrize(
    ("wall", "age"), [(0.0, 5.0), (PLAUSIBLE - 1, 5.0), (PLAUSIBLE + 10, PLAUSIBLE + 11)]
)
def test_a_clock_that_can_not_be_right_makes_it_unknown_until_the_first_that_can(
    wall: float, age: float
) -> None:
    start = Start(100.0 - age).at(Instant(wall, 100.0))
    assert start.wall is None
    later = start.at(Instant(WALL, 110.0)).wall
    assert later == WALL - 10 - age


def test_a_known_start_becomes_unknown_where_the_clock_falls_to_1970() -> None:
    assert Start(40.0, WALL - 60).at(Instant(5.0, 100.0)).wall is None


@given(st.lists(st.tuples(st.floats(0, 4e9), st.floats(0, 1e5)), min_size=1, max_size=30), st.floats(0, 1e6))
def test_it_is_never_later_than_a_reading(readings: list[tuple[float, float]], age: float) -> None:
    monotonic, start = 1e6, Start(1e6 - age)
    for wall, passed in readings:
        monotonic += passed
        start = start.at(Instant(wall, monotonic))
        assert start.wall is None or 0 <= start.wall <= wall


def test_a_counter_without_a_life_of_its_own_is_in_the_sessions() -> None:
    session, own = Life(1, WALL), Life(2, WALL + 5, 5.0, alone=True)
    lives = Lives(session, {"cpu_used": own})
    assert (lives.of("cpu_used"), lives.of("cpu_stolen")) == (own, session)


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [(1.0, 1.0, ""), (None, None, ""), (1.0, None, "unknown"), (None, 1.0, "known"), (2.0, 1.0, "set back")],
)
def test_a_change_is_said_in_words(before: float | None, after: float | None, word: str) -> None:
    assert word in words(before, after)
    assert bool(words(before, after)) == bool(word)


def test_a_moment_after_it_stays_so_where_the_wall_clock_is_set_later() -> None:
    unknown = Start(100.0).after(Instant(5.0, 160.0))
    assert unknown.wall is None
    known = unknown.at(Instant(1_700_000_100.0, 200.0))
    assert known.wall is not None
    assert 1_700_000_000.0 < known.wall < 1_700_000_000.0 + 5e-6
