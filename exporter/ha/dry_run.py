"""``--ha.dry-run``: the simulator's vSphere HA inside this process. It tells nobody, and counts the resets.

What it counts is what vSphere HA does at its strictest: a reset after 30 s without a heartbeat (in the field
it takes 61 to 89 s), or at once when one is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.ha.wire import WireAppMonitor
from exporter.simulator.ha import Monitor, MonitorOptions


class DryRunMonitor(WireAppMonitor):
    """An :class:`~exporter.ha.base.AppMonitor` that calls no host."""

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        host = Monitor(MonitorOptions(window=window, guest_runs_on=True), clock)
        super().__init__(_Calls(host))
        self._host = host

    @property
    def resets(self) -> int:
        """Those that would have been."""
        self._host.advance()
        return len(self._host.resets)


class _Calls:
    """What a :class:`~exporter.session.wire.Channel` does, without a connection."""

    def __init__(self, host: Monitor) -> None:
        self._host = host

    def call(self, command: bytes, *, repeat: bool) -> bytes:  # noqa: ARG002  nothing breaks here
        return self._host.answer(command)

    def close(self) -> None:
        pass
