"""What of the extended statistics a session is made of: one source for each series, in units that don't bend it."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from exporter.catalogue import EXTENDED
from exporter.catalogue.extended_names import MAX_FACTS, uptime
from exporter.session import gate
from exporter.session.gate import Gate
from exporter.snapshot import ExtendedValue

DISK = "vscsi scsi0:0"
MEM = "vm.cpu.contention.mem"


def reads(name: str, number: float) -> ExtendedValue:
    return ExtendedValue(name, number, "accumulate", "")


def contention(number: float, units: str) -> ExtendedValue:
    """Without a unit as a reply in text has it: without a type too."""
    return ExtendedValue(MEM, number, "accumulate" if units else "", units)


def taken(gate: Gate, group: str, *values: ExtendedValue) -> tuple[list[float | str], int]:
    gate.begin()
    kept, dropped = gate.take(group, values)
    return [each.value for each in kept], dropped


@pytest.fixture
def one() -> Gate:
    return Gate()


def test_of_two_names_that_become_one_series_the_first_by_name_has_it_in_any_order(one: Gate) -> None:
    """An exporter that is started again chooses the same, while the session goes on."""
    assert taken(one, DISK, reads("numReads", 5000), reads("num.reads", 90000)) == ([90000], 1)
    assert taken(one, DISK, reads("num.reads", 90001), reads("numReads", 5001)) == ([90001], 1)
    assert taken(Gate(), DISK, reads("num.reads", 90002), reads("numReads", 5002)) == ([90002], 1)


def test_no_other_name_takes_over_within_a_session(one: Gate) -> None:
    assert taken(one, DISK, reads("numReads", 5000)) == ([5000], 0)
    assert taken(one, DISK, reads("num.reads", 90000)) == ([], 1)
    assert taken(one, DISK, reads("num.reads", 90001), reads("numReads", 5001)) == ([5001], 1)


@pytest.mark.parametrize("group", ["resources", DISK])
def test_an_otlp_name_is_of_one_unit_and_kind(one: Gate, group: str) -> None:
    """It has no unit in it: what are two families on the page would be one metric there."""
    size, time = ExtendedValue("xKB", 7, "instant", "KB"), ExtendedValue("x", 9, "accumulate", "us")
    assert taken(one, group, size, time) == ([9], 1)
    assert taken(one, group, size) == ([], 1)
    assert taken(one, group, time, size) == ([9], 1)


def test_nor_of_two_disks_of_which_each_has_another(one: Gate) -> None:
    one.begin()
    assert one.take(DISK, [ExtendedValue("x", 5, "instant", "KB")])[1] == 0
    assert one.take("vscsi scsi0:1", [ExtendedValue("x", 5, "accumulate", "us")]) == ((), 1)
    assert one.take("vscsi scsi0:2", [ExtendedValue("x", 5, "instant", "MB")])[1] == 0


def test_nor_does_a_gauge_tell_of_two_things_by_turns(one: Gate) -> None:
    assert taken(one, "resources", ExtendedValue("a.b", 5, "instant", "KB")) == ([5], 0)
    assert taken(one, "resources", ExtendedValue("aB", 900, "instant", "KB")) == ([], 1)


def test_another_session_may_be_another_hosts(one: Gate) -> None:
    one.belongs_to(1)
    assert taken(one, DISK, reads("numReads", 5000)) == ([5000], 0)
    one.belongs_to(1)
    assert taken(one, DISK, reads("num.reads", 90000)) == ([], 1)
    one.belongs_to(2)
    assert taken(one, DISK, reads("num.reads", 90000)) == ([90000], 0)


def test_each_device_has_its_own_series(one: Gate) -> None:
    assert taken(one, DISK, reads("numReads", 5)) == ([5], 0)
    assert taken(one, "vscsi scsi0:1", reads("numReads", 6)) == ([6], 0)


def test_facts_of_the_host_have_one_source_too(one: Gate) -> None:
    old, new = ExtendedValue("host.cpu.model", "one"), ExtendedValue("cpuModel", "two")
    assert taken(one, "host", old, new) == (["two"], 1)
    assert taken(one, "host", old) == ([], 1)
    assert taken(one, "host", new, old) == (["two"], 1)


def test_facts_are_no_more_than_have_a_label(one: Gate) -> None:
    words = [ExtendedValue(f"fact{number:02}", "x") for number in range(MAX_FACTS + 3)]
    assert taken(one, "host", *words)[1] == 3
    assert taken(one, "host", *reversed(words))[1] == 3
    assert taken(one, "host", words[-1]) == ([], 1)


@pytest.mark.parametrize("other", [("instant", "reads"), ("accumulate", "KB"), ("accumulate", "")])
def test_a_statistic_without_a_row_keeps_its_kind_and_unit(one: Gate, other: tuple[str, str]) -> None:
    """Under another one its series would be another, which would seem to begin with its whole total."""
    assert taken(one, DISK, ExtendedValue("odd", 90000, "accumulate", "reads")) == ([90000], 0)
    assert taken(one, DISK, ExtendedValue("odd", 5, *other)) == ([], 1)


def test_units_that_the_host_states_are_converted(one: Gate) -> None:
    assert taken(one, "resources", contention(9_003_000, "us")) == ([9_003_000], 0)
    assert taken(one, "resources", contention(9004, "ms")) == ([9004], 0)
    assert taken(one, "resources", contention(10, "s")) == ([10], 0)
    assert taken(one, "resources", contention(10_500_000_000, "ns")) == ([10_500_000_000], 0)


def test_a_coarser_unit_is_no_fall(one: Gate) -> None:
    """9.0037 s in µs, then 9003 ms: until it is past what was shown."""
    assert taken(one, "resources", contention(9_003_700, "us")) == ([9_003_700], 0)
    assert taken(one, "resources", contention(9003, "ms")) == ([], 1)
    assert taken(one, "resources", contention(9003, "ms")) == ([], 1)
    assert taken(one, "resources", contention(9004, "ms")) == ([9004], 0)
    # Rounded up by a host that rounds.
    assert taken(one, "resources", contention(9_003_800, "us")) == ([], 1)
    assert taken(one, "resources", contention(9_004_100, "us")) == ([9_004_100], 0)


def test_a_unit_that_was_stated_counts_though_its_reading_was_left_out(one: Gate) -> None:
    """What has no unit is in ms by then: taken for µs it would fall."""
    assert taken(one, "resources", contention(9_003_700, "us")) == ([9_003_700], 0)
    assert taken(one, "resources", contention(9003, "ms")) == ([], 1)
    assert taken(one, "resources", contention(9004, "")) == ([], 1)
    assert taken(one, "resources", contention(9_004_100, "us")) == ([9_004_100], 0)


def test_a_fall_in_a_coarser_unit_is_one(one: Gate) -> None:
    assert taken(one, "resources", contention(9_003_700, "us")) == ([9_003_700], 0)
    assert taken(one, "resources", contention(2, "ms")) == ([2], 0)


@pytest.mark.parametrize("number", range(1, 60))
def test_so_is_one_of_exactly_one_of_them(one: Gate, number: int) -> None:
    """As floats, 7 µs less 6 µs is a little less than one."""
    assert taken(one, "resources", contention(number * 1000, "ns")) == ([number * 1000], 0)
    assert taken(one, "resources", contention(number - 1, "us")) == ([number - 1], 0)


def test_a_gauge_may_be_less_in_a_coarser_unit(one: Gate) -> None:
    assert taken(one, "resources", ExtendedValue("vm.numa.local", 1500, "instant", "KB")) == ([1500], 0)
    assert taken(one, "resources", ExtendedValue("vm.numa.local", 1, "instant", "MB")) == ([1], 0)


def test_a_unit_that_is_only_assumed_must_be_the_one_that_was_stated(one: Gate) -> None:
    """ns in XML, then a reply in text, of which µs would be assumed: 9.0 s became 9002 s."""
    assert taken(one, "resources", contention(9_000_000_000, "ns")) == ([9_000_000_000], 0)
    assert taken(one, "resources", contention(9_001_000_000, "")) == ([], 1)
    assert taken(one, "resources", contention(9_002_000_000, "ns")) == ([9_002_000_000], 0)


def test_what_is_assumed_and_right_goes_on(one: Gate) -> None:
    for number, units in ((1, ""), (2, "us"), (3, ""), (4, "us")):
        assert taken(one, "resources", contention(number, units)) == ([number], 0)
    # It is known to be µs by now.
    assert taken(one, "resources", contention(1, "ms")) == ([1], 0)


def test_what_was_assumed_and_is_contradicted_ends(one: Gate) -> None:
    """Nobody knows what was shown so far; both what follows and what goes on would be false."""
    assert taken(one, "resources", contention(9_000_000_000, "")) == ([9_000_000_000], 0)
    assert taken(one, "resources", contention(9_001_000_000, "ns")) == ([], 1)
    assert taken(one, "resources", contention(9_002_000_000, "")) == ([], 1)
    assert taken(one, "resources", contention(9_003_000_000, "ns")) == ([], 1)
    one.belongs_to(2)
    assert taken(one, "resources", contention(5, "ns")) == ([5], 0)


COUNTER, GAUGE = ("guest.mem.swapIn", "accumulate", "KB"), ("vm.numa.local", "instant", "KB")


@pytest.mark.parametrize(("name", "type_", "units"), [COUNTER, GAUGE])
@pytest.mark.parametrize("odd", ["pages", "us", "another type"])
class TestAContradictionThatIsLeftOutItself:
    """Pages taken for KB, or a level for a counter: what is bare after that may be the same."""

    @pytest.fixture
    def bare(self, name: str) -> ExtendedValue:
        return ExtendedValue(name, 200)

    @pytest.fixture
    def whole(self, name: str, type_: str, units: str) -> ExtendedValue:
        return ExtendedValue(name, 300, type_, units)

    @pytest.fixture
    def unfit(self, name: str, type_: str, units: str, odd: str) -> ExtendedValue:
        if odd == "another type":
            return ExtendedValue(name, 100, {"accumulate": "instant", "instant": "accumulate"}[type_], units)
        return ExtendedValue(name, 100, type_, odd)

    def test_nothing_is_assumed_after_it(
        self, one: Gate, bare: ExtendedValue, whole: ExtendedValue, unfit: ExtendedValue
    ) -> None:
        assert taken(one, "resources", unfit) == ([], 1)
        for partly in (bare, replace(bare, type=whole.type), replace(bare, units=whole.units)):
            assert taken(one, "resources", partly) == ([], 1)
        # What the host states needs no assumption.
        assert taken(one, "resources", whole) == ([300], 0)
        assert taken(one, "resources", replace(bare, value=400)) == ([], 1)
        one.belongs_to(2)
        assert taken(one, "resources", bare) == ([200], 0)

    @pytest.mark.parametrize("partly", ["", "type", "units"])
    def test_what_was_assumed_before_it_ends(
        self, one: Gate, bare: ExtendedValue, whole: ExtendedValue, unfit: ExtendedValue, partly: str
    ) -> None:
        shown = replace(
            bare,
            type=whole.type if partly == "type" else "",
            units=whole.units if partly == "units" else "",
        )
        assert taken(one, "resources", shown) == ([200], 0)
        assert taken(one, "resources", unfit) == ([], 1)
        assert taken(one, "resources", whole) == ([], 1)
        assert taken(one, "resources", replace(bare, value=400)) == ([], 1)

    def test_what_was_stated_before_it_goes_on_where_it_is_stated(
        self, one: Gate, bare: ExtendedValue, whole: ExtendedValue, unfit: ExtendedValue
    ) -> None:
        assert taken(one, "resources", bare) == ([200], 0)
        assert taken(one, "resources", whole) == ([300], 0)
        assert taken(one, "resources", unfit) == ([], 1)
        assert taken(one, "resources", replace(bare, value=400)) == ([], 1)
        assert taken(one, "resources", replace(whole, value=500)) == ([500], 0)


def test_contradictions_are_bounded_and_beyond_them_nothing_new_is_taken(
    one: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_SERIES", 3)
    cards = [f"vnet 00:50:56:00:00:0{number}" for number in range(5)]
    bare = ExtendedValue("size.rx", 5)
    assert taken(one, cards[0], bare) == ([5], 0)
    for card in cards:
        assert taken(one, card, replace(bare, type="instant")) == ([], 1)
    for card in cards:
        assert taken(one, card, bare) == ([], 1)


def test_series_of_a_session_are_bounded_and_that_is_said_once(
    one: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate, "MAX_SERIES", 4)
    with caplog.at_level(logging.WARNING, "exporter.extended"):
        assert taken(one, DISK, *(reads(f"a{number}", 1) for number in range(3)))[1] == 0
        assert taken(one, DISK, *(reads(f"b{number}", 1) for number in range(3))) == ([1], 2)
        assert taken(one, DISK, *(reads(f"c{number}", 1) for number in range(3))) == ([], 3)
        assert taken(one, DISK, *(reads(f"a{number}", 2) for number in range(3))) == ([2, 2, 2], 0)
    assert [record.getMessage() for record in caplog.records] == [
        "extended statistics beyond a bound are left out"
    ]


def test_no_two_rows_of_the_catalogue_are_one_series() -> None:
    """They need no rule of who has it."""
    series = [(row.metric.family, row.labels) for row in EXTENDED]
    assert len(set(series)) == len(series)


@pytest.mark.parametrize(
    ("number", "units", "seconds"), [(7_000_000, "us", 7), (7000, "ms", 7), (7, "", 7e-6), (7, "KB", None)]
)
def test_uptime_is_in_its_own_unit(number: int, units: str, seconds: float | None) -> None:
    assert uptime({"session": [ExtendedValue("uptime", number, "accumulate", units)]}) == seconds
