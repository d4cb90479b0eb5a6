from __future__ import annotations

import logging
from pathlib import Path

import pytest

from exporter.clock import Instant, Start
from exporter.poller import Poller
from exporter.session.epoch import SessionClock
from exporter.session.memory import NAME, SessionFile, session_file
from exporter.session.remembered import Name, Remembered
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Snapshot, SourceInfo

SESSION, START = 0x4EC2F01AE4A0FE2, 1_700_000_000.0
KNOWN = Remembered(SESSION, START, 60_000)


class FakeHost:
    """Of one session; ``elapsed`` is all that it gives, and ``cpu_used`` where that is set."""

    info = SourceInfo("guestrpc", "memory", "3")
    restarts = None

    def __init__(self, elapsed: int) -> None:
        self.elapsed = elapsed
        self.used: int | None = None

    def read(self) -> Snapshot:
        used = {} if self.used is None else {"cpu_used": self.used}
        return Snapshot(7, 3, {"elapsed": self.elapsed, **used})

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        raise AssertionError

    def close(self) -> None:
        pass


def test_what_is_kept_is_recalled(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    for _ in range(2):
        file = session_file(environ, "one")
        assert file is not None
        file.keep(Remembered(SESSION, 1_700_000_000.123456, 60_000))
    again = session_file(environ, "one")
    assert again is not None
    assert again.recall() == Remembered(0x4EC2F01AE4A0FE2, 1_700_000_000.123456, 60_000)
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAME]


def test_another_boot_recalls_nothing(tmp_path: Path) -> None:
    SessionFile(tmp_path / NAME, "one").keep(KNOWN)
    assert SessionFile(tmp_path / NAME, "two").recall() is None


