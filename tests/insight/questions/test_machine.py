"""Questions about the VM as such, answer by answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.question import Level
from exporter.insight.timeline import Entry
from exporter.insight.vitals import HeartbeatState, Vitals
from exporter.snapshot import Guest
from tests.insight.questions.asking import answer
from tests.insight.vitals import WELL

CHANGE = Entry(0.0, 0.0, "setting", "CPU limit went from none to 2.4 GHz.")
MOVE = Entry(
    0.0,
    0.0,
    "session",
    "A new session began.",
    "probably moved to a host of another model",
    ("host cores 32 before, 64 now",),
)
BEAT = HeartbeatState(enabled=True, healthy=True, status="green")


def beating(beat: HeartbeatState | None = None, **differs: object) -> Vitals:
    return replace(WELL, heartbeat=replace(beat or BEAT, **differs))  # type: ignore[arg-type]


CASES: tuple[tuple[str, str, Vitals, Level, str], ...] = (
    ("settings", "none", WELL, Level.OK, "No change was seen"),
    ("settings", "one", replace(WELL, setting_entries=(CHANGE,)), Level.INFO, "CPU limit went from none to 2.4 GHz."),
    ("settings", "two", replace(WELL, setting_entries=(MOVE, CHANGE)), Level.INFO, "2.4 GHz. 1 earlier change in the last day."),
    ("session", "one", WELL, Level.OK, "as far as was seen"),
    ("session", "moved", replace(WELL, session_entries=(MOVE,)), Level.INFO, "changed once in the last hour; the last time it was probably moved to a host of another model (a guess: host cores 32 before, 64 now)."),
    ("session", "moved often", replace(WELL, session_entries=(MOVE,) * 3), Level.INFO, "changed 3 times"),
    ("session", "churn", replace(WELL, session_entries=(MOVE,) * 4), Level.WARNING, "changed 4 times"),
    ("pauses", "not looked for", WELL, Level.UNKNOWN, "only with --experimental"),
    ("pauses", "none", replace(WELL, pauses_watched=True), Level.OK, "No pause"),
    ("pauses", "two", replace(WELL, pauses_watched=True, pause_entries=(CHANGE,) * 2), Level.INFO, "was seen 2 times in the last hour"),
    ("hot-add", "not told", replace(WELL, guest=Guest(4)), Level.UNKNOWN, "does not tell"),
    ("hot-add", "off", WELL, Level.OK, "No vCPU can be added"),
    ("hot-add", "on, small", replace(WELL, guest=Guest(8, possible_vcpus=128)), Level.OK, "costs nothing"),
    ("hot-add", "on, large", replace(WELL, guest=Guest(9, possible_vcpus=128)), Level.INFO, "A hint, no more"),
    ("heartbeat", "off", WELL, Level.OK, "sends no heartbeats"),
    ("heartbeat", "green", beating(), Level.OK, "green"),
    ("heartbeat", "gray", beating(status="gray"), Level.WARNING, "does not watch"),
    ("heartbeat", "not enabled", beating(enabled=False, status=""), Level.WARNING, "does not watch"),
    ("heartbeat", "red", beating(status="red"), Level.CRITICAL, "misses heartbeats"),
    ("heartbeat", "unhealthy", beating(healthy=False), Level.CRITICAL, "A health check is bad"),
    ("heartbeat", "reset asked for", beating(reset_requested=True, status="red"), Level.CRITICAL, "asked vSphere HA to reset"),
    ("heartbeat", "maintenance", beating(maintenance=True, status="gray"), Level.INFO, "Maintenance"),
    ("heartbeat", "dry run", beating(dry_run=True), Level.INFO, "A dry run"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "vitals", "level", "words"),
    [(row[0], *row[2:]) for row in CASES],
    ids=[f"{row[0]}: {row[1]}" for row in CASES],
)
def test_answer(key: str, vitals: Vitals, level: Level, words: str) -> None:
    found = answer(key, vitals)
    assert (found.level, words in found.text) == (level, True), found
