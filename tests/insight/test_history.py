"""The last hour in memory: what is kept, for how long, and what can be told from two readings."""

from __future__ import annotations

from sys import getsizeof

import pytest

from exporter.insight.history import KEPT, SPAN, STEP, WINDOW, History, Moment, Seen, moment_of, since, window
from exporter.insight.ledger import Ledger
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot

GUEST = Guest(2, None)


def state(at: float, session: int = 1, read_at: float | None = None, **values: int) -> PollState:
    """A poll of a host that has run for ``at`` seconds, half of a vCPU used and a tenth stolen."""
    numbers = {"elapsed": int(1000 * at), "cpu_used": int(500 * at), "cpu_stolen": int(100 * at)} | values
    read_at = at if read_at is None else read_at
    extended = ExtendedSnapshot(
        session,
        {
            "resources": (
                ExtendedValue("vm.cpu.contention.cpu", 9_000_000 * at, "accumulate", "us"),
                ExtendedValue("vm.cpu.contention.mem", 20_000 * at, "accumulate", "us"),
                ExtendedValue("guest.mem.swapIn", 4 * at, "accumulate", "KB"),
            )
        },
        read_at,
        read_at,
    )
    return PollState(
        interval=5.0,
        snapshot=Snapshot(session, 3, numbers),
        read_monotonic=read_at,
        extended=extended,
        extended_interval=15.0,
    )


def moment(at: float, session: int = 1, guest: Guest = GUEST, **values: int) -> Moment:
    polled = state(at, session, **values)
    assert polled.snapshot is not None
    return moment_of(Seen(at, polled.snapshot, polled.extended, guest))


class TestMoment:
    def test_it_holds_what_was_polled_in_base_units(self) -> None:
        one = moment(10.0, memory_ballooned=3)
        assert one.get("elapsed") == 10.0
        assert one.get("cpu_used") == 5.0
        assert one.get("memory_ballooned") == 3 * 2**20
        assert one.get("vcpus") == 2.0
        assert one.get("swap_in") == 40 * 1024
        assert one.get("contention_memory") == 0.2
        assert one.session_id == 1

    def test_what_the_host_does_not_give_is_none(self) -> None:
        assert moment(10.0).get("memory_swapped") is None
        bare = moment_of(Seen(1.0, Snapshot(1, 3, {}), None, Guest()))
        assert [bare.get(key) for key in KEPT] == [None] * len(KEPT)

    def test_extended_statistics_go_by_the_time_of_their_own_answer(self) -> None:
        first, last = moment(10.0), moment(20.0)
        again = moment_of(Seen(25.0, Snapshot(1, 3, {"elapsed": 25_000}), state(20.0).extended, GUEST))
        assert last.rate(first, "contention_memory") == pytest.approx(0.02)
        assert again.rate(last, "contention_memory") is None, "the same round"

    def test_rates_are_by_the_hosts_clock(self) -> None:
        first, last = moment(10.0), moment(20.0)._replace(at=999.0)
        assert last.rate(first, "cpu_used") == pytest.approx(0.5)
        assert last.rate(first, "swap_in") == pytest.approx(4096.0)

    def test_shares_are_per_vcpu(self) -> None:
        assert moment(20.0).share(moment(10.0), "cpu_stolen") == pytest.approx(0.05)
        assert moment(20.0).share(moment(10.0), "contention_memory") == pytest.approx(0.01)

    def test_without_vcpus_there_is_no_share(self) -> None:
        assert moment(20.0, guest=Guest()).share(moment(10.0), "cpu_used") is None

    def test_nothing_is_told_across_a_session_change(self) -> None:
        assert moment(20.0, session=2).rate(moment(10.0), "cpu_used") is None

    def test_a_host_that_repeats_itself_has_no_rate(self) -> None:
        assert moment(10.0).rate(moment(10.0), "cpu_used") is None

    def test_a_counter_that_fell_or_is_missing_has_no_rate(self) -> None:
        assert moment(20.0, cpu_used=1).rate(moment(10.0), "cpu_used") is None
        assert moment(20.0).rate(moment(10.0), "memory_swapped") is None


