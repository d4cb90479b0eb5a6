"""A small fleet on real engines: fifty VMs for a minute on two sharded Prometheus agents and one VictoriaMetrics; and the
same by vmagent on three nodes of which one is lost. ``benchmarks/fleet.py --large`` is the large one.

Nothing here depends on how fast the machine is: pages are counted where they are handed over and where they are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import fleet
from benchmarks.fleet_answers import questions
from benchmarks.fleet_site import NEEDED, PROGRAMS

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def engines(require: Callable[[str, str | None, str], str]) -> None:
    for name in NEEDED:
        path = PROGRAMS / name
        require(name, str(path) if path.exists() else None, "make receivers (needs Go)")


def test_two_sharded_agents_lose_nothing_that_they_scraped(tmp_path: Path) -> None:
    outcome = fleet.sharded(tmp_path, 50, 60, ask=True, flags=("--calm",))
    assert outcome.notes == [], "each VM is in one shard"
    assert outcome.losses.keys() == {"agent 0", "agent 1"}
    for loss in outcome.losses.values():
        assert loss.handed_over > 0
        assert loss.stored + loss.given_up >= loss.handed_over
        assert loss.lost == 0
    assert outcome.off == 0
    assert 150 < outcome.growth.series < 200
    # Every query of the fleet board and every rule was taken.
    assert [each.what for each in outcome.asked] == [name for name, _, _ in questions()]
    answered = {each.what: each.results for each in outcome.asked}
    assert answered["VMs by hypervisor version (1)"] >= 1
    assert answered["rule vmguest:cpu_capacity:hertz"] == 50


def test_a_node_may_be_lost_where_vmagent_keeps_two_copies(tmp_path: Path) -> None:
    outcome = fleet.replicated(tmp_path, 50, 60, flags=("--calm",))
    copies = "each VM's series are on 2 to 2 nodes"
    whole = "the node for the whole fleet sees 50 VMs; 50 of 50 run"
    assert copies in outcome.notes
    assert whole in outcome.notes
    (loss,) = outcome.losses.values()
    assert loss.handed_over > 0
    # vmagent was killed: what it had in memory is lost, a second's worth of pages.
    assert loss.stored > 0
