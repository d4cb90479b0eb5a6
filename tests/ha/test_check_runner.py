from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from exporter.ha import sturdy
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import AGAIN, GRACE, SPOILED, CheckState, CheckTiming
from exporter.ha.kept import Kept
from exporter.ha.look import OwnFault, Starved
from exporter.ha.rules import Health
from exporter.ha.running_clock import TICK, RunningClock
from tests.ha.set_clock import SetClock

TIMING = CheckTiming(interval=10.0, timeout=5.0, failures=3, successes=2)
PATIENCE = 60.0


def results(state: CheckState, now: float, *problems: str | None) -> float:
    """Looks that end within a second, one an interval; the time of the next."""
    for problem in problems:
        state.begin(now)
        state.end(now + 1, problem)
        now += state.timing.interval
    return now


# Results one after another


def test_before_the_first_result_nothing_is_known() -> None:
    state = CheckState(TIMING, 0)
    assert state.judge(0) == (Health.UNKNOWN, "no result yet")
    state.begin(0)
    assert state.judge(4) == (Health.UNKNOWN, "no result yet")


def test_so_many_good_results_make_good_health() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None)
    assert state.judge(now)[0] is Health.UNKNOWN
    now = results(state, now, None)
    assert state.judge(now) == (Health.GOOD, "")


def test_good_results_must_follow_on_each_other() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, "down", None)
    assert state.judge(now) == (Health.UNKNOWN, "down")


def test_so_many_bad_results_make_bad_health() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None, "slow", "down")
    assert state.judge(now) == (Health.GOOD, ""), "a blip is none"
    now = results(state, now, "gone")
    assert state.judge(now) == (Health.BAD, "gone")


def test_bad_results_must_follow_on_each_other() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None, "down", "down", None, "down", "down")
    assert state.judge(now) == (Health.GOOD, "")


def test_bad_health_needs_good_results_to_end() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, "down", "down", "down", None)
    assert state.judge(now) == (Health.BAD, "down")
    now = results(state, now, None)
    assert state.judge(now) == (Health.GOOD, "")


def test_good_and_bad_in_turn_is_bad_in_the_end() -> None:
    """Else a check that has never been good would keep the verdict open for ever."""
    state = CheckState(TIMING, 0)
    now = 0.0
    while now <= 45:
        assert state.judge(now)[0] is Health.UNKNOWN
        now = results(state, now, "down", None)
    health, reason = state.judge(now)
    assert health is Health.BAD
    assert reason == "no clear result within 45 s; the last problem: down"


def test_what_is_bad_for_want_of_a_clear_result_is_looked_at_as_often_as_all_that_is_bad() -> None:
    """Found by a stranger: the look that confirms it came up to two intervals late, of an hour each perhaps."""
    timing = CheckTiming(interval=60, timeout=5, failures=2, successes=2)
    state = CheckState(timing, 0)
    looks, now = [], 0.0
    while now < 160:
        looks.append(now)
        state.begin(now)
        state.end(now, None if len(looks) % 2 else "down")
        now += state.pause(now, now)
    assert looks == pytest.approx([0, 60, 120, 130.1, 135.1, 140.1, 145.1, 150.1, 155.1])
    assert state.judge(130.1)[0] is Health.BAD, (
        "after twice an interval and a timeout, also where that look comes to nothing"
    )


def test_time_in_which_the_exporter_could_not_look_is_no_time_without_a_clear_result() -> None:
    state = CheckState(CheckTiming(interval=60, successes=2), 0)
    for now in (0, 60, 120, 180):
        state.begin(now)
        state.not_looked(now + 0.1, "no files")
    assert state.judge(239)[0] is Health.FAULT
    state.begin(240)
    state.end(241, None)
    for at in (241.1, 270, 299):
        assert state.judge(at)[0] is Health.UNKNOWN, "one good look is no reason for bad health"
    state.begin(300)
    state.end(301, None)
    assert state.judge(301) == (Health.GOOD, "")


