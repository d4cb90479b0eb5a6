"""A check over time: it looks in a thread of its own, and :mod:`exporter.ha.check_state` judges.

A check that hangs is a failed check: nobody waits for it, its silence is counted.
"""

from __future__ import annotations

import threading

from exporter.ha import sturdy
from exporter.ha.check_state import CheckState, CheckTiming
from exporter.ha.kept import Kept
from exporter.ha.look import NotKnownYet, OwnFault, Probe, Starved, look
from exporter.ha.running_clock import RunningClock
from exporter.threads import Thread


class CheckRunner:
    """Looks with ``probe`` every interval, in a thread of its own that may hang. Its times are those of ``clock``.

    ``of`` says what is checked, in a word that another check does not have.
    """

    def __init__(
        self, name: str, probe: Probe, timing: CheckTiming, clock: RunningClock, of: str = ""
    ) -> None:
        self.name, self._of = name, of
        self._probe = probe
        self.state = CheckState(timing, clock())
        """What its looks have shown, and what they are worth."""
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        # A check that hangs does not keep the process from its end.
        Thread(self._run).start()

    def stop(self) -> None:
        """No more looks. One that is under way is left to itself."""
        self._stop.set()

    def kept(self, now: float) -> Kept:
        """For a successor of this process."""
        return self.state.kept(now, getattr(self._probe, "memory", ()))._replace(of=self._of)

    def goes_on(self, kept: Kept) -> bool:
        """Before :meth:`start`: what a predecessor has found counts on, where it has looked at the same; whether it has."""
        if kept.of != self._of:
            return False
        self.state.goes_on(kept)
        if kept.memory and hasattr(self._probe, "memory"):
            self._probe.memory = kept.memory
        return True

    def _run(self) -> None:
        sturdy.keep_on(self._turn, f"check {self.name}")

    def _turn(self) -> bool:
        if self._stop.is_set():
            return False
        begun = self._clock()
        try:
            self._look(begun)
        except Exception as error:
            # Whatever fails here is the exporter's: what is checked has no part in it.
            self.state.not_looked(self._clock(), f"the exporter could not look: {type(error).__name__}")
            raise
        return not self._stop.wait(self.state.pause(begun, self._clock()))

    def _look(self, begun: float) -> None:
        state, stood = self.state, self._clock.stood
        state.begin(begun)
        problem: str | OwnFault | NotKnownYet | None
        try:
            problem = look(self._probe, state.limit)
        except (OwnFault, NotKnownYet) as error:
            problem = error
        ended = self._clock()
        if state.spoils(ended, self._clock.stood - stood):
            return
        match problem:
            case Starved():
                state.not_run(ended, str(problem))
            case OwnFault():
                state.not_looked(ended, str(problem))
            case NotKnownYet():
                state.not_known(ended, str(problem))
            case _:
                state.end(ended, problem)
