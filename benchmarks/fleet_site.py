"""A simulated fleet and the engines that take it in, as processes: started, killed, asked, measured.

Programs come from ``make receivers``; their configuration is that of ``deploy/fleet``, with this machine's addresses.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
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
from benchmarks.programs import Memory, cpu_seconds

PROGRAMS = ROOT / ".cache" / "receivers"
NEEDED = ("prometheus3", "victoria-metrics", "vmagent", "vmalert", "vmauth")
FILES = ROOT / "deploy" / "fleet"
RULES = ROOT / "deploy" / "prometheus" / "rules"
PATIENCE, ORDERLY, ASKED = 600.0, 120.0, 180.0
"""Seconds that a start, an orderly stop and an answer may take: these bound a run, they measure nothing."""
OVER = threading.Event()
"""Set when the run has to end, by whatever reason: everything that waits stops waiting."""
_given: set[int] = set()
_giving = threading.Lock()


class OverError(Exception):
    """The run has to end."""


def missing() -> list[str]:
    """Programs that are not built."""
    return [name for name in NEEDED if not (PROGRAMS / name).exists()]


def say(text: str) -> None:
    """How far it is, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def pause(seconds: float) -> None:
    if OVER.wait(max(seconds, 0.0)):
        raise OverError("the run has to end")


def wait(what: str, look: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until ``look`` gives something true. An answer that does not come in time is waited for like a false one."""
    deadline = time.monotonic() + seconds
    why = ""
    while True:
        try:
            if look():
                return
            why = ""
        except OSError as error:
            why = f" ({error})"
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}{why}")
        pause(0.2)


def get(url: str, parameters: Mapping[str, str] | None = None, timeout: float = ASKED) -> bytes:
    """
    Raises:
        OSError: no answer, or one that says why there is none.
    """
    text = urllib.parse.urlencode(parameters or {})
    try:
        with urllib.request.urlopen(f"{url}?{text}" if text else url, timeout=timeout) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise OSError(f"{url}: {error} {error.read(500).decode(errors='replace')}") from error
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{url}, within {timeout:g} s: {error}") from error
    return body


def patiently(what: str, url: str) -> bytes:
    """As :func:`get`, again and again: for what everything else needs."""
    found: list[bytes] = []

    def ask() -> bool:
        found.append(get(url))
        return True

    wait(what, ask)
    return found[0]


def free_port() -> int:
    """Given out once, and below those that outgoing connections take: it stays free while its program is down."""
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with _giving:
        for _ in range(10_000):
            port = random.randrange(10_000, max(least, 12_000))
            with socket.socket() as probe, suppress(OSError):
                if port not in _given:
                    probe.bind(("127.0.0.1", port))
                    _given.add(port)
                    return port
    raise RuntimeError("no free port")


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
        wait(f"{self.name} to answer {self.ready}", self._up)
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
                self.process.wait(5 if OVER.is_set() else ORDERLY)
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
        text = patiently(f"{self.name}'s metrics", f"{self.url}/metrics").decode()
        for name, labels, value in re.findall(r"^(\w+)(\{[^}]*\})? ([-+.\deE]+)$", text, re.MULTILINE):
            kind = re.search(r'\btype="([^"]*)"', labels)
            for key in (name, *([f"{name}/{kind[1]}"] if kind else [])):
                sums[key] = sums.get(key, 0.0) + float(value)
        return sums

    def times(self, selector: str) -> dict[str, list[float]]:
        """VM -> when it has a sample of a series, in seconds, in order."""
        found: dict[str, list[float]] = {}
        for line in get(f"{self.url}/api/v1/export", {"match[]": selector}).splitlines():
            series = json.loads(line)
            found.setdefault(series["metric"]["instance"], []).extend(
                at / 1000 for at in series["timestamps"]
            )
        return {name: sorted(times) for name, times in found.items()}

    def flush(self) -> None:
        """Make what has come so far visible to queries."""
        wait(f"{self.name} to flush", lambda: (get(f"{self.url}/internal/force_flush"), True))

    def merge(self) -> None:
        """Bring the data into the form that it has on disk after a while."""
        self.flush()
        get(f"{self.url}/internal/force_merge")
        wait(f"the end of {self.name}'s merge", lambda: not self.own().get("vm_active_force_merges"))


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
            wait(
                "the fleet to have polled every VM once",
                lambda: "listening" in self.fleet.log.read_text(errors="replace"),
            )
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
        told: dict[str, Any] = json.loads(patiently("the fleet's truth", f"{self.fleet.url}/truth"))
        return told

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
            "-memory.allowedBytes=512MB", "-search.maxUniqueTimeseries=2000000", "-search.maxQueryDuration=2m", *flags,
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
        """A vmalert with every rule. Its delay has to be that of the stores, ``-search.latencyOffset``, which have none here."""
        port = free_port()
        files = (RULES / "vmguest.yml", RULES / "vmguest-insight.yml", *more)
        command = [
            str(PROGRAMS / "vmalert"), *(f"-rule={file}" for file in files), f"-datasource.url={source.url}",
            f"-remoteWrite.url={target.url}", f"-remoteRead.url={target.url}", "-evaluationInterval=15s",
            "-notifier.blackhole", "-rule.evalDelay=0s", f"-httpListenAddr=127.0.0.1:{port}",
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
