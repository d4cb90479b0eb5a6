"""What an OTLP export costs: CPU time and memory, beside the SDK's own reader with observable instruments.

Two processes send the same metrics at the same pace to the same receiver, side by side in one run: this
program's push, and the SDK's PeriodicExportingMetricReader with its exporter as it comes and one observable
instrument per metric. Both take their values from one ``collect()`` per export, on a state that is new each time.
CPU time is the process's own, all its threads, over the exports that the receiver took after a warm-up. Memory
is read at the end. Prints ratios; judges nothing. With gRPC both carry grpcio, which is most of their memory, and
most of an export's cost. The receiver is the Collector of ``make collector``.

    python -m benchmarks.otlp [--exports 100] [--interval 0.2] [--protocol http/protobuf] [--protocol grpc]
"""

from __future__ import annotations

import argparse
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import ROOT
from benchmarks.programs import Memory
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.snapshot import PollState

COLLECTOR = ROOT / ".cache" / "collector" / "collector"
CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  debug: {{verbosity: basic}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [debug]}}
"""
WORKER = "import sys; from benchmarks.otlp_ways import work; work(*sys.argv[1:])"
"""A process of its own that imports nothing but what its way needs."""
WAYS = ("push", "sdk")
"""Names of functions of otlp_ways."""


def polled() -> PollState:
    """What a simulated host gives, extended statistics included."""
    poller = Poller(WireSource(in_process("cpu-limit", seed=1), 5.0), 60.0, extended=ExtendedReader(60.0))
    poller.poll()
    poller.poll_extended(time.monotonic() + 5)
    poller.stop()
    return poller.state


@contextmanager
def collector() -> Iterator[dict[str, int]]:
    """The Collector, and its ports by protocol."""
    if not COLLECTOR.exists():
        sys.exit("the OpenTelemetry Collector is missing: make collector")
    ports = dict(zip(("grpc", "http"), random.sample(range(15000, 32000), 2), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "collector.yaml", Path(folder) / "log"
        config.write_text(CONFIG.format(**ports))
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [COLLECTOR, "--config", config], stdout=subprocess.DEVNULL, stderr=errors
            )
        try:
            while "Everything is ready" not in log.read_text():
                if process.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.02)
            yield {"grpc": ports["grpc"], "http/protobuf": ports["http"]}
        finally:
            process.terminate()
            process.wait(10)


@dataclass
class Result:
    cpu_us: float
    memory: Memory


def measure(protocol: str, port: int, interval: float, exports: int) -> dict[str, Result]:
    """Both ways side by side."""
    processes = {
        way: subprocess.Popen(
            [sys.executable, "-c", WORKER, way, protocol, str(port), str(interval), str(exports)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for way in WAYS
    }  # fmt: skip
    state = pickle.dumps(polled())
    results = {}
    try:
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write(state)
            process.stdin.flush()
        for way, process in processes.items():
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{way}: no result")
            results[way] = Result(float(line) * 1e6, Memory.of(process.pid))
    finally:
        for process in processes.values():
            process.communicate()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--exports", type=int, default=100, help="exports measured (default 100)")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two (default 0.2)")
    parser.add_argument(
        "--protocol", action="append", choices=["http/protobuf", "grpc"], help="default: both"
    )
    given = parser.parse_args()
    protocols = given.protocol or ["http/protobuf", "grpc"]
    with collector() as ports:
        for protocol in protocols:
            results = measure(protocol, ports[protocol], given.interval, given.exports)
            ours, theirs = results["push"], results["sdk"]
            print(f"{protocol}: {given.exports} exports, {given.interval:g} s apart")
            print(f"  vmguest-exporter's push  {ours.cpu_us:6.0f} µs CPU per export   {ours.memory}")
            print(f"  SDK, periodic reader     {theirs.cpu_us:6.0f} µs CPU per export   {theirs.memory}")
            print(f"  ratio of CPU per export  {ours.cpu_us / theirs.cpu_us:6.2f}   (bar: at most 0.9)")
            print(
                f"  ratio of RSS             {ours.memory.rss / theirs.memory.rss:6.2f}   (bar: at most 1.25)"
            )
            print(f"  ratio of USS             {ours.memory.uss / theirs.memory.uss:6.2f}")


if __name__ == "__main__":
    main()
