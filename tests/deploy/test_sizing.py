"""The arithmetic of deploy/README.md: from measured pages, and with every cell computed again."""

from __future__ import annotations

import gzip
import json
import re
import statistics
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import fleet_tables
from dashboards import promql

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "README.md").read_text()
SERIES = int(re.findall(r"\*\*(\d+) series\*\*", TEXT)[0])
FLEETS = (100, 10_000, 1_000_000)
DAY, SAMPLE_BYTES, SERIES_BYTES = 86_400, 1.5, 4096
SCRAPE_BYTES, EXPORT_BYTES = 6_300, 5_500
RECORDED = 19

FORMULAS: dict[str, Callable[[int], float]] = {
    "series": lambda vms: vms * SERIES,
    "samples a second, every 15 s": lambda vms: vms * SERIES / 15,
    "samples a second, every 60 s": lambda vms: vms * SERIES / 60,
    "bytes a day, every 15 s": lambda vms: vms * SERIES / 15 * DAY * SAMPLE_BYTES,
    "bytes a day, every 60 s": lambda vms: vms * SERIES / 60 * DAY * SAMPLE_BYTES,
    "memory of the server": lambda vms: vms * SERIES * SERIES_BYTES,
    "scrape traffic, every 15 s": lambda vms: vms * SCRAPE_BYTES / 15,
    "OTLP traffic, every 60 s, gzip": lambda vms: vms * EXPORT_BYTES / 60,
    "exports a second, every 60 s": lambda vms: vms / 60,
}
SCALES = {"": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def number(cell: str) -> float:
    found = re.fullmatch(r"([\d,.]+)(?: ([kMGT]?B)(?:/s)?)?", cell)
    assert found, cell
    return float(found[1].replace(",", "")) * SCALES[found[2] or ""]


def table() -> dict[str, list[str]]:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    return {name: cells for name, *cells in rows}


@pytest.mark.parametrize("name", FORMULAS)
def test_cells_are_what_the_formula_gives(name: str) -> None:
    assert [number(cell) for cell in table()[name]] == pytest.approx(
        [FORMULAS[name](vms) for vms in FLEETS], rel=0.03, abs=0.4
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, listening: Any, wait: Any) -> str:
    """A page with everything on but heartbeats."""
    log = tmp_path_factory.mktemp("sizing") / "log"
    flags = ("--source=simulated", "--web.listen-address=127.0.0.1:0", "--otlp.endpoint=http://127.0.0.1:9")
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "exporter", *flags], stderr=stderr, cwd=ROOT)
    try:
        port = wait("exporter", partial(listening, log), 20)

        def complete() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text: str = answer.read().decode()
            return text if "vmguest_extended_up 1" in text else ""

        found: str = wait("extended statistics", complete, 20)
        return found
    finally:
        process.terminate()
        process.wait(10)


def test_series_of_one_vm_are_as_many_as_it_says(page: str) -> None:
    samples = [line for line in page.splitlines() if not line.startswith("#")]
    kept = [line for line in samples if "_created" not in line]
    assert len(kept) + RECORDED == pytest.approx(SERIES, rel=0.1)
    assert len(samples) - len(kept) == pytest.approx(60, rel=0.1)
    assert len(gzip.compress(page.encode())) == pytest.approx(SCRAPE_BYTES, rel=0.1)


