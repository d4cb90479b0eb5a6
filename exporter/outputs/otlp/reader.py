"""A batch: what one export carries, collected in one moment and never changed after.

Batches wait as families, not as protobuf or the SDK's data classes: a waiting one costs some 20 kB, and whether
its sums go out as differences is decided when it is sent, against what the receiver has by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from exporter.clock import OWN, Instant, Life
from exporter.metrics.families import Family, Point


class FamilySource(Protocol):
    """What the push needs of :class:`exporter.metrics.published.Published`."""

    begun: float
    """Monotonic clock at which this process began to count about itself."""

    def now(self) -> Instant:
        """A reading of both clocks."""

    def started(self, now: Instant) -> float | None:
        """Wall clock at which this process began, None where it is unknown."""

    def collect(self, now: Instant) -> list[Family]:
        """Everything that is known at this moment. Must not reach the host."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``now``: when it was collected, the time of what the exporter says about itself.

    ``began``: the life of that, with its start as of that moment.
    """

    now: Instant
    families: tuple[Family, ...]
    began: Life = OWN


class Reader:
    """Collects batches. What the one before has carried already is left out.

    Points carry the time at which the host was read: between two polls there is nothing new to say about the
    host, and the same point twice would be an error to some receivers.
    """

    def __init__(self, published: FamilySource) -> None:
        self._published = published
        self._carried: dict[str, set[float]] = {}
        """Family -> when what was collected last of it was read, by the monotonic clock: the wall clock may be set, and a reading has another time then."""

    def collect(self) -> Batch:
        now = self._published.now()
        families: list[Family] = []
        carried: dict[str, set[float]] = {}
        for family in self._published.collect(now):
            if not family.time:
                families.append(family)
                continue
            before, reads = (
                self._carried.get(family.name, set()),
                [_read(family, each) for each in family.points],
            )
            carried.setdefault(family.name, set()).update(reads)
            if before.isdisjoint(reads):
                families.append(family)
            elif points := tuple(
                point for point, read in zip(family.points, reads, strict=True) if read not in before
            ):
                # Not all of it is read at one time: one cause of lost time comes by rounds, the others by polls.
                families.append(replace(family, points=points))
        self._carried |= carried
        began = Life(OWN.number, self._published.started(now), self._published.begun)
        return Batch(now, tuple(families), began)


def _read(family: Family, point: Point) -> float:
    return point.read.monotonic if point.read is not None else family.monotonic
