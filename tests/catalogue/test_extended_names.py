"""Extended statistics as metrics: the host's units scaled, its unknown names published by rule, within caps."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter import catalogue
from exporter.catalogue import EXTENDED, Kind
from exporter.catalogue import extended_names as extended
from exporter.catalogue.extended_names import category, map_value, snake
from exporter.clock import Instant, Life, Lives
from exporter.metrics.extended import families
from exporter.metrics.families import Family, Point
from exporter.protocol.stat_get import parse
from exporter.session import gate
from exporter.session.gate import accept
from exporter.snapshot import ExtendedSnapshot, ExtendedValue

INF = float("inf")
LIFE = Life(1, 900.0)


def value(name: str, number: float | str, type_: str = "instant", units: str = "") -> ExtendedValue:
    return ExtendedValue(name, number, type_, units)


def snapshot(groups: dict[str, tuple[ExtendedValue, ...]]) -> ExtendedSnapshot:
    return ExtendedSnapshot(1, groups, 1000.0, 10.0)


def by_name(found: list[Family]) -> dict[str, Family]:
    assert len({family.name for family in found}) == len(found)
    return {family.metric.prometheus: family for family in found}


@pytest.mark.parametrize(
    ("group", "statistic", "name", "labels", "scaled"),
    [
        ("resources", value("vm.cpu.contention.cpu", 65606184, "accumulate", "us"), "vmguest_cpu_contention_seconds_total", {"cause": "cpu"}, 65.606184),
        ("resources", value("vm.cpu.contention.mem", 1500, "accumulate", "ms"), "vmguest_cpu_contention_seconds_total", {"cause": "memory"}, 1.5),
        ("resources", value("vm.numa.local", 1837248, "instant", "KB"), "vmguest_numa_memory_bytes", {"locality": "local"}, 1837248 * 1024),
        ("resources", value("guest.mem.swapIn", 3, "accumulate", "KB"), "vmguest_memory_swap_in_bytes_total", {}, 3072),
        ("resources", value("guest.mem.limit", -1, "static", "KB"), "vmguest_memory_limit_bytes", {}, INF),
        ("vnet 00:50:56:00:00:01", value("num.tx", 209, "accumulate", "packets"), "vmguest_network_transmit_packets_total", {"mac": "00:50:56:00:00:01"}, 209),
        ("vnet m", value("size.rx", 9, "accumulate", "bytes"), "vmguest_network_receive_bytes_total", {"mac": "m"}, 9),
        ("vnet m", value("limit", -1, "static", "MBps"), "vmguest_network_limit_bytes_per_second", {"mac": "m"}, INF),
        ("vnet m", value("reservation", 2, "static", "MBps"), "vmguest_network_reservation_bytes_per_second", {"mac": "m"}, 2 * 2**20),
        ("host", value("host.cpu.processorMHz", 2593, "static", "MHz"), "vmguest_host_cpu_frequency_hertz", {}, 2.593e9),
        ("host", value("host.cpu.coresPerPkg", 14, "static"), "vmguest_host_cpu_cores_per_package", {}, 14),
        ("host", value("host.cpu.coresPerPkg", 14, "static", "count"), "vmguest_host_cpu_cores_per_package", {}, 14),
    ],
)  # fmt: skip
def test_known_statistics(
    group: str, statistic: ExtendedValue, name: str, labels: dict[str, str], scaled: float
) -> None:
    mapped = map_value(group, statistic)
    assert mapped is not None
    assert (mapped.metric.prometheus, dict(mapped.labels), mapped.value) == (name, labels, scaled)


TYPE_OF = {Kind.COUNTER: "accumulate", Kind.GAUGE: "instant"}


@pytest.mark.parametrize("row", EXTENDED, ids=lambda row: f"{row.category} {row.name}")
@pytest.mark.parametrize("type_", ["accumulate", "instant", "static", "", "new"])
def test_a_known_name_of_another_type_means_something_else(
    row: catalogue.ExtendedStatistic, type_: str
) -> None:
    """A level under a counter's name would make it fall; a type that nobody knows contradicts nothing."""
    group = row.category + (" device" if row.category in ("vscsi", "vnet") else "")
    contradicts = {Kind.COUNTER: ("instant", "static"), Kind.GAUGE: ("accumulate",)}[row.metric.kind]
    mapped = map_value(group, ExtendedValue(row.name, 5, type_, row.units))
    assert (mapped is None) == (type_ in contradicts)


