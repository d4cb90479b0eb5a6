"""The push against a real OpenTelemetry Collector: what arrives, what an outage costs, what a session change does."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exporter.config.settings import Otlp
from exporter.outputs.otlp.settings import PushSettings, resolve
from tests.collector.conftest import Collector
from tests.collector.debug_output import Export, Point
from tests.collector.site import LAST_SUCCESS, UNKNOWN_START, Seen, Site, Way, from_page, scrape, settings

pytestmark = pytest.mark.real


def mine(way: Way, exports: list[Export]) -> list[Export]:
    return [each for each in exports if each.resource["way"] == way.name]


def both(collector: Collector, **more: Any) -> dict[str, PushSettings]:
    return {
        "grpc": settings(f"localhost:{collector.grpc}", "grpc", **more),
        "http": settings(f"http://localhost:{collector.http}", "http/protobuf", **more),
    }


UNITS = {"By": "bytes", "s": "seconds", "Hz": "hertz", "By/s": "bytes_per_second"}


def translated(name: str, unit: str) -> str:
    """A metric's Prometheus family by OpenTelemetry's ``compatibility/prometheus_and_openmetrics.md``."""
    family, suffix = name.replace(".", "_"), UNITS.get(unit, "")
    return f"{family}_{suffix}" if suffix and not family.endswith(suffix) else family


def from_exports(export: Export) -> Seen:
    """The Collector's own words about one export, with start times as ``_created``."""
    seen = Seen({}, {}, {}, {})
    for metric in export.metrics.values():
        family = translated(metric.name, metric.unit)
        info = metric.name.endswith(".info")
        family = family.removesuffix("_info") if info else family
        seen.types[family] = {
            "Sum": "counter",
            "Histogram": "histogram",
            "Gauge": "info" if info else "gauge",
        }[metric.type]
        seen.units[family] = UNITS.get(metric.unit, "")
        seen.helps[family] = metric.description
        if metric.type != "Gauge":
            assert metric.temporality == "Cumulative"
        for point in metric.points:
            if metric.type == "Sum":
                assert metric.monotonic
                seen.values[f"{family}_total", point.key] = point.value
                if family != UNKNOWN_START:
                    seen.values[f"{family}_created", point.key] = point.start / 1e9
            elif metric.type == "Histogram":
                _histogram(seen, family, point)
            else:
                seen.values[family + ("_info" if info else ""), point.key] = point.value
    return seen


def _histogram(seen: Seen, family: str, point: Point) -> None:
    total = 0
    for bound, count in zip([*point.bounds, math.inf], point.buckets, strict=True):
        total += count
        le = "+Inf" if bound == math.inf else repr(bound)
        seen.values[f"{family}_bucket", (("le", le),)] = total
    seen.values[f"{family}_count", ()] = point.count
    seen.values[f"{family}_sum", ()] = point.sum


def same(found: Seen, expected: Seen) -> int:
    """Assert that every value, start, type, unit and help is the same; how many values that were.

    What a push counts about itself is different at each moment: of it, only that it is there.
    """
    assert {key for key in found.values if key[0] != LAST_SUCCESS} == set(expected.values)
    for key, value in expected.values.items():
        if not key[0].startswith("vmguest_otlp_"):
            # The debug exporter prints six decimals.
            assert found.values[key] == pytest.approx(value, rel=1e-12, abs=1e-6), key
    assert found.types == expected.types
    assert found.units == expected.units
    assert found.helps == expected.helps
    return len(expected.values)


def test_grpc_http_and_a_scrape_show_the_same(collector: Collector) -> None:
    """Every metric, with attributes, unit, type, help, value and start time, by three ways in one run."""
    with Site() as site:
        for _ in range(3):
            site.poll()
        ways = [site.push(name, each) for name, each in both(collector).items()]
        with site.pushing(*ways):
            exports = collector.wait_for(lambda found: len(found) >= 2)
            page = from_page(scrape(site.web([ways[0].push.families])))
            by_collector = collector.page()
        read_time = site.poller.state.read_time
        for way in ways:
            export = mine(way, exports)[0]
            assert same(from_exports(export), page) > 120
            same_by_the_collector(from_page(by_collector, only=way.name), page)
            check_times(export, way, read_time)
            assert export.scope.startswith("vmguest-exporter ")


