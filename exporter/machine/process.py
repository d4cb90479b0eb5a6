"""Which process a pid stands for, and whether it does anything: by Linux's proc(5).

A pid alone may be another process's by now, or one of another namespace; with the time of its start it is not.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from exporter.machine import small_file

PROCESSES = Path("/proc")


def identity(pid: int, processes: Path = PROCESSES) -> str:
    """``pid:start``, the start in clock ticks since the boot; empty for one that has ended, or can't be seen."""
    try:
        text = small_file.read(processes / str(pid) / "stat")
    except OSError:
        text = None
    if text is None:
        return ""
    # The name before it is in brackets, and may hold any character.
    state, *fields = text.rpartition(")")[2].split()
    # Only its parent knows a zombie: it holds nothing, and does nothing.
    return "" if state in {"Z", "X"} else f"{pid}:{fields[18]}"


def own() -> str:
    """This process's."""
    return identity(os.getpid())


def runs(named: str, processes: Path = PROCESSES) -> bool:
    """Whether the process of this :func:`identity` is there, and can be seen from here."""
    pid = named.partition(":")[0]
    return pid.isdigit() and identity(int(pid), processes) == named


def kill(named: str) -> bool:
    """End the process of this :func:`identity` at once; whether it got the signal."""
    with suppress(OSError):
        if sys.platform != "win32" and runs(named):
            os.kill(int(named.partition(":")[0]), signal.SIGKILL)
            return True
    return False


def processor_time(pid: int, processes: Path = PROCESSES) -> float:
    """Seconds for which the process has been run so far, a zombie's too; 0 where that can't be told."""
    if sys.platform == "win32":
        return 0.0
    with suppress(OSError, IndexError, ValueError):
        _, *fields = (processes / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[10]) + int(fields[11])) / float(os.sysconf("SC_CLK_TCK"))
    return 0.0


def moves(pid: int, processes: Path = PROCESSES) -> str:
    """Something that changes whenever the process has run; the same all the time for one that stands still."""
    try:
        lines = (processes / str(pid) / "status").read_text("ascii", "replace").splitlines()
    except OSError:
        return ""
    return " ".join(line for line in lines if "voluntary_ctxt_switches" in line)
