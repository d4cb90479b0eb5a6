"""The document of now, and those before it that rates are taken from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from exporter.outputs.api import Document, metric

ELAPSED = "vmguest_elapsed_seconds_total"
Points = dict[tuple[tuple[str, str], ...], float]
"""Labels -> value of one metric."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``basic`` and ``extended``: the last documents with another sample, of the same session, or the part of a document
    that tells of it; None before there is one.
    """

    now: Document
    basic: Document | None = None
    extended: Document | None = None

    @classmethod
    def first(cls, document: Document) -> Frame:
        """The frame to begin with: its rates are those of the interval that ended last, as far as it is known."""
        before = document["before"]
        basic = value(before, ELAPSED) is not None
        rounds = before["poll"]["extended_read_monotonic"] is not None
        return cls(document, before if basic else None, before if rounds else None)

    @property
    def waits(self) -> bool:
        """Whether another sample, or another round, must come before all rates are there."""
        basic = self.basic is None and value(self.now, ELAPSED) is not None
        return basic or (self.extended is None and self.now["poll"]["extended_read_monotonic"] is not None)

    def after(self, document: Document) -> Frame:
        """The frame that follows with ``document``. A sample that the host repeats is no new one."""
        if any(document["session"][key] != self.now["session"][key] for key in ("id", "changes")):
            return Frame.first(document)
        moved = value(document, ELAPSED) != value(self.now, ELAPSED)
        rounds = document["poll"]["extended_read_monotonic"] != self.now["poll"]["extended_read_monotonic"]
        return replace(
            self,
            now=document,
            basic=self.now if moved else self.basic,
            extended=self.now if rounds else self.extended,
        )

    def value(self, name: str, **labels: str) -> float | None:
        """Of one metric now; +Inf for *unlimited*."""
        return value(self.now, name, **labels)

    def rate(self, name: str, **labels: str) -> float | None:
        """Growth of a basic counter, in seconds of the host's clock."""
        return _rate(name, self.basic, self.now, _growth(self.basic, self.now, ELAPSED, {}), labels)

    def extended_rate(self, name: str, **labels: str) -> float | None:
        """The same of an extended statistic, between the two times at which it was read."""
        # By the monotonic clock: the wall clock may have been set between the two.
        then, now = (_read(each, name, labels) for each in (self.extended, self.now))
        seconds = now - then if then is not None and now is not None else None
        return _rate(name, self.extended, self.now, seconds, labels)

    def devices(self, label: str, prefix: str) -> list[str]:
        """Values of ``label`` among the metrics whose names begin so, in order."""
        found = {
            point["labels"][label]
            for each in self.now["metrics"]
            if each["name"].startswith(prefix)
            for point in each["points"]
            if label in point["labels"]
        }
        return sorted(found)


def points(document: Document, name: str) -> Points:
    return {
        tuple(sorted(each["labels"].items())): float("inf") if each["value"] == "unlimited" else each["value"]
        for each in metric(document, name)
        if each["value"] is not None
    }


def value(document: Document, name: str, **labels: str) -> float | None:
    return points(document, name).get(tuple(sorted(labels.items())))


def _read(document: Document | None, name: str, labels: dict[str, str]) -> float | None:
    """When an extended statistic was read, by the monotonic clock."""
    found: float | None = _of_point(document, "read_monotonic", name, labels)
    return found


def _of_point(document: Document | None, key: str, name: str, labels: dict[str, str]) -> Any:
    found = metric(document, name) if document is not None else ()
    return next((each.get(key) for each in found if each["labels"] == labels), None)


def number(document: Document, name: str) -> float | None:
    """One of the verdict's numbers."""
    found: Any = document["numbers"].get(name)
    return float("inf") if found == "unlimited" else None if found is None else float(found)


def _growth(before: Document | None, now: Document, name: str, labels: dict[str, str]) -> float | None:
    # A counter that has begun anew may be beyond its former value by now.
    if before is None or _of_point(before, "life", name, labels) != _of_point(now, "life", name, labels):
        return None
    then, here = value(before, name, **labels), value(now, name, **labels)
    return here - then if then is not None and here is not None and here >= then else None


def _rate(
    name: str, before: Document | None, now: Document, seconds: float | None, labels: dict[str, str]
) -> float | None:
    growth = _growth(before, now, name, labels)
    return growth / seconds if growth is not None and seconds is not None and seconds > 0 else None
