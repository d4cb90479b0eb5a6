from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from exporter.ha import health
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import GRACE, CheckState, CheckTiming
from exporter.ha.health import HealthJudge
from exporter.ha.kept import Kept
from exporter.ha.rules import Health
from exporter.ha.running_clock import TICK, RunningClock
from tests.ha.set_clock import SetClock

MAX_AGE = 30.0


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


class Polls:
    """When the last good poll was; 0 before the first."""

    last = 0.0

    def __call__(self) -> float:
        return self.last


@pytest.fixture
def polls() -> Polls:
    return Polls()


def found(runner: CheckRunner, clock: SetClock, problem: str | None) -> None:
    """The check has looked, and this is what it found."""
    runner.state.begin(clock.now)
    runner.state.end(clock.now, problem)


def check(name: str, clock: SetClock) -> CheckRunner:
    return CheckRunner(name, lambda _: None, CheckTiming(interval=10.0, timeout=5.0, failures=1), clock)


def test_without_checks_the_polls_decide(clock: SetClock, polls: Polls) -> None:
    judge = HealthJudge([], polls, MAX_AGE, clock=clock, running=clock)
    verdict = judge.judge()
    assert (verdict.health, verdict.checks) == (Health.UNKNOWN, {"poll": False})
    assert verdict.reason == "check poll: no poll has ended yet"
    polls.last = clock.now = 1010.0
    verdict = judge.judge()
    assert (verdict.health, verdict.reason, verdict.checks) == (Health.GOOD, "", {"poll": True})


def test_a_poll_may_be_so_old(clock: SetClock, polls: Polls) -> None:
    judge = HealthJudge([], polls, MAX_AGE, clock=clock, running=clock)
    polls.last = 1000.0
    assert judge.judge().health is Health.GOOD
    clock.now = 1030.0
    assert judge.judge().health is Health.GOOD
    clock.now = 1031.0
    verdict = judge.judge()
    assert verdict.health is Health.FAULT, "the exporter's own fault, not the application's"
    assert verdict.reason == "check poll: the last good poll is 31 s old"


class Machine:
    """Its clocks: ``monotonic`` stands still while it is suspended, ``boot`` goes on; and the exporter's, which ticks while it runs."""

    monotonic = boot = 1000.0

    def __init__(self) -> None:
        self.running = RunningClock(lambda: self.boot)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.stand_still(TICK)
            self.running()

    def stand_still(self, seconds: float) -> None:
        self.monotonic += seconds
        self.boot += seconds

    def suspend(self, seconds: float) -> None:
        self.boot += seconds


@pytest.mark.parametrize("still", [Machine.stand_still, Machine.suspend])
def test_a_poll_s_age_is_time_in_which_the_exporter_ran(
    polls: Polls, still: Callable[[Machine, float], None]
) -> None:
    """Found by a stranger: after an hour's suspend, dead polls were good for an hour."""
    machine = Machine()
    judge = HealthJudge([], polls, MAX_AGE, clock=lambda: machine.monotonic, running=machine.running)
    polls.last = machine.monotonic
    assert judge.judge().health is Health.GOOD
    machine.run(10)
    for _ in range(3):
        still(machine, 3600)
        assert judge.judge().health is Health.GOOD, "what was good before it is so after it"
    machine.run(19)
    assert judge.judge().health is Health.GOOD
    machine.run(2)
    verdict = judge.judge()
    assert (verdict.health, verdict.reason) == (Health.FAULT, "check poll: the last good poll is 31 s old")
    polls.last = machine.monotonic
    assert judge.judge().health is Health.GOOD


def test_a_first_poll_that_never_comes_is_a_fault(clock: SetClock, polls: Polls) -> None:
    judge = HealthJudge([], polls, MAX_AGE, clock=clock, running=clock)
    clock.now = 1030.0
    assert judge.judge().health is Health.UNKNOWN
    clock.now = 1031.0
    verdict = judge.judge()
    assert (verdict.health, verdict.reason) == (Health.FAULT, "check poll: no good poll in 31 s")


