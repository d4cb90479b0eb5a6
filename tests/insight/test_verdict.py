"""All questions together, the summary of them, and thresholds that are those of the alert rules."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.insight import interval, memory
from exporter.insight.memory import Reclaim
from exporter.insight.question import Level
from exporter.insight.questions import cpu, machine
from exporter.insight.questions import memory as memory_questions
from exporter.insight.verdict import QUESTIONS, judge, summary
from exporter.insight.vitals import Vitals
from exporter.insight.words import hertz, percent, size, span
from tests.insight.questions.asking import answer
from tests.insight.vitals import GIB, GUEST, INF, WELL

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"


NOTHING = Vitals()
"""Before the first poll."""


class TestSummary:
    def test_all_is_well(self) -> None:
        assert summary(judge(WELL)) == (Level.OK, "Nothing is held back.")

    def test_nothing_known(self) -> None:
        assert summary(judge(NOTHING)) == (Level.UNKNOWN, "Nothing can be said yet.")

    def test_all_is_well_as_far_as_can_be_said(self) -> None:
        level, text = summary(judge(replace(WELL, numa_local=None)))
        assert (level, text) == (Level.OK, "Nothing is held back. Not every question could be answered.")

    def test_nobody_is_cleared_where_stolen_time_is_not_told(self) -> None:
        assert summary(judge(replace(WELL, lost_host=None))) == (
            Level.UNKNOWN,
            "Nothing is seen to be held back, but CPU time lost to the host can't be told.",
        )

    def test_the_worst_two_speak_worst_first(self) -> None:
        vitals = replace(WELL, ballooned=1.0 * GIB, lost_host=0.2, numa_local=0.5)
        assert summary(judge(vitals)) == (
            Level.CRITICAL,
            f"{answer('host', vitals).text} {answer('balloon', vitals).text}",
        )

    def test_what_is_beside_the_point_does_not_speak(self) -> None:
        assert summary(judge(replace(WELL, steal_accounting=False))) == (Level.OK, "Nothing is held back.")


def test_questions_have_keys_of_their_own_and_say_what_they_rest_on() -> None:
    assert len({row.key for row in QUESTIONS}) == len(QUESTIONS)
    assert all(row.title.endswith("?") and row.threshold.endswith(".") for row in QUESTIONS)


RULE_OF = (
    (cpu.STARVED, "VMGuestCPUStarved", r"stolen:ratio > ([\d.]+)"),
    (cpu.BADLY_STARVED, "VMGuestCPUStarved", r"stolen:ratio > ([\d.]+)"),
    (interval.HELD_BACK, "VMGuestCPULimitThrottling", r"stolen:ratio > ([\d.]+)"),
    (interval.BINDING, "VMGuestCPULimitBinding", r"< ([\d.]+)"),
    (interval.BINDING, "VMGuestMemoryLimitBinding", r"< ([\d.]+)"),
    (memory_questions.BALLOONED, "VMGuestBallooned", r"> ([\d.]+)"),
    (memory_questions.NEAR_MAXIMUM, "VMGuestBalloonNearMaximum", r"> ([\d.]+)"),
    (memory.AHEAD / 2**20, "VMGuestBalloonGrowing", r"> (\d+) \* 1024 \* 1024"),
    (memory_questions.STALLED, "VMGuestMemoryContention", r"> ([\d.]+)"),
    (memory_questions.NUMA_LOCAL, "VMGuestNUMARemote", r"< ([\d.]+)"),
    (machine.CHURN, "VMGuestSessionChurn", r"> ([\d.]+)"),
)


@pytest.mark.parametrize(
    ("threshold", "alert", "pattern"), RULE_OF, ids=[f"{row[1]} {row[0]}" for row in RULE_OF]
)
def test_thresholds_are_those_of_the_alert_rules(threshold: float, alert: str, pattern: str) -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(RULES.glob("*.yml")))
    expressions = re.findall(rf"- alert: {alert}\n(?:\s+#.*\n)*\s+expr: (?:>-\n)?(.*(?:\n {{10,}}.*)*)", text)
    assert expressions, alert
    numbers = {float(number) for expression in expressions for number in re.findall(pattern, expression)}
    assert threshold in numbers, (alert, numbers)


# No quantity of a host, in base units, is smaller than a thousandth.
amounts = st.none() | st.just(0.0) | st.floats(1e-3, 1e15)
any_vitals = st.builds(
    Vitals,
    **{
        field.name: (amounts | st.just(INF) if field.name in {"cpu_limit", "memory_limit"} else amounts)
        for field in fields(Vitals)
        if field.type == "float | None"
    },
    guest=st.just(GUEST),
    reclaim=st.builds(Reclaim, *[amounts] * 4),
    high=st.integers(0, 100),
    balloon_stuck=st.floats(0, 1e6),
)


@given(any_vitals)
def test_any_numbers_have_an_answer(vitals: Vitals) -> None:
    answers = judge(vitals)
    assert len(answers) == len(QUESTIONS)
    assert not re.search(r"\b(nan|None|inf)\b", " ".join(each.text for each in answers))
    assert summary(answers)[1]


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0, "0 %"),
        (0.00001, "0.1 %"),
        (0.0312, "3.1 %"),
        (0.0999, "10.0 %"),
        (0.126, "13 %"),
        (1.0, "100 %"),
    ],
)
def test_percent(ratio: float, text: str) -> None:
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0.0, "0 bytes"),
        (1023.0, "1023 bytes"),
        (1536.0, "1.5 KiB"),
        (2.0 * GIB, "2 GiB"),
        (300.5 * GIB, "300 GiB"),
        (2.0**41, "2 TiB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("rate", "text"), [(2.594e9, "2.59 GHz"), (800e6, "800 MHz"), (10e9, "10 GHz")])
def test_hertz(rate: float, text: str) -> None:
    assert hertz(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.0003, "300 µs"), (0.0345, "34.5 ms"), (5.0, "5 s"), (0.25, "0.2 s"), (119.0, "119 s"), (300.0, "5 minutes"), (150.0, "2.5 minutes"), (7200.0, "2 hours"), (864_000.0, "10 days")],
)  # fmt: skip
def test_span(seconds: float, text: str) -> None:
    assert span(seconds) == text
