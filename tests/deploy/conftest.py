"""A small laboratory: exporters on simulated hosts, and a real Prometheus that scrapes them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.catalogue import (
    BUILD,
    HA_APP_STATUS,
    HA_CHECK_HEALTHY,
    HA_DRY_RUN,
    HA_DRY_RUN_RESETS,
    HA_ENABLED,
    HA_HEALTHY,
    HA_HEARTBEATS,
    HA_HEARTBEATS_WITHHELD,
    HA_LAST_HEARTBEAT,
    HA_REENABLES,
    HA_REQUESTED_RESET,
)

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = Path(__file__).parents[2]

BUILT_IN = (
    "steady",
    "noisy-neighbour",
    "ballooning",
    "cpu-limit",
    "swapping",
    "vmotion",
    "host-stats-disabled",
    "v2-host",
    "old-host",
    "older-host",
)
MADE = {
    "memory-limit": 'base = "steady"\n[machine]\nmemory_limit = 512\n',
    "numa": 'base = "steady"\n[drive]\nnuma_remote = 0.5\n',
    "slow-disk": 'base = "steady"\n[drive]\ndisk_latency = 40000\n',
    "balloon-coming": 'base = "steady"\n[set]\nmemory_balloon_target = 2048\n',
    # Shares change all the time: a change lies inside of whatever range is looked at.
    "new-limit": (
        'base = "steady"\n[set]\ncpu_limit = {steps = [[0, "unlimited"], [20, 1300]]}\n'
        "cpu_shares = {steps = [[0, 4000], [10, 8000]], every = 20}\n"
    ),
    "less-and-less": (
        'base = "steady"\n[set]\nhost_memory_kernel_overhead = {steps = [[0, 900], [30, false]], every = 60}\n'
    ),
    "churn": 'base = "steady"\n[session]\nevery = 4\n',
}
"""Scenario files for troubles that no built-in scenario has."""

FAST = ("--poll.interval=1s", "--extended.interval=2s")


def heartbeats(*, enabled: int, healthy: int, status: str, reset: int) -> str:
    """A page with the heartbeats' part alone: a simulated vSphere would have to be let run into a reset for it."""
    samples = {
        HA_ENABLED.prometheus: enabled,
        HA_HEALTHY.prometheus: healthy,
        HA_CHECK_HEALTHY.prometheus + '{check="web"}': healthy,
        HA_REQUESTED_RESET.prometheus: reset,
        HA_HEARTBEATS.prometheus: 7,
        HA_HEARTBEATS_WITHHELD.prometheus: 0,
        HA_REENABLES.prometheus: 0,
        HA_DRY_RUN_RESETS.prometheus: 0,
        HA_LAST_HEARTBEAT.prometheus: time.time(),
        HA_DRY_RUN.prometheus: 0,
        # What makes it one of ours.
        BUILD.prometheus + '{version="0"}': 1,
    }
    for colour in ("green", "gray", "red"):
        samples[f'{HA_APP_STATUS.prometheus}{{status="{colour}"}}'] = int(colour == status)
    return "".join(f"{name} {value}\n" for name, value in samples.items())


MADE_PAGES = {
    "ha-in-trouble": heartbeats(enabled=1, healthy=0, status="red", reset=1),
    "ha-not-taken": heartbeats(enabled=0, healthy=1, status="green", reset=0),
}
GONE_AFTER = 20.0
"""Seconds after which the page of ``ha-gone`` can no longer be had."""


@pytest.fixture(scope="session", name="wait")
def wait_fixture() -> Callable[[str, Callable[[], Any], float], Any]:
    return wait


