"""What the guest's own kernel says about itself: virtual CPUs and memory.

The host's counters need both as divisors (stolen per vCPU, ballooned share of memory), so that a ratio takes
no second exporter. Read once per rendering of a page or export; never on behalf of the host.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from exporter.snapshot import Guest


def read(root: str | os.PathLike[str] = "/", cpu_count: Callable[[], int | None] = os.cpu_count) -> Guest:
    """Ask the kernel. Inside a container this is still the kernel of the VM, not the container's limit.

    Sources: Linux Documentation/ABI/testing/sysfs-devices-system-cpu (``online``), proc(5) (``MemTotal``).
    ``cpu_count`` answers where there is no sysfs, which is Windows.
    """
    return Guest(_online(Path(root)) or cpu_count(), _mem_total(Path(root)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _online(root: Path) -> int | None:
    """Length of a list such as ``0-3,5``."""
    try:
        spans = [
            span.split("-")
            for line in _lines(root / "sys/devices/system/cpu/online")
            for span in line.split(",")
        ]
        return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)
    except ValueError:
        return None


def _mem_total(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        name, _, size = line.partition(":")
        if name == "MemTotal":
            number, _, unit = size.strip().partition(" ")
            return int(number) * 1024 if number.isdecimal() and unit == "kB" else None
    return None
