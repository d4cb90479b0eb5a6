"""The one published object: what is known now, for every output.

The web page, the metrics page, the OTLP push and the status page read this and nothing else. The host is never
reached from here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from exporter import catalogue
from exporter.catalogue import Kind
from exporter.clock import Instant, Start, words
from exporter.insight.observer import Insight
from exporter.machine.guest import read as read_guest
from exporter.metrics.collector import DEFAULT, Options, collect
from exporter.metrics.families import Family, begun
from exporter.snapshot import Guest, PollState

log = logging.getLogger("exporter.metrics")

_OWN = frozenset(metric for group in catalogue.OWN.values() for metric in group)
Families = Callable[[], Iterable[Family]]
"""Families that do not come with a poll: what a part (OTLP, HA) says about itself."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one answer is made of, read once: the next poll replaces it. Nothing in it is later than ``now``."""

    state: PollState
    insight: Insight | None
    now: Instant


class Published:
    """``state`` gives what the poller published last; ``guest`` what the guest's own kernel says; ``insight`` what
    was worked out. For any thread.
    """

    def __init__(
        self,
        state: Callable[[], PollState],
        options: Options = DEFAULT,
        others: Iterable[Families] = (),
        *,
        guest: Callable[[], Guest] = read_guest,
        insight: Callable[[], Insight | None] = lambda: None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._options = options
        self._guest = guest
        self._insight = insight
        self._wall = wall
        self._parts = [*others]
        self._lock = threading.Lock()
        self.begun = monotonic()
        self._start = Start(self.begun)
        self._looked = False
        self.monotonic = monotonic

    @property
    def state(self) -> PollState:
        """What the poller published last; frozen."""
        return self._state()

    @property
    def insight(self) -> Insight | None:
        """What was worked out of all states so far; frozen."""
        return self._insight()

    @property
    def expose_identity(self) -> bool:
        """Whether what tells one VM from all others may be shown."""
        return self._options.expose_identity

    def add(self, families: Families) -> None:
        """From now on, publish what this part says about itself too."""
        self._parts.append(families)

    def now(self) -> Instant:
        """A reading of both clocks."""
        return Instant(self._wall(), self.monotonic())

    def known(self) -> Known:
        """What is known now: for an answer of several parts, which must be of one poll."""
        state, insight = self._state(), self._insight()
        return Known(state, insight, self.now())

    def started(self, now: Instant) -> float | None:
        """Wall clock at which this process began to count about itself; None where it is unknown."""
        with self._lock:
            before, self._start = self._start, self._start.at(now)
            looked, self._looked = self._looked, True
            if looked and (why := words(before.wall, self._start.wall)):
                log.warning("the start of the exporter's own counters changes", extra={"why": why})
            return self._start.wall

    def polled(self) -> list[Family]:
        """What comes with a poll."""
        return self._families(self.known())

    def before(self, known: Known) -> list[Family]:
        """The host's counters one sample before, and one round of extended statistics before, what is known."""
        state = known.state
        earlier = replace(state, snapshot=state.snapshot_before, extended=state.extended_before)
        families = collect(earlier, known.now.monotonic, self._options)
        return [each for each in families if each.metric.kind is Kind.COUNTER and each.metric not in _OWN]

    def others(self) -> list[Family]:
        """What does not come with a poll."""
        families = [family for families in self._parts for family in families()]
        now = self.now()
        return list(begun(families, self.started(now), now))

    def collect(self, now: Instant | None = None) -> list[Family]:
        """Everything, in the order of the page, as of ``now``."""
        known = self.known()
        return self.everything(known if now is None else replace(known, now=now))

    def everything(self, known: Known) -> list[Family]:
        """The same of what was read before."""
        return self._families(known, [family for families in self._parts for family in families()])

    def _families(self, known: Known, others: Iterable[Family] = ()) -> list[Family]:
        now = known.now
        families = collect(known.state, now.monotonic, self._options, self._guest(), known.insight)
        return list(begun([*families, *others], self.started(now), now))
