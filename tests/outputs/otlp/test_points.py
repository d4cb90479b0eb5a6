from __future__ import annotations

import math
import time

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.version import __version__ as sdk_version

from exporter import __version__
from exporter.catalogue import BY_KEY, OTLP_EXPORTS, PAUSE, POLL_DURATION, SESSION, SESSION_START, STATISTICS
from exporter.clock import UNSEEN, Instant, Life, Lives
from exporter.metrics.collector import collect
from exporter.metrics.extended import families
from exporter.metrics.families import Family, Point, counted
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.settings import Temporality
from exporter.session.epoch import SessionClock
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Histogram, PollState, Snapshot

STARTED, READ, NOW = 1000.0, 1100.25, 1101.5
CUMULATIVE, DELTA = 2, 1
"""Of the protocol's AggregationTemporality."""
OK = ExportResult(Outcome.SUCCESS)


def encode(converter: Converter, *families: Family, now: float = NOW) -> ExportMetricsServiceRequest:
    began = Life(0, STARTED, 0.0)
    return encode_metrics(converter.convert(Batch(Instant(now, now - STARTED), families, began)))


def metrics(converter: Converter, *families: Family, now: float = NOW) -> dict[str, Metric]:
    (resource,) = encode(converter, *families, now=now).resource_metrics
    (scope,) = resource.scope_metrics
    return {each.name: each for each in scope.metrics}


def cumulative() -> Converter:
    return Converter(Temporality.CUMULATIVE, {"host.name": "vm1"})


USED = BY_KEY["cpu_used"].metric
HOST_USED = BY_KEY["host_cpu_used"].metric
LIMIT = BY_KEY["cpu_limit"].metric


def used(value: float, created: float | None = 10.5, time: float = READ, life: Life = UNSEEN) -> Family:
    return Family(USED, (Point(value, (), created, life),), time, monotonic=time - STARTED)


@pytest.mark.parametrize("temporality", Temporality)
def test_a_statistic_of_a_slow_round_has_the_time_of_its_own_answer(temporality: Temporality) -> None:
    """Two rounds that end 22 s apart, since disks hang in the second one; the counter was read after 15 s."""
    key, name = "vm.cpu.contention.mem", "vmguest.cpu.contention"
    converter = Converter(temporality, {})
    for read, ended in ((1000.0, 1001.0), (1015.0, 1023.0)):
        groups = {
            "vscsi scsi0:0": (ExtendedValue("reads", 1, "accumulate", "commands"),),
            "resources": (ExtendedValue(key, int(read * 1e6), "accumulate", "us"),),
        }
        answered = {"resources": Instant(read + STARTED, read)}
        extended = ExtendedSnapshot(1, groups, ended + STARTED, ended, answered)
        found = metrics(
            converter, *families(extended, lives=Lives(Life(1, STARTED, 0.0))), now=ended + STARTED
        )
        converter.settle(OK)
        (point,) = found[name].sum.data_points
        assert point.time_unix_nano == (read + STARTED) * 1e9
        assert (
            found["vmguest.disk.reads_commands"].sum.data_points[0].time_unix_nano == (ended + STARTED) * 1e9
        )
    began, added = (1000.0, 15.0) if temporality.delta_sums else (0.0, 1015.0)
    assert (point.start_time_unix_nano, point.as_double) == ((began + STARTED) * 1e9, added)


def test_a_counter_is_a_monotonic_sum_since_the_session_began_at_the_time_of_the_read() -> None:
    metric = metrics(cumulative(), used(5.125))["vmguest.cpu.used"]
    assert (metric.unit, metric.description) == ("s", USED.help)
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, CUMULATIVE)
    (point,) = metric.sum.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (10_500_000_000, 1_100_250_000_000)
    assert point.as_double == 5.125


def test_a_level_is_a_gauge_and_no_limit_is_infinite() -> None:
    metric = metrics(cumulative(), Family(LIMIT, (Point(math.inf),), READ))["vmguest.cpu.limit"]
    assert metric.unit == "Hz"
    (point,) = metric.gauge.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano) == (0, 1_100_250_000_000)
    assert point.as_double == math.inf


def test_every_value_is_a_double_so_that_a_series_keeps_its_type() -> None:
    point = metrics(cumulative(), Family(LIMIT, (Point(2_000_000_000),)))[
        "vmguest.cpu.limit"
    ].gauge.data_points[0]
    assert point.WhichOneof("value") == "as_double"


def test_what_the_exporter_says_of_itself_is_as_of_now_and_since_its_own_start() -> None:
    counts = Family(
        OTLP_EXPORTS,
        (Point(3.0, (("outcome", "success"),), STARTED), Point(0.0, (("outcome", "failed"),), STARTED)),
    )
    success, failed = metrics(cumulative(), counts)["vmguest.otlp.exports"].sum.data_points
    assert (success.start_time_unix_nano, success.time_unix_nano) == (1000 * 10**9, 1_101_500_000_000)
    assert [(each.key, each.value.string_value) for each in failed.attributes] == [("outcome", "failed")]


