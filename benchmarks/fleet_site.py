"""A simulated fleet and the engines that take it in, as processes: started, killed, asked, measured.

Programs come from ``make receivers``; their configuration is that of ``deploy/fleet``, with this machine's addresses.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.host import ROOT
from benchmarks.programs import Memory, cpu_seconds, free_port

PROGRAMS = ROOT / ".cache" / "receivers"
NEEDED = ("prometheus3", "victoria-metrics", "vmagent", "vmalert", "vmauth")
FILES = ROOT / "deploy" / "fleet"
RULES = ROOT / "deploy" / "prometheus" / "rules"
PATIENCE = 300.0
"""Seconds that a start or a stop may take: this bounds a run, it measures nothing."""


def missing() -> list[str]:
    """Programs that are not built."""
    return [name for name in NEEDED if not (PROGRAMS / name).exists()]


def wait(what: str, look: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def get(url: str, parameters: Mapping[str, str] | None = None, timeout: float = 120.0) -> bytes:
    if parameters:
        url = f"{url}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        body: bytes = answer.read()
    return body


@dataclass
class Program:
    """One process that listens at ``port``; killed and started again with the same data."""

    name: str
    command: list[str]
    port: int
    log: Path
    ready: str = "/health"
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def rss(self) -> float:
        """MiB."""
        return Memory.of(self.pid).rss

    @property
    def cpu(self) -> float:
        """Seconds."""
        return cpu_seconds(self.pid)

    def start(self) -> Self:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, cwd=ROOT)
        wait(self.name, self._up)
        return self

    def _up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        with suppress(OSError):
            get(f"{self.url}{self.ready}", timeout=10)
            return True
        return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """As by a power cut."""
        self.end(signal.SIGKILL)


class Store(Program):
    """A VictoriaMetrics."""

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        # nocache: what was asked for a moment ago must not answer for what has come since.
        parameters = {"query": expression, "nocache": "1"} | ({"time": f"{at:.3f}"} if at else {})
        found: list[dict[str, Any]] = json.loads(get(f"{self.url}/api/v1/query", parameters))["data"][
            "result"
        ]
        return found

    def one(self, expression: str, at: float | None = None) -> float:
        """A single number; 0 where there is none."""
        found = self.query(expression, at)
        return float(found[0]["value"][1]) if found else 0.0

    def by_vm(self, expression: str, at: float | None = None) -> dict[str, float]:
        return {each["metric"]["instance"]: float(each["value"][1]) for each in self.query(expression, at)}

    def own(self) -> dict[str, float]:
        """Its own metrics, summed over all labels but ``type``, which stands behind the name."""
        sums: dict[str, float] = {}
        for name, labels, value in re.findall(
            r"^(\w+)(\{[^}]*\})? ([-+.\deE]+)$", get(f"{self.url}/metrics").decode(), re.MULTILINE
        ):
            kind = re.search(r'\btype="([^"]*)"', labels)
            for key in (name, *([f"{name}/{kind[1]}"] if kind else [])):
                sums[key] = sums.get(key, 0.0) + float(value)
        return sums

    def flush(self) -> None:
        """Make what has come so far visible to queries."""
        get(f"{self.url}/internal/force_flush")

    def merge(self) -> None:
        """Bring the data into the form that it has on disk after a while."""
        self.flush()
        get(f"{self.url}/internal/force_merge")
        wait("merge", lambda: not self.own().get("vm_active_force_merges"))


@dataclass
class Site:
    """A fleet of ``count`` VMs with one of the two engines."""

    folder: Path
    count: int
    seed: int = 1
    flags: tuple[str, ...] = ()
    parts: ExitStack = field(default_factory=ExitStack)
    programs: dict[str, Program] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        command = [
            sys.executable, "-m", "exporter", "simulate", f"--fleet={self.count}", f"--seed={self.seed}",
            f"--web.listen-address=127.0.0.1:{port}", *self.flags,
        ]  # fmt: skip
        try:
            self.add(Program("fleet", command, port, self.folder / "fleet.log", "/-/healthy"))
            # It answers before every VM was polled once.
            wait("fleet", lambda: "listening" in self.fleet.log.read_text(errors="replace"))
        except BaseException:
            self.parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.parts.close()

    @property
    def fleet(self) -> Program:
        return self.programs["fleet"]

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(f"{self.fleet.url}/truth"))
        return found

    def add(self, program: Program) -> Program:
        self.programs[program.name] = program
        self.parts.callback(program.end)
        return program.start()

    def configured(self, source: Path, changes: Mapping[str, str]) -> Path:
        """``source`` with other addresses, beside the data."""
        text = source.read_text()
        for before, after in changes.items():
            if before not in text:
                raise ValueError(f"{source}: no {before} in it")
            text = text.replace(before, after)
        made = self.folder / f"{len(list(self.folder.iterdir()))}-{source.name}"
        made.write_text(text)
        return made

    def store(self, name: str, *flags: str) -> Store:
        port = free_port()
        command = [
            str(PROGRAMS / "victoria-metrics"), f"-storageDataPath={self.folder / name}",
            f"-httpListenAddr=127.0.0.1:{port}", "-inmemoryDataFlushInterval=1s", "-search.latencyOffset=0s",
            "-memory.allowedBytes=512MB", "-search.maxUniqueTimeseries=2000000", *flags,
        ]  # fmt: skip
        made = Store(name, command, port, self.folder / f"{name}.log")
        self.add(made)
        return made

    def agent(self, shard: int, store: Store) -> Program:
        """A Prometheus in agent mode, of two."""
        port, name = free_port(), f"agent-{shard}"
        file = self.configured(
            FILES / "prometheus" / "agent.yml",
            {"http://fleet:10052": self.fleet.url, "http://store:8428": store.url, "SHARD": str(shard)},
        )
        command = [
            str(PROGRAMS / "prometheus3"), "--agent", f"--config.file={file}",
            f"--storage.agent.path={self.folder / name}", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        return self.add(Program(name, command, port, self.folder / f"{name}.log", "/-/ready"))

    def vmagent(self, nodes: Iterable[Store]) -> Program:
        port = free_port()
        file = self.configured(FILES / "vmagent" / "scrape.yml", {"http://fleet:10052": self.fleet.url})
        command = [
            str(PROGRAMS / "vmagent"), f"-promscrape.config={file}", f"-httpListenAddr=127.0.0.1:{port}",
            *(f"-remoteWrite.url={node.url}/api/v1/write" for node in nodes),
            "-remoteWrite.shardByURL", "-remoteWrite.shardByURL.labels=instance",
            "-remoteWrite.shardByURLReplicas=2", f"-remoteWrite.tmpDataPath={self.folder / 'queue'}",
        ]  # fmt: skip
        return self.add(Program("vmagent", command, port, self.folder / "vmagent.log"))

    def rules(self, name: str, source: Store, target: Store, *more: Path) -> Program:
        """A vmalert with every rule."""
        port = free_port()
        files = (RULES / "vmguest.yml", RULES / "vmguest-insight.yml", *more)
        command = [
            str(PROGRAMS / "vmalert"), *(f"-rule={file}" for file in files), f"-datasource.url={source.url}",
            f"-remoteWrite.url={target.url}", f"-remoteRead.url={target.url}", "-evaluationInterval=15s",
            "-notifier.blackhole", f"-httpListenAddr=127.0.0.1:{port}",
        ]  # fmt: skip
        return self.add(Program(name, command, port, self.folder / f"{name}.log"))

    def vmauth(self, nodes: Iterable[Store]) -> Program:
        port = free_port()
        changes = {f"http://node-{place}:8428": node.url for place, node in enumerate(nodes)}
        file = self.configured(FILES / "vmagent" / "vmauth.yml", changes)
        command = [str(PROGRAMS / "vmauth"), f"-auth.config={file}", f"-httpListenAddr=127.0.0.1:{port}"]
        return self.add(Program("vmauth", command, port, self.folder / "vmauth.log"))


def pages(truth: dict[str, Any]) -> dict[str, int]:
    """VM -> pages that it has handed over."""
    return {name: vm["pages"] for name, vm in truth["vms"].items()}
