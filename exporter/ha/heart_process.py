"""The heart's process as the exporter starts it, and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from exporter.ha import lock
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.messages import MASKED, LineReader, Message, decode
from exporter.machine import isolated
from exporter.machine.process import runs

PROGRAM = tuple(isolated.command("exporter.ha.heart"))
"""``vmguest-exporter ha`` knows a heart by the module's name in it."""
HUNG = 8.0
"""Seconds without a report from a heart that is to stop, after which another one has to do it: it reports every second."""


def spawn(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a heart; its standard input never makes its writer wait.

    Raises:
        OSError: the system can't.
    """
    # A signal to all of the unit, or of a terminal, that comes before the heart's handlers stand would be its end.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, MASKED)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Together with the reports: what is no message is logged as it is.
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if process.stdin is not None:
        os.set_blocking(process.stdin.fileno(), False)
    return process


def reports(process: subprocess.Popen[bytes]) -> Iterator[Message]:
    """What it says, until it ends."""
    reader = LineReader()
    while process.stdout is not None and not process.stdout.closed and (data := process.stdout.read(65536)):
        yield from map(decode, reader.feed(data))


def close(process: subprocess.Popen[bytes]) -> None:
    """Its pipes."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def end(
    process: subprocess.Popen[bytes],
    deadline: float,
    heard_at: Callable[[], float],
    clock: Callable[[], float],
) -> int:
    """Have it stop and wait for its end; the exit status. Beyond ``deadline``, or when it hangs, it is killed."""
    process.terminate()
    while (status := process.poll()) is None:
        now = clock()
        if now >= deadline or now - heard_at() > HUNG:
            process.kill()
            return process.wait()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    return status


def another_beats(lock_file: str, exporter: str) -> bool:
    """The heart of another exporter than ``exporter`` has the lock, and sends heartbeats: what is on is that one's."""
    holder = lock.holding(lock_file)
    if holder is None or holder.exporter in {"", exporter} or not runs(holder.exporter):
        return False
    settings = HeartSettings.of(holder.pid)
    return settings is not None and not settings.dry_run
