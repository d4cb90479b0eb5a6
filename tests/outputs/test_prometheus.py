"""Both formats read back by prometheus_client's parsers, and the page that is written once per state."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Gauge, Metric, generate_latest
from prometheus_client.openmetrics import parser
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import catalogue
from exporter.catalogue import STATISTICS, Wire
from exporter.clock import Life, Lives
from exporter.metrics.collector import Options
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.process import StandardCollector
from exporter.outputs.prometheus import MAX_AGE, OPENMETRICS, TEXT, Page, VMGuestCollector
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.in_process import in_process
from exporter.simulator.scenarios import SCENARIOS
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Guest, PollState, Snapshot, SourceInfo, Value

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
        interval=5.0,
        snapshot=Snapshot(SESSION, 3, values),
        read_time=START + 59.5,
        read_monotonic=500.0,
        lives=Lives(Life(1, START)),
        polls=3,
        source=SourceInfo("guestrpc", "vsock", "3"),
    )
    return replace(state, **changes)  # type: ignore[arg-type]


STATES = {
    "nothing yet": PollState(interval=5.0),
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


def registry_of(published: Published) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(VMGuestCollector(published.collect))
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


Line = tuple[str, tuple[tuple[str, str], ...], float]


def expected(families: Iterable[Family]) -> list[Line]:
    """The lines of a page by the rules of OpenMetrics 1.0 and writing_exporters, written without the product."""
    lines: list[Line] = []
    for family in families:
        name, kind = family.metric.family, family.metric.kind.value
        for words, histogram in family.histograms:
            bounds = [f"{bound:g}" if bound < 1 else f"{bound:.1f}" for bound in histogram.bounds]
            counts = [*histogram.counts, histogram.count]
            for bound, count in zip([*bounds, "+Inf"], counts, strict=True):
                lines.append((f"{name}_bucket", tuple(sorted((*words, ("le", bound)))), float(count)))
            lines += [(f"{name}_count", words, float(histogram.count)), (f"{name}_sum", words, histogram.sum)]
        for point in family.points:
            labels = tuple(sorted(point.labels))
            ending = {"counter": "_total", "info": "_info"}.get(kind, "")
            lines.append((name + ending, labels, float(point.value)))
            if kind == "counter" and point.created is not None and family.metric.created:
                lines.append((f"{name}_created", labels, point.created))
    return lines


def flat(families: Iterable[Metric]) -> list[Line]:
    return [
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in families
        for sample in family.samples
    ]


def parse_openmetrics(page: str) -> list[Metric]:
    return list(parser.text_string_to_metric_families(page))  # type: ignore[no-untyped-call]


class TestFormats:
    def test_the_openmetrics_page_says_what_was_published(self, collector: Published) -> None:
        page = OPENMETRICS.page(registry_of(collector)).decode()
        assert flat(parse_openmetrics(page)) == expected(collector.collect())

    def test_no_name_would_be_written_otherwise_by_default(self, collector: Published) -> None:
        registry = registry_of(collector)
        assert OPENMETRICS.page(registry) == openmetrics(registry)  # type: ignore[no-untyped-call]

    def test_the_text_page_says_what_was_published(self, collector: Published) -> None:
        page = TEXT.page(registry_of(collector)).decode()
        assert sorted(flat(parse_text(page))) == sorted(expected(collector.collect()))

    def test_type_unit_and_help_are_the_catalogues(self, collector: Published) -> None:
        page = OPENMETRICS.page(registry_of(collector)).decode()
        assert [
            (family.name, family.type, family.unit, family.documentation)
            for family in parse_openmetrics(page)
        ] == [
            (
                family.metric.family,
                family.metric.kind.value,
                family.metric.unit.prometheus,
                family.metric.help,
            )
            for family in collector.collect()
        ]

    def test_content_types_are_those_of_the_specifications(self) -> None:
        assert TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert OPENMETRICS.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"

    def test_several_registries_make_one_page(self) -> None:
        one, other = collector_of(STATES["zeros"]), CollectorRegistry()
        Gauge("other", "Another.", registry=other)
        page = OPENMETRICS.page(registry_of(one), other)
        assert page.count(b"# EOF") == 1
        assert page.endswith(b"other 0.0\n# EOF\n")

    def test_a_lone_surrogate_does_not_take_the_page_down(self) -> None:
        """JSON can hold one, so a host can send one: in a fact, in a device's statistic, in a unit."""
        extended = replace(
            EXTENDED,
            groups={
                "session": (ExtendedValue("version", "ESXi \ud800 8"),),
                "host": (ExtendedValue("cpu.model", "\udfff"),),
                "vscsi scsi0:0": (ExtendedValue("odd\ud800Name", 7, "instant", "bits\udc00"),),
            },
        )
        state = state_with(
            {"resource_pool_path": "pool\ud834"}, extended=extended, extended_up=True, extended_interval=15.0
        )
        registry = registry_of(collector_of(state))
        for form in (TEXT, OPENMETRICS):
            page = form.page(registry).decode()
            assert 'version="ESXi ? 8"' in page
            assert 'vmguest_host_info{cpu_model="?"}' in page
            assert 'vmguest_resource_pool_info{path="pool?"}' in page
            assert 'vmguest_disk_odd_name_bits{disk="scsi0:0"} 7.0' in page


