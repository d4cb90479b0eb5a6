"""OTLP for a share of the fleet: one thread pushes VM after VM, evenly spread over the interval.

Each VM keeps what a real exporter keeps: its own converter, its own resource, and a queue for while the receiver is away.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence

from exporter.fleet.fleet import Fleet
from exporter.outputs.otlp.client import Client, Outcome
from exporter.outputs.otlp.connect import connect
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch, Reader
from exporter.outputs.otlp.resource import machine
from exporter.outputs.otlp.settings import PushSettings

log = logging.getLogger("exporter.fleet")

AGAIN = 5.0
"""Seconds in which nothing is tried after an export failed: the receiver is one and the same for all."""


class Pushing:
    """The push of the VM ``name``. One thread's."""

    def __init__(self, name: str, fleet: Fleet, settings: PushSettings) -> None:
        self._name = name
        self._fleet = fleet
        # The oldest go where there is no place left.
        self._waiting: deque[Batch] = deque(maxlen=max(settings.capacity, 1))
        self._boots = -1
        self._reader: Reader | None = None
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, name)
        self.identity = str(identity)
        attributes = {
            **settings.attributes,
            "host.name": name,
            "host.id": identity.hex,
            "service.instance.id": self.identity,
        }
        self._converter = Converter(
            settings.temporality, machine(attributes), exponential=settings.exponential
        )

    def collect(self) -> None:
        """Let a batch of a VM that runs wait."""
        exporter = self._fleet.exporter(self._name)
        if exporter is None or not exporter.poller.state.polls:
            return
        if self._reader is None or self._boots != exporter.boots:
            self._boots, self._reader = exporter.boots, Reader(exporter.published)
        self._waiting.append(self._reader.collect())

    def send(self, client: Client) -> str:
        """All that waits, oldest first, until one fails; why it did, or nothing."""
        while self._waiting:
            result = client.export(self._converter.convert(self._waiting[0]))
            if result.outcome is Outcome.FAILED:
                return result.reason or result.code
            self._waiting.popleft()
            self._converter.settle(result)
        return ""


class FleetPush:
    """Pushes for ``names``."""

    def __init__(
        self,
        fleet: Fleet,
        names: Sequence[str],
        settings: PushSettings,
        *,
        client: Callable[[PushSettings], Client] = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pushing = [Pushing(name, fleet, settings) for name in names]
        self._client = client(settings)
        self._settings = settings
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet-push", daemon=True)
        self._failing = ""
        self._again = float("-inf")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._client.close()
        self._thread.join(5)

    def turn(self, vm: Pushing) -> None:
        """Collect, and send what waits unless the receiver was away a moment ago."""
        vm.collect()
        if self._clock() < self._again:
            return
        why = vm.send(self._client)
        if why:
            self._again = self._clock() + AGAIN
        if why and not self._failing:
            log.warning(
                "the OTLP receiver takes no exports, which wait",
                extra={"endpoint": self._settings.receiver, "reason": why},
            )
        elif self._failing and not why:
            log.info("the OTLP receiver takes exports again")
        self._failing = why

    def _run(self) -> None:
        begun, turns = self._clock(), 0
        while not self._stop.is_set():
            due = begun + turns * self._settings.interval / len(self.pushing)
            if (wait := due - self._clock()) > 0 and self._stop.wait(wait):
                return
            self.turn(self.pushing[turns % len(self.pushing)])
            turns += 1
