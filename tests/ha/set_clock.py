"""A clock of the checks that runs as a test says."""

from __future__ import annotations

from exporter.ha.running_clock import RunningClock


class SetClock(RunningClock):
    """``now``: seconds for which the process has run; ``stood``: for which it stood still."""

    now = 1000.0
    stood = 0.0

    def __init__(self) -> None:
        pass

    def __call__(self) -> float:
        return self.now

    def start(self) -> None:
        """Nobody has to tick."""

    def stop(self) -> None:
        """As :meth:`start`."""
