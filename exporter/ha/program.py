"""A program of a check: run within a limit, ended with all that it has started, and nothing of it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

KILL_LIMIT = 1.0
"""Seconds for a killed program to be gone; one that the kernel holds on to is left to it."""


def run(
    arguments: Sequence[str], limit: float, groups: set[int], output: int = subprocess.DEVNULL
) -> tuple[int | None, str]:
    """The exit status of a program, None where it was killed at the limit, and the beginning of its output.

    ``groups``: what earlier looks have started.

    Raises:
        OSError: it can't be started.
    """
    reap(groups)
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        # A group of its own: to be killed as a whole, and out of reach of the terminal's Ctrl-C.
        start_new_session=True,
    )
    groups.add(process.pid)
    try:
        status = process.wait(limit)
        if process.stdout is None:
            return status, ""
        # What it has left behind may hold the pipe open, and is not waited for.
        os.set_blocking(process.stdout.fileno(), False)
        return status, (process.stdout.read(4096) or b"").decode(errors="replace")
    except subprocess.TimeoutExpired:
        # Not reaped yet, so the group is still this one and no other.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_LIMIT)
        return None, ""
    finally:
        if process.stdout is not None:
            process.stdout.close()


def reap(groups: set[int]) -> None:
    """Take the exit status of what earlier looks left behind.

    As the first process of a container this one inherits every orphan, and those of a check are in a group of their own:
    no other child's status is taken.
    """
    for group in list(groups):
        try:
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            groups.discard(group)
