"""Session changes, their clues, and guesses that are called guesses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.insight.timeline import MOST, Facts, session_entry
from tests.insight.simulated import Simulated

BEFORE = Facts(1, 90_000.0, 2.6e9, 32.0, "VMware ESXi 8.0.3", "boot-1", 500.0, 1000.0)
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
    after = replace(AFTER, frequency=2.1e9, cores=64.0, build="VMware ESXi 9.0.0", clock=501.5)
    assert session_entry(BEFORE, after, 10.0).clues == (
        "host frequency 2.6 GHz before, 2.1 GHz now",
        "host cores 32 before, 64 now",
        "VMware ESXi 8.0.3 before, VMware ESXi 9.0.0 now",
        "nothing was seen for 5 s",
        "the host had counted for 3 s",
    )


def test_clocks_of_two_runs_are_not_compared() -> None:
    entry = session_entry(BEFORE, replace(AFTER, clock=90_000.0), 10.0, restarted=True)
    assert not any("clock" in clue for clue in entry.clues)


def test_a_move_leaves_an_entry_with_the_blind_window() -> None:
    simulated = Simulated("vmotion").run(40)
    (entry,) = simulated.insight.timeline
    assert entry.kind == "session"
    assert "nothing was seen for 5 s" in entry.clues
    assert entry.guess.startswith("probably")


def test_it_is_bounded() -> None:
    simulated = Simulated("vmotion").run(30 * (MOST + 20))
    assert len(simulated.insight.timeline) == MOST
