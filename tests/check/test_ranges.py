"""Ranges at their edges, against another reading of the guidelines."""

from __future__ import annotations

import pytest

from exporter.check.ranges import parse
from tests.check.guidelines import alerts

VALUES = (-1e9, -10.001, -10.0, -0.001, 0.0, 0.001, 9.999, 10.0, 10.001, 19.999, 20.0, 20.001, 1e9)


@pytest.mark.parametrize(
    "text", ["10", "10:", "~:10", "10:20", "@10:20", "-10:10", "0", "0:0", "@0:10", ":10"]
)
@pytest.mark.parametrize("value", VALUES)
def test_it_is_read_as_the_guidelines_say(text: str, value: float) -> None:
    assert parse(text).alerts(value) is alerts(text, value)


def test_a_percent_sign_is_taken() -> None:
    assert parse("10%").text == "10"
    assert parse("10%:20%").alerts(21)


@pytest.mark.parametrize("text", ["", ":", "@", "ten", "1:2:3", "20:10", "1e3", "%", "~"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a range|start is above"):
        parse(text)
