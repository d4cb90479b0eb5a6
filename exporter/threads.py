"""Threads whose start waits for no longer than it may.

:meth:`threading.Thread.start` waits without limit for the first word of the new thread, which never comes where memory fails
inside that thread before it. Whatever a heartbeat, or its end, depends on is started by this module while the program runs.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

LIMIT = 5.0
"""Seconds for a new thread's first word."""
NONE_TO_SPARE = "can't start new thread"
"""In Python's own words."""


def begin(work: Callable[[], object]) -> None:
    """Have ``work`` done by a new thread, without waiting for its first word; it may never come.

    Raises:
        RuntimeError, MemoryError: as for :meth:`Thread.start`.
    """
    _thread.start_new_thread(work, ())


class Thread:
    """Does ``work`` once; the process may end meanwhile, as with a daemon of :mod:`threading`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._turn = threading.Lock()
        """Taken by the new thread, which then does its work, or by the one that has given it up."""
        self._said = threading.Lock()
        self._said.acquire()
        self._running = threading.Lock()

    def start(self, limit: float | None = None) -> None:
        """Begin. May be called once. ``limit``: :data:`LIMIT`, unless it is given.

        Raises:
            RuntimeError: the system has no thread to spare, or the new one said nothing within the limit. It does no work,
                should it still come.
            MemoryError: there is none for it.
        """
        begin(self._run)
        if not self._said.acquire(timeout=LIMIT if limit is None else limit) and self._turn.acquire(
            blocking=False
        ):
            raise RuntimeError(NONE_TO_SPARE)

    def is_alive(self) -> bool:
        """It has begun, and is not over."""
        return self._running.locked()

    def join(self, limit: float) -> None:
        """Wait for its end, ``limit`` seconds at most."""
        if self._running.acquire(timeout=max(limit, 0.0)):
            self._running.release()

    def _run(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        self._running.acquire()
        try:
            self._said.release()
            self._work()
        finally:
            self._running.release()
