"""The table itself: complete, consistent, named by the rules."""

import re

import pytest

from exporter import catalogue
from exporter.catalogue import (
    EXTENDED,
    METRICS,
    STATISTICS,
    HostUnit,
    Kind,
    Metric,
    Wire,
    extended_statistics,
    own,
)

PUBLIC_API = """
1 vmguest_cpu_reservation_hertz gauge vmguest.cpu.reservation Hz
2 vmguest_cpu_limit_hertz gauge vmguest.cpu.limit Hz
3 vmguest_cpu_shares gauge vmguest.cpu.shares {share}
4 vmguest_cpu_used_seconds_total counter vmguest.cpu.used s
5 vmguest_host_cpu_frequency_hertz gauge vmguest.host.cpu.frequency Hz
6 vmguest_memory_reservation_bytes gauge vmguest.memory.reservation By
7 vmguest_memory_limit_bytes gauge vmguest.memory.limit By
8 vmguest_memory_shares gauge vmguest.memory.shares {share}
9 vmguest_memory_mapped_bytes gauge vmguest.memory.mapped By
10 vmguest_memory_active_bytes gauge vmguest.memory.active By
11 vmguest_memory_overhead_bytes gauge vmguest.memory.overhead By
12 vmguest_memory_ballooned_bytes gauge vmguest.memory.ballooned By
13 vmguest_memory_swapped_bytes gauge vmguest.memory.swapped By
14 vmguest_memory_shared_bytes gauge vmguest.memory.shared By
15 vmguest_memory_shared_saved_bytes gauge vmguest.memory.shared_saved By
16 vmguest_memory_used_bytes gauge vmguest.memory.used By
17 vmguest_elapsed_seconds_total counter vmguest.elapsed s
18 vmguest_resource_pool_info info vmguest.resource_pool.info -
19 vmguest_cpu_stolen_seconds_total counter vmguest.cpu.stolen s
20 vmguest_memory_target_bytes gauge vmguest.memory.target By
21 vmguest_host_cpu_cores gauge vmguest.host.cpu.cores {cpu}
22 vmguest_host_cpu_used_seconds_total counter vmguest.host.cpu.used s
23 vmguest_host_memory_swapped_bytes gauge vmguest.host.memory.swapped By
24 vmguest_host_memory_shared_bytes gauge vmguest.host.memory.shared By
25 vmguest_host_memory_used_bytes gauge vmguest.host.memory.used By
26 vmguest_host_memory_physical_bytes gauge vmguest.host.memory.physical By
27 vmguest_host_memory_physical_free_bytes gauge vmguest.host.memory.physical_free By
28 vmguest_host_memory_kernel_overhead_bytes gauge vmguest.host.memory.kernel_overhead By
29 vmguest_host_memory_mapped_bytes gauge vmguest.host.memory.mapped By
30 vmguest_host_memory_unmapped_bytes gauge vmguest.host.memory.unmapped By
31 vmguest_memory_zipped_bytes gauge vmguest.memory.zipped By
32 vmguest_memory_zip_saved_bytes gauge vmguest.memory.zip_saved By
33 vmguest_memory_host_cache_swapped_bytes gauge vmguest.memory.host_cache_swapped By
34 vmguest_memory_swap_target_bytes gauge vmguest.memory.swap_target By
35 vmguest_memory_balloon_target_bytes gauge vmguest.memory.balloon_target By
36 vmguest_memory_balloon_max_bytes gauge vmguest.memory.balloon_max By
37 vmguest_resource_pool_info info vmguest.resource_pool.info -
38 vmguest_memory_shares gauge vmguest.memory.shares {share}
"""
"""The names that users' queries rely on: a change here is a breaking change. What VMware adds comes behind them."""

PUBLISHED = PUBLIC_API.strip().splitlines()


def test_basic_statistics_are_the_public_api() -> None:
    shown = [
        f"{row.id} {row.metric.prometheus} {row.metric.kind.value} {row.metric.otlp} {row.metric.unit.ucum or '-'}"
        for row in STATISTICS
    ]
    assert shown[: len(PUBLISHED)] == PUBLISHED


