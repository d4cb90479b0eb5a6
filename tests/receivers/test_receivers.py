"""What Prometheus 3 and VictoriaMetrics make of a push is what a scrape of the same moment shows."""

from __future__ import annotations

import math
import subprocess
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from exporter.outputs.otlp.settings import Temporality
from tests.collector.conftest import Collector
from tests.collector.site import Site, Way, from_page, scrape, settings
from tests.receivers.conftest import Receiver, Start, wait_for

pytestmark = pytest.mark.real

ADDED = {
    "__name__",
    "instance",
    "job",
    "way",
    "scope_name",
    "scope_version",
    "service_instance_id",
    "service_name",
    "telemetry_sdk_language",
    "telemetry_sdk_name",
    "telemetry_sdk_version",
}
"""Labels that come from the resource and the scope, or from the store."""

Series = tuple[str, tuple[tuple[str, str], ...]]


def series(name: str, labels: dict[str, str]) -> Series:
    # To Prometheus an empty label is none.
    kept = {key: text for key, text in labels.items() if text and key not in ADDED}
    if "le" in kept:
        # 1 and 1.0 are one bound.
        kept["le"] = str(float(kept["le"]))
    return name, tuple(sorted(kept.items()))


def shown(url: str) -> dict[Series, float]:
    """The page, without created times and without what the push counts about itself, which moves on."""
    return {
        series(name, dict(labels)): value
        for (name, labels), value in from_page(scrape(url)).values.items()
        if not name.endswith("_created") and not name.startswith("vmguest_otlp_")
    }


def stored(receiver: Receiver, instance: str, expression: str = "{}") -> dict[Series, float]:
    selector = f'{{__name__=~"vmguest.*",__name__!~"vmguest.otlp.*",{receiver.instance}="{instance}"}}'
    # Functions over time take the name away.
    found = receiver.query(expression.replace("{}", selector))
    return {series(each["metric"]["__name__"], each["metric"]): float(each["value"][1]) for each in found}


def pushed_twice(site: Site, way: Way, stored: Callable[[], Any]) -> None:
    """An export at the start and one at the end, with polls between; the first is ``stored`` before the second."""
    with site.pushing(way):
        wait_for(stored, bool)
        for _ in range(3):
            site.poll()
    counts = {dict(point.labels)["outcome"]: point.value for point in way.push.families()[0].points}
    assert counts["success"] == 2, counts
    assert sum(counts.values()) == 2, counts


@pytest.fixture(params=["prometheus3", "victoriametrics"])
def receiver(request: pytest.FixtureRequest) -> Receiver:
    found: Receiver = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("temporality", [Temporality.CUMULATIVE, Temporality.DELTA])
def test_a_push_reads_back_as_the_scrape(
    receiver: Receiver,
    protocol: str,
    temporality: Temporality,
    forwarding: Callable[[Receiver], Collector],
    request: pytest.FixtureRequest,
) -> None:
    endpoint = f"127.0.0.1:{forwarding(receiver).grpc}" if protocol == "grpc" else receiver.endpoint
    name = request.node.name
    with Site(extended=0.001) as site:
        site.poll()
        url = site.web()
        before = shown(url)
        way = site.push(name, settings(endpoint, protocol, temporality=temporality, **PLAIN[protocol]))
        pushed_twice(site, way, lambda: stored(receiver, name))
        after = shown(url)
    assert len(after) > 100
    expected = after
    if temporality is Temporality.DELTA:
        expected = {key: value - mark(key, before) for key, value in after.items()}
    read = sums if temporality is Temporality.DELTA and receiver.instance == "service_instance_id" else stored

    def different() -> dict[Series, Any]:
        found = read(receiver, name)
        return {
            key: (found.get(key), expected.get(key))
            for key in found.keys() | expected.keys()
            if found.get(key) != pytest.approx(expected.get(key), rel=1e-9, abs=1e-6)
        }

    # A store may show the first export before the second.
    wait_for(different, lambda found: not found)


PLAIN: dict[str, dict[str, Any]] = {"http/protobuf": {}, "grpc": {"secure": False}}


def mark(key: Series, before: dict[Series, float]) -> float:
    """Of a counter that ran before the exporter did, the first export sets the mark; its own began with it."""
    name, _ = key
    own = ("vmguest_poll", "vmguest_session_changes", "vmguest_extended", "vmguest_library")
    return before[key] if name.endswith("_total") and not name.startswith(own) else 0.0


