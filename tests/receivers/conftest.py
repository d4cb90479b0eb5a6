"""Prometheus 3 and VictoriaMetrics as receivers of the push, as ``make receivers`` builds them."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.collector.conftest import Collector, collector_program

__all__ = ["collector_program"]

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".cache" / "receivers"
RELABEL = ROOT / "deploy" / "victoriametrics" / "relabel.yml"

T = TypeVar("T")

FORWARD = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  otlphttp: {{metrics_endpoint: "URL", compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlphttp]}}
"""


def free_port() -> int:
    """Below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port


@dataclass
class Receiver:
    """A running store. ``endpoint``: the base URL of its OTLP receiver. ``instance``: what tells pushes apart."""

    url: str
    endpoint: str
    instance: str

    def get(self, path: str, **arguments: Any) -> Any:
        address = f"{self.url}{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found


def wait_for(look: Callable[[], T], done: Callable[[T], bool], seconds: float = 30) -> T:
    deadline = time.monotonic() + seconds
    while not done(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def run(command: list[str], receiver: Receiver, log: Path) -> Iterator[Receiver]:
    with log.open("wb") as errors, subprocess.Popen(command, stdout=errors, stderr=errors) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                with suppress(OSError), urllib.request.urlopen(f"{receiver.url}/-/ready", timeout=5):
                    break
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield receiver
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def require_receiver(require: Callable[[str, str | None, str], str]) -> Callable[[str, str], str]:
    def check(name: str, program: str) -> str:
        path = PROGRAMS / program
        return require(name, str(path) if path.exists() else None, "make receivers (needs Go)")

    return check


Start = Callable[..., Receiver]


@pytest.fixture(scope="session")
def start_prometheus(
    require_receiver: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """``start(strategy, *targets)``: with an OTLP receiver, and scraping ``targets`` twice a second.

    ``labelled``: what is scraped has its own job and instance, as a Collector's page has.
    """
    running: list[Iterator[Receiver]] = []

    def start(
        strategy: str,
        *targets: str,
        features: str = "otlp-deltatocumulative",
        labelled: bool = False,
    ) -> Receiver:
        program = require_receiver("Prometheus 3", "prometheus3")
        folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
        config = {
            "global": {"scrape_interval": "500ms"},
            "otlp": {"translation_strategy": strategy, "promote_resource_attributes": ["host.name"]},
            "scrape_configs": [
                {"job_name": "guest", "honor_labels": labelled, "static_configs": [{"targets": targets}]}
            ]
            * bool(targets),
        }
        # JSON is YAML too.
        (folder / "prometheus.yml").write_text(json.dumps(config))
        command = [
            program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-otlp-receiver", f"--enable-feature={features}",
        ]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        life = run(command, Receiver(url, f"{url}/api/v1/otlp", "instance"), folder / "log")
        running.append(life)
        return next(life)

    yield start
    for life in running:
        next(life, None)


@pytest.fixture(scope="session")
def prometheus3(start_prometheus: Start) -> Receiver:
    return start_prometheus("UnderscoreEscapingWithSuffixes")


@pytest.fixture(scope="session")
def victoriametrics(
    require_receiver: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receiver]:
    program = require_receiver("VictoriaMetrics", "victoria-metrics")
    folder, port = tmp_path_factory.mktemp("victoriametrics"), free_port()
    command = [
        program, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}",
        "-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s", "-memory.allowedBytes=256MB",
        f"-relabelConfig={RELABEL}",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    yield from run(command, Receiver(url, f"{url}/opentelemetry", "service_instance_id"), folder / "log")


@pytest.fixture
def forwarding(collector_program: str, tmp_path: Path) -> Iterator[Callable[[Receiver], Collector]]:
    """A Collector that hands on to a receiver: neither store takes gRPC itself."""
    made: list[Collector] = []

    def start(receiver: Receiver) -> Collector:
        config = FORWARD.replace("URL", f"{receiver.endpoint}/v1/metrics")
        made.append(Collector(collector_program, tmp_path, config))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.kill()