class TestRegistration:
    """In somebody else's program, beside its own metrics."""

    def test_names_that_are_taken_are_found_at_once_whatever_is_known_so_far(self) -> None:
        registry = CollectorRegistry()
        Gauge("vmguest_memory_ballooned_bytes", "Somebody else's.", registry=registry)
        with pytest.raises(ValueError, match="vmguest_memory_ballooned_bytes"):
            registry.register(VMGuestCollector(collector_of(STATES["nothing yet"]).collect))

    def test_a_scrape_may_ask_for_some_names_alone(self) -> None:
        restricted = registry_of(collector_of(STATES["ones"])).restricted_registry(["vmguest_polls_total"])
        assert b"vmguest_polls_total 3.0" in generate_latest(restricted)
        assert b"vmguest_up" not in generate_latest(restricted)

    @pytest.mark.parametrize("ending", ["_bucket", "_sum", "_count"])
    def test_the_series_of_a_histogram_are_found_and_taken(self, ending: str) -> None:
        name = f"vmguest_poll_duration_seconds{ending}"
        registry = registry_of(collector_of(STATES["ones"]))
        assert f"\n{name}".encode() in generate_latest(registry.restricted_registry([name]))
        with pytest.raises(ValueError, match=name):
            Gauge(name, "Somebody else's.", registry=registry)

    def test_what_is_described_is_of_the_kind_that_is_collected(self) -> None:
        collector = VMGuestCollector(collector_of(polled("ballooning")).collect)
        kinds = {metric.name: metric.type for metric in collector.describe()}
        assert {
            each.name: each.type for each in collector.collect() if each.name in kinds
        }.items() <= kinds.items()

    def test_what_is_described_is_all_that_can_be_collected_but_for_the_hosts_own_names(self) -> None:
        collector = VMGuestCollector(collector_of(polled("ballooning")).collect)
        described = {metric.name for metric in collector.describe()}
        assert {"vmguest_up", "vmguest_hypervisor", "vmguest_otlp_exports"} <= described
        for metric in collector.collect():
            assert metric.name in described or "not in this exporter's catalogue" in metric.documentation


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
        bodies = [world.page.body(OPENMETRICS, compressed=True) for _ in range(1000)]
        # Kept while they are counted: the place of one that is gone is the next one's.
        assert all(body is bodies[0] for body in bodies)
        assert (world.polled, world.others) == (1, 1)

    def test_both_formats_and_gzip_come_from_one_collection(self, world: World) -> None:
        pages = {
            (form, compressed): world.page.body(form, compressed=compressed)
            for form in (TEXT, OPENMETRICS)
            for compressed in (False, True)
        }
        assert gzip.decompress(pages[TEXT, True]) == pages[TEXT, False]
        assert gzip.decompress(pages[OPENMETRICS, True]) == pages[OPENMETRICS, False]
        assert pages[OPENMETRICS, False].endswith(b"# EOF\n")
        assert (world.polled, world.others) == (1, 1)

    def test_one_page_is_compressed_to_the_same_bytes_at_any_time(self, world: World) -> None:
        """RFC 1952, 2.3.1: bytes 4 to 7 are a time, 0 for none."""
        assert world.page.body(TEXT, compressed=True)[4:8] == bytes(4)

    def test_it_is_what_the_collector_gives(self) -> None:
        for state in STATES.values():
            collector = collector_of(state)
            for form in (TEXT, OPENMETRICS):
                assert Page(collector).body(form, compressed=False) == form.page(registry_of(collector))

    def test_the_process_and_its_interpreter_stand_behind_it(self) -> None:
        page = Page(collector_of(STATES["ones"]), StandardCollector()).body(OPENMETRICS, compressed=False)
        names = [family.name for family in parse_openmetrics(page.decode())]
        assert (
            names.index("vmguest_otlp_exports")
            < names.index("process_cpu_seconds")
            < names.index("python_info")
        )

    def test_collectors_of_the_global_registry_are_not_on_it(self) -> None:
        stranger = Gauge("stranger", "Of another part of the program.")
        try:
            assert b"stranger" not in Page(collector_of(STATES["ones"])).body(TEXT, compressed=False)
        finally:
            REGISTRY.unregister(stranger)

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
