"""Five questions, their answers in words, and the thresholds between them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.insight.verdict import Answer, Level, Vitals, hertz, judge, percent, size, summary

INF = float("inf")
GIB = 2**30
MIB = 2**20

WELL = Vitals(
    window=300.0,
    vcpus=4.0,
    host_frequency=2.5e9,
    cpu_limit=INF,
    used=0.4,
    stolen=0.001,
    guest_memory=8.0 * GIB,
    memory_limit=INF,
    ballooned=0.0,
    balloon_target=0.0,
    balloon_max=5.2 * GIB,
    swapped=0.0,
    zipped=0.0,
    swap_in=0.0,
    memory_contention=0.0,
)
"""A VM that lacks nothing: 4 vCPUs of 2.5 GHz, 8 GiB."""

LIMITED = replace(WELL, cpu_limit=5e9, used=0.5, stolen=0.3)
"""Half of what it could use is allowed, and used up."""


def answers(vitals: Vitals) -> dict[str, Answer]:
    names = ("cpu limit", "neighbours", "memory limit", "balloon", "swap")
    return dict(zip(names, judge(vitals), strict=True))


CASES: tuple[tuple[str, str, Vitals, Level, str], ...] = (
    ("cpu limit", "none", WELL, Level.OK, "No CPU limit is set."),
    ("cpu limit", "not told", replace(WELL, cpu_limit=None), Level.UNKNOWN, "does not tell the CPU limit"),
    ("cpu limit", "no frequency", replace(LIMITED, host_frequency=None), Level.UNKNOWN, "CPU limit of 5 GHz is set; whether it binds"),
    ("cpu limit", "no vCPUs", replace(LIMITED, vcpus=None), Level.UNKNOWN, "whether it binds"),
    ("cpu limit", "scales with the VM", replace(WELL, cpu_limit=9.8e9), Level.OK, "9.8 GHz is no less than the vCPUs can use"),
    ("cpu limit", "binds", replace(WELL, cpu_limit=9.79e9), Level.INFO, "Nothing is lost until the load gets there; now 41 % of it is used."),
    ("cpu limit", "binds, use unknown", replace(LIMITED, used=None), Level.INFO, "allows 50 % of what the vCPUs could use. Nothing is lost until the load gets there."),
    ("cpu limit", "throttles", LIMITED, Level.WARNING, "5 GHz is used up (100 %) and holds each vCPU back for 30 % of the time"),
    ("cpu limit", "used up, nothing lost", replace(LIMITED, stolen=0.01), Level.INFO, "now 100 % of it is used"),
    ("cpu limit", "nearly used up", replace(LIMITED, used=0.474), Level.INFO, "now 95 % of it is used"),
    ("cpu limit", "used up, stolen unknown", replace(LIMITED, stolen=None), Level.INFO, "now 100 % of it is used"),
    ("cpu limit", "of nothing", replace(LIMITED, cpu_limit=0.0), Level.INFO, "allows 0 %"),
    ("neighbours", "quiet", WELL, Level.OK, "ready but not run for 0.1 % of the time."),
    ("neighbours", "not told", replace(WELL, stolen=None), Level.UNKNOWN, "no stolen time, or there are not two readings yet"),
    ("neighbours", "just quiet", replace(WELL, stolen=0.025), Level.OK, "2.5 %"),
    ("neighbours", "stirring", replace(WELL, stolen=0.05), Level.INFO, "5.0 % of the time: worth watching"),
    ("neighbours", "noisy", replace(WELL, stolen=0.1), Level.WARNING, "10 % of the time: the host has too little CPU"),
    ("neighbours", "unbearable", replace(WELL, stolen=0.11), Level.CRITICAL, "11 % of the time"),
    ("neighbours", "innocent", LIMITED, Level.OK, "30 % of the time, which the CPU limit explains"),
    ("memory limit", "none", WELL, Level.OK, "No memory limit is set."),
    ("memory limit", "not told", replace(WELL, memory_limit=None), Level.UNKNOWN, "does not tell the memory limit"),
    ("memory limit", "of an unknown guest", replace(WELL, memory_limit=4.0 * GIB, guest_memory=None), Level.UNKNOWN, "4 GiB is set"),
    ("memory limit", "covers", replace(WELL, memory_limit=7.9 * GIB), Level.OK, "7.9 GiB covers all"),
    ("memory limit", "binds", replace(WELL, memory_limit=4.0 * GIB), Level.WARNING, "4 GiB is below the 8 GiB that the guest sees"),
    ("balloon", "empty", WELL, Level.OK, "The balloon is empty."),
    ("balloon", "not told", replace(WELL, ballooned=None), Level.UNKNOWN, "does not tell the balloon's size"),
    ("balloon", "coming", replace(WELL, balloon_target=1.0 * GIB), Level.WARNING, "is empty. The host is about to take 1 GiB more."),
    ("balloon", "coming a little", replace(WELL, balloon_target=64.0 * MIB), Level.OK, "is empty."),
    ("balloon", "small", replace(WELL, ballooned=0.4 * GIB), Level.INFO, "taken 410 MiB of the guest's memory back, 5.0 % of it"),
    ("balloon", "big", replace(WELL, ballooned=0.5 * GIB), Level.WARNING, "512 MiB of the guest's memory back, 6.2 % of it"),
    ("balloon", "growing", replace(WELL, ballooned=0.1 * GIB, balloon_target=0.3 * GIB), Level.WARNING, "about to take 205 MiB more"),
    ("balloon", "full", replace(WELL, ballooned=5.0 * GIB), Level.WARNING, "near its maximum; after that the host swaps"),
    ("balloon", "of an unknown guest", replace(WELL, ballooned=0.5 * GIB, guest_memory=None), Level.INFO, "512 MiB of the guest's memory back; no process"),
    ("balloon", "without a maximum", replace(WELL, ballooned=0.1 * GIB, balloon_max=None, balloon_target=None), Level.INFO, "102 MiB"),
    ("swap", "none", WELL, Level.OK, "Nothing is in the host's swap."),
    ("swap", "not told", replace(WELL, swapped=None), Level.UNKNOWN, "does not tell how much it has swapped"),
    ("swap", "coming back", replace(WELL, swapped=1.0 * GIB, swap_in=2.0 * MIB), Level.WARNING, "2 MiB a second come back from the host's disk (1 GiB are out)"),
    ("swap", "waited for", replace(WELL, memory_contention=0.02), Level.WARNING, "waited for memory for 2.0 % of the time"),
    ("swap", "hardly waited for", replace(WELL, memory_contention=0.01), Level.OK, "Nothing"),
    ("swap", "past", replace(WELL, swapped=300.0 * MIB), Level.INFO, "300 MiB of its memory are in the host's swap"),
    ("swap", "compressed", replace(WELL, zipped=1.5 * MIB), Level.INFO, "1.5 MiB of its memory are compressed"),
    ("swap", "rates unknown", replace(WELL, swap_in=None, memory_contention=None, zipped=None), Level.OK, "Nothing"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "vitals", "level", "words"),
    [(topic, vitals, level, words) for topic, _, vitals, level, words in CASES],
    ids=[f"{topic}: {name}" for topic, name, *_ in CASES],
)
def test_answer(topic: str, vitals: Vitals, level: Level, words: str) -> None:
    found = answers(vitals)[topic]
    assert (found.level, words in found.text) == (level, True), found


class TestSummary:
    def test_all_is_well(self) -> None:
        assert summary(judge(WELL)) == (Level.OK, "Nothing is held back.")

    def test_all_is_well_as_far_as_can_be_said(self) -> None:
        level, text = summary(judge(replace(WELL, stolen=None)))
        assert level is Level.OK
        assert text == "Nothing is held back. Not every question could be answered."

    def test_nothing_known(self) -> None:
        assert summary(judge(Vitals())) == (Level.UNKNOWN, "Nothing can be said yet.")

    def test_the_worst_speaks(self) -> None:
        level, text = summary(judge(replace(WELL, stolen=0.2, ballooned=1.0 * GIB)))
        assert level is Level.CRITICAL
        assert text == answers(replace(WELL, stolen=0.2))["neighbours"].text

    def test_equals_speak_together(self) -> None:
        vitals = replace(WELL, ballooned=1.0 * GIB, memory_limit=4.0 * GIB)
        found = answers(vitals)
        assert summary(judge(vitals)) == (
            Level.WARNING,
            f"{found['memory limit'].text} {found['balloon'].text}",
        )


amounts = st.none() | st.floats(0, 1e15)
limits = amounts | st.just(INF)
any_vitals = st.builds(
    Vitals,
    **{
        field.name: limits if field.name.endswith("_limit") else amounts
        for field in fields(Vitals)
        if field.name != "window"
    },
)


@given(any_vitals)
def test_any_numbers_have_an_answer(vitals: Vitals) -> None:
    answers = judge(vitals)
    assert len(answers) == 5
    assert all(answer.question.endswith("?") and answer.threshold for answer in answers)
    assert "nan" not in " ".join(answer.text for answer in answers)
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
