"""What the status page shows: the verdict, values now, the last hour, where they come from.

Pure, and imported when somebody first looks at the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from exporter import __version__, catalogue
from exporter.catalogue import BY_KEY, Metric
from exporter.insight import verdict
from exporter.insight.history import History, Moment
from exporter.insight.verdict import Level, Vitals
from exporter.metrics.families import Family
from exporter.snapshot import PollState


def overview(state: PollState, families: Iterable[Family], history: History, now: float) -> dict[str, Any]:
    """The page's whole content; numbers in base units, ``"unlimited"`` for +Inf, None where there is no value."""
    found = _Found(families)
    answers = verdict.judge(vitals(found, history))
    level, text = verdict.summary(answers)
    if not state.fresh(now):
        level, text = Level.UNKNOWN, "There are no fresh statistics from the host."
        answers = tuple(replace(each, level=level, text="Not known now.") for each in answers)
    return {
        "version": __version__,
        "up": state.up(now),
        "problem": _problem(state),
        "verdict": {"level": level.name.lower(), "text": text},
        "answers": [
            {
                "question": answer.question,
                "level": answer.level.name.lower(),
                "text": answer.text,
                "threshold": answer.threshold,
            }
            for answer in answers
        ],
        "charts": charts(found, history, now),
        "facts": [
            {"title": title, "rows": [list(row) for row in rows if row[1] is not None]}
            for title, rows in _facts(state, found)
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


def vitals(found: _Found, history: History) -> Vitals:
    """What the verdict is about."""
    window = history.window()
    first, last = window or (None, None)

    def share(key: str) -> float | None:
        return last.share(first, key) if first is not None and last is not None else None

    return Vitals(
        window=last.at - first.at if first is not None and last is not None else 0.0,
        vcpus=found.number(catalogue.VCPUS),
        host_frequency=found.basic("host_cpu_frequency"),
        cpu_limit=found.basic("cpu_limit"),
        used=share("cpu_used"),
        stolen=share("cpu_stolen"),
        guest_memory=found.number(catalogue.GUEST_MEMORY),
        memory_limit=found.basic("memory_limit"),
        ballooned=found.basic("memory_ballooned"),
        balloon_target=found.basic("memory_balloon_target"),
        balloon_max=found.basic("memory_balloon_max"),
        swapped=found.basic("memory_swapped"),
        zipped=found.basic("memory_zipped"),
        swap_in=last.rate(first, "swap_in") if first is not None and last is not None else None,
        memory_contention=share("contention_memory"),
    )


CHARTS = (
    ("cpu_used", "CPU used", "ratio", "Share of all vCPUs' time in which they ran."),
    ("cpu_stolen", "CPU stolen", "ratio", "Share in which they were ready and the host ran others."),
    ("memory_active", "Memory active", "bytes", "In recent use, as the host estimates it."),
    ("memory_used", "Memory used", "bytes", "Host memory that stands behind the guest's."),
    ("memory_ballooned", "Memory ballooned", "bytes", "Taken back by the host; missing to the guest."),
    ("memory_swapped", "Memory swapped", "bytes", "In the host's swap file; slow to come back."),
)
"""Key of :data:`exporter.insight.history.KEPT`, title, unit, one sentence."""


def charts(found: _Found, history: History, now: float) -> list[dict[str, Any]]:
    """The last hour: seconds before now, and value."""
    moments = history.moments
    memory = found.number(catalogue.GUEST_MEMORY)
    return [
        {
            "title": title,
            "unit": unit,
            "text": text,
            "full": 1.0 if unit == "ratio" else memory,
            "points": _points(moments, key, now, rates=unit == "ratio"),
        }
        for key, title, unit, text in CHARTS
    ]


def _points(moments: tuple[Moment, ...], key: str, now: float, *, rates: bool) -> list[list[float | None]]:
    found: list[list[float | None]] = []
    for position, moment in enumerate(moments):
        earlier = moments[position - 1] if position else moment
        value = moment.share(earlier, key) if rates else moment.get(key)
        found.append([round(moment.at - now, 1), None if value is None else float(f"{value:.4g}")])
    return found


Rows = list[tuple[str, Any, str]]
"""Label, value, unit; a row without a value is left out."""


def _facts(state: PollState, found: _Found) -> list[tuple[str, Rows]]:
    source = state.source
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
                ("Extended statistics", _on(state.extended_up, "read", "failing"), ""),
            ],
        ),
        ("vSphere HA heartbeat", _heartbeat(found)),
    ]


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
