"""The guest's own kernel: CPUs online and memory, from a fixture tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.machine import guest
from exporter.snapshot import Guest

MEMINFO = "MemTotal:        8127304 kB\nMemFree:          210000 kB\n"


def tree(root: Path, online: str | None, meminfo: str | None) -> str:
    for name, text in (("sys/devices/system/cpu/online", online), ("proc/meminfo", meminfo)):
        if text is not None:
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("online", "count"),
    [("0\n", 1), ("0-3\n", 4), ("0-3,5\n", 5), ("0,2-3,8-15\n", 11), ("0-127\n", 128)],
)
def test_online_cpus_are_counted_from_the_kernels_list(tmp_path: Path, online: str, count: int) -> None:
    assert guest.read(tree(tmp_path, online, MEMINFO)).vcpus == count


def test_memory_is_mem_total_in_bytes(tmp_path: Path) -> None:
    assert guest.read(tree(tmp_path, "0", MEMINFO)).memory_bytes == 8127304 * 1024


@pytest.mark.parametrize("online", [None, "", "\n", "all of them\n"])
def test_without_a_usable_list_the_operating_system_counts_cpus(tmp_path: Path, online: str | None) -> None:
    assert guest.read(tree(tmp_path, online, MEMINFO), cpu_count=lambda: 6).vcpus == 6


@pytest.mark.parametrize(
    "meminfo", [None, "", "MemFree: 1 kB\n", "MemTotal:\n", "MemTotal: many kB\n", "MemTotal: 5 MB\n"]
)
def test_memory_that_the_kernel_does_not_tell_is_absent(tmp_path: Path, meminfo: str | None) -> None:
    assert guest.read(tree(tmp_path, "0", meminfo)).memory_bytes is None


def test_nothing_known_is_nothing_said(tmp_path: Path) -> None:
    assert guest.read(str(tmp_path), cpu_count=lambda: None) == Guest(None, None)


def test_this_machine_has_cpus_and_memory() -> None:
    here = guest.read()
    assert here.vcpus is not None
    assert here.vcpus >= 1
    assert here.memory_bytes is not None
    assert here.memory_bytes > 2**24
