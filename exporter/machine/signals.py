"""Signals as something the main thread waits for, so that nothing happens inside a handler.

A handler runs between two arbitrary instructions; setting a lock or an event there can deadlock with the very
code it interrupted. Python's C handler therefore writes the signal's number into a socket
(signal.set_wakeup_fd), and the main thread reads it. Masking and sigwait would do as well, but children
inherit the mask and could then not be terminated. Only over the start are they masked (:mod:`exporter.__main__`):
whoever handles them, or leaves them to the system, takes the mask off.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any, Self

STOP = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))
"""Asks for an orderly end. SIGBREAK is Windows' Ctrl-Break."""
RELOAD: int | None = getattr(signal, "SIGHUP", None)
"""Not fatal. None: this system has no such signal."""
ALL = STOP if RELOAD is None else (*STOP, RELOAD)
FAILED = 0
"""No signal's number: a part of the program has failed (:meth:`Signals.fail`)."""


def hear_of_children() -> None:
    """Have the exit statuses of children kept. Where whoever started this program ignored SIGCHLD, they are lost: a command that failed
    would be one that succeeded (wait(2)). Main thread only.
    """
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class Signals:
    """A context in which the signals of :data:`STOP` and :data:`RELOAD` are collected. Main thread only."""

    def __init__(self, numbers: Iterable[int] | None = None) -> None:
        self._numbers = ALL if numbers is None else (*numbers,)
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = signal.signal(number, _noted)
        unmask()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def fail(self) -> None:
        """Ask for the end because a part has failed. From any thread."""
        self._writer.send(bytes([FAILED]))

    def wait(self, timeout: float | None = None) -> tuple[int, ...]:
        """The signals (or :data:`FAILED`) that came, in order; none after ``timeout`` seconds (None: wait for ever)."""
        select.select([self._reader], [], [], timeout)
        try:
            numbers = self._reader.recv(4096)
        except BlockingIOError:
            return ()
        return tuple(number for number in numbers if number in self._numbers or number == FAILED)


def unmask() -> None:
    """Let the signals of :data:`ALL` through to this thread and to its children; one that has waited comes now."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)


def _noted(number: int, frame: FrameType | None) -> None:
    """The number is in the socket already."""
