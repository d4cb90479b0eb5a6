"""The exporter's side: hearts that are small programs of this test's, and the real one at the end."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import catalogue
from exporter.errors import ConfigError, VMGuestError
from exporter.ha import heart_process, heartbeat, lock, sturdy
from exporter.ha.health import HealthSummary
from exporter.ha.heart_process import PROGRAM
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.heartbeat import Heartbeat
from exporter.ha.idle import Idle
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.messages import HeartReport
from exporter.ha.rules import Health, Leftover, Rules
from exporter.ha.stop_note import StopNote
from exporter.ha.stranger import StrangerNote
from exporter.ha.without_heart import hand_back_alone
from exporter.machine.process import identity, own
from exporter.outputs.prometheus import as_metric
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix
from tests.dying_threads import new_threads_die

PATIENCE = 60.0

PRELUDE = """
import json, os, signal, sys, time
from exporter.ha.heart_settings import HeartSettings
settings = HeartSettings.parse(sys.argv[1])
stops = []
signal.signal(signal.SIGTERM, lambda *_: (report(phase="stopped"), os._exit(0)))
def say(**message):
    os.write(1, json.dumps(message).encode() + b"\\n")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def report(phase="beating", **fields):
    say(report=dict(phase=phase, **fields))
def heard():
    return json.loads(sys.stdin.readline())["health"]
def born():
    "How many hearts there were before this one."
    with open(settings.lock_file, "a") as file:
        file.write("x")
    return os.path.getsize(settings.lock_file) - 1
def rest():
    "Not signal.pause(): a signal just before it would be slept over."
    while True:
        time.sleep(0.05)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""

GOOD = HealthSummary(Health.GOOD, "", {"poll": True})


class Subject:
    """A Heartbeat, and what its surroundings know."""

    def __init__(self, folder: Path) -> None:
        self.verdict = GOOD
        self.sessions = 0
        self.fatal: list[str] = []
        self.settings = HeartSettings(
            interval=1.0,
            grace=30.0,
            on_unhealthy="withhold",
            source="guestrpc",
            socket=str(folder / "host"),
            library=None,
            lock_file=str(folder / "lock"),
            dry_run=False,
        )
        self.made: list[Heartbeat] = []

    def make(self, program: str | None = None, *, required: bool = False) -> Heartbeat:
        """``program``: the heart, after :data:`PRELUDE`; None: the real one."""
        self.made.append(
            Heartbeat(
                self.settings,
                lambda: replace(self.verdict, session_changes=self.sessions),
                required=required,
                fatal=self.fatal.append,
                program=PROGRAM if program is None else (sys.executable, "-c", PRELUDE + program),
            )
        )
        return self.made[-1]

    def value(self, name: str) -> float:
        return next(
            sample.value
            for family in self.made[-1].families()
            for sample in as_metric(family).samples
            if sample.name == name
        )