def test_every_check_must_be_good(clock: SetClock, polls: Polls) -> None:
    polls.last = clock.now
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock)
    found(shop, clock, None)
    verdict = judge.judge()
    assert verdict.health is Health.UNKNOWN
    assert verdict.reason == "check mail: no result yet"
    found(mail, clock, None)
    verdict = judge.judge()
    assert (verdict.health, verdict.reason) == (Health.GOOD, "")
    found(mail, clock, "no answer")
    verdict = judge.judge()
    assert verdict.health is Health.BAD
    assert verdict.reason == "check mail: no answer"
    assert verdict.checks == {"poll": True, "shop": True, "mail": False}


def test_a_check_of_the_users_outweighs_a_fault_and_a_fault_what_is_unknown(
    clock: SetClock, polls: Polls
) -> None:
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock)
    clock.now += MAX_AGE + 1
    found(shop, clock, None)
    mail.state.not_known(clock.now, "no result yet")
    assert mail.state._seen.health is Health.UNKNOWN
    mail.state.begin(clock.now)
    assert judge.judge().health is Health.FAULT
    found(shop, clock, "no answer")
    verdict = judge.judge()
    assert verdict.health is Health.BAD
    assert verdict.reason.split("; ") == [
        "check poll: no good poll in 31 s",
        "check shop: no answer",
    ]


def test_what_is_not_known_yet_is_no_reason_for_bad_health(clock: SetClock, polls: Polls) -> None:
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock)
    polls.last = clock.now
    assert judge.judge().reason == "check shop: no result yet; check mail: no result yet"
    found(shop, clock, "refused")
    assert judge.judge().reason == "check shop: refused"
    found(mail, clock, "no answer")
    assert judge.judge().reason == "check shop: refused; check mail: no answer"


def test_the_web_server_is_one_of_the_exporters_own(clock: SetClock, polls: Polls) -> None:
    polls.last = clock.now
    judge = HealthJudge([], polls, MAX_AGE, lambda _limit: True, clock=clock, running=clock)
    assert judge._web is not None
    found(judge._web, clock, None)
    assert judge.judge().checks == {"poll": True, "web": True}
    for _ in range(health.WEB.failures):
        found(judge._web, clock, "it stood still")
    verdict = judge.judge()
    assert (verdict.health, verdict.reason) == (Health.FAULT, "check web: it stood still")


def test_a_check_that_can_not_be_looked_at_is_the_exporters_own_fault(clock: SetClock, polls: Polls) -> None:
    polls.last = clock.now
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    found(shop, clock, None)
    assert judge.judge().health is Health.GOOD
    shop.state.begin(clock.now)
    shop.state.not_looked(clock.now, "the exporter could not look: Too many open files")
    verdict = judge.judge()
    assert (verdict.health, verdict.checks["shop"]) == (Health.FAULT, False)
    assert verdict.reason == "check shop: the exporter could not look: Too many open files"
    assert verdict.fault


def test_a_standstill_between_two_bad_looks_is_no_bad_time(polls: Polls) -> None:
    """Found by a stranger: what was checked was well for 45 s in which the exporter hardly ran, and a reset was asked for."""
    machine = Machine()
    shop = CheckRunner("shop", lambda _: None, CheckTiming(10.0, 5.0, 1), machine.running)
    judge = HealthJudge(
        [shop], polls, MAX_AGE, clock=lambda: machine.monotonic, running=machine.running, longest=10.0
    )

    def look() -> None:
        shop.state.begin(machine.running())
        shop.state.end(machine.running(), "down")

    look()
    assert judge.judge().bad_for == 0
    for _ in range(5):
        machine.stand_still(8.5)
        judge.judge()
        machine.run(0.9)
        judge.judge()
    look()
    summary = judge.judge()
    assert summary.bad_for == pytest.approx(5 * (0.9 + TICK))
    assert summary.unsure == 0


