"""Both formats against prometheus_client as referee, and the page that is written once per state."""

from __future__ import annotations

import gzip as standard
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from exporter import catalogue
from exporter.catalogue import STATISTICS, Wire
from exporter.machine.guest import Guest
from exporter.metrics.collector import Options
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.prometheus import MAX_AGE, OPENMETRICS, TEXT, Page, gzip, number
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.simulator.scenarios import SCENARIOS
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, PollState, Snapshot, SourceInfo, Value

SESSION = 0x1122334455667788
START = 1_700_000_000.0


def number_of(value: int) -> dict[str, Value]:
    """Every statistic of the catalogue with the same number."""
    return {row.key: value for row in STATISTICS if row.wire in (Wire.U32, Wire.U64)}


EXTENDED = ExtendedSnapshot(
    SESSION,
    {
        "session": (ExtendedValue("version", 'VMware "ESXi" 8\\0\n3'),),
        "host": (ExtendedValue("cpu.model", "Ω"),),
        "resources": (
            ExtendedValue("vm.cpu.contention.cpu", 2_500_000, "accumulate", "us"),
            ExtendedValue("vm.numa.local", 4096, "instant", "KB"),
        ),
        "vscsi scsi0:0": (ExtendedValue("reads", 10**9, "accumulate", "commands"),),
        "vnet 00:50:56:00:00:01": (ExtendedValue("limit", -1, "static", "MBps"),),
    },
    START + 59,
    500.0,
)


def state_with(values: dict[str, Value], **changes: object) -> PollState:
    state = PollState(
        started=START - 1,
        interval=5.0,
        snapshot=Snapshot(SESSION, 3, values),
        read_time=START + 59.5,
        read_monotonic=500.0,
        session_start=START,
        polls=3,
        source=SourceInfo("guestrpc", "vsock", "3"),
    )
    return replace(state, **changes)  # type: ignore[arg-type]


STATES = {
    "nothing yet": PollState(started=START, interval=5.0),
    "zeros": state_with(number_of(0)),
    "ones": state_with(number_of(1)),
    "32 bits": state_with(number_of(2**32 - 1)),
    "64 bits": state_with(number_of(2**64 - 1)),
    "a pool's path": state_with({"resource_pool_path": 'host/"user"\\pool\n7 Ω'}),
    "extended": state_with(
        number_of(7), extended=EXTENDED, extended_up=True, extended_interval=15.0, extended_dropped=1
    ),
    "failed": state_with(number_of(5), last_error="timeout", errors={"timeout": 1}),
    "stale": state_with(number_of(5), read_monotonic=400.0),
}


def extra() -> list[Family]:
    return [Family(catalogue.OTLP_EXPORTS, (Point(3.0, (("outcome", "good"),), START),))]


def collector_of(state: PollState, **others: object) -> Published:
    settings: dict[str, object] = {
        "options": Options(expose_identity=True, deprecated_metrics=True),
        "others": (extra,),
        "guest": lambda: Guest(4, 2**33),
        "wall": lambda: START + 60,
        "monotonic": lambda: 501.0,
    }
    return Published(lambda: state, **(settings | others))  # type: ignore[arg-type]


def registry_of(collector: object) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)  # type: ignore[arg-type]
    return registry


def polled(scenario: str) -> PollState:
    """The state after three minutes on a simulated host: every statistic, basic and extended."""
    now = [1000.0]

    def clock() -> float:
        return now[0]

    def wall() -> float:
        return START + now[0]

    source = WireSource(in_process(scenario, clock=clock), 5.0, source="simulated")
    reader = ExtendedReader(15.0, clock=clock, wall=wall)
    poller = Poller(source, 5.0, clock=clock, wall=wall, extended=reader)
    for _ in range(36):
        poller.poll()
        poller.poll_extended(now[0] + 5)
        now[0] += 5
    source.close()
    return replace(poller.state, read_monotonic=500.0)


@pytest.fixture(params=[*STATES, *SCENARIOS])
def collector(request: pytest.FixtureRequest) -> Published:
    name = request.param
    return collector_of(STATES[name] if name in STATES else polled(name))