def test_shortages_between_looks_put_off_the_end_of_patience_and_do_not_abolish_it() -> None:
    state = CheckState(TIMING, 0)
    for turn in range(100):
        begun = 10.0 * turn
        state.begin(begun)
        if turn % 2 == 0:
            state.not_looked(begun + 1, "no files")
        else:
            state.end(begun + 1, "down" if turn % 4 == 1 else None)
        looked_for = 5 * turn
        health = state.judge(begun + 1)[0]
        if looked_for <= 40:
            assert health is Health.UNKNOWN, turn
        elif looked_for >= 55:
            assert health is Health.BAD, turn


# Silence


def test_a_look_that_hangs_is_a_failed_one_for_each_interval() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None)
    state.begin(now)
    assert state.judge(now + 5) == (Health.GOOD, ""), "it has its time limit"
    assert state.judge(now + 6 + GRACE) == (Health.GOOD, ""), "one result is missing"
    assert state.judge(now + 24 + GRACE) == (Health.GOOD, ""), "two"
    assert state.judge(now + 25.1 + GRACE) == (Health.BAD, "it hangs, results missing: 3")


def test_a_thread_that_is_gone_is_missed_too() -> None:
    state = CheckState(TIMING, 0)
    results(state, 0, None, None)
    ended = 11
    assert state.judge(ended + 10 + 5 + 19 + GRACE) == (Health.GOOD, "")
    assert state.judge(ended + 10 + 5 + 20.1 + GRACE) == (Health.BAD, "it hangs, results missing: 3")


def test_missing_results_add_to_failed_ones() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None, "down", "down")
    state.begin(now)
    assert state.judge(now + 5 + GRACE) == (Health.GOOD, ""), "whoever ends what hangs needs a moment"
    assert state.judge(now + 6 + GRACE) == (Health.BAD, "it hangs, results missing: 1")


def test_a_good_answer_that_comes_late_is_a_failure() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None)
    state.begin(now)
    state.end(now + 6, None)
    results(state, now + 10, "down", "down")
    assert state.judge(now + 21) == (Health.BAD, "down")


def test_a_look_that_ends_after_long_silence_counts_for_what_was_missed() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None)
    state.begin(now)
    state.end(now + 100, None)
    assert state.judge(now + 100) == (Health.BAD, "the answer took longer than 5 s")


def test_the_problem_of_a_late_look_is_its_own() -> None:
    state = CheckState(TIMING, 0)
    state.begin(0)
    state.end(100, "refused")
    assert state.judge(100) == (Health.BAD, "refused")


# The thread


class Probe:
    """Finds what it is told to, an interval a look; after the last it stops the runner."""

    def __init__(self, clock: SetClock, *found: str | Exception | None) -> None:
        self.clock = clock
        self.found = list(found)
        self.limits: list[float] = []
        self.runner: CheckRunner | None = None

    def __call__(self, limit: float) -> str | None:
        self.limits.append(limit)
        found = self.found.pop(0)
        if not self.found and self.runner is not None:
            self.runner.stop()
        self.clock.now += TIMING.timeout
        if isinstance(found, Exception):
            raise found
        return found


def run(*found: str | Exception | None, interval: float = TIMING.timeout) -> tuple[CheckRunner, Probe]:
    clock = SetClock()
    probe = Probe(clock, *found)
    probe.runner = CheckRunner("shop", probe, CheckTiming(interval, TIMING.timeout, failures=2), clock)
    probe.runner._run()
    return probe.runner, probe


def test_a_watch_looks_until_it_is_stopped() -> None:
    runner, probe = run(None, "down", None)
    assert probe.limits == [5.0, 5.0, 5.0]
    assert runner.state.judge(probe.clock.now) == (Health.GOOD, "")
    runner, probe = run(None, "down", "gone")
    assert runner.state.judge(probe.clock.now) == (Health.BAD, "gone")


def test_whatever_a_check_dies_of_is_a_failed_look() -> None:
    runner, probe = run(ValueError("a slip"), ZeroDivisionError("another"))
    assert runner.state.judge(probe.clock.now) == (Health.BAD, "ZeroDivisionError: another")


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    released = threading.Event()
    yield released
    released.set()


def test_a_check_that_hangs_holds_up_nobody(hanging: threading.Event) -> None:
    clock = SetClock()
    inside = threading.Event()
    left = threading.Event()

    def probe(limit: float) -> None:
        inside.set()
        assert hanging.wait(PATIENCE)
        left.set()

    runner = CheckRunner("shop", probe, TIMING, clock)
    runner.start()
    assert inside.wait(PATIENCE)
    clock.now += 25.1 + GRACE
    assert runner.state.judge(clock.now) == (Health.BAD, "it hangs, results missing: 3")
    runner.stop()
    hanging.set()
    assert left.wait(PATIENCE)


