"""``/-/status``: what the status page shows, as JSON.

Built from the same families as the metrics, so it can show nothing that they withhold; at most once a second,
however many browsers ask.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from exporter.insight.ledger import Ledger
from exporter.insight.observer import Insight
from exporter.metrics.published import Published
from exporter.outputs.page.overview import overview
from exporter.outputs.web.application import Response

MAX_AGE = 1.0
"""Seconds after which the answer is made anew."""


class Status:
    """What the page shows, for any thread."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._lock = threading.Lock()
        self._made: tuple[float, dict[str, Any]] | None = None

    def content(self) -> dict[str, Any]:
        """What the page shows, at most a second old."""
        published = self._published
        with self._lock:
            now = published.now()
            if self._made is None or now.monotonic - self._made[0] > MAX_AGE:
                insight = published.insight or Insight(Ledger.empty(histograms=False))
                page = overview(published.state, published.collect(now), insight, now.monotonic, now.wall)
                self._made = now.monotonic, page
            return self._made[1]

    def view(self) -> Response:
        """The same as JSON."""
        return Response(json.dumps(self.content(), allow_nan=False).encode(), "application/json")
