"""Extended statistics: the documented forms byte for byte, and the same truth as the basic ones."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import RpcError
from exporter.protocol import stat_get as protocol
from exporter.simulator import stat_get as extended
from exporter.simulator.curves import constant, ramp
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Machine, Scenario
from exporter.simulator.scenarios import SCENARIOS
from exporter.simulator.stat_get import StatRow

NIC = [
    StatRow("num.tx", 209, "accumulate", "packets"),
    StatRow("size.tx", 38137, "accumulate", "bytes"),
    StatRow("num.rx", 10992, "accumulate", "packets"),
    StatRow("size.rx", 1322161, "accumulate", "bytes"),
    StatRow("reservation", 0, "static", "MBps"),
    StatRow("limit", -1, "static", "MBps"),
]
SESSION = [
    StatRow("session", 4004861987670969122),
    StatRow("uptime", 1036293956, "accumulate", "us"),
    StatRow("version", "VMware ESXi 6.0.0 build-12345"),
    StatRow("provider", ""),
    StatRow("uuid.bios", "56 4d 2c 53 43 56 66 8e-7c 05 fd 7e 51 1e 23 f3"),
]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def host(scenario: Scenario | str = "steady", seconds: float = 0) -> SimulatedHost:
    clock = Clock()
    made = SimulatedHost(scenario, clock)
    clock.now = seconds
    return made


def values(simulated: SimulatedHost, group: str, encoding: str = "xml") -> dict[str, float | int | str]:
    reply = protocol.parse(encoding, simulated.stat(encoding, group))
    return {value.name: value.value for value in reply.values}


def groups(simulated: SimulatedHost) -> tuple[str, ...]:
    return protocol.parse_names(simulated.stat("text", ""))


def test_xml_is_as_the_guide_shows_it() -> None:
    assert extended.xml(4004861987670969122, NIC) == (
        b'<metrics session="4004861987670969122">'
        b'<metric name="num.tx" type="accumulate" units="packets">209</metric>'
        b'<metric name="size.tx" type="accumulate" units="bytes">38137</metric>'
        b'<metric name="num.rx" type="accumulate" units="packets">10992</metric>'
        b'<metric name="size.rx" type="accumulate" units="bytes">1322161</metric>'
        b'<metric name="reservation" type="static" units="MBps">0</metric>'
        b'<metric name="limit" type="static" units="MBps">-1</metric></metrics>'
    )


def test_yaml_is_as_the_guide_shows_it() -> None:
    assert extended.yaml(0, NIC[:1]) == (
        b"num.tx:\n    type: accumulate\n    units: packets\n    value: 209\n"
    )


def test_text_is_as_the_guide_shows_it() -> None:
    assert extended.text(0, SESSION) == (
        b"session = 4004861987670969122\n"
        b"uptime = 1036293956\n"
        b"version = VMware ESXi 6.0.0 build-12345\n"
        b"provider =\n"
        b"uuid.bios = 56 4d 2c 53 43 56 66 8e-7c 05 fd 7e 51 1e 23 f3\n"
    )


def test_json_has_the_triple_on_one_line_in_either_nesting() -> None:
    triple = {"type": "accumulate", "units": "packets", "value": 209}
    assert json.loads(extended.json_object(0, NIC[:1])) == {"num.tx": triple}
    assert json.loads(extended.json_list(NIC[:1])) == [{"name": "num.tx", **triple}]
    assert b"\n" not in extended.json_object(0, NIC)


def test_xml_survives_names_and_texts_of_any_kind() -> None:
    reply = protocol.parse("xml", extended.xml(1, [StatRow('a<"&>b', '<&">')]))
    assert [(value.name, value.value) for value in reply.values] == [('a<"&>b', '<&">')]


@pytest.mark.parametrize("json_list", [False, True])
@pytest.mark.parametrize("group", [0, 1, 2, 3, 4, 5, 6])
def test_every_encoding_says_the_same(group: int, json_list: bool) -> None:
    simulated = host(Scenario("x", "", json_list=json_list), 33)
    name = groups(simulated)[group]
    xml = values(simulated, name, "xml")
    for encoding in ("json", "yaml", "text"):
        assert values(simulated, name, encoding) == xml


def test_two_disks_and_two_cards_are_listed_with_the_rest() -> None:
    assert groups(host()) == (
        "session",
        "host",
        "resources",
        "vscsi scsi0:0",
        "vscsi scsi0:1",
        "vnet 00:50:56:9a:1b:01",
        "vnet 00:50:56:9a:1b:02",
    )


def test_the_list_has_one_form_whatever_the_encoding() -> None:
    simulated = host()
    assert simulated.stat("xml", "") == simulated.stat("csv", "") == simulated.stat("text", "")


def test_xml_carries_the_session() -> None:
    simulated = host()
    assert protocol.parse("xml", simulated.stat("xml", "host")).session_id == simulated.session_id


def test_every_documented_name_of_resources_is_there() -> None:
    assert list(values(host(), "resources")) == [
        "vm.cpu.reserved",
        "vm.cpu.limit",
        "vm.cpu.used",
        "vm.cpu.contention.cpu",
        "vm.cpu.contention.mem",
        "vm.numa.local",
        "vm.numa.remote",
        "guest.mem.reserved",
        "guest.mem.limit",
        "guest.mem.mapped",
        "guest.mem.consumed",
        "guest.mem.swapped",
        "guest.mem.ballooned",
        "guest.mem.swapIn",
        "guest.mem.swapOut",
        "ovhd.mem.swapped",
        "ovhd.mem.swapIn",
        "ovhd.mem.swapOut",
    ]


EXTENDED_SCENARIOS = sorted(name for name, row in SCENARIOS.items() if row.encodings)


@given(st.sampled_from(EXTENDED_SCENARIOS), st.floats(0, 200))
@settings(deadline=None)
def test_extended_and_basic_statistics_agree(name: str, seconds: float) -> None:
    simulated = host(name, seconds)
    found = values(simulated, "resources")
    basic = {id_: value for id_, (_, value) in simulated.values().items() if isinstance(value, int)}

    def whole(key: str, ratio: int) -> int:
        value = found[key]
        assert isinstance(value, int)
        return value // ratio

    assert whole("vm.cpu.used", 1000) == basic[4]
    assert whole("vm.cpu.contention.cpu", 1000) == basic[19]
    assert whole("guest.mem.mapped", 1024) == basic[9]
    assert whole("guest.mem.ballooned", 1024) == basic[12]
    assert whole("guest.mem.swapped", 1024) == basic[13]
    assert abs(whole("guest.mem.consumed", 1024) - basic[16]) <= 1
    assert whole("vm.numa.local", 1) + whole("vm.numa.remote", 1) == whole("guest.mem.mapped", 1)
    assert whole("vm.cpu.reserved", 1) == basic[1]
    assert found["vm.cpu.limit"] == (-1 if basic[2] == 0xFFFFFFFF else basic[2])
    assert values(simulated, "session")["uptime"] == basic[17] * 1000
    assert values(simulated, "host")["host.cpu.processorMHz"] == basic[5]


@given(st.sampled_from(EXTENDED_SCENARIOS), st.lists(st.floats(0, 25), min_size=2, max_size=4))
@settings(deadline=None)
def test_what_accumulates_never_falls_within_a_session(name: str, pauses: list[float]) -> None:
    clock = Clock()
    simulated = SimulatedHost(name, clock)
    before: dict[tuple[str, str], float] = {}
    session = simulated.session_id
    for pause in pauses:
        clock.now += pause
        now = {
            (group, value.name): value.value
            for group in groups(simulated)
            for value in protocol.parse("xml", simulated.stat("xml", group)).values
            if value.type == "accumulate" and not isinstance(value.value, str)
        }
        if simulated.session_id == session:
            assert all(now[key] >= value for key, value in before.items())
        before, session = now, simulated.session_id


def test_swapping_is_seen_in_every_place_that_it_shows() -> None:
    found = values(host("swapping", 180), "resources")
    for name in (
        "vm.cpu.contention.mem",
        "guest.mem.swapped",
        "guest.mem.swapIn",
        "guest.mem.swapOut",
        "ovhd.mem.swapped",
        "ovhd.mem.swapOut",
    ):
        number = found[name]
        assert isinstance(number, int)
        assert number > 0, name


def test_a_set_basic_statistic_shows_in_the_finer_one() -> None:
    given_ = {12: constant(777), 4: constant(123), 13: ramp((0, 0), (10, 100))}
    found = values(host(Scenario("x", "", set=given_), 20), "resources")
    assert found["guest.mem.ballooned"] == 777 * 1024
    assert found["vm.cpu.used"] == 123_000
    assert found["guest.mem.swapped"] == 100 * 1024
    moved = found["guest.mem.swapOut"], found["guest.mem.swapIn"]
    assert isinstance(moved[0], int)
    assert isinstance(moved[1], int)
    assert moved[0] - moved[1] in (100 * 1024, 100 * 1024 - 1)


def test_limits_are_numbers_where_there_are_any() -> None:
    found = values(host(Scenario("x", "", machine=Machine(cpu_limit=500, memory_limit=1000))), "resources")
    assert found["vm.cpu.limit"] == 500
    assert found["guest.mem.limit"] == 1000 * 1024


def test_a_statistic_that_is_not_valid_counts_as_nothing() -> None:
    assert values(host(Scenario("x", "", set={5: constant(False)})), "host")["host.cpu.processorMHz"] == 0


def test_the_first_device_carries_most_of_the_load() -> None:
    simulated = host(seconds=60)
    first, second = values(simulated, "vscsi scsi0:0"), values(simulated, "vscsi scsi0:1")
    for name in ("num.reads", "num.writes", "size.reads", "size.writes", "latency.reads", "latency.writes"):
        one, two = first[name], second[name]
        assert isinstance(one, int)
        assert isinstance(two, int)
        assert one > two > 0


def test_an_odd_number_of_cores_is_one_package() -> None:
    found = values(host(Scenario("x", "", machine=Machine(host_cores=5))), "host")
    assert (found["host.cpu.packages"], found["host.cpu.coresPerPkg"]) == (1, 5)


@pytest.mark.parametrize(
    ("scenario", "encoding", "group", "refusal"),
    [
        ("v2-host", "xml", "", "Unknown command"),
        ("older-host", "xml", "resources", "Unknown command"),
        ("steady", "csv", "resources", "Unsupported encoding"),
        ("steady", "xml", "nonsense", "Unknown stat"),
        ("steady", "xml", "vscsi scsi9:9", "Unknown stat"),
        ("steady", "xml", "vnet scsi0:0", "Unknown stat"),
        ("steady", "xml", "vscsi", "Unknown stat"),
    ],
)
def test_what_is_not_on_offer_is_refused(scenario: str, encoding: str, group: str, refusal: str) -> None:
    with pytest.raises(RpcError) as raised:
        host(scenario).stat(encoding, group)
    assert raised.value.text == refusal


def test_a_host_may_know_some_encodings_only() -> None:
    simulated = host(Scenario("x", "", encodings=("text",)))
    assert simulated.stat("text", "session").startswith(b"session = ")
    with pytest.raises(RpcError, match="Unsupported encoding"):
        simulated.stat("xml", "session")
