"""A simulated host that is polled, pushed and scraped, and a scrape in a form that can be compared."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.clock import Instant, Start
from exporter.config.settings import Otlp
from exporter.metrics.collector import Options
from exporter.metrics.families import Family
from exporter.metrics.published import Published
from exporter.outputs.otlp.push import Push
from exporter.outputs.otlp.settings import PushSettings, resolve
from exporter.outputs.prometheus import Page
from exporter.outputs.web.application import Application
from exporter.outputs.web.server import WebServer
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import Guest

OPTIONS = Options(expose_identity=True, deprecated_metrics=True)
GUEST = Guest(4, 8 * 2**30)


def settings(endpoint: str, protocol: str, **more: Any) -> PushSettings:
    found = resolve(Otlp(endpoint=endpoint, protocol=protocol), {})
    assert found is not None
    return replace(found, **{"timeout": 5.0, "capacity": 1000, **more})


@dataclass
class Way:
    """A push, and the mark of its resource by which its exports are told apart."""

    name: str
    push: Push
    readings: list[tuple[float, list[Family]]]


class Kept(Published):
    """What a site publishes, and a list of what it published."""

    def __init__(self, site: Site, others: Sequence[Callable[[], list[Family]]] = ()) -> None:
        super().__init__(lambda: site.poller.state, OPTIONS, others, guest=lambda: GUEST)
        # All say the same of when they began.
        self.begun, self._start = site.began.begun, site.began
        self.readings: list[tuple[float, list[Family]]] = []

    def collect(self, now: Instant | None = None) -> list[Family]:
        now = now or self.now()
        found = super().collect(now)
        self.readings.append((now.wall, found))
        return found


class Site:
    """A simulated host, polled, with any number of pushes and a web server on what was published."""

    def __init__(self, scenario: str = "steady", interval: float = 60.0, extended: float = 60.0) -> None:
        self.connector = in_process(scenario, seed=7)
        self.poller = Poller(
            WireSource(self.connector, 5.0, source="simulated"), interval, extended=ExtendedReader(extended)
        )
        self.parts = ExitStack()
        now = Instant(time.time(), time.monotonic())
        self.began = Start(now.monotonic).at(now)

    def __enter__(self) -> Self:
        self.parts.callback(self.poller.stop)
        return self

    def __exit__(self, *_: object) -> None:
        self.parts.close()

    def poll(self) -> None:
        """Once, and a whole round of extended statistics."""
        self.poller.poll()
        self.poller.poll_extended(time.monotonic() + 5)

    def push(self, name: str, settings: PushSettings, delay: float = 0.0) -> Way:
        published = Kept(self)
        attributes = {"service.name": "vmguest-exporter", "service.instance.id": name, "way": name}
        push = Push(settings, published, delay=delay, attributes=attributes)
        published.add(push.families)
        return Way(name, push, published.readings)

    @contextmanager
    def pushing(self, *ways: Way) -> Iterator[None]:
        for way in ways:
            way.push.start()
        try:
            yield
        finally:
            for way in ways:
                way.push.stop(20)

    def web(self, others: Sequence[Callable[[], list[Family]]] = ()) -> str:
        page = Page(Kept(self, others))
        server = WebServer(Application(page, lambda: True), [("127.0.0.1", 0)])
        server.start()
        self.parts.callback(server.close)
        return f"{server.urls[0].rstrip('/')}/metrics"


def scrape(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


UNKNOWN_START = "vmguest_host_cpu_used_seconds"
"""Nobody tells when the host began to count: the page has no created time, OTLP the first point's."""
LAST_SUCCESS = "vmguest_otlp_last_success_timestamp_seconds"
"""Not yet there at the first export, which is the one that is compared."""


Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name of a sample, and its labels in order."""


@dataclass
class Seen:
    """One way's view of everything, in Prometheus's words."""

    values: dict[Series, float]
    types: dict[str, str]
    units: dict[str, str]
    helps: dict[str, str]


def from_page(text: str, only: str = "") -> Seen:
    """``only``: of the Collector's page, which has what came by every way, the series of this instance."""
    seen = Seen({}, {}, {}, {})
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        if not family.name.startswith("vmguest_") or family.name == LAST_SUCCESS:
            continue
        seen.types[family.name] = family.type
        seen.units[family.name] = family.unit
        seen.helps[family.name] = family.documentation
        for sample in family.samples:
            labels = dict(sample.labels)
            if only and labels.get("instance") != only:
                continue
            for added in (
                "instance",
                "job",
                "otel_scope_name",
                "otel_scope_version",
                "otel_scope_schema_url",
            ):
                labels.pop(added, None)
            seen.values[sample.name, tuple(sorted(labels.items()))] = sample.value
    return seen
