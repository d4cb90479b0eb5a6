"""The arithmetic of deploy/README.md: from measured pages, and with every cell computed again."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "README.md").read_text()
SERIES = int(re.findall(r"\*\*(\d+) series\*\*", TEXT)[0])
FLEETS = (100, 10_000, 1_000_000)
DAY, SAMPLE_BYTES, SERIES_BYTES = 86_400, 1.5, 4096
SCRAPE_BYTES, EXPORT_BYTES = 5_000, 4_500

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
    assert len(kept) == pytest.approx(SERIES, rel=0.1)
    assert len(samples) - len(kept) == pytest.approx(55, rel=0.1)
    assert len(gzip.compress(page.encode())) == pytest.approx(SCRAPE_BYTES, rel=0.1)


def test_dropped_names_are_dropped_in_every_example() -> None:
    pattern = "vmguest_.+_created"
    for name in (
        "prometheus/prometheus.yml",
        "compose/prometheus.yml",
        "kubernetes/base/podmonitor.yaml",
        "helm/vmguest-exporter/templates/podmonitor.yaml",
    ):
        assert f"regex: {pattern}" in (ROOT / "deploy" / name).read_text()


def test_folders_of_the_index_exist() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "deploy" / target).exists(), target