def sums(receiver: Receiver, instance: str) -> dict[Series, float]:
    """VictoriaMetrics keeps differences as they come."""
    latest = stored(receiver, instance)
    added = stored(receiver, instance, "sum_over_time({}[5m]) keep_metric_names")
    # A store may find a series in one answer and not in the other yet.
    return {key: added.get(key, math.nan) if is_sum(key[0]) else value for key, value in latest.items()}


def is_sum(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_count", "_sum"))


def test_a_strategy_that_keeps_dots_gives_the_names_of_the_page_too(start_prometheus: Start) -> None:
    """``NoUTF8EscapingWithSuffixes``: dots stay, and whoever asks for names without gets those of the page."""
    prometheus = start_prometheus("NoUTF8EscapingWithSuffixes")
    with Site() as site:
        site.poll()
        url = site.web()
        way = site.push("dots", settings(prometheus.endpoint, "http/protobuf"))
        pushed_twice(site, way, lambda: stored(prometheus, "dots"))
        expected = {name for name, _ in shown(url)}

    def names() -> set[str]:
        return {name for name, _ in stored(prometheus, "dots")}

    found = wait_for(names, lambda found: {name.replace(".", "_") for name in found} == expected)
    assert "vmguest.cpu.used_seconds_total" in found


def test_prometheus_without_its_feature_rejects_differences_and_nothing_waits_behind_them(
    start_prometheus: Start,
) -> None:
    prometheus = start_prometheus("UnderscoreEscapingWithSuffixes", features="extra-scrape-metrics")
    with Site() as site:
        site.poll()
        way = site.push(
            "delta", settings(prometheus.endpoint, "http/protobuf", temporality=Temporality.DELTA)
        )
        with site.pushing(way):
            site.poll()
        counts = {dict(point.labels)["outcome"]: point.value for point in way.push.families()[0].points}
    assert (counts["rejected"], counts["failed"], counts["dropped"]) == (2, 0, 0)


def test_created_times_are_ingested_and_increase_is_right_over_session_changes(
    start_prometheus: Start,
) -> None:
    """By scrape and by push. A zero at each session's start is what makes ``increase()`` see its whole growth."""
    with Site(interval=0.25, extended=1.0) as site:
        url = site.web()
        site.poller.start()
        prometheus = start_prometheus(
            "UnderscoreEscapingWithSuffixes",
            url.removeprefix("http://").removesuffix("/metrics"),
            features="created-timestamp-zero-ingestion",
        )
        way = site.push("push", settings(prometheus.endpoint, "http/protobuf", interval=0.5))
        with site.pushing(way):
            for sessions in range(1, 4):

                def enough(found: list[tuple[float, float]], wanted: int = 8 * sessions) -> bool:
                    return len(found) >= wanted

                wait_for(lambda: samples(prometheus, "guest"), enough)
                wait_for(lambda: samples(prometheus, "vmguest-exporter"), enough)
                if sessions < 3:
                    with site.connector.server.hold() as host:
                        host.session_change()
        by_job = {job: samples(prometheus, job) for job in ("guest", "vmguest-exporter")}
        increases = {
            each["metric"]["job"]: float(each["value"][1])
            for each in prometheus.query("increase(vmguest_elapsed_seconds_total[1m])")
        }
    for job, found in by_job.items():
        zeros = [time for time, value in found if value == 0]
        assert len(zeros) >= 2, (job, found)
        grown = sum(b - a if b >= a else b for (_, a), (_, b) in pairwise(found))
        assert increases[job] == pytest.approx(grown, rel=0.25), (job, found)


def samples(prometheus: Receiver, job: str) -> list[tuple[float, float]]:
    found = prometheus.query(f'vmguest_elapsed_seconds_total{{job="{job}"}}[5m]')
    return [(float(time), float(value)) for each in found for time, value in each["values"]]


def test_the_linter_of_prometheus_3_has_nothing_to_say(require_receiver: Callable[[str, str], str]) -> None:
    with Site(extended=0.001) as site:
        site.poll()
        request = urllib.request.Request(site.web(), headers={"Accept": "text/plain"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            page = answer.read()
    done = subprocess.run(
        [require_receiver("promtool 3", "promtool3"), "check", "metrics"],
        input=page,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr + done.stdout) == (0, b"")
