from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.outputs.otlp.deltas import Deltas, Difference
from exporter.snapshot import Histogram


def test_a_counter_older_than_the_exporter_begins_with_a_mark() -> None:
    deltas = Deltas(watched=100.0)
    assert deltas.difference("a", 5000.0, created=1.0, time=110.0) is None
    deltas.accepted()
    assert deltas.difference("a", 5007.0, created=1.0, time=120.0) == Difference(7.0, 110.0)


def test_a_counter_that_began_before_our_eyes_is_sent_whole() -> None:
    assert Deltas(watched=100.0).difference("a", 3.0, created=100.0, time=110.0) == Difference(3.0, 100.0)


def test_a_session_change_counts_from_the_new_start() -> None:
    deltas = Deltas(watched=100.0)
    deltas.difference("a", 5000.0, created=1.0, time=110.0)
    deltas.accepted()
    assert deltas.difference("a", 2.0, created=115.0, time=120.0) == Difference(2.0, 115.0)
    deltas.accepted()
    assert deltas.difference("a", 9.0, created=115.0, time=130.0) == Difference(7.0, 120.0)


def test_a_session_change_that_resets_nothing_is_no_step() -> None:
    """Some hot-plug gives a new id while the counters go on."""
    deltas = Deltas(watched=100.0)
    deltas.difference("a", 5000.0, created=1.0, time=110.0)
    deltas.accepted()
    assert deltas.difference("a", 5003.0, created=1.4, time=120.0) == Difference(3.0, 110.0)


def test_a_session_that_began_at_the_very_read_counts_since_the_last_one() -> None:
    deltas = Deltas(watched=100.0)
    deltas.difference("a", 5000.0, created=1.0, time=110.0)
    deltas.accepted()
    assert deltas.difference("a", 0.0, created=120.0, time=120.0) == Difference(0.0, 110.0)
    assert deltas.difference("first seen", 0.0, created=120.0, time=120.0) == Difference(0.0, 100.0)


def test_a_counter_that_fell_has_begun_again() -> None:
    deltas = Deltas(watched=100.0)
    deltas.difference("a", 5000.0, created=1.0, time=110.0)
    deltas.accepted()
    assert deltas.difference("a", 4.0, created=1.0, time=120.0) == Difference(4.0, 110.0)


def test_an_export_that_failed_says_the_same_again_and_a_lost_one_is_made_up_for() -> None:
    deltas = Deltas(watched=100.0)
    deltas.difference("a", 50.0, created=1.0, time=110.0)
    deltas.accepted()
    for _ in range(2):
        deltas.begin()
        assert deltas.difference("a", 57.0, created=1.0, time=120.0) == Difference(7.0, 110.0)
    deltas.begin()
    assert deltas.difference("a", 60.0, created=1.0, time=130.0) == Difference(10.0, 110.0)


def test_series_are_apart() -> None:
    deltas = Deltas(watched=0.0)
    deltas.difference(("a", "x"), 5.0, created=1.0, time=10.0)
    deltas.difference(("a", "y"), 7.0, created=1.0, time=10.0)
    deltas.accepted()
    assert deltas.difference(("a", "x"), 6.0, created=1.0, time=20.0) == Difference(1.0, 10.0)
    assert deltas.difference(("a", "y"), 7.0, created=1.0, time=20.0) == Difference(0.0, 10.0)


def test_histograms() -> None:
    deltas = Deltas(watched=100.0)
    first = Histogram((1.0, 2.0), (1, 2), 3, 5.5)
    assert deltas.histogram("h", first, 110.0) == (first, 100.0)
    deltas.accepted()
    deltas.begin()
    second = Histogram((1.0, 2.0), (1, 4), 6, 9.0)
    assert deltas.histogram("h", second, 120.0) == (Histogram((1.0, 2.0), (0, 2), 3, 3.5), 110.0)
    deltas.begin()
    assert deltas.histogram("h", second, 130.0)[1] == 110.0


@given(
    st.lists(
        st.tuples(st.floats(0, 1e9), st.floats(0, 1e6), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_no_difference_is_ever_negative(steps: list[tuple[float, float, bool]]) -> None:
    """Whatever values and starts the host comes up with, and whatever the receiver takes."""
    deltas = Deltas(watched=1000.0)
    for number, (value, created, taken) in enumerate(steps):
        time = 1000.0 + number
        deltas.begin()
        difference = deltas.difference("a", value, min(created, time), time)
        assert difference is None or (difference.value >= 0 and difference.start <= time)
        if taken:
            deltas.accepted()