# Own faults, and what is not known yet


def test_own_faults_are_no_failures_and_a_look_ends_them() -> None:
    state = CheckState(TIMING, 0.0)
    state.begin(0.0)
    state.end(0.0, None)
    for at in range(10, 10 * TIMING.failures + 10, 10):
        state.begin(float(at))
        state.not_looked(float(at), "no files")
    now = 10.0 * TIMING.failures
    assert state.judge(now) == (Health.FAULT, "no files")
    state.begin(now)
    state.end(now, None)
    assert state.judge(now)[0] is Health.GOOD


def test_what_is_not_known_yet_is_no_reason_to_lose_patience() -> None:
    state = CheckState(TIMING, 0.0)
    for at in range(0, 1000, 10):
        state.begin(float(at))
        state.not_known(float(at), "too early")
        assert state.judge(float(at)) == (Health.UNKNOWN, "too early")


class Time:
    """A steady clock, and one of this process that ticks as long as it runs."""

    now = 100.0

    def __init__(self) -> None:
        self.running = RunningClock(lambda: self.now)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.running()

    def stand_still(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_time_in_which_nothing_ran_is_measured_and_does_not_count(time: Time) -> None:
    time.run(3)
    assert time.running() == pytest.approx(3)
    assert time.running.stood == 0
    time.stand_still(3600)
    assert time.running() == pytest.approx(3 + TICK)
    assert time.running.stood == pytest.approx(3600 - TICK)
    time.run(2)
    assert time.running() == pytest.approx(5 + TICK)


def test_the_clock_ticks_by_itself() -> None:
    asked = threading.Semaphore(0)

    def clock() -> float:
        asked.release()
        return 0.0

    running = RunningClock(clock)
    running.start()
    for _ in range(4):
        assert asked.acquire(timeout=PATIENCE)
    running.stop()


def test_a_standstill_is_no_check_that_hangs(time: Time) -> None:
    state = CheckState(TIMING, time.running())
    state.begin(time.running())
    state.end(time.running(), None)
    results(state, time.running(), None)
    state.begin(time.running())
    time.stand_still(3600)
    assert state.judge(time.running())[0] is Health.GOOD


def look_in(
    time: Time, timing: CheckTiming, *standstills: float, found: str | Exception | None = "timed out"
) -> tuple[CheckRunner, list[float]]:
    """One look for each of ``standstills``, which takes a second beside it; when each began by the steady clock."""
    begun: list[float] = []
    left = list(standstills)

    def probe(_limit: float) -> str | None:
        begun.append(time.now)
        time.run(0.5)
        time.stand_still(left.pop(0))
        time.run(0.5)
        if not left:
            runner.stop()
        if isinstance(found, Exception):
            raise found
        return found

    runner = CheckRunner("shop", probe, timing, time.running)
    runner._run()
    return runner, begun


@pytest.mark.parametrize("found", ["did not answer within 5 s", OwnFault("systemctl took longer"), None])
def test_a_look_during_which_the_exporter_stood_still_says_nothing_and_is_taken_again_at_once(
    time: Time, found: str | Exception | None
) -> None:
    runner, _ = look_in(time, CheckTiming(interval=60, failures=1), 8.0, found=found)
    health, reason = runner.state.judge(time.running())
    assert health is Health.UNKNOWN
    assert reason == "the exporter stood still for 8.0 s of a look, which is taken again"
    assert runner.state.pause(time.running() - 1, time.running()) == 0


def test_what_was_known_stands_over_a_spoiled_look(time: Time) -> None:
    for problem, known in ((None, Health.GOOD), ("refused", Health.BAD)):
        state = CheckState(CheckTiming(interval=60, failures=1), 0)
        state.begin(0)
        state.end(1, problem)
        for now, other in ((60, "timed out"), (66, None)):
            state.begin(now)
            assert state.spoils(now + 1, 8.0)
            assert state.judge(now + 1)[0] is known, other


def test_a_standstill_of_a_small_share_of_the_limit_does_not_count(time: Time) -> None:
    runner, _ = look_in(time, CheckTiming(interval=60, failures=1), 0.5)
    assert runner.state.judge(time.running()) == (Health.BAD, "timed out")


@pytest.mark.parametrize(("problem", "known"), [(None, Health.GOOD), ("refused", Health.BAD)])
def test_looks_that_are_spoiled_again_and_again_change_nothing(problem: str | None, known: Health) -> None:
    """Found by a stranger: an exporter that ran for 20 ms a second had its machine reset, which was well."""
    state = CheckState(CheckTiming(interval=60, failures=1), 0)
    state.begin(0)
    state.end(1, problem)
    before = state.judge(1)
    for now in range(60, 3600, 5):
        state.begin(now)
        assert state.spoils(now + 4, 3.9)
        assert state.judge(now + 4) == before
    assert before[0] is known


def test_looks_that_are_spoiled_are_taken_again_at_once_and_later_not_quite(time: Time) -> None:
    _, begun = look_in(time, CheckTiming(interval=60, failures=1), *[8.0] * SPOILED)
    assert [later - sooner for sooner, later in itertools.pairwise(begun)] == [pytest.approx(9)] * (
        SPOILED - 1
    )
    state = CheckState(TIMING, 0)
    for number in range(1, 10):
        state.begin(10 * number)
        state.not_run(10 * number + 9, "starved")
        assert state.pause(10 * number, 10 * number + 9) == (0 if number < SPOILED else AGAIN)


def looks(time: Time, timing: CheckTiming, takes: float, run: float, still: float, most: int) -> CheckRunner:
    """Of a service that answers after so many seconds, by an exporter that runs and stands still in turn; until bad, or ``most``."""

    def probe(limit: float) -> str | None:
        end = time.now + min(limit, takes)
        while time.now < end:
            time.run(run)
            time.stand_still(still)
        return None if takes <= limit else f"did not answer within {limit:g} s"

    runner = CheckRunner("shop", probe, timing, time.running)
    runner.state.begin(time.running())
    runner.state.end(time.running(), None)
    for _ in range(most):
        runner._look(time.running())
        if runner.state.judge(time.running())[0] is Health.BAD:
            break
    return runner


OFTEN = CheckTiming(interval=0.5, timeout=5, failures=2)
HANGS = 1e9


@pytest.mark.parametrize(("runs", "still"), [(3.8, 0.7), (1.6, 0.4), (0.6, 0.3), (0.6, 0.5)])
def test_what_hangs_is_found_out_where_the_exporter_stands_still_for_a_part_of_the_time(
    time: Time, runs: float, still: float
) -> None:
    """Found by a stranger: with 0.7 s of 4.5, a service that hung was good for ever."""
    runner = looks(time, OFTEN, HANGS, runs, still, 12)
    health, reason = runner.state.judge(time.running())
    assert health is Health.BAD
    assert "did not answer within" in reason


@pytest.mark.parametrize(("takes", "runs", "still"), [(HANGS, 0.1, 0.9), (HANGS, 0.1, 4), (4.9, 0.6, 0.5)])
def test_an_exporter_that_stands_still_for_most_of_the_time_or_a_slow_service_is_no_failed_look(
    time: Time, takes: float, runs: float, still: float
) -> None:
    runner = looks(time, OFTEN, takes, runs, still, 30)
    assert runner.state.judge(time.running())[0] is Health.GOOD
    assert OFTEN.timeout <= runner.state.limit <= 2 * OFTEN.timeout


def test_a_look_has_more_time_for_as_long_as_none_comes_back_in_time() -> None:
    state = CheckState(OFTEN, 0)
    state.begin(0)
    state.end(0, None)
    assert state.limit == 5
    for stood, limit in ((1.0, 6.0), (1.0, 7.0), (4.0, 10.0), (6.0, 10.0)):
        state.begin(0)
        assert state.spoils(state.limit - stood, stood)
        assert state.limit == limit
    state.begin(0)
    assert state.spoils(1, 1.0), "it did not end at its limit"
    assert state.limit == 10
    state.begin(0)
    assert state.judge(10 + GRACE)[0] is Health.GOOD
    state.end(10, "timed out")
    assert (state.limit, state.kept(10).failures) == (10, 1), "one look, however much time it had"
    state.begin(11)
    state.end(12, "refused")
    assert state.limit == 5


@pytest.mark.parametrize("before", [None, "refused"])
def test_a_look_that_was_starved_is_no_verdict(time: Time, before: str | None) -> None:
    def probe(_limit: float) -> str | None:
        time.run(1)
        raise Starved("the search was hardly run")

    runner = CheckRunner("shop", probe, CheckTiming(interval=1, failures=1), time.running)
    runner.state.begin(0)
    runner.state.end(0, before)
    known = runner.state.judge(time.running())
    for _ in range(5):
        runner._look(time.running())
        assert runner.state.judge(time.running()) == known
    assert known[0] is (Health.GOOD if before is None else Health.BAD)


def test_a_look_that_was_late_by_time_in_which_the_exporter_ran_is_late(time: Time) -> None:
    state = CheckState(CheckTiming(interval=60, failures=1), 0)
    state.begin(0)
    assert not state.spoils(30, 8.0)
    state.end(30, None)
    assert state.judge(30) == (Health.BAD, "the answer took longer than 5 s")


def test_a_shortage_of_a_moment_is_no_fault_for_a_whole_interval() -> None:
    state = CheckState(CheckTiming(interval=60, failures=2), 0)
    state.begin(0)
    state.not_looked(1, "no files")
    assert state.pause(0, 1) == 59
    state.begin(60)
    state.not_looked(61, "no files")
    assert state.judge(61)[0] is Health.FAULT
    assert state.pause(60, 61) == AGAIN - 1
    state.begin(62)
    state.end(63, None)
    assert state.judge(63)[0] is Health.GOOD
    assert state.pause(62, 63) == 59


# Over a restart


@pytest.mark.parametrize("failed", [3, 2, 1, 0])
def test_failures_of_before_a_restart_count_on_with_a_fresh_one(failed: int) -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, None, None, *["down"] * failed)
    assert state.kept(now).failures == failed
    after = CheckState(TIMING, 0)
    after.goes_on(state.kept(now))
    assert after.judge(0)[0] is Health.UNKNOWN, "it is no verdict"
    for more in range(1, 4):
        results(after, 10 * more, "down")
        assert (after.judge(10 * more + 1)[0] is Health.BAD) is (more >= max(1, 3 - failed)), more


