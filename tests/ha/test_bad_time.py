"""Only observed time in which a check is known to be bad adds up."""

from __future__ import annotations

from exporter.ha.bad_time import BadTime
from exporter.ha.rules import Health

GOOD, BAD, FAULT, UNKNOWN = Health.GOOD, Health.BAD, Health.FAULT, Health.UNKNOWN


def after(*verdicts: tuple[float, Health], checks: float = 0.0) -> tuple[float, float]:
    bad = BadTime(10.0, checks)
    for at, health in verdicts:
        bad.observe(at, health)
    return bad.checks, bad.own


def test_time_between_two_bad_verdicts_counts() -> None:
    assert after((0, BAD), (4, BAD), (8, BAD)) == (8, 0)
    assert after((0, BAD)) == (0, 0)
    assert after((0, BAD), (4, BAD), (4, BAD)) == (4, 0), "the same verdict twice counts once"


def test_the_first_good_verdict_clears_all() -> None:
    assert after((0, BAD), (8, BAD), (9, GOOD)) == (0, 0)
    assert after((0, FAULT), (8, FAULT), (9, GOOD)) == (0, 0)
    assert after((0, GOOD), checks=20) == (0, 0)


def test_a_standstill_of_an_hour_is_no_hour_of_bad_health() -> None:
    assert after((0, BAD), (3600, BAD), (3601, BAD)) == (1, 0)


def test_own_faults_and_what_is_not_known_freeze_it() -> None:
    assert after((0, BAD), (8, BAD), (9, FAULT), (12, FAULT), (13, UNKNOWN), (14, BAD), (15, BAD)) == (9, 0)
    assert after((0, BAD), (8, BAD), (9, FAULT), (12, FAULT)) == (8, 3)


def left(*verdicts: tuple[float, Health], checks: float = 0.0) -> float:
    bad = BadTime(10.0, checks)
    for at, health in verdicts:
        bad.observe(at, health)
    return bad.left(30.0, verdicts[-1][1])


def test_own_faults_have_a_grace_period_of_their_own() -> None:
    assert left((0, BAD), (8, BAD)) == 22
    assert left((0, BAD), (8, BAD), (9, FAULT), (12, FAULT)) == 27
    assert left((0, FAULT), (8, FAULT), (9, BAD)) == 30
    assert left((0, FAULT), (8, FAULT), (9, BAD), (10, FAULT)) == 30, "they do not add up across bad verdicts"


def test_a_fault_does_not_undo_what_bad_checks_have_led_to() -> None:
    spent = [(at, BAD) for at in range(0, 31, 5)]
    assert left(*spent) == 0
    assert left(*spent, (31, FAULT)) == 0
    assert left(*spent, (31, UNKNOWN), (32, FAULT)) == 30


def test_bad_time_of_before_a_restart_is_nothing_without_a_fresh_bad_verdict() -> None:
    assert left((0, FAULT), (1, FAULT), checks=900) == 29
    assert left((0, UNKNOWN), (1, FAULT), checks=900) == 30
    assert left((0, BAD), (1, FAULT), checks=900) == 0


def test_what_was_before_a_restart_counts_on_with_bad_verdicts_only() -> None:
    assert after((0, UNKNOWN), (5, UNKNOWN), checks=20) == (20, 0)
    assert after((0, BAD), (5, BAD), checks=20) == (25, 0)


def test_a_clock_that_goes_back_counts_nothing() -> None:
    assert after((10, BAD), (5, BAD), (6, BAD)) == (1, 0)


def test_it_is_never_longer_than_that_of_the_check_that_is_bad_for_longest() -> None:
    """Found by a stranger: bad for 9 s three times, well between, and a reset, as another check was not known yet."""
    bad = BadTime(10.0)
    for at in range(9):
        bad.observe(at, BAD, at)
    bad.observe(9, UNKNOWN, 0)
    assert bad.checks == 0
    bad.observe(10, BAD, 0)
    bad.observe(15, BAD, 5)
    assert bad.checks == 5
    bad.observe(16, BAD, 1)
    assert bad.checks == 1, "that check is good, and another one is bad for a second"