@pytest.mark.parametrize("row", EXTENDED, ids=lambda row: f"{row.category} {row.name}")
def test_a_text_reply_has_the_documented_units(row: catalogue.ExtendedStatistic) -> None:
    """It carries none of its own."""
    group = row.category + (" device" if row.category in ("vscsi", "vnet") else "")
    typed = map_value(group, ExtendedValue(row.name, 5, TYPE_OF[row.metric.kind], row.units))
    assert typed is not None
    assert typed.metric == row.metric
    assert map_value(group, ExtendedValue(row.name, 5)) == typed


@pytest.mark.parametrize(
    ("group", "statistic", "name", "scaled"),
    [
        ("host", value("host.cpu.turboMHz", 2600, "static", "MHz"), "vmguest_host_cpu_turbo_hertz", 2.6e9),
        ("host", value("host.cpu.packages", 2, "static"), "vmguest_host_cpu_packages", 2),
        ("vscsi scsi0:0", value("num.reads", 7, "accumulate", "reads"), "vmguest_disk_num_reads_total", 7),
        ("vscsi scsi0:0", value("readLatency", 7, "accumulate", "us"), "vmguest_disk_read_latency_seconds_total", 7e-6),
        ("vscsi scsi0:0", value("size.read", 2, "accumulate", "KB"), "vmguest_disk_size_read_bytes_total", 2048),
        ("vscsi scsi0:0", value("iops.limit", -1, "static", "commands"), "vmguest_disk_iops_limit_commands", INF),
        ("vnet m", value("pktsDropped", 3, "accumulate", "packets"), "vmguest_network_pkts_dropped_packets_total", 3),
        ("resources", value("vm.gpu.used", 3, "instant", "%"), "vmguest_resources_vm_gpu_used_percent", 3),
        ("resources", value("vm.odd", 3, "instant", "Furlongs/h"), "vmguest_resources_vm_odd_furlongs_h", 3),
        ("resources", value("vm.power", 3, "accumulate", "mJ"), "vmguest_resources_vm_power_mj_total", 3),
        ("resources", value("vm.io.total", 3, "instant", ""), "vmguest_resources_vm_io_total_value", 3),
        ("host", value("host.info", 3, "instant", ""), "vmguest_host_info_value", 3),
        ("host", value("total", 3, "accumulate", ""), "vmguest_host_total_value_total", 3),
        ("host", value("cpu.total.total", 3, "accumulate", ""), "vmguest_host_cpu_total_value_total", 3),
        ("vnet m", value("x.created", 3, "accumulate", ""), "vmguest_network_x_created_value_total", 3),
        ("vnet m", value("x.total", 3, "accumulate", ""), "vmguest_network_x_total", 3),
        ("vscsi scsi0:0", value("count", 3, "static", ""), "vmguest_disk_count_value", 3),
    ],
)  # fmt: skip
def test_unknown_statistics_by_rule(group: str, statistic: ExtendedValue, name: str, scaled: float) -> None:
    mapped = map_value(group, statistic)
    assert mapped is not None
    assert (mapped.metric.prometheus, mapped.value) == (name, scaled)
    assert statistic.name in mapped.metric.help


@pytest.mark.parametrize("units", ["%", "Mhz", "mhz", "kB", "KiB", "us"])
@pytest.mark.parametrize("number", [5, -1])
def test_a_known_name_in_a_unit_that_does_not_fit_is_left_out_and_counted(units: str, number: int) -> None:
    """Neither guessed, nor under another name: swapped in percent is not swapped in bytes."""
    for name in ("guest.mem.swapped", "vm.cpu.reserved", "guest.mem.limit"):
        statistic = value(name, number, "instant", units)
        assert map_value("resources", statistic) is None
        accepted = accept({"resources": (statistic,)})
        assert (accepted.groups["resources"], accepted.dropped) == ((), 1)


@pytest.mark.parametrize("type_", ["instant", "static", ""])
def test_no_limit_is_infinite_whatever_the_type(type_: str) -> None:
    mapped = map_value("resources", value("guest.mem.limit", -1, type_, "KB"))
    assert mapped is not None
    assert mapped.value == float("inf")


@pytest.mark.parametrize("units", ["", "Mhz", "%", "KB", "parsecs"])
def test_minus_one_by_rule_is_no_limit_or_nothing(units: str) -> None:
    assert map_value("resources", value("guest.mem.strange", -1, "instant", units)) is None
    limit = map_value("resources", value("strange.limit", -1, "instant", units))
    assert limit is not None
    assert limit.value == float("inf")


