"""The heart's loop without its process: what makes it stop, what it reports, what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from exporter.errors import TimeoutExpired
from exporter.ha.dry_run import DryRunMonitor
from exporter.ha.link import Link
from exporter.ha.loop import Heart
from exporter.ha.messages import ORPHANED, STOPPED, UNCONFIRMED, HealthUpdate, HeartReport, LogLine, Message
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover, OnUnhealthy, Rules
from exporter.protocol.appmonitor import AppState, AppStatus, Code

INTERVAL = 10.0


class FakeLink(Link):
    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self.sent: list[Message] = []
        self.closed = False

    def receive(self) -> list[Message]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def report(self) -> HeartReport:
        return [message for message in self.sent if isinstance(message, HeartReport)][-1]

    @property
    def lines(self) -> list[str]:
        return [message.text for message in self.sent if isinstance(message, LogLine)]


@dataclass
class FakeMonitor:
    """A host that is fine, until ``failure`` is set. Every call is noted."""

    calls: list[str] = field(default_factory=list)
    on: bool = False
    failure: TimeoutExpired | None = None
    closed: bool = False

    def _call(self, name: str) -> None:
        assert not self.closed
        self.calls.append(name)
        if self.failure:
            raise self.failure

    def enable(self) -> Code:
        self._call("enable")
        self.on = True
        return Code.OK

    def disable(self) -> Code:
        self._call("disable")
        self.on = False
        return Code.OK

    def is_enabled(self) -> bool:
        self._call("is_enabled")
        return self.on

    def mark_active(self) -> Code:
        self._call("mark_active")
        return Code.OK

    def get_app_status(self) -> AppStatus:
        self._call("get_app_status")
        return AppStatus.GREEN

    def post_app_state(self, state: AppState) -> Code:
        self._call(f"post_app_state {state.value}")
        return Code.OK

    def close(self) -> None:
        self.closed = True


class Life:
    """A heart with everything round it in this test's hands."""

    def __init__(
        self,
        rules: Rules | None = None,
        leftover: Leftover = Leftover.NOTHING,
        *,
        dry_run: bool = False,
        bad_for: float = 0.0,
        begun: float = 0.0,
        maintained: float | None = None,
    ) -> None:
        self.now = 50.0
        self.monitor = FakeMonitor(on=leftover is not Leftover.NOTHING)
        self.dry_run = DryRunMonitor(30.0, self.clock)
        self.link = FakeLink()
        self.stop = self.cut_short = False
        self.maintenance: float | None = None
        self.begun = begun
        self.parent = 1234
        self.notes: list[Leftover] = []
        self.noted_bad_for = 0.0
        self.noted_beat: float | None = None
        self.disk_full = False
        self.heart = Heart(
            self.dry_run if dry_run else self.monitor,
            Policy(rules or Rules(interval=INTERVAL), self.now, leftover, bad_for),
            self.link,
            stop=lambda: self.stop,
            note=self.note,
            maintenance=lambda: self.maintenance,
            begun=lambda: self.begun,
            maintained=maintained,
            clock=self.clock,
            wall=lambda: 1e9 + self.now,
            parent=lambda: self.parent,
            cut_short=lambda: self.cut_short,
        )

    def clock(self) -> float:
        return self.now

    def note(self, leftover: Leftover, bad_for: float, last_beat: float | None, _: float | None) -> bool:
        if not self.disk_full:
            self.noted_beat = last_beat
            if self.notes[-1:] != [leftover] or self.noted_bad_for != bad_for:
                self.notes.append(leftover)
                self.monitor.calls.append(f"noted {leftover.value}")
            self.noted_bad_for = bad_for
        return not self.disk_full

    def tell(self, health: Health = Health.GOOD, *, age: float = 0.0, sessions: int = 0) -> None:
        self.link.inbox.append(HealthUpdate(health, "check db: refused", self.now - age, sessions))

    def turns(self, seconds: float = 0.0, health: Health | None = Health.GOOD) -> int | None:
        """Turn for ``seconds``, with news of ``health`` every second, or none."""
        until = self.now + seconds
        while True:
            if health is not None:
                self.tell(health)
            if (status := self.heart.turn()) is not None:
                return status
            if self.now + self.heart.pause > until:
                self.now = until
                return None
            self.now += self.heart.pause