@pytest.mark.parametrize("blind", ["own fault", "stood still"])
def test_a_look_that_said_nothing_confirms_no_bad_time(clock: SetClock, polls: Polls, blind: str) -> None:
    """Found by a stranger: 40 s in which every look was good, and spoiled, and a single failed one made them bad time."""
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock, longest=10.0)

    def after(seconds: float, look: str = "") -> tuple[float, float]:
        clock.now += seconds
        if look == "bad":
            found(shop, clock, "down")
        elif look:
            shop.state.begin(clock.now)
            (shop.state.not_looked if look == "own fault" else shop.state.not_run)(clock.now, "no files")
        summary = judge.judge()
        return summary.bad_for, summary.unsure

    shop.state = CheckState(CheckTiming(interval=10.0, timeout=5.0, failures=3), clock())
    for _ in range(3):
        found(shop, clock, "down")
    assert after(0) == (0, 0)
    assert [after(4), after(4, "bad")] == [(4, 4), (8, 0)]
    assert [after(4), after(4, blind), after(4), after(4, blind)] == [(12, 4), (8, 0), (8, 0), (8, 0)]
    assert [after(4, "bad"), after(4), after(1, "bad")] == [(12, 0), (16, 4), (17, 0)]


def test_a_check_that_is_bad_hides_no_bad_time_of_another(clock: SetClock, polls: Polls) -> None:
    """Found by a stranger: one that nobody could look at was bad for longest, and after 110 s of the other one beats went on."""
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)
    found(shop, clock, "down")
    judge.judge()
    for _ in range(4):
        clock.now += 2
        found(mail, clock, "down")
        judge.judge()
    summary = judge.judge()
    assert (summary.bad_for, summary.bad_for - summary.unsure) == (8, 6)


def test_a_bad_verdict_spends_no_bad_time_of_another_check(clock: SetClock, polls: Polls) -> None:
    """Found by a stranger: one had been bad before a restart, another failed its first look, and a reset came at once."""
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)
    judge.goes_on({"shop": Kept(3, bad_for=20.0), "mail": Kept()})
    summary = judge.judge()
    assert (summary.health, summary.bad_for, summary.unsure) == (Health.UNKNOWN, 20, 0)
    found(mail, clock, "down")
    summary = judge.judge()
    assert (summary.health, summary.bad_for, summary.unsure) == (Health.BAD, 20, 20)
    found(shop, clock, "down")
    summary = judge.judge()
    assert (summary.bad_for, summary.unsure) == (20, 0)


def test_one_that_can_not_be_looked_at_any_more_is_as_bad_as_it_was(clock: SetClock, polls: Polls) -> None:
    """Found by a stranger: another one failed beside it, and heartbeats that were withheld went on."""
    polls.last = clock.now
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)

    def judged(*found_now: tuple[CheckRunner, str | None]) -> tuple[Health, float, bool, float]:
        for runner, what in found_now:
            runner.state.begin(clock.now)
            if what == "no files":
                runner.state.not_looked(clock.now, what)
            else:
                runner.state.end(clock.now, what)
        summary = judge.judge()
        assert summary.update(clock.now).bad_now == summary.bad_now
        return summary.health, summary.bad_for - summary.unsure, summary.known_bad, summary.bad_now

    assert judged((shop, "down"), (mail, None)) == (Health.BAD, 0, True, 0)
    clock.now += 5
    assert judged((shop, "down")) == (Health.BAD, 5, True, 5)
    assert judged((shop, "no files")) == (Health.FAULT, 5, True, 0)
    assert judged((mail, "down")) == (Health.BAD, 5, True, 0), "it withholds, and asks for nothing"
    assert judged((mail, None)) == (Health.FAULT, 5, True, 0)
    assert judged((shop, None)) == (Health.GOOD, 0, False, 0)
    assert judged((shop, "no files")) == (Health.FAULT, 0, False, 0)


