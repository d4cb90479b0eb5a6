"""How often the host takes a new sample: measured where it repeated one, never the poll interval in disguise."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from exporter.snapshot import Snapshot

KEPT = 15
"""Steps of which the median counts."""


def median(values: Collection[float]) -> float:
    """Of one value at least. That of :mod:`statistics` brings decimals and fractions along, 0.5 MiB."""
    ordered, middle = sorted(values), len(values) // 2
    return (ordered[middle] + ordered[-1 - middle]) / 2


class Refresh:
    """Fed with every good poll; reset by a session change, since another host may have another rhythm."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=KEPT)
        self._session = 0
        self._last = -1
        self._repeated = False
        self.seconds: float | None = None
        """Between two samples of the host; None until it repeated one."""

    def polled(self, snapshot: Snapshot) -> None:
        elapsed = snapshot.values.get("elapsed")
        if not isinstance(elapsed, int):
            return
        if snapshot.session_id != self._session or elapsed < self._last:
            self._session, self._last, self._repeated = snapshot.session_id, elapsed, False
            self._steps.clear()
            self.seconds = None
        elif elapsed == self._last:
            self._repeated = True
        else:
            # Only where a repeat lay between was no sample missed: the step is the host's, not ours.
            if self._repeated:
                self._steps.append(elapsed - self._last)
                self.seconds = median(self._steps) / 1000
            self._last, self._repeated = elapsed, False

    def missed(self) -> None:
        """A poll failed: a sample may have been missed, so the step under way says nothing."""
        self._repeated = False