def test_counters_that_fell_by_themselves_are_kept_with_or_without_a_start(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(KNOWN)
    for start in (START, None):
        alone: dict[Name, Start] = {
            "cpu_used": Start(1000.5, START + 50),
            ("vnet 00:50:56:00:00:01", "size.rx"): Start(1006.25, START + 55.5),
        }
        known = Remembered(SESSION, start, 60_000, alone)
        file.keep(known)
        assert file.recall() == known


def test_names_without_end_cost_the_falls_and_not_the_start(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(KNOWN._replace(alone={("vnet", "x" * 2_000_000): Start(1.0, START)}))
    assert file.recall() == KNOWN


def test_a_session_that_began_before_2020_and_lives_is_believed(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    old = Remembered(7, 1_570_000_000.0, 4 * 366 * 86_400_000)
    file.keep(old)
    assert file.recall() == old


def test_two_exporters_in_one_folder_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One writes the whole file while the other has written it, and not yet put it in place."""
    one, other = (SessionFile(tmp_path / NAME, "one") for _ in range(2))
    put_in_place = Path.replace

    def late(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", put_in_place)
        other.keep(Remembered(SESSION, START, 120_000))
        return self.replace(target)

    monkeypatch.setattr(Path, "replace", late)
    one.keep(KNOWN)
    assert one.recall() == KNOWN
    assert not caplog.records
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_a_session_without_elapsed_is_kept_too(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(Remembered(5, START, None))
    assert file.recall() == Remembered(5, START, None)


def test_a_start_that_is_not_known_any_more_is_not_kept(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    for start in (None, START, None):
        file.keep(Remembered(5, start, 60_000))
        assert file.recall() == Remembered(5, start, 60_000)


def test_what_was_read_last_is_kept(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    poll, group = Instant(START, 1000.5), Instant(START - 4.25, 996.25)
    read: dict[Name, tuple[float, Instant]] = {
        "cpu_used": (12.345, group),
        "cpu_stolen": (0.0, poll),
        ("vnet 00:50:56:00:00:01", "size.rx"): (2.0**64, group),
    }
    known = Remembered(
        SESSION, START, 60_000, {"cpu_stolen": Start(991.0, START - 9)}, True, read, frozenset({"cpu_used"})
    )
    file.keep(known)
    assert file.recall() == known


def test_every_counter_of_a_machine_with_many_disks_is_kept(tmp_path: Path) -> None:
    """A VM has 256 disks at most; all of their counters may have fallen by themselves."""
    file = SessionFile(tmp_path / NAME, "one")
    at = Instant(START, 1000.0)
    names = [(f"vscsi scsi{n // 64}:{n % 64}", f"cmds.num.{m}") for n in range(256) for m in range(10)]
    known = KNOWN._replace(
        alone={name: Start(1000.0 + n, START + n) for n, name in enumerate(names)},
        read={name: (n, at) for n, name in enumerate(names)},
    )
    file.keep(known)
    assert file.recall() == known


def test_more_than_the_file_has_room_for_costs_the_extended_statistics_and_not_the_basic_ones(
    tmp_path: Path,
) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    at = Instant(START, 1000.0)
    basic: dict[Name, tuple[float, Instant]] = {"cpu_used": (5.0, at)}
    many: dict[Name, tuple[float, Instant]] = {
        (f"vscsi scsi0:{n}", "num.reads"): (n, at) for n in range(50_000)
    }
    file.keep(KNOWN._replace(read={**many, **basic}))
    assert file.recall() == KNOWN._replace(read=basic)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"boot_id": "one"}',
        '{"boot_id": "one", "session_id": "x", "start": 1700000000, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": "soon", "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": -1, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": NaN, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1e999, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1e17, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": ' + "9" * 400 + ', "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1e999}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": ' + "9" * 400 + "}",
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": -1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": true}',
        '{"boot_id": "one", "session_id": "0x' + "f" * 400 + '", "start": 1700000000, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "-0x1", "start": 1700000000, "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": 0, "elapsed": 50000}',
        '{"boot_id": "one", "session_id": "0x1", "start": -0.0, "elapsed": 50000}',
        '{"boot_id": "one", "session_id": "0x1", "start": 5, "elapsed": null}',
        '{"boot_id": "one", "session_id": "0x1", "start": "1700000000", "elapsed": 1}',
        '{"boot_id": "one", "session_id": "0x1", "start": true, "elapsed": 99999999999999}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": {}}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [5]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [["a", 1700000000]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [["a", 1700000000, -1]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [[]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [["a", 5, 1]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "alone": [[1, 1700000000, 1]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1, "elapsed": 1, "alone": [["a", 1700000000, 1]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "read": [5]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "read": [[1, 1, [["a", NaN]]]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "read": [[1, 1, [["a", -1]]]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "read": [[1, "1", [["a", 1]]]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "read": [[1, 1, [[1, 1]]]]}',
        '{"boot_id": "one", "session_id": "0x1", "start": 1700000000, "elapsed": 1, "substituted": [[]]}',
        "[" * 100_000,
        "[" * 1500 + "]" * 1500,
        '{"a":' * 700,
    ],
)
def test_a_file_that_is_something_else_is_said_and_recalls_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_text(text)
    assert SessionFile(tmp_path / NAME, "one").recall() is None
    assert [record.getMessage() for record in caplog.records] == ["the session file can't be used"]


@pytest.mark.parametrize("interval", [5.0, 1.0, 0.25])
def test_each_poll_is_kept_however_fast_they_come(tmp_path: Path, interval: float) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    for poll in range(20):
        at = Instant(START + poll * interval, 1000 + poll * interval)
        read: dict[Name, tuple[float, Instant]] = {"cpu_used": (poll, at)}
        file.keep(Remembered(7, START, int(poll * interval * 1000), read=read))
        known = file.recall()
        assert known is not None
        assert known.read == read
    file.keep(Remembered(7, START + 1, 1_000))
    assert file.recall() == Remembered(7, START + 1, 1_000)


def test_what_is_known_already_is_not_written_again(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(Remembered(7, START, 5000))
    (tmp_path / NAME).unlink()
    file.keep(Remembered(7, START, 5000))
    assert not (tmp_path / NAME).exists()


def test_a_round_is_kept_at_once(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    read: dict[Name, tuple[float, Instant]] = {"cpu_used": (1.0, Instant(START, 1000.0))}
    file.keep(Remembered(7, START, 5000, read=read))
    after = Remembered(7, START, 5000, read={**read, ("vnet m", "size.rx"): (1.0, Instant(START, 1000.125))})
    file.keep(after)
    assert file.recall() == after


def test_elapsed_that_fell_while_the_exporter_was_down_begins_anew(tmp_path: Path) -> None:
    now, wall = [1000.0], 1_700_000_000.0

    host = FakeHost(600)

    def poller() -> Poller:
        file = SessionFile(tmp_path / NAME, "one")
        return Poller(host, 5.0, clock=lambda: now[0], wall=lambda: wall + now[0], memory=file)

    before = poller()
    before.poll()
    now[0], host.elapsed = now[0] + 3600, 3_600_600
    before.poll()
    now[0], host.elapsed = now[0] + 10, 5_000
    after = poller()
    after.poll()
    assert after.state.lives.session.start == wall + now[0] - 5


def test_a_counter_that_fell_by_itself_keeps_its_start_over_a_restart_of_the_exporter(tmp_path: Path) -> None:
    """The session's would say that it had risen by all it shows since then, and lie before points that were sent."""
    clock = SessionClock()
    at = Instant(START, 1000.0)

    def read(**values: int) -> None:
        nonlocal at
        at = Instant(at.wall + 5, at.monotonic + 5)
        clock.read(Snapshot(7, 3, {"elapsed": int(at.monotonic * 1000), **values}), at)
        file.keep(clock.known)

    file = SessionFile(tmp_path / NAME, "one")
    for used in (50_000, 51_000, 10):
        read(cpu_used=used, host_cpu_used=used)
    before, fell = clock.lives, at.wall - 5 + 1e-6
    assert before.of("cpu_used").start == fell
    clock = SessionClock(file.recall())
    read(cpu_used=2_000, host_cpu_used=2_000)
    life = clock.lives.of("cpu_used")
    assert (life.start, life.since, life.alone) == (fell, None, True)
    assert clock.lives.session.start == before.session.start
    assert clock.lives.of("host_cpu_used", of_host=True).start is None
    read(cpu_used=3_000)
    assert clock.lives.of("cpu_used") == life
    clock = SessionClock(file.recall())
    read(cpu_used=4_000)
    assert clock.lives.of("cpu_used").start == fell, "it is kept over the next one too"
    read(elapsed=1, cpu_used=5_000)
    assert not clock.lives.alone
    assert not clock.known.alone


def test_a_counter_that_fell_before_a_restart_in_which_the_clock_was_set_back_began_when_it_did(
    tmp_path: Path,
) -> None:
    """Found by a stranger: an hour of growth began at the moment of its first point."""
    file = SessionFile(tmp_path / NAME, "one")
    clock = SessionClock()
    for seconds, stolen in ((0, 500_000), (5, 1_000), (3600, 900_000)):
        at = Instant(START + seconds, 1000.0 + seconds)
        clock.read(Snapshot(7, 3, {"elapsed": 60_000 + seconds * 1000, "cpu_stolen": stolen}), at)
        file.keep(clock.known)
    clock = SessionClock(file.recall())
    at = Instant(START + 3610 - 7200, 4610.0)
    clock.read(Snapshot(7, 3, {"elapsed": 3_670_000, "cpu_stolen": 905_000}), at)
    assert clock.lives.of("cpu_stolen").start == START - 7200 + 1e-6
    assert clock.lives.session.start == START - 7200 - 60
    assert clock.recalled is not None
    assert clock.recalled.session.start == START - 60
    assert clock.recalled.of("cpu_stolen").start == START + 1e-6


def test_a_start_that_moves_over_a_restart_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = SessionFile(tmp_path / NAME, "one")
    file.keep(Remembered(7, START + 3600, 60_000, {"cpu_stolen": Start(990.0, START + 3650)}))
    moved = Poller(FakeHost(65_000), 5.0, memory=file, wall=lambda: START, clock=lambda: 1000.0)
    moved.poll()
    moved.poll()
    said = [record for record in caplog.records if record.message == "the session's start changes"]
    assert len(said) == 1
    assert "set back" in vars(said[0])["why"]
    assert vars(said[0])["counters_that_fell"] == 1


def test_a_folder_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    file = SessionFile(tmp_path / "gone" / NAME, "one")
    file.keep(KNOWN)
    file.keep(Remembered(SESSION, START + 1, 60_000))
    assert len(caplog.records) == 1


def test_without_the_units_folder_or_a_boot_id_nothing_is_kept(tmp_path: Path) -> None:
    assert session_file({}, "one") is None
    assert session_file({"RUNTIME_DIRECTORY": str(tmp_path)}, None) is None
    assert session_file({"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"}, "one") is not None


def test_files_that_differ_in_their_ending_do_not_share_what_is_written_beside_them(tmp_path: Path) -> None:
    beside = tmp_path / "a.new"
    beside.write_text("of a.y, half written")
    SessionFile(tmp_path / "a.x", "one").keep(KNOWN)
    assert beside.read_text() == "of a.y, half written"
    assert (tmp_path / "a.x").exists()


def test_a_fall_over_a_restart_is_seen_however_fast_polls_come(tmp_path: Path) -> None:
    """The reading that was shown last is what a fall shows against, were it a quarter of a second after the one before."""
    now = [1000.0]
    host = FakeHost(600_000)

    def poller() -> Poller:
        file = SessionFile(tmp_path / NAME, "one")
        return Poller(host, 0.25, clock=lambda: now[0], wall=lambda: START + now[0], memory=file)

    before = poller()
    for used in (100, 200, 300):
        host.used = used
        before.poll()
        now[0] += 0.25
        host.elapsed += 250
    host.used = 250
    now[0] += 1
    host.elapsed += 1000
    after = poller()
    after.poll()
    assert after.state.lives.of("cpu_used").alone
    assert after.state.lives.session.start == before.state.lives.session.start


def test_a_reading_is_kept_before_it_is_shown(tmp_path: Path) -> None:
    """An exporter that is killed in between has shown nothing that the file does not know."""
    host, shown = FakeHost(600_000), []

    class Watched(SessionFile):
        def keep(self, known: Remembered) -> None:
            shown.append(poller.state.snapshot)
            super().keep(known)

    poller = Poller(host, 5.0, memory=Watched(tmp_path / NAME, "one"))
    poller.poll()
    assert shown == [None]
    assert poller.state.snapshot is not None


def test_a_clock_tells_of_each_counter_that_fell_by_itself() -> None:
    names = [(f"vscsi scsi{n // 64}:{n % 64}", "reads") for n in range(256)]
    clock = SessionClock()
    for poll, value in enumerate((10, 5)):
        at = Instant(START + poll, 1000.0 + poll)
        clock.read(Snapshot(7, 3, {"elapsed": 60_000 + poll * 1000}), at)
        groups = {name[0]: (ExtendedValue(name[1], value, "accumulate", ""),) for name in names}
        clock.read_extended(ExtendedSnapshot(7, groups, at.wall, at.monotonic, {}))
    assert clock.known.alone.keys() == {*names}