def test_another_check_s_blip_finds_nothing_bad_that_was_so_before_a_restart(
    clock: SetClock, polls: Polls
) -> None:
    """Found by a stranger: it was well by then, and could not be looked at; withheld at once, and reset."""
    polls.last = clock.now
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)
    judge.goes_on({"shop": Kept(1, bad_for=25.0), "mail": Kept()})
    shop.state.begin(clock.now)
    shop.state.not_looked(clock.now, "no files")
    known_bad = []
    for problem in (None, "down", None):
        found(mail, clock, problem)
        known_bad.append(judge.judge().known_bad)
    assert known_bad == [False, True, False]
    assert judge.judge().bad_for == 25, "nothing has cleared it either"


@pytest.mark.parametrize("after", ["down", "no files"])
def test_a_good_verdict_between_two_judgings_is_told(clock: SetClock, polls: Polls, after: str) -> None:
    """Found by a stranger: every other look was good, the next one began at once and failed, and a reset came."""
    polls.last = clock.now
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)

    def look(what: str) -> None:
        shop.state.begin(clock.now)
        if what == "no files":
            shop.state.not_looked(clock.now, what)
        else:
            shop.state.end(clock.now, what)

    look(after)
    verdict = judge.judge().health
    assert verdict is not Health.GOOD
    clock.now += 1
    assert judge.judge().health is verdict
    found(shop, clock, None)
    look(after)
    summary = judge.judge()
    assert (summary.health, summary.reason, summary.bad_for) == (Health.GOOD, "", 0)
    clock.now += 1
    summary = judge.judge()
    assert (summary.health, summary.bad_for) == (verdict, 0)
    found(shop, clock, None)
    assert judge.judge().health is Health.GOOD
    look(after)
    assert judge.judge().health is verdict, "this was told already"


def test_maintenance_clears_what_was_bad_before_it(clock: SetClock, polls: Polls) -> None:
    """Else it would go on from there for who takes over what the checks have kept."""
    maintained = [False]
    shop = check("shop", clock)
    judge = HealthJudge(
        [shop], polls, MAX_AGE, clock=clock, running=clock, longest=10.0, maintained=lambda: maintained[0]
    )

    def bad_for(seconds: float) -> float:
        clock.now += seconds
        found(shop, clock, "down")
        return judge.judge().bad_for

    assert [bad_for(0), bad_for(9)] == [0, 9]
    maintained[0] = True
    assert bad_for(0) == 0
    assert judge.judge().kept["shop"].bad_for == 0
    maintained[0] = False
    assert bad_for(4) == 4


def test_a_check_that_is_bad_hides_no_dead_poll(clock: SetClock, polls: Polls) -> None:
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    found(shop, clock, None)
    polls.last = clock.now
    assert not judge.judge().fault
    clock.now += MAX_AGE + 1
    for problem, worst in ((None, Health.FAULT), ("down", Health.BAD)):
        found(shop, clock, problem)
        verdict = judge.judge()
        assert (verdict.health, verdict.fault, verdict.update(7.0).fault) == (worst, True, True)


def test_each_check_has_its_bad_time_by_itself_and_its_own_good_verdict_ends_it(
    clock: SetClock, polls: Polls
) -> None:
    shop, mail, news = (check(name, clock) for name in ("shop", "mail", "news"))
    judge = HealthJudge([shop, mail, news], polls, MAX_AGE, clock=clock, running=clock, longest=5.0)

    def after(seconds: float, **problems: str | None) -> tuple[float, float]:
        """Bad time of the check that is bad for longest, and how much of it no look has confirmed."""
        clock.now += seconds
        for runner in (shop, mail):
            if runner.name in problems:
                found(runner, clock, problems[runner.name])
        summary = judge.judge()
        return summary.bad_for, summary.unsure

    assert after(0, shop="down") == (0, 0)
    assert after(4) == (4, 4), "it may be well by now"
    assert after(4, shop="down", mail="down") == (8, 0)
    assert after(3) == (11, 3)
    assert (judge.judge().kept["shop"].bad_for, judge.judge().kept["shop"].unsure) == (8, 3)
    assert after(1, shop="down") == (12, 0)
    assert after(1, shop=None, mail="down") == (5, 0), "that of the other one"
    assert after(1, mail=None) == (0, 0), "though news is not known yet"
    assert after(1, shop="down") == (0, 0)
    assert after(6) == (0, 0), "a standstill"
    assert judge.judge().kept["shop"].bad_for == 0


