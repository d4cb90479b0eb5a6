"""What is said of the last minutes when counters begin anew, are missing, or are read by rounds."""

from __future__ import annotations

import pytest

from exporter.insight.verdict import judge
from tests.insight.by_hand import SWAPS, WAITS, ByHand


@pytest.mark.parametrize("fell_at", [42, 43, 58, 59])
@pytest.mark.parametrize("before", [0, 10_000_000])
def test_a_counter_that_falls_by_itself_costs_its_interval_alone(fell_at: int, before: int) -> None:
    """Stolen for half of the time throughout, whether or not the counter is beyond the first one again."""
    host, stolen = ByHand(), before
    for poll in host.polls(60):
        stolen = (0 if poll == fell_at else stolen) + 2500
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": stolen, "cpu_used": 1000 * poll}
    vitals = host.vitals
    assert (vitals.stolen, vitals.lost_host, vitals.worst) == (0.5, 0.5, 0.5)
    assert vitals.used == pytest.approx(0.2)


def test_a_fall_between_two_moments_is_no_growth_although_the_later_value_is_larger() -> None:
    host = ByHand()
    for poll, stolen in zip(host.polls(5), (100, 200, 0, 2500, 5000), strict=True):
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": stolen}
    # Polls 0, 2 and 4 are moments: of what lies between the first two, one interval is known.
    assert host.chart("cpu_stolen") == [None, 0.02, 0.5]


def test_a_fall_in_a_poll_without_elapsed_is_seen() -> None:
    host = ByHand()
    for poll, stolen in zip(host.polls(6), (100, 200, 0, 2500, 5000, 7500), strict=True):
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": stolen}
        if poll == 2:
            del host.values["elapsed"]
    # The last poll is no moment; of the three intervals before it the middle one is not known.
    assert host.vitals.stolen == pytest.approx((100 + 2500) / 10_000)


