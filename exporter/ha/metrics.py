"""The heartbeats as families of points."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from exporter import catalogue
from exporter.errors import POLL_ERROR_KINDS
from exporter.ha.health import HealthSummary
from exporter.ha.messages import HeartReport
from exporter.ha.rules import Health
from exporter.metrics.families import Family, Point
from exporter.protocol.appmonitor import AppStatus

ERROR_KINDS = (*POLL_ERROR_KINDS, "host_error")
"""Every ``kind`` of a heartbeat that failed. ``host_error``: the host answered a code other than 0 and 2."""


def families(
    report: HeartReport,
    summary: HealthSummary,
    started: float,
    *,
    dry_run: bool = False,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> list[Family]:
    """What ``report`` says; ``started``: wall clock at which its counters began.

    A time in it that is past is as long ago as the monotonic clock says, whatever the wall clock was set to since.
    """

    def counter(value: float) -> tuple[Point, ...]:
        return (Point(value, created=started),)

    def labelled(name: str, values: Mapping[str, float], created: float | None = None) -> tuple[Point, ...]:
        return tuple(Point(value, ((name, label),), created) for label, value in values.items())

    errors = {**dict.fromkeys(ERROR_KINDS, 0), **report.errors}
    # Rounded, since the two clocks are never read in the same instant.
    last_beat = None if report.last_beat is None else round(wall() - (clock() - report.last_beat), 1)
    statuses = {status.value: float(report.app_status == status.value) for status in AppStatus}
    points = {
        catalogue.HA_ENABLED: (Point(float(report.enabled)),),
        catalogue.HA_HEALTHY: (Point(float(summary.health is Health.GOOD)),),
        catalogue.HA_CHECK_HEALTHY: labelled("check", summary.checks),
        catalogue.HA_APP_STATUS: labelled("status", statuses),
        catalogue.HA_REQUESTED_RESET: (Point(float(report.requested_reset)),),
        catalogue.HA_HEARTBEATS: counter(report.heartbeats),
        catalogue.HA_HEARTBEAT_ERRORS: labelled("kind", errors, started),
        catalogue.HA_HEARTBEATS_WITHHELD: counter(report.withheld),
        catalogue.HA_REENABLES: counter(report.reenables),
        catalogue.HA_LAST_HEARTBEAT: (Point(last_beat),) if last_beat is not None else (),
        catalogue.HA_DRY_RUN: (Point(float(dry_run)),),
        catalogue.HA_MAINTENANCE_END: (Point(report.maintenance_end),) if report.maintenance_end else (),
        catalogue.HA_DRY_RUN_RESETS: counter(report.dry_run_resets),
    }
    return [Family(metric, points[metric]) for metric in catalogue.HA_METRICS if points[metric]]


def handed_back(report: HeartReport) -> HeartReport:
    """The last report of a heart that was told to stop: no heartbeats are expected of it. How vSphere HA sees it nobody asks."""
    return replace(report, armed=False, enabled=False, app_status="", requested_reset=False)


def total(before: HeartReport, last: HeartReport) -> HeartReport:
    """The last report of a heart, counted on from those before it."""
    errors = {kind: before.errors.get(kind, 0) + last.errors.get(kind, 0) for kind in ERROR_KINDS}
    return replace(
        last,
        heartbeats=before.heartbeats + last.heartbeats,
        errors=errors,
        withheld=before.withheld + last.withheld,
        reenables=before.reenables + last.reenables,
        last_beat=before.last_beat if last.last_beat is None else last.last_beat,
        dry_run_resets=before.dry_run_resets + last.dry_run_resets,
    )
