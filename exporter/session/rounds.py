"""Reading the extended statistics, beside the basic poll and never in its way.

The reader is called by the polling thread after a basic poll, with the time of the next one. It sends requests
while there is time, each with that time as its limit, and goes on after the next poll where it had to stop.
Groups are listed at the start, after a session change and every minute; a host without extended statistics is
asked once a session.

Between a basic poll and a round the VM may have moved to another host, or its counters may have begun anew under the same
session id. A reply in XML says of which session it is. A round is held back until the next basic poll shows the same
epoch when a reply in it does not say so, or when something that only rises fell since the round before: only ``elapsed``
tells whether it fell alone. A life of which no round was shown, or little had risen, can end there unseen.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.catalogue.extended_names import category, fell, usable
from exporter.errors import RemoteProtocolError, RpcError, VMGuestError
from exporter.protocol import stat_get
from exporter.session.base import Source
from exporter.session.gate import Gate
from exporter.shortage import shortage
from exporter.snapshot import ExtendedSnapshot, ExtendedValue

log = logging.getLogger("exporter.extended")

LIST_INTERVAL = 60.0
"""Seconds after which the groups are listed anew: a disk or network card may have come or gone."""

MARGIN = 0.02
"""Seconds before the next basic poll in which no request is begun."""

ALWAYS = ("session", "host", "resources")
"""Groups asked for where a host gives no list of them that can be used."""


@dataclass(frozen=True, slots=True)
class ExtendedState:
    """What is known after a step. ``up`` None: the host has no extended statistics, or nothing is known yet."""

    snapshot: ExtendedSnapshot | None = None
    up: bool | None = None
    dropped: int = 0


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
        self._supported = True
        self._encoding = stat_get.ENCODINGS[0]
        """The one that was learned last; a group that was never asked for begins with it."""
        self._encodings: dict[str, str] = {}
        """Group -> the encoding in which it was understood last."""
        self._groups: tuple[str, ...] = ()
        self._unlisted = False
        self._listed = self._due = float("-inf")
        self._pending: list[str] = []
        self._round: dict[str, tuple[ExtendedValue, ...]] = {}
        self._lost: VMGuestError | None = None
        """Why a group of this round is missing."""
        self._unread: set[str] = set()
        """Groups of this session that were understood in no encoding."""
        self._session_monotonic: float | None = None
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
        """Go on with the round, or begin one that is due, until ``deadline`` (monotonic seconds).

        ``session_id``, ``epoch`` and ``told`` are those of :class:`exporter.session.epoch.SessionClock`. Never raises for
        what the host or the connection does: a round that fails shows in ``up``.
        """
        if (session_id, epoch) != (self._session_id, self._epoch):
            self._forget(session_id, epoch)
        elif self._held is not None and told > self._held.read_monotonic:
            self._release(self._held)
        now = self._clock()
        if not self._supported or (not self._pending and now < self._due):
            return self.state
        try:
            if not self._pending:
                self._begin(source, now, deadline)
            if self._groups and self._fetch(source, deadline):
                self._publish()
        except VMGuestError as error:
            self._fail(error.kind, str(error))
        except Exception as error:
            # A mistake in this program must not end the thread that polls the basic statistics.
            if not (short := shortage(error)) and self._failed != "internal":
                log.exception("a round of extended statistics failed by a mistake in this program")
            self._fail("internal", short or f"{type(error).__name__}: {error}")
        return self.state

    def _forget(self, session_id: int, epoch: int) -> None:
        """A new session may be another host: ask it everything anew, and show nothing that may be the old one's."""
        self._throw_away()
        self._gate.belongs_to(session_id)
        self._session_id = session_id
        self._epoch = epoch
        self._supported = True
        self._encoding = stat_get.ENCODINGS[0]
        self._encodings = {}
        self._unlisted = False
        self._unread = set()
        self._listed = self._due = float("-inf")
        self._foreign = False
        self.state = replace(self.state, snapshot=None, up=None)

    def _throw_away(self) -> None:
        """A round that began in one session and may have ended in another is neither's."""
        held = self._held.groups if self._held is not None else {}
        self._drop(sum(map(len, (*self._round.values(), *held.values()))))
        self._held = None
        self._pending, self._round = [], {}

    def _begin(self, source: Source, now: float, deadline: float) -> None:
        if now - self._listed >= LIST_INTERVAL:
            self._list(source, self._left(deadline))
            self._listed = now
        self._due = now + self._interval
        self._pending = list(self._groups)
        self._round = {}
        self._gate.begin()
        self._lost = None
        self._unsigned = False
        self._session_monotonic = None

    def _list(self, source: Source, left: float) -> None:
        try:
            names = stat_get.parse_names(source.stat("text", "", left))
            why = "it names no group that is known"
        except RpcError as error:
            if error.reason in ("unknown_command", "disabled"):
                self._supported = False
                self._groups = ()
                log.info("the host has no extended statistics", extra={"reason": error.text})
                return
            # A host that gives groups in other encodings only.
            names, why = (), str(error)
        except RemoteProtocolError as error:
            names, why = (), str(error)
        groups = usable(names)
        self._drop(len(names) - len(groups))
        if not groups and not self._unlisted:
            log.warning("the host's list of extended statistics can't be used", extra={"reason": why})
        self._unlisted = not groups
        groups = groups or ALWAYS
        if groups != self._groups:
            log.info("extended statistics", extra={"groups": ", ".join(groups)})
        self._groups = groups

    def _fetch(self, source: Source, deadline: float) -> bool:
        """Ask for the groups that are still pending; whether the round is complete.

        Raises:
            VMGuestError: the connection failed, or every group is refused or not understood.
        """
        while self._pending:
            if self._left(deadline) <= MARGIN:
                return False
            if self._gate.full:
                self._drop(len(self._pending))
                self._pending = []
                break
            group = self._pending.pop(0)
            reply = self._ask(source, group, deadline)
            if reply is None:
                continue
            if reply.session_id not in (0, self._session_id):
                self._leave(reply.session_id)
                return False
            self._round[group], dropped = self._gate.take(group, reply.values)
            self._drop(reply.dropped + dropped)
            self._unsigned |= reply.session_id == 0
            if group == "session":
                self._session_monotonic = self._clock()
        if not self._round and self._lost is not None:
            raise self._lost
        self._foreign = False
        return True

    def _leave(self, session_id: int) -> None:
        """A reply of another session: it changed since the basic poll, which the next one will see.

        Raises:
            RemoteProtocolError: that one did not see it.
        """
        self._throw_away()
        if self._foreign:
            raise RemoteProtocolError(
                f"extended statistics are of session {session_id}, the basic ones of {self._session_id}"
            )
        self._foreign = True
        self._due = float("-inf")

    def _ask(self, source: Source, group: str, deadline: float) -> stat_get.Reply | None:
        """One group in the first encoding in which the host gives it and it is understood; None where there is none."""
        refusal: RpcError | None = None
        malformed: RemoteProtocolError | None = None
        first = self._encodings.get(group, self._encoding)
        for encoding in (first, *(each for each in stat_get.ENCODINGS if each != first)):
            try:
                raw = self._gate.weigh(source.stat(encoding, group, self._left(deadline)))
                reply = stat_get.parse(encoding, raw)
            except RpcError as error:
                refusal = error
                continue
            except RemoteProtocolError as error:
                # The first one tells most: it is of the encoding that should work.
                malformed = malformed or error
                continue
            if encoding not in (first, self._encoding):
                why = {"encoding": encoding, "why": str(malformed or refusal)}
                log.info("extended statistics in another encoding", extra=why)
            # Remembered until the next session, which may be another host's. Two groups may differ in it.
            if encoding != first:
                self._encoding = encoding
            self._encodings[group] = encoding
            self._unread.discard(group)
            return reply
        if malformed is not None:
            self._lost = malformed
            self._drop(1)
            if group not in self._unread:
                reason = {"group": group, "reason": str(malformed)}
                log.warning("a group of extended statistics is not understood", extra=reason)
            self._unread.add(group)
            return None
        if category(group)[1]:
            # A device that was just taken away: its series stop, and the list is asked for anew.
            self._listed = float("-inf")
            return None
        self._lost = self._lost or refusal
        return None

    def _left(self, deadline: float) -> float:
        return max(deadline - self._clock(), MARGIN)

    def _publish(self) -> None:
        groups, self._round = self._round, {}
        snapshot = ExtendedSnapshot(
            self._session_id, groups, self._wall(), self._clock(), self._session_monotonic
        )
        log.debug("extended statistics read", extra={"groups": len(groups)})
        before = self.state.snapshot
        if self._unsigned or (before is not None and fell(before.groups, groups)):
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
