from __future__ import annotations

from pathlib import Path

from exporter.machine import memory_kills


def test_the_kernel_counts_them(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    assert memory_kills.count(vmstat) is None
    vmstat.write_text("nr_free_pages 7\noom_kill 12\nunevictable_pgs_culled 5\n")
    assert memory_kills.count(vmstat) == 12
    vmstat.write_text("nr_free_pages 7\n")
    assert memory_kills.count(vmstat) is None
