"""Sums over any sequence of polls: exact, never negative, nothing lost. The model below shares nothing with the code."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.insight.interval import between
from exporter.insight.ledger import SHARES, Ledger
from exporter.insight.observer import Observer
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot

GUEST = Guest(2, 2**30)


@dataclass(frozen=True)
class Poll:
    """``failed``: no answer. ``passed`` ms by the host since the last answer; 0 is a repeat. ``lacks``: no stolen."""

    failed: bool
    passed: int
    used: int
    stolen: int
    session: bool
    limit: int
    lacks: bool


POLLS = st.lists(
    st.builds(
        Poll,
        failed=st.booleans(),
        passed=st.sampled_from([0, 0, 1, 250, 5000, 60_000]),
        used=st.integers(0, 20_000),
        stolen=st.integers(0, 20_000),
        session=st.sampled_from([False, False, False, False, True]),
        limit=st.sampled_from([0, 1300, 3919, 5200, 0xFFFFFFFF]),
        lacks=st.sampled_from([False, False, False, True]),
    ),
    max_size=30,
)


def play(polls: list[Poll]) -> tuple[Observer, int, list[tuple[int, int, int]]]:
    """The observer, what was stolen between the first and the last answer that told it of each session, and the sums."""
    observer = Observer(lambda: GUEST)
    session, elapsed, used, stolen = 1, 1000, 0, 0
    told: dict[int, list[int]] = {}
    sums = []
    snapshot = None
    for number, poll in enumerate(polls, 1):
        if poll.session:
            session, elapsed, used, stolen = session + 1, 1000, 0, 0
        if poll.passed:
            elapsed, used, stolen = elapsed + poll.passed, used + poll.used, stolen + poll.stolen
        if not poll.failed:
            values = {
                "elapsed": elapsed,
                "cpu_used": used,
                "cpu_stolen": stolen,
                "cpu_limit": poll.limit,
                "host_cpu_frequency": 2000,
            }
            if poll.lacks:
                del values["cpu_stolen"]
            else:
                told.setdefault(session, []).append(stolen)
            snapshot = Snapshot(session, 3, values)
        observer.polled(
            PollState(
                interval=5.0,
                snapshot=snapshot,
                read_monotonic=5.0 * number,
                polls=number,
                last_error="timeout" if poll.failed else "",
            )
        )
        ledger = observer.insight.ledger
        sums.append((ledger.limit, ledger.host, ledger.undetermined))
    return observer, sum(each[-1] - each[0] for each in told.values()), sums


@given(POLLS)
@settings(deadline=None)
def test_the_sum_is_the_growth_of_stolen_exactly(polls: list[Poll]) -> None:
    observer, stolen, _ = play(polls)
    ledger = observer.insight.ledger
    assert ledger.limit + ledger.host + ledger.undetermined == stolen


@given(POLLS)
@settings(deadline=None)
def test_no_sum_ever_falls(polls: list[Poll]) -> None:
    _, _, sums = play(polls)
    for before, after in pairwise(sums):
        assert all(now >= then >= 0 for then, now in zip(before, after, strict=True))


@given(POLLS)
@settings(deadline=None)
def test_a_histogram_never_counts_more_than_there_were_polls(polls: list[Poll]) -> None:
    observer, _, _ = play(polls)
    ratio = observer.insight.ledger.stolen_ratio
    assert ratio is not None
    assert ratio.count <= sum(not poll.failed for poll in polls)
    assert ratio.counts == tuple(sorted(ratio.counts))


def interval(elapsed: int, stolen: int) -> Ledger:
    def snapshot(at: int, taken: int) -> Snapshot:
        return Snapshot(1, 3, {"elapsed": at, "cpu_stolen": taken, "cpu_limit": 0xFFFFFFFF})

    found = between(snapshot(0, 0), snapshot(elapsed, stolen), 2)
    assert found is not None
    return Ledger.empty().add(found, 10.0)


def test_an_interval_is_one_observation_of_its_share() -> None:
    ratio = interval(5000, 1000).stolen_ratio
    assert ratio is not None
    assert (ratio.bounds, ratio.count) == (SHARES, 1)
    assert ratio.sum == pytest.approx(0.1)
    assert ratio.counts == (0, 0, 0, 0, 1, 1, 1, 1)


def test_a_long_interval_is_counted_and_is_no_sample() -> None:
    ledger = interval(10_001, 1000)
    assert ledger.host == 1000
    assert ledger.stolen_ratio is not None
    assert ledger.stolen_ratio.count == 0


def test_without_histograms_the_sums_go_on() -> None:
    found = between(
        Snapshot(1, 3, {"elapsed": 0, "cpu_stolen": 0}), Snapshot(1, 3, {"elapsed": 9, "cpu_stolen": 3}), 2
    )
    assert found is not None
    ledger = Ledger.empty(histograms=False).add(found, 10.0).add_memory(1.5, 0.1)
    assert (ledger.undetermined, ledger.memory) == (3, 1.5)
    assert ledger.stolen_ratio is ledger.memory_ratio is None


class TestMemory:
    """Memory contention is added up per round of extended statistics, by the round's own time."""

    def state(self, at: float, waited: int | None, session: int = 1, polls: int = 1) -> PollState:
        values = (
            () if waited is None else (ExtendedValue("vm.cpu.contention.mem", waited, "accumulate", "us"),)
        )
        return PollState(
            interval=5.0,
            snapshot=Snapshot(session, 3, {"elapsed": int(1000 * at)}),
            read_monotonic=at,
            polls=polls,
            extended=ExtendedSnapshot(session, {"resources": values}, at, at),
            extended_interval=15.0,
        )

    def test_growth_within_a_session_counts(self) -> None:
        observer = Observer(lambda: GUEST)
        observer.polled(self.state(0.0, 5_000_000))
        assert observer.insight.measured is not None
        assert observer.insight.ledger.memory == 0.0
        observer.polled(self.state(15.0, 8_000_000, polls=2))
        observer.polled(self.state(30.0, 1_000_000, session=2, polls=3))
        observer.polled(self.state(45.0, 2_000_000, session=2, polls=4))
        assert observer.insight.ledger.memory == pytest.approx(4.0)
        ratio = observer.insight.ledger.memory_ratio
        assert ratio is not None
        assert ratio.count == 2
        assert ratio.sum == pytest.approx(3 / 15 / 2 + 1 / 15 / 2)

    def test_one_round_is_one_observation_however_often_the_state_is_told(self) -> None:
        observer = Observer(lambda: GUEST)
        observer.polled(self.state(0.0, 0))
        state = self.state(15.0, 3_000_000, polls=2)
        for _ in range(3):
            observer.polled(state)
        assert observer.insight.ledger.memory == pytest.approx(3.0)

    def test_a_round_that_lacks_the_value_loses_nothing(self) -> None:
        observer = Observer(lambda: GUEST)
        told = []
        for polls, waited in enumerate((1_000_000, 2_000_000, None, 5_000_000), 1):
            observer.polled(self.state(15.0 * polls, waited, polls=polls))
            told.append(observer.insight.measured is not None)
        assert told == [True, True, False, True]
        assert observer.insight.ledger.memory == pytest.approx(4.0)
        ratio = observer.insight.ledger.memory_ratio
        assert ratio is not None
        assert ratio.count == 1, "over a round that lacked it it is no sample"

    def test_a_host_that_does_not_tell_it_ends_it(self) -> None:
        observer = Observer(lambda: GUEST)
        observer.polled(self.state(0.0, 1_000_000))
        observer.polled(self.state(15.0, None, session=2, polls=2))
        assert observer.insight.measured is None

    def test_what_is_not_measured_is_not_there(self) -> None:
        observer = Observer(lambda: GUEST)
        observer.polled(self.state(0.0, None))
        assert observer.insight.measured is None
