"""Insight in the program: what it logs, what it keeps, and what a mistake or a bad disk must not do."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from exporter.config.settings import Insight as InsightSettings
from exporter.config.settings import Settings
from exporter.insight.observer import Observer
from exporter.insight.start import FILE, Told, check, start
from exporter.insight.timeline import MOST
from exporter.snapshot import Guest, PollState, Snapshot
from tests.dying_threads import new_threads_die

GUEST = Guest(4, 8 * 2**30, boot_id="boot-1")
SESSION = {
    "session_id": 1,
    "elapsed": 1.0,
    "frequency": None,
    "cores": None,
    "build": "",
    "boot_id": "boot-1",
    "clock": 0.0,
    "seen": 1e9,
}
WRONG: tuple[dict[str, object], ...] = (
    {"session_id": "1"},
    {"session_id": True},
    {"seen": "x"},
    {"seen": None},
    {"seen": float("nan")},
    {"clock": "y"},
    {"clock": 10**400},
    {"frequency": "2.4"},
    {"elapsed": []},
    {"boot_id": 5},
    {"build": None},
)
REAL = Settings(source="guestrpc")


def state(polls: int, session: int = 1, **values: int) -> PollState:
    numbers = {"elapsed": 1000 * polls, "cpu_limit": 0xFFFFFFFF, **values}
    snapshot = Snapshot(session, 3, numbers)
    return PollState(5.0, snapshot, read_time=1e9 + polls, read_monotonic=float(polls), polls=polls)


def written(told: Told) -> None:
    assert told._keeper is not None
    assert told._keeper._writer is not None
    told._keeper._writer.join(10)


def run(folder: Path | None, *states: PollState, settings: Settings = REAL) -> Told:
    told = start(settings, {"STATE_DIRECTORY": str(folder)} if folder else {}, lambda: GUEST)
    for each in states:
        told(each)
    return told


def test_nothing_can_be_wrong() -> None:
    check(REAL, {})


def test_histograms_can_be_switched_off() -> None:
    settings = Settings(source="guestrpc", insight=InsightSettings(histograms=False))
    insight = run(None, settings=settings).insight()
    assert insight is not None
    assert insight.ledger.stolen_ratio is None


def test_a_changed_setting_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "exporter.insight"):
        run(None, state(1), state(2, cpu_limit=2400), state(3, cpu_limit=2400))
    (line,) = caplog.records
    assert line.message == "a setting of this VM was changed"
    assert line.__dict__["changes"] == "CPU limit went from none to 2.4 GHz"


def test_a_session_change_has_its_clues_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "exporter.insight"):
        run(None, state(1), state(2, session=2))
    (line,) = caplog.records
    assert line.__dict__["guess"].startswith("probably")
    assert "nothing was seen for" in line.__dict__["clues"]


def test_a_change_while_nobody_looked_is_seen_at_the_next_start(tmp_path: Path) -> None:
    written(run(tmp_path, state(1)))
    told = run(tmp_path, state(1, session=2, cpu_limit=2400))
    insight = told.insight()
    assert insight is not None
    assert insight.setting_changes["cpu_limit"] == 1
    kinds = [entry.kind for entry in insight.timeline]
    assert kinds == ["session", "setting", "start"], (
        "the states of this test are of the clock's first seconds"
    )


def test_only_news_are_written(tmp_path: Path) -> None:
    told = run(tmp_path, state(1))
    written(told)
    (tmp_path / FILE).unlink()
    told(state(2))
    written(told)
    assert not (tmp_path / FILE).exists()
    told(state(3, cpu_limit=2400))
    written(told)
    assert json.loads((tmp_path / FILE).read_text())["settings"]["cpu_limit"] == 2.4e9


def test_what_is_written_beside_the_file_has_its_whole_name(tmp_path: Path) -> None:
    other = (tmp_path / FILE).with_suffix(".new")
    other.write_text("somebody else's")
    written(run(tmp_path, state(1)))
    assert other.read_text() == "somebody else's"
    assert (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"settings": {"cpu_limit": []}, "session": null}',
        '{"settings": {}, "session": {"x": 1}}',
        pytest.param("[" * 100_000, id="lists in lists"),
        '{"settings": {"cpu_limit": NaN}, "session": null}',
        *(json.dumps({"settings": {}, "session": {**SESSION, **wrong}}) for wrong in WRONG),
    ],
)
def test_a_file_that_is_no_use_is_said_once_and_written_anew(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text(text)
    told = run(tmp_path, state(1))
    written(told)
    assert [line.message for line in caplog.records] == [
        "what the last run saw can't be read; it starts afresh"
    ]
    assert caplog.records[0].__dict__["file"] == tmp_path / FILE
    insight = told.insight()
    assert insight is not None
    assert [entry.kind for entry in insight.timeline] == ["start"]
    assert "session" in json.loads((tmp_path / FILE).read_text())


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = run(tmp_path / "gone", state(1))
    written(told)
    told(state(2, cpu_limit=2400))
    written(told)
    (line,) = [line for line in caplog.records if "kept" in line.message]
    assert line.message == "settings as last seen can't be kept"
    assert line.__dict__["file"] == tmp_path / "gone" / FILE


def seen(folder: Path) -> float:
    return float(json.loads((folder / FILE).read_text())["session"]["seen"])


def test_the_last_poll_is_kept_once_a_minute_and_at_a_stop(tmp_path: Path) -> None:
    told = run(tmp_path)
    for polls in range(1, 131):
        told(state(polls))
        written(told)
        assert 1e9 + polls - seen(tmp_path) < 60
    assert seen(tmp_path) == 1e9 + 121
    told.stop()
    assert seen(tmp_path) == 1e9 + 130


def test_a_disk_that_takes_things_again_gets_them(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    told = run(folder, state(1))
    written(told)
    folder.mkdir()
    for polls in (2, 61):
        told(state(polls))
        written(told)
    assert seen(folder) == 1e9 + 61


def test_a_stop_without_anything_seen_keeps_nothing(tmp_path: Path) -> None:
    run(tmp_path).stop()
    run(None, state(1)).stop()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["simulated", "replay"])
def test_what_is_not_this_vm_is_not_kept(source: str, tmp_path: Path) -> None:
    run(tmp_path, state(1), settings=Settings(source=source))
    assert not list(tmp_path.iterdir())


def test_after_a_mistake_there_is_nothing_instead_of_a_flat_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(None, state(1))
    assert told.insight() is not None
    assert told.guest() == GUEST

    def fails(_self: Observer, _state: PollState) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Observer, "polled", fails)
    with pytest.raises(ZeroDivisionError):
        told(state(2))
    assert told.insight() is None


def test_the_start_of_the_exporter_is_an_event(tmp_path: Path) -> None:
    def first(told: Told) -> tuple[str, str]:
        insight = told.insight()
        assert insight is not None
        return insight.timeline[0].kind, insight.timeline[0].text

    told = run(tmp_path, state(1))
    written(told)
    assert first(told) == ("start", "The exporter started.")
    assert first(run(tmp_path)) == ("start", "The exporter started again.")
    booted = start(REAL, {"STATE_DIRECTORY": str(tmp_path)}, lambda: Guest(4, boot_id="boot-2"))
    assert first(booted) == ("start", "The exporter started, the machine was booted before.")


def test_what_is_noted_stands_among_what_polls_show_by_time_and_is_bounded() -> None:
    now = [0.5]
    told = Told(Observer(lambda: GUEST), wall=lambda: 1e9 + now[0], monotonic=lambda: now[0])
    told.note("heartbeat", "first")
    told(state(1))
    told(state(2, session=2))
    now[0] = 2.5
    told.note("heartbeat", "last")
    insight = told.insight()
    assert insight is not None
    assert [(entry.kind, entry.at) for entry in insight.timeline] == [
        ("heartbeat", 0.5),
        ("session", 2.0),
        ("heartbeat", 2.5),
    ]
    for _ in range(3 * MOST):
        told.note("heartbeat", "more")
    insight = told.insight()
    assert insight is not None
    assert len(insight.timeline) == MOST


def test_where_no_thread_can_be_started_it_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For want of memory. The polls wait for it, and so does a stop."""
    monkeypatch.setattr("exporter.insight.start.STOP", 0.01)
    told = run(tmp_path)
    with new_threads_die() as dead:
        for polls in (1, 2):
            told(state(polls))
        told.stop()
    assert len(dead) == 3
    assert [line.message for line in caplog.records if "kept" in line.message] == [
        "settings as last seen can't be kept"
    ]
    told(state(3))
    written(told)
    assert seen(tmp_path) == 1e9 + 3
