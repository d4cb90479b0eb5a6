"""What the status page shows: the verdict, values now, the last hour, where they come from.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from exporter import __version__, catalogue
from exporter.catalogue import BY_KEY, Metric
from exporter.insight import verdict
from exporter.insight.observer import Insight
from exporter.insight.question import Level
from exporter.insight.vitals import HeartbeatState, vitals_of
from exporter.metrics.families import Family
from exporter.outputs.page.charts import hour
from exporter.snapshot import PollState

OWN = frozenset({"heartbeat"})
"""Questions that need no statistics from the host."""
UNKNOWN: dict[str, Any] = {"level": Level.UNKNOWN, "text": "Not known now."}


def overview(
    state: PollState, families: Iterable[Family], insight: Insight, now: float, wall: float
) -> dict[str, Any]:
    """The page's whole content; numbers in base units, ``"unlimited"`` for +Inf, None where there is no value.

    ``now`` by the monotonic clock, ``wall`` by the wall clock, in seconds.
    """
    found = _Found(families)
    vitals = vitals_of(state, insight, now, _heartbeat_of(found))
    answers = verdict.judge(vitals)
    level, text = verdict.summary(answers)
    if not state.fresh(now):
        answers = tuple(each if each.key in OWN else replace(each, **UNKNOWN) for each in answers)
        level, text = Level.UNKNOWN, "There are no fresh statistics from the host."
        own, said = verdict.summary(tuple(each for each in answers if each.level > Level.UNKNOWN))
        if own > Level.UNKNOWN:
            level, text = own, f"{text} {said}"
    return {
        "version": __version__,
        "time": wall,
        "up": state.up(now),
        "problem": _problem(state),
        "verdict": {"level": level.name.lower(), "text": text},
        "answers": [
            {
                "key": answer.key,
                "question": answer.question,
                "level": answer.level.name.lower(),
                "text": answer.text,
                "threshold": answer.threshold,
            }
            for answer in answers
        ],
        **hour(state, insight, vitals, now),
        "facts": [
            {"title": title, "rows": [list(row) for row in rows if row[1] is not None]}
            for title, rows in _facts(state, found, now)
        ],
    }


def _problem(state: PollState) -> dict[str, str] | None:
    """Why the last poll failed and what to do, in the words of the log and of ``doctor``."""
    if not state.last_error:
        return None
    return {
        "kind": state.last_error,
        "text": state.last_error_text.rstrip("."),
        "advice": state.last_error_advice,
    }


class _Found:
    """The families of a page, to be asked for single numbers and words."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families: dict[Metric, Family] = {family.metric: family for family in families}

    def __contains__(self, metric: Metric) -> bool:
        return metric in self._families

    def number(self, metric: Metric) -> float | None:
        family = self._families.get(metric)
        return family.points[0].value if family is not None and family.points else None

    def basic(self, key: str) -> float | None:
        return self.number(BY_KEY[key].metric)

    def words(self, metric: Metric) -> Mapping[str, str]:
        """The labels of the point whose value is not 0: of an info family, or of a set of states."""
        family = self._families.get(metric)
        points = family.points if family is not None else ()
        return next((dict(point.labels) for point in points if point.value), {})


Rows = list[tuple[str, Any, str]]
"""Label, value, unit; a row without a value is left out."""


def _facts(state: PollState, found: _Found, now: float) -> list[tuple[str, Rows]]:
    source = state.source
    extended = state.extended_up and state.fresh_extended(now) is not None
    hypervisor = found.words(catalogue.HYPERVISOR)
    return [
        (
            "This VM",
            [
                ("vCPUs", found.number(catalogue.VCPUS), ""),
                ("Memory that the guest sees", found.number(catalogue.GUEST_MEMORY), "bytes"),
                ("CPU limit", _finite(found.basic("cpu_limit")), "hertz"),
                ("CPU reservation", found.basic("cpu_reservation"), "hertz"),
                ("CPU shares", found.basic("cpu_shares"), ""),
                ("Memory limit", _finite(found.basic("memory_limit")), "bytes"),
                ("Memory reservation", found.basic("memory_reservation"), "bytes"),
                ("Memory shares", found.basic("memory_shares"), ""),
                ("Balloon's target", found.basic("memory_balloon_target"), "bytes"),
            ],
        ),
        (
            "Host and session",
            [
                ("Hypervisor", hypervisor.get("version"), ""),
                ("CPU frequency", found.basic("host_cpu_frequency"), "hertz"),
                ("CPU cores", found.basic("host_cpu_cores"), ""),
                ("Session", found.words(catalogue.SESSION).get("session_id"), ""),
                ("Session began", found.number(catalogue.SESSION_START), "time"),
                ("Session changes seen", state.session_changes, ""),
            ],
        ),
        (
            "Source of the statistics",
            [
                ("Source", source.source if source else None, ""),
                ("Transport", source.transport if source else None, ""),
                ("Why", (source.note or None) if source else None, ""),
                ("Protocol", (source.protocol or None) if source else None, ""),
                ("Poll interval", state.interval, "seconds"),
                ("Last good poll", state.read_time or None, "time"),
                ("Polls", state.polls, ""),
                ("Polls that failed", sum(state.errors.values()), ""),
                ("Polls missed", state.missed, ""),
                ("Extended statistics", _on(extended, "read", "failing"), ""),
            ],
        ),
        ("vSphere HA heartbeat", _heartbeat(found)),
    ]


def _heartbeat_of(found: _Found) -> HeartbeatState | None:
    """What the verdict needs of it; None where heartbeats are off."""
    if catalogue.HA_ENABLED not in found:
        return None
    return HeartbeatState(
        enabled=bool(found.number(catalogue.HA_ENABLED)),
        healthy=bool(found.number(catalogue.HA_HEALTHY)),
        status=found.words(catalogue.HA_APP_STATUS).get("status", ""),
        dry_run=bool(found.number(catalogue.HA_DRY_RUN)),
        maintenance=catalogue.HA_MAINTENANCE_END in found,
        reset_requested=bool(found.number(catalogue.HA_REQUESTED_RESET)),
    )


def _heartbeat(found: _Found) -> Rows:
    if catalogue.HA_ENABLED not in found:
        return [("Heartbeat", "off", "")]
    return [
        ("Monitoring", _on(bool(found.number(catalogue.HA_ENABLED)), "on", "off"), ""),
        ("Status as vSphere sees it", found.words(catalogue.HA_APP_STATUS).get("status"), ""),
        ("Health", _on(bool(found.number(catalogue.HA_HEALTHY)), "good", "bad"), ""),
        ("Heartbeats", found.number(catalogue.HA_HEARTBEATS), ""),
        ("Withheld", found.number(catalogue.HA_HEARTBEATS_WITHHELD), ""),
        ("Last heartbeat", found.number(catalogue.HA_LAST_HEARTBEAT) or None, "time"),
    ]


def _on(state: bool | None, yes: str, no: str) -> str | None:
    return None if state is None else yes if state else no


def _finite(value: float | None) -> float | str | None:
    return "unlimited" if value is not None and math.isinf(value) else value