def record(history: History, polled: PollState, at: float) -> None:
    assert polled.snapshot is not None
    history.record(polled.snapshot, polled.extended, GUEST, Ledger(), at)


def recorded(*times: float, session: int = 1) -> History:
    history = History()
    for at in times:
        record(history, state(at + 1.0, session, read_at=at), at)
    return history


class TestHistory:
    def test_polls_that_are_nearer_than_a_step_are_left_out(self) -> None:
        history = recorded(*map(float, range(0, 101, 2)))
        assert [one.at for one in history.moments] == [float(at) for at in range(0, 101, 10)]

    def test_a_poll_that_is_a_little_early_does_not_double_the_step(self) -> None:
        assert len(recorded(0.0, 9.98, 19.97, 29.99).moments) == 4

    def test_it_holds_an_hour_and_no_more(self) -> None:
        history = recorded(*(5.0 * poll for poll in range(2 * int(SPAN / 5))))
        assert len(history.moments) == SPAN / STEP
        assert history.moments[-1].at - history.moments[0].at < SPAN

    def test_an_hour_ends_whether_or_not_anything_came_since(self) -> None:
        moments = recorded(0.0, 10.0, 20.0).moments
        assert [one.at for one in since(moments, 5.0)] == [10.0, 20.0]
        assert since(moments, 1000.0) == ()

    def test_a_repeated_sample_is_no_moment(self) -> None:
        history = recorded(0.0)
        record(history, state(1.0, read_at=10.0), 10.0)
        record(history, state(21.0, read_at=20.0), 20.0)
        assert [one.at for one in history.moments] == [0.0, 20.0]

    def test_bursts_are_those_since_the_moment_before(self) -> None:
        history = recorded(0.0)
        for share in (0.02, 0.3, 0.1):
            history.burst(share, high=share >= 0.1)
        record(history, state(11.0, read_at=10.0), 10.0)
        record(history, state(21.0, read_at=20.0), 20.0)
        assert [one.get("worst") for one in history.moments] == [None, 0.3, None]
        assert [one.get("high") for one in history.moments] == [None, 2.0, None]

    def test_what_is_kept_has_names_of_its_own(self) -> None:
        assert len(set(KEPT)) == len(KEPT)

    def test_an_hour_at_a_second_is_less_than_a_mebibyte(self) -> None:
        moments = recorded(*map(float, range(int(SPAN)))).moments
        size = sum(getsizeof(one) + getsizeof(one.numbers) + 2 * getsizeof(1.0) for one in moments)
        assert size < 2**20 / 4


class TestWindow:
    def test_it_begins_anew_with_the_cpu_limit(self) -> None:
        moments = tuple(
            moment(at, cpu_limit=1000 if at < 50 else 3000) for at in map(float, range(0, 101, 10))
        )
        found = window(moments)
        assert found is not None
        assert [one.at for one in found] == [50.0, 100.0]
        assert window(moments[:6]) is None, "one reading under the new limit"

    def test_none_before_two_moments(self) -> None:
        assert window(()) is None
        assert window(recorded(0.0).moments) is None

    def test_the_last_minutes(self) -> None:
        first, last = window(recorded(*map(float, range(0, 1001, 10))).moments) or pytest.fail("no window")
        assert (first.at, last.at) == (1000.0 - WINDOW, 1000.0)

    def test_within_the_present_session_alone(self) -> None:
        history = History()
        for at in range(0, 101, 10):
            record(history, state(at + 1.0, 1 if at < 70 else 2, read_at=float(at)), float(at))
        first, last = window(history.moments) or pytest.fail("no window")
        assert (first.at, last.at) == (70.0, 100.0)

    def test_counters_that_fell_are_not_compared_with_those_before(self) -> None:
        """Under the same id; the new ones may have grown beyond the old."""
        history = History()
        for at in range(0, 101, 10):
            counted = at + 50 if at < 30 else at - 29
            record(history, state(float(counted), read_at=float(at)), float(at))
        first, last = window(history.moments) or pytest.fail("no window")
        assert (first.at, last.at) == (30.0, 100.0)
