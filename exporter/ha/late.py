"""Calls that were given up, and that the host may still carry out. Decides nothing and waits for nothing.

Part of :class:`~exporter.ha.host_state.HostState`, which alone writes it. A host takes what comes over one connection in its
order; over the next one it may answer before it has carried out what came over the last. So its word on how things stand
is its last one only when no such call is left.
"""

from __future__ import annotations

from exporter.ha.rules import WINDOW
from exporter.protocol.appmonitor import AppState, Verb

LATE = WINDOW
"""Seconds after it was given up for which a call may still be carried out. No document names any: the host's own patience."""
NEVER = float("-inf")


def as_noted(until: float | None, now: float) -> float:
    """What a predecessor has noted, for :class:`Late`. One from the future was noted by another clock, and is not waited for."""
    return NEVER if until is None else min(until, now + LATE)


class Late:
    """Times are seconds of one steady clock. ``until``: as a predecessor noted it; ``request``: also of a request for a reset."""

    def __init__(self, until: float = NEVER, *, request: bool = False) -> None:
        self.enable = until
        """Until when an Enable may be carried out of which nothing was heard."""
        self.request = until if request else NEVER
        """The same of appStateNeedReset."""
        self._sent = NEVER
        self._before = self.enable, self.request
        """What a call that is answered leaves as it was."""

    @property
    def until(self) -> float | None:
        """The later of both, for a successor; None: there is none of either."""
        latest = max(self.enable, self.request)
        return None if latest == NEVER else latest

    def sent(self, now: float, verb: Verb, state: AppState | None) -> None:
        """A call goes out. It counts from here on, for this process may end before it has heard anything."""
        self._sent, self._before = now, (self.enable, self.request)
        if verb is Verb.ENABLE:
            self.enable = now + LATE
        elif state is AppState.NEED_RESET:
            self.request = now + LATE

    def answered(self) -> None:
        """It was carried out by then, or never will be."""
        self.enable, self.request = self._before

    def given_up(self, now: float) -> None:
        """It may have gone out as late as ``now``, whenever it was begun: this process may have stood still."""
        if self.enable > self._before[0]:
            self.enable = now + LATE
        if self.request > self._before[1]:
            self.request = now + LATE

    def off(self) -> None:
        """IsEnabled says no. Of what may come after it was asked, that is no word."""
        if self._sent >= self.enable:
            self.enable = NEVER

    def taken_back(self) -> None:
        """The host has taken appStateOk; the same holds of a request that comes after it."""
        if self._sent >= self.request:
            self.request = NEVER