def test_words_are_a_gauge_of_1_with_attributes() -> None:
    family = Family(SESSION, (Point(1.0, (("session_id", "0x2a"),)),), READ)
    (point,) = metrics(cumulative(), family)["vmguest.session.info"].gauge.data_points
    assert (point.attributes[0].value.string_value, point.as_double) == ("0x2a", 1)


def test_a_point_in_time_keeps_its_name_and_seconds() -> None:
    metric = metrics(cumulative(), Family(SESSION_START, (Point(10.5),), READ))[
        "vmguest.session.start_timestamp"
    ]
    assert (metric.unit, metric.gauge.data_points[0].as_double) == ("s", 10.5)


def test_a_histogram_counts_between_its_bounds() -> None:
    family = Family(POLL_DURATION, (), histograms=(((), Histogram((0.1, 1.0), (2, 5), 6, 9.5)),))
    metric = metrics(cumulative(), family)["vmguest.poll.duration"]
    assert metric.histogram.aggregation_temporality == CUMULATIVE
    (point,) = metric.histogram.data_points
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.1, 1.0], [2, 3, 1])
    assert (point.count, point.sum, point.HasField("min"), point.HasField("max")) == (6, 9.5, False, False)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (1000 * 10**9, 1_101_500_000_000)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_each_histogram_of_a_family_is_a_point_of_its_own(temporality: str) -> None:
    converter = Converter(Temporality(temporality), {})
    for wakeups in (1, 3):
        seen = [
            ("host_clock", Histogram((1.0,), (2,), 2, 1.0)),
            ("wakeup", Histogram((1.0,), (0,), wakeups, 9.0)),
        ]
        family = Family(PAUSE, (), histograms=tuple(((("seen_by", word),), each) for word, each in seen))
        points = metrics(converter, family)["vmguest.pause"].histogram.data_points
        converter.settle(OK)
    found = {point.attributes[0].value.string_value: point.count for point in points}
    assert found == (
        {"host_clock": 2, "wakeup": 3} if temporality == "cumulative" else {"host_clock": 0, "wakeup": 2}
    )


def test_an_unknown_start_is_the_first_points_time_and_stays_that_of_the_life() -> None:
    """Also where it becomes known: a start that moves is taken for a restart."""
    converter = cumulative()

    def start(value: float, created: float | None, time: float, life: Life = UNSEEN) -> float:
        family = used(value, created, time, life)
        (point,) = metrics(converter, family)["vmguest.cpu.used"].sum.data_points
        converter.settle(OK)
        assert point.as_double == value
        return float(point.start_time_unix_nano / 1e9)

    assert [start(5, None, 1100), start(7, None, 1105), start(8, 900, 1110)] == [1100] * 3
    assert start(9, None, 1050) == 1050, "the wall clock was set back"
    assert start(10, None, 1055) == 1050
    assert start(1, None, 1060, Life(2)) == 1060
    assert start(2, 1061, 1065, Life(3)) == 1061


@pytest.mark.parametrize(
    ("result", "taken"),
    [
        (OK, True),
        (ExportResult(Outcome.PARTIAL, refused_points=1), True),
        (ExportResult(Outcome.PARTIAL, refused_points=2), False),
        (ExportResult(Outcome.FAILED, "503"), False),
        (ExportResult(Outcome.REJECTED, "500"), False),
        (ExportResult(Outcome.REJECTED, "400", data_refused=True), False),
    ],
)
def test_the_first_point_with_its_own_time_as_start_is_the_first_that_is_taken(
    result: ExportResult, *, taken: bool
) -> None:
    """To whoever never saw an earlier one, the whole value would seem to have come since that."""
    converter = cumulative()

    def starts(time: float) -> set[float]:
        families = (used(17e6, None, time), Family(HOST_USED, (Point(5.0, (), None, UNSEEN),), time))
        return {
            each.sum.data_points[0].start_time_unix_nano / 1e9
            for each in metrics(converter, *families, now=time).values()
        }

    assert starts(1100.0) == {1100.0}
    converter.settle(result)
    for _ in range(2):
        assert starts(1105.0) == {1100.0 if taken else 1105.0}
    converter.settle(OK)
    assert starts(1110.0) == {1100.0 if taken else 1105.0}


def test_the_resource_and_the_scope_say_who_sends() -> None:
    (resource,) = encode(cumulative(), used(1)).resource_metrics
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == {
        "host.name": "vm1",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
    }
    scope = resource.scope_metrics[0].scope
    assert (scope.name, scope.version) == ("vmguest-exporter", __version__)