@pytest.fixture
def subject(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    monkeypatch.setattr(heartbeat, "RESTART_PAUSE", 0.01)
    monkeypatch.setattr(heartbeat, "SIGNAL_GAP", 0.01)
    subject = Subject(short_path)
    yield subject
    for made in subject.made:
        made.stop()
        process = made._process
        if process is not None:
            process.kill()
            process.wait(PATIENCE)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        made._threads.join(2.0)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


ECHO = """
while True:
    news = heard()
    report(problem=f"{news['health']} {news['reason']} {news['session_changes']} {news['at'] <= time.monotonic()}")
"""


def test_news_reach_the_heart_again_and_again(subject: Subject) -> None:
    beat = subject.make(ECHO)
    beat.start()
    wait_until(lambda: beat._report.problem == "good  0 True")
    subject.verdict = HealthSummary(Health.BAD, "check db: refused", {})
    subject.sessions = 5
    wait_until(lambda: beat._report.problem == "bad check db: refused 5 True")
    assert beat.pid == beat._process.pid if beat._process else None
    assert beat.stop()


def test_reports_are_metrics(subject: Subject) -> None:
    beat = subject.make("report(enabled=True, heartbeats=7, app_status='green'); rest()")
    assert subject.value("vmguest_ha_enabled") == 0
    beat.start()
    assert subject.value("vmguest_ha_enabled") == 1
    assert subject.value("vmguest_ha_heartbeats_total") == 7
    assert subject.value("vmguest_ha_healthy") == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_dry_run_shows_beside_them(subject: Subject, *, dry_run: bool) -> None:
    subject.settings = replace(subject.settings, dry_run=dry_run)
    beat = subject.make("report(enabled=True, heartbeats=7, app_status='green'); rest()")
    beat.start()
    assert subject.value("vmguest_ha_dry_run") == dry_run
    assert subject.value("vmguest_ha_enabled") == 1


def test_lines_are_logged_and_so_is_what_is_no_message(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "exporter")
    subject.make("""
say(line=dict(level="critical", text="Red 100% now"))
say(line=dict(level="odd", text="of an odd level"))
print("Traceback (most recent call last):", file=sys.stderr, flush=True)
report()
rest()
""").start()
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert logged == [
        ("CRITICAL", "Red 100% now"),
        ("ERROR", "of an odd level"),
        ("ERROR", "Traceback (most recent call last):"),
    ]


def test_a_refusal_ends_the_start(subject: Subject) -> None:
    beat = subject.make("say(refusal=dict(reason='another process, pid 7')); sys.exit(5)")
    with pytest.raises(ConfigError, match="another process, pid 7"):
        beat.start()
    assert not beat.stop()


@pytest.mark.parametrize("passing", [False, True])
def test_a_refusal_that_may_pass_is_no_wrong_setting(subject: Subject, passing: bool) -> None:
    beat = subject.make(f"say(refusal=dict(reason='no files left', passing={passing})); sys.exit(5)")
    with pytest.raises(ConfigError) as caught:
        beat.start()
    assert caught.value.passing is passing


def test_a_heart_that_is_wedged_from_the_start_delays_nothing_for_ever(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "START_LIMIT", 0.1)
    monkeypatch.setattr(heartbeat, "STOP_MARGIN", -59.0)
    beat = subject.make("signal.signal(signal.SIGTERM, signal.SIG_DFL); rest()")
    beat.start()
    assert not beat.stop()


# Where heartbeats are required


def test_required_and_possible(subject: Subject) -> None:
    subject.make("report(); report(settled=True); rest()", required=True).start()
    assert subject.fatal == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "report(settled=True, problem='IsEnabled: no such command.')",
            "--ha.required: IsEnabled: no such command.",
        ),
        ("report()", "--ha.required: the host has not answered yet"),
    ],
)
def test_required_and_not_possible_ends_the_start(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    monkeypatch.setattr(heartbeat, "SETTLE_LIMIT", 0.2)
    beat = subject.make(program + "; rest()", required=True)
    with pytest.raises(VMGuestError) as caught:
        beat.start()
    assert str(caught.value) == words
    assert not isinstance(caught.value, ConfigError)
    assert beat._process is not None
    assert beat._process.poll() == 0, "the heart had its orderly end"


def test_an_error_in_the_way_of_a_takeover_may_pass(subject: Subject) -> None:
    program = (
        "report(settled=True, problem='Unknown command', leftover='on'); heard(); heard(); "
        "report(settled=True, armed=True, leftover='on'); rest()"
    )
    subject.make(program, required=True).start()
    assert subject.fatal == []


def test_a_problem_beside_heartbeats_that_are_taken_is_none_of_the_start(subject: Subject) -> None:
    subject.make("report(settled=True, armed=True, problem='late'); rest()", required=True).start()


def test_what_shows_to_be_hopeless_later_is_told_once(subject: Subject) -> None:
    subject.make(
        """
report(settled=True)
while True:
    if heard()["reason"] != "started":
        continue
    report(settled=True, problem="lost")
    report(settled=True, problem="refused", hopeless=True)
""",
        required=True,
    ).start()
    subject.verdict = HealthSummary(Health.GOOD, "started", {})
    wait_until(lambda: len(subject.fatal) == 1)
    wait_until(lambda: subject.made[-1]._report.hopeless)
    time.sleep(0.3)
    assert subject.fatal == ["refused"]


def test_what_is_not_required_is_not_fatal(subject: Subject) -> None:
    beat = subject.make("report(settled=True, problem='refused', hopeless=True); rest()")
    beat.start()
    assert subject.fatal == []


# A heart that dies


def test_its_successor_is_told_what_it_may_have_left_at_the_host(subject: Subject) -> None:
    """The lock's file may not have taken it: a full disk."""
    subject.make("""
if born() == 0:
    report(leftover="on", bad_for=3.0)
    sys.exit(70)
report(heartbeats={"on": 7}.get(settings.leftover, 1))
rest()
""").start()
    wait_until(lambda: subject.value("vmguest_ha_heartbeats_total") > 0)
    assert subject.value("vmguest_ha_heartbeats_total") == 7


def test_its_successor_is_told_for_how_long_health_was_bad(subject: Subject) -> None:
    """Restarted every 20 s with lasting bad health, nothing happened for 15 minutes."""
    beat = subject.make(
        "first = born() == 0\n"
        "report(bad_for=25.0 if first else (settings.bad_for or 0.0) + 100.0)\n"
        "first and sys.exit(70)\n"
        "rest()"
    )
    beat.start()
    wait_until(lambda: beat._report.bad_for >= 100.0)
    assert beat._report.bad_for == 125.0


def test_bad_time_that_no_heart_has_counted_is_counted_by_the_next(subject: Subject) -> None:
    """Found by a stranger: a heart killed every 1.15 s counted its own tenth of a second alone, and no reset came in 55 s."""
    subject.verdict = HealthSummary(Health.BAD, "check a: refused", {"a": False}, bad_for=5.0)
    beat = subject.make(
        "first = born() == 0\n"
        "report(bad_for=2.0) if first else report(problem=f'told {settings.bad_for}')\n"
        "while heard()['bad_for'] < 9.0 and first: pass\n"
        "first and sys.exit(70)\n"
        "rest()"
    )
    beat.start()
    wait_until(lambda: beat._report.bad_for == 2.0)
    subject.verdict = replace(subject.verdict, bad_for=9.0)
    wait_until(lambda: beat._report.problem != "")
    assert beat._report.problem == "told 6.0"


@pytest.mark.parametrize(
    ("seen", "end", "bad_for"),
    [(-3.0, 0.0, 2.0), (float("nan"), 0.0, 2.0), (4.0, float("inf"), 2.0), (4.0, 0.0, 6.0)],
)
def test_no_bad_time_of_maintenance_or_of_a_check_that_was_good_since_is_handed_on(
    subject: Subject, seen: float, end: float, bad_for: float
) -> None:
    last = HeartReport(phase="beating", bad_for=2.0, maintenance_end=end)
    assert subject.settings.after(last, seen).bad_for == bad_for


def test_the_next_heart_knows_of_the_maintenance_that_the_last_one_knew_of(subject: Subject) -> None:
    assert subject.settings.maintained is None
    assert subject.settings.after(HeartReport(phase="beating", maintained=7.0)).maintained == 7.0


@pytest.mark.parametrize(("bad_for", "kept"), [(76.0, 76.0), (float("inf"), 0.0)])
def test_a_first_heart_is_told_what_the_checks_have_kept_of_bad_time(
    subject: Subject, bad_for: float, kept: float
) -> None:
    subject.verdict = HealthSummary(Health.UNKNOWN, "", {}, bad_for=bad_for)
    beat = subject.make("report(problem=f'told {settings.kept_bad_for}')\nrest()")
    beat.start()
    assert beat._report.problem == f"told {kept}"


def test_a_first_heart_that_dies_before_its_first_word_loses_nothing_that_the_lock_knows(
    subject: Subject,
) -> None:
    beat = subject.make("if not born(): os._exit(1)\nreport(problem=f'told {settings.bad_for}')\nrest()")
    beat.start()
    wait_until(lambda: beat._report.problem != "")
    assert beat._report.problem == "told None"


def test_what_checks_have_found_is_kept_while_a_heart_has_the_lock_and_ends_with_a_stop(
    subject: Subject,
) -> None:
    subject.verdict = HealthSummary(Health.BAD, "check db: refused", {}, {"db": Kept(3)})
    kept = KeptChecks(subject.settings.lock_file)
    beat = subject.make("heard(); heard(); heard()\nreport()\nrest()")
    assert kept.read() == {}
    beat.start()
    wait_until(lambda: kept.read() == {"db": Kept(3)})
    assert beat.stop()
    assert not kept.path.exists()


@pytest.mark.parametrize("another", [False, True])
def test_what_checks_have_found_is_kept_while_the_next_heart_starts(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, another: bool
) -> None:
    """Found by reading: a check that was good meanwhile was as bad as before, once the exporter was killed too. Another exporter
    may have been faster, and the file is that one's."""
    subject.verdict = HealthSummary(Health.BAD, "check db: refused", {}, {"db": Kept(3)})
    kept = KeptChecks(subject.settings.lock_file)
    beat = subject.make("report() if born() == 0 else None\nrest()")
    assert beat._feed()
    assert kept.read() == {}, "no heart of this exporter has had the lock"
    beat.start()
    wait_until(lambda: kept.read() == {"db": Kept(3)})
    monkeypatch.setattr(beat, "_another_beats", lambda: another)
    first = beat.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: beat._newborn and beat.pid not in {None, first})
    subject.verdict = HealthSummary(Health.GOOD, "", {}, {"db": Kept()})
    judged = beat._summary
    wait_until(lambda: beat._summary is not judged)
    wait_until(lambda: another or kept.read() == {"db": Kept()})
    assert kept.read() == {"db": Kept(3) if another else Kept()}
    process = beat._process
    assert process is not None
    beat._over.set()
    process.kill()


