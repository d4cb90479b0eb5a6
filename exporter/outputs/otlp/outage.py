"""What the log says of the receiver: once for each change, and each cause of an outage once."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable

from exporter.outputs.otlp.client import ExportResult, Outcome

log = logging.getLogger("exporter.otlp")

REMIND = 3600.0
"""Seconds after which a rejection or a warning in the same words is logged again."""
WORDINGS = 8
"""Of one code, at most, that are said in an outage or within :data:`REMIND`."""


class Outage:
    """Says once what changed: that exports fail and why, that some are lost, that the receiver is back."""

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._since: float | None = None
        """When exports began to wait; None while none does."""
        self._causes = Wordings(clock)
        self._words = Wordings(clock, REMIND)
        self._lost = 0
        self._rejected = 0

    def ended(self, result: ExportResult) -> None:
        if result.outcome is Outcome.FAILED:
            if self._since is None:
                self._since = self._clock()
            # A refused port at 2 o'clock and a refused token at 3 are two things to know.
            if self._causes.is_news(result.code, result.reason):
                log.warning("the OTLP receiver takes no exports, which wait", extra=self._why(result))
            return
        if result.outcome is Outcome.REJECTED:
            self._rejected += 1
        else:
            self._recovered()
        if not self._words.is_news(result.code, result.reason):
            return
        if result.outcome is Outcome.REJECTED:
            log.warning("the OTLP receiver rejects exports, which are dropped", extra=self._why(result))
        elif result.outcome is Outcome.PARTIAL:
            log.warning(
                "the OTLP receiver refuses some points",
                extra={**self._why(result), "points": result.refused_points},
            )
        elif result.reason:
            log.warning("the OTLP receiver took everything, with a warning", extra={"warning": result.reason})

    def _why(self, result: ExportResult) -> dict[str, object]:
        return {"endpoint": self._endpoint, "reason": result.reason or result.code}

    def dropped(self, exports: int) -> None:
        if not self._lost:
            log.warning("the oldest waiting exports are dropped")
        self._lost += exports

    def _recovered(self) -> None:
        if self._since is not None:
            after = round(self._clock() - self._since, 1)
            lost = self._lost + self._rejected
            log.info("the OTLP receiver takes exports again", extra={"after": after, "dropped": lost})
        self._since, self._lost, self._rejected = None, 0, 0
        self._causes.forget()


class Wordings:
    """Remembers what was said for ``span`` seconds. Numbers and ids make no other words, and of many some will do."""

    def __init__(self, clock: Callable[[], float], span: float = math.inf) -> None:
        self._clock = clock
        self._span = span
        self._said: dict[tuple[str, str], float] = {}

    def is_news(self, code: str, words: str) -> bool:
        """Whether it is to be said now."""
        now = self._clock()
        self._said = {each: said for each, said in self._said.items() if now - said < self._span}
        topic = (code, re.sub(r"[\da-fA-F-]*\d[\da-fA-F-]*", "#", words))
        if topic in self._said or sum(each == code for each, _ in self._said) >= WORDINGS:
            return False
        self._said[topic] = now
        return True

    def forget(self) -> None:
        self._said.clear()
