"""What happened to the heartbeats, in sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.ha.happened import Happened, changes
from exporter.ha.messages import HeartReport

ON = HeartReport(settled=True, enabled=True, app_status="green")

CHANGES: tuple[tuple[HeartReport, HeartReport, list[str]], ...] = (
    (ON, ON, []),
    (ON, replace(ON, heartbeats=7, last_beat=9.0), []),
    (
        HeartReport(settled=True),
        ON,
        ["Monitoring by vSphere HA is on.", "vSphere HA sees this application as Green."],
    ),
    (ON, replace(ON, app_status="red"), ["vSphere HA sees this application as Red."]),
    (ON, replace(ON, enabled=False), ["Monitoring by vSphere HA is off, or no longer confirmed."]),
    (ON, replace(ON, requested_reset=True), ["The request for a reset of this VM is with the host."]),
    (replace(ON, requested_reset=True), ON, ["The request for a reset of this VM is taken back."]),
    (ON, replace(ON, maintenance_end=float("inf")), ["Maintenance began: no heartbeats are sent."]),
    (replace(ON, maintenance_end=5.0), replace(ON, maintenance_end=6.0), []),
    (replace(ON, maintenance_end=5.0), ON, ["Maintenance ended."]),
)


@pytest.mark.parametrize(("before", "after", "told"), CHANGES)
def test_each_change_is_a_sentence(before: HeartReport, after: HeartReport, told: list[str]) -> None:
    assert list(changes(before, after)) == told


def test_a_heart_that_has_only_begun_is_no_news() -> None:
    told: list[str] = []
    happened = Happened(told.append)
    for report in (
        HeartReport(),
        ON,
        HeartReport(),
        replace(ON, app_status=""),
        ON,
        replace(ON, app_status="red"),
    ):
        happened.reported(report)
    assert told == [
        "Monitoring by vSphere HA is on.",
        "vSphere HA sees this application as Green.",
        "vSphere HA sees this application as Red.",
    ]
