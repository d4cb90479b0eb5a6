"""What the hypervisor does to this VM, in words: questions, each with an answer and the numbers behind it.

Pure. The thresholds are those of the alert rules (``deploy/prometheus/rules``), where they are compared over
time; here they are held against the last minutes. Each says where it comes from. What can't be known is answered
so: silence would read as "all is well".
"""

from __future__ import annotations

from exporter.insight.question import Answer, Level, Question
from exporter.insight.questions import cpu, machine, memory
from exporter.insight.vitals import Vitals

QUESTIONS: tuple[Question, ...] = (
    machine.HEARTBEAT,
    *cpu.ROWS,
    *memory.ROWS,
    *machine.ROWS,
    cpu.STEAL,
)
"""In the order in which a reader asks; among equals the first speaks first."""
BY_THE_HOST = frozenset(row.key for row in (*cpu.ROWS, *memory.ROWS))
"""Questions that the host's numbers answer."""
SPEAKERS = 2
"""Answers that stand at the top of a page."""


def judge(vitals: Vitals) -> tuple[Answer, ...]:
    """Every question, answered."""
    return tuple(
        Answer(row.key, row.title, *row.answer(vitals), row.threshold, row.aside) for row in QUESTIONS
    )


def summary(answers: tuple[Answer, ...]) -> tuple[Level, str]:
    """The worst level, and the worst two answers for the top of a page."""
    telling = sorted(
        (each for each in answers if each.level > Level.UNKNOWN and not each.aside),
        key=lambda each: -each.level,
    )
    if not telling:
        levels = [each.level for each in answers if each.key in BY_THE_HOST]
        if Level.OK not in levels:
            return Level.UNKNOWN, "Nothing can be said yet."
        if any(each.key == "host" and each.level is Level.UNKNOWN for each in answers):
            return (
                Level.UNKNOWN,
                "Nothing is seen to be held back, but CPU time lost to the host can't be told.",
            )
        rest = " Not every question could be answered." if Level.UNKNOWN in levels else ""
        return Level.OK, f"Nothing is held back.{rest}"
    return telling[0].level, " ".join(each.text for each in telling[:SPEAKERS])