@pytest.mark.parametrize(
    ("group", "statistic"),
    [
        ("resources", value("vm.state", "running")),
        ("resources", value("unknown.without.type", 5, "")),
        ("resources", value("...", 5)),
        ("resources", value("vm.x", -5, "accumulate", "us")),
        ("resources", value("vm.cpu.used", -5, "accumulate", "us")),
        ("session", value("uptime", 5, "instant", "us")),
        ("other", value("x", 5)),
        ("vscsi", value("num.reads", 5)),
        ("host scsi0:0", value("x", 5)),
        ("vscsi " + "x" * 129, value("x", 5)),
        ("vnet a b", value("x", 5)),
        ("vnet \x07", value("x", 5)),
        ("vnet ü", value("x", 5)),
        ("host", value("cpu.used", 5, "accumulate", "us")),
        ("vnet m", value("transmit", 5, "instant", "MBps")),
    ],
)
def test_what_is_not_published(group: str, statistic: ExtendedValue) -> None:
    """The last two would take a catalogue name (vmguest_host_cpu_used_seconds_total, and OTLP's vmguest.network.transmit
    in another unit) by rule.
    """
    assert map_value(group, statistic) is None


@pytest.mark.parametrize("row", EXTENDED, ids=lambda row: f"{row.category} {row.name}")
@pytest.mark.parametrize("units", ["", "the row's"])
@pytest.mark.parametrize("spelt", [-1, 2**32 - 1, 2**64 - 1])
def test_minus_one_is_unlimited_for_a_limit_and_else_nothing(
    row: catalogue.ExtendedStatistic, units: str, spelt: int
) -> None:
    """Not -1,000,000 Hz, and not under another name either."""
    group = row.category + (" device" if row.category in ("vscsi", "vnet") else "")
    mapped = map_value(group, ExtendedValue(row.name, spelt, TYPE_OF[row.metric.kind], units and row.units))
    if row.name.endswith("limit"):
        assert mapped is not None
        assert mapped.value == INF
    elif row.metric.kind is Kind.COUNTER and spelt == 2**32 - 1:
        # Where every counter passes in the end.
        assert mapped is not None
    else:
        assert mapped is None


@pytest.mark.parametrize("units", ["KB", "us", "MHz", "MBps", "packets", "bytes"])
@pytest.mark.parametrize("type_", ["static", "instant", "accumulate"])
def test_no_unknown_statistic_is_less_than_nothing(units: str, type_: str) -> None:
    assert map_value("resources", ExtendedValue("vm.new.thing", -1, type_, units)) is None


@pytest.mark.parametrize("spelt", [-1, 2**32 - 1, 2**64 - 1])
def test_minus_one_may_be_spelt_as_an_unsigned_number(spelt: int) -> None:
    assert map_value("resources", value("guest.mem.swapped", spelt, "instant", "KB")) is None
    assert map_value("resources", value("vm.cpu.reserved", spelt, "static", "MHz")) is None
    assert map_value("resources", value("vm.new.thing", spelt, "instant", "")) is None
    for name in ("guest.mem.limit", "new.limit"):
        limit = map_value("resources", value(name, spelt, "static", "KB"))
        assert limit is not None
        assert limit.value == INF


@pytest.mark.parametrize("name", ["size.rx", "size.new"])
def test_minus_one_of_a_counter_has_64_bits(name: str) -> None:
    """A counter passes by the 32 bits of ones, and is no shorter for it."""
    for spelt in (-1, 2**64 - 1):
        assert map_value("vnet m", value(name, spelt, "accumulate", "bytes")) is None
    received = map_value("vnet m", value(name, 2**32 - 1, "accumulate", "bytes"))
    assert received is not None
    assert received.value == 2**32 - 1


@pytest.mark.parametrize("units", ["", "KB", "commands"])
def test_no_other_number_below_nothing_is_no_limit(units: str) -> None:
    for name in ("guest.mem.limit", "new.limit"):
        assert map_value("resources", value(name, -5, "static", units)) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.bC", "a_b_c"), ("swapIn", "swap_in"), ("A..B", "a_b"), ("ü", ""), ("x-Y z", "x_y_z")],
)
def test_snake(name: str, words: str) -> None:
    assert snake(name) == words


def test_category() -> None:
    assert category("vscsi scsi0:0") == ("vscsi", "scsi0:0")
    assert category("resources") == ("resources", "")
    assert category("nonsense") == ("", "")


