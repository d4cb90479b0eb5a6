"""The fixed-interval loop: one thread that owns the source and publishes one :class:`PollState`.

Deadlines are absolute: a poll that takes long delays none after it, and ticks it ran over are skipped and
counted, not replayed. Readers take :attr:`Poller.state`, one reference that is replaced whole. A scrape never
reaches the host; a host that hangs hangs this thread alone, and :meth:`PollState.fresh` turns false.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.advice import Advice, advice
from exporter.catalogue.extended_names import uptime as session_uptime
from exporter.clock import Instant, moved
from exporter.errors import POLL_ERROR_KINDS, VMGuestError
from exporter.session.base import Source
from exporter.session.epoch import SessionClock
from exporter.session.memory import SessionFile
from exporter.session.rounds import ExtendedReader
from exporter.shortage import shortage
from exporter.snapshot import PollState, Snapshot

log = logging.getLogger("exporter.poller")

PROBE = 0.25
"""Seconds between two polls while the host's rhythm is measured."""
JOIN_TIMEOUT = 0.5
"""Seconds that :meth:`Poller.stop` waits for a poll that is under way."""


class Poller:
    """Polls ``source`` every ``interval`` seconds.

    ``on_state`` is called by the polling thread with each new state, of a poll, good or bad, or of a round of extended
    statistics, before it is published: what follows from a state is never behind it. ``probes``: polls that come
    every :data:`PROBE` seconds when a session begins, to see how often this host takes a new sample. ``extended``
    reads the extended statistics in what time is left between polls. ``memory`` outlives this process, so that a
    session that goes on keeps its start.
    """

    def __init__(
        self,
        source: Source,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        on_state: Callable[[PollState], object] | None = None,
        extended: ExtendedReader | None = None,
        memory: SessionFile | None = None,
        probes: int = 0,
    ) -> None:
        self._source = source
        self._interval = interval
        self._clock = clock
        self._wall = wall
        self._on_state = on_state
        self._probes = probes
        self._probes_left = 0
        self._extended = extended
        self._memory = memory
        self._session = SessionClock(memory.recall() if memory is not None else None)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = PollState(
            interval=interval,
            errors=dict.fromkeys(POLL_ERROR_KINDS, 0),
            source=source.info,
            extended_interval=extended.interval if extended is not None else 0.0,
        )

    @property
    def state(self) -> PollState:
        """What is known now; frozen."""
        return self._state

    def start(self) -> None:
        """Poll in a thread of its own, the first time at once."""
        self._thread = threading.Thread(target=self.run, name="poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop and close the source. A poll that hangs is left behind with its daemon thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT)
            if self._thread.is_alive():
                return
        self._source.close()

    def run(self) -> None:
        """The loop itself, until :meth:`stop`. Ended by a mistake in this program, it leaves no state that looks good."""
        try:
            self._loop()
        except Exception as error:
            log.exception("the polls have ended by a mistake in this program; restart it")
            self._state = self._failed(self._state, "internal", f"{type(error).__name__}: {error}")

    def _loop(self) -> None:
        deadline = self._clock()
        while not self._stop.is_set():
            self.poll(deadline)
            pace = self._pace()
            deadline += pace
            self.poll_extended(deadline)
            late = self._clock() - deadline
            if late > 0:
                missed = math.ceil(late / pace)
                deadline += missed * pace
                self._state = replace(self._state, missed=self._state.missed + missed)
            self._stop.wait(deadline - self._clock())

    def _pace(self) -> float:
        """Seconds to the next poll: short ones while a new session is being looked at."""
        if self._probes_left and not self._state.last_error:
            self._probes_left -= 1
            return min(PROBE, self._interval)
        return self._interval

    def poll(self, due: float | None = None) -> None:
        """Ask the host once and publish the outcome. ``due``: when it was to begin, by the monotonic clock."""
        before = self._state
        begun = self._clock()
        try:
            snapshot = self._source.read()
        except VMGuestError as error:
            # A recording fails as its host did; nothing on this machine can help it.
            what = None if self._source.info.source == "replay" else advice(error)
            state = self._failed(before, error.kind, str(error), what)
        except Exception as error:
            # Short of descriptors, threads or memory is no mistake, and the line that tells of it says what to raise.
            short = shortage(error)
            if not short and before.last_error != "internal":
                log.exception("a poll failed by a mistake in this program")
            state = self._failed(before, "internal", short or f"{type(error).__name__}: {error}")
        else:
            state = self._succeeded(before, snapshot)
        now = self._clock()
        log.debug("poll", extra={"seconds": now - begun, "outcome": state.last_error or "good"})
        state = replace(
            state,
            polls=state.polls + 1,
            late=max(begun - due, 0.0) if due is not None else 0.0,
            duration=state.duration.observe(now - begun),
            source=self._source.info,
            library_restarts=self._source.restarts,
        )
        session = state.lives.session
        if not state.last_error:
            state = self._with_extended(state, None, shown=True)
        if session.number != before.lives.session.number and session.start is None:
            # Without elapsed, the host's uptime is the only word on when this session began: before it is shown.
            state = self._with_extended(state, now + self._interval, shown=False)
        self._publish(state)

    def poll_extended(self, deadline: float) -> None:
        """Go on with the extended statistics until ``deadline``, after a good basic poll, and publish them."""
        if self._extended is not None and self._state.snapshot is not None and not self._state.last_error:
            state = self._with_extended(self._state, deadline, shown=True)
            if state != self._state:
                self._publish(state)

    def _with_extended(self, state: PollState, deadline: float | None, *, shown: bool) -> PollState:
        """A good poll's ``state`` with what extended statistics there are by ``deadline``; None asks for no further ones.

        ``shown``: whether an output may have shown something of the session already.
        """
        if self._extended is None or state.snapshot is None:
            return state
        session_id, epoch, told = state.snapshot.session_id, state.lives.session.number, self._session.told
        if deadline is None:
            extended = self._extended.polled(session_id, epoch, told)
        else:
            extended = self._extended.step(self._source, session_id, deadline, epoch, told)
        latest = extended.snapshot
        if latest is not None and latest is not state.extended:
            uptime = session_uptime(latest.groups)
            if uptime is not None:
                self._uptime(uptime, latest.at("session").monotonic, shown=shown)
            # After it: no start is later than what was read.
            self._session.read_extended(latest)
        return replace(
            state,
            lives=self._session.lives,
            extended=latest,
            extended_before=state.extended_before if latest is state.extended else state.extended,
            extended_up=extended.up,
            extended_dropped=extended.dropped,
        )

    def _uptime(self, uptime: float, answered: float, *, shown: bool) -> None:
        """What the host's ``uptime`` says of the session's start: all there is, or a second opinion."""
        if not shown:
            self._session.read_uptime(uptime, answered)
        elif (start := self._session.lives.session.start) is not None:
            by_uptime = self._wall() - (self._clock() - answered) - uptime
            log.debug(
                "the session's start by the host's uptime", extra={"differs": round(by_uptime - start, 3)}
            )

    def _publish(self, state: PollState) -> None:
        """From here on this is what is known."""
        if self._memory is not None and state.snapshot is not None:
            self._memory.keep(self._session.known)
        try:
            if self._on_state is not None:
                self._on_state(state)
        except Exception:
            # Whoever listens must not end the thread that polls. Left out from now on: it would fail each time.
            log.exception("what is told of each state failed by a mistake in this program")
            self._on_state = None
        # The clock may have been set while no exporter ran.
        before, self._session.recalled = self._session.recalled or self._state.lives, None
        self._state = state
        session, alone = moved(before, state.lives)
        if session or alone:
            what = (
                "the session's start changes"
                if session
                else "starts of counters that fell by themselves change"
            )
            log.warning(what, extra={"why": session or alone[0], "counters_that_fell": len(alone)})

    def _failed(self, before: PollState, kind: str, text: str, what: Advice | None = None) -> PollState:
        if kind != before.last_error:
            todo = {"advice": what.sentence, "finding": what.code} if what else {}
            log.warning("no statistics from the host", extra={"kind": kind, "reason": text, **todo})
        errors = {**before.errors, kind: before.errors.get(kind, 0) + 1}
        return replace(
            before,
            errors=errors,
            last_error=kind,
            last_error_text=text,
            last_error_advice=what.sentence if what else "",
        )

    def _succeeded(self, before: PollState, snapshot: Snapshot) -> PollState:
        now = Instant(self._wall(), self._clock())
        last = before.snapshot
        snapshot = self._session.read(snapshot, now)
        lives = self._session.lives
        elapsed = snapshot.values.get("elapsed")
        new_session = lives.session.number != before.lives.session.number
        changes: dict[str, Any]
        if new_session:
            self._probes_left = self._probes
            # What was read of the session before is nobody's any more.
            changes = {
                "session_changes": before.session_changes + (last is not None),
                "extended": None,
                "extended_up": None,
                "snapshot_before": None,
                "extended_before": None,
            }
        elif elapsed is not None and last is not None and elapsed == last.values.get("elapsed"):
            changes = {"unchanged": before.unchanged + 1}
        else:
            changes = {"snapshot_before": last}
        state = replace(
            before,
            snapshot=snapshot,
            last_error="",
            last_error_text="",
            last_error_advice="",
            read_time=now.wall,
            read_monotonic=now.monotonic,
            lives=lives,
            basic=self._session.basic,
            **changes,
        )
        if last is None:
            info = self._source.info
            log.info(
                "the host gives statistics",
                extra={
                    "source": info.source,
                    "transport": info.transport,
                    "statistics": len(snapshot.values),
                },
            )
        elif new_session:
            why = "a new id" if last.session_id != snapshot.session_id else "elapsed fell under the same id"
            session = f"{snapshot.session_id:#x}"
            log.info(
                "session change", extra={"session": session, "why": why, "changes": state.session_changes}
            )
        if before.last_error:
            log.info("statistics from the host are back", extra={"after": before.last_error})
        return state