def test_recorded_series_of_one_vm_are_as_many_as_it_says() -> None:
    """A series for each rule; two causes of contention and two disks. Without those of heartbeats, of a job, and of failures."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules" / "vmguest.yml").read_text())
    groups = [group for group in rules["groups"] if group["name"] != "vmguest.ha"]
    recorded = [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]
    for usually_none in ("vmguest:strangers:count", "vmguest:poll_errors:per_second"):
        recorded.remove(usually_none)
    twice = {"vmguest:cpu_contention:ratio", "vmguest:disk_latency:seconds"}
    assert twice <= set(recorded)
    assert len(recorded) + len(twice) == RECORDED


MEASURED = (ROOT / "deploy" / "fleet" / "MEASURED.md").read_text()


def test_measured_sums_are_those_of_the_last_run() -> None:
    assert fleet_tables.written(TEXT, MEASURED) == TEXT, "python -m benchmarks.fleet --write"


def test_measured_sums_follow_from_what_was_measured() -> None:
    """The line once more: by another formula, from the rounded figures of MEASURED.md alone."""

    def cells(text: str, name: str) -> list[float]:
        (line,) = re.findall(rf"^\| {re.escape(name)} \| (.+) \|$", text, re.MULTILINE)
        return [float(re.sub("[^0-9.]", "", cell)) for cell in line.split(" | ")]

    block = TEXT.partition(fleet_tables.BEGIN)[2].partition(fleet_tables.END)[0]
    header = re.findall(r"([\d,]+) VMs", block.splitlines()[2])
    vms = [int(each.replace(",", "")) for each in header]
    growth = MEASURED.partition("### Growth")[2].partition("| drawn out")[0]
    measured = len(vms) - 2
    assert measured == 3
    assert vms[measured:] == [10_000, 100_000]
    for name, source, scale, digits in (
        ("samples a second", "samples a second", 1, 0.5),
        ("memory of the store", "memory of the store, MiB", 1024, 0.5),
        ("memory of the agents", "memory of the agents, MiB", 1024, 0.5),
        ("CPU of the store, cores", "CPU of the store, cores", 1, 0.0005),
        ("CPU of the agents, cores", "CPU of the agents, cores", 1, 0.0005),
    ):
        found, known = cells(block, name), cells(growth, source)
        assert found[:measured] == known
        slope, base = statistics.linear_regression(vms[:measured], known)
        # As far out as that, half of the last digit is much.
        loose = 2 * digits / (vms[2] - vms[0])
        for count, cell in zip(vms[measured:], found[measured:], strict=True):
            assert cell * scale == pytest.approx(
                max(base + slope * count, 0), abs=loose * count + 0.06 * scale
            )
    (size,) = cells(growth, "bytes a sample on disk")[-1:]
    assert cells(block, "on disk a day, GB") == pytest.approx(
        [each * size * DAY / 1e9 for each in cells(block, "samples a second")], rel=0.01, abs=0.06
    )


def test_a_thousand_vms_fit_one_core() -> None:
    """15 ms of CPU a VM in 15 s, by the last run."""
    (cells,) = re.findall(
        r"^\| CPU of one VM's exporter and host in 15 s, ms[^|]* \| (.+) \|$", MEASURED, re.MULTILINE
    )
    assert all(0 < float(cell) <= fleet_tables.BAR for cell in cells.split(" | "))


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_snippets_for_other_agents_can_be_read() -> None:
    """By their languages' readers; Prometheus's are checked by promtool in the next test."""
    assert [tomllib.loads(text) for text in snippets("toml")]
    assert [yaml.safe_load(text) for text in snippets("yaml")]
    assert [json.loads(text) for text in snippets("json")]
    assert all("10052" in text for text in snippets("toml") + snippets("alloy"))


def test_the_zabbix_template_takes_values_that_the_page_has() -> None:
    (template,) = (text for text in snippets("yaml") if "zabbix_export" in text)
    (item,) = yaml.safe_load(template)["zabbix_export"]["templates"]
    for each in item["items"]:
        for step in each.get("preprocessing", ()):
            assert step["parameters"][0] in promql.published()


@pytest.mark.real
def test_promtool_accepts_the_ways_to_find_vms(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    promtool = require_program("promtool", "apt-get install prometheus")
    found = [text for text in snippets("yaml") if text.startswith("scrape_configs:")]
    assert len(found) == 2
    (tmp_path / "targets").mkdir()
    for text in found:
        (tmp_path / "prometheus.yml").write_text(text)
        command = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_dropped_names_are_dropped_in_every_example() -> None:
    pattern = "vmguest_.+_created"
    for name in (
        "prometheus/prometheus.yml",
        "compose/prometheus.yml",
        "kubernetes/base/podmonitor.yaml",
        "helm/vmguest-exporter/templates/_helpers.tpl",
    ):
        assert f"regex: {pattern}" in (ROOT / "deploy" / name).read_text()


def test_folders_of_the_index_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "deploy" / target).exists(), target
