"""What a scrape costs: CPU time per gzip scrape, memory and start-up, beside Debian's node_exporter.

node_exporter runs with the cpu, meminfo, stat and vmstat collectors only. Both answer the same number of gzip
scrapes one after another over a kept connection; CPU time is utime + stime of the process. Memory is RSS, PSS
and USS at rest (30 s after the start) and after the scrapes. Prints ratios from one run; judges nothing.
Needs ``apt-get install prometheus-node-exporter``.

    python -m benchmarks.scrape [--scrapes 1000] [--rest 30]
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import ROOT, simulated_host

TICK = os.sysconf("SC_CLK_TCK")
STARTS = 7


@dataclass
class Memory:
    """MiB."""

    rss: float
    pss: float
    uss: float

    @classmethod
    def of(cls, pid: int) -> Memory:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib = {key: int(value) for key, value in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
        return cls(kib["Rss"] / 1024, kib["Pss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024)

    def __str__(self) -> str:
        return f"RSS {self.rss:5.1f}  PSS {self.pss:5.1f}  USS {self.uss:5.1f} MiB"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served_command(port: int, guestrpc: str) -> list[str]:
    """The exporter as it runs in a VM: the host is in another process."""
    program = str(Path(sys.executable).with_name("vmguest-exporter"))
    return [
        program,
        f"--guestrpc.socket={guestrpc}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def peer_command(port: int) -> list[str]:
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        sys.exit("node_exporter is missing: apt-get install prometheus-node-exporter")
    collectors = [f"--collector.{name}" for name in ("cpu", "meminfo", "stat", "vmstat")]
    return [program, "--collector.disable-defaults", *collectors, f"--web.listen-address=127.0.0.1:{port}"]


def scrape(port: int) -> bytes | None:
    """One scrape on a new connection; None while nobody listens, or there are no statistics yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    return body if answer.status == http.HTTPStatus.OK else None


@contextmanager
def running(command: list[str], port: int) -> Iterator[tuple[int, float]]:
    """Start a server; yields its pid and the ms from start to the first complete scrape."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while (body := scrape(port)) is None or (b"vmguest_up" in body and b"vmguest_up 1" not in body):
            if process.poll() is not None or time.perf_counter() - begun > 10:
                sys.exit(f"{command[0]} did not answer on port {port}")
            time.sleep(0.001)
        yield process.pid, (time.perf_counter() - begun) * 1000
    finally:
        process.terminate()
        process.wait(10)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def scrapes(port: int, count: int) -> int:
    """``count`` gzip scrapes over one connection, 1 ms apart; the size of the last body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    size = 0
    for _ in range(count):
        connection.request(
            "GET", "/metrics", headers={"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4"}
        )
        answer = connection.getresponse()
        size = len(answer.read())
        assert answer.status == http.HTTPStatus.OK
        assert answer.headers["Content-Encoding"] == "gzip"
        time.sleep(0.001)
    connection.close()
    return size


@dataclass
class Result:
    name: str
    rest: Memory
    after: Memory
    cpu_us: float
    size: int


def measure(name: str, command: list[str], port: int, count: int, rest: float) -> Result:
    with running(command, port) as (pid, _):
        time.sleep(rest)
        at_rest = Memory.of(pid)
        costs, size = [], 0
        for _ in range(3):
            before = cpu_seconds(pid)
            size = scrapes(port, count)
            costs.append((cpu_seconds(pid) - before) / count * 1e6)
        return Result(name, at_rest, Memory.of(pid), statistics.median(costs), size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scrapes", type=int, default=1000, help="scrapes a turn (default 1000)")
    parser.add_argument(
        "--rest", type=float, default=30, help="seconds at rest before memory is read (default 30)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmg") as folder, simulated_host(Path(folder) / "host"):
        guestrpc = str(Path(folder) / "host")
        ports = free_port(), free_port()
        commands = {
            "vmguest-exporter": (served_command(ports[0], guestrpc), ports[0]),
            "node_exporter": (peer_command(ports[1]), ports[1]),
        }
        starts: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(STARTS):
            for name, (command, port) in commands.items():
                with running(command, port) as (_, start):
                    starts[name].append(start)
        results: dict[str, Result] = {}

        def run(name: str) -> None:
            command, port = commands[name]
            results[name] = measure(name, command, port, arguments.scrapes, arguments.rest)

        # At rest side by side, so that both see the same page cache; the scrapes overlap on two cores, and CPU
        # time does not count the waiting.
        threads = [threading.Thread(target=run, args=(name,)) for name in commands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, result in results.items():
        print(f"{name}:")
        print(f"  start to first scrape  {statistics.median(starts[name]):6.0f} ms (median of {STARTS})")
        print(f"  at rest, {arguments.rest:.0f} s         {result.rest}")
        print(f"  after {3 * arguments.scrapes} scrapes     {result.after}")
        print(f"  CPU per gzip scrape    {result.cpu_us:6.0f} µs ({result.size} bytes)")
    ours, theirs = results["vmguest-exporter"], results["node_exporter"]
    print("ratios, vmguest-exporter / node_exporter:")
    print(f"  CPU per scrape     {ours.cpu_us / theirs.cpu_us:5.2f}   (bar: at most 0.2)")
    print(f"  RSS at rest        {ours.rest.rss / theirs.rest.rss:5.2f}   (bar: at most 1.2)")
    print(f"  RSS after scrapes  {ours.after.rss / theirs.after.rss:5.2f}   (bar: at most 1.2)")
    print(
        f"  USS at rest        {ours.rest.uss / theirs.rest.uss:5.2f}   (most of node_exporter's RSS is its file text)"
    )


if __name__ == "__main__":
    main()
