"""Runs the checks: at once where they may, each with a time limit, all of them within :data:`LIMIT`.

A check runs in a daemon thread. One that hangs is left behind when its time is over, and the program's end ends
it; what needed it is skipped, and nothing else waits.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from exporter.doctor.finding import Check, Diagnosis, Finding, Verdict, fail, skip
from exporter.doctor.world import World

LIMIT = 4.0
"""Seconds for everything. Start and report of the program come on top, and 5 s is what is promised."""

_BAD = (Verdict.FAIL, Verdict.SKIPPED)


def examine(
    checks: Iterable[Check],
    world: World,
    *,
    limit: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Finding]:
    """Every check's finding, in the order of the checks, within ``limit`` seconds or :data:`LIMIT`."""
    most = LIMIT * world.system.patience if limit is None else limit
    return _Examination([*checks], world, most, clock).run()


class _Examination:
    def __init__(self, checks: list[Check], world: World, limit: float, clock: Callable[[], float]) -> None:
        self._checks = checks
        self._world = world
        self._clock = clock
        self._end = clock() + limit
        self._codes = {check.code for check in checks}
        self._waiting = list(checks)
        self._running: dict[str, tuple[Check, float]] = {}
        self._found: dict[str, Finding] = {}
        self._done: queue.SimpleQueue[tuple[Check, Diagnosis]] = queue.SimpleQueue()

    def run(self) -> list[Finding]:
        self._start()
        while self._running:
            self._wait()
            self._start()
        return [self._found[check.code] for check in self._checks]

    def _start(self) -> None:
        """Start, or skip, whatever waits for nothing any more; skipping one may settle the next."""
        settled = True
        while settled:
            settled = False
            for check in tuple(self._waiting):
                if not self._known(check):
                    continue
                self._waiting.remove(check)
                settled = True
                if cause := self._missing(check):
                    because = self._found[cause].because or cause
                    self._found[check.code] = Finding(
                        check, skip(f"Skipped because of {because}."), 0.0, because
                    )
                else:
                    self._running[check.code] = (check, self._clock())
                    threading.Thread(
                        target=self._work, args=(check,), name=f"doctor-{check.code}", daemon=True
                    ).start()

    def _known(self, check: Check) -> bool:
        """Whether all that this check waits for is known. What is not part of the examination is not waited for."""
        return all(code in self._found or code not in self._codes for code in (*check.needs, *check.after))

    def _missing(self, check: Check) -> str:
        return next(
            (code for code in check.needs if code in self._found and self._found[code].verdict in _BAD), ""
        )

    def _work(self, check: Check) -> None:
        try:
            diagnosis = check.run(self._world)
        except Exception as error:  # noqa: BLE001  one check's mistake must not cost the others
            diagnosis = fail(
                f"This check ended by a mistake in this program ({type(error).__name__}: {error}); please report it.",
                None,
            )
        self._done.put((check, diagnosis))

    def _wait(self) -> None:
        """Until one ends, or the next one's time is over."""
        ends = {code: min(began + check.limit, self._end) for code, (check, began) in self._running.items()}
        try:
            check, diagnosis = self._done.get(timeout=max(min(ends.values()) - self._clock(), 0.0))
        except queue.Empty:
            now = self._clock()
            for code in [code for code, end in ends.items() if end <= now]:
                check, began = self._running[code]
                self._settle(
                    check,
                    fail(
                        f"No result within {now - began:.1f} s: something that this check asks hangs.", None
                    ),
                )
        else:
            # A check that was given up may still end; its finding stands.
            if check.code in self._running:
                self._settle(check, diagnosis)

    def _settle(self, check: Check, diagnosis: Diagnosis) -> None:
        _, began = self._running.pop(check.code)
        self._found[check.code] = Finding(check, diagnosis, self._clock() - began)


def weigh(findings: Iterable[Finding], source: str) -> list[Finding]:
    """Findings as they count for ``source`` (``auto``, ``guestrpc``, ``library``).

    With ``auto`` the library is a substitute for GuestRPC: that it is not there is no failure, and where it answers, a
    broken first one is none either. A system without rows for GuestRPC has nothing but the library. A library that is forced and
    answers has found VMware, whatever the hypervisor seems to be: nothing is to be changed then.
    """
    findings = [*findings]
    answered = any(each.code == "library-answer" and each.verdict is Verdict.OK for each in findings)
    if source == "auto" and any(each.check.source == "guestrpc" for each in findings):
        sources = {"library", "guestrpc"} if answered else {"library"}
        spare = {each.code for each in findings if each.check.source in sources}
    else:
        spare = {"hypervisor"} if source == "library" and answered else set()
    return [
        replace(
            each,
            diagnosis=replace(
                each.diagnosis,
                verdict=Verdict.WARN,
                advice=None if each.code == "hypervisor" else each.diagnosis.advice,
            ),
        )
        if each.verdict is Verdict.FAIL and each.code in spare
        else each
        for each in findings
    ]
