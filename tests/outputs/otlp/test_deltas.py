from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import UNSEEN, Instant, Life
from exporter.outputs.otlp.deltas import Deltas, Difference
from exporter.outputs.otlp.starts import MOST
from exporter.snapshot import Histogram

WALL = 1_700_000_000.0
OLD = Life(1, WALL - 5000)
"""Of a session that was there before the exporter."""


def at(seconds: float, ahead: float = WALL) -> Instant:
    """``seconds`` of the monotonic clock; the wall clock is ``ahead`` of it."""
    return Instant(ahead + seconds, seconds)


def marked(value: float = 5000.0, life: Life = OLD) -> Deltas:
    deltas = Deltas()
    assert deltas.difference("a", value, life, at(10)) is None
    deltas.accepted()
    return deltas


def test_a_counter_older_than_the_exporter_begins_with_a_mark() -> None:
    assert marked().difference("a", 5007.0, OLD, at(20)) == Difference(7.0, WALL + 10)


def test_a_counter_that_began_before_our_eyes_is_sent_whole() -> None:
    assert Deltas().difference("a", 3.0, Life(0, None, 1.0), at(10)) == Difference(3.0, WALL + 1)


def test_a_session_change_counts_from_the_new_start() -> None:
    deltas, new = marked(), Life(2, WALL + 15, 15.0)
    assert deltas.difference("a", 2.0, new, at(20)) == Difference(2.0, WALL + 15)
    deltas.accepted()
    assert deltas.difference("a", 9.0, new, at(30)) == Difference(7.0, WALL + 20)


def test_a_new_session_that_is_ahead_of_the_old_one_is_a_restart_all_the_same() -> None:
    assert marked(2.0).difference("a", 9.0, Life(2, WALL + 11, 11.0), at(20)) == Difference(9.0, WALL + 11)


@pytest.mark.parametrize("value", [5003.0, 5000.0, 4000.0, 9e9])
def test_a_new_life_that_began_unseen_is_a_mark(value: float) -> None:
    """A new session id that is older than the last reading: its counters are not compared with those before it."""
    deltas = marked()
    assert deltas.difference("a", value, Life(2, WALL - 5000), at(20)) is None
    deltas.accepted()
    assert deltas.difference("a", value + 1, Life(2, WALL - 5000), at(30)) == Difference(1.0, WALL + 20)


def test_a_step_of_the_wall_clock_is_no_restart_and_a_windows_length_is_monotonic() -> None:
    deltas = marked()
    assert deltas.difference("a", 5007.0, OLD, at(20, WALL - 9999)) == Difference(7.0, WALL - 9999 + 10)
    deltas.accepted()
    assert deltas.difference("a", 5008.0, Life(1, WALL - 20000), at(30, WALL + 9999)) == Difference(
        1.0, WALL + 9999 + 20
    )


def test_a_window_does_not_begin_before_the_epoch() -> None:
    """A guest without a clock begins in 1970."""
    assert marked().difference("a", 5007.0, OLD, Instant(3.0, 20.0)) == Difference(7.0, 0.0)


def test_a_counter_that_fell_has_begun_again() -> None:
    assert marked().difference("a", 4.0, Life(2, WALL + 10, 10.0, alone=True), at(20)) == Difference(
        4.0, WALL + 10
    )
    assert marked().difference("a", 4.0, OLD, at(20)) == Difference(4.0, WALL + 10)


def test_what_counts_on_the_host_begins_with_a_mark_in_each_session() -> None:
    deltas = Deltas()
    for session in ("0x1", "0x2"):
        assert deltas.difference(session, 17e6, UNSEEN, at(10)) is None
        deltas.accepted()
        assert deltas.difference(session, 17e6 + 40, UNSEEN, at(20)) == Difference(40.0, WALL + 10)


def test_an_export_that_failed_says_the_same_again_and_a_lost_one_is_made_up_for() -> None:
    deltas = marked(50.0)
    for _ in range(2):
        deltas.begin()
        assert deltas.difference("a", 57.0, OLD, at(20)) == Difference(7.0, WALL + 10)
    deltas.begin()
    assert deltas.difference("a", 60.0, OLD, at(30)) == Difference(10.0, WALL + 10)


def test_series_are_apart() -> None:
    deltas = Deltas()
    deltas.difference(("a", "x"), 5.0, OLD, at(10))
    deltas.difference(("a", "y"), 7.0, OLD, at(10))
    deltas.accepted()
    assert deltas.difference(("a", "x"), 6.0, OLD, at(20)) == Difference(1.0, WALL + 10)
    assert deltas.difference(("a", "y"), 7.0, OLD, at(20)) == Difference(0.0, WALL + 10)


def test_histograms() -> None:
    deltas = Deltas()
    first = Histogram((1.0, 2.0), (1, 2), 3, 5.5, {-3: 2, 4: 1})
    assert deltas.histogram("h", first, 1.0, at(10)) == (first, WALL + 1)
    deltas.accepted()
    deltas.begin()
    second = Histogram((1.0, 2.0), (1, 4), 6, 9.0, {-3: 2, 4: 3, 5: 1})
    assert deltas.histogram("h", second, 1.0, at(20)) == (
        Histogram((1.0, 2.0), (0, 2), 3, 3.5, {4: 2, 5: 1}),
        WALL + 10,
    )
    deltas.begin()
    assert deltas.histogram("h", second, 1.0, at(30))[1] == WALL + 10


@given(
    st.lists(
        st.tuples(st.floats(0, 1e9), st.integers(1, 3), st.booleans(), st.floats(0, 1e10)),
        min_size=1,
        max_size=20,
    )
)
def test_no_difference_is_ever_negative(steps: list[tuple[float, int, bool, float]]) -> None:
    """Whatever values, lives and clocks there are, and whatever the receiver takes."""
    deltas = Deltas()
    for number, (value, life, taken, wall) in enumerate(steps):
        deltas.begin()
        since = float(number) if life == 3 else None
        difference = deltas.difference("a", value, Life(life, None, since), Instant(wall, float(number)))
        assert difference is None or (difference.value >= 0 and 0 <= difference.start <= wall)
        if taken:
            deltas.accepted()


def test_series_of_sessions_that_are_long_over_are_forgotten() -> None:
    """A host that shows another session with each poll must not fill the memory; what goes on is kept."""
    deltas = marked()
    for session in range(30_000):
        deltas.begin()
        assert deltas.difference(("host", session), 5.0, UNSEEN, at(11)) is None
        deltas.accepted()
    assert len(deltas) <= MOST
    assert deltas.difference(("host", 29_999), 7.0, UNSEEN, at(20)) == Difference(2.0, WALL + 11)


def test_a_start_is_exact_even_a_moment_ago() -> None:
    assert Deltas().difference("a", 3.0, Life(0, None, 9.75), at(10)) == Difference(3.0, WALL + 9.75)


def test_what_was_accepted_once_is_the_mark_until_more_is_offered() -> None:
    deltas = marked()
    deltas.accepted()
    assert deltas.difference("a", 5007.0, OLD, at(20)) == Difference(7.0, WALL + 10)
