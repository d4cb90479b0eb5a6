"""How many processes the kernel has killed for want of memory, of the machine or of a cgroup: by Linux's /proc/vmstat."""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def count(vmstat: Path = VMSTAT) -> int | None:
    """Since the boot; None where the kernel does not say (before 4.13), or it can't be read."""
    try:
        lines = vmstat.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