def test_families_carry_the_sessions_start_and_leave_to_the_basic_statistic_what_it_has() -> None:
    resources = (
        value("vm.cpu.used", 5_000_000, "accumulate", "us"),
        value("guest.mem.ballooned", 1, "instant", "KB"),
        value("vm.cpu.contention.cpu", 1_000_000, "accumulate", "us"),
        value("vm.cpu.contention.mem", 0, "accumulate", "us"),
    )
    found = by_name(families(snapshot({"resources": resources}), basic={"cpu_used"}, lives=Lives(LIFE)))
    assert set(found) == {"vmguest_memory_ballooned_bytes", "vmguest_cpu_contention_seconds_total"}
    contention = found["vmguest_cpu_contention_seconds_total"]
    read = Instant(1000.0, 10.0)
    assert contention.points == (
        Point(1, (("cause", "cpu"),), 900.0, LIFE, read),
        Point(0, (("cause", "memory"),), 900.0, LIFE, read),
    )
    assert contention.time == 1000.0
    assert found["vmguest_memory_ballooned_bytes"].points == (Point(1024, read=read),)


def test_what_counts_on_the_host_is_a_series_of_each_session_and_has_no_start() -> None:
    host = (value("energy.used", 9_000, "accumulate", "ms"), value("load", 3, "instant"))
    found = by_name(families(snapshot({"host": host}), lives=Lives(LIFE)))
    energy = found["vmguest_host_energy_used_seconds_total"]
    assert energy.metric.of_host
    ((told,), (level,)) = energy.points, found["vmguest_host_load"].points
    assert (told.labels, told.created, told.life.since) == ((("session_id", "0x1"),), None, None)
    assert level.labels == ()


SESSION = (
    value("version", "VMware ESXi 8.0.2"),
    value("provider", ""),
    value("uuid.bios", "56 4d"),
    value("uptime", 7_000_000),
)


def test_the_hypervisor_is_an_info_and_its_uuid_is_identity() -> None:
    quiet = by_name(families(snapshot({"session": SESSION})))["vmguest_hypervisor_info"]
    assert dict(quiet.points[0].labels) == {"version": "VMware ESXi 8.0.2", "provider": ""}
    told = by_name(families(snapshot({"session": SESSION}), expose_identity=True))["vmguest_hypervisor_info"]
    assert dict(told.points[0].labels)["bios_uuid"] == "56 4d"


def test_of_two_words_with_one_label_the_first_counts() -> None:
    host = (value("host.cpu.model", "right"), value("cpu-model", "wrong"))
    told = by_name(families(snapshot({"host": host})))["vmguest_host_info"]
    assert dict(told.points[0].labels) == {"cpu_model": "right"}


def test_host_words_are_an_info_without_identity() -> None:
    host = (
        value("host.cpu.modelDescription", "Some CPU"),
        value("host.uuid", "x"),
        value("host.name", "esx1"),
        value("9", "x"),
    )
    quiet = by_name(families(snapshot({"host": host})))["vmguest_host_info"]
    assert dict(quiet.points[0].labels) == {"cpu_model_description": "Some CPU"}
    told = by_name(families(snapshot({"host": host}), expose_identity=True))["vmguest_host_info"]
    assert set(dict(told.points[0].labels)) == {"cpu_model_description", "uuid", "name"}


def test_no_words_no_info() -> None:
    assert families(snapshot({"session": (value("uptime", 1),)})) == []


def test_uptime_in_seconds() -> None:
    assert extended.uptime({"session": SESSION}) == 7
    assert extended.uptime({"session": (value("uptime", "soon"),)}) is None
    assert extended.uptime({}) is None
    for nothing in (-1, 2**64 - 1):
        assert extended.uptime({"session": (value("uptime", nothing),)}) is None


def test_accept_keeps_what_can_be_published() -> None:
    groups = {
        "session": SESSION,
        "resources": (value("vm.numa.local", 1), value("vm.state", "x")),
        "odd": (value("x", 1),),
    }
    accepted = accept(groups)
    assert dict(accepted.groups) == {
        "session": SESSION,
        "resources": (value("vm.numa.local", 1),),
        "odd": (),
    }
    assert accepted.dropped == 2


def test_unknown_off_is_a_wish_and_not_a_drop() -> None:
    groups = {
        "vscsi a": (value("num.reads", 1, "accumulate", "reads"),),
        "resources": (value("vm.numa.local", 1),),
    }
    accepted = accept(groups, unknown=False)
    assert accepted.groups["vscsi a"] == ()
    assert accepted.groups["resources"] != ()
    assert accepted.dropped == 0


def test_an_unknown_name_in_a_text_reply_is_no_drop() -> None:
    """It has no type and no unit there, so it can't be published, on every host that gives text alone."""
    accepted = accept({"resources": parse("text", b"vm.numa.local = 1\nvm.odd = 2\n").values})
    assert [each.name for each in accepted.groups["resources"]] == ["vm.numa.local"]
    assert accepted.dropped == 0


