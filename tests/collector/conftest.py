"""A real OpenTelemetry Collector, as ``make collector`` builds it."""

from __future__ import annotations

import random
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.collector.debug_output import Export, read

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".cache" / "collector" / "collector"

CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  debug: {{verbosity: detailed, use_internal_logger: false}}
  prometheus: {{endpoint: "127.0.0.1:{prometheus}", enable_open_metrics: true}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [debug, prometheus]}}
"""


class Collector:
    """Runs the program; what it prints is kept over restarts. It listens on the same ports again."""

    def __init__(self, program: str, folder: Path, config: str = CONFIG) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.grpc, self.http, self.prometheus = _free_ports(3)
        (folder / "collector.yaml").write_text(
            config.format(grpc=self.grpc, http=self.http, prometheus=self.prometheus)
        )

    def start(self) -> None:
        log = self._folder / "log"
        with log.open("wb") as errors, (self._folder / "printed").open("ab") as printed:
            self._process = subprocess.Popen(
                [self._program, "--config", self._folder / "collector.yaml"], stdout=printed, stderr=errors
            )
        for _ in range(2000):
            text = log.read_text()
            if "Everything is ready" in text:
                return
            assert self._process.poll() is None, text
            time.sleep(0.01)
        raise AssertionError(log.read_text())

    def kill(self) -> None:
        """In the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def printed(self) -> str:
        path = self._folder / "printed"
        return path.read_text() if path.exists() else ""

    def exports(self) -> list[Export]:
        return read(self.printed)

    def wait_for(self, done: Callable[[list[Export]], bool], seconds: float = 60) -> list[Export]:
        deadline = time.monotonic() + seconds
        while not done(exports := self.exports()):
            assert time.monotonic() < deadline, f"{len(exports)} exports came"
            time.sleep(0.05)
        return exports

    def page(self) -> str:
        """What its Prometheus exporter makes of it all, as OpenMetrics."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.prometheus}/metrics", headers={"Accept": "application/openmetrics-text"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text: str = answer.read().decode()
            return text


def _free_ports(count: int) -> list[int]:
    """Below those that the system gives to outgoing connections: one of them could take a port while we restart."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(15000, 32000)
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            found.append(port)
    return found


@pytest.fixture(scope="session")
def collector_program(require: Callable[[str, str | None, str], str]) -> str:
    found = str(PROGRAM) if PROGRAM.exists() else None
    return require("the OpenTelemetry Collector", found, "make collector (needs Go)")


@pytest.fixture
def collector(collector_program: str, tmp_path: Path) -> Iterator[Collector]:
    """Running."""
    running = Collector(collector_program, tmp_path)
    running.start()
    yield running
    running.kill()
