"""The exporter's own process, against prometheus_client's collectors and a fixture tree."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter.outputs import process
from exporter.outputs.prometheus import OPENMETRICS

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]

STAT = (
    "4242 (odd) name (x) S 1 4242 4242 0 -1 4194560 2100 0 0 0 150 25 0 0 20 0 3 0 9000 "
    "104857600 4000 18446744073709551615 1 1 0 0 0 0 0 16781312 0 0 0 0 17 1 0 0 0 0 0\n"
)
LIMITS = "Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 524288               files\n"


def values(families: Iterable[process.StandardFamily | Metric]) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in families
        for sample in family.samples
    }


def tree(root: Path) -> str:
    own = root / "proc/self"
    (own / "fd").mkdir(parents=True)
    for number in range(7):
        (own / "fd" / str(number)).touch()
    (own / "stat").write_text(STAT)
    (own / "limits").write_text(LIMITS)
    (root / "proc/stat").write_text("cpu  1 2 3 4\nbtime 1700000000\nprocesses 5\n")
    return str(root)


def referee(root: str) -> Values:
    return values(ProcessCollector(proc=f"{root}/proc", registry=None).collect())


def of_process(root: str) -> Values:
    return {
        key: value for key, value in values(process.families(root)).items() if key[0].startswith("process_")
    }


def test_a_fixture_tree_reads_as_prometheus_client_reads_it(tmp_path: Path) -> None:
    root = tree(tmp_path)
    found = of_process(root)
    assert found == referee(root)
    assert len(found) == 6
    assert found["process_open_fds", ()] == 7.0
    assert found["process_max_fds", ()] == 1024.0
    assert found["process_virtual_memory_bytes", ()] == 104857600.0
    assert found["process_resident_memory_bytes", ()] == 4000.0 * os.sysconf("SC_PAGE_SIZE")
    assert found["process_cpu_seconds_total", ()] == pytest.approx(175 / os.sysconf("SC_CLK_TCK"))
    assert found["process_start_time_seconds", ()] == 1700000000 + 9000 / os.sysconf("SC_CLK_TCK")


def test_this_very_process_has_the_names_that_prometheus_client_gives_it() -> None:
    found, theirs = of_process("/"), referee("")
    assert set(found) == set(theirs)
    name = ("process_start_time_seconds", ())
    assert found[name] == theirs[name]


def test_an_unlimited_number_of_files_is_infinite(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (tmp_path / "proc/self/limits").write_text(LIMITS.replace("1024  ", "unlimited"))
    assert of_process(root)["process_max_fds", ()] == float("inf")


@pytest.mark.parametrize("missing", ["proc/self/stat", "proc/stat", "proc/self/limits", "proc/self/fd"])
def test_what_can_not_be_read_is_left_out_and_the_rest_stays(tmp_path: Path, missing: str) -> None:
    root = tree(tmp_path)
    (tmp_path / missing).rename(tmp_path / "gone")
    found = of_process(root)
    assert 0 < len(found) < 6
    assert all(value > 0 for value in found.values())


def test_garbage_in_place_of_the_process_is_no_number(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (tmp_path / "proc/self/stat").write_text("")
    (tmp_path / "proc/self/limits").write_text("Max address space unlimited\n")
    assert set(of_process(root)) == {("process_open_fds", ())}


def test_without_proc_there_is_still_the_interpreter(tmp_path: Path) -> None:
    assert {key[0] for key in values(process.families(str(tmp_path)))} == {
        "python_info",
        "python_gc_objects_collected_total",
        "python_gc_objects_uncollectable_total",
        "python_gc_collections_total",
    }


def test_the_interpreter_is_described_as_prometheus_client_describes_it() -> None:
    registry = CollectorRegistry()
    GCCollector(registry)
    PlatformCollector(registry)
    gc.disable()
    try:
        theirs = values(registry.collect())
        ours = values(process.families("/nowhere"))
    finally:
        gc.enable()
    assert ours == theirs


def test_the_families_make_a_valid_openmetrics_page() -> None:
    page = OPENMETRICS.page(process.families()).decode()
    names = [family.name for family in text_string_to_metric_families(page)]  # type: ignore[no-untyped-call]
    assert len(names) == 10