def same_by_the_collector(back: Seen, page: Seen) -> None:
    """A third opinion, on names too: the standard translation back to Prometheus by the Collector itself."""
    for (name, labels), value in page.values.items():
        # It gives created times to counters of its own making only.
        if name.endswith("_created"):
            continue
        assert (name, labels) in back.values
        if not name.startswith("vmguest_otlp_"):
            assert back.values[name, labels] == pytest.approx(value, rel=1e-15), name
    # OpenTelemetry has no info metrics: they are gauges there.
    for name, kind in page.types.items():
        expected = (f"{name}_info", "gauge") if kind == "info" else (name, kind)
        assert (expected[0], back.types.get(expected[0])) == expected
        assert back.helps[expected[0]] == page.helps[name]


def check_times(export: Export, way: Way, read_time: float) -> None:
    """What the host said carries the time of its read; what the exporter says of itself, that of the export."""
    taken, families = way.readings[0]
    by_name = {family.metric.otlp: family for family in families}
    assert len(by_name) == len(families)
    times = set()
    for name, metric in export.metrics.items():
        family = by_name[name]
        read = {frozenset(each.labels): each.read.wall for each in family.points if each.read is not None}
        for point in metric.points:
            if family.time:
                wall = read.get(frozenset(point.attributes.items()), family.time)
                times.add(wall)
                assert point.time == round(wall * 1e9)
            else:
                assert 0 <= point.time / 1e9 - taken < 5
            assert point.start <= point.time
    assert read_time in times
    # Each group of extended statistics was read a little later, and says so.
    assert len(times) > 3


def test_a_collector_killed_in_the_middle_misses_nothing(collector: Collector) -> None:
    """Both protocols, exports every 100 ms, killed without warning and started again, twice."""
    with Site(interval=0.1) as site:
        site.poller.start()
        ways = [
            site.push(name, each, delay=0.05)
            for name, each in both(collector, interval=0.1, timeout=1.0).items()
        ]
        with site.pushing(*ways):
            for _ in range(2):
                before = len(collector.exports())
                collector.wait_for(lambda found, before=before: len(found) >= before + 20)  # type: ignore[misc]
                collector.kill()
                # Longer than several exports and than the SDK's first retries.
                time.sleep(2.5)
                collector.start()
            before = len(collector.exports())
            collector.wait_for(lambda found: len(found) >= before + 60)
        exports = collector.exports()
        for way in ways:
            arrived = [own_time(each) for each in mine(way, exports)]
            # One that was taken but not confirmed before the kill comes again: at least once, in order.
            once = [time for at, time in enumerate(arrived) if at == 0 or time != arrived[at - 1]]
            assert once == sorted(once)
            assert len(once) == len(way.readings)
            for time_, (taken, _) in zip(once, way.readings, strict=True):
                assert 0 <= time_ - taken < 1
            counts = {dict(point.labels)["outcome"]: point.value for point in way.push.families()[0].points}
            assert counts["dropped"] == counts["rejected"] == 0
            assert counts["failed"] > 0
            assert counts["success"] == len(way.readings)


def own_time(export: Export) -> float:
    """When the export's reading was taken."""
    return export.metrics["vmguest.polls"].points[0].time / 1e9


def test_a_session_change_under_load_moves_the_start_and_no_difference_is_negative(
    collector: Collector,
) -> None:
    """Polls and exports every 100 ms, scrapes without pause, one push cumulative and one with differences."""
    with Site(interval=0.1, extended=0.3) as site:
        url = site.web()
        site.poller.start()
        targets = both(collector, interval=0.1)
        delta = resolve(Otlp(temporality="delta", endpoint=f"http://localhost:{collector.http}"), {})
        assert delta is not None
        ways = [
            site.push("grpc", targets["grpc"], delay=0.05),
            site.push("delta", replace(delta, interval=0.1), delay=0.05),
        ]
        done = threading.Event()
        scrapes: list[int] = []

        def load() -> None:
            count = 0
            while not done.is_set():
                scrape(url)
                count += 1
            scrapes.append(count)

        scrapers = [threading.Thread(target=load) for _ in range(4)]
        for each in scrapers:
            each.start()
        try:
            with site.pushing(*ways):
                for _ in range(3):
                    before = len(collector.exports())
                    collector.wait_for(lambda found, before=before: len(found) >= before + 20)  # type: ignore[misc]
                    with site.connector.server.hold() as host:
                        host.session_change()
                before = len(collector.exports())
                collector.wait_for(lambda found: len(found) >= before + 20)
        finally:
            done.set()
            for each in scrapers:
                each.join()
        assert site.poller.state.session_changes == 3
        exports = collector.exports()
    assert min(scrapes) > 10
    cumulative, differences = (mine(way, exports) for way in ways)
    for name in ("vmguest.elapsed", "vmguest.cpu.used", "vmguest.host.cpu.used", "vmguest.network.receive"):
        check_sessions(name, cumulative, differences)
        check_sum(name, differences, ways[1])
    assert all(
        point.value >= 0
        for export in differences
        for metric in export.metrics.values()
        if metric.type == "Sum"
        for point in metric.points
    )
    assert all(m.temporality == "Delta" for e in differences for m in e.metrics.values() if m.type == "Sum")