def generate_openmetrics(registry: object) -> bytes:
    page: bytes = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
    return page


def parse_openmetrics(page: str) -> list[Metric]:
    return list(parser.text_string_to_metric_families(page))  # type: ignore[no-untyped-call]


class TestAgainstPrometheusClient:
    def test_our_text_is_its_text_byte_for_byte(self, collector: Published) -> None:
        assert TEXT.page(collector.collect()) == generate_latest(registry_of(collector))

    def test_our_openmetrics_is_its_openmetrics_byte_for_byte(self, collector: Published) -> None:
        assert OPENMETRICS.page(collector.collect()) == generate_openmetrics(registry_of(collector))

    def test_its_openmetrics_parser_accepts_the_page_and_reads_it_back(self, collector: Published) -> None:
        page = OPENMETRICS.page(collector.collect()).decode()
        assert flat(parse_openmetrics(page)) == flat(collector.collect())

    def test_its_text_parser_reads_every_sample_back(self, collector: Published) -> None:
        page = TEXT.page(collector.collect()).decode()
        assert sorted(flat(parse_text(page))) == sorted(flat(collector.collect()))

    def test_content_types_are_its_content_types(self) -> None:
        assert TEXT.content_type == CONTENT_TYPE_PLAIN_0_0_4
        assert OPENMETRICS.content_type == exposition.CONTENT_TYPE_LATEST


def flat(families: Iterable[object]) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    return [
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in families
        for sample in family.samples  # type: ignore[attr-defined]
    ]


class Fixed:
    """A collector of given metrics."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['"', "\\", "\n", '\\n"', "\r\t\0"]
)
values = st.floats() | st.integers(-(2**64), 2**64) | st.sampled_from([1e6, 999999.0, 1e15, 1e16, -1e7, 0.1])


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    name, text = draw(names), draw(texts)
    kind: type[Metric] = draw(
        st.sampled_from(
            [
                GaugeMetricFamily,
                CounterMetricFamily,
                UnknownMetricFamily,
                InfoMetricFamily,
                SummaryMetricFamily,
                StateSetMetricFamily,
                HistogramMetricFamily,
                GaugeHistogramMetricFamily,
            ]
        )
    )
    labels = draw(st.lists(names, max_size=3, unique=True))
    family: Any = kind(name, text, labels=labels)  # type: ignore[call-arg]
    if draw(st.booleans()):
        family.unit = draw(st.sampled_from(["seconds", "bytes"]))
    for _ in range(draw(st.integers(0, 3))):
        at = [draw(texts) for _ in labels]
        if isinstance(family, CounterMetricFamily):
            family.add_metric(at, draw(values), created=draw(st.none() | values))
        elif isinstance(family, GaugeMetricFamily | UnknownMetricFamily):
            family.add_metric(at, draw(values))
        elif isinstance(family, InfoMetricFamily):
            family.add_metric(at, draw(st.dictionaries(names, texts, max_size=3)))
        elif isinstance(family, SummaryMetricFamily):
            family.add_metric(at, draw(st.integers(0, 9)), draw(values))
        elif isinstance(family, StateSetMetricFamily):
            family.add_metric(at, draw(st.dictionaries(texts, st.booleans(), max_size=3)))
        else:
            family.add_metric(at, [("0.5", draw(values)), ("+Inf", draw(values))], draw(values))
    found: Metric = family
    return found


class TestAnyMetric:
    @given(st.lists(metrics(), max_size=3))
    def test_text(self, families: list[Metric]) -> None:
        fixed = Fixed(*families)
        assert TEXT.page(fixed.collect()) == generate_latest(fixed)

    @given(st.lists(metrics(), max_size=3))
    def test_openmetrics(self, families: list[Metric]) -> None:
        fixed = Fixed(*families)
        assert OPENMETRICS.page(fixed.collect()) == generate_openmetrics(fixed)

    @given(values)
    @example(1000000)
    @example(9999999.5)
    @example(123456789.125)
    @example(1e22)
    @example(-0.0)
    def test_numbers_are_printed_as_go_prints_them(self, value: float) -> None:
        assert number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]
        read = float(number(value))
        assert read == float(value) or math.isnan(read)

    def test_a_lone_surrogate_does_not_take_the_page_down(self) -> None:
        bad = Family(catalogue.SESSION, (Point(1.0, (("session_id", "a\ud800b"),)),))
        assert b'{session_id="a?b"} 1.0\n' in TEXT.page([bad])


@given(st.binary(max_size=5000))
def test_gzip_is_gzip(data: bytes) -> None:
    assert standard.decompress(gzip(data)) == data


class World:
    """A poller's slot and a clock, moved by hand; counts what was asked for."""

    def __init__(self) -> None:
        self.state = state_with(number_of(1))
        self.now = 500.0
        self.polled = 0
        self.others = 0
        self.page = Page(
            Published(
                lambda: self.state,
                others=(self.other,),
                guest=self.guest,
                wall=lambda: START + 60,
                monotonic=lambda: self.now,
            )
        )

    def guest(self) -> Guest:
        self.polled += 1
        return Guest(2, 2**30)

    def other(self) -> list[Family]:
        self.others += 1
        return [Family(catalogue.OTLP_QUEUE_LENGTH, (Point(float(self.others)),))]

    def text(self) -> str:
        return self.page.body(TEXT, compressed=False).decode()


