"""Pauses by the host's clock: found where there was one, and none in an hour without."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from exporter.insight.observer import Observer
from exporter.insight.pauses import Pauses, Wakeups
from exporter.snapshot import Guest, PollState, Snapshot
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
    ((labels, histogram),) = family.histograms
    assert labels == (("seen_by", "host_clock"),)
    assert 8 <= histogram.count <= 10
    assert histogram.sum / histogram.count == pytest.approx(4.0, abs=0.3)
    assert simulated.answers()["pauses"].text.startswith(f"A pause was seen {histogram.count} times")
    steady = Simulated("steady", 1.0, pauses=True).run(3600)
    assert [each.count for each in steady.insight.pauses.values()] == [0]


def test_without_being_asked_for_there_are_none() -> None:
    simulated = Simulated("pause", 1.0).run(200)
    assert not simulated.insight.pauses
    assert not [each for each in simulated.published.collect() if each.name == "vmguest_pause_seconds"]


QUIET = Guest(4, 8 * 2**30, steal_seconds=10.0, held_seconds=100.0)

EXPLAINED: tuple[tuple[str, Guest, float | None], ...] = (
    ("tasks waited, or were throttled", replace(QUIET, held_seconds=100.5), 0.0),
    ("the kernel saw steal", replace(QUIET, steal_seconds=10.5), 0.0),
    ("the host took time", QUIET, 0.5),
    ("the host gave no new sample", QUIET, None),
    ("the kernel does not tell", replace(QUIET, held_seconds=None), 0.0),
)


@pytest.mark.parametrize(
    ("after", "stolen"), [row[1:] for row in EXPLAINED], ids=[row[0] for row in EXPLAINED]
)
def test_a_late_wake_up_that_may_have_another_cause_is_no_pause(after: Guest, stolen: float | None) -> None:
    watch = Wakeups()
    watch.woke(4.0)
    assert watch.judged(QUIET, after, stolen) is None
    assert watch.judged(QUIET, QUIET, 0.0) is None, "it was judged once"


def test_a_late_wake_up_that_nothing_explains_is_one() -> None:
    watch = Wakeups()
    watch.woke(4.0)
    watch.woke(0.0)
    assert watch.late, "a poll that fails keeps it"
    assert watch.judged(QUIET, replace(QUIET, held_seconds=100.3), 0.3) == 4.0
    assert (watch.seen.count, watch.seen.sum) == (1, 4.0)
    watch.woke(0.2)
    assert watch.judged(QUIET, QUIET, 0.0) is None


class Woken:
    """A guest that is polled every second, on time or late; ``pressure`` is the share in which tasks wait."""

    def __init__(self) -> None:
        self.polls, self.at, self.elapsed, self.stolen, self.asked = 0, 1000.0, 0, 0, 0
        self.told = Guest(4, 8 * 2**30, steal_seconds=0.0, held_seconds=0.0)
        self.observer = Observer(self.guest, pauses=True)

    def guest(self) -> Guest:
        self.asked += 1
        return self.told

    def poll(
        self,
        late: float = 0.0,
        *,
        waited: float = 0.0,
        stolen: float = 0.0,
        error: str = "",
        session: int = 1,
    ) -> None:
        step = 1.0 + late
        self.at += step
        self.elapsed += round(1000 * step)
        self.stolen += round(1000 * stolen)
        self.told = replace(self.told, held_seconds=(self.told.held_seconds or 0.0) + waited)
        self.polls += 1
        snapshot = Snapshot(session, 3, {"elapsed": self.elapsed, "cpu_stolen": self.stolen})
        self.observer.polled(
            PollState(1.0, snapshot, self.at, self.at, polls=self.polls, late=late, last_error=error)
        )

    @property
    def counts(self) -> dict[str, int]:
        return {word: each.count for word, each in self.observer.insight.pauses.items()}


def test_no_pause_in_an_hour_under_full_load() -> None:
    """Tasks wait all the time; the poller waits with them, seconds sometimes. The clocks of host and guest agree."""
    woken, chance = Woken(), random.Random(1)
    for _ in range(3600):
        late = chance.expovariate(1.0) if chance.random() < 0.3 else 0.0
        # The average over the CPUs is below what one of them shows, and it is read once a round.
        woken.poll(late, waited=0.5 * (1.0 + late))
    assert woken.counts == {"host_clock": 0, "wakeup": 0}


def test_no_pause_in_an_hour_of_a_throttled_vm_whose_kernel_shows_no_steal() -> None:
    woken, chance = Woken(), random.Random(1)
    for _ in range(3600):
        late = chance.expovariate(2.0) if chance.random() < 0.3 else 0.0
        woken.poll(late, stolen=0.6 * (1.0 + late))
    assert woken.counts == {"host_clock": 0, "wakeup": 0}


def test_pauses_of_a_guest_whose_clock_goes_on_are_found_published_and_told() -> None:
    woken = Woken()
    for second in range(3600):
        woken.poll(4.0 if second % 600 == 300 else 0.001, waited=0.01, stolen=0.005)
    assert woken.counts == {"host_clock": 0, "wakeup": 6}
    assert woken.asked < 3600 / 10, "the guest is asked once per round, and when something was late"
    entry = woken.observer.insight.timeline[-1]
    assert (entry.kind, entry.text) == (
        "pause",
        "The exporter woke 4 s late, and nothing in the guest explains it.",
    )
    assert entry.guess == "the VM stood still"


def test_a_pause_that_ends_with_a_failed_poll_and_another_session_is_not_lost() -> None:
    woken = Woken()
    for _ in range(30):
        woken.poll()
    woken.poll(4.0, error="connection_lost")
    woken.poll(session=2)
    assert woken.counts["wakeup"] == 1


def test_where_the_kernel_does_not_tell_late_wake_ups_are_not_looked_for() -> None:
    woken = Woken()
    woken.told = replace(woken.told, held_seconds=None)
    woken.observer.polled(PollState(1.0, Snapshot(1, 3, {"elapsed": 1}), 1.0, 1.0, polls=1, late=4.0))
    assert woken.counts == {"host_clock": 0}
