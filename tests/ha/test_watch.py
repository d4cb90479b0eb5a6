from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from exporter.ha.rules import Health
from exporter.ha.watch import Rhythm, Track, Watch

RHYTHM = Rhythm(interval=10.0, timeout=5.0, failures=3, successes=2)
PATIENCE = 60.0


def results(track: Track, now: float, *problems: str | None) -> float:
    """Looks that end within a second, one an interval; the time of the next."""
    for problem in problems:
        track.begin(now)
        track.end(now + 1, problem)
        now += track.rhythm.interval
    return now


# Results one after another


def test_before_the_first_result_nothing_is_known() -> None:
    track = Track(RHYTHM, 0)
    assert track.judge(0) == (Health.UNKNOWN, "no result yet")
    track.begin(0)
    assert track.judge(4) == (Health.UNKNOWN, "no result yet")


def test_so_many_good_results_make_good_health() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None)
    assert track.judge(now)[0] is Health.UNKNOWN
    now = results(track, now, None)
    assert track.judge(now) == (Health.GOOD, "")


def test_good_results_must_follow_on_each_other() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, "down", None)
    assert track.judge(now) == (Health.UNKNOWN, "down")


def test_so_many_bad_results_make_bad_health() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None, "slow", "down")
    assert track.judge(now) == (Health.GOOD, ""), "a blip is none"
    now = results(track, now, "gone")
    assert track.judge(now) == (Health.BAD, "gone")


def test_bad_results_must_follow_on_each_other() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None, "down", "down", None, "down", "down")
    assert track.judge(now) == (Health.GOOD, "")


def test_bad_health_needs_good_results_to_end() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, "down", "down", "down", None)
    assert track.judge(now) == (Health.BAD, "down")
    now = results(track, now, None)
    assert track.judge(now) == (Health.GOOD, "")


def test_good_and_bad_in_turn_is_bad_in_the_end() -> None:
    """Else a check that has never been good would keep the verdict open for ever."""
    track = Track(RHYTHM, 0)
    now = 0.0
    while now <= 45:
        assert track.judge(now)[0] is Health.UNKNOWN
        now = results(track, now, "down", None)
    health, reason = track.judge(now)
    assert health is Health.BAD
    assert reason == "no clear result within 45 s; the last problem: down"


# Silence


def test_a_look_that_hangs_is_a_failed_one_for_each_interval() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None)
    track.begin(now)
    assert track.judge(now + 5) == (Health.GOOD, ""), "it has its time limit"
    assert track.judge(now + 6) == (Health.GOOD, ""), "one result is missing"
    assert track.judge(now + 24) == (Health.GOOD, ""), "two"
    assert track.judge(now + 25) == (Health.BAD, "it hangs, results missing: 3")


def test_a_thread_that_is_gone_is_missed_too() -> None:
    track = Track(RHYTHM, 0)
    results(track, 0, None, None)
    ended = 11
    assert track.judge(ended + 10 + 5 + 19) == (Health.GOOD, "")
    assert track.judge(ended + 10 + 5 + 20) == (Health.BAD, "it hangs, results missing: 3")


def test_missing_results_add_to_failed_ones() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None, "down", "down")
    track.begin(now)
    assert track.judge(now + 5) == (Health.GOOD, "")
    assert track.judge(now + 6) == (Health.BAD, "it hangs, results missing: 1")


def test_a_good_answer_that_comes_late_is_a_failure() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None)
    track.begin(now)
    track.end(now + 6, None)
    results(track, now + 10, "down", "down")
    assert track.judge(now + 21) == (Health.BAD, "down")


def test_a_look_that_ends_after_long_silence_counts_for_what_was_missed() -> None:
    track = Track(RHYTHM, 0)
    now = results(track, 0, None, None)
    track.begin(now)
    track.end(now + 100, None)
    assert track.judge(now + 100) == (Health.BAD, "the answer took longer than 5 s")


def test_the_problem_of_a_late_look_is_its_own() -> None:
    track = Track(RHYTHM, 0)
    track.begin(0)
    track.end(100, "refused")
    assert track.judge(100) == (Health.BAD, "refused")


# The thread


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Probe:
    """Finds what it is told to, an interval a look; after the last it stops the watch."""

    def __init__(self, clock: Clock, *found: str | Exception | None) -> None:
        self.clock = clock
        self.found = list(found)
        self.limits: list[float] = []
        self.watch: Watch | None = None

    def __call__(self, limit: float) -> str | None:
        self.limits.append(limit)
        found = self.found.pop(0)
        if not self.found and self.watch is not None:
            self.watch.stop()
        self.clock.now += RHYTHM.timeout
        if isinstance(found, Exception):
            raise found
        return found


def run(*found: str | Exception | None, interval: float = RHYTHM.timeout) -> tuple[Watch, Probe]:
    clock = Clock()
    probe = Probe(clock, *found)
    probe.watch = Watch("shop", probe, Rhythm(interval, RHYTHM.timeout, failures=2), clock)
    probe.watch._run()
    return probe.watch, probe


def test_a_watch_looks_until_it_is_stopped() -> None:
    watch, probe = run(None, "down", None)
    assert probe.limits == [5.0, 5.0, 5.0]
    assert watch.judge(probe.clock.now) == (Health.GOOD, "")
    watch, probe = run(None, "down", "gone")
    assert watch.judge(probe.clock.now) == (Health.BAD, "gone")


def test_whatever_a_check_dies_of_is_a_failed_look() -> None:
    watch, probe = run(ValueError("a slip"), ZeroDivisionError("another"))
    assert watch.judge(probe.clock.now) == (Health.BAD, "ZeroDivisionError: another")


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    released = threading.Event()
    yield released
    released.set()


def test_a_check_that_hangs_holds_up_nobody(hanging: threading.Event) -> None:
    clock = Clock()
    inside = threading.Event()
    threads: list[threading.Thread] = []

    def probe(limit: float) -> None:
        threads.append(threading.current_thread())
        inside.set()
        assert hanging.wait(PATIENCE)

    watch = Watch("shop", probe, RHYTHM, clock)
    watch.start()
    assert inside.wait(PATIENCE)
    clock.now += 25
    assert watch.judge(clock.now) == (Health.BAD, "it hangs, results missing: 3")
    watch.stop()
    (thread,) = threads
    assert thread.name == "ha-check-shop"
    assert thread.daemon, "the process may end while it hangs"
    hanging.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
