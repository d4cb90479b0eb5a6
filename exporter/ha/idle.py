"""In the place of heartbeats where none are possible."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.ha import metrics
from exporter.ha.health import HealthSummary
from exporter.ha.messages import HeartReport
from exporter.metrics.families import Family


class Idle:
    """In the place of heartbeats where none are possible: nothing is sent, and the metrics say so."""

    def __init__(self, judge: Callable[[], HealthSummary], wall: Callable[[], float] = time.time) -> None:
        self._judge = judge
        self._created = wall()

    def families(self) -> list[Family]:
        return metrics.families(HeartReport(), self._judge(), self._created)
