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

from exporter.advice import Advice, advice
from exporter.catalogue.extended_names import uptime as session_uptime
from exporter.errors import POLL_ERROR_KINDS, VMGuestError
from exporter.session.base import Source
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import PollState, Snapshot

log = logging.getLogger("exporter.poller")

JOIN_TIMEOUT = 0.5
"""Seconds that :meth:`Poller.stop` waits for a poll that is under way."""


class Poller:
    """Polls ``source`` every ``interval`` seconds.

    ``on_poll`` is called by the polling thread after each poll, good or bad, with the new state. ``extended``
    reads the extended statistics in what time is left between polls.
    """

    def __init__(
        self,
        source: Source,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        on_poll: Callable[[PollState], None] | None = None,
        extended: ExtendedReader | None = None,
    ) -> None:
        self._source = source
        self._interval = interval
        self._clock = clock
        self._wall = wall
        self._on_poll = on_poll
        self._extended = extended
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = PollState(
            started=wall(),
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
        """The loop itself, until :meth:`stop`."""
        deadline = self._clock()
        while not self._stop.is_set():
            self.poll()
            deadline += self._interval
            self.poll_extended(deadline)
            late = self._clock() - deadline
            if late > 0:
                missed = math.ceil(late / self._interval)
                deadline += missed * self._interval
                self._state = replace(self._state, missed=self._state.missed + missed)
            self._stop.wait(deadline - self._clock())

    def poll(self) -> None:
        """Ask the host once and publish the outcome."""
        before = self._state
        begun = self._clock()
        try:
            snapshot = self._source.read()
        except VMGuestError as error:
            # A recording fails as its host did; nothing on this machine can help it.
            what = None if self._source.info.source == "replay" else advice(error)
            state = self._failed(before, error.kind, str(error), what)
        except Exception as error:
            if before.last_error != "internal":
                log.exception("a poll failed by a mistake in this program")
            state = self._failed(before, "internal", f"{type(error).__name__}: {error}")
        else:
            state = self._succeeded(before, snapshot)
        now = self._clock()
        log.debug("poll", extra={"seconds": now - begun, "outcome": state.last_error or "good"})
        self._state = replace(
            state,
            polls=state.polls + 1,
            duration=state.duration.observe(now - begun),
            source=self._source.info,
            library_restarts=self._source.restarts,
        )
        try:
            if self._on_poll is not None:
                self._on_poll(self._state)
        except Exception:
            # Whoever listens must not end the thread that polls. Left out from now on: it would fail each time.
            log.exception("what is told of each poll failed by a mistake in this program")
            self._on_poll = None

    def poll_extended(self, deadline: float) -> None:
        """Go on with the extended statistics until ``deadline``, after a good basic poll, and publish them."""
        state = self._state
        if self._extended is None or state.snapshot is None or state.last_error:
            return
        extended = self._extended.step(self._source, state.snapshot.session_id, deadline)
        start = state.session_start
        if extended.snapshot is not None and extended.snapshot is not state.extended:
            uptime = session_uptime(extended.snapshot.groups)
            # The host's own word on its session's start, where it differs from the one derived from elapsed by
            # more than the time between the two reads can explain. Small steps would move it for nothing.
            if uptime is not None and abs(extended.snapshot.read_time - uptime - start) > 1:
                start = extended.snapshot.read_time - uptime
        self._state = replace(
            state,
            session_start=start,
            extended=extended.snapshot,
            extended_up=extended.up,
            extended_dropped=extended.dropped,
        )

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
        wall, monotonic = self._wall(), self._clock()
        last = before.snapshot
        state = replace(
            before,
            last_error="",
            last_error_text="",
            last_error_advice="",
            read_time=wall,
            read_monotonic=monotonic,
        )
        elapsed = snapshot.values.get("elapsed")
        new_session = last is None or last.session_id != snapshot.session_id
        if new_session:
            ran = elapsed / 1000 if isinstance(elapsed, int) else 0.0
            state = replace(
                state, session_start=wall - ran, session_changes=before.session_changes + (last is not None)
            )
        elif elapsed is not None and last is not None and elapsed == last.values.get("elapsed"):
            state = replace(state, unchanged=before.unchanged + 1)
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
            session = f"{snapshot.session_id:#x}"
            log.info("session change", extra={"session": session, "changes": state.session_changes})
        if before.last_error:
            log.info("statistics from the host are back", extra={"after": before.last_error})
        return replace(state, snapshot=snapshot)