def test_devices_are_capped() -> None:
    groups = {
        f"vscsi d{n}": (value("num.reads", 1, "accumulate", "reads"),)
        for n in range(extended.MAX_DEVICES + 3)
    }
    accepted = accept(groups)
    assert len([group for group, values in accepted.groups.items() if values]) == extended.MAX_DEVICES
    assert accepted.dropped == 3


def test_statistics_of_a_group_are_capped() -> None:
    accepted = accept({"resources": [value(f"x{n}", 1) for n in range(extended.MAX_STATISTICS + 5)]})
    assert len(accepted.groups["resources"]) == extended.MAX_STATISTICS
    assert accepted.dropped == 5


def test_unknown_series_are_capped_over_all_groups() -> None:
    groups = {f"vscsi d{n}": [value(f"x{m}", 1) for m in range(100)] for n in range(70)}
    assert accept(groups).dropped == 7000 - extended.MAX_UNKNOWN


def test_two_names_that_become_one_series_are_one() -> None:
    accepted = accept({"resources": (value("a.b", 1), value("a_b", 2), value("aB", 3))})
    assert accepted.groups["resources"] == (value("a.b", 1),)
    assert accepted.dropped == 2


def test_two_kinds_of_one_family_are_one() -> None:
    """A family has one TYPE: the second device's gauge of the same name as the first's counter is dropped."""
    accepted = accept(
        {"vscsi a": (value("x", 1, "instant", "us"),), "vscsi b": (value("X", 1, "static", "ms"),)}
    )
    assert accepted.dropped == 1


TYPES = st.sampled_from(["static", "instant", "accumulate", "", "odd"])
UNITS = st.one_of(st.sampled_from(["KB", "us", "MHz", "%", "packets", ""]), st.text(max_size=8))
VALUES = st.builds(
    ExtendedValue,
    st.text(min_size=1, max_size=12),
    st.one_of(st.integers(-2, 2**64 - 1), st.text(max_size=5)),
    TYPES,
    UNITS,
)
GROUPS = st.dictionaries(
    st.one_of(st.sampled_from(["session", "host", "resources", "vscsi a", "vnet b"]), st.text(max_size=6)),
    st.lists(VALUES, max_size=8),
    max_size=5,
)


@given(GROUPS)
@example({"host": [value("info", 1), value("cpu.model", "words")]})
def test_any_round_gives_a_page_that_is_valid(groups: dict[str, list[ExtendedValue]]) -> None:
    """One family a name, one series a label set, legal names, no counter below 0."""
    accepted = accept(groups)
    found = families(snapshot(dict(accepted.groups)), expose_identity=True)
    assert len({family.name for family in found}) == len(found)
    assert len({family.metric.prometheus for family in found}) == len(found)
    for family in found:
        assert family.metric.prometheus.isascii()
        assert family.metric.prometheus.replace("_", "").isalnum()
        assert len({point.labels for point in family.points}) == len(family.points)
        assert family.metric.kind is not Kind.COUNTER or all(point.value >= 0 for point in family.points)


def test_parsed_bytes_become_families() -> None:
    reply = parse(
        "xml",
        b'<metrics session="1"><metric name="num.tx" type="accumulate" units="packets">209</metric></metrics>',
    )
    found = by_name(families(snapshot({"vnet m": reply.values})))
    assert found["vmguest_network_transmit_packets_total"].points[0].value == 209


def test_statistics_beyond_the_bound_cost_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million unknown ones in one round took seconds of the polling thread."""
    looked_at: list[str] = []
    map_value = extended.map_value

    def counted(group: str, each: ExtendedValue) -> extended.Mapped | None:
        looked_at.append(group)
        return map_value(group, each)

    monkeypatch.setattr(gate, "map_value", counted)
    groups = {f"vscsi scsi{n}:0": [value(f"x{n}.{m}", 1) for m in range(200)] for n in range(40)}
    assert accept(groups).dropped == 40 * 200 - extended.MAX_UNKNOWN
    assert len(looked_at) == extended.MAX_UNKNOWN


def test_the_names_of_a_whole_round_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at several times: by the gate, for what fell, for each page."""
    worked_out: list[str] = []
    snake = extended.snake

    def counted(name: str) -> str:
        worked_out.append(name)
        return snake(name)

    monkeypatch.setattr(extended, "snake", counted)
    values = [value(f"once{n}", 1, "accumulate", "us") for n in range(extended.MAX_UNKNOWN)]
    for _ in range(3):
        for each in values:
            extended.map_value("resources", each)
    assert len(worked_out) == extended.MAX_UNKNOWN