SELDOM = CheckTiming(interval=60, failures=2)


def after_a_blip(timing: CheckTiming = SELDOM, killed: float = 1.5) -> CheckState:
    """Successor of an exporter that was killed so many seconds after it had begun a look that failed; its clock begins anew."""
    before = CheckState(timing, 0)
    results(before, 0, None, "down")
    after = CheckState(timing, 0)
    after.goes_on(before.kept(timing.interval + killed))
    return after


def test_a_restart_makes_no_second_failure_of_one() -> None:
    """Found by a stranger: looks of 60 s apart, away for 9 s, killed meanwhile, and reset half a minute after it was back."""
    state = after_a_blip()
    for now in (0.2, 2.0):
        state.begin(now)
        state.end(now + 0.1, "down")
        assert state.judge(now + 0.1)[0] is Health.UNKNOWN
        assert state.pause(now, now + 0.1) == pytest.approx(58.4 - now), "an interval after the first"
    assert (state.kept(10).failures, state.kept(10).same_for) == (1, 48.5)
    state.begin(58.5)
    state.end(58.6, "down")
    assert state.judge(58.6)[0] is Health.BAD
    assert state.pause(58.5, 58.6) == pytest.approx(4.9), "sooner while it is bad"


def test_the_second_failure_is_one_whatever_restarts() -> None:
    state, now = after_a_blip(), 1.5
    for _ in range(20):
        state.begin(0.2)
        state.end(0.3, "down")
        now += 6
        bad = state.judge(6)[0] is Health.BAD
        assert bad is (now >= 66), "the first look of a life that begins 60 s after the blip"
        after = CheckState(SELDOM, 0)
        after.goes_on(state.kept(6))
        state = after