def test_faults_before_the_exporter_was_well_are_none_of_the_next_heart(subject: Subject) -> None:
    """Found by reading: a row of faults went on over five seconds of good verdicts, and withheld early."""
    fault = HealthSummary(Health.FAULT, "check poll", {}, fault=True)
    beat = subject.make("report(fault_for=25.0); rest()")
    subject.verdict = fault
    beat.start()
    wait_until(lambda: beat._report.fault_for == 25.0)
    assert beat._feed()
    assert beat._fault_for == 25.0
    for subject.verdict in (GOOD, fault):
        assert beat._feed()
    assert beat._fault_for == 0.0


def test_a_stop_that_is_not_confirmed_leaves_nothing_of_the_checks_either(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: what was bad before it counted on, and so it did after one that was cut short."""
    subject.verdict = HealthSummary(Health.BAD, "check db: refused", {}, {"db": Kept(3)})
    kept = KeptChecks(subject.settings.lock_file)
    beat = subject.make("signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\nreport(); rest()")
    beat.start()
    wait_until(lambda: kept.read() == {"db": Kept(3)})
    while_it_lasts: list[object] = []
    hand_back = beat._hand_back

    def look_first(deadline: float) -> bool:
        while_it_lasts.append(kept.read())
        kept.write({"db": Kept(1)})
        return hand_back(deadline)

    monkeypatch.setattr(beat, "_hand_back", look_first)
    assert not beat.stop()
    assert while_it_lasts == [{}]
    assert not kept.path.exists()
    assert StopNote(subject.settings.lock_file).stands()


def test_at_first_verdicts_are_given_more_often(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by a stranger: an exporter that lived for a second each time left nothing behind, neither good nor bad."""
    beat = subject.make("report(); rest()")
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(beat._over, "wait", wait)
    assert beat._feed()
    beat._born -= heartbeat.YOUNG
    assert beat._feed()
    assert waits == [heartbeat.SOON, min(1.0, subject.settings.interval / 5)]


def test_a_heart_that_dies_is_started_again_and_its_counters_go_on(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    subject.make("""
if born() == 0:
    report(heartbeats=5, last_beat=100.0, withheld=2, enabled=True)
    heard()
    os.kill(os.getpid(), signal.SIGKILL)
report(heartbeats=1)
rest()
""").start()
    wait_until(lambda: subject.value("vmguest_ha_heartbeats_total") == 6)
    assert subject.value("vmguest_ha_heartbeats_withheld_total") == 2
    beat = time.time() - time.monotonic() + 100
    assert subject.value("vmguest_ha_last_heartbeat_timestamp_seconds") == pytest.approx(beat, abs=30)
    assert subject.value("vmguest_ha_enabled") == 0
    (record,) = [each for each in caplog.records if "is started again" in each.getMessage()]
    assert record.levelname == "CRITICAL"
    assert vars(record)["status"] == -9


def test_a_heart_that_dies_each_time_is_started_each_time(subject: Subject) -> None:
    subject.make("number = born(); report(); number < 4 and sys.exit(70); rest()").start()
    wait_until(lambda: Path(subject.settings.lock_file).stat().st_size == 5)
    assert subject.made[-1].stop()


def test_the_new_heart_gets_the_last_news_with_their_own_age(subject: Subject) -> None:
    """It must not take a verdict for fresh because it was said again."""
    beat = subject.make("""
if born() == 0:
    report()
    time.sleep(0.5)
    sys.exit(70)
report(heartbeats=1, problem=str(time.monotonic() - heard()["at"] > 0.05))
rest()
""")
    beat._feed = lambda: False  # type: ignore[method-assign]
    beat.start()
    wait_until(lambda: beat._report.heartbeats == 1)
    assert beat._report.problem == "True"


def test_a_heart_that_is_told_to_stop_by_somebody_else_is_started_again(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a stranger: heartbeats were off for good, and the metrics went on saying green."""
    beat = subject.make("born(); report(enabled=True, app_status='green'); rest()")
    beat.start()
    first = beat.pid
    assert first is not None
    os.kill(first, signal.SIGTERM)
    wait_until(lambda: beat.pid not in {first, None} and not beat._newborn)
    assert subject.value("vmguest_ha_enabled") == 1
    assert caplog.text.count("was told to stop, and has handed monitoring back; it is started again") == 1
    assert "CRITICAL" not in caplog.text
    assert beat.stop()
    assert Path(subject.settings.lock_file).stat().st_size == 2


def test_until_then_nothing_is_green_and_a_lock_that_is_taken_is_told_once(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the lock's file was replaced, and another exporter beats by now."""
    beat = subject.make("""
if born():
    say(refusal={"reason": "another process sends the heartbeats of this VM"})
    os._exit(5)
report(enabled=True, app_status="green", requested_reset=True)
rest()
""")
    beat.start()
    assert beat.pid is not None
    os.kill(beat.pid, signal.SIGTERM)
    wait_until(lambda: Path(subject.settings.lock_file).stat().st_size > 4)
    assert subject.value("vmguest_ha_enabled") == subject.value("vmguest_ha_requested_reset") == 0
    (status,) = (family for family in beat.families() if family.metric is catalogue.HA_APP_STATUS)
    assert [point.value for point in status.points] == [0.0, 0.0, 0.0]
    assert caplog.text.count("the heart has ended and is started again") == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_stranger_is_known_until_an_exporter_has_switched_monitoring_on(
    subject: Subject, *, dry_run: bool
) -> None:
    note = StrangerNote(subject.settings.lock_file)
    note.write()
    subject.settings = replace(subject.settings, dry_run=dry_run)
    go = Path(f"{subject.settings.lock_file}.go")
    waits = "report()\nwhile not os.path.exists(settings.lock_file + '.go'): time.sleep(0.01)\n"
    beat = subject.make(f"{waits}report(enabled=True, heartbeats=1); rest()")
    beat.start()
    assert note.stands()
    go.touch()
    wait_until(lambda: beat._report.heartbeats == 1)
    assert note.stands() is dry_run


def test_a_signal_to_both_is_a_stop_like_any_other(
    subject: Subject, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd and terminals: the heart may be done before the exporter knows."""
    monkeypatch.setattr(heartbeat, "SIGNAL_GAP", PATIENCE)
    beat = subject.make("report(); rest()")
    beat.start()
    process = beat._process
    assert process is not None
    process.terminate()
    process.wait(PATIENCE)
    assert beat.stop()
    assert caplog.text == ""


def test_a_system_that_can_not_start_it_is_told_and_tried_again(
    subject: Subject, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = subject.make("report(); rest()")
    real, failures = subprocess.Popen, [2]

    def popen(*args: object, **kwargs: object) -> object:
        if failures[0]:
            failures[0] -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real(*args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", popen)
    beat.start()
    assert beat.pid is not None
    assert caplog.text.count("the heart can't be started") == 2


# The stop


def test_a_stop_waits_for_the_heart_and_a_second_one_only_tells(subject: Subject) -> None:
    beat = subject.make("report(); rest()")
    beat.start()
    assert beat.stop()
    assert beat.stop()
    assert not any(map(beat._threads.alive, ("ha-heart", "ha-news")))


def test_an_unconfirmed_end_is_the_hearts_to_tell(subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
    beat = subject.make("""
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
report()
rest()
""")
    beat.start()
    assert not beat.stop()
    assert "NOT confirmed" not in caplog.text


def test_hearts_that_all_die_over_the_stop_are_told_loudly(
    subject: Subject, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "STOP_MARGIN", -59.0)
    beat = subject.make("""
signal.signal(signal.SIGTERM, signal.SIG_DFL)
report()
rest()
""")
    beat.start()
    assert not beat.stop()
    (record,) = [each for each in caplog.records if "NOT confirmed" in each.getMessage()]
    assert record.levelname == "CRITICAL"


def test_a_heart_that_dies_over_the_stop_is_followed_by_one_that_finishes_it(subject: Subject) -> None:
    """Killed by the kernel for want of memory, say: the stop is not over."""
    beat = subject.make("born() == 0 and signal.signal(signal.SIGTERM, signal.SIG_DFL); report(); rest()")
    beat.start()
    assert beat.stop()
    assert Path(subject.settings.lock_file).stat().st_size == 2
    assert not StopNote(subject.settings.lock_file).stands()


def test_a_heart_that_hangs_over_the_stop_is_killed_in_time_for_another(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heart_process, "HUNG", 0.3)
    beat = subject.make(
        "born() == 0 and signal.signal(signal.SIGTERM, signal.SIG_IGN); report(); time.sleep(99)"
    )
    beat.start()
    assert beat.stop()


def test_signals_before_the_handlers_stand_are_no_end(subject: Subject) -> None:
    """To the process group, within the first milliseconds of a heart: seven of seven times it died of them."""
    beat = subject.make("report(); rest()")
    beat._spawn()
    process = beat._process
    assert process is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    beat._threads.start(beat._listen, "ha-heart")
    assert process.wait(PATIENCE) == 0


def test_a_heart_that_does_not_end_is_killed(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heartbeat, "STOP_MARGIN", -59.9)
    beat = subject.make("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
report()
while True: time.sleep(1)
""")
    beat.start()
    assert not beat.stop()
    assert "NOT confirmed" in caplog.text


def test_a_stop_in_the_moment_of_a_heart_s_death_hands_back_by_another(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "RESTART_PAUSE", PATIENCE)
    beat = subject.make("born() == 0 and (report(), sys.exit(70)); report(heartbeats=1); rest()")
    beat.start()
    wait_until(lambda: beat._process is None)
    assert beat.stop()
    assert Path(subject.settings.lock_file).stat().st_size == 2


def test_a_stop_where_nothing_can_be_started_any_more(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "RESTART_PAUSE", PATIENCE)
    beat = subject.make("report(); sys.exit(70)")
    beat.start()
    wait_until(lambda: beat._process is None)
    beat._program = ("/nowhere/python",)
    monkeypatch.setattr(heartbeat, "STOP_MARGIN", 0.5 - Rules().stop_limit)
    assert not beat.stop()
    assert StopNote(subject.settings.lock_file).stands()


def test_a_stop_for_which_no_heart_can_be_started_is_finished_by_the_exporter(
    subject: Subject, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a stranger: short of files, it tried to start one for 65 s, and meanwhile that was a reset."""
    host = SimulatedHost("steady")
    with serve_unix(str(subject.settings.socket), Server(host)):
        beat = subject.make()
        beat.start()
        wait_until(lambda: host.ha.enabled and beat._report.enabled)
        beat._program = ("/nowhere/python",)
        assert beat.pid is not None
        os.kill(beat.pid, signal.SIGKILL)
        assert beat.stop()
    assert not host.ha.enabled
    assert lock.record(subject.settings.lock_file).leftover is Leftover.NOTHING
    assert not StopNote(subject.settings.lock_file).stands()
    assert "the exporter itself has handed monitoring back" in caplog.text


def test_not_beside_a_heart_that_holds_the_lock(short_path: Path) -> None:
    host = SimulatedHost("steady")
    host.ha.answer(b"GuestAppMonitor.Cmd.Enable")
    settings = Subject(short_path).settings
    with serve_unix(str(settings.socket), Server(host)):
        held = lock.acquire(settings.lock_file)
        assert held is not None
        assert not hand_back_alone(settings)
        held.release()
        assert host.ha.enabled
        assert hand_back_alone(settings)
    assert not host.ha.enabled
    assert not hand_back_alone(settings), "there is no host any more"


def no_thread(monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """The system has none to spare, when ``after`` more have been started."""
    real = _thread.start_new_thread
    started: list[int] = []

    def start(work: Callable[[], object], _: tuple[()]) -> int:
        if len(started) >= after:
            raise RuntimeError("can't start new thread")
        started.append(1)
        return real(work, ())

    monkeypatch.setattr(_thread, "start_new_thread", start)


@pytest.mark.parametrize("dies", [False, True])
def test_a_stop_ends_in_order_where_no_thread_can_be_started_any_more(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """Found by a stranger: the heart that was to finish the stop was left alone, and nothing was disabled."""
    beat = subject.make("""
number = born()
signal.signal(signal.SIGTERM, lambda *_: os._exit(9 if not number else 0))
report()
while True:
    rest()
""")
    beat.start()
    if dies:
        with new_threads_die() as dead:
            assert beat.stop()
        assert dead
    else:
        no_thread(monkeypatch)
        assert beat.stop()
    assert beat._process is not None
    assert beat._process.returncode == 0


def test_a_start_whose_threads_die_at_theirs_ends_in_order(subject: Subject) -> None:
    beat = subject.make("report(); rest()")
    with new_threads_die(), pytest.raises(VMGuestError, match="no heartbeats: can't start new thread"):
        beat.start()
    assert beat._process is not None
    assert beat._process.poll() == 0


@pytest.mark.parametrize("after", [0, 1])
def test_a_start_for_which_there_is_no_thread_ends_in_order(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    beat = subject.make("report(); rest()")
    with monkeypatch.context() as patch:
        no_thread(patch, after)
        with pytest.raises(VMGuestError, match="no heartbeats: can't start new thread"):
            beat.start()
    assert beat._process is not None
    assert beat._process.poll() == 0


def test_news_go_on_after_a_verdict_that_failed(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a stranger: one MemoryError in it ended the thread, and health was stale for ever."""
    monkeypatch.setattr(sturdy, "PAUSE", 0.01)
    beat = subject.make(ECHO)
    beat.start()
    wait_until(lambda: beat._report.problem.startswith("good"))
    calls = []

    def short() -> HealthSummary:
        calls.append(1)
        raise MemoryError

    monkeypatch.setattr(beat, "_judge", short)
    wait_until(lambda: len(calls) >= 3)
    monkeypatch.setattr(beat, "_judge", lambda: HealthSummary(Health.BAD, "later", {}))
    wait_until(lambda: beat._report.problem.startswith("bad later"))
    assert [record.getMessage() for record in caplog.records] == [
        "heartbeats: ha-news fails and is tried again: MemoryError()"
    ]
    assert beat.stop()


def test_a_heart_that_dies_is_followed_by_another_after_an_error_of_who_listens(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sturdy, "PAUSE", 0.01)
    beat = subject.make("number = born(); report(heartbeats=number); number or sys.exit(70); rest()")
    told = []

    def tell(_: str) -> None:
        told.append(1)
        raise MemoryError

    monkeypatch.setattr(beat._happened, "tell", tell)
    beat.start()
    wait_until(lambda: beat._report.heartbeats == 1 and bool(told))
    assert beat.stop()


def test_the_note_of_a_stop_is_taken_away_by_who_has_the_lock_alone(subject: Subject) -> None:
    """A second exporter, which is refused, must not make a crash of the first one's stop."""
    note = StopNote(subject.settings.lock_file)
    note.write()
    refused = subject.make('say(refusal={"reason": "another one beats"}); sys.exit(5)')
    with pytest.raises(ConfigError):
        refused.start()
    assert note.stands()
    subject.make("report(); rest()").start()
    assert not note.stands()


def test_one_that_lost_its_lock_to_another_exporter_has_nothing_to_hand_back(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a stranger: 66 s, exit status 1, and a note by which the other one's crash would have been a stop."""
    beat = subject.make(
        "if os.path.exists(settings.lock_file + '.taken'):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        '    say(refusal={"reason": "another one beats"}); sys.exit(5)\n'
        "report(); rest()"
    )
    beat.start()
    Path(f"{subject.settings.lock_file}.taken").touch()
    process = beat._process
    assert process is not None
    process.kill()
    wait_until(lambda: beat._refused == "another one beats")
    kept = KeptChecks(subject.settings.lock_file).path
    kept.write_text("of the other one")
    monkeypatch.setattr(beat, "_another_beats", lambda: True)
    assert beat.stop()
    assert not StopNote(subject.settings.lock_file).stands()
    assert kept.read_text() == "of the other one"


@pytest.mark.parametrize(
    ("exporter", "dry_run", "beats"),
    [("alive", False, True), ("alive", True, False), ("dead", False, False), ("own", False, False)],
)
def test_another_exporter_beats_where_one_that_lives_has_the_lock(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, exporter: str, dry_run: bool, beats: bool
) -> None:
    path = subject.settings.lock_file
    assert not heart_process.another_beats(path, own()), "nobody has it"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        named = {"alive": identity(other.pid), "dead": "1:1", "own": own()}[exporter]
        held = lock.acquire(path, exporter=named)
        assert held is not None
        assert not heart_process.another_beats(path, own()), "that is no heart"
        theirs = replace(subject.settings, dry_run=dry_run)
        monkeypatch.setattr(HeartSettings, "of", lambda pid: theirs if pid == os.getpid() else None)
        assert heart_process.another_beats(path, own()) is beats
        held.release()
        other.kill()


def test_a_dry_run_leaves_the_note_of_a_real_stop_alone(subject: Subject) -> None:
    """Found by a stranger: the stop before it was never finished, and that was a reset."""
    note = StopNote(subject.settings.lock_file)
    note.write("1:1")
    subject.settings = replace(subject.settings, dry_run=True)
    beat = subject.make("report(); rest()")
    beat.start()
    assert note.exporter() == "1:1"
    assert beat.stop()
    assert note.exporter() == "1:1"


def test_a_heart_that_does_not_read_holds_nobody_up(subject: Subject) -> None:
    beat = subject.make("report(); rest()")
    beat.start()
    subject.verdict = HealthSummary(Health.BAD, "x" * 2000, {})
    beat._summary = subject.verdict
    for _ in range(200):
        beat._tell(subject.verdict.update(0.0))
    assert beat.stop()


# Without heartbeats, and with the real one


def test_where_no_heartbeats_are_possible_the_metrics_say_so() -> None:
    shown = {
        sample.name: sample.value
        for family in Idle(lambda: GOOD).families()
        for sample in as_metric(family).samples
    }
    assert shown["vmguest_ha_enabled"] == shown["vmguest_ha_heartbeats_total"] == 0
    assert shown["vmguest_ha_healthy"] == 1


def test_the_real_heart_beats_and_stops(subject: Subject) -> None:
    host = SimulatedHost("steady")
    with serve_unix(str(subject.settings.socket), Server(host)):
        beat = subject.make()
        beat.start()
        wait_until(lambda: host.ha.heartbeats > 0)
        wait_until(lambda: subject.value("vmguest_ha_enabled") == 1)
        assert lock.holder(subject.settings.lock_file) == beat.pid
        assert beat.stop()
        assert not host.ha.enabled
        assert subject.value("vmguest_ha_enabled") == 0
