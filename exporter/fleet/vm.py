"""One VM's exporter without a thread: the parts that a real one consists of, and a host that is called directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exporter.insight.observer import Observer
from exporter.metrics.collector import DEFAULT, Options
from exporter.metrics.published import Published
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import GuestRpcSource
from exporter.simulator.fleet.inventory import VM
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import answer
from exporter.snapshot import SourceInfo

HISTORY_STEP = 60.0
"""Seconds between two moments of the history: nobody looks at the last hour of one of a thousand VMs."""


class Parts(NamedTuple):
    """What all exporters of a fleet have in common. Intervals in seconds; ``extended`` None: not read."""

    interval: float
    extended: float | None
    unknown: bool = True
    histograms: bool = True
    options: Options = DEFAULT


class Direct:
    """Commands to a host without a connection: nothing is framed, and the replies' data are the same."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host

    def call(self, command: bytes, timeout: float | None = None) -> bytes:  # noqa: ARG002  nothing takes time here
        return answer(self._host, command)

    def close(self) -> None:
        """There is nothing to let go of."""


class Exporter:
    """Of ``vm``, from one start of it to the next. Polled by one thread; :attr:`application` is for any."""

    def __init__(
        self, vm: VM, parts: Parts, *, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self.boots = vm.boots
        self._interval = parts.interval
        self._clock = clock
        observer = Observer(vm.host_side.guest, histograms=parts.histograms, step=HISTORY_STEP)
        extended = (
            None
            if parts.extended is None
            else ExtendedReader(parts.extended, unknown=parts.unknown, clock=clock, wall=wall)
        )
        self.poller = poller = Poller(
            GuestRpcSource(Direct(vm.host_side), SourceInfo("simulated", "memory")),
            parts.interval,
            clock=clock,
            wall=wall,
            on_state=observer.polled,
            extended=extended,
        )
        self.published = Published(
            lambda: poller.state,
            parts.options,
            guest=lambda: observer.insight.guest,
            insight=lambda: observer.insight,
            wall=wall,
            monotonic=clock,
        )
        self.application = Application(Page(self.published), lambda: poller.state.polls > 0)

    def poll(self, due: float) -> None:
        """Ask the host, as the polling thread of a real one does. ``due``: when it was to begin, by the clock."""
        self.poller.poll(due)
        self.poller.poll_extended(self._clock() + self._interval)
