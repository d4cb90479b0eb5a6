"""The push itself: one thread collects batches at fixed times, another sends them, and neither waits for the other.

A receiver that is down or slow holds up the sender alone. Batches go on being collected, wait in order up to the
bound, and are sent when it is back; polls and scrapes know nothing of it.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping

from exporter import catalogue
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.client import Client, ExportResult, Outcome
from exporter.outputs.otlp.connect import connect
from exporter.outputs.otlp.outage import Outage
from exporter.outputs.otlp.queue import Queue
from exporter.outputs.otlp.reader import Batch, FamilySource, Reader
from exporter.outputs.otlp.resource import machine
from exporter.outputs.otlp.settings import PushSettings

log = logging.getLogger("exporter.otlp")

FLUSH_LIMIT = 3.0
"""Seconds that :meth:`Push.stop` gives the last exports. Whoever stops a service waits for this."""
CLOSE_LIMIT = 0.5
"""Seconds more for a call that was cut short to come back."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries at a receiver that takes nothing, doubling."""
LONGEST_WISH = 300.0
"""Seconds that a receiver may ask to be left alone, by Retry-After or RetryInfo: beyond it, the queue would be lost to
its word."""


class Push:
    """Sends what ``published`` has, every ``settings.interval`` seconds.

    ``delay``: seconds until the first batch; half a poll's interval puts batches between polls, where each finds a
    new one.
    """

    def __init__(
        self,
        settings: PushSettings,
        published: FamilySource,
        *,
        delay: float = 0.0,
        attributes: Mapping[str, str] | None = None,
        client: Callable[[PushSettings], Client] = connect,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._settings = settings
        self._delay = delay
        self._connect = client
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._attributes = machine(settings.attributes) if attributes is None else attributes
        self._reader = Reader(published)
        self._queue = Queue(settings.capacity)
        self._tally = _Tally()
        self._outage = Outage(settings.receiver, clock)
        self._stopping = threading.Event()
        self._over = False
        self._threads: list[threading.Thread] = []
        self._client: Client | None = None

    def families(self) -> list[Family]:
        """What the push says about itself."""
        return self._tally.families(len(self._queue))

    def start(self) -> None:
        """Import the SDK and begin."""
        from exporter.outputs.otlp.points import Converter

        self._client = client = self._connect(self._settings)
        converter = Converter(
            self._settings.temporality, self._attributes, exponential=self._settings.exponential
        )
        log.info(
            "pushing",
            extra={
                "endpoint": self._settings.receiver,
                "protocol": self._settings.protocol,
                "tls": self._settings.secure,
                "interval": self._settings.interval,
            },
        )

        def deliver(batch: Batch) -> ExportResult:
            result = client.export(converter.convert(batch))
            converter.settle(result)
            return result

        self._threads = [
            threading.Thread(target=self.collect_batches, name="otlp-reader", daemon=True),
            threading.Thread(target=self.send, args=(deliver,), name="otlp-sender", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, limit: float = FLUSH_LIMIT) -> None:
        """Collect a last batch and send what waits, for at most ``limit`` seconds. Never raises."""
        self._stopping.set()
        deadline = self._clock() + limit
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock()))
        self._over = True
        client, self._client = self._client, None
        if client is not None:
            client.close()
        for thread in self._threads:
            thread.join(CLOSE_LIMIT)
        if lost := self._queue.clear():
            self._tally.count(Outcome.DROPPED, lost)
            log.warning("exports were not sent before the end", extra={"exports": lost})

    def collect_batches(self) -> None:
        """One thread's work: a batch at each deadline, and one at the end. Missed deadlines are skipped."""
        deadline = self._clock() + self._delay
        interval = self._settings.interval
        while not self._stopping.wait(max(0.0, deadline - self._clock())):
            self.collect()
            deadline += interval
            late = self._clock() - deadline
            if late > 0:
                deadline += math.ceil(late / interval) * interval
        self.collect()
        self._queue.close()

    def collect(self) -> None:
        try:
            batch = self._reader.collect()
        except Exception:
            log.exception("nothing was collected for the push, by a mistake in this program")
            return
        if dropped := self._queue.put(batch):
            self._tally.count(Outcome.DROPPED, dropped)
            self._outage.dropped(dropped)

    def send(self, deliver: Callable[[Batch], ExportResult]) -> None:
        """The other thread's work: the oldest batch first, until the queue is closed and empty."""
        pause = FIRST_PAUSE
        while (batch := self._queue.take()) is not None:
            last_try = self._stopping.is_set()
            result = self._attempt(deliver, batch)
            self._tally.count(result.outcome)
            if self._over and result.outcome is Outcome.FAILED:
                # Cut short by us, which says nothing about the receiver.
                return
            self._outage.ended(result)
            if result.outcome is not Outcome.FAILED:
                pause = FIRST_PAUSE
                if result.outcome is not Outcome.REJECTED:
                    self._tally.succeeded(self._wall())
                continue
            dropped = self._queue.give_back(batch)
            if result.give_up_after is not None:
                dropped += self._queue.drop_older(self._clock() - result.give_up_after)
            if dropped:
                self._tally.count(Outcome.DROPPED, dropped)
                self._outage.dropped(dropped)
            if result.retry_after is None:
                self._stopping.wait(self._jitter(0.8, 1.2) * pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                # As said; at once would be a loop as fast as the receiver can say so.
                self._stopping.wait(
                    min(max(result.retry_after, self._jitter(0.8, 1.2) * FIRST_PAUSE), LONGEST_WISH)
                )
            if last_try or (result.retry_after and self._stopping.is_set()):
                return

    @staticmethod
    def _attempt(deliver: Callable[[Batch], ExportResult], batch: Batch) -> ExportResult:
        try:
            return deliver(batch)
        except Exception as error:
            # A batch that can't be encoded, say: the thread has to go on.
            log.debug("an export ended in an exception", exc_info=True)
            return ExportResult(Outcome.FAILED, type(error).__name__, str(error)[:200])


class _Tally:
    """The push's counters; two threads count, any may read."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Outcome, 0)
        self._last_success: float | None = None
        self._lock = threading.Lock()

    def count(self, outcome: Outcome, exports: int = 1) -> None:
        with self._lock:
            self._counts[outcome] += exports

    def succeeded(self, wall: float) -> None:
        self._last_success = wall

    def families(self, waiting: int) -> list[Family]:
        counts = tuple(
            Point(float(count), (("outcome", outcome.value),)) for outcome, count in self._counts.items()
        )
        found = [
            Family(catalogue.OTLP_EXPORTS, counts),
            Family(catalogue.OTLP_QUEUE_LENGTH, (Point(float(waiting)),)),
        ]
        if self._last_success is not None:
            found.append(Family(catalogue.OTLP_LAST_SUCCESS, (Point(self._last_success),)))
        return found
