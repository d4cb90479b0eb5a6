"""What the guest's own kernel says about itself: virtual CPUs, memory, steal.

The host's counters need the first two as divisors (stolen per vCPU, ballooned share of memory), so that a ratio
takes no second exporter. Read once per round of extended statistics; never on behalf of the host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from exporter.snapshot import Guest

if sys.platform == "win32":
    from exporter.machine import windows

_THROTTLED = {"throttled_usec": 1e-6, "throttled_time": 1e-9}
"""In ``cpu.stat``, with its unit in seconds: control groups of version 2, and of version 1."""
_TICKS = 100
"""USER_HZ: what /proc counts in, the same on every architecture that VMware runs."""


def read(root: str | os.PathLike[str] = "/", cpu_count: Callable[[], int | None] = os.cpu_count) -> Guest:
    """Ask the kernel. Inside a container this is still the kernel of the VM, not the container's limit.

    What something (LXCFS) lays a container's own view over is left out: it is not the VM's.

    Sources: Linux Documentation/ABI/testing/sysfs-devices-system-cpu (``online``, ``possible``), sysfs-devices-memory
    (``block_size_bytes``), proc(5) (``meminfo``, ``stat``, ``sys/kernel/random/boot_id``), accounting/psi.rst
    (``pressure``), admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst (``cpu.stat``). ``cpu_count`` answers where
    there is no sysfs. Windows is asked by :mod:`exporter.machine.windows`.
    """
    if sys.platform == "win32":
        return windows.guest()
    root = Path(root)
    over = _mounts(root)
    cpus = "/sys/devices/system/cpu"
    memory = {} if "/proc/meminfo" in over else _meminfo(root)
    return Guest(
        vcpus=None if over & {cpus, f"{cpus}/online"} else vcpus(root, cpu_count),
        memory_bytes=memory.get("MemTotal"),
        installed_bytes=_installed(root),
        available_bytes=memory.get("MemAvailable"),
        swap_free_bytes=memory.get("SwapFree"),
        possible_vcpus=_cpus(root, "possible"),
        steal_seconds=None if "/proc/stat" in over else _steal(root),
        boot_id=next(iter(_lines(root / "proc/sys/kernel/random/boot_id")), None),
        held_seconds=_held(root),
    )


def vcpus(
    root: str | os.PathLike[str] = "/", cpu_count: Callable[[], int | None] = os.cpu_count
) -> int | None:
    """The number of online vCPUs alone: one small file, for each poll. What something is laid over :func:`read` tells."""
    if sys.platform == "win32":
        return windows.vcpus()
    return _cpus(Path(root), "online") or cpu_count()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _cpus(root: Path, which: str) -> int | None:
    """Length of a list such as ``0-3,5``; None where there is none."""
    try:
        spans = [
            span.split("-")
            for line in _lines(root / "sys/devices/system/cpu" / which)
            for span in line.split(",")
        ]
        return sum(int(span[-1]) - int(span[0]) + 1 for span in spans) or None
    except ValueError:
        return None


def _meminfo(root: Path) -> dict[str, int]:
    """Bytes, by the kernel's names."""
    found = {}
    for line in _lines(root / "proc/meminfo"):
        name, _, size = line.partition(":")
        number, _, unit = size.strip().partition(" ")
        if number.isdecimal() and unit == "kB":
            found[name] = int(number) * 1024
    return found


def _mounts(root: Path) -> set[str]:
    """Where something is mounted, as this process sees it."""
    return {word for line in _lines(root / "proc/self/mountinfo") for word in line.split()[4:5]}


def _installed(root: Path) -> int | None:
    """Memory blocks times their size; None where the kernel has no memory hot-plug."""
    folder = root / "sys/devices/system/memory"
    try:
        size = int(next(iter(_lines(folder / "block_size_bytes")), ""), 16)
        return size * sum(name.startswith("memory") for name in os.listdir(folder)) or None  # noqa: PTH208  names alone
    except (OSError, ValueError):
        return None


def _held(root: Path) -> float | None:
    """Pressure on CPU and memory, and throttling; None where the kernel does not tell of pressure on the CPU."""
    cpu = _pressure(root, "cpu")
    return None if cpu is None else cpu + (_pressure(root, "memory") or 0.0) + _throttled(root)


def _pressure(root: Path, what: str) -> float | None:
    """Seconds in which at least one task waited for it: ``some avg10=0.00 avg60=0.00 avg300=0.00 total=1234``, in µs."""
    words = next(iter(_lines(root / "proc/pressure" / what)), "").split()
    total = words[-1].removeprefix("total=") if words[:1] == ["some"] else ""
    return int(total) / 1e6 if total.isdecimal() else None


def _throttled(root: Path) -> float:
    """Seconds for which this process's control group, and those around it, were held back by a CPU quota."""
    seconds = 0.0
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            for word, _, number in (text.partition(" ") for text in _lines(folder / "cpu.stat")):
                if word in _THROTTLED and number.isdecimal():
                    seconds += int(number) * _THROTTLED[word]
            if folder == top:
                break
    return seconds


def _steal(root: Path) -> float | None:
    """The eighth number of the first line of /proc/stat."""
    words = next(iter(_lines(root / "proc/stat")), "").split()
    return int(words[8]) / _TICKS if len(words) > 8 and words[0] == "cpu" and words[8].isdecimal() else None