def test_good_news_start_the_heartbeats() -> None:
    life = Life()
    life.turns()
    assert [call for call in life.monitor.calls if "noted" not in call] == [
        "is_enabled",
        "enable",
        "mark_active",
        "is_enabled",
        "get_app_status",
    ]
    report = life.link.report
    assert (report.enabled, report.app_status, report.heartbeats) == (True, "green", 1)
    assert (report.armed, report.settled, report.phase) == (True, True, "beating")
    assert report.last_beat == 50


def test_a_word_for_a_successor_stands_before_the_call_that_needs_it() -> None:
    life = Life()
    life.turns()
    calls = life.monitor.calls
    assert calls.index("noted on") < calls.index("enable")
    assert life.notes == [Leftover.NOTHING, Leftover.MONITORING]
    life.stop = True
    life.turns()
    assert life.notes[-1] is Leftover.NOTHING


def test_a_successor_is_told_for_how_long_health_was_bad() -> None:
    life = Life()
    life.turns(5)
    life.turns(20, Health.BAD)
    assert life.noted_bad_for == pytest.approx(20, abs=2)
    life.turns(2)
    assert life.noted_bad_for == 0


def test_every_verdict_counts_that_waits_for_a_new_heart() -> None:
    """The main process tells what it knew last, and the next verdict may be there before the first turn: found by chance."""
    life = Life(leftover=Leftover.MONITORING, bad_for=10.0)
    life.tell(Health.BAD, age=0.9)
    life.turns(health=Health.BAD)
    assert life.link.report.bad_for == pytest.approx(10.9)


def test_a_good_verdict_that_waited_with_bad_ones_ends_the_bad_time() -> None:
    """Of a heart that was in a call all the while."""
    life = Life(leftover=Leftover.MONITORING, bad_for=10.0)
    life.turns(health=Health.BAD)
    life.now += 3
    for age, health in ((2.0, Health.BAD), (1.0, Health.GOOD), (0.5, Health.BAD)):
        life.tell(health, age=age)
    life.turns(health=Health.BAD)
    assert life.link.report.bad_for == pytest.approx(0.5)


ASKS = Rules(interval=INTERVAL, grace=5.0, on_unhealthy=OnUnhealthy.REQUEST_RESET)


def test_a_maintenance_that_passed_while_the_heart_stood_still_is_one_all_the_same() -> None:
    """Found by a stranger: what was switched off for it was bad for the whole grace period, and the VM was reset."""
    life = Life(ASKS)
    life.turns(1)
    life.begun, life.monitor.on = life.now, False
    del life.monitor.calls[:]
    for _ in range(20):
        life.now += 1
        life.tell(Health.BAD)
    life.turns(30, Health.BAD)
    calls = [call for call in life.monitor.calls if "noted" not in call and call != "get_app_status"]
    assert calls[:2] == ["disable", "is_enabled"]
    assert set(calls[2:]) <= {"is_enabled"}, "as often as this host's status is Green all the same"
    assert life.link.report.bad_for == pytest.approx(30, abs=2)
    assert life.link.report.leftover == "off"
    life.turns(2)
    assert life.monitor.on
    life.turns(30, Health.BAD)
    assert life.monitor.calls[-1] != "mark_active"
    assert f"post_app_state {AppState.NEED_RESET.value}" in life.monitor.calls


def test_so_it_is_for_a_heart_that_follows_the_one_that_stood_still() -> None:
    life = Life(ASKS, Leftover.MONITORING, bad_for=20.0, begun=45.0, maintained=0.0)
    life.monitor.on = False
    life.turns(30, Health.BAD)
    unwanted = {"enable", "mark_active", f"post_app_state {AppState.NEED_RESET.value}"}
    assert not unwanted & set(life.monitor.calls)
    life.turns(2)
    assert life.monitor.on


