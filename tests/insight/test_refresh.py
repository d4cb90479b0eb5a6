"""The host's rhythm: measured where it repeats a sample, else not known."""

from __future__ import annotations

import pytest

from exporter.insight.refresh import Refresh
from exporter.snapshot import Snapshot
from tests.insight.simulated import Simulated


def measured(interval: float, refresh: float, polls: int = 200) -> float | None:
    found = Refresh()
    for poll in range(polls):
        at = round(poll * interval, 6)
        found.polled(Snapshot(1, 3, {"elapsed": int(1000 * (at // refresh) * refresh)}))
    return found.seconds


@pytest.mark.parametrize("refresh", [1.0, 2.0, 6.0, 20.0])
def test_a_rhythm_slower_than_the_polls_is_measured(refresh: float) -> None:
    assert measured(0.5, refresh) == pytest.approx(refresh)


@pytest.mark.parametrize("interval", [1.0, 5.0])
def test_the_poll_interval_is_never_taken_for_it(interval: float) -> None:
    assert measured(interval, 0.02) is None


def test_a_failed_poll_spoils_the_step_under_way() -> None:
    found = Refresh()
    for elapsed in (0, 0):
        found.polled(Snapshot(1, 3, {"elapsed": elapsed}))
    found.missed()
    found.polled(Snapshot(1, 3, {"elapsed": 40_000}))
    assert found.seconds is None


def test_another_session_may_have_another_rhythm() -> None:
    found = Refresh()
    for elapsed in (0, 0, 20_000):
        found.polled(Snapshot(1, 3, {"elapsed": elapsed}))
    assert found.seconds == 20.0
    found.polled(Snapshot(2, 3, {"elapsed": 0}))
    assert found.seconds is None


def test_a_host_without_elapsed_has_none() -> None:
    found = Refresh()
    for _ in range(3):
        found.polled(Snapshot(1, 3, {}))
    assert found.seconds is None


def test_the_slow_host_of_the_simulator_is_found_out() -> None:
    assert Simulated("slow-refresh").run(120).insight.refresh == 20.0
    assert Simulated("steady").run(120).insight.refresh is None