def test_a_statistic_of_rounds_that_falls_costs_its_interval_alone() -> None:
    host, waited = ByHand(), 5_000_000
    for poll in host.polls(60):
        waited = (0 if poll == 42 else waited) + 2_500_000
        host.values = {"elapsed": 5000 * (poll + 1)}
        host.resources = {WAITS: waited, SWAPS: waited // 1000}
    vitals = host.vitals
    assert vitals.memory_contention == pytest.approx(0.5)
    assert vitals.swap_in == pytest.approx(500 * 1024)


@pytest.mark.parametrize("first", [0, 1000])
def test_no_window_spans_two_epochs(first: int) -> None:
    """The same id, and elapsed begins anew; stolen 2 % before, 50 % after."""
    host = ByHand()
    for poll in host.polls(44):
        elapsed = 5000 * (poll + 1) if poll < 24 else 5000 * (poll - 24) + first
        host.values = {"elapsed": elapsed, "cpu_stolen": elapsed // 50 if poll < 24 else elapsed // 2}
        if poll > 28:
            assert host.vitals.stolen == host.vitals.lost_host == 0.5
    assert host.vitals.window == pytest.approx(90.0, abs=10.0)
    assert host.chart("cpu_stolen").count(0.02) == 11
    assert set(host.chart("cpu_stolen")) == {None, 0.02, 0.5}
    assert [each.kind for each in host.insight().timeline] == ["session"]


@pytest.mark.parametrize("gives_elapsed", [True, False])
def test_what_is_read_by_rounds_is_known_from_the_second_round_on(*, gives_elapsed: bool) -> None:
    """At the start, and in each session that follows."""
    host, born = ByHand(), 0
    for poll in host.polls(40):
        if poll == 20:
            host.session_id, born = 8, 20
        age = 5 * (poll - born) + 1
        host.values = {"elapsed": 1000 * age} if gives_elapsed else {"cpu_used": 100 * age}
        host.resources = {WAITS: 500_000 * age, SWAPS: 1000 * age}
        # Asked after the poll before: two rounds, the moment that follows, and none that began in the session before.
        if poll - born > 6:
            assert host.vitals.memory_contention == pytest.approx(0.5)
            assert host.vitals.swap_in == pytest.approx(1000 * 1024)
            assert 10.0 <= host.vitals.memory_window <= 5.0 * (poll - born)
        elif poll - born in (1, 2):
            assert host.vitals.memory_contention is None
    assert len(host.insight().moments) == 20


def test_another_cpu_limit_does_not_make_memory_unknown() -> None:
    host = ByHand()
    for poll in host.polls(40):
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": 100 * poll}
        host.values |= {"cpu_limit": 1000 if poll < 38 else 2000}
        host.resources = {WAITS: 2_500_000 * poll}
    assert host.vitals.stolen is None, "one moment under the new limit"
    assert host.vitals.memory_contention == pytest.approx(0.5)
    assert host.vitals.memory_window == pytest.approx(190.0, abs=10.0)


def test_what_the_host_gives_no_more_is_not_said_of_the_last_minutes() -> None:
    host = ByHand()
    for poll in host.polls(40):
        host.values = {"elapsed": 5000 * (poll + 1)} | ({"cpu_stolen": 100 * poll} if poll < 30 else {})
        host.resources = {WAITS: 100 * poll} if poll < 30 else {SWAPS: 1}
    vitals = host.vitals
    assert (vitals.stolen, vitals.lost_host, vitals.memory_contention) == (None, None, None)


def test_the_used_time_does_not_wait_for_a_stolen_time_that_is_gone() -> None:
    host, used = ByHand(), 0
    for poll in host.polls(240):
        used += 500 if poll < 120 else 4500
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_used": used, "cpu_limit": 2340}
        if poll < 40:
            host.values["cpu_stolen"] = 50 * poll
        if poll > 182:
            assert host.vitals.used == pytest.approx(0.9)
            assert host.vitals.limit_use == pytest.approx(1.0)


@pytest.mark.parametrize("gone", ["cpu_used", "cpu_stolen", "elapsed"])
def test_a_gap_is_made_up_for_and_older_growth_is_not_of_the_last_minutes(gone: str) -> None:
    """Half of the time used and a tenth stolen before a gap of 50 minutes and in it, nothing after it."""
    host, begun = ByHand(), 640
    for poll in host.polls(700):
        at = 5000 * min(poll, begun)
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_used": at // 2, "cpu_stolen": at // 10}
        if 40 <= poll < begun:
            del host.values[gone]
        elif poll > begun + 4 and gone != "cpu_stolen":
            assert host.vitals.used == 0.0
        elif poll > begun + 4 and gone != "cpu_used":
            assert (host.vitals.stolen, host.vitals.lost_host) == (0.0, 0.0)
    assert host.insight().ledger.host == 5000 * begun // 10


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
def test_a_share_is_by_the_vcpus_of_its_time(before: int, after: int) -> None:
    """Two fifths stolen and a half used throughout; a moment's answer is never bent by vCPUs that come or go."""
    host, stolen, used, waited = ByHand(), 0, 0, 0
    for poll in host.polls(130):
        if poll > 0:
            used, stolen = used + 2500 * host.vcpus, stolen + 2000 * host.vcpus
            waited += 500_000 * host.vcpus
        if poll == 61:
            host.vcpus = after
        elif poll < 61:
            host.vcpus = before
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": stolen, "cpu_used": used}
        host.resources = {WAITS: waited}
        if poll > 10:
            vitals = host.vitals
            assert vitals.stolen == vitals.lost_host == vitals.worst == pytest.approx(0.4), poll
            assert vitals.used == pytest.approx(0.5)
            assert vitals.memory_contention == pytest.approx(0.1)
    ledger = host.insight().ledger
    assert ledger.host == stolen, "the sum of seconds leaves nothing out"
    assert ledger.stolen_ratio is not None
    assert ledger.memory_ratio is not None
    assert ledger.stolen_ratio.sum / ledger.stolen_ratio.count == pytest.approx(0.4)
    assert ledger.memory_ratio.sum / ledger.memory_ratio.count == pytest.approx(0.1)
    assert [each.text for each in host.insight().timeline] == [
        f"Number of vCPUs went from {before} to {after}."
    ]


@pytest.mark.parametrize("until", [0, 3])
def test_the_states_of_the_limits_are_of_now_without_a_clock_of_the_host_too(until: int) -> None:
    """``elapsed`` ends after ``until`` polls."""
    host, unlimited = ByHand(), 2**32 - 1
    for poll in host.polls(40):
        limited = 5 <= poll < 20
        host.values = {"elapsed": 5000 * poll} if poll < until else {}
        host.values |= {
            "cpu_stolen": 2500 * poll,
            "cpu_limit": 1000 if limited else unlimited,
            "memory_limit": 512 if limited else unlimited,
        }
        if poll > 0:
            then = "binding" if 5 <= poll - 1 < 20 else "none"
            assert (host.insight().cpu_limit, host.insight().memory_limit) == (then, then), poll


def test_memory_is_compared_with_the_sample_before_whatever_else_is_gone() -> None:
    host = ByHand()
    seen = []
    for poll in host.polls(20):
        host.values = {"elapsed": 5000 * (poll // 2), "memory_limit": 512, "memory_used": 512}
        host.values["memory_ballooned"] = 0 if poll < 8 else 100
        if poll < 3:
            host.values["cpu_stolen"] = 0
        seen.append(host.insight().memory_limit)
    # Each sample is polled twice: that of the eighth poll took more than the one before it.
    assert [place - 1 for place, state in enumerate(seen) if state == "reclaiming"] == [8, 9]


@pytest.mark.parametrize(
    ("gone", "words"), [("elapsed", "gives no elapsed time"), ("cpu_stolen", "gives no stolen time")]
)
def test_what_no_interval_tells_of_is_not_published_as_nothing(gone: str, words: str) -> None:
    host = ByHand()
    for poll in host.polls(20):
        host.values = {"elapsed": 5000 * (poll + 1), "cpu_stolen": 2500 * poll}
        del host.values[gone]
    assert "vmguest_cpu_lost_seconds_total" not in {
        each.metric.prometheus for each in host.published.collect()
    }
    assert words in next(each.text for each in judge(host.vitals) if each.key == "host")