def test_a_good_look_soon_after_a_restart_counts() -> None:
    state = after_a_blip()
    state.begin(0.2)
    state.end(0.3, None)
    assert state.judge(0.3)[0] is Health.GOOD
    assert state.pause(0.2, 0.3) == pytest.approx(59.9)
    assert (state.kept(1).failures, state.kept(1).same_for) == (0, 0)


def test_a_look_soon_after_a_restart_that_hangs_is_bad_when_the_next_one_would_have_been() -> None:
    state = after_a_blip()
    state.begin(0.2)
    assert state.judge(58.5 + 5 + GRACE)[0] is not Health.BAD
    assert state.judge(58.6 + 5 + GRACE)[0] is Health.BAD
    state.end(20, None)
    assert state.judge(20) == (Health.UNKNOWN, "the answer took longer than 5 s")


def test_what_was_bad_is_bad_again_with_the_first_failed_look_however_soon() -> None:
    state = after_a_blip(CheckTiming(interval=60, failures=1))
    state.begin(0.2)
    state.end(0.3, "down")
    assert state.judge(0.3)[0] is Health.BAD


def test_a_good_look_after_a_restart_clears_what_was_before(time: Time) -> None:
    after = CheckState(TIMING, 0)
    after.goes_on(Kept(3))
    assert after.kept(0).failures == 3, "nothing has been seen yet"
    now = results(after, 0, None, "down", "down")
    assert after.judge(now)[0] is Health.UNKNOWN
    assert after.kept(now).failures == 2


