"""The two text formats of Prometheus, and the page that is written in them; prometheus_client writes both.

Sources: Prometheus docs ``instrumenting/exposition_formats`` (text 0.0.4) and ``specs/om/open_metrics_spec``
(OpenMetrics 1.0.0). :class:`VMGuestCollector` can be registered in any registry of prometheus_client.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from exporter import catalogue
from exporter.catalogue import Kind
from exporter.metrics.families import Family
from exporter.metrics.published import Published
from exporter.snapshot import Histogram, PollState

MAX_AGE = 1.0
"""Seconds after which what does not come with a poll (process, OTLP, HA) is asked for again."""
GZIP_LEVEL = 4
"""A page of 30 kB becomes one of 6.3 kB in 0.3 ms; 6, the usual one, takes 0.5 ms for 3 % less."""


def as_metric(family: Family) -> Metric:
    """``family`` as one of prometheus_client's. State sets are gauges with a label of their own name here."""
    name, text, unit = family.name, family.metric.help, family.metric.unit.prometheus
    if family.metric.kind is Kind.HISTOGRAM:
        labels = [label for label, _ in family.histograms[0][0]] if family.histograms else []
        metric = HistogramMetricFamily(name, text, labels=labels, unit=unit)
        for words, histogram in family.histograms:
            metric.add_metric([value for _, value in words], _buckets(histogram), histogram.sum)
        return metric
    if family.metric.kind is Kind.INFO:
        info = InfoMetricFamily(name, text)
        for point in family.points:
            info.add_metric((), dict(point.labels))
        return info
    labels = [label for label, _ in family.points[0].labels] if family.points else []
    if family.metric.kind is Kind.COUNTER:
        counter = CounterMetricFamily(name, text, labels=labels, unit=unit)
        for point in family.points:
            created = point.created if family.metric.created else None
            counter.add_metric([value for _, value in point.labels], point.value, created=created)
        return counter
    gauge = GaugeMetricFamily(name, text, labels=labels, unit=unit)
    for point in family.points:
        gauge.add_metric([value for _, value in point.labels], point.value)
    return gauge


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = zip(map(str, histogram.bounds), histogram.counts, strict=True)
    return [*bounds, ("+Inf", histogram.count)]


class VMGuestCollector(Collector):
    """The families that ``families`` gives at the moment, for any registry of prometheus_client.

    Usually those of :meth:`exporter.metrics.published.Published.collect`. The host is never reached from here.
    """

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def describe(self) -> Iterator[Metric]:
        """Every metric that the catalogue names: a registry then finds names that are taken already.

        Names that follow from the host's own (``vmguest_disk_…``) are not among them, and a restricted registry
        (``name[]``) does not find those.
        """
        return (as_metric(Family(metric, ())) for metric in dict.fromkeys(catalogue.METRICS))

    def collect(self) -> Iterator[Metric]:
        return map(as_metric, self._families())


@dataclass(frozen=True)
class Format:
    """One of the two formats: who writes it, and what ends a page."""

    content_type: str
    write: Callable[[Collector], bytes]
    end: bytes = b""

    def page(self, *collectors: Collector) -> bytes:
        """What all ``collectors`` give, on one page."""
        return self.join(map(self.write, collectors))

    def join(self, pages: Iterable[bytes]) -> bytes:
        return b"".join(page.removesuffix(self.end) for page in pages) + self.end


TEXT = Format(CONTENT_TYPE_PLAIN_0_0_4, generate_latest)
# No name here needs an escape, so this gives the page of the default one, which looks at each character of each name
# and takes twice as long.
OPENMETRICS = Format(
    openmetrics.CONTENT_TYPE_LATEST,
    partial(openmetrics.generate_latest, escaping=openmetrics.ALLOWUTF8),
    b"# EOF\n",
)


class _Part(Collector):
    """What a registry gave at one time, written in each format when it is first asked for."""

    def __init__(self, registry: Collector) -> None:
        self._metrics = tuple(registry.collect())
        self._written: dict[str, bytes] = {}

    def collect(self) -> Iterable[Metric]:
        return self._metrics

    def written(self, form: Format) -> bytes:
        if form.content_type not in self._written:
            self._written[form.content_type] = form.write(self)
        return self._written[form.content_type]


@dataclass(frozen=True)
class _Rendering:
    state: PollState
    shown: tuple[bool, bool]
    polled: _Part
    others: _Part
    at: float
    bodies: dict[tuple[str, bool], bytes] = field(default_factory=dict)


class Page:
    """The page, written once per published state and not once per scrape.

    A new state, or one whose snapshot has gone stale since (a poll that hangs publishes nothing), is written
    anew; a reader never gets values that :meth:`PollState.fresh` forbids. What does not come with a poll
    (``standard`` gives the process's own) is at most :data:`MAX_AGE` old. Compressed on first demand. Any thread may call.
    """

    def __init__(self, published: Published, standard: Collector | None = None) -> None:
        self._published = published
        self._polled, self._others = CollectorRegistry(), CollectorRegistry()
        self._polled.register(VMGuestCollector(published.polled))
        self._others.register(VMGuestCollector(published.others))
        if standard is not None:
            self._others.register(standard)
        self._rendering: _Rendering | None = None
        self._lock = threading.Lock()

    def body(self, form: Format, *, compressed: bool) -> bytes:
        state, now = self._published.state, self._published.monotonic()
        shown = (state.fresh(now), state.fresh_extended(now) is not None)
        last = self._rendering
        if last is not None and self._current(last, state, shown, now):
            found = last.bodies.get((form.content_type, compressed))
            if found is not None:
                return found
        with self._lock:
            rendering = self._renew(state, shown, now)
            plain = form.join(part.written(form) for part in (rendering.polled, rendering.others))
            body = gzip.compress(plain, GZIP_LEVEL, mtime=0) if compressed else plain
            rendering.bodies[form.content_type, compressed] = body
        return body

    @staticmethod
    def _current(last: _Rendering, state: PollState, shown: tuple[bool, bool], now: float) -> bool:
        return last.state is state and last.shown == shown and now - last.at <= MAX_AGE

    def _renew(self, state: PollState, shown: tuple[bool, bool], now: float) -> _Rendering:
        """The rendering for this moment; what still holds of the last one is kept.

        It may show a state that was published after ``state``: then the next call writes it again.
        """
        last = self._rendering
        if last is not None and self._current(last, state, shown, now):
            return last
        if last is not None and last.state is state and last.shown == shown:
            polled = last.polled
        else:
            polled = _Part(self._polled)
        self._rendering = _Rendering(state, shown, polled, _Part(self._others), now)
        return self._rendering
