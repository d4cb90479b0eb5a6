"""The last hour in memory: what is kept, for how long, and what can be told from two readings."""

from __future__ import annotations

from array import array

import pytest

from exporter.insight.history import KEPT, SPAN, STEP, WINDOW, History, Moment, moment_of
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
    return moment_of(polled.snapshot, polled.extended, guest, at)


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


def recorded(*times: float, session: int = 1) -> History:
    history = History()
    for at in times:
        history.record(state(at + 1.0, session, read_at=at), GUEST, at)
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

    def test_polls_without_an_answer_leave_a_gap(self) -> None:
        history = recorded(0.0)
        history.record(PollState(interval=5.0), GUEST, 10.0)
        # Failed polls: the snapshot stands, and is too old.
        history.record(state(1.0, read_at=0.0), GUEST, 20.0)
        history.record(state(31.0, read_at=30.0), GUEST, 30.0)
        assert [one.at for one in history.moments] == [0.0, 30.0]

    def test_what_is_kept_has_names_of_its_own(self) -> None:
        assert len(set(KEPT)) == len(KEPT)

    def test_it_is_small(self) -> None:
        assert isinstance(moment(1.0).numbers, array)


class TestWindow:
    def test_none_before_two_moments(self) -> None:
        assert History().window() is None
        assert recorded(0.0).window() is None

    def test_the_last_minutes(self) -> None:
        first, last = recorded(*map(float, range(0, 1001, 10))).window() or pytest.fail("no window")
        assert (first.at, last.at) == (1000.0 - WINDOW, 1000.0)

    def test_within_the_present_session_alone(self) -> None:
        history = History()
        for at in range(0, 101, 10):
            history.record(state(at + 1.0, 1 if at < 70 else 2, read_at=float(at)), GUEST, float(at))
        first, last = history.window() or pytest.fail("no window")
        assert (first.at, last.at) == (70.0, 100.0)