@pytest.fixture
def world() -> World:
    return World()


class TestPage:
    def test_a_thousand_scrapes_of_one_state_are_one_rendering(self, world: World) -> None:
        bodies = {id(world.page.body(OPENMETRICS, compressed=True)) for _ in range(1000)}
        assert len(bodies) == 1
        assert (world.polled, world.others) == (1, 1)

    def test_both_formats_and_gzip_come_from_one_collection(self, world: World) -> None:
        pages = {
            (form, compressed): world.page.body(form, compressed=compressed)
            for form in (TEXT, OPENMETRICS)
            for compressed in (False, True)
        }
        assert standard.decompress(pages[TEXT, True]) == pages[TEXT, False]
        assert standard.decompress(pages[OPENMETRICS, True]) == pages[OPENMETRICS, False]
        assert pages[OPENMETRICS, False].endswith(b"# EOF\n")
        assert (world.polled, world.others) == (1, 1)

    def test_it_is_what_the_collector_gives(self) -> None:
        for state in STATES.values():
            collector = collector_of(state)
            for form in (TEXT, OPENMETRICS):
                assert Page(collector).body(form, compressed=False) == form.page(collector.collect())

    def test_a_new_state_shows_at_once(self, world: World) -> None:
        assert "vmguest_polls_total 3.0\n" in world.text()
        world.state = replace(world.state, polls=4)
        assert "vmguest_polls_total 4.0\n" in world.text()
        assert world.polled == 2

    def test_while_a_poll_hangs_the_page_still_turns_stale(self, world: World) -> None:
        """Nothing new is published then: the clock alone decides."""
        assert "vmguest_up 1.0\n" in world.text()
        world.now += 15.0
        assert "vmguest_cpu_used_seconds_total " in world.text()
        world.now += 0.001
        stale = world.text()
        assert "vmguest_up 0.0\n" in stale
        assert "vmguest_cpu_used_seconds_total " not in stale
        assert world.polled == 2

    def test_stale_extended_statistics_leave_alone(self, world: World) -> None:
        world.state = replace(
            world.state,
            interval=60.0,
            extended=replace(EXTENDED, read_monotonic=330.0),
            extended_interval=1.0,
        )
        assert "vmguest_numa_memory_bytes" in world.text()
        world.now += 11.0
        page = world.text()
        assert "vmguest_numa_memory_bytes" not in page
        assert "vmguest_cpu_used_seconds_total " in page

    def test_what_does_not_come_with_a_poll_is_at_most_a_second_old(self, world: World) -> None:
        assert "vmguest_otlp_queue_length 1.0\n" in world.text()
        world.now += MAX_AGE
        assert "vmguest_otlp_queue_length 1.0\n" in world.text()
        world.now += 0.001
        assert "vmguest_otlp_queue_length 2.0\n" in world.text()
        assert world.polled == 1, "the poll's part is not written again"
