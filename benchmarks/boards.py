"""How long each panel of the boards takes with *All* VMs chosen, on a real Prometheus with an hour of a large fleet.

The series are those of one exporter on a simulated host, with heartbeats and a push that arrives nowhere; each VM gets all of
them that the boards of many VMs ask for, with values of its own, an hour of one a minute, as blocks made by promtool. Queries are
asked as Grafana asks them for the last hour. Small, as it stands; ``--vms 10000`` takes eight minutes and two gigabytes of disk.
Prints a table in Markdown and judges nothing. Needs ``make receivers``.

    python -m benchmarks.boards [--vms 10000] [--data FOLDER] [--over SECONDS]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.fleet_site import PROGRAMS, Program, get
from benchmarks.host import ROOT
from benchmarks.programs import free_port
from dashboards.promql import metrics

BOARDS = ("vmguest-fleet", "vmguest-exporter")
MINUTES = 60
AT_ONCE = 8
"""Series of each VM in one file for promtool: of ten thousand that is half a gigabyte."""
RECORDED = {
    ("up", ""): 1.0,
    ("vmguest:cpu_stolen:ratio", ""): 0.02,
    ("vmguest:cpu_used:hertz", ""): 2e9,
    ("vmguest:poll_duration:seconds", ""): 0.001,
    ("vmguest:poll_errors:per_second", 'kind="refused",'): 0.2,
    ("vmguest:ha_heartbeat_errors:per_second", 'kind="refused",'): 0.1,
}
"""What the server makes itself, and a value."""
FAILS = 100
"""One VM of so many has errors."""
VARIABLES = {
    "$__rate_interval": "4m",
    "$__range": "3600s",
    "$cluster": ".*",
    "$job": "vmguest",
    "$instance": ".+",
}


class Series(NamedTuple):
    name: str
    labels: str
    """As they are written, without braces; ends in a comma where there are any."""
    value: float
    counts: bool


class Asked(NamedTuple):
    board: str
    what: str
    query: str
    over_time: bool


class Answer(NamedTuple):
    seconds: float
    cpu: float
    """Seconds of the server's: what a busy machine does not change much."""
    series: int
    size: int
    """Bytes of JSON: what a browser is sent."""


def questions() -> Iterator[Asked]:
    for uid in BOARDS:
        board = json.loads((ROOT / "dashboards" / f"{uid}.json").read_text())
        for variable in board["templating"]["list"]:
            if "query_result" in str(variable.get("query")):
                text = variable["query"].removeprefix("query_result(").removesuffix(")")
                yield Asked(uid, f"variable {variable['name']}", text, over_time=False)
        for mark in board["annotations"].get("list", ()):
            if "expr" in mark:
                yield Asked(uid, f"mark: {mark['name']}", mark["expr"], over_time=True)
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                what = f"{panel['title']}: {target['legendFormat']}"
                yield Asked(uid, what, target["expr"], bool(target.get("range")))


