"""The fixed-interval loop, on a fake clock."""

import errno
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.advice import LOST
from exporter.clock import Instant
from exporter.errors import POLL_ERROR_KINDS, ConnectionLost, RpcError
from exporter.poller import Poller
from exporter.session.memory import SessionFile
from exporter.snapshot import ExtendedSnapshot, ExtendedState, ExtendedValue, PollState, Snapshot, SourceInfo

WALL = 1_700_000_000.0
"""What the wall clock shows at first."""


def snapshot(session: int = 1, elapsed: int | None = 10_000) -> Snapshot:
    return Snapshot(session, 3, {} if elapsed is None else {"elapsed": elapsed})


class Clock:
    """Monotonic time, moved by hand; the wall clock runs ahead of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ahead = WALL - 100

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.ahead


class Host:
    info = SourceInfo("guestrpc", "memory", "3", "")
    restarts = 7

    def __init__(self, *answers: Snapshot | Exception | Callable[[], Snapshot]) -> None:
        self._answers = list(answers)
        self.closed = False

    def read(self) -> Snapshot:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


def poller(
    host: Host,
    clock: Clock | None = None,
    interval: float = 5,
    on_state: Callable[[PollState], None] | None = None,
) -> Poller:
    clock = clock or Clock()
    return Poller(host, interval, clock=clock, wall=clock.wall, on_state=on_state)


def polls(count: int, host: Host, clock: Clock | None = None) -> PollState:
    polling = poller(host, clock)
    for _ in range(count):
        polling.poll()
    return polling.state


def test_before_the_first_poll() -> None:
    state = poller(Host()).state
    assert state.snapshot is None
    assert not state.up(100)
    assert state.errors == dict.fromkeys(POLL_ERROR_KINDS, 0)
    assert state.source == Host.info


def test_a_good_poll() -> None:
    state = polls(1, Host(snapshot()))
    assert state.snapshot == snapshot()
    assert (state.read_time, state.read_monotonic) == (WALL, 100)
    assert (state.polls, state.session_changes, state.unchanged, state.last_error) == (1, 0, 0, "")
    assert state.duration.count == 1
    assert state.library_restarts == 7
    assert state.up(100)


def test_the_session_starts_when_the_host_began_to_count() -> None:
    assert polls(1, Host(snapshot(elapsed=60_000))).lives.session.start == WALL - 60


def test_the_start_of_a_session_without_elapsed_is_unknown() -> None:
    state = polls(2, Host(snapshot(elapsed=None), snapshot(elapsed=None)))
    assert state.lives.session.start is None
    assert state.unchanged == 0


def test_the_start_is_fixed_within_a_session_and_moves_with_a_change() -> None:
    clock = Clock()
    polling = poller(Host(snapshot(), snapshot(elapsed=14_999), snapshot(2, 1_000)), clock)
    polling.poll()
    clock.now += 5
    polling.poll()
    assert (polling.state.lives.session.start, polling.state.session_changes) == (WALL - 10, 0)
    clock.now += 5
    polling.poll()
    assert (polling.state.lives.session.start, polling.state.session_changes) == (WALL + 9, 1)


class TestRestart:
    """The exporter is started again, and the host's clock has drifted meanwhile: the same session has the same start."""

    def start(self, folder: Path, boot_id: str, host: Host, after: float) -> float | None:
        clock = Clock()
        clock.now += after
        memory = SessionFile(folder / "session.json", boot_id)
        polling = Poller(host, 5, clock=clock, wall=clock.wall, memory=memory)
        polling.poll()
        return polling.state.lives.session.start

    def test_the_same_session_keeps_its_start(self, tmp_path: Path) -> None:
        assert self.start(tmp_path, "boot", Host(snapshot(elapsed=60_000)), 0) == WALL - 60
        assert self.start(tmp_path, "boot", Host(snapshot(elapsed=161_000)), 100) == WALL - 60

    def test_another_session_and_another_boot_do_not(self, tmp_path: Path) -> None:
        assert self.start(tmp_path, "boot", Host(snapshot(elapsed=60_000)), 0) == WALL - 60
        assert self.start(tmp_path, "other", Host(snapshot(elapsed=161_000)), 100) == WALL - 61
        assert self.start(tmp_path, "other", Host(snapshot(2, elapsed=161_000)), 101) == WALL - 60

    def test_a_start_that_had_to_be_moved_is_the_one_that_is_kept(self, tmp_path: Path) -> None:
        clock = Clock()
        memory = SessionFile(tmp_path / "session.json", "boot")
        polling = Poller(Host(snapshot(), snapshot()), 5, clock=clock, wall=clock.wall, memory=memory)
        polling.poll()
        clock.ahead -= 3600
        polling.poll()
        recalled = memory.recall()
        assert recalled is not None
        assert recalled.start == polling.state.lives.session.start == WALL - 3610


