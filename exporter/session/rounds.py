"""Reading the extended statistics, beside the basic poll and never in its way.

The reader is called by the polling thread after a basic poll, with the time of the next one. It sends requests
while there is time, each with that time as its limit, and goes on after the next poll where it had to stop. What the host
does not answer in time costs itself alone (:mod:`exporter.session.missing`).
Which ones there are :mod:`exporter.session.groups` knows.

Between a basic poll and a round the VM may have moved to another host, or its counters may have begun anew under the same
session id. A reply in XML says of which session it is. A round is held back until the next basic poll shows the same
epoch when a reply in it does not say so, when it has a group that the round before did not have, or when something that
only rises fell since then: only ``elapsed`` tells whether it fell alone. A life of which no round was shown, or little had risen, can end there unseen.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

from exporter.catalogue.extended_names import category, fell
from exporter.clock import Instant
from exporter.errors import (
    LibraryCrashed,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    TransportError,
    VMGuestError,
)
from exporter.protocol import stat_get
from exporter.session.base import Source
from exporter.session.encodings import Encodings
from exporter.session.gate import Gate
from exporter.session.groups import Groups
from exporter.session.missing import Missing
from exporter.shortage import shortage
from exporter.snapshot import ExtendedSnapshot, ExtendedState, ExtendedValue

log = logging.getLogger("exporter.extended")

MARGIN = 0.02
"""Seconds before the next basic poll that are left to it."""


class ExtendedReader:
    """Fetches a round of all groups every ``interval`` seconds. Owned by the polling thread."""

    def __init__(
        self,
        interval: float,
        *,
        unknown: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._interval = interval
        self._gate = Gate(unknown=unknown)
        self._clock = clock
        self._wall = wall
        self._session_id = 0
        self._epoch = 0
        self._encodings = Encodings()
        self._groups = Groups(clock)
        self._due = float("-inf")
        self._pending: list[str] = []
        self._round: dict[str, tuple[ExtendedValue, ...]] = {}
        self._missing = Missing(interval, clock)
        self._answered: dict[str, Instant] = {}
        self._unsigned = False
        """Whether a reply of the round did not say of which session it is."""
        self._held: ExtendedSnapshot | None = None
        self._failed = ""
        self._foreign = False
        self.state = ExtendedState()

    @property
    def interval(self) -> float:
        """Seconds from one round to the next."""
        return self._interval

    def step(
        self, source: Source, session_id: int, deadline: float, epoch: int = 0, told: float = math.inf
    ) -> ExtendedState:
        """Go on with the round, or begin one that is due, until ``deadline`` (monotonic seconds); the others as
        :meth:`polled`. Never raises for what the host or the connection does: a round that fails shows in ``up``.
        """
        self.polled(session_id, epoch, told)
        waits = not self._pending and self._clock() < self._due
        if waits or not self._may_ask(deadline):
            return self.state
        try:
            if (self._pending or self._begin(source, deadline)) and self._fetch(source, deadline):
                self._publish()
        except VMGuestError as error:
            self._fail(error.kind, str(error))
        except Exception as error:
            # A mistake in this program must not end the thread that polls the basic statistics.
            if not (short := shortage(error)) and self._failed != "internal":
                log.exception("a round of extended statistics failed by a mistake in this program")
            self._fail("internal", short or f"{type(error).__name__}: {error}")
        return self.state

    def polled(self, session_id: int, epoch: int, told: float) -> ExtendedState:
        """After a basic poll: the round that was held back for it is shown, or thrown away; the host is asked nothing.

        The arguments are those of :class:`exporter.session.epoch.SessionClock`.
        """
        if (session_id, epoch) != (self._session_id, self._epoch):
            self._forget(session_id, epoch)
        elif self._held is not None and told > self._held.read_monotonic:
            self._release(self._held)
        return self.state

    def _forget(self, session_id: int, epoch: int) -> None:
        """A new session may be another host: ask it everything anew, and show nothing that may be the old one's."""
        self._throw_away()
        self._gate.belongs_to(session_id)
        self._session_id = session_id
        self._epoch = epoch
        self._encodings.forget()
        self._groups.forget()
        self._missing.forget()
        self._due = float("-inf")
        self._foreign = False
        self.state = replace(self.state, snapshot=None, up=None)

    def _throw_away(self) -> None:
        """A round that began in one session and may have ended in another is neither's."""
        held = self._held.groups if self._held is not None else {}
        self._drop(sum(map(len, (*self._round.values(), *held.values()))))
        self._held, self._pending, self._round = None, [], {}

    def _begin(self, source: Source, deadline: float) -> bool:
        """Begin a round; whether it can go on at once."""
        now, left = self._clock(), self._left(deadline)
        self._missing.begin()
        goes_on = True
        if self._groups.due and self._missing.is_due(""):
            try:
                worked = self.state.snapshot is not None
                self._drop(self._groups.ask(lambda: source.stat("text", "", left), worked=worked))
            except (TransportError, LibraryCrashed) as error:
                if not self._is_missing(source, "", left, error):
                    return False
                self._groups.assume()
                goes_on = not self._took_process(source, error)
            else:
                self._missing.answered("")
                self._missing.listed(self._groups.names)
        self._due = now + self._interval
        self._pending = self._missing.due(self._groups.names)
        self._drop(len(self._groups.names) - len(self._pending))
        self._round = {}
        self._gate.begin()
        self._unsigned = False
        self._answered = {}
        return bool(self._groups.names) and (goes_on or not self._pending)

    def _fetch(self, source: Source, deadline: float) -> bool:
        """Ask for the groups that are still pending; whether the round is complete.

        Raises:
            VMGuestError: every group is refused, not answered or not understood.
        """
        while self._pending:
            if self._gate.full or self._missing.too_many(self._pending):
                self._drop(len(self._pending))
                self._pending = []
                break
            if not self._may_ask(deadline):
                return False
            group, left = self._pending.pop(0), self._left(deadline)
            try:
                reply = self._ask(source, group, deadline)
            except (TransportError, LibraryCrashed) as error:
                if not self._is_missing(source, group, left, error):
                    self._pending.insert(0, group)
                    return False
                if self._took_process(source, error) and self._pending:
                    # What the next process meets with as it begins is no group's: the next basic poll has it begin.
                    return False
                continue
            self._missing.answered(group)
            if reply is None:
                continue
            if reply.session_id not in (0, self._session_id):
                self._leave(reply)
                return False
            self._answered[group] = Instant(self._wall(), self._clock())
            self._round[group], dropped = self._gate.take(group, reply.values)
            self._drop(reply.dropped + dropped)
            self._unsigned |= reply.session_id == 0
        if not self._round and self._missing.why is not None:
            raise self._missing.why.with_traceback(None)
        self._foreign = False
        return True

    def _leave(self, reply: stat_get.Reply) -> None:
        """A reply of another session: it changed since the basic poll, which the next one will see (RemoteProtocolError: that
        one did not).
        """
        self._throw_away()
        self._drop(len(reply.values) + reply.dropped)
        if self._foreign:
            raise RemoteProtocolError(
                f"extended statistics are of session {reply.session_id}, the basic ones of {self._session_id}"
            )
        self._foreign = True
        self._due = float("-inf")

    def _ask(self, source: Source, group: str, deadline: float) -> stat_get.Reply | None:
        """The reply for one group; None where the host refuses it, or is not understood."""

        def question(encoding: str) -> bytes:
            return self._gate.weigh(source.stat(encoding, group, max(self._left(deadline), MARGIN)))

        try:
            reply = self._encodings.ask(group, question)
        except RemoteProtocolError as malformed:
            self._drop(1)
            self._missing.misread(group, malformed)
        except RpcError as refusal:
            if category(group)[1]:
                # A device that was just taken away: its series stop, and the list is asked for anew.
                self._groups.list_anew()
            else:
                self._missing.why = self._missing.why or refusal
        else:
            self._missing.understood(group)
            return reply
        return None

    def _is_missing(self, source: Source, group: str, left: float, error: VMGuestError) -> bool:
        """Whether a question without an answer within ``left`` seconds was the group's last one of this round."""
        missing = self._missing.unanswered(group, left, error, costly=self._took_process(source, error))
        self._drop(int(missing))
        return missing

    @staticmethod
    def _took_process(source: Source, error: VMGuestError) -> bool:
        return source.restarts is not None and isinstance(error, (TimeoutExpired, LibraryCrashed))

    def _left(self, deadline: float) -> float:
        """Seconds that a question may take, so that the next basic poll comes in time."""
        return deadline - MARGIN - self._clock()

    def _may_ask(self, deadline: float) -> bool:
        return (left := self._left(deadline)) >= MARGIN and self._missing.may_ask(left)

    def _publish(self) -> None:
        groups, self._round = self._round, {}
        wall, now = self._wall(), self._clock()
        snapshot = ExtendedSnapshot(self._session_id, groups, wall, now, self._answered)
        log.debug("extended statistics read", extra={"groups": len(groups)})
        before = self.state.snapshot.groups if self.state.snapshot else groups
        if self._unsigned or groups.keys() - before.keys() or fell(before, groups):
            self._held = snapshot
        else:
            self._release(snapshot)

    def _release(self, snapshot: ExtendedSnapshot) -> None:
        self._held = None
        if self._failed:
            log.info("extended statistics are back", extra={"after": self._failed})
            self._failed = ""
        self.state = replace(self.state, snapshot=snapshot, up=True)

    def _fail(self, kind: str, text: str) -> None:
        if kind != self._failed:
            log.warning("no extended statistics this round", extra={"kind": kind, "reason": text})
        self._failed = kind
        self._pending, self._round = [], {}
        self._due = self._clock() + self._interval
        self.state = replace(self.state, up=False)

    def _drop(self, count: int) -> None:
        if count:
            if not self.state.dropped:
                log.warning("extended statistics were dropped", extra={"count": count})
            self.state = replace(self.state, dropped=self.state.dropped + count)
