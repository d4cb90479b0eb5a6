from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.values import Choice, Duration, Factor, Switch, ValueKind, Whole


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("100ms", 0.1),
        ("1h", 3600.0),
        ("1m30s", 90.0),
        ("0.5s", 0.5),
        ("1h0m1s", 3601.0),
        ("1d", 86400.0),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert Duration(0.1, 100_000).parse(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5", "5 s", "-5s", "5x", "1s2", "1e3s", "inf", "nan", "\u0665s"])
def test_a_duration_without_a_unit_or_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unit|written"):
        Duration(0.1, 3600).parse(text)


@pytest.mark.parametrize("text", ["99ms", "3601s", "2h", "0s"])
def test_a_duration_out_of_bounds_gives_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match="because"):
        Duration(0.1, 3600, "because").parse(text)


def test_a_duration_in_toml_needs_quotes() -> None:
    assert Duration(1, 60).native("5s") == 5.0
    for value in (5, 5.0):
        with pytest.raises(ValueError, match=f'quotes and a unit: "{value}s"'):
            Duration(1, 60).native(value)
    others: list[object] = [True, [], {}, math.nan, math.inf, -5, 1e300]
    for other in others:
        with pytest.raises(ValueError, match="written"):
            Duration(1, 60).native(other)


@given(st.integers(1, 10**9))
def test_a_shown_duration_reads_back(milliseconds: int) -> None:
    kind = Duration(0, 1e9)
    assert kind.parse(kind.show(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


def test_zero_and_bounds_are_shown_as_one_would_write_them() -> None:
    assert Duration(0, 5400).expects == "a duration between 0s and 1h30m"


@pytest.mark.parametrize(
    ("text", "on"), [("true", True), ("ON", True), ("1", True), ("no", False), ("off", False)]
)
def test_a_switch_knows_the_usual_words(text: str, on: bool) -> None:
    assert Switch().parse(text) is on
    assert Switch().show(on) == ("true" if on else "false")


def test_a_switch_in_toml_is_a_toml_boolean() -> None:
    assert Switch().native(value=False) is False
    for value in ("true", 1, None):
        with pytest.raises(ValueError, match="without quotes"):
            Switch().native(value)
    with pytest.raises(ValueError):
        Switch().parse("maybe")


def test_a_choice_is_one_of_its_words() -> None:
    kind = Choice("grpc", "http/protobuf")
    assert kind.parse("grpc") == "grpc"
    assert (kind.expects, kind.placeholder) == ("one of grpc, http/protobuf", "grpc|http/protobuf")
    with pytest.raises(ValueError):
        kind.parse("GRPC")


def test_a_choice_may_take_other_spellings() -> None:
    kind = Choice("warn", "error", warning="warn")
    assert (kind.parse("warning"), kind.native("warning"), kind.parse("warn")) == ("warn", "warn", "warn")
    assert kind.expects == "one of warn, error"


def test_text_is_not_empty_and_quoted_in_toml() -> None:
    assert ValueKind().native("steady") == "steady"
    with pytest.raises(ValueError, match="empty"):
        ValueKind().parse("")
    with pytest.raises(ValueError, match="quotes"):
        ValueKind().native(3)


def test_a_whole_number_has_bounds() -> None:
    kind = Whole(0, 10)
    assert (kind.parse("10"), kind.native(0)) == (10, 0)
    bad: list[object] = ["11", "-1", "1.5", "x", "", "9" * 30, "\u0665"]
    for text in bad:
        with pytest.raises(ValueError):
            kind.parse(str(text))
    for value in (11, True, 1.0, None):
        with pytest.raises(ValueError):
            kind.native(value)
    with pytest.raises(ValueError, match="without quotes"):
        kind.native("3")


def test_a_factor_is_a_bounded_number() -> None:
    kind = Factor(0.01, 1000)
    assert (kind.parse("2.5"), kind.native(2), kind.show(2.0)) == (2.5, 2.0, "2")
    for text in ("0", "1001", "nan", "-1", "1e3", "", "\u0665", "1.\u0665"):
        with pytest.raises(ValueError):
            kind.parse(text)
    for value in (True, 0, "2"):
        with pytest.raises(ValueError):
            kind.native(value)
