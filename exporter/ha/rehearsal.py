"""``--ha.dry-run``: a host inside this process. It takes every command, tells nobody, and counts the resets.

What it counts is what vSphere HA does at its strictest: a reset after 30 s without a heartbeat (in the field
it takes 61 to 89 s), or at once when one is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.protocol.appmonitor import AppState, AppStatus, Code


class RehearsalMonitor:
    """An :class:`~exporter.ha.base.AppMonitor` that calls no host. ``resets``: those that would have been."""

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.resets = 0
        self._window = window
        self._clock = clock
        self._last_beat: float | None = None
        """None: not enabled."""
        self._red = False
        self._reset_asked = False

    def enable(self) -> Code:
        if self._last_beat is None:
            self._last_beat = self._clock()
        self._look()
        return Code.OK

    def disable(self) -> Code:
        self._look()
        self._last_beat = None
        self._red = False
        return Code.OK

    def is_enabled(self) -> bool:
        self._look()
        return self._last_beat is not None

    def mark_active(self) -> Code:
        self._look()
        if self._last_beat is None:
            return Code.NOT_ENABLED
        self._last_beat = self._clock()
        self._red = False
        return Code.OK

    def get_app_status(self) -> AppStatus:
        self._look()
        if self._last_beat is None:
            return AppStatus.GRAY
        return AppStatus.RED if self._red else AppStatus.GREEN

    def post_app_state(self, state: AppState) -> Code:
        self._look()
        if state is AppState.NEED_RESET and not self._reset_asked:
            self.resets += 1
        self._reset_asked = state is AppState.NEED_RESET
        return Code.OK

    def close(self) -> None:
        self._look()

    def _look(self) -> None:
        """Count the reset that silence has caused since the last call: one per silence."""
        if self._last_beat is None or self._clock() - self._last_beat <= self._window:
            return
        if not self._red and not self._reset_asked:
            self.resets += 1
        self._red = True
