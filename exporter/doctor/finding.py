"""What a check is, and what it finds: rows with stable codes.

A check is a function of the :class:`~exporter.doctor.world.World` and returns an :class:`Diagnosis`; it catches
what it expects to go wrong. Which check waits for which stands in its row, not in its code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from exporter.advice import Advice
from exporter.doctor.world import World

Fact = str | int | float | bool | None | Sequence[str] | Mapping[str, str]
Facts = dict[str, Fact]
"""What stands in ``facts`` of ``--json``."""


class Verdict(Enum):
    """The value is the word in the reports."""

    OK = "ok"
    WARN = "warn"
    """The numbers come, or will, but not all of them, or not for long."""
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``sentence``: one plain sentence. ``advice``: what to change and where. ``details``: a line each."""

    verdict: Verdict
    sentence: str
    advice: Advice | None = None
    details: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """A row. ``needs``: codes without which it says nothing (skipped when one failed or was skipped);
    ``after``: codes that it waits for, whatever they say.
    """

    code: str
    title: str
    looks_at: str
    """For the table in docs/doctor.md: what it looks at."""
    run: Callable[[World], Diagnosis]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    source: str = ""
    """``guestrpc`` or ``library`` where it matters to that source alone."""
    real: bool = False
    """Whether it says nothing of a host behind a unix socket (``--guestrpc.socket``), which is a simulated one."""
    linux: bool = True
    """Whether it looks at what only Linux has."""
    limit: float = 1.5
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row and what came of it. ``because``: code of the finding for which it was skipped."""

    check: Check
    diagnosis: Diagnosis
    seconds: float = 0.0
    because: str = ""

    @property
    def code(self) -> str:
        return self.check.code

    @property
    def verdict(self) -> Verdict:
        return self.diagnosis.verdict


def ok(sentence: str, *details: str, **facts: Fact) -> Diagnosis:
    return Diagnosis(Verdict.OK, sentence, None, details, facts)


def warn(sentence: str, advice: Advice | None, *details: str, **facts: Fact) -> Diagnosis:
    return Diagnosis(Verdict.WARN, sentence, advice, details, facts)


def fail(sentence: str, advice: Advice | None, *details: str, **facts: Fact) -> Diagnosis:
    return Diagnosis(Verdict.FAIL, sentence, advice, details, facts)


def skip(sentence: str, **facts: Fact) -> Diagnosis:
    """Of a check that finds nothing to check, or can't see it: neither good nor bad was found."""
    return Diagnosis(Verdict.SKIPPED, sentence, None, (), facts)
