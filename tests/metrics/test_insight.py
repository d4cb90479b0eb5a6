"""What was worked out, as it is published: present with what it rests on, absent where that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter import catalogue
from exporter.metrics.families import Family
from exporter.metrics.insight import families
from exporter.outputs.prometheus import OPENMETRICS, TEXT, Format, VMGuestCollector
from tests.insight.simulated import START, Simulated


def found(simulated: Simulated) -> dict[str, Family]:
    return {family.metric.prometheus: family for family in simulated.published.collect()}


def values(family: Family) -> dict[str, float]:
    return {point.labels[0][1]: point.value for point in family.points}


def one(family: Family) -> float:
    (point,) = family.points
    return point.value


def test_lost_time_is_by_cause_and_adds_up_to_stolen() -> None:
    simulated = Simulated("cpu-limit")
    simulated.poll()
    before = one(found(simulated)["vmguest_cpu_stolen_seconds_total"])
    page = found(simulated.run(300))
    lost = values(page["vmguest_cpu_lost_seconds_total"])
    assert set(lost) == {"limit", "host", "undetermined", "memory"}
    stolen = one(page["vmguest_cpu_stolen_seconds_total"]) - before
    assert lost["limit"] + lost["host"] + lost["undetermined"] == pytest.approx(stolen, abs=1e-9)
    assert lost["limit"] > 100
    assert {point.created for point in page["vmguest_cpu_lost_seconds_total"].points} == {START + 1000.0}


def test_lost_time_is_in_seconds_and_of_memory_only_where_the_last_round_had_it() -> None:
    simulated = Simulated("cpu-limit").run(300)
    state, insight = simulated.poller.state, simulated.insight
    ledger = replace(insight.ledger, limit=1500, host=250, undetermined=1, memory=4.5)

    def lost(measured: bool) -> dict[str, float]:
        found = families(replace(insight, ledger=ledger, measured=measured), state, simulated.now)
        return values(next(family for family in found if family.metric is catalogue.CPU_LOST))

    of_cpu = {"limit": 1.5, "host": 0.25, "undetermined": 0.001}
    assert lost(measured=True) == {**of_cpu, "memory": 4.5}
    assert lost(measured=False) == of_cpu


def test_lost_time_of_memory_goes_with_a_round_that_is_stale_though_polls_are_good() -> None:
    simulated = Simulated("cpu-limit").run(300)
    state, insight = simulated.poller.state, replace(simulated.insight, measured=True)
    extended = state.extended
    assert extended is not None

    def causes(read: float) -> set[str]:
        """With a round that was read at ``read``."""
        then = replace(state, extended=replace(extended, read_monotonic=read))
        found = families(insight, then, simulated.now)
        return set(values(next(family for family in found if family.metric is catalogue.CPU_LOST)))

    of_cpu = {"limit", "host", "undetermined"}
    assert causes(simulated.now) == {*of_cpu, "memory"}
    assert causes(simulated.now - 3600) == of_cpu


def test_a_host_without_extended_statistics_has_no_memory_cause() -> None:
    lost = values(found(Simulated("older-host").run(60))["vmguest_cpu_lost_seconds_total"])
    assert set(lost) == {"limit", "host", "undetermined"}


def test_one_state_is_one() -> None:
    page = found(Simulated("cpu-limit").run(60))
    assert values(page["vmguest_cpu_limit_state"]) == {
        "none": 0,
        "not_binding": 0,
        "binding": 0,
        "throttling": 1,
    }
    assert values(page["vmguest_memory_limit_state"]) == {
        "none": 1,
        "not_binding": 0,
        "binding": 0,
        "reclaiming": 0,
    }


def test_what_is_ahead_of_the_guest() -> None:
    page = found(Simulated("reclaim").run(300))
    assert one(page["vmguest_memory_reclaim_pending_bytes"]) == 2 * 2**30
    assert one(page["vmguest_memory_reclaim_deficit_bytes"]) == 2 * 2**30
    assert one(page["vmguest_memory_reclaim_worst_case_bytes"]) == (5324 - 2048) * 2**20


def test_what_rests_on_stale_numbers_goes_with_them_and_counts_of_our_own_stay() -> None:
    simulated = Simulated("changed-limit").run(120)
    before = set(found(simulated))
    simulated.now += 1000
    after = set(found(simulated))
    gone = {row.prometheus for row in catalogue.INSIGHT_METRICS} & (before - after)
    assert gone == {
        "vmguest_cpu_lost_seconds_total",
        "vmguest_cpu_limit_state",
        "vmguest_memory_limit_state",
        "vmguest_memory_reclaim_pending_bytes",
        "vmguest_memory_reclaim_worst_case_bytes",
        "vmguest_memory_reclaim_deficit_bytes",
        "vmguest_guest_steal_seconds_total",
    }
    assert values(found(simulated)["vmguest_setting_changes_total"])["cpu_limit"] == 1


def test_the_refresh_interval_is_absent_until_it_is_measured() -> None:
    assert "vmguest_host_refresh_interval_seconds" not in found(Simulated("steady").run(120))
    assert one(found(Simulated("slow-refresh").run(120))["vmguest_host_refresh_interval_seconds"]) == 20.0


def test_a_burst_shows_in_the_histogram() -> None:
    ((_, histogram),) = found(Simulated("burst", 1.0).run(300))["vmguest_cpu_stolen_ratio"].histograms
    assert histogram.count == 300
    high = histogram.count - histogram.counts[histogram.bounds.index(0.1)]
    assert high == 20, "two seconds of every thirty"


@pytest.mark.parametrize("form", [TEXT, OPENMETRICS])
def test_it_is_at_most_sixty_series(form: Format) -> None:
    """As Prometheus stores them: each line of the page is one, when a counter began included."""
    bare = Simulated("slow-refresh").run(600)
    page = form.page(VMGuestCollector(bare.published.collect))
    bare.published._insight = lambda: None
    series = samples(page) - samples(form.page(VMGuestCollector(bare.published.collect)))
    assert len(series) == 54
    assert len(series) <= 60


def samples(page: bytes) -> set[str]:
    return {line.rpartition(" ")[0] for line in page.decode().splitlines() if not line.startswith("#")}


def test_without_insight_there_is_none() -> None:
    simulated = Simulated("steady").run(60)
    simulated.published._insight = lambda: None
    assert not {row.prometheus for row in catalogue.INSIGHT_METRICS} & set(found(simulated))