def check_sessions(name: str, cumulative: list[Export], differences: list[Export]) -> None:
    series: dict[Any, list[Point]] = {}
    for export in cumulative:
        for point in export.metrics[name].points if name in export.metrics else ():
            series.setdefault(point.key, []).append(point)
    assert series, name
    of_host = name.startswith("vmguest.host.")
    assert len({dict(labels).get("session_id") for labels in series}) == (4 if of_host else 1)
    for points in series.values():
        starts = sorted({point.start for point in points})
        assert len(starts) == (1 if of_host else 4), (name, starts)
        for before, after in pairwise(points):
            assert before.time < after.time
            if before.start == after.start:
                assert before.value <= after.value
            else:
                # The session began between the two reads.
                assert before.time - 10**8 <= after.start <= after.time
                assert after.value <= before.value or name != "vmguest.elapsed"
    spans = [
        point for export in differences if name in export.metrics for point in export.metrics[name].points
    ]
    assert spans
    assert all(point.start < point.time for point in spans)


def check_sum(name: str, differences: list[Export], way: Way) -> None:
    """The differences add up to what the counter has grown by, session after session: nothing lost or doubled."""
    grown = 0.0
    last: dict[Any, tuple[float | None, float]] = {}
    for _, families in way.readings:
        for point in next((each.points for each in families if each.metric.otlp == name), ()):
            created, value = last.get(point.labels, (point.created, point.value))
            grown += point.value - (value if created == point.created else 0.0)
            last[point.labels] = (point.created, point.value)
    arrived = [
        point.value for each in differences if name in each.metrics for point in each.metrics[name].points
    ]
    assert sum(arrived) == pytest.approx(grown, abs=1e-6 * len(arrived))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_program_delivers_with_an_endpoint_as_its_only_setting(
    collector: Collector, protocol: str, tmp_path: Path
) -> None:
    port = collector.grpc if protocol == "grpc" else collector.http
    environ = {
        "PATH": os.environ["PATH"],
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }
    command = [
        sys.executable, "-m", "exporter", "--source=simulated", "--poll.interval=250ms", "--no-web",
        f"--otlp.endpoint=localhost:{port}",
    ]  # fmt: skip
    log = tmp_path / "log"
    with log.open("wb") as errors, subprocess.Popen(command, env=environ, stderr=errors) as program:

        def enough(found: list[Export]) -> bool:
            assert program.poll() is None, log.read_text()
            # The first round of extended statistics takes as long as the machine does.
            return len(found) >= 3 and any("vmguest.hypervisor.info" in each.metrics for each in found)

        try:
            collector.wait_for(enough)
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) == 0
        finally:
            program.kill()
            # Shown where the test fails.
            print(log.read_text())
    exports = collector.exports()
    assert exports[0].resource["service.name"] == "vmguest-exporter"
    assert exports[0].resource["deployment.environment.name"] == "test"
    assert exports[0].metrics["vmguest.up"].points[0].value == 1
    assert {"host.name", "host.arch", "os.type", "service.instance.id", "service.version"} <= set(
        exports[0].resource
    )
    # What the host says of itself is not the identity of every series.
    assert all(each.resource == exports[0].resource for each in exports)
    assert not [name for name in exports[-1].resource if name.startswith("vmguest.")]
    assert "vmguest.cpu.stolen" in exports[0].metrics
