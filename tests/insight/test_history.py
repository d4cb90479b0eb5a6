"""The last hour in memory: what is kept, for how long, and what can be told from two readings."""

from __future__ import annotations

from sys import getsizeof

import pytest

from exporter.insight.growth import Growth, Sum
from exporter.insight.history import (
    KEPT,
    SPAN,
    STEP,
    WINDOW,
    History,
    Moment,
    Seen,
    given,
    moment_of,
    since,
    window,
)
from exporter.insight.interval import between
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, Snapshot

GUEST = Guest(2, None)


def snapshot_at(at: float, **values: int) -> Snapshot:
    """A host that has run for ``at`` seconds, half of a vCPU used and a tenth stolen."""
    numbers = {"elapsed": int(1000 * at), "cpu_used": int(500 * at), "cpu_stolen": int(100 * at)} | values
    return Snapshot(1, 3, numbers)


def extended_at(at: float, swapped_in: float | None = None, *, without: str = "") -> ExtendedSnapshot:
    found = (
        ExtendedValue("vm.cpu.contention.cpu", 9_000_000 * at, "accumulate", "us"),
        ExtendedValue("vm.cpu.contention.mem", 20_000 * at, "accumulate", "us"),
        ExtendedValue("guest.mem.swapIn", 4 * at if swapped_in is None else swapped_in, "accumulate", "KB"),
    )
    return ExtendedSnapshot(1, {"resources": tuple(each for each in found if each.name != without)}, at, at)


def moment(at: float, epoch: int = 1, guest: Guest = GUEST, **values: int) -> Moment:
    """What grew since 0 is known."""
    sums = {
        "cpu_used": Sum(0.5 * at, at),
        "cpu_stolen": Sum(0.1 * at, at),
        "contention_memory": Sum(0.02 * at, at),
        "swap_in": Sum(4096 * at, at),
    }
    return moment_of(Seen(at, epoch, snapshot_at(at, **values), extended_at(at), guest, sums))


class TestMoment:
    def test_it_holds_what_was_polled_in_base_units(self) -> None:
        one = moment(10.0, memory_ballooned=3)
        assert one.get("elapsed") == 10.0
        assert one.get("cpu_used") == 5.0
        assert one.get("memory_ballooned") == 3 * 2**20
        assert one.get("vcpus") == 2.0
        assert one.get("swap_in") == 40 * 1024
        assert one.get("contention_memory") == 0.2
        assert one.epoch == 1

    def test_what_the_host_does_not_give_is_none(self) -> None:
        assert moment(10.0).get("memory_swapped") is None
        sums = {"cpu_used": Sum(1.0, 2.0), "contention_memory": Sum(1.0, 2.0)}
        bare = moment_of(Seen(1.0, 1, Snapshot(1, 3, {}), None, Guest(), sums))
        assert [bare.get(key) for key in KEPT] == [None] * len(KEPT)

    def test_rates_are_by_the_seconds_in_which_the_growth_is_known(self) -> None:
        first, last = moment(10.0), moment(20.0)._replace(at=999.0)
        assert last.rate(first, "cpu_used") == pytest.approx(0.5)
        assert last.rate(first, "swap_in") == pytest.approx(4096.0)

    def test_nothing_is_told_across_two_epochs(self) -> None:
        assert moment(20.0, epoch=2).rate(moment(10.0), "cpu_used") is None

    def test_where_nothing_is_known_to_have_grown_there_is_no_rate(self) -> None:
        assert moment(10.0).rate(moment(10.0), "cpu_used") is None
        assert moment(20.0).rate(moment(10.0), "lost_host") is None, "nothing of it is known"


def record(history: History, at: float, *, epoch: int = 1, **values: int) -> None:
    history.record(Seen(at, epoch, snapshot_at(at + 1.0, **values), None, GUEST, {}))


def recorded(*times: float) -> History:
    history = History()
    for at in times:
        record(history, at)
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
        record(history, 10.0, elapsed=1000)
        record(history, 20.0)
        assert [one.at for one in history.moments] == [0.0, 20.0]
        record(history, 30.0, elapsed=21_000, epoch=2)
        assert len(history.moments) == 3, "the same number, of another epoch"

    def test_a_host_without_elapsed_has_moments_all_the_same(self) -> None:
        history = History()
        for at in (0.0, 10.0, 20.0):
            history.record(Seen(at, 1, Snapshot(1, 3, {"memory_ballooned": 1}), None, GUEST, {}))
        assert [one.at for one in history.moments] == [0.0, 10.0, 20.0]

    def test_bursts_are_those_since_the_moment_before(self) -> None:
        history = recorded(0.0)
        for share in (0.02, 0.3, 0.1):
            history.burst(share, high=share >= 0.1)
        record(history, 10.0)
        record(history, 20.0)
        assert [one.get("worst") for one in history.moments] == [None, 0.3, None]
        assert [one.get("high") for one in history.moments] == [None, 2.0, None]

    def test_what_is_kept_has_names_of_its_own(self) -> None:
        assert len(set(KEPT)) == len(KEPT)

    def test_an_hour_at_a_second_is_less_than_a_mebibyte(self) -> None:
        moments = recorded(*map(float, range(int(SPAN)))).moments
        size = sum(getsizeof(one) + getsizeof(one.numbers) + 2 * getsizeof(1.0) for one in moments)
        assert size < 2**20 / 4