@pytest.fixture(scope="session", name="listening")
def listening_fixture() -> Callable[[Path], int | None]:
    return listening


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(what: str, ready: Callable[[], Any], seconds: float) -> Any:
    """The first true answer of ``ready``."""
    end = time.monotonic() + seconds
    while True:
        if answer := ready():
            return answer
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def at_once(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Before the tests that run beside it, where this user may say so: a scrape each second must not wait for them."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, process.pid, -10)
    return process


def listening(log: Path) -> int | None:
    """The port that an exporter's log names, once it does."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", log.read_text())
    return int(found[1]) if found else None


def compressed(rules: str) -> str:
    """The rules with time run faster: seconds for minutes, so that nobody waits an hour for an alert."""
    for old, new in (
        (r"\[1h\]", "[30s]"),
        (r"\[\d+m\]", "[8s]"),
        (r"for: \d+[smh]$", "for: 4s"),
        (r"offset (1d|10m)", "offset 15s"),
        (r"interval: \d+[sm]$", "interval: 1s"),
        (r"<= 300$", "<= 5"),
    ):
        rules = re.sub(old, new, rules, flags=re.MULTILINE)
    return rules


@dataclass
class Lab:
    """Where the parts are."""

    url: str
    started: float = 0.0
    """When the last target was given to Prometheus."""
    ports: dict[str, int] = field(default_factory=dict)
    at: float | None = None
    """The time that queries are about; None: now."""

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        # An expression that Prometheus refuses comes back as 400 with the reason in the body.
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{path} {parameters}: {error.read().decode()}")
        assert document["status"] == "success", document
        assert not document.get("warnings"), document["warnings"]
        return document["data"]

    def instant(self, expr: str) -> list[dict[str, Any]]:
        data = self.get("query", query=expr, **({"time": str(self.at)} if self.at else {}))
        result: list[dict[str, Any]] = data["result"] if data["resultType"] == "vector" else [data]
        return result

    def over_time(self, expr: str, seconds: float = 60, step: float = 1) -> list[dict[str, Any]]:
        now = self.at or time.time()
        data = self.get("query_range", query=expr, start=str(now - seconds), end=str(now), step=str(step))
        result: list[dict[str, Any]] = data["result"]
        return result

    def firing(self) -> dict[str, set[str]]:
        """Alerts that fire, by instance: ``name/severity``."""
        found: dict[str, set[str]] = {}
        for alert in self.get("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = alert["labels"]
                found.setdefault(labels["instance"], set()).add(f"{labels['alertname']}/{labels['severity']}")
        return found


class _Pages(BaseHTTPRequestHandler):
    """The made pages, by name."""

    def do_GET(self) -> None:
        body = MADE_PAGES.get(
            self.path.strip("/"), heartbeats(enabled=1, healthy=1, status="green", reset=0)
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


class _Receiver(BaseHTTPRequestHandler):
    """Takes every OTLP export."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], seconds: float | None = None) -> Iterator[int]:
    """A server on a port of its own, for the time of the context or for ``seconds``."""

    class Server(ThreadingHTTPServer):
        def verify_request(self, _request: object, _address: object) -> bool:
            # The time runs from the first request: how long the others take to start does not count.
            if seconds and not closing.is_alive() and not closing.finished.is_set():
                closing.start()
            return True

    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def close() -> None:
        server.shutdown()
        server.server_close()

    closing = threading.Timer(seconds or 0, close)
    yield server.server_address[1]
    closing.cancel()
    close()
    thread.join(5)


@pytest.fixture(scope="module")
def lab(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """Exporters, one per scenario and trouble, and Prometheus with the rules; all ended again."""
    with serving(_Receiver) as receiver, serving(_Pages) as pages, serving(_Pages, GONE_AFTER) as gone:
        yield from _lab(require_program, tmp_path_factory, receiver, pages, gone)


def _lab(
    require_program: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
    receiver: int,
    pages: int,
    gone: int,
) -> Iterator[Lab]:
    prometheus = require_program("prometheus", "apt-get install prometheus")
    folder = tmp_path_factory.mktemp("lab")
    flags: dict[str, tuple[str, ...]] = {
        name: ("--source=simulated", f"--simulated.scenario={name}") for name in BUILT_IN
    }
    for name, text in MADE.items():
        (folder / f"{name}.toml").write_text(text)
        flags[name] = ("--source=simulated", f"--simulated.scenario={folder / name}.toml")
    flags["less-and-less"] += ("--deprecated-metrics",)
    flags["no-host"] = ("--source=guestrpc", f"--guestrpc.socket={folder / 'nobody'}")
    flags["push"] = (
        "--source=simulated",
        f"--otlp.endpoint=http://127.0.0.1:{receiver}",
        "--otlp.interval=1s",
    )
    flags["push-nowhere"] = (
        "--source=simulated",
        f"--otlp.endpoint=http://127.0.0.1:{free_port()}",
        "--otlp.interval=1s",
        "--otlp.timeout=1s",
    )
    flags["heartbeats"] = (
        "--source=simulated",
        "--ha.enabled",
        "--ha.interval=1s",
        f"--ha.lock-file={folder / 'lock'}",
    )
    processes: list[subprocess.Popen[bytes]] = []
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith(("VMGUEST_", "OTEL_"))
    }
    (folder / "targets").mkdir()
    try:
        # Prometheus first: each exporter is scraped from its beginning, however long the others take to start.
        lab = Lab(f"http://127.0.0.1:{free_port()}")
        processes.append(_prometheus(prometheus, folder, lab.url))
        wait("prometheus", partial(_answers, f"{lab.url}/-/ready"), 60)
        lab.ports |= dict.fromkeys(MADE_PAGES, pages) | {"ha-gone": gone, "gone": free_port()}
        for name, port in lab.ports.items():
            _scrape(folder, name, port)
        for name, arguments in flags.items():
            with (folder / f"{name}.log").open("wb") as log:
                command = [
                    sys.executable,
                    "-m",
                    "exporter",
                    *arguments,
                    *FAST,
                    "--web.listen-address=127.0.0.1:0",
                ]
                processes.append(at_once(subprocess.Popen(command, stderr=log, cwd=ROOT, env=environment)))
            lab.ports[name] = wait(f"exporter {name}", partial(listening, folder / f"{name}.log"), 60)
            _scrape(folder, name, lab.ports[name])
        lab.started = time.time()
        yield lab
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _scrape(folder: Path, name: str, port: int) -> None:
    """Give Prometheus one target more."""
    target = {
        "targets": [f"127.0.0.1:{port}"],
        "labels": {
            "instance": name,
            "__metrics_path__": f"/{name}" if name in MADE_PAGES else "/metrics",
            **({} if name == "steady" else {"cluster": "lab"}),
        },
    }
    (folder / "new").write_text(json.dumps([target]))
    (folder / "new").rename(folder / "targets" / f"{name}.json")


def _prometheus(program: str, folder: Path, url: str) -> subprocess.Popen[bytes]:
    for rules in (DEPLOY / "prometheus" / "rules").glob("*.yml"):
        (folder / rules.name).write_text(compressed(rules.read_text()))
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["vmguest.yml", "vmguest-insight.yml", "vmguest-compat.yml"],
        "scrape_configs": [
            {
                "job_name": "vmguest",
                "file_sd_configs": [{"files": ["targets/*.json"], "refresh_interval": "5s"}],
                "metric_relabel_configs": scrape["metric_relabel_configs"],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        return at_once(subprocess.Popen(command, stderr=log, cwd=folder))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False