def test_a_maintenance_of_before_the_first_heart_is_none() -> None:
    life = Life(ASKS, Leftover.MONITORING, bad_for=20.0, begun=45.0)
    life.turns(2, Health.BAD)
    assert "disable" not in life.monitor.calls
    assert life.link.report.maintained == 45.0


def test_a_trace_of_maintenance_that_is_removed_switches_nothing_off() -> None:
    life = Life(ASKS, begun=45.0)
    life.turns(1)
    life.begun = 0.0
    life.turns(30)
    assert "disable" not in life.monitor.calls


def test_one_that_was_seen_is_over_when_it_is_over() -> None:
    life = Life(ASKS)
    life.turns(1)
    life.begun, life.maintenance = life.now, 20.0
    life.monitor.failure = TimeoutExpired("no reply")
    life.turns(2)
    life.maintenance, life.monitor.failure = None, None
    del life.monitor.calls[:]
    life.turns(2)
    assert life.monitor.on
    assert "disable" not in life.monitor.calls, "though nobody has confirmed it"


def test_where_the_host_does_not_confirm_it_is_over_after_the_limit_of_a_stop() -> None:
    life = Life(ASKS)
    life.turns(1)
    life.begun = life.now
    life.monitor.failure = TimeoutExpired("no reply")
    life.turns(ASKS.stop_limit - 2)
    assert life.link.report.phase == "maintenance"
    life.turns(4)
    assert life.link.report.phase == "beating"


def test_without_news_nothing_starts() -> None:
    life = Life()
    life.turns(5 * INTERVAL, health=None)
    assert "enable" not in life.monitor.calls


def test_taken_over_without_news_beats_for_an_interval_and_the_grace_period() -> None:
    life = Life(leftover=Leftover.MONITORING)
    life.turns(100, health=None)
    assert life.monitor.calls.count("mark_active") == 5
    assert life.link.report.phase == "withholding heartbeats"
    assert any("main process has said nothing for" in line for line in life.link.lines)


@pytest.mark.parametrize(("first_look", "beats"), [(14.0, 0), (5.0, 1)])
def test_what_was_bad_before_is_silent_until_it_is_looked_at(first_look: float, beats: int) -> None:
    """Also before the first news say that it is looked at."""
    life = Life(leftover=Leftover.MONITORING, bad_for=900.0)
    life.turns(2, health=None)
    news = HealthUpdate(Health.UNKNOWN, "", life.now, first_look_by=life.now + first_look)
    life.link.inbox.append(news)
    life.turns(9, health=None)
    assert life.monitor.calls.count("mark_active") == beats


def test_a_heart_is_told_that_a_check_was_bad_before_it_could_not_be_looked_at_any_more() -> None:
    life = Life(leftover=Leftover.MONITORING, bad_for=900.0)
    for known_bad, phase in ((False, "beating"), (True, "withholding heartbeats")):
        life.link.inbox.append(HealthUpdate(Health.FAULT, "db: no files", life.now, known_bad=known_bad))
        life.turns(2, health=None)
        assert life.link.report.phase == phase


def test_a_heart_asks_for_no_reset_for_a_check_that_is_not_bad_now() -> None:
    for bad_now, asks in ((0.0, False), (900.0, True)):
        life = Life(ASKS, Leftover.MONITORING, bad_for=900.0)
        life.link.inbox.append(
            HealthUpdate(Health.BAD, "db: down", life.now, bad_now=bad_now, known_bad=True)
        )
        life.turns(2, health=None)
        assert (life.link.report.phase == "asking for a reset") is asks, life.link.report.phase


def test_a_heart_tells_for_how_long_the_exporter_has_not_been_well() -> None:
    life = Life()
    life.turns(1)
    life.turns(10, health=Health.FAULT)
    assert life.link.report.fault_for == pytest.approx(10, abs=1.5)


