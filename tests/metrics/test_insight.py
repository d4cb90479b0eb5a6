"""What was worked out, as it is published: present with what it rests on, absent where that is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics.export import NumberDataPoint

from exporter import catalogue
from exporter.clock import Instant
from exporter.metrics.families import Family
from exporter.metrics.insight import families
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Reader
from exporter.outputs.otlp.settings import Temporality
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

    def lost(measured: Instant | None) -> dict[str, float]:
        found = families(replace(insight, ledger=ledger, measured=measured), state, simulated.now)
        return values(next(family for family in found if family.metric is catalogue.CPU_LOST))

    of_cpu = {"limit": 1.5, "host": 0.25, "undetermined": 0.001}
    assert lost(Instant(simulated.wall(), simulated.now)) == {**of_cpu, "memory": 4.5}
    assert lost(None) == of_cpu


def test_lost_time_of_memory_goes_with_a_round_that_is_stale_though_polls_are_good() -> None:
    simulated = Simulated("cpu-limit").run(300)
    state, insight = (
        simulated.poller.state,
        replace(simulated.insight, measured=Instant(simulated.wall(), simulated.now)),
    )
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


COUNTED_HERE = {
    catalogue.SETTING_CHANGES,
    catalogue.STOLEN_RATIO,
    catalogue.MEMORY_CONTENTION_RATIO,
    catalogue.PAUSE,
}


def test_what_follows_from_a_reading_has_its_time_and_goes_when_it_is_stale() -> None:
    """An export that comes later than the poll says nothing of the time between; what is counted here does."""
    simulated = Simulated("noisy-neighbour", interval=2.0, pauses=True)
    simulated.run(600)
    read, asked = simulated.poller.state.read_time, simulated.insight.guest_read.wall
    simulated.now += 1
    insight, state = simulated.insight, simulated.poller.state
    shown = [*families(replace(insight, refresh=2.0), state, simulated.now)]
    of_guest = {catalogue.GUEST_STEAL, catalogue.GUEST_STEAL_ACCOUNTING}
    times = {family.metric: family.time for family in shown}
    assert times.keys() >= of_guest
    assert {
        catalogue.CPU_LOST,
        catalogue.CPU_LIMIT_STATE,
        catalogue.MEMORY_LIMIT_STATE,
        catalogue.REFRESH_INTERVAL,
    } <= times.keys()
    for metric, time in times.items():
        assert time == (0.0 if metric in COUNTED_HERE else asked if metric in of_guest else read), metric
    stays = {family.metric for family in families(insight, state, simulated.now + 1000)}
    assert stays == {metric for metric, time in times.items() if not time}


def differences(simulated: Simulated, export: float, cause: str) -> list[tuple[float, float]]:
    """Of lost time, exported as differences every ``export`` seconds and oftener than that polled or not: value, window."""
    reader, converter = Reader(simulated.published), Converter(Temporality.DELTA, {})
    found, due = [], simulated.now
    for _ in range(60):
        if simulated.now >= due:
            simulated.poll()
            due += simulated.poller.state.interval
        data = converter.convert(reader.collect())
        converter.settle(ExportResult(Outcome.SUCCESS))
        simulated.now += export
        found += [
            (point.value, (point.time_unix_nano - point.start_time_unix_nano) / 1e9)
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "vmguest.cpu.lost"
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint) and point.attributes == {"cause": cause}
        ]
    return found


@pytest.mark.parametrize(
    ("interval", "export", "cause", "window"), [(60.0, 10.0, "host", 60.0), (5.0, 5.0, "memory", 15.0)]
)
def test_a_difference_of_lost_time_is_over_the_time_between_two_readings(
    interval: float, export: float, cause: str, window: float
) -> None:
    """Oftener than it is read, it was all in one window of the export, and nothing in those after it."""
    found = differences(Simulated("noisy-neighbour", interval), export, cause)
    assert len(found) > 5
    assert [length for _, length in found[1:]] == pytest.approx([window] * (len(found) - 1))


def test_lost_time_is_never_read_before_its_beginning() -> None:
    """A guest that came up in 1970, was polled, and is set before the export: by that clock, when it was polled."""
    simulated = Simulated("steady")
    simulated.set_by = -START
    simulated.run(30)
    simulated.set_by = 0.0
    lost = found(simulated)["vmguest_cpu_lost_seconds_total"]
    begun = {point.created for point in lost.points}
    assert begun == {START + 1000.0}
    assert lost.time == START + lost.monotonic > START + 1000.0
    assert {point.read.wall for point in lost.points if point.read} == {START + lost.monotonic}
