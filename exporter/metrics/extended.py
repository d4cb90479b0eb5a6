"""The extended statistics of one round as families."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from exporter import catalogue
from exporter.catalogue import Kind, Metric
from exporter.catalogue.extended_names import MAX_FACTS, MAX_LABEL, fact, map_value
from exporter.clock import Instant, Lives
from exporter.metrics.families import Family, Point, counted
from exporter.snapshot import ExtendedSnapshot

NO_LIVES = Lives()


def families(
    extended: ExtendedSnapshot,
    *,
    basic: Collection[str] = (),
    lives: Lives = NO_LIVES,
    expose_identity: bool = False,
    now: Instant | None = None,
) -> list[Family]:
    """The families of one round, in the order in which the host gave them.

    ``basic``: keys that the basic reply holds, or held in this session, and that are therefore left out here. ``lives``: when the counters
    began. ``now``: the last look at the clocks, of a basic poll.
    """
    points: dict[Metric, list[Point]] = {}
    for group, values in extended.groups.items():
        read = extended.at(group)
        for value in values:
            mapped = map_value(group, value)
            if mapped is None or mapped.basic in basic:
                continue
            if mapped.metric.kind is Kind.COUNTER:
                life = lives.of(mapped.basic or (group, value.name), of_host=mapped.metric.of_host)
                point = counted(
                    mapped.metric, mapped.value, mapped.labels, life, extended.session_id, read, now
                )
            else:
                point = Point(mapped.value, mapped.labels, read=read)
            points.setdefault(mapped.metric, []).append(point)
    found = [_family(metric, items, extended) for metric, items in points.items()]
    found += _facts(extended, expose_identity=expose_identity)
    return found


def _family(metric: Metric, points: Iterable[Point], extended: ExtendedSnapshot) -> Family:
    return Family(metric, tuple(points), extended.read_time, monotonic=extended.read_monotonic)


def _facts(extended: ExtendedSnapshot, *, expose_identity: bool) -> list[Family]:
    """The info families: hypervisor, and what the host says of itself in words."""

    def words(group: str) -> dict[str, str]:
        values = extended.groups.get(group, ())
        return {value.name: str(value.value)[:MAX_LABEL] for value in values if isinstance(value.value, str)}

    found = []
    session = words("session")
    if session.get("version"):
        labels = [("version", session["version"]), ("provider", session.get("provider", ""))]
        if expose_identity:
            labels.append(("bios_uuid", session.get("uuid.bios", "")))
        found.append(_family(catalogue.HYPERVISOR, [Point(1, tuple(labels))], extended))
    host: dict[str, str] = {}
    for spelt, text in words("host").items():
        if text and (name := fact(spelt)):
            host.setdefault(name, text)
    if not expose_identity:
        host = {name: text for name, text in host.items() if "uuid" not in name and "name" not in name}
    if host:
        found.append(_family(catalogue.HOST_FACTS, [Point(1, tuple(host.items())[:MAX_FACTS])], extended))
    return found