def test_old_news_are_bad_news() -> None:
    life = Life()
    life.turns(1)
    beats = life.monitor.calls.count("mark_active")
    life.turns(INTERVAL + 30 + 1, health=None)
    assert life.monitor.calls.count("mark_active") - beats == 4
    assert life.link.report.phase == "withholding heartbeats"
    life.tell()
    life.heart.turn()
    assert life.monitor.calls[-1] == "mark_active"


def test_news_that_were_old_when_they_came_are_no_good_news() -> None:
    """As after both processes stood still."""
    life = Life(Rules(interval=INTERVAL, grace=0))
    life.turns(1)
    beats = life.monitor.calls.count("mark_active")
    life.now += 60
    life.tell(age=60)
    life.heart.turn()
    assert life.monitor.calls.count("mark_active") == beats


def test_stale_news_never_ask_for_a_reset() -> None:
    life = Life(Rules(interval=INTERVAL, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    life.turns(1)
    life.turns(200, health=None)
    assert "post_app_state need-reset" not in life.monitor.calls
    life.turns(31, health=Health.BAD)
    assert "post_app_state need-reset" in life.monitor.calls


def test_a_request_for_a_reset_is_in_the_report() -> None:
    life = Life(Rules(interval=INTERVAL, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    life.turns(1)
    life.turns(31, health=Health.BAD)
    assert life.link.report.requested_reset
    assert life.notes[-1] is Leftover.REQUEST
    life.turns(1)
    assert not life.link.report.requested_reset


@pytest.mark.parametrize("left", [600.0, float("inf")])
def test_the_end_of_maintenance_is_in_the_report(left: float) -> None:
    life = Life()
    life.turns(2)
    assert life.link.report.maintenance_end == 0
    life.maintenance = left
    life.turns()
    assert life.link.report.maintenance_end == 1e9 + life.now + left
    assert not life.monitor.on
    life.maintenance = None
    life.turns()
    assert life.link.report.maintenance_end == 0


def test_a_session_change_asks_for_the_status_at_once() -> None:
    life = Life()
    life.turns(5)
    asked = life.monitor.calls.count("get_app_status")
    life.tell(sessions=1)
    life.turns(0, health=None)
    assert life.monitor.calls.count("get_app_status") == asked + 1
    life.tell(sessions=1)
    life.turns(0, health=None)
    assert life.monitor.calls.count("get_app_status") == asked + 1


def test_the_first_news_are_no_session_change() -> None:
    life = Life()
    life.tell(sessions=7)
    life.turns(0, health=None)
    assert life.monitor.calls.count("get_app_status") == 1


def test_an_orderly_stop_disables() -> None:
    life = Life()
    life.turns(1)
    life.stop = True
    assert life.turns() == STOPPED
    assert not life.monitor.on
    assert life.monitor.closed
    assert life.link.report.phase == "stopped"


def test_a_stop_that_the_host_does_not_confirm() -> None:
    life = Life(Rules(interval=INTERVAL, stop_limit=5))
    life.turns(1)
    life.stop = True
    life.monitor.failure = TimeoutExpired("no answer")
    assert life.turns(10) == UNCONFIRMED
    assert life.notes[-1] is Leftover.MONITORING
    assert life.monitor.closed


@pytest.mark.parametrize("how", ["closed", "parent"])
def test_the_exporters_end_is_the_hearts_without_disable(how: str) -> None:
    life = Life()
    life.turns(1)
    if how == "closed":
        life.link.closed = True
    else:
        life.parent = 1
    # systemd's own signal comes after a crash: it must not turn that into an orderly stop.
    life.stop = True
    assert life.heart.turn() == ORPHANED
    assert life.monitor.on
    assert life.monitor.closed
    assert life.notes[-1] is Leftover.MONITORING


def test_a_stop_goes_on_when_the_exporter_dies_in_the_middle_of_it() -> None:
    life = Life()
    life.turns(1)
    life.stop = True
    life.heart.turn()
    life.link.closed = True
    assert life.turns(1, health=None) == STOPPED
    assert not life.monitor.on


@pytest.mark.parametrize("how", ["closed", "parent"])
def test_a_stop_that_was_asked_for_before_the_exporter_died_is_finished(how: str) -> None:
    """Found by a stranger: a heart in a call found out about both at once, and left monitoring on."""
    life = Life()
    life.turns(1)
    life.cut_short = True
    if how == "closed":
        life.link.closed = True
    else:
        life.parent = 1
    assert life.turns(1, health=None) == STOPPED
    assert not life.monitor.on


def test_failures_are_counted_by_kind() -> None:
    life = Life()
    life.turns(1)
    life.monitor.failure = TimeoutExpired("no answer")
    life.turns(12)
    assert life.link.report.errors == {"timeout": 5}
    assert "MarkActive: no answer" in life.link.report.problem


def test_reports_come_every_second_and_at_each_change() -> None:
    life = Life()
    life.turns(1)
    life.link.sent.clear()
    life.turns(5)
    reports = [message for message in life.link.sent if isinstance(message, HeartReport)]
    assert 5 <= len(reports) <= 7


def test_the_pause_is_never_longer_than_a_second_nor_than_what_is_due() -> None:
    life = Life()
    life.turns(1)
    life.now += 0.75
    life.tell()
    life.heart.turn()
    assert life.heart.pause == 1.0
    life.now = 50 + INTERVAL - 0.25
    life.tell()
    life.heart.turn()
    assert life.heart.pause == 0.25


def test_a_dry_run_calls_no_host_and_shows_what_the_real_thing_would() -> None:
    life = Life(dry_run=True)
    life.turns(5)
    shown = life.link.report
    assert (shown.enabled, shown.app_status, shown.heartbeats) == (True, "green", 1)
    assert shown.last_beat == 50
    life.turns(100, health=Health.BAD)
    report = life.link.report
    assert (report.dry_run_resets, report.withheld) == (1, 7)
    assert report.errors == {}
    assert life.link.lines.count("Dry run: vSphere HA would have reset this VM now.") == 1
    assert all(line.startswith("Dry run: ") for line in life.link.lines)
    assert [call for call in life.monitor.calls if "noted" not in call] == []


def test_a_request_that_could_not_be_taken_back_after_a_crash_is_not_made() -> None:
    """A full disk at the lock: silence leads to the same reset, and ends with good health whoever lives then."""
    life = Life(Rules(interval=INTERVAL, on_unhealthy=OnUnhealthy.REQUEST_RESET))
    life.turns(1)
    life.disk_full = True
    life.turns(60, health=Health.BAD)
    assert "post_app_state need-reset" not in life.monitor.calls
    assert not life.link.report.requested_reset
    assert life.link.report.withheld > 1
    assert [line for line in life.link.lines if "can't be noted" in line and "withheld instead" in line]
    life.disk_full = False
    life.turns(2)
    life.turns(60, health=Health.BAD)
    assert "post_app_state need-reset" in life.monitor.calls


def test_what_a_full_disk_does_not_take_is_not_switched_on_until_there_is_room() -> None:
    """A successor without heartbeats would not know that it has to be handed back: found by a stranger, a reset."""
    life = Life()
    life.disk_full = True
    life.turns(20)
    assert life.notes == []
    assert "enable" not in life.monitor.calls
    assert sum("can't be noted in the lock's file" in line for line in life.link.lines) == 1
    life.disk_full = False
    life.turns(INTERVAL + 2)
    assert life.notes[-1:] == [Leftover.MONITORING]
    assert "enable" in life.monitor.calls


def test_a_disk_that_fills_up_later_costs_no_heartbeat_and_no_monitoring() -> None:
    life = Life()
    life.turns(5)
    life.disk_full = True
    before = life.monitor.calls.count("mark_active")
    life.turns(2 * INTERVAL, Health.BAD)
    assert life.monitor.calls.count("mark_active") > before
    life.monitor.calls.clear()
    life.monitor.on = False
    life.link.inbox.append(HealthUpdate(Health.GOOD, "", life.now, 1))
    life.turns(2 * INTERVAL)
    assert "mark_active" in life.monitor.calls