def test_the_bad_time_of_before_a_restart_is_that_of_the_same_check(clock: SetClock, polls: Polls) -> None:
    def bad_for(kept: dict[str, Kept], bad_for: float = 0.0) -> float:
        judge = HealthJudge([check("shop", clock)], polls, MAX_AGE, clock=clock, running=clock)
        judge.goes_on(kept, bad_for)
        return judge.judge().bad_for

    assert bad_for({}) == 0
    assert bad_for({}, 12) == 12, "of one of the checks, it is not known which"
    assert bad_for({"shop": Kept(bad_for=7.25)}, 12) == 7.25
    assert bad_for({"shop": Kept(bad_for=7.25, of="another address")}, 12) == 0
    assert bad_for({"mail": Kept(bad_for=7.25)}, 12) == 0


def test_what_was_bad_before_a_restart_was_so_while_it_was_looked_at(clock: SetClock, polls: Polls) -> None:
    """Found by a stranger: killed every 6 s, with looks that hang for 5 s, no bad time ever added up."""
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on({"shop": Kept(failures=1, bad_for=2.5)})
    shop.state.begin(clock.now)
    clock.now += 5
    assert (judge.judge().bad_for, judge.judge().found_again) == (2.5, 0)
    shop.state.end(clock.now, "timed out")
    summary = judge.judge()
    assert (summary.health, summary.bad_for, summary.found_again) == (Health.BAD, 7.5, 5)
    update = summary.update(7.0)
    assert (update.bad_for, update.found_again, update.at) == (7.5, 5, 7.0)
    clock.now += 1
    assert (judge.judge().bad_for, judge.judge().unsure) == (8.5, 1), "until a look finds the same"
    shop.state.begin(clock.now)
    clock.now += 5 + GRACE
    assert (judge.judge().bad_for, judge.judge().unsure) == (15.5, 8)
    clock.now += 0.5
    assert (judge.judge().bad_for, judge.judge().unsure) == (16, 0), "it hangs"


def test_what_was_found_again_is_not_left_to_a_successor_to_be_found_once_more(
    clock: SetClock, polls: Polls
) -> None:
    """Found by a stranger: a file on a dead mount had more bad time than had passed, once more with each restart."""
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on({"shop": Kept(failures=1, bad_for=2.5, unsure=4.0)})
    shop.state.begin(clock.now)
    clock.now += 5
    kept = judge.judge().kept["shop"]
    assert (kept.bad_for, kept.unsure) == (2.5, 4), "not found again yet"
    clock.now += GRACE + 1
    kept = judge.judge().kept["shop"]
    assert (kept.bad_for, kept.unsure) == (14.5, 0), "it hangs: all of it counts"
    shop.state.not_looked(clock.now, "no file is left")
    kept = judge.judge().kept["shop"]
    assert (kept.bad_for, kept.unsure) == (14.5, 0), "whatever comes of that look"


def test_what_was_found_again_and_is_good_since_counts_no_more(clock: SetClock, polls: Polls) -> None:
    """A look that failed and one that did not, before anybody asked."""
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on({"shop": Kept(failures=1, bad_for=2.5, unsure=4.0)})
    found(shop, clock, "down")
    found(shop, clock, None)
    assert judge.judge().bad_for == 0
    found(shop, clock, "down")
    summary = judge.judge()
    assert (summary.bad_for, summary.found_again, summary.kept["shop"].unsure) == (0, 0, 0)


