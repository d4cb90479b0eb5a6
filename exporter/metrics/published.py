"""The one published object: what is known now, for every output.

The web page, the metrics page, the OTLP push and the status page read this and nothing else. The host is never
reached from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from exporter.machine.guest import read as read_guest
from exporter.metrics.collector import DEFAULT, Options, collect
from exporter.metrics.families import Family
from exporter.snapshot import Guest, PollState

Families = Callable[[], Iterable[Family]]
"""Families that do not come with a poll: what a part (OTLP, HA) says about itself."""


class Published:
    """``state`` gives what the poller published last; ``guest`` what the guest's own kernel says. For any thread."""

    def __init__(
        self,
        state: Callable[[], PollState],
        options: Options = DEFAULT,
        others: Iterable[Families] = (),
        *,
        guest: Callable[[], Guest] = read_guest,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._options = options
        self.guest = guest
        self._wall = wall
        self._parts = [*others]
        self.monotonic = monotonic

    @property
    def state(self) -> PollState:
        """What the poller published last; frozen."""
        return self._state()

    def add(self, families: Families) -> None:
        """From now on, publish what this part says about itself too."""
        self._parts.append(families)

    def polled(self, state: PollState, now: float) -> list[Family]:
        """What follows from the poller's ``state`` at the moment ``now`` of the monotonic clock."""
        return collect(state, self._wall(), now, self._options, self.guest())

    def others(self) -> list[Family]:
        """What does not come with a poll."""
        return [family for families in self._parts for family in families()]

    def collect(self) -> list[Family]:
        """Everything, in the order of the page."""
        return [*self.polled(self.state, self.monotonic()), *self.others()]
