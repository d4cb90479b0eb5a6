"""Every board shows the same by push, through whatever store, as by scrape."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import Collector
from tests.receivers.conftest import ROOT, Receiver, Start, wait_for

pytestmark = pytest.mark.real

BOARDS: list[dict[str, Any]] = [
    json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("*.json"))
]
(ONE_VM,) = (board for board in BOARDS if board["uid"] == "vmguest-one-vm")
NAMES = "UnderscoreEscapingWithSuffixes"
NOT_PUSHED = {
    ("vmguest-exporter: CPU of the exporter", "{{vm}}"),
    ("vmguest-exporter: Memory of the exporter", "{{vm}}"),
}
"""What is on the page alone; the panels say so."""
PAGE = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  prometheus:
    endpoint: "127.0.0.1:{prometheus}"
    resource_to_telemetry_conversion: {{enabled: true}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [prometheus]}}
"""


@contextmanager
def exporter(folder: Path, endpoint: str) -> Iterator[str]:
    """The whole program on a host whose CPU limit binds, pushing to ``endpoint``. Gives its web server's address."""
    log = folder / "exporter.log"
    command = [
        sys.executable, "-m", "exporter", "--source=simulated", "--simulated.scenario=cpu-limit",
        "--poll.interval=500ms", "--extended.interval=1s", "--web.listen-address=127.0.0.1:0",
        f"--otlp.endpoint={endpoint}", "--otlp.protocol=http/protobuf", "--otlp.interval=1s",
    ]  # fmt: skip
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("VMGUEST_", "OTEL_"))}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, cwd=ROOT, env=environ)
    try:
        pattern = r"http://(127\.0\.0\.1:\d+)/metrics"
        found = wait_for(lambda: re.search(pattern, log.read_text()), bool)
        assert found
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(params=["prometheus3", "victoriametrics", "collector"])
def pushed(
    request: pytest.FixtureRequest, start_prometheus: Start, tmp_path: Path
) -> Iterator[tuple[Receiver, Receiver]]:
    """Where a push is read, and where the scrape of the same exporter is."""
    with ExitStack() as parts:
        if request.param == "collector":
            collector = Collector(request.getfixturevalue("collector_program"), tmp_path, PAGE)
            collector.start()
            parts.callback(collector.kill)
            endpoint = f"http://127.0.0.1:{collector.http}"
            receiver = start_prometheus(NAMES, f"127.0.0.1:{collector.prometheus}", labelled=True)
        else:
            receiver = request.getfixturevalue(request.param)
            endpoint = receiver.endpoint
        address = parts.enter_context(exporter(tmp_path, endpoint))
        yield receiver, start_prometheus(NAMES, address)


def with_data(receiver: Receiver, job: str, instance: str) -> set[tuple[str, str]]:
    """Panel and legend of the queries that have a result."""
    values = {
        "$__rate_interval": "8s",
        "$__range": "1m",
        "$cluster": ".*",
        "$job": job,
        "$instance": instance,
    }
    found = set()
    for board in BOARDS:
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                expr: str = target["expr"]
                for name, text in values.items():
                    expr = expr.replace(name, text)
                if receiver.query(expr):
                    found.add((f"{board['uid']}: {panel['title']}", target["legendFormat"]))
    return found


def variable(receiver: Receiver, job: str) -> dict[str, str]:
    """What the board's own variable offers: the name that is shown, and the instance."""
    (given,) = (each for each in ONE_VM["templating"]["list"] if each["name"] == "instance")
    query = re.fullmatch(r"query_result\((.*)\)", given["query"])
    assert query
    asked = query[1].replace("$job", job).replace("$__range", "1m")
    # Series of one push need not be found all at once.
    (labels,) = (each["metric"] for each in wait_for(lambda: receiver.query(asked), bool))
    pattern: Callable[[str], re.Match[str] | None] = re.compile(
        given["regex"].strip("/").replace("(?<", "(?P<")
    ).search
    line = "vmguest_up{" + ",".join(f'{name}="{text}"' for name, text in sorted(labels.items())) + "}"
    matched = pattern(line)
    assert matched, line
    return matched.groupdict()


def test_every_query_that_has_data_by_scrape_has_it_by_push(pushed: tuple[Receiver, Receiver]) -> None:
    receiver, scraped = pushed
    wait_for(lambda: receiver.query('vmguest_up{job="vmguest-exporter"}'), bool)
    wait_for(lambda: scraped.query('vmguest_up{job="guest"}'), bool)
    shown = variable(receiver, "vmguest-exporter")
    assert shown["text"] == platform.node()
    here = variable(scraped, "guest")["value"]

    def missing() -> set[tuple[str, str]]:
        expected = with_data(scraped, "guest", here)
        if len(expected) < 100 or not expected >= NOT_PUSHED:
            return {("the scrape itself", str(len(expected)))}
        return expected - NOT_PUSHED - with_data(receiver, "vmguest-exporter", shown["value"])

    wait_for(missing, lambda found: not found, 60)
