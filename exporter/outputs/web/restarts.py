"""A server's loop that fails begins again while heartbeats are on: the end of the process would end them with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel

from exporter import catalogue
from exporter.metrics.families import Family, Point

log = logging.getLogger("exporter.web")

PAUSE = 1.0
"""Seconds before a loop that failed begins again: one that always fails must not take the machine's time."""
QUIET = 300.0
"""Seconds without a failure after which the next one is logged again."""


def drop_connections(served: dict[int, Any]) -> None:
    """One of them, or what it asked for, may be what failed: they go, and who listens stays."""
    for one in [each for each in served.values() if isinstance(each, HTTPChannel)]:
        try:
            one.handle_close()
        except Exception:
            log.debug("a connection could not be closed", exc_info=True)
            one.del_channel(served)


class Restarts:
    """Of every server of this process. ``wanted``: they are; else a server that fails is one that ends."""

    def __init__(self, *, wanted: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.wanted = wanted
        self._clock = clock
        self._count = 0
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def failed(self, what: str, error: Exception) -> None:
        """Count and log ``error``, of which the loop of the server that ``what`` names has ended."""
        with self._lock:
            now = self._clock()
            self._count += 1
            quiet = now - self._failed_at.get(what, float("-inf")) <= QUIET
            self._failed_at[what] = now
        if not quiet:
            log.error("%s failed; it is started again, as heartbeats are on", what, exc_info=error)

    def families(self) -> list[Family]:
        """Any thread may ask."""
        return [Family(catalogue.WEB_RESTARTS, (Point(float(self._count)),))]