def test_each_check_is_found_again_when_its_turn_comes(clock: SetClock, polls: Polls) -> None:
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on(
        {"shop": Kept(failures=1, bad_for=2, unsure=4), "mail": Kept(failures=1, bad_for=20, unsure=1)}
    )
    mail.state.begin(clock.now)
    found(shop, clock, "down")
    summary = judge.judge()
    assert (summary.bad_for, summary.found_again) == (20, 4)
    clock.now += 3
    mail.state.end(clock.now, "down")
    summary = judge.judge()
    assert (summary.bad_for, summary.found_again) == (24, 8), (
        "of both, so that the heart sees that there is more"
    )
    found(shop, clock, None)
    summary = judge.judge()
    assert (summary.bad_for, summary.found_again) == (24, 8)


def test_another_session_clears_what_was_bad_before_it_found_again_or_not(
    clock: SetClock, polls: Polls
) -> None:
    """Found by a stranger: what a predecessor knew was added after it, once the first look was found to hang."""
    shop, mail, sessions = check("shop", clock), check("mail", clock), [3]
    judge = HealthJudge(
        [shop, mail], polls, MAX_AGE, clock=clock, running=clock, session_changes=lambda: sessions[0]
    )
    bad = Kept(failures=1, bad_for=9.0, unsure=4.0)
    judge.goes_on({"shop": bad, "mail": bad})
    shop.state.begin(clock.now)
    found(mail, clock, "down")
    assert (judge.judge().bad_for, judge.judge().session_changes) == (13, 3)
    clock.now += 5
    sessions[0] = 4
    summary = judge.judge()
    assert (summary.session_changes, summary.update(7.0).session_changes) == (4, 4)
    assert (summary.kept["shop"].bad_for, summary.kept["shop"].unsure) == (0, 0)
    assert summary.bad_for == 5, "from the last verdict on, as the heart counts"
    found(mail, clock, None)
    clock.now += GRACE + 1
    summary = judge.judge()
    assert (summary.health, summary.bad_for, summary.found_again) == (Health.BAD, 3, 4 + 3)
    assert (summary.kept["shop"].bad_for, summary.kept["shop"].unsure) == (3, 0)


BAD_BEFORE = {"shop": Kept(failures=1, bad_for=30.0)}


@pytest.mark.parametrize(
    ("kept", "by"),
    [(BAD_BEFORE, 9.0), ({}, 9.0), ({"mail": BAD_BEFORE["shop"]}, -math.inf), ({"shop": Kept()}, -math.inf)],
)
def test_what_was_bad_before_a_restart_is_waited_for_until_its_first_look_is_over(
    clock: SetClock, polls: Polls, kept: dict[str, Kept], by: float
) -> None:
    """Its timeout, the time in which a probe ends what it began, and that for the verdict to be told."""
    judge = HealthJudge([check("shop", clock)], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on(kept, 0.0 if kept else 30.0)
    born = clock.now
    for _ in range(8):
        assert judge.judge().first_look_by == pytest.approx(born + by)
        assert judge.judge().update(7.0).first_look_by == pytest.approx(born + by)
        clock.now += 1
    clock.now += 2
    assert judge.judge().first_look_by < clock.now, "whatever came of it"


def test_a_starved_exporter_waits_for_its_first_look_no_longer_than_another(polls: Polls) -> None:
    """Found by a stranger: by the clock of the checks it kept silent for 25 s about a service that was well, and was reset."""
    machine = Machine()
    shop = CheckRunner("shop", lambda _: None, CheckTiming(10.0, 5.0, 1), machine.running)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=lambda: machine.monotonic, running=machine.running)
    judge.goes_on(BAD_BEFORE)
    by = machine.monotonic + 9
    for _ in range(8):
        shop.state.begin(machine.running())
        machine.stand_still(1.5)
        shop.state.spoils(machine.running(), 1.5)
        machine.run(0.3)
        assert judge.judge().first_look_by == pytest.approx(by)
    assert machine.monotonic > by


