"""Groups that a round of extended statistics goes without: the host does not answer for them, or is not understood.

Such a group costs itself and no other. One that is not answered in time costs that time too, and where VMware's library is
asked the process in which it hangs, so it is asked again ever more seldom. One over which the host closes the connection
costs nothing, and is asked in each round.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence

from exporter.errors import RemoteProtocolError, TimeoutExpired, TransportError, VMGuestError

log = logging.getLogger("exporter.extended")

PATIENCE = 2.0
"""Seconds that a host has for a question. One that had fewer before the next basic poll is asked once more after it."""
SHORTEST = 0.5
"""Seconds that there must be for it then. While a new session is being looked at the polls follow one another faster."""
LONGEST_WAIT = 10.0
"""Seconds after which it is asked anyhow, where they always do; or the interval of the rounds, if that is less."""
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0
"""Seconds until a group that was not answered is asked again: they double each time. The first is no more than a round for one
that had less time than the shortest. A process is lost no oftener than after the longest."""
MOST = 3
"""Questions of one round that may stay without an answer: the host has trouble then, and the rest is left for the next one."""
LIST = "(the list of groups)"


class Missing:
    """Of one session. The list of groups is the group without a name."""

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        """``interval``: seconds from one round to the next."""
        self._interval = interval
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Another session may be another host."""
        self._misread: set[str] = set()
        self._errors: dict[str, VMGuestError] = {}
        """Group -> why it was not answered when it was asked last."""
        self._pauses: dict[str, float] = {}
        self._asked_again: dict[str, float] = {}
        self._put_off: frozenset[str] = frozenset()
        self._hurried: str | None = None
        self._waits_until = -math.inf
        self.begin()

    def begin(self) -> None:
        """Begin a round."""
        self._unanswered = 0
        self.why: VMGuestError | None = None
        """Why a group of this round is missing."""

    def listed(self, groups: Iterable[str]) -> None:
        """Groups that the host does not name any more are forgotten."""
        for group in self._errors.keys() - {*groups, ""}:
            self._forget_group(group)

    def due(self, groups: Sequence[str]) -> list[str]:
        """Those to be asked in a round that begins: what the last one left for this first, what may cost it time last."""
        due = [group for group in groups if self.is_due(group)]
        self.why = self.why or next((self._errors[group] for group in groups if not self.is_due(group)), None)
        put_off, self._put_off = self._put_off, frozenset()
        return sorted(due, key=lambda group: (group in self._errors, group not in put_off))

    def is_due(self, group: str) -> bool:
        """Whether it was answered when it was asked last, or that is long ago."""
        return self._clock() >= self._asked_again.get(group, -math.inf)

    def too_many(self, pending: Iterable[str]) -> bool:
        """Whether so many are not answered that ``pending`` is left for the next round."""
        if self._unanswered < MOST:
            return False
        self._put_off = frozenset(pending)
        return True

    def may_ask(self, left: float) -> bool:
        """Whether ``left`` seconds are enough for a question that was not answered in too few."""
        return left >= SHORTEST or self._clock() >= self._waits_until

    def unanswered(self, group: str, left: float, error: VMGuestError, *, costly: bool) -> bool:
        """The group was not answered in ``left`` seconds; whether that is all for this round, else it is asked once more.

        ``costly``: it took a process along.
        """
        now = self._clock()
        at_once = isinstance(error, TransportError) and not isinstance(error, TimeoutExpired)
        if not at_once and left < PATIENCE and group != self._hurried:
            self._hurried, self._waits_until = group, now + min(LONGEST_WAIT, self._interval)
            return False
        self._hurried, self._waits_until = None, -math.inf
        self._unanswered += 1
        self.why = self.why or error
        first = FIRST_PAUSE if left >= SHORTEST else min(FIRST_PAUSE, self._interval)
        pause = LONGEST_PAUSE if costly else min(2 * self._pauses.get(group, first / 2), LONGEST_PAUSE)
        if at_once:
            pause = 0.0
        if group not in self._errors:
            extra = {"group": group or LIST, "kind": error.kind, "reason": str(error), "again_after": pause}
            log.warning("a group of extended statistics is not answered", extra=extra)
        self._errors[group], self._pauses[group], self._asked_again[group] = error, pause, now + pause
        return True

    def misread(self, group: str, error: RemoteProtocolError) -> None:
        """The group is understood in no encoding."""
        self.why = error
        if group not in self._misread:
            reason = {"group": group, "reason": str(error)}
            log.warning("a group of extended statistics is not understood", extra=reason)
        self._misread.add(group)

    def understood(self, group: str) -> None:
        """Its reply is."""
        self._misread.discard(group)

    def answered(self, group: str) -> None:
        """The host has answered for it, if only with a refusal."""
        if group == self._hurried:
            self._hurried, self._waits_until = None, -math.inf
        if group in self._errors:
            log.info("a group of extended statistics is answered again", extra={"group": group or LIST})
            self._forget_group(group)

    def _forget_group(self, group: str) -> None:
        for known in (self._errors, self._pauses, self._asked_again):
            del known[group]
