"""The heartbeats as families: all of the catalogue's, and counters that never fall."""

from __future__ import annotations

import pytest

from exporter import catalogue
from exporter.ha.health import HealthSummary
from exporter.ha.messages import HeartReport
from exporter.ha.metrics import ERROR_KINDS, families, total
from exporter.ha.rules import Health
from exporter.outputs.prometheus import as_metric

GOOD = HealthSummary(Health.GOOD, "", {"poll": True, "db": True})
REPORT = HeartReport(
    phase="beating",
    enabled=True,
    app_status="red",
    requested_reset=True,
    heartbeats=7,
    errors={"timeout": 2},
    withheld=3,
    reenables=4,
    last_beat=200.0,
    dry_run_resets=5,
    maintenance_end=1.8e9,
)


def lines(report: HeartReport, verdict: HealthSummary = GOOD, wall: float = 1.7e9 + 10) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{label}}}" for label in sample.labels.values()): sample.value
        for family in families(report, verdict, 100.0, clock=lambda: 210.0, wall=lambda: wall)
        for sample in as_metric(family).samples
    }


def test_everything_that_is_known_is_shown() -> None:
    shown = lines(REPORT)
    assert shown["vmguest_ha_enabled"] == 1
    assert shown["vmguest_ha_healthy"] == 1
    assert shown["vmguest_ha_check_healthy{db}"] == 1
    assert [shown[f"vmguest_ha_app_status{{{colour}}}"] for colour in ("green", "red", "gray")] == [0, 1, 0]
    assert shown["vmguest_ha_requested_reset"] == 1
    assert shown["vmguest_ha_heartbeats_total"] == 7
    assert shown["vmguest_ha_heartbeat_errors_total{timeout}"] == 2
    assert shown["vmguest_ha_heartbeats_withheld_total"] == 3
    assert shown["vmguest_ha_reenables_total"] == 4
    assert shown["vmguest_ha_last_heartbeat_timestamp_seconds"] == 1.7e9
    assert shown["vmguest_ha_dry_run_resets_total"] == 5
    assert shown["vmguest_ha_dry_run"] == 0
    assert shown["vmguest_ha_maintenance_end_timestamp_seconds"] == 1.8e9
    assert {family.metric for family in families(REPORT, GOOD, 0)} == set(catalogue.HA_METRICS)


@pytest.mark.parametrize("wall", [1.7e9, 1.7e9 - 3600, 1.7e9 + 3600])
def test_the_last_heartbeat_is_as_long_ago_whatever_the_wall_clock_was_set_to(wall: float) -> None:
    assert wall - lines(REPORT, wall=wall)["vmguest_ha_last_heartbeat_timestamp_seconds"] == 10


def test_a_dry_run_is_told_as_one() -> None:
    [found] = [
        each for each in families(REPORT, GOOD, 0, dry_run=True) if each.metric is catalogue.HA_DRY_RUN
    ]
    assert [point.value for point in found.points] == [1.0]


def test_before_the_first_word_nothing_is_on_and_every_error_is_there_with_zero() -> None:
    shown = lines(HeartReport(), HealthSummary(Health.FAULT, "check poll: none", {"poll": False}))
    assert shown["vmguest_ha_enabled"] == shown["vmguest_ha_healthy"] == 0
    assert shown["vmguest_ha_check_healthy{poll}"] == 0
    assert not any(name.startswith(("vmguest_ha_last_heartbeat", "vmguest_ha_maintenance")) for name in shown)
    for kind in ERROR_KINDS:
        assert shown[f"vmguest_ha_heartbeat_errors_total{{{kind}}}"] == 0


def test_a_status_that_is_not_known_is_no_colour() -> None:
    shown = lines(HeartReport())
    assert sum(value for name, value in shown.items() if name.startswith("vmguest_ha_app_status")) == 0


def test_health_that_is_not_judged_yet_is_not_good() -> None:
    assert lines(REPORT, HealthSummary(Health.UNKNOWN, "", {}))["vmguest_ha_healthy"] == 0


def test_counters_begin_with_the_exporter_and_go_on_over_hearts() -> None:
    after = total(REPORT, HeartReport(phase="beating", heartbeats=1, errors={"timeout": 1, "lost": 1}))
    assert (after.heartbeats, after.withheld, after.reenables, after.dry_run_resets) == (8, 3, 4, 5)
    assert (after.errors["timeout"], after.errors["lost"], after.errors["refused"]) == (3, 1, 0)
    assert after.last_beat == 200.0
    assert not after.enabled, "states are the new heart's"
    family = next(each for each in families(after, GOOD, 100.0) if each.metric is catalogue.HA_HEARTBEATS)
    assert family.points[0].created == 100.0
