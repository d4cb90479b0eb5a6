"""An exporter on a simulated host, its clocks moved by hand: what it works out, and what was true."""

from __future__ import annotations

from collections.abc import Callable

from exporter.insight.observer import Insight, Observer
from exporter.insight.question import Answer
from exporter.insight.timeline import Entry
from exporter.insight.verdict import judge
from exporter.insight.vitals import Vitals, vitals_of
from exporter.metrics.published import Published
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.simulator.scenario import Scenario
from exporter.snapshot import Guest, PollState

START = 1_790_000_000.0


class Simulated:
    """``interval``: seconds between two polls."""

    def __init__(
        self,
        scenario: Scenario | str,
        interval: float = 5.0,
        *,
        guest: Callable[[], Guest] | None = None,
        pauses: bool = False,
    ) -> None:
        self.now = 1000.0
        self.set_by = 0.0
        """Seconds by which the guest's wall clock was set."""
        self.entries: list[Entry] = []
        self.states: list[PollState] = []
        self._interval = interval
        self._connector = in_process(scenario, seed=1, clock=self.clock)
        self._source = WireSource(self._connector, 5.0, source="simulated")
        self.observer = Observer(guest or self.guest, pauses=pauses)
        self.poller = Poller(
            self._source,
            interval,
            clock=self.clock,
            wall=self.wall,
            on_state=self.told,
            extended=ExtendedReader(15.0, clock=self.clock, wall=self.wall),
        )
        self.published = Published(
            lambda: self.poller.state,
            guest=lambda: self.insight.guest,
            insight=lambda: self.insight,
            wall=self.wall,
            monotonic=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.set_by + self.now

    def told(self, state: PollState) -> None:
        self.entries += self.observer.polled(state)

    def guest(self) -> Guest:
        with self._connector.server.hold() as host:
            return host.guest()

    @property
    def insight(self) -> Insight:
        return self.observer.insight

    def poll(self) -> None:
        self.poller.poll()
        self.poller.poll_extended(self.now + self._interval)

    def run(self, seconds: float) -> Simulated:
        """Poll now, and every interval until ``seconds`` are over."""
        end = self.now + seconds
        self.poll()
        while self.now + self._interval <= end:
            self.now += self._interval
            self.poll()
        return self

    def close(self) -> None:
        self._source.close()

    def truth(self) -> tuple[float, float]:
        """Seconds stolen in this session by the CPU limit, and by neighbours: by the simulator's physics."""
        with self._connector.server.hold() as host:
            totals = host.extended_view().totals
        return totals.limited, totals.stolen - totals.limited

    def vitals(self) -> Vitals:
        return vitals_of(self.poller.state, self.insight, self.now)

    def answers(self) -> dict[str, Answer]:
        return {answer.key: answer for answer in judge(self.vitals())}