def test_a_look_that_finds_bad_again_what_was_bad_before_a_restart_is_bad_time_as_well() -> None:
    bad = BadTime(10.0, 3)
    bad.observe(0, UNKNOWN)
    bad.observe(5, BAD, 8, found_again=5)
    assert bad.checks == 8
    bad.observe(6, BAD, 9, found_again=5)
    bad.observe(7, FAULT, 9)
    bad.observe(8, BAD, 9, found_again=5)
    assert bad.checks == 9, "once"


def test_that_of_a_check_counts_when_its_turn_comes_whatever_was_bad_before() -> None:
    """Found by a stranger: a check that was bad for a moment at each start, and the other's reset came 100 s too late."""
    bad = BadTime(10.0, 20)
    bad.observe(0, BAD, 20)
    bad.observe(2, BAD, 20)
    bad.observe(3, UNKNOWN, 20)
    bad.observe(10, BAD, 30, found_again=10)
    assert bad.checks == 30
    bad.observe(12, BAD, 35, found_again=13)
    assert bad.checks == 35
    bad.clear()
    bad.observe(14, BAD, 2, found_again=13)
    assert bad.checks == 2, "what is counted is not counted again"


def test_a_verdict_is_bad_time_once_a_look_has_found_the_same_at_its_end() -> None:
    """Found by a stranger: looks of a minute apart, one blip, a grace of 30 s, and a machine that was well again was reset."""
    bad = BadTime(10.0)
    for at in range(9):
        bad.observe(at, BAD, unsure=at)
    assert (bad.checks, bad.sure, bad.left(8, BAD), bad.spent(8)) == (8, 0, 8, False)
    bad.observe(9, BAD)
    assert (bad.checks, bad.sure, bad.left(8, BAD), bad.spent(8)) == (9, 9, 0, True)
    bad.observe(10, BAD, unsure=1)
    assert (bad.sure, bad.spent(8)) == (9, True), "what was decided stands"
    bad.clear()
    bad.observe(11, BAD, unsure=2)
    assert bad.sure == 0, "of before another session"


def test_a_check_that_is_bad_now_and_then_hides_no_fault_of_the_exporters_own() -> None:
    """Found by a stranger: polls were dead, one look in four failed, and an hour later nothing had happened."""
    bad = BadTime(10.0)
    for at in range(0, 28, 4):
        bad.observe(at, FAULT)
        bad.observe(at + 1, BAD, fault=True)
        bad.observe(at + 2, FAULT)
    assert (bad.own, bad.checks) == (26, 0)
    bad.observe(27, BAD, fault=True)
    assert bad.left(30, BAD) == 3
    assert bad.left(30, FAULT) == 3
    bad.observe(28, BAD)
    assert (bad.own, bad.left(30, BAD)) == (0, 29)


def test_no_more_counts_than_what_is_proved_of_the_checks_that_are_bad_now() -> None:
    bad = BadTime(10.0, 40.0)
    bad.observe(0, BAD, 50.0, unsure=49.0)
    assert (bad.checks, bad.sure, bad.left(30, BAD)) == (40, 1, 29)
    bad.observe(1, BAD, 51.0, unsure=0.0)
    assert (bad.checks, bad.sure, bad.left(30, BAD)) == (41, 41, 0)
    bad.take_back(2.0)
    assert bad.checks == 39
    bad.take_back(90.0)
    assert bad.checks == 0


def test_three_looks_ten_seconds_apart_fill_a_grace_of_thirty() -> None:
    bad = BadTime(15.0)
    for at in (0.0, 10.0002, 20.0001, 29.9998):
        bad.observe(at, BAD)
    assert bad.checks < 30
    assert (bad.left(30, BAD), bad.spent(30)) == (0, True)