def test_a_look_that_hangs_after_a_restart_is_a_fresh_failure() -> None:
    after = CheckState(TIMING, 0)
    after.goes_on(Kept(3))
    after.begin(0)
    assert after.judge(5 + GRACE)[0] is Health.UNKNOWN
    assert after.judge(5.1 + GRACE)[0] is Health.BAD
    assert after.kept(5.1 + GRACE).failures == 3


def test_what_hangs_behind_faults_of_the_exporters_own_is_bad_for_a_successor() -> None:
    """By its verdict it is a fault, still: one good look does not make it good there. Found by the histories."""
    timing = CheckTiming(10.0, 5.0, 3, 3)
    before, now = CheckState(timing, 0.0), 0.0
    for _ in range(3):
        before.begin(now)
        before.end(now, None)
        now += 10
    for _ in range(3):
        before.begin(now)
        before.not_looked(now, "no descriptors")
        now += 10
    before.begin(now)
    now += 60
    assert before.judge(now)[0] is Health.FAULT
    kept = before.kept(now)
    assert (kept.failures, kept.successes) == (3, 0)
    after = CheckState(timing, 0.0)
    after.goes_on(kept)
    after.begin(0.0)
    after.end(0.0, None)
    assert after.judge(0.0)[0] is Health.UNKNOWN


def test_bad_health_is_handed_over_though_the_last_look_was_good() -> None:
    state = CheckState(TIMING, 0)
    now = results(state, 0, "down", "down", "down", None)
    assert state.judge(now)[0] is Health.BAD
    assert state.kept(now).failures == 3


def test_a_spoiled_look_and_an_own_fault_leave_what_is_handed_over() -> None:
    state = CheckState(TIMING, 0)
    state.goes_on(Kept(2))
    state.begin(0)
    assert state.spoils(1, 8.0)
    state.begin(1)
    state.not_looked(2, "no files")
    assert state.kept(2).failures == 2


def test_what_a_probe_remembers_is_handed_over(time: Time) -> None:
    class Probe:
        memory: tuple[int, ...] = ()

        def __call__(self, limit: float) -> None:
            raise AssertionError

    probe = Probe()
    runner = CheckRunner("backup", probe, TIMING, time.running)
    runner.goes_on(Kept(1, (7, 8)))
    assert probe.memory == (7, 8)
    assert runner.kept(time.running()) == Kept(1, (7, 8))
    runner = CheckRunner("shop", lambda _: None, TIMING, time.running)
    runner.goes_on(Kept(1, (7, 8)))
    assert runner.kept(time.running()) == Kept(1)


FLAPPING = CheckTiming(interval=1, timeout=1, failures=3, successes=3)


def flaps(state: CheckState, now: float, looks: int, begin: int = 0) -> set[Health]:
    """Bad and good in turn, every second from ``now`` on; the verdicts on the way."""
    seen = set()
    for number in range(begin, begin + looks):
        state.begin(now)
        state.end(now + 0.1, None if number % 2 else "down")
        now += 1
        seen.add(state.judge(now)[0])
    return seen