def test_a_repeated_sample_is_counted_and_no_error() -> None:
    state = polls(3, Host(snapshot(), snapshot(), snapshot(elapsed=10_001)))
    assert (state.unchanged, state.last_error) == (1, "")


def test_an_error_is_counted_by_kind_and_the_snapshot_stays_until_stale() -> None:
    clock = Clock()
    state = polls(2, Host(snapshot(), ConnectionLost("gone")), clock)
    assert state.errors["lost"] == 1
    assert state.last_error == "lost"
    assert state.last_error_text == "gone"
    assert state.last_error_advice == LOST.sentence
    assert state.snapshot == snapshot()
    assert state.fresh(115)
    assert not state.fresh(115.1)
    assert not state.up(100)


def test_a_mistake_in_this_program_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    state = polls(3, Host(ZeroDivisionError("x"), ZeroDivisionError("x"), snapshot()))
    assert state.errors["internal"] == 2
    assert state.last_error == ""
    assert sum(record.exc_info is not None for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files: raise LimitNOFILE=, or ulimit -n"),
        (RuntimeError("can't start new thread"), "can't start new thread: raise TasksMax= and MemoryMax=, or ulimit -u and -v"),
        (MemoryError(), "out of memory: raise MemoryMax=, or ulimit -v"),
    ],
)  # fmt: skip
def test_a_limit_that_is_reached_is_no_mistake_in_this_program(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = polls(2, Host(error, error))
    assert state.errors["internal"] == 2
    assert state.last_error_text == told
    assert caplog.messages == ["no statistics from the host"]
    assert caplog.records[0].exc_info is None


def test_a_loop_that_ends_by_a_mistake_leaves_nothing_that_looks_good(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    # No thread can wait until then.
    polling = poller(Host(snapshot()), clock, interval=float("inf"))
    polling.run()
    assert polling.state.snapshot is not None
    assert not polling.state.up(clock.now)
    assert polling.state.errors["internal"] == 1
    assert "the polls have ended by a mistake" in caplog.text


def test_one_log_line_a_change_of_state(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lost, off = ConnectionLost("gone"), RpcError("disabled")
    polls(8, Host(snapshot(), lost, lost, off, off, snapshot(), snapshot(2), snapshot(2, 11_000)))
    assert [record.getMessage() for record in caplog.records] == [
        "the host gives statistics",
        "no statistics from the host",
        "no statistics from the host",
        "statistics from the host are back",
        "session change",
    ]


def run(answers: int, duration: float, interval: float = 5, oversleeps: float = 0.0) -> Poller:
    """Run the loop over ``answers`` polls that take ``duration`` seconds each."""
    clock = Clock()
    left = [answers]

    def answer() -> Snapshot:
        clock.now += duration
        left[0] -= 1
        if not left[0]:
            polling._stop.set()
        return snapshot(elapsed=int(clock.now * 1000))

    polling = poller(Host(*[answer] * answers), clock, interval)
    waits: list[float] = []

    def wait(timeout: float) -> bool:
        waits.append(timeout)
        clock.now += max(timeout, 0) + oversleeps
        return False

    polling._stop.wait = wait  # type: ignore[method-assign, assignment]
    polling.run()
    polling.waits = waits  # type: ignore[attr-defined]
    return polling


def test_deadlines_are_absolute() -> None:
    """What a poll takes comes off the wait: the rhythm does not drift."""
    polling = run(3, 0.5)
    assert polling.waits == [4.5, 4.5, 4.5]  # type: ignore[attr-defined]
    assert polling.state.missed == 0


@pytest.mark.parametrize(
    ("duration", "missed", "wait"), [(5.0, 0, 0.0), (7.0, 1, 3.0), (12.0, 2, 3.0), (15.0, 2, 0.0)]
)
def test_missed_ticks_are_skipped_and_counted(duration: float, missed: int, wait: float) -> None:
    polling = run(1, duration)
    assert polling.state.missed == missed
    assert polling.waits == [wait]  # type: ignore[attr-defined]


def test_how_late_the_thread_woke_is_told_with_the_poll() -> None:
    polling = run(1, 1.0)
    assert polling.state.late == 0.0
    polling._source = Host(snapshot(), snapshot())
    polling.poll(polling._clock() - 3.0)
    assert polling.state.late == 3.0
    polling.poll(polling._clock() + 0.001)
    assert polling.state.late == 0.0


def test_a_poll_that_takes_long_makes_none_late() -> None:
    polling = run(3, 7.0)
    assert (polling.state.missed, polling.state.late) == (3, 0.0)


def test_a_thread_that_oversleeps_is_late() -> None:
    polling = run(2, 0.0, oversleeps=4.0)
    assert polling.state.late == 4.0


def test_start_polls_at_once_and_stop_closes_the_source() -> None:
    polled = threading.Event()
    host = Host(snapshot())
    polling = Poller(host, 3600, on_state=lambda _state: polled.set())
    polling.start()
    assert polled.wait(10)
    polling.stop()
    assert host.closed
    assert polling.state.polls == 1


def test_stop_does_not_wait_for_a_host_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.poller.JOIN_TIMEOUT", 0.01)
    release, entered = threading.Event(), threading.Event()

    def hang() -> Snapshot:
        entered.set()
        release.wait(10)
        return snapshot()

    host = Host(hang)
    polling = Poller(host, 3600)
    polling.start()
    assert entered.wait(10)
    polling.stop()
    assert not host.closed
    release.set()
    assert polling._thread is not None
    polling._thread.join(10)


def test_stop_before_start_closes_the_source() -> None:
    host = Host()
    poller(host).stop()
    assert host.closed


def test_every_poll_is_told() -> None:
    told: list[PollState] = []
    polling = poller(Host(snapshot(), ConnectionLost("x")), on_state=told.append)
    polling.poll()
    polling.poll()
    assert [state.last_error for state in told] == ["", "lost"]


def test_a_listener_that_fails_does_not_end_the_polls(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_state: PollState) -> None:
        raise ZeroDivisionError

    polling = poller(Host(snapshot(), snapshot(elapsed=15_000)), on_state=fail)
    polling.poll()
    polling.poll()
    assert polling.state.polls == 2
    assert sum(record.exc_info is not None for record in caplog.records) == 1


class Round:
    """An extended reader that gives one snapshot after another."""

    interval = 15.0

    def __init__(self, *states: ExtendedState) -> None:
        self._states = list(states)
        self.deadlines: list[float] = []
        self.last = ExtendedState()

    def polled(self, _session_id: int, epoch: int, _told: float) -> ExtendedState:
        return self.last if epoch == 1 else ExtendedState()

    def step(
        self, _source: object, session_id: int, deadline: float, epoch: int, told: float
    ) -> ExtendedState:
        assert (session_id, epoch) == (1, 1)
        assert told <= deadline
        self.deadlines.append(deadline)
        self.last = self._states.pop(0)
        return self.last


def extended(uptime_us: int | None = None) -> ExtendedSnapshot:
    values = () if uptime_us is None else (ExtendedValue("uptime", uptime_us, "instant", "us"),)
    return ExtendedSnapshot(1, {"session": values}, WALL, 100.0)


def with_round(host: Host, *states: ExtendedState) -> tuple[Poller, Round]:
    clock, reader = Clock(), Round(*states)
    return Poller(host, 5, clock=clock, wall=clock.wall, extended=reader), reader  # type: ignore[arg-type]


def test_extended_statistics_are_published_after_the_basic_ones() -> None:
    found = extended()
    polling, reader = with_round(Host(snapshot()), ExtendedState(found, up=True, dropped=2))
    polling.poll()
    basic = polling.state
    polling.poll_extended(105.0)
    both = polling.state
    assert (basic.extended, basic.snapshot) == (None, both.snapshot)
    assert (both.extended, both.extended_up, both.extended_dropped) == (found, True, 2)
    assert both.extended_interval == 15
    assert reader.deadlines == [105.0]


def test_a_round_that_waited_for_a_basic_poll_is_published_with_it() -> None:
    polling, reader = with_round(Host(snapshot(), snapshot(elapsed=15_000)), ExtendedState())
    polling.poll()
    polling.poll_extended(105.0)
    reader.last = ExtendedState(extended(), up=True, dropped=1)
    polling.poll()
    assert (polling.state.extended, polling.state.extended_dropped) == (reader.last.snapshot, 1)
    assert reader.deadlines == [105.0], "without a further question"


def test_extended_statistics_wait_for_a_good_basic_poll() -> None:
    polling, reader = with_round(Host(ConnectionLost("gone")), ExtendedState())
    polling.poll_extended(105.0)
    polling.poll()
    polling.poll_extended(105.0)
    assert reader.deadlines == []


def test_the_hosts_uptime_does_not_move_a_start_that_is_known() -> None:
    polling, _ = with_round(Host(snapshot()), ExtendedState(extended(60_000_000), up=True))
    polling.poll()
    polling.poll_extended(105.0)
    assert polling.state.lives.session.start == WALL - 10


def test_without_elapsed_the_uptime_is_asked_for_before_anything_is_shown() -> None:
    shown: list[PollState] = []
    polling, reader = with_round(Host(snapshot(elapsed=None)), ExtendedState(extended(60_000_000), up=True))
    polling._on_state = shown.append
    polling.poll()
    assert [state.lives.session.start for state in shown] == [WALL - 60]
    assert shown[0].extended is not None
    assert reader.deadlines == [105.0]


def test_an_uptime_that_comes_too_late_changes_nothing() -> None:
    found = ExtendedState(extended(60_000_000), up=True)
    polling, _ = with_round(Host(snapshot(elapsed=None)), ExtendedState(), found)
    polling.poll()
    polling.poll_extended(105.0)
    assert polling.state.extended is not None
    assert polling.state.lives.session.start is None


def test_what_the_uptime_says_otherwise_of_a_known_start_is_told_at_debug_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = ExtendedState(extended(60_000_000), up=True)
    polling, _ = with_round(Host(snapshot()), found)
    polling.poll()
    with caplog.at_level(logging.DEBUG, "exporter.poller"):
        polling.poll_extended(105.0)
    (told,) = [each for each in caplog.records if "by the host's uptime" in each.getMessage()]
    assert (told.levelno, getattr(told, "differs", None)) == (logging.DEBUG, -50.0)


def test_an_uptime_is_of_the_time_at_which_it_was_answered_not_of_the_end_of_its_round() -> None:
    group = (ExtendedValue("uptime", 60_000_000, "instant", "us"),)
    answered = Instant(WALL - 3, 97.0)
    slow = ExtendedSnapshot(1, {"session": group}, WALL, 100.0, {"session": answered})
    polling, _ = with_round(Host(snapshot(elapsed=None)), ExtendedState(slow, up=True))
    polling.poll()
    assert polling.state.lives.session.start == WALL - 63


def test_a_fall_of_elapsed_is_a_session_change_and_takes_the_extended_statistics_with_it() -> None:
    rounds = ExtendedState(extended(), up=True)
    polling, _ = with_round(Host(snapshot(), snapshot(elapsed=1_000)), rounds)
    polling.poll()
    polling.poll_extended(105.0)
    polling.poll()
    state = polling.state
    assert (state.session_changes, state.lives.session.start, state.extended) == (1, WALL - 1, None)


def test_a_step_of_the_wall_clock_moves_the_start_once_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    polling = poller(Host(*(snapshot(elapsed=10_000 + 5_000 * n) for n in range(4))), clock)
    starts = []
    for ahead in (WALL - 100, WALL - 3700, WALL - 3700, WALL - 3690):
        clock.ahead = ahead
        polling.poll()
        starts.append(polling.state.lives.session.start)
        clock.now += 5
    assert starts == [WALL - 10, WALL - 3610, WALL - 3610, WALL - 3610]
    assert [record.getMessage() for record in caplog.records].count("the session's start changes") == 1


def test_a_step_that_moves_the_starts_of_counters_that_fell_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    values = ((86_400_000, 9), (86_405_000, 3), (86_410_000, 4), (86_415_000, 5))
    host = Host(*(Snapshot(1, 3, {"elapsed": age, "cpu_used": n, "cpu_stolen": n}) for age, n in values))
    polling = poller(host, clock)
    for ahead in (WALL - 100, WALL - 100, WALL - 3700, WALL - 3700):
        clock.ahead = ahead
        polling.poll()
        clock.now += 5
    assert polling.state.lives.of("cpu_used").start == WALL - 3600 + 1e-6
    (told,) = [each for each in caplog.records if "start" in each.getMessage()]
    assert told.getMessage() == "starts of counters that fell by themselves change"
    assert getattr(told, "counters_that_fell", None) == 2
    assert "set back" in getattr(told, "why", "")


@pytest.mark.parametrize(
    ("now", "session", "shown"), [(100.0, 1, True), (145.1, 1, False), (100.0, 2, False)]
)
def test_extended_statistics_are_shown_while_fresh_and_of_this_session(
    now: float, session: int, shown: bool
) -> None:
    found = extended()
    state = PollState(5, snapshot(session), 0, now, extended=found, extended_interval=15)
    assert (state.fresh_extended(now) is found) == shown
    assert PollState(5, None, extended=found).fresh_extended(now) is None
