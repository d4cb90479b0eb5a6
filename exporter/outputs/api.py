"""``/-/insight``: everything that is known, as JSON: for the page, for the commands and for programs; ``format`` is its
version.

Numbers are in base units, ``"unlimited"`` stands for +Inf, and null for what is not known. Keys are added without notice;
a key that goes, or means something else, makes ``format`` go up. Built from the same published object as the metrics, so
it can show nothing that they withhold; made at most once a second, however many ask.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from types import UnionType
from typing import Any

from exporter.catalogue import BY_KEY
from exporter.insight.ledger import Ledger
from exporter.insight.observer import Insight
from exporter.insight.vitals import Vitals, vitals_of
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.page.overview import overview
from exporter.outputs.web.application import Response
from exporter.snapshot import ExtendedSnapshot, Snapshot

FORMAT = 1
PATH = "/-/insight"
MAX_AGE = 1.0
"""Seconds after which the answer is made anew."""

Document = dict[str, Any]
"""What :func:`document` gives."""
SHAPE: Mapping[str, type | UnionType] = {
    "format": int,
    "version": str,
    "time": int | float,
    "up": bool,
    "problem": dict | None,
    "verdict": dict,
    "answers": list,
    "times": list,
    "gap": int | float | None,
    "band": dict | None,
    "charts": list,
    "events": list,
    "facts": list,
    "source": dict | None,
    "poll": dict,
    "session": dict,
    "settings": dict,
    "setting_changes": dict,
    "guest": dict,
    "numbers": dict,
    "metrics": list,
    "before": dict,
    "raw": dict,
}
"""Of a document: each key, and what is below it; it may have more."""
KEYS = SHAPE.keys()


class Api:
    """The document of what ``published`` knows, for any thread; at most :data:`MAX_AGE` old."""

    def __init__(self, published: Published) -> None:
        self._published = published
        self._lock = threading.Lock()
        self._made: tuple[float, Document, bytes] | None = None

    def content(self) -> Document:
        return self._current()[0]

    def view(self) -> Response:
        return Response(self._current()[1], "application/json")

    def _current(self) -> tuple[Document, bytes]:
        with self._lock:
            now = self._published.monotonic()
            if self._made is None or now - self._made[0] > MAX_AGE:
                made = document(self._published)
                self._made = now, made, json.dumps(made, allow_nan=False, separators=(",", ":")).encode()
            return self._made[1:]


def document(published: Published) -> Document:
    """Everything, as of now."""
    known = published.known()
    state, now = known.state, known.now
    insight = known.insight or Insight(Ledger.empty(histograms=False))
    families = published.everything(known)
    shown = overview(state, families, insight, now.monotonic, now.wall)
    vitals = vitals_of(state, insight, now.monotonic)
    snapshot = state.snapshot if state.fresh(now.monotonic) else None
    extended = state.fresh_extended(now.monotonic)
    earlier = state.extended_before if extended is not None else None
    guest = insight.guest
    return {
        "format": FORMAT,
        **shown,
        "source": asdict(state.source) if state.source is not None else None,
        "poll": {
            "interval": state.interval,
            "extended_interval": state.extended_interval,
            "read_time": state.read_time or None,
            "age": now.monotonic - state.read_monotonic if state.snapshot is not None else None,
            "extended_read_time": extended.read_time if extended is not None else None,
            "extended_read_monotonic": extended.read_monotonic if extended is not None else None,
            "polls": state.polls,
            "failed": sum(state.errors.values()),
            "missed": state.missed,
        },
        "session": {
            "id": f"{snapshot.session_id:#x}" if snapshot is not None else None,
            "protocol": snapshot.protocol if snapshot is not None else None,
            "changes": state.session_changes,
            "start": state.lives.session.start if snapshot is not None else None,
        },
        "settings": {name: _plain(value) for name, value in insight.settings.items() if name not in _IDENTITY}
        if snapshot is not None
        else {},
        "setting_changes": dict(insight.setting_changes),
        "guest": asdict(guest if snapshot is not None else replace(guest, **_NOT_NOW)),
        "numbers": _numbers(vitals),
        "metrics": [_metric(family) for family in families if family.points],
        # So that one answer tells rates: the host's counters, each as of the sample before.
        "before": {
            "poll": {"extended_read_monotonic": earlier.read_monotonic if earlier is not None else None},
            "metrics": [_metric(family) for family in published.before(known) if family.points],
        },
        "raw": _raw(snapshot, extended, expose_identity=published.expose_identity),
    }


_IDENTITY = frozenset({"resource_pool"})
_NOT_NOW = dict.fromkeys(("available_bytes", "swap_free_bytes", "steal_seconds", "held_seconds"))
"""Of the guest: what was read with the last good poll, and has moved since."""
_NESTED = frozenset(
    {"guest", "not_measured", "reclaim", "setting_entries", "session_entries", "pause_entries", "heartbeat"}
)


def _numbers(vitals: Vitals) -> dict[str, Any]:
    """What the verdict is about; shares hold for the window and for one vCPU, 1 is all of the time."""
    found = {
        field.name: _plain(getattr(vitals, field.name))
        for field in fields(vitals)
        if field.name not in _NESTED
    }
    ahead = vitals.reclaim
    return {
        **found,
        "capacity": vitals.capacity,
        "limit_use": vitals.limit_use,
        "reclaim_pending": ahead.pending,
        "reclaim_worst_case": ahead.worst_case,
        "reclaim_spare": ahead.spare,
        "reclaim_deficit": ahead.deficit,
        "setting_changes": len(vitals.setting_entries),
        "session_changes": len(vitals.session_entries),
        "pauses": len(vitals.pause_entries) if vitals.pauses_watched else None,
    }


def _metric(family: Family) -> dict[str, Any]:
    metric = family.metric
    return {
        "name": metric.prometheus,
        "kind": metric.kind.value,
        "unit": metric.unit.ucum,
        "points": [_point(each) for each in family.points],
    }


def _point(point: Point) -> dict[str, Any]:
    found = {"labels": dict(point.labels), "value": _plain(point.value)}
    if point.life.number:
        found["life"] = point.life.number
    if point.read is not None:
        found["read_monotonic"] = point.read.monotonic
    return found


def _raw(
    snapshot: Snapshot | None, extended: ExtendedSnapshot | None, *, expose_identity: bool
) -> dict[str, Any]:
    """The host's own words, of what may be shown: numbers as they came, in the host's unit."""
    values: Mapping[str, int | str] = snapshot.values if snapshot is not None else {}
    statistics = {key: value for key, value in values.items() if expose_identity or not BY_KEY[key].identity}
    groups: dict[str, dict[str, Any]] = {}
    for group, found in (extended.groups if extended is not None else {}).items():
        groups[group] = {
            each.name: {"value": each.value, "type": each.type, "units": each.units}
            for each in found
            if expose_identity or not (isinstance(each.value, str) and _identifies(each.name))
        }
    return {"statistics": statistics, "groups": groups}


def _identifies(name: str) -> bool:
    lowered = name.lower()
    return "uuid" in lowered or "name" in lowered


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "unlimited"
    return value


def metric(document: Document, name: str) -> Iterable[dict[str, Any]]:
    """The points of one metric."""
    return next((each["points"] for each in document["metrics"] if each["name"] == name), ())
