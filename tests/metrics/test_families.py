"""The neutral form, and what prometheus_client makes of it."""

from __future__ import annotations

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from exporter import catalogue
from exporter.catalogue import Kind, Unit
from exporter.clock import OWN, UNSEEN, Instant, Life
from exporter.metrics.families import Family, Point, begun, counted
from exporter.outputs.prometheus import as_metric
from exporter.snapshot import Histogram


def test_a_lone_surrogate_in_a_labels_value_becomes_a_question_mark() -> None:
    assert Point(1.0, (("path", "a\ud800b"), ("name", "Ω"))).labels == (("path", "a?b"), ("name", "Ω"))


def test_a_gauge_is_prometheus_clients_gauge() -> None:
    family = Family(catalogue.GUEST_MEMORY, (Point(4096.0),))
    theirs = GaugeMetricFamily("vmguest_guest_memory", family.metric.help, value=4096.0, unit="bytes")
    assert as_metric(family) == theirs


def test_a_counter_carries_total_and_created_of_each_point() -> None:
    family = Family(
        catalogue.CPU_CONTENTION,
        (Point(1.5, (("cause", "cpu"),), 1000.25), Point(0.5, (("cause", "memory"),), 1000.25)),
    )
    theirs = CounterMetricFamily(
        "vmguest_cpu_contention", family.metric.help, labels=["cause"], unit="seconds"
    )
    theirs.add_metric(["cpu"], 1.5, created=1000.25)
    theirs.add_metric(["memory"], 0.5, created=1000.25)
    assert as_metric(family) == theirs


def test_a_counter_without_a_known_start_has_no_created_sample() -> None:
    assert [sample.name for sample in as_metric(Family(catalogue.POLLS, (Point(1.0),))).samples] == [
        "vmguest_polls_total"
    ]


def test_a_start_that_the_catalogue_keeps_to_itself_has_no_created_sample() -> None:
    (metric,) = {each for each in catalogue.METRICS if not each.created}
    family = Family(metric, (Point(1.0, (("setting", "cpu_limit"),), 1000.25),))
    assert [sample.name for sample in as_metric(family).samples] == ["vmguest_setting_changes_total"]


@pytest.mark.parametrize(
    "life",
    [UNSEEN, Life(3, 900.0, 400.0, alone=True), Life(3, None, 400.0, alone=True), Life(3, 900.0)],
    ids=["as first seen", "fell by itself", "fell, by a clock that is not set", "fell before this process"],
)
def test_what_counts_on_the_host_never_began_before_our_eyes(life: Life) -> None:
    """After a dip of a millisecond the life of a host is not what was counted since the reading before."""
    host = catalogue.BY_KEY["host_cpu_used"].metric
    point = counted(host, 10**7 + 0.004, (), life, 0x2A)
    assert (point.created, point.life.start, point.life.since) == (None, None, None)
    assert (point.life.number, point.labels) == (life.number, (("session_id", "0x2a"),))
    session = counted(catalogue.CPU_CONTENTION, 5.0, (), life, 0x2A)
    assert (session.created, session.life, session.labels) == (life.start, life, ())


def test_only_what_this_process_counts_about_itself_begins_with_it() -> None:
    session = Life(1, 900.0)
    unknown = Life(1, None)
    lived = (
        Point(1.0, life=session, created=900.0),
        Point(2.0, life=unknown),
        Point(3.0, life=UNSEEN),
        Point(4.0),
    )
    family = Family(catalogue.CPU_CONTENTION, lived, 1000.0, monotonic=500.0)
    gauge = Family(catalogue.GUEST_MEMORY, (Point(4096.0),))
    found = [*begun((family, gauge), 100.25, Instant(1001.0, 501.0))]
    assert found[1] == gauge
    assert [point.created for point in found[0].points] == [900.0, None, None, 100.25]
    assert [point.life for point in found[0].points] == [session, unknown, UNSEEN, OWN]
    assert (found[0].time, found[0].monotonic) == (1000.0, 500.0)


