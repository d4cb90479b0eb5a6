"""Kinds of values that a scenario file holds."""

import pytest

from exporter.simulator import toml_values
from exporter.simulator.curves import Curve


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [(0, 0), (1.5, 1.5), ("500ms", 0.5), ("90s", 90), ("1.5m", 90), (" 2h ", 7200)],
)
def test_durations_are_seconds_or_have_a_unit(raw: object, seconds: float) -> None:
    assert toml_values.duration(raw) == seconds


@pytest.mark.parametrize("raw", ["", "5", "5 s", "-5s", "s", True, None, -1, float("inf"), float("nan"), []])
def test_other_durations_are_wrong(raw: object) -> None:
    with pytest.raises(toml_values.Wrong, match="seconds, or a time such as"):
        toml_values.duration(raw)


def test_unlimited_is_a_number_where_numbers_are() -> None:
    assert toml_values.like(5)("unlimited") == 0xFFFFFFFF
    assert toml_values.curve("unlimited").at(0) == 0xFFFFFFFF


def test_a_list_of_points_is_a_ramp_and_steps_are_said() -> None:
    assert toml_values.curve([[0, 1], ["1m", 2.5]]) == Curve(((0, 1), (60, 2.5)))
    assert toml_values.curve({"steps": [[0, 1]], "every": "2m"}) == Curve(((0, 1),), steps=True, every=120)


def test_the_kind_of_a_default_decides_what_is_taken() -> None:
    assert toml_values.like(True)(False) is False
    assert toml_values.like("text")("word") == "word"
    assert toml_values.like(1.0)("3s") == 3
    assert toml_values.like(1)(-1) == -1
