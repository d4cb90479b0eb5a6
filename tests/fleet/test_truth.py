"""What exporters say of lost CPU time, held against what was really lost to whom: VM by VM, by the cause they name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from exporter.fleet.fleet import Fleet
from exporter.outputs.prometheus import TEXT, VMGuestCollector
from tests.fleet.conftest import MakeFleet, Time, turn

MIX = {"steady": 40, "noisy": 6, "cpu-limit": 8}
ROUNDS = 20
NEAR = 0.02
"""Of each vCPU's time: guests' curves waver by 5 %, which the truth's steps do not follow."""


def said(fleet: Fleet, name: str) -> dict[str, float]:
    """Cause -> seconds."""
    exporter = fleet.exporter(name)
    assert exporter is not None
    page = TEXT.page(VMGuestCollector(exporter.published.collect)).decode()
    found = re.findall(r'^vmguest_cpu_lost_seconds_total\{cause="(\w+)"\} (\S+)', page, re.MULTILINE)
    return {cause: float(seconds) for cause, seconds in found}


@pytest.fixture
def window(make_fleet: MakeFleet, clock: Time) -> dict[str, tuple[dict[str, Any], dict[str, float]]]:
    """VM -> what was lost in five minutes: by the truth, and by its exporter; in shares of each vCPU's time."""
    fleet = make_fleet(54, MIX)
    turn(fleet, clock, 2)
    told, before = fleet.truth()["vms"], {name: said(fleet, name) for name in fleet.vms}
    turn(fleet, clock, ROUNDS)
    found = {}
    for name, now in fleet.truth()["vms"].items():
        cpu, then = now["cpu"], told[name]["cpu"]
        time = (cpu["seconds"] - then["seconds"]) * now["vcpus"]
        true = {
            "vms": sum(cpu["lost_to_vms"].values()) - sum(then["lost_to_vms"].values()),
            "limit": cpu["lost_to_limit"] - then["lost_to_limit"],
            "both": cpu["lost_to_both"] - then["lost_to_both"],
        }
        by_cause = {cause: seconds - before[name][cause] for cause, seconds in said(fleet, name).items()}
        found[name] = (
            {part: seconds / time for part, seconds in true.items()} | {"limited": cpu["limited"]},
            {cause: seconds / time for cause, seconds in by_cause.items()},
        )
    return found


def test_every_loss_is_laid_to_what_caused_it(
    window: dict[str, tuple[dict[str, Any], dict[str, float]]],
) -> None:
    kinds: dict[str, int] = {}
    for name, (true, told) in window.items():
        whole = true["vms"] + true["limit"] + true["both"]
        assert told["limit"] + told["host"] + told["undetermined"] == pytest.approx(whole, abs=NEAR), name
        if not true["limited"]:
            kind = "robbed" if whole > 0.05 else "content"
            assert told["host"] == pytest.approx(true["vms"], abs=NEAR), name
            assert told["limit"] == told["undetermined"] == 0, name
        elif not true["vms"] and not true["both"]:
            kind = "limited"
            assert told["limit"] == pytest.approx(true["limit"], abs=NEAR), name
            assert told["undetermined"] <= NEAR, name
        else:
            # It has a limit and others had some of what that allows: a guest can't tell, and must not say it can.
            kind = "torn"
            assert told["host"] == 0, name
        kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds.keys() == {"robbed", "content", "limited", "torn"}, "each of them was there"