def times(moments: tuple[Moment, ...]) -> tuple[float, float]:
    """Of the first and the last."""
    return moments[0].at, moments[-1].at


class TestWindow:
    def test_it_begins_anew_with_the_cpu_limit(self) -> None:
        moments = tuple(
            moment(at, cpu_limit=1000 if at < 50 else 3000) for at in map(float, range(0, 101, 10))
        )
        assert times(window(moments)) == (50.0, 100.0)
        assert times(window(moments, any_limit=True)) == (0.0, 100.0)
        assert window(moments[:6]) == (), "one reading under the new limit"

    def test_none_before_two_moments(self) -> None:
        assert window(()) == ()
        assert window(recorded(0.0).moments) == ()

    def test_the_last_minutes(self) -> None:
        moments = recorded(*map(float, range(0, 1001, 10))).moments
        assert times(window(moments)) == (1000.0 - WINDOW, 1000.0)

    def test_within_the_present_epoch_alone(self) -> None:
        """Also where a host counts on from 0."""
        history = History()
        for at in range(0, 101, 10):
            elapsed = 1000 * (at + 1) if at < 70 else 1000 * (at - 70)
            record(history, float(at), epoch=1 if at < 70 else 2, elapsed=elapsed)
        assert times(window(history.moments)) == (70.0, 100.0)

    def test_a_statistic_s_own_begins_where_it_is_there_first(self) -> None:
        moments = tuple(
            moment_of(Seen(at, 1, snapshot_at(at), extended_at(at) if at >= 20 else None, GUEST, {}))
            for at in (0.0, 10.0, 20.0, 30.0)
        )
        assert times(given(moments, "cpu_used")) == (0.0, 30.0)
        assert times(given(moments, "swap_in")) == (20.0, 30.0)
        assert given(moments[:2], "swap_in") == ()


class TestGrowth:
    def test_of_basic_statistics_what_is_known_alone_is_summed_up(self) -> None:
        """Each poll is 10 s after the one before. The counter begins anew before the fourth, unseen before the sixth."""
        growth = Growth()
        used = (0, 5000, 10_000, 1000, 6000, 9000)
        for poll in range(1, len(used)):
            before, after = (
                Snapshot(1, 3, {"elapsed": 10_000 * at, "cpu_used": used[at]}) for at in (poll - 1, poll)
            )
            interval = between(before, after, 2, ["cpu_used"] if poll == 5 else [])
            assert interval is not None
            growth.used(interval)
            growth.stolen(interval)
        assert growth.sums == {"cpu_used": Sum(7.5, 30.0), "cpu_use": Sum(15.0, 30.0)}

    def test_of_rounds_a_fall_adds_nothing_and_a_gap_is_made_up_for(self) -> None:
        growth = Growth()
        for each in (
            extended_at(10.0),
            extended_at(20.0),
            extended_at(30.0, 8.0),
            extended_at(40.0, without="guest.mem.swapIn"),
            extended_at(50.0, 88.0),
        ):
            growth.round(each, 2)
        assert growth.sums["swap_in"] == Sum(1024 * (40.0 + 80.0), 10.0 + 20.0)
        grown, seconds = growth.sums["contention_memory"]
        assert grown == pytest.approx(0.4), "of one of two vCPUs"
        assert seconds == 40.0

    def test_a_rise_tells_whether_a_round_was_passed_over(self) -> None:
        growth = Growth()
        name = "vm.cpu.contention.mem"
        assert growth.round(extended_at(10.0), 2) == {}
        assert growth.round(extended_at(20.0), 2)["contention_memory"].share == pytest.approx(0.01)
        assert "contention_memory" not in growth.round(extended_at(30.0, without=name), 2)
        assert growth.round(extended_at(40.0), 2)["contention_memory"].share is None

    def test_another_epoch_begins_with_nothing(self) -> None:
        growth = Growth()
        growth.round(extended_at(10.0), 2)
        growth.begin()
        assert growth.round(extended_at(20.0), 2) == {}
        assert growth.sums == {}
