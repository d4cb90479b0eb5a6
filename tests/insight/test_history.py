"""The last hour in memory: what is kept, for how long, and what can be told from two readings."""

from __future__ import annotations

import pytest

from exporter.insight.history import KEPT, SPAN, STEP, WINDOW, History, Reading, reading_of
from exporter.machine.guest import Guest
from exporter.metrics.collector import collect
from exporter.metrics.families import Family
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, PollState, Snapshot


def families(at: float, session: int = 1, *, vcpus: int | None = 2, **values: int) -> list[Family]:
    """A page of a host that has run for ``at`` seconds, half of a vCPU used and a tenth stolen."""
    numbers = {"elapsed": int(1000 * at), "cpu_used": int(500 * at), "cpu_stolen": int(100 * at)} | values
    extended = ExtendedSnapshot(
        session,
        {
            "resources": (
                ExtendedValue("vm.cpu.contention.cpu", 9_000_000 * at, "accumulate", "us"),
                ExtendedValue("vm.cpu.contention.mem", 20_000 * at, "accumulate", "us"),
                ExtendedValue("guest.mem.swapIn", 4 * at, "accumulate", "KB"),
            )
        },
        at,
        at,
    )
    state = PollState(
        started=0.0,
        interval=5.0,
        snapshot=Snapshot(session, 3, numbers),
        read_monotonic=at,
        extended=extended,
        extended_interval=15.0,
    )
    return collect(state, at, at, guest=Guest(vcpus, None))


def reading(at: float, session: int = 1, **values: int) -> Reading:
    found = reading_of(families(at, session, **values), at)
    assert found is not None
    return found


class TestReading:
    def test_it_holds_the_pages_values(self) -> None:
        one = reading(10.0, memory_ballooned=3)
        assert one.get("elapsed") == 10.0
        assert one.get("cpu_used") == 5.0
        assert one.get("memory_ballooned") == 3 * 2**20
        assert one.get("vcpus") == 2.0
        assert one.get("swap_in") == 40 * 1024
        assert one.get("contention_memory") == 0.2
        assert one.session == "0x1"

    def test_what_the_page_lacks_is_none(self) -> None:
        assert reading(10.0).get("memory_swapped") is None

    def test_a_page_without_statistics_is_none(self) -> None:
        stale = PollState(started=0.0, interval=5.0)
        assert reading_of(collect(stale, 0.0, 0.0), 0.0) is None

    def test_rates_are_by_the_hosts_clock(self) -> None:
        first, last = reading(10.0), reading(20.0)._replace(at=999.0)
        assert last.rate(first, "cpu_used") == pytest.approx(0.5)
        assert last.rate(first, "swap_in") == pytest.approx(4096.0)

    def test_shares_are_per_vcpu(self) -> None:
        assert reading(20.0).share(reading(10.0), "cpu_stolen") == pytest.approx(0.05)
        assert reading(20.0).share(reading(10.0), "contention_memory") == pytest.approx(0.01)

    def test_without_vcpus_there_is_no_share(self) -> None:
        last = reading_of(families(20.0, vcpus=None), 20.0)
        assert last is not None
        assert last.share(reading(10.0), "cpu_used") is None

    def test_nothing_is_told_across_a_session_change(self) -> None:
        assert reading(20.0, session=2).rate(reading(10.0), "cpu_used") is None

    def test_a_host_that_repeats_itself_has_no_rate(self) -> None:
        assert reading(10.0).rate(reading(10.0), "cpu_used") is None

    def test_a_counter_that_fell_or_is_missing_has_no_rate(self) -> None:
        assert reading(20.0, cpu_used=1).rate(reading(10.0), "cpu_used") is None
        assert reading(20.0).rate(reading(10.0), "memory_swapped") is None


class TestHistory:
    def test_polls_that_are_nearer_than_a_step_are_left_out(self) -> None:
        history = History()
        for at in range(0, 101, 2):
            history.record(families(float(at)), float(at))
        assert [one.at for one in history.readings] == [float(at) for at in range(0, 101, 10)]

    def test_a_poll_that_is_a_little_early_does_not_double_the_step(self) -> None:
        history = History()
        for at in (0.0, 9.98, 19.97, 29.99):
            history.record(families(at + 1), at)
        assert len(history.readings) == 4

    def test_it_holds_an_hour_and_no_more(self) -> None:
        history = History()
        page = families(1.0)
        for poll in range(2 * int(SPAN / 5)):
            history.record(page, 5.0 * poll)
        assert len(history.readings) == SPAN / STEP
        assert history.readings[-1].at - history.readings[0].at < SPAN

    def test_a_page_without_statistics_leaves_a_gap(self) -> None:
        history = History()
        history.record(families(1.0), 0.0)
        history.record([], 10.0)
        history.record(families(21.0), 20.0)
        assert [one.at for one in history.readings] == [0.0, 20.0]

    def test_what_is_kept_has_names_of_its_own(self) -> None:
        assert len({key for key, *_ in KEPT}) == len(KEPT)


class TestWindow:
    def test_none_before_two_readings(self) -> None:
        history = History()
        assert history.window() is None
        history.record(families(1.0), 0.0)
        assert history.window() is None

    def test_the_last_minutes(self) -> None:
        history = History()
        for at in range(0, 1001, 10):
            history.record(families(at + 1.0), float(at))
        first, last = history.window() or pytest.fail("no window")
        assert (first.at, last.at) == (1000.0 - WINDOW, 1000.0)

    def test_within_the_present_session_alone(self) -> None:
        history = History()
        for at in range(0, 101, 10):
            history.record(families(at + 1.0, session=1 if at < 70 else 2), float(at))
        first, last = history.window() or pytest.fail("no window")
        assert (first.at, last.at) == (70.0, 100.0)
