"""Values over time: exact where they are whole, in between where they are ramps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError
from exporter.simulator.curves import Curve, CurveValue, constant, ramp, steps

U64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("value", [0, 7.5, "text", False, 2**64 - 1])
def test_a_constant_is_the_same_for_ever(value: CurveValue) -> None:
    assert constant(value).at(0) == value
    assert constant(value).at(1e9) == value


@pytest.mark.parametrize(
    ("time", "value"), [(-5, 10), (0, 10), (10, 10), (15, 15), (20, 20), (25, 10), (30, 0), (99, 0)]
)
def test_a_ramp_goes_straight_from_point_to_point_and_stays_outside(time: float, value: float) -> None:
    assert ramp((10, 10), (20, 20), (30, 0)).at(time) == value


@pytest.mark.parametrize(("time", "value"), [(0, 1), (9.99, 1), (10, 2), (19.99, 2), (20, 3), (100, 3)])
def test_steps_hold_until_the_next_point(time: float, value: int) -> None:
    assert steps((0, 1), (10, 2), (20, 3)).at(time) == value


def test_a_repeated_curve_begins_anew() -> None:
    curve = ramp((0, 0), (10, 100), every=20)
    assert [curve.at(time) for time in (5, 15, 20, 25, 2005)] == [50, 100, 0, 50, 50]


def test_a_repeated_curve_has_its_first_value_before_the_start() -> None:
    assert ramp((0, 0), (10, 100), every=20).at(-1) == 0


def test_a_ramp_between_fractions_is_a_fraction() -> None:
    assert ramp((0, 0.0), (10, 1.0)).at(2.5) == 0.25


def test_texts_and_not_valid_are_held_not_interpolated() -> None:
    assert ramp((0, "/a"), (10, "/b")).at(9) == "/a"
    assert ramp((0, False), (10, 5)).at(9) is False
    assert ramp((0, 5), (10, False)).at(9) == 5
    assert ramp((0, 5), (10, False)).at(10) is False


def test_a_number_is_read_out_of_any_curve() -> None:
    assert constant(3).number(0) == 3
    assert constant("text").number(0) == 0


@pytest.mark.parametrize("points", [(), ((1, 0), (0, 0)), ((1, 0), (1, 0))])
def test_points_are_needed_and_come_by_rising_time(points: tuple[tuple[float, CurveValue], ...]) -> None:
    with pytest.raises(ConfigError, match="one point or more, by rising time"):
        Curve(points)


def test_points_a_nanosecond_apart_are_points() -> None:
    assert ramp((0, 0), (1e-9, 10)).at(5e-10) in range(11)


@given(U64, U64, st.floats(0, 100))
def test_a_ramp_of_64_bit_numbers_never_leaves_them(low: int, high: int, time: float) -> None:
    value = ramp((0, low), (100, high)).at(time)
    assert isinstance(value, int)
    assert min(low, high) <= value <= max(low, high)


@given(U64, U64)
def test_the_points_of_a_ramp_are_exact(first: int, last: int) -> None:
    curve = Curve(((0.0, first), (7.0, last)))
    assert curve.at(0) == first
    assert curve.at(7) == last
