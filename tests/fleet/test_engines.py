"""A small fleet on real engines: fifty VMs for a minute on two sharded Prometheus agents and one VictoriaMetrics; and the
same by vmagent on three nodes of which one is lost. ``benchmarks/fleet.py --large`` is the large one.

Nothing here depends on how fast the machine is: pages are counted where they are handed over and where they are kept.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import fleet
from benchmarks.fleet_answers import questions
from benchmarks.fleet_site import NEEDED, PROGRAMS
from benchmarks.fleet_tables import Outcome

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def engines(require: Callable[[str, str | None, str], str]) -> None:
    for name in NEEDED:
        path = PROGRAMS / name
        require(name, str(path) if path.exists() else None, "make receivers (needs Go)")


def test_two_sharded_agents_lose_nothing_that_they_scraped(tmp_path: Path) -> None:
    outcome = Outcome("small", grows=True)
    fleet.sharded(outcome, tmp_path, 50, 60, ask=True, flags=("--calm",))
    assert outcome.failed == []
    assert outcome.notes == [], "each VM is in one shard"
    assert len(outcome.losses) == 2, "one for each agent"
    for loss in outcome.losses:
        assert loss.handed_over > 0
        assert loss.stored + loss.given_up >= loss.handed_over
        assert loss.lost == 0
    assert outcome.growth is not None
    assert 150 < outcome.growth.series < 200
    # Every query of the fleet board and every rule was taken.
    assert [each.what for each in outcome.asked] == [name for name, _, _ in questions()]
    answered = {each.what: each.results for each in outcome.asked}
    assert answered["VMs by hypervisor version (1)"] >= 1
    assert answered["rule vmguest:cpu_capacity:hertz"] == 50
    # One VM or two: not each setting of each VM, because it is new.
    assert answered["rule VMGuestSettingChanged"] < 50


def test_a_killed_node_loses_nothing_where_vmagent_keeps_two_copies(tmp_path: Path) -> None:
    outcome = Outcome("small")
    killed = fleet.Death("node", signal.SIGKILL, 30, fleet.FOR_GOOD)
    fleet.replicated(outcome, tmp_path, 50, 60, deaths=[killed], flags=("--calm",))
    assert outcome.failed == []
    assert "each VM's series are on 2 to 2 nodes" in outcome.notes
    assert "the node for the whole fleet sees 50 VMs; 50 of 50 run" in outcome.notes
    # What a node records is there and not on it: rules that build on it run at the node for the whole fleet.
    assert re.search(
        r"find them on the node for the whole fleet: CPU is stolen from [1-9]\d* VMs, [1-9]\d* have a CPU limit",
        str(outcome.notes),
    )
    (loss,) = outcome.losses
    assert loss.handed_over > 0
    assert loss.lost == 0