@pytest.mark.parametrize("looks", [1, 2, 3, 5])
def test_what_is_never_clearly_good_or_bad_is_bad_however_often_the_exporter_restarts(looks: int) -> None:
    """Found by a stranger: with a restart every 5 s it was UNKNOWN for ever, and heartbeats went on."""
    found: list[set[Health]] = []
    kept, now, number = Kept(), 0.0, 0
    while now < 10:
        state = CheckState(FLAPPING, now)
        state.goes_on(kept)
        found.append(flaps(state, now, looks, number))
        now, number = now + looks, number + looks
        kept = state.kept(now)
    assert Health.GOOD not in set().union(*found)
    assert Health.BAD in found[-1] | found[-2]
    assert found[0] == {Health.UNKNOWN}, "not before its time"


def test_a_clear_result_that_was_awaited_for_long_is_no_verdict_without_a_fresh_failed_look() -> None:
    state = CheckState(FLAPPING, 0)
    state.goes_on(Kept(awaited=100, successes=1))
    assert state.judge(1)[0] is Health.UNKNOWN
    state.begin(1)
    state.end(1.1, None)
    assert state.judge(2)[0] is Health.UNKNOWN
    assert state.kept(2).awaited == 102
    state.begin(2)
    state.end(2.1, "down")
    assert state.judge(2.1)[0] is Health.BAD
    state.begin(3)
    state.not_known(3.1, "too early")
    assert state.judge(4)[0] is Health.UNKNOWN, "it is awaited anew"


def test_time_in_which_the_exporter_could_not_look_is_not_handed_over() -> None:
    state = CheckState(FLAPPING, 0)
    state.begin(0)
    state.end(0.1, "down")
    state.begin(2)
    state.not_looked(3, "no files")
    assert state.kept(50).awaited == 2


@pytest.mark.parametrize("first", ["good", "bad"])
def test_what_was_good_is_good_again_with_the_first_good_look_and_flapping_makes_it_no_worse(
    first: str,
) -> None:
    """In one life it stays good for as long as its failures are not enough in a row: so it is over restarts."""
    state = CheckState(FLAPPING, 0)
    now = results(state, 0, None, None, None, "down")
    assert state.judge(now)[0] is Health.GOOD
    for _ in range(20):
        kept = state.kept(now)
        assert kept.successes == FLAPPING.successes
        state = CheckState(FLAPPING, now)
        state.goes_on(kept)
        assert state.judge(now)[0] is Health.UNKNOWN
        seen = flaps(state, now, 2, int(first == "good"))
        assert seen <= {Health.UNKNOWN, Health.GOOD}
        assert Health.GOOD in seen
        now += 2


def test_one_failed_look_is_no_verdict_on_what_was_good_though_restarts_let_no_look_end() -> None:
    """In one life it would be good still. It waits for no clear result: it has one."""
    kept, now = Kept(successes=3), 0.0
    for _ in range(20):
        state = CheckState(FLAPPING, now)
        state.goes_on(kept)
        state.begin(now)
        now += 0.4
        kept = state.kept(now)
    state = CheckState(FLAPPING, now)
    state.goes_on(kept)
    state.begin(now)
    state.end(now + 0.1, "down")
    assert state.judge(now + 0.1)[0] is Health.UNKNOWN
    state.begin(now + 1)
    state.end(now + 1.1, None)
    assert state.judge(now + 1.1)[0] is Health.GOOD


def test_what_was_good_and_went_bad_after_the_restart_is_good_for_enough_good_looks_alone() -> None:
    state = CheckState(FLAPPING, 0)
    state.goes_on(Kept(0, successes=3))
    now = results(state, 0, "down", "down", "down", None)
    assert state.judge(now)[0] is Health.BAD
    assert state.kept(now).successes == 1