@pytest.mark.parametrize(
    ("look", "verdict", "waits"),
    [
        (lambda state, now: state.end(now, None), Health.GOOD, False),
        (lambda state, now: state.end(now, "refused"), Health.BAD, False),
        (
            lambda state, now: state.not_known(now, "a file that is judged after an hour"),
            Health.UNKNOWN,
            False,
        ),
        (lambda state, now: state.not_looked(now, "no file is left"), Health.FAULT, True),
        (lambda state, now: state.not_run(now, "starved"), Health.UNKNOWN, True),
    ],
)
def test_nor_longer_than_for_the_first_thing_that_is_known(
    clock: SetClock,
    polls: Polls,
    look: Callable[[CheckState, float], None],
    verdict: Health,
    *,
    waits: bool,
) -> None:
    """What the exporter itself can't look at is waited for, as long as a look may take: then it may be well, for all that is known."""
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on(BAD_BEFORE)
    shop.state.begin(clock.now)
    clock.now += 1
    polls.last = clock.now
    look(shop.state, clock.now)
    summary = judge.judge()
    assert (summary.health, summary.first_look_by > clock.now) == (verdict, waits)
    clock.now += 9
    assert judge.judge().first_look_by < clock.now


def test_a_slow_check_that_was_bad_for_a_moment_is_not_waited_for(clock: SetClock, polls: Polls) -> None:
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, grace=10.0)
    judge.goes_on({**BAD_BEFORE, "mail": Kept(failures=1, bad_for=2.0)})
    shop.state.begin(clock.now)
    shop.state.not_known(clock.now, "too early")
    assert judge.judge().first_look_by == -math.inf


def test_a_long_reason_is_cut_for_the_heart(clock: SetClock, polls: Polls) -> None:
    """Found by a stranger: 56 failing checks filled the pipe to a heart that stood still for 17 s, and it heard nothing of the good news."""
    checks = [check(f"a check with a long name {number}", clock) for number in range(56)]
    for each in checks:
        each.state.begin(clock.now)
        each.state.end(clock.now, "refused")
    summary = HealthJudge(checks, polls, MAX_AGE, clock=clock, running=clock).judge()
    assert len(summary.reason) > 1000
    assert len(summary.update(1.0).reason) <= 503


@pytest.mark.parametrize("seconds", [12.0, 9.9996, 99.0])
def test_every_check_that_was_bad_for_the_grace_period_is_waited_for(
    clock: SetClock, polls: Polls, seconds: float
) -> None:
    """Found by a stranger: what had been bad for longest was looked at, not good yet, and beats went on beside one that hangs."""
    shop, mail = check("shop", clock), check("mail", clock)
    judge = HealthJudge([shop, mail], polls, MAX_AGE, clock=clock, running=clock, grace=10.0)
    judge.goes_on({**BAD_BEFORE, "mail": Kept(failures=1, bad_for=seconds)})
    for first, waits in ((shop, True), (mail, False)):
        first.state.begin(clock.now)
        first.state.not_known(clock.now, "too early")
        assert (judge.judge().first_look_by > clock.now) is waits


def test_what_hangs_is_known_to_be_bad_before_nobody_waits_for_it_any_more(
    clock: SetClock, polls: Polls
) -> None:
    shop = check("shop", clock)
    judge = HealthJudge([shop], polls, MAX_AGE, clock=clock, running=clock)
    judge.goes_on(BAD_BEFORE)
    shop.state.begin(clock.now)
    clock.now += 7.5
    summary = judge.judge()
    assert (summary.health, summary.first_look_by > clock.now) == (Health.BAD, True)


@pytest.mark.parametrize("responds", [None, lambda _limit: True])
def test_all_checks_start_and_stop_together(
    clock: SetClock,
    polls: Polls,
    monkeypatch: pytest.MonkeyPatch,
    responds: Callable[[float], bool] | None,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(CheckRunner, "start", lambda self: calls.append(f"start {self.name}"))
    monkeypatch.setattr(CheckRunner, "stop", lambda self: calls.append(f"stop {self.name}"))
    judge = HealthJudge([check("shop", clock)], polls, MAX_AGE, responds, clock=clock, running=clock)
    assert calls == []
    judge.start()
    judge.stop()
    own = [] if responds is None else ["web"]
    assert calls == [f"{verb} {name}" for verb in ("start", "stop") for name in ("shop", *own)]
