"""Time for which this process has run, and time for which it stood still: stopped, starved, suspended with its machine.

A standstill is measured: somebody ticks regularly, and a tick that comes late says for how long nothing ran. By
CLOCK_BOOTTIME, which goes on while the machine is suspended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from exporter.ha import sturdy
from exporter.ha.maintenance import boottime
from exporter.threads import Thread

TICK = 0.1
"""Seconds between two ticks."""
LATE = 2 * TICK
"""Seconds between two ticks beyond which the process stood still: less is the scheduler's ordinary doing."""


class RunningClock:
    """Seconds for which the process has run; a standstill is one tick of them.

    So a check that nobody looked after for a minute, because the whole process stood still, is not a check that hung for
    a minute. Any thread may ask; :meth:`start` has one of its own tick.
    """

    def __init__(self, clock: Callable[[], float] = boottime) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ran = self._stood = 0.0
        self._ticked = clock()

    def __call__(self) -> float:
        """Asking is a tick too."""
        with self._lock:
            now = self._clock()
            gap, self._ticked = now - self._ticked, now
            ran = gap if gap <= LATE else TICK
            self._ran += ran
            self._stood += gap - ran
            return self._ran

    @property
    def stood(self) -> float:
        """Seconds for which the process has stood still so far."""
        self()
        return self._stood

    def start(self) -> None:
        Thread(self._tick).start()

    def stop(self) -> None:
        self._over.set()

    def _tick(self) -> None:
        sturdy.keep_on(self._next, "the clock of the checks")

    def _next(self) -> bool:
        over = self._over.wait(TICK)
        self()
        return not over
