"""Each plain case of time and sessions comes out as arithmetic says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.histories.figures import CASES, Case


@pytest.mark.parametrize("play", [pytest.param(each, id=each.__name__) for each in CASES])
def test_figures_are_those_of_arithmetic(play: Case, tmp_path: Path) -> None:
    figures = list(play(tmp_path))
    assert figures
    assert [each for each in figures if not each.right] == []