def test_a_session_change_moves_the_start_and_no_difference_is_negative() -> None:
    """The reason why the SDK's observable instruments are not used."""
    converter = Converter(Temporality.DELTA, {})
    seen = []
    first, second = Life(1, 10.0), Life(2, 1108.0, 108.0)
    for value, life, read in [
        (900.0, first, 1100),
        (905.0, first, 1105),
        (2.0, second, 1110),
        (6.0, second, 1115),
    ]:
        found = metrics(converter, used(value, life.start, float(read), life))
        if "vmguest.cpu.used" in found:
            sum_ = found["vmguest.cpu.used"].sum
            assert sum_.aggregation_temporality == DELTA
            (point,) = sum_.data_points
            start, end = point.start_time_unix_nano // 10**9, point.time_unix_nano // 10**9
            seen.append((point.as_double, start, end))
        converter.settle(OK)
    assert seen == [(5, 1100, 1105), (2, 1108, 1110), (4, 1110, 1115)]


@pytest.mark.parametrize(
    ("temporality", "points"),
    [
        # Value, start and end by the monotonic clock.
        ("cumulative", [(9e6, 100, 100), (9e6 - 0.001, 105, 105), (9e6 + 2, 105, 110), (3, 115, 115)]),
        ("delta", [None, None, (2.001, 105, 110), None]),
    ],
)
def test_a_host_counter_that_falls_begins_unseen(
    temporality: str, points: list[tuple[float, float, float] | None]
) -> None:
    """A dip of a millisecond brought the host's whole life as growth; so did a fall along with that of elapsed."""
    converter, clock = Converter(Temporality(temporality), {}), SessionClock()
    wall = 1_700_000_000
    seen: list[tuple[float, float, float] | None] = []
    for at, elapsed, used_ms in [
        (100, 60_000, 9 * 10**9),
        (105, 65_000, 9 * 10**9 - 1),
        (110, 70_000, 9 * 10**9 + 2000),
        (115, 1_000, 3000),
    ]:
        clock.read(Snapshot(42, 3, {"elapsed": elapsed, "host_cpu_used": used_ms}), Instant(wall + at, at))
        life = clock.lives.of("host_cpu_used", of_host=True)
        point = counted(HOST_USED, used_ms / 1000, (), life, 42)
        found = metrics(converter, Family(HOST_USED, (point,), wall + at, monotonic=at), now=wall + at)
        sent = [each for metric in found.values() for each in metric.sum.data_points]
        seen += [
            (
                each.as_double,
                each.start_time_unix_nano / 10**9 - wall,
                each.time_unix_nano / 10**9 - wall,
            )
            for each in sent
        ] or [None]
        converter.settle(OK)
    assert [each and pytest.approx(each) for each in points] == seen


def test_a_batch_is_converted_the_same_until_it_is_accepted() -> None:
    converter = Converter(Temporality.DELTA, {})
    metrics(converter, used(900.0))
    converter.settle(OK)
    first, again = (metrics(converter, used(907.0, time=READ + 5)) for _ in range(2))
    assert first == again
    assert first["vmguest.cpu.used"].sum.data_points[0].as_double == 7


@pytest.mark.parametrize(
    ("temporality", "sums", "histograms"),
    [("cumulative", CUMULATIVE, CUMULATIVE), ("delta", DELTA, DELTA), ("lowmemory", CUMULATIVE, DELTA)],
)
def test_temporality_by_kind(temporality: str, sums: int, histograms: int) -> None:
    converter = Converter(Temporality(temporality), {})
    histogram = Family(POLL_DURATION, (), histograms=(((), Histogram((0.1,), (2,), 3, 0.5)),))
    found = metrics(converter, used(3.0, STARTED, life=Life(1, STARTED, 0.0)), histogram)
    assert found["vmguest.cpu.used"].sum.aggregation_temporality == sums
    assert found["vmguest.poll.duration"].histogram.aggregation_temporality == histograms
    converter.settle(OK)
    later = Family(POLL_DURATION, (), histograms=(((), Histogram((0.1,), (2,), 5, 0.9)),))
    (point,) = metrics(converter, later, now=NOW + 5)["vmguest.poll.duration"].histogram.data_points
    assert point.count == (2 if histograms == DELTA else 5)


def test_every_statistic_of_the_catalogue_has_its_name_unit_and_kind() -> None:
    values = {row.key: "/pool" if row.key == "resource_pool_path" else 5 for row in STATISTICS}
    now = time.time()
    state = PollState(interval=5, snapshot=Snapshot(1, 3, values), read_time=now, lives=Lives(Life(1, now)))
    families = collect(state, 0.0)
    found = metrics(cumulative(), *families)
    assert len(found) == len({family.name for family in families})
    for family in families:
        metric = found[family.metric.otlp]
        assert metric.unit == family.metric.unit.ucum
        assert metric.description == family.metric.help
        kind = {"counter": "sum", "histogram": "histogram"}.get(family.metric.kind.value, "gauge")
        assert metric.WhichOneof("data") == kind