def test_what_was_read_before_its_beginning_was_known_has_the_time_of_the_clock_that_was_set_since() -> None:
    read, now = Instant(30.0, 500.0), Instant(1_700_000_005.0, 505.0)
    for start, time in ((1_699_999_000.0, 1_700_000_000.0), (1_700_000_002.0, 1_700_000_002.0), (None, 30.0)):
        point = counted(catalogue.CPU_CONTENTION, 5.0, (), Life(1, start), 0x2A, read, now)
        assert point.read == Instant(time, 500.0)
        (own,) = begun(
            (Family(catalogue.CPU_LOST, (Point(1.0, read=read),), 30.0, monotonic=500.0),), start, now
        )
        assert (own.time, own.points[0].read) == (time, Instant(time, 500.0))


def test_an_info_family_has_the_value_one_and_its_suffix() -> None:
    family = as_metric(Family(catalogue.SESSION, (Point(1.0, (("session_id", "0x1"),)),)))
    assert (family.type, family.unit, family.name) == ("info", "", "vmguest_session")
    assert [tuple(sample[:3]) for sample in family.samples] == [
        ("vmguest_session_info", {"session_id": "0x1"}, 1.0)
    ]


def test_a_histogram_is_prometheus_clients_histogram() -> None:
    histogram = Histogram.empty((0.001, 0.1, 1.0))
    for seconds in (0.0005, 0.05, 0.05, 7.0):
        histogram = histogram.observe(seconds)
    family = Family(catalogue.POLL_DURATION, (), histograms=(((), histogram),))
    theirs = HistogramMetricFamily(
        "vmguest_poll_duration",
        family.metric.help,
        buckets=[("0.001", 1), ("0.1", 3), ("1.0", 3), ("+Inf", 4)],
        sum_value=7.1005,
        unit="seconds",
    )
    assert as_metric(family) == theirs


def test_each_histogram_of_a_family_has_its_labels() -> None:
    empty = Histogram.empty((1.0,))
    seen = ((("seen_by", "host_clock"),), empty.observe(2.0)), ((("seen_by", "wakeup"),), empty)
    family = as_metric(Family(catalogue.PAUSE, (), histograms=seen))
    counts = {
        sample.labels["seen_by"]: sample.value for sample in family.samples if sample.name.endswith("_count")
    }
    assert counts == {"host_clock": 1.0, "wakeup": 0.0}


def test_a_timestamp_metrics_unit_is_seconds_and_ends_its_name() -> None:
    family = as_metric(Family(catalogue.LAST_POLL, (Point(1.0),)))
    assert (family.name, family.unit) == ("vmguest_last_poll_timestamp_seconds", "seconds")


def test_every_unit_is_the_suffix_of_its_familys_name() -> None:
    """OpenMetrics 1.0: a unit must be the last part of the family's name; info has none."""
    for metric in catalogue.METRICS:
        assert metric.unit.prometheus == "" or metric.family.endswith(f"_{metric.unit.prometheus}")
        if metric.kind is Kind.INFO:
            assert metric.unit is Unit.NONE


def test_what_was_read_before_the_clock_was_set_back_is_dated_by_the_clock_that_its_start_has() -> None:
    """Found by a stranger: a point an hour after its start, of a session of minutes."""
    life = Life(1, 1_700_000_000.0 - 3600, 100.0)
    read, now = Instant(1_700_000_400.0, 500.0), Instant(1_700_000_405.0 - 3600, 505.0)
    point = counted(catalogue.BY_KEY["cpu_used"].metric, 5.0, (), life, 7, read, now)
    assert point.read == Instant(1_700_000_400.0 - 3600, 500.0)
    later = Instant(1_700_000_410.0, 510.0)
    assert counted(catalogue.BY_KEY["cpu_used"].metric, 5.0, (), life, 7, later, now).read == later, (
        "after that look"
    )