def page() -> str:
    """What one exporter says once every part of it has done something."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "exporter", "--source=simulated", "--simulated.scenario=noisy-neighbour",
            "--simulated.seed=1", "--poll.interval=1s", "--ha.enabled", "--ha.interval=1s",
            f"--ha.lock-file={folder}/lock", f"--otlp.endpoint=http://127.0.0.1:{free_port()}",
            "--otlp.interval=1s", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        program = Program("exporter", command, port, Path(folder) / "log", "/-/healthy")
        program.start()
        try:
            time.sleep(8)
            return get(f"{program.url}/metrics").decode()
        finally:
            program.end()


def series(text: str, wanted: set[str]) -> Iterator[Series]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # Of the bursts the board asks for one bound.
            unread = sample.name == "vmguest_cpu_stolen_ratio_bucket" and sample.labels["le"] != "0.1"
            if sample.name in wanted and not unread:
                labels = "".join(f'{name}="{value}",' for name, value in sample.labels.items())
                counts = sample.name.endswith(("_total", "_bucket", "_count", "_sum"))
                yield Series(sample.name, labels, sample.value, counts)
    for (name, labels), value in RECORDED.items():
        yield Series(name, labels, value, counts=False)


def written(row: Series, vms: int, start: int, chance: random.Random) -> Iterator[str]:
    errors = "_errors" in row.name
    for vm in range(0, vms, FAILS if errors and not row.counts else 1):
        head = f'{row.name}{{{row.labels}job="vmguest",instance="vm-{vm:05}.example.net:10052"}} '
        share = 0.0 if errors and vm % FAILS else chance.random()
        for minute in range(MINUTES + 1):
            at = start + 60 * minute
            if row.name.endswith("_timestamp_seconds"):
                value = at - 5 * share
            elif row.counts:
                value = row.value + minute * 60 * share
            else:
                value = row.value
            yield f"{head}{value:.10g} {at}\n"


def filled(folder: Path, rows: Sequence[Series], vms: int, start: int) -> None:
    """Blocks below ``folder``/data, by OpenMetrics."""
    chance = random.Random(1)
    file = folder / "samples"
    # Series of one name are neighbours.
    ordered = sorted(rows)
    for some in (ordered[place : place + AT_ONCE] for place in range(0, len(ordered), AT_ONCE)):
        with file.open("w") as target:
            for name, together in groupby(some, key=lambda row: row.name):
                target.write(f"# TYPE {name} unknown\n")
                for row in together:
                    target.writelines(written(row, vms, start, chance))
            target.write("# EOF\n")
        command = [
            str(PROGRAMS / "promtool3"),
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            str(file),
            str(folder / "data"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
    file.unlink()


def answered(server: Program, asked: Asked, end: int) -> Answer:
    query = asked.query
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    if re.search(r"\$[a-z_]", query):
        raise ValueError(f"{asked.what}: a variable without a value in {query}")
    if asked.over_time:
        path, times = "query_range", {"start": str(end - 60 * MINUTES), "end": str(end), "step": "60"}
    else:
        path, times = "query", {"time": str(end)}
    began, used = time.perf_counter(), server.cpu
    body = get(f"{server.url}/api/v1/{path}", {"query": query, **times})
    seconds, cpu = time.perf_counter() - began, server.cpu - used
    return Answer(seconds, cpu, len(json.loads(body)["data"]["result"]), len(body))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument(
        "--over", type=float, default=0.0, metavar="SECONDS", help="show only what takes longer"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="keep the fleet there, or ask the one that is there"
    )
    given = parser.parse_args()
    if not (PROGRAMS / "promtool3").exists():
        sys.exit("make receivers builds what is missing: Prometheus 3")
    asked = list(questions())
    wanted = set().union(*(metrics(each.query) for each in asked))
    rows = list(series(page(), wanted))
    print(
        f"{given.vms} VMs with {len(rows)} series each, of {len({row.name for row in rows})} of {len(wanted)} names"
    )
    print(f"no series: {', '.join(sorted(wanted - {row.name for row in rows}))}\n")
    with tempfile.TemporaryDirectory() as made:
        folder = given.data or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "start").exists():
            # Within one block of Prometheus's two hours.
            start = (int(time.time()) // 7200 - 1) * 7200
            filled(folder, rows, given.vms, start)
            (folder / "start").write_text(str(start))
        end = int((folder / "start").read_text()) + 60 * MINUTES
        (folder / "prometheus.yml").write_text("{}")
        port = free_port()
        command = [
            str(PROGRAMS / "prometheus3"), f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=10y",
            "--no-storage.tsdb.allow-overlapping-compaction", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        server = Program("prometheus", command, port, folder / "log", "/-/ready")
        server.start()
        try:
            asked_of(server, asked, end, given.over)
        finally:
            server.end()


def asked_of(server: Program, asked: Sequence[Asked], end: int, over: float) -> None:
    print(
        "| board | panel: series | | s | CPU s | series | KiB |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for each in asked:
        answer = answered(server, each, end)
        if answer.seconds >= over:
            way = "range" if each.over_time else "instant"
            print(
                f"| {each.board} | {each.what} | {way} | {answer.seconds:.2f} | {answer.cpu:.2f} | {answer.series}"
                f" | {answer.size / 1024:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
