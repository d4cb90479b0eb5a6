"""Session changes, their clues, and guesses that are called guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.timeline import MOST, Entry, SessionFacts, bounded, session_entry
from exporter.insight.vitals import vitals_of
from tests.insight.simulated import Simulated

BEFORE = SessionFacts(1, 90_000.0, 2.6e9, 32.0, "VMware ESXi 8.0.3", "boot-1", 500.0, 1000.0)
AFTER = replace(BEFORE, session_id=2, elapsed=3.0, seen=1005.0)

GUESSES: tuple[tuple[str, dict[str, object], str], ...] = (
    ("nothing else", {}, "probably moved to a host of the same model, or a device was added"),
    ("frequency", {"frequency": 2.1e9}, "probably moved to a host of another model"),
    ("cores", {"cores": 64.0}, "probably moved to a host of another model"),
    ("build", {"build": "VMware ESXi 9.0.0"}, "probably moved to a host with another build"),
    ("boot", {"boot_id": "boot-2"}, "probably powered on or reset"),
    ("boot on another host", {"boot_id": "boot-2", "frequency": 2.1e9}, "probably powered on or reset, on a host of another model"),
    ("clock forward", {"clock": 800.0}, "probably resumed after a suspension, or the clock was set"),
    ("clock back", {"clock": 200.0}, "probably reverted to a snapshot, or the clock was set"),
    ("unknown then", {"frequency": None, "build": ""}, "probably moved to a host of the same model, or a device was added"),
)  # fmt: skip


@pytest.mark.parametrize(("differs", "guess"), [row[1:] for row in GUESSES], ids=[row[0] for row in GUESSES])
def test_the_guess(differs: dict[str, object], guess: str) -> None:
    assert session_entry(BEFORE, replace(AFTER, **differs), 10.0).guess == guess  # type: ignore[arg-type]


def test_the_clues_stand_beside_it() -> None:
    after = replace(AFTER, frequency=2.1e9, cores=64.0, build="VMware ESXi 9.0.0", clock=501.5, seen=1006.5)
    assert session_entry(BEFORE, after, 10.0).clues == (
        "host frequency 2.6 GHz before, 2.1 GHz now",
        "host cores 32 before, 64 now",
        "VMware ESXi 8.0.3 before, VMware ESXi 9.0.0 now",
        "nothing was seen for 5 s",
        "the host had counted for 3 s",
    )


@pytest.mark.parametrize(("clock", "way"), [(800.0, "forward by 5 minutes"), (200.0, "back by 5 minutes")])
def test_a_boot_and_a_set_clock_are_clues(clock: float, way: str) -> None:
    after = replace(AFTER, boot_id="boot-2", clock=clock, elapsed=None)
    assert session_entry(BEFORE, after, 10.0).clues == (
        "the guest's kernel was booted in between",
        f"the guest's clock was set {way}",
        "nothing was seen for 5 s",
    )


@pytest.mark.parametrize("seen", [BEFORE.seen, BEFORE.seen - 60.0])
def test_a_wall_clock_that_went_back_makes_no_time_without_sight(seen: float) -> None:
    entry = session_entry(BEFORE, replace(AFTER, seen=seen, elapsed=None), 10.0)
    assert entry.clues == ("nothing was seen for 0 s",)


@pytest.mark.parametrize("step", [28_800.0, -28_800.0])
def test_a_wall_clock_that_was_set_makes_no_time_without_sight_longer(step: float) -> None:
    after = replace(AFTER, seen=AFTER.seen + step, clock=AFTER.clock + step)
    assert "nothing was seen for 5 s" in session_entry(BEFORE, after, 10.0).clues


@pytest.mark.parametrize("minutes", [1, 59, 61, 1439, 1441])
@pytest.mark.parametrize("step", [0.0, 28_800.0, -28_800.0])
def test_the_last_hour_and_the_last_day_are_the_same_whatever_the_clock_is_set_to(
    minutes: int, step: float
) -> None:
    world = Simulated("vmotion")
    while not world.insight.timeline:
        world.now += 5.0
        world.poll()
    begun = world.now
    changed = Entry(world.wall(), begun, "setting", "CPU limit went from none to 2 GHz.")
    insight = replace(world.insight, timeline=(*world.insight.timeline, changed))
    world.set_by += step
    world.now = begun + 60.0 * minutes
    last = replace(world.poller.state, read_time=world.wall(), read_monotonic=world.now)
    seen = vitals_of(last, insight, world.now)
    assert len(seen.session_entries) == (minutes <= 60)
    assert len(seen.setting_entries) == (minutes <= 1440)


def test_clocks_of_two_runs_are_not_compared() -> None:
    entry = session_entry(BEFORE, replace(AFTER, clock=90_000.0), 10.0, restarted=True)
    assert not any("clock" in clue for clue in entry.clues)


def test_a_move_leaves_an_entry_with_the_blind_window() -> None:
    simulated = Simulated("vmotion").run(40)
    (entry,) = simulated.insight.timeline
    assert entry.kind == "session"
    assert "nothing was seen for 5 s" in entry.clues
    assert entry.guess.startswith("probably")


def test_counters_that_fell_under_the_same_id_are_a_session_of_their_own() -> None:
    simulated = Simulated("steady").run(60)
    last = simulated.poller.state
    assert last.snapshot is not None
    anew = replace(last.snapshot, values={**last.snapshot.values, "elapsed": 2000, "cpu_stolen": 0})
    simulated.told(replace(last, snapshot=anew, polls=last.polls + 1))
    (entry,) = simulated.insight.timeline
    assert (entry.kind, entry.text) == ("session", "A new session began.")
    assert "its counters fell under the same id" in entry.clues
    simulated.told(replace(last, snapshot=anew, polls=last.polls + 2))
    assert len(simulated.insight.timeline) == 1


def test_a_rare_entry_outlives_common_ones() -> None:
    """Else a day of moves would hide that a setting was changed."""
    setting = Entry(0.0, 0.0, "setting", "CPU limit went from none to 2 GHz.")
    moves = tuple(Entry(float(at), float(at), "session", "A new session began.") for at in range(3 * MOST))
    kept = bounded((setting, *moves))
    assert len(kept) == MOST
    assert kept[0] == setting
    assert kept[1:] == moves[-MOST + 1 :]


def test_it_is_bounded() -> None:
    simulated = Simulated("vmotion").run(30 * (MOST + 20))
    assert len(simulated.insight.timeline) == MOST
