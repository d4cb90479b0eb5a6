"""Batches that wait to be sent, oldest first, up to a bound."""

from __future__ import annotations

import threading
from collections import deque

from exporter.outputs.otlp.reader import Batch


class Queue:
    """One thread puts, another takes and gives back what could not be sent.

    ``capacity`` is how many may wait while the receiver takes none. Beyond it the oldest go: whoever looks at an
    outage needs its end most. With 0 a batch is tried once.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Batch] = deque()
        self._taken = False
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Waiting or under way."""
        return len(self._waiting) + self._taken

    def put(self, batch: Batch) -> int:
        """Add the newest; how many had to be dropped for it."""
        with self._changed:
            self._waiting.append(batch)
            dropped = 0
            # Whoever is ready to send takes one at once: that one does not wait.
            while len(self._waiting) > max(self._capacity, not self._taken):
                self._waiting.popleft()
                dropped += 1
            self._changed.notify()
            return dropped

    def take(self) -> Batch | None:
        """The oldest, as soon as there is one; None once the queue is closed and empty.

        The one taken before counts as done with, unless it was given back.
        """
        with self._changed:
            self._taken = False
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            self._taken = True
            return self._waiting.popleft()

    def give_back(self, batch: Batch) -> int:
        """Put the one taken back to the front; 1 if there was no place left for it."""
        with self._changed:
            self._taken = False
            if len(self._waiting) >= self._capacity:
                return 1
            self._waiting.appendleft(batch)
            return 0

    def drop_older(self, collected: float) -> int:
        """Give up what waits since before ``collected`` of the monotonic clock; how many that were."""
        with self._changed:
            before = len(self._waiting)
            while self._waiting and self._waiting[0].now.monotonic < collected:
                self._waiting.popleft()
            return before - len(self._waiting)

    def close(self) -> None:
        """Let :meth:`take` return None when nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> int:
        """Give up what waits or is under way; how many that were."""
        with self._changed:
            dropped = len(self)
            self._waiting.clear()
            self._taken = False
            return dropped