def test_an_error_of_the_runner_s_own_is_no_failed_check_and_not_its_end(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CheckRunner("shop", lambda _: None, TIMING, time.running)
    turns = []

    def short(*_: object) -> None:
        turns.append(1)
        if len(turns) == 4:
            runner.stop()
        raise MemoryError

    monkeypatch.setattr(CheckState, "end", short)
    monkeypatch.setattr(sturdy, "PAUSE", 0.0)
    runner._run()
    assert len(turns) == 4
    assert runner.state.judge(time.running())[0] is Health.FAULT


def test_what_was_good_and_hangs_is_good_after_a_restart_for_enough_good_looks_alone() -> None:
    """Bad for the looks that are missing: the first good one of the successor is not enough where three are wanted."""
    state = CheckState(FLAPPING, 0)
    now = results(state, 0, None, None, None)
    assert state.judge(now)[0] is Health.GOOD
    state.begin(now)
    now += 10
    assert state.judge(now)[0] is Health.BAD
    left = state.kept(now)
    state = CheckState(FLAPPING, now)
    state.goes_on(left)
    now = results(state, now, None)
    assert state.judge(now)[0] is not Health.GOOD
    now = results(state, now, None, None)
    assert state.judge(now)[0] is Health.GOOD


SLOW = CheckTiming(interval=10, timeout=15, failures=1)


def cut_off(state: CheckState, seconds: float) -> CheckState:
    """Its process is killed after so many seconds of a look; the state of the next one."""
    state.begin(0)
    after = CheckState(state.timing, 0)
    after.goes_on(state.kept(seconds))
    return after


def test_a_look_that_a_kill_has_cut_off_says_nothing() -> None:
    """Found by a stranger: looks that took 13 of their 15 s were bad from the half of the next one on, and a VM was reset."""
    state = CheckState(SLOW, -14)
    results(state, -14, None)
    for _ in range(20):
        state = cut_off(state, 14)
        state.begin(0)
        assert state.judge(SLOW.timeout + GRACE)[0] is Health.UNKNOWN
        assert state.kept(SLOW.timeout).failures == 0
    state.end(14, None)
    assert state.judge(14)[0] is Health.GOOD


def test_what_is_bad_is_looked_at_more_often() -> None:
    """Else a verdict could outlast what it was about by an hour."""
    state = CheckState(CheckTiming(interval=3600, failures=2), 0)
    for begun, found, pause in (
        (0, None, 3600),
        (3600, "down", 3600),
        (7200, "down", 5),
        (7205, "down", 5),
        (7220, None, 3600),
    ):
        state.begin(begun)
        state.end(begun, found)
        assert state.pause(begun, begun) == pause, begun
    assert state.failed_looks == 3


def test_time_after_the_last_look_of_a_predecessor_counts_with_a_look_that_finds_the_same() -> None:
    for found, again in (("down", 7 + 3), (None, 0)):
        state = CheckState(SLOW, 0)
        state.goes_on(Kept(SLOW.failures, unsure=7))
        assert state.kept(0).unsure == 7, "of one that is killed before it has looked too"
        state.begin(0)
        state.end(3, found)
        assert state.found_again(3) == again
        assert state.kept(3).unsure == 0


def test_what_was_bad_stays_so_over_kills_in_the_middle_of_first_looks() -> None:
    state = CheckState(SLOW, 0)
    state.goes_on(Kept(SLOW.failures))
    state = cut_off(cut_off(state, 14), 14)
    assert state.judge(0)[0] is Health.UNKNOWN, "that takes a fresh look"
    state.begin(0)
    state.end(3, "refused")
    assert state.judge(3)[0] is Health.BAD
    assert state.found_again(3) == 3, "bad all the while"
    assert state.kept(3).failures == SLOW.failures


def test_a_look_that_takes_its_whole_limit_in_one_life_counts_whatever_was_cut_off_before() -> None:
    state = cut_off(cut_off(CheckState(SLOW, 0), 14), 14)
    state.begin(0)
    assert state.judge(SLOW.timeout + GRACE + 0.1)[0] is Health.BAD
    assert state.kept(SLOW.timeout + GRACE + 0.1).failures == 1


def test_another_check_of_the_same_name_begins_anew(time: Time) -> None:
    """Found by a stranger: with another path, a file that was dead for a day was good at the first look."""
    before = CheckRunner("shop", lambda _: "down", TIMING, time.running, "file a")
    results(before.state, 0, "down", "down")
    kept = before.kept(time.running())
    for of, failures in (("file a", 2), ("file b", 0)):
        after = CheckRunner("shop", lambda _: "down", TIMING, time.running, of)
        assert after.goes_on(kept) is (of == "file a")
        assert after.kept(time.running()).failures == failures
