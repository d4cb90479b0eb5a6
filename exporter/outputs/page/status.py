"""``/-/status``: what the status page shows, as JSON.

Built from the same families as the metrics, so it can show nothing that they withhold; at most once a second,
however many browsers ask.
"""

from __future__ import annotations

import json
import threading

from exporter.insight.history import History
from exporter.metrics.published import Published
from exporter.outputs.page.overview import overview
from exporter.outputs.web.application import Response
from exporter.snapshot import PollState

MAX_AGE = 1.0
"""Seconds after which the answer is made anew."""


class Status:
    """The view. ``record`` belongs to the polling thread, ``view`` to the web server's."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._history = History()
        self._lock = threading.Lock()
        self._made: tuple[float, Response] | None = None

    def record(self, state: PollState) -> None:
        """Keep what a poll has brought."""
        now = self._published.monotonic()
        if self._history.due(now):
            self._history.record(state, self._published.guest(), now)

    def view(self) -> Response:
        with self._lock:
            now = self._published.monotonic()
            if self._made is None or now - self._made[0] > MAX_AGE:
                self._made = now, self._make()
            return self._made[1]

    def _make(self) -> Response:
        published = self._published
        page = overview(published.state, published.collect(), self._history, published.monotonic())
        return Response(json.dumps(page, allow_nan=False).encode(), "application/json")