def test_ids_are_the_positions() -> None:
    """The V3 decoder relies on it: ids run 1, 2, 3 … on the wire, without gaps."""
    assert [row.id for row in STATISTICS] == list(range(1, len(STATISTICS) + 1))


def test_the_v2_reply_holds_the_first_18() -> None:
    assert [row.id for row in STATISTICS if row.v2] == list(range(1, 19))


def test_only_the_unbounded_path_has_no_getter() -> None:
    assert [row.id for row in STATISTICS if row.symbol is None] == [37]


def test_u64_on_the_wire() -> None:
    known = STATISTICS[: len(PUBLISHED)]
    assert {row.id for row in known if row.wire is Wire.U64} == {4, 17, 19, 20, *range(22, 31), 38}


def test_rows_of_one_key_are_one_metric() -> None:
    for row in STATISTICS:
        twin = catalogue.BY_KEY[row.key]
        assert (twin.metric.name, twin.metric.kind, twin.metric.unit) == (
            row.metric.name,
            row.metric.kind,
            row.metric.unit,
        )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.prometheus)
def test_names_follow_the_rules(metric: Metric) -> None:
    """What promtool does not find is found here: prefixes, foreign units, a unit in the middle."""
    name = metric.prometheus
    assert re.fullmatch(r"vmguest_[a-z0-9]+(_[a-z0-9]+)*", name)
    assert not re.search(r"mhz|megahertz|_mb\b|mebibytes|_kb\b|milliseconds|percent|_ms\b", name)
    assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert name.endswith("_info") == (metric.kind is Kind.INFO)
    words = name.removesuffix("_total").removesuffix("_info").split("_")
    for unit in ("bytes", "hertz", "seconds"):
        if unit in words and "per" not in words:
            assert words[-1] == unit
    if metric.unit.prometheus:
        assert metric.family.endswith("_" + metric.unit.prometheus)
    assert re.fullmatch(r"vmguest(\.[a-z0-9]+(_[a-z0-9]+)*)+", metric.otlp)
    assert "total" not in metric.otlp


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.prometheus)
def test_help_is_one_sentence(metric: Metric) -> None:
    assert metric.help[0].isupper() or metric.help.startswith("1 ")
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert "vmotion" not in metric.help.lower() or metric is catalogue.SESSION


def test_no_metric_is_forgotten_in_the_list_of_all() -> None:
    values = [*vars(own).values(), *vars(extended_statistics).values()]
    assert {each for each in values if isinstance(each, Metric)} <= set(METRICS)


def test_no_otlp_name_is_a_namespace_too() -> None:
    """OpenTelemetry's naming rules discourage it, and some stores keep names as trees."""
    names = {metric.otlp for metric in METRICS}
    assert not {(a, b) for a in names for b in names if b.startswith(f"{a}.")}


def test_one_name_is_one_metric() -> None:
    by_name: dict[str, Metric] = {}
    for metric in METRICS:
        assert by_name.setdefault(metric.prometheus, metric) == metric


@pytest.mark.parametrize(
    ("unit", "value", "scaled"),
    [
        (HostUnit.MHZ, 2600, 2.6e9),
        (HostUnit.MS, 1, 0.001),
        (HostUnit.MS, 1234567, 1234.567),
        (HostUnit.MB, 3, 3 * 2**20),
        (HostUnit.SHARES, 2**64 - 1, 2**64 - 1),
    ],
)
def test_scaling_is_exact(unit: HostUnit, value: int, scaled: float) -> None:
    assert unit.scale(value) == scaled


def test_dimensionless_is_a_ratio_only_where_nothing_is_appended_for_it() -> None:
    """UCUM "1" becomes ``_ratio`` in the standard translation of gauges to Prometheus, not in that of histograms."""
    assert {metric.kind for metric in METRICS if metric.unit.ucum == "1"} == {Kind.HISTOGRAM}


def test_extended_names_are_unique_in_their_category() -> None:
    keys = [(row.category, row.name) for row in EXTENDED]
    assert len(keys) == len(set(keys))
    assert all(row.basic in catalogue.BY_KEY for row in EXTENDED if row.basic)
