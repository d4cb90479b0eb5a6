"""Random histories of clocks, sessions, slow rounds and failing exports: nothing false comes out of any.

``python -m tests.histories 1000000`` plays more of them.
"""

from __future__ import annotations

import logging
import os

import pytest

from tests.histories.history import judge

HISTORIES = 2_000 if os.environ.get("CI") else 100
"""A quick run has fewer."""
BATCH = 25


@pytest.mark.parametrize("first", range(0, HISTORIES, BATCH))
def test_nothing_false_comes_out_of_any_history(first: int) -> None:
    logging.getLogger("exporter").setLevel(logging.CRITICAL)
    assert sum(judge(seed) for seed in range(first, first + BATCH)) > 250
