"""Pauses by the host's clock: found where there was one, and none in an hour without."""

from __future__ import annotations

import random

import pytest

from exporter.insight.pauses import Pauses
from exporter.snapshot import Snapshot
from tests.insight.simulated import Simulated


def hour(
    refresh: float,
    interval: float,
    *,
    late: float = 0.0,
    drift: float = 0.0,
    pauses: tuple[float, ...] = (),
    length: float = 4.0,
) -> list[float]:
    """Pauses found in an hour. ``late``: the longest that a read is delayed after the host's answer."""
    found, watch, chance = [], Pauses(), random.Random(1)
    at = 0.0
    while at < 3600:
        at += interval
        host = at * (1 + drift) + length * sum(at > each for each in pauses)
        sample = host // refresh * refresh
        delay = chance.random() * late if chance.random() < 0.3 else 0.0
        length_seen = watch.polled(
            Snapshot(1, 3, {"elapsed": int(1000 * sample)}), at + delay, max(refresh, 0.25)
        )
        if length_seen is not None:
            found.append(length_seen)
    return found


@pytest.mark.parametrize("interval", [1.0, 5.0])
@pytest.mark.parametrize("refresh", [0.1, 0.25, 0.99, 1.0, 1.01, 2.0, 4.99, 5.01, 6.0, 19.99, 20.0, 20.01])
@pytest.mark.parametrize(("late", "drift"), [(0.0, 0.0), (3.0, 0.0), (0.0, 5e-4), (3.0, -5e-4)])
def test_none_in_an_hour_without(refresh: float, interval: float, late: float, drift: float) -> None:
    assert hour(refresh, interval, late=late, drift=drift) == []


@pytest.mark.parametrize(("refresh", "late"), [(0.1, 0.0), (0.1, 0.5), (1.0, 0.0)])
def test_each_is_found_once_and_measured(refresh: float, late: float) -> None:
    found = hour(refresh, 1.0, late=late, pauses=(600.0, 1200.0, 2400.0))
    assert len(found) == 3
    assert found == pytest.approx([4.0] * 3, abs=refresh + 0.5)


def test_a_session_change_is_no_pause() -> None:
    watch = Pauses()
    for session in (1, 2):
        for second in range(60):
            snapshot = Snapshot(session, 3, {"elapsed": 1000 * (second + 500 * session)})
            assert watch.polled(snapshot, second + 60.0 * session, 0.25) is None


def test_what_is_found_is_counted() -> None:
    watch = Pauses()
    for second in range(100):
        watch.polled(
            Snapshot(1, 3, {"elapsed": 1000 * (second + (7 if second > 50 else 0))}), float(second), 0.25
        )
    assert watch.seen.count == 1
    assert watch.seen.sum == pytest.approx(7.0)


def test_the_simulators_pauses_are_found_published_and_told() -> None:
    simulated = Simulated("pause", 1.0, pauses=True).run(600)
    family = next(each for each in simulated.published.collect() if each.name == "vmguest_pause_seconds")
    assert family.labels == (("seen_by", "host_clock"),)
    assert family.histogram is not None
    assert 8 <= family.histogram.count <= 10
    assert family.histogram.sum / family.histogram.count == pytest.approx(4.0, abs=0.3)
    assert simulated.answers()["pauses"].text.startswith(f"It stood still {family.histogram.count} times")
    steady = Simulated("steady", 1.0, pauses=True).run(3600)
    assert steady.insight.pauses is not None
    assert steady.insight.pauses.count == 0


def test_without_being_asked_for_there_are_none() -> None:
    simulated = Simulated("pause", 1.0).run(200)
    assert simulated.insight.pauses is None
    assert not [each for each in simulated.published.collect() if each.name == "vmguest_pause_seconds"]
