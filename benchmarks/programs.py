"""Programs under measurement: how they are started, scraped, and what they have used so far."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host import ROOT

FOUR_COLLECTORS = (
    "--collector.disable-defaults",
    *(f"--collector.{name}" for name in ("cpu", "meminfo", "stat", "vmstat")),
)
"""Of node_exporter: about as much as this program publishes."""


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


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all its threads, in ns steps: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def exporter_command(port: int, guestrpc: Path, *settings: str) -> list[str]:
    """The exporter as it runs in a VM: the host is in another process."""
    return [
        str(Path(sys.executable).with_name("vmguest-exporter")),
        f"--guestrpc.socket={guestrpc}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *settings,
    ]


def node_exporter_command(port: int, *flags: str) -> list[str]:
    """Debian's node_exporter; without ``flags`` as the package starts it."""
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        sys.exit("node_exporter is missing: apt-get install prometheus-node-exporter")
    return [program, *flags, f"--web.listen-address=127.0.0.1:{port}"]


def scrape(port: int) -> bytes | None:
    """One scrape on a new connection; None while nobody listens."""
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


class Scraper:
    """Scrapes over one kept connection with gzip, as Prometheus does."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def scrape(self) -> int:
        """The bytes of the body, as sent."""
        headers = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4"}
        self._connection.request("GET", "/metrics", headers=headers)
        answer = self._connection.getresponse()
        size = len(answer.read())
        if answer.status != http.HTTPStatus.OK or answer.headers["Content-Encoding"] != "gzip":
            sys.exit(f"a scrape was answered by {answer.status}, {answer.headers['Content-Encoding']}")
        return size

    def close(self) -> None:
        self._connection.close()


def _complete(port: int) -> bool:
    body = scrape(port)
    return body is not None and (b"vmguest_up" not in body or b"vmguest_up 1" in body)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def running(command: list[str], port: int, *, scraped: bool = True) -> Iterator[tuple[int, float]]:
    """Start a server; yields its pid and the ms from start to the first complete scrape, or not ``scraped`` to listening."""
    ready = _complete if scraped else _listens
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready(port):
            if process.poll() is not None or time.perf_counter() - begun > 10:
                sys.exit(f"{command[0]} did not answer on port {port}")
            time.sleep(0.001)
        yield process.pid, (time.perf_counter() - begun) * 1000
    finally:
        process.terminate()
        process.wait(10)
