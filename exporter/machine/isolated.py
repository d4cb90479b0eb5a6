"""A module of this package as a program of its own: the library's processes and the heart.

Neither the folder that it is started in, nor site-packages' start-up files, nor the user's variables say what is
imported: it starts in half the time, and the same everywhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    from exporter.machine import windows_dlls

ROOT = str(Path(__file__).resolve().parents[2])
"""The folder that the package lies in."""


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs ``main(arguments)`` of ``module`` and exits with what it returns."""
    code = (
        f"import sys; sys.path.append(sys.argv[1]); import {module} as module; "
        "sys.exit(module.main(sys.argv[2:]))"
    )
    return [sys.executable, "-I", "-S", "-c", code, ROOT, *arguments]


class Tie:
    """Has a process, and what it starts, end with this one, also where this one is killed.

    Elsewhere than on Windows the process sees to that itself: its pipe ends, and its alarm.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if sys.platform == "win32":
            self._job = windows_dlls.Job(process.pid)

    def end(self) -> None:
        """Kill what is left."""
        if sys.platform == "win32":
            self._job.end()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in a session of its own, and what it has started and did not leave its group.

    For one that nobody has waited for yet: until then its number, which is the group's, can't be another's.
    """
    if sys.platform == "win32":
        process.kill()
    elif process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
