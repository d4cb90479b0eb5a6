from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.machine import process


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Linux's proc(5)")
def test_the_time_that_a_process_was_run_is_that_of_user_and_system(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "7").mkdir()
    stat = tmp_path / "7" / "stat"
    stat.write_text(f"7 (a) b) R 1 7 7 0 -1 0 1 2 3 4 {3 * ticks} {2 * ticks} 5 6 20 0 1 0 99")
    assert process.processor_time(7, tmp_path) == 5
    stat.write_text("7 (a) Z 1")
    assert process.processor_time(7, tmp_path) == 0
    assert process.processor_time(8, tmp_path) == 0
