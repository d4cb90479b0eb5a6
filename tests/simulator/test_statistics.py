"""The basic statistics: by the physics, or as a scenario sets them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import STATISTICS, BasicStatistic, Wire
from exporter.errors import ConfigError
from exporter.simulator import statistics
from exporter.simulator.curves import CurveValue, constant
from exporter.simulator.physics import Physics
from exporter.simulator.scenario import Drive, Machine
from exporter.simulator.scenarios import SCENARIOS


def at(
    time: int, machine: Machine | None = None, drive: Drive | None = None, *, host_info: bool = True
) -> dict[int, tuple[bool, int | bytes]]:
    machine = machine or Machine()
    physics = Physics(machine, drive or Drive(), {})
    return statistics.compute(
        machine, time, physics.totals(time), physics.memory(time / 1000), host_used=1000, host_info=host_info
    )


def number(values: dict[int, tuple[bool, int | bytes]], id_: int) -> int:
    valid, value = values[id_]
    assert valid
    assert isinstance(value, int)
    return value


@given(st.sampled_from(sorted(SCENARIOS)), st.integers(0, 300_000))
@settings(deadline=None)
def test_the_numbers_of_one_moment_go_together(name: str, time: int) -> None:
    scenario = SCENARIOS[name]
    values = at(time, scenario.machine, scenario.drive)
    used, stolen, elapsed = (number(values, id_) for id_ in (4, 19, 17))
    assert used + stolen <= elapsed * scenario.machine.vcpus
    limit = number(values, 2)
    assert limit == 0xFFFFFFFF or used <= elapsed * limit / scenario.machine.host_mhz + 1
    mapped, ballooned, swapped, zipped = (number(values, id_) for id_ in (9, 12, 13, 31))
    assert mapped + ballooned + swapped + zipped <= scenario.machine.memory
    assert number(values, 16) == mapped - number(values, 15)
    assert ballooned <= number(values, 36)
    assert number(values, 35) <= number(values, 36)
    assert number(values, 10) <= mapped
    assert number(values, 33) <= swapped
    assert number(values, 32) <= zipped
    assert number(values, 22) >= used
    assert number(values, 25) >= number(values, 16)
    assert number(values, 29) >= mapped
    assert number(values, 24) >= number(values, 14)
    assert number(values, 23) >= swapped
    physical, free = number(values, 26), number(values, 27)
    assert free >= 0
    assert free + number(values, 25) <= physical
    assert number(values, 29) + number(values, 30) == physical


def test_every_statistic_has_a_value_of_its_wire_type() -> None:
    values = at(1000)
    assert set(values) == {row.id for row in STATISTICS}
    for row in STATISTICS:
        valid, value = values[row.id]
        assert valid
        assert isinstance(value, int) is (row.wire in (Wire.U32, Wire.U64))


def test_without_host_info_the_statistics_of_the_host_are_there_and_not_valid() -> None:
    values = at(1000, host_info=False)
    assert [id_ for id_, (valid, _) in values.items() if not valid] == list(range(21, 31))
    assert all(values[id_] == (False, 0) for id_ in range(21, 31))


def test_shares_that_need_64_bits_are_not_valid_where_there_are_32() -> None:
    values = at(0, Machine(memory_shares=2**40))
    assert values[8] == (False, 0)
    assert values[38] == (True, 2**40)


def test_normal_shares_follow_the_size() -> None:
    values = at(0, Machine(vcpus=2, memory=4096))
    assert values[3] == (True, 2000)
    assert values[8] == values[38] == (True, 40960)


@pytest.mark.parametrize(("length", "short"), [(512, True), (513, False)])
def test_a_path_of_more_than_512_bytes_stands_in_the_long_statistic_only(length: int, short: bool) -> None:
    values = at(0, Machine(resource_pool_path="/" * length))
    assert values[18] == (short, b"/" * length if short else b"")
    assert values[37] == (True, b"/" * length)


def test_a_key_with_two_rows_sets_both() -> None:
    assert set(statistics.set_curves("memory_shares", constant(5))) == {8, 38}
    assert set(statistics.set_curves("resource_pool_path", constant("/a"))) == {18, 37}


@pytest.mark.parametrize("id_", [38, "38"])
def test_an_id_sets_one(id_: str | int) -> None:
    assert set(statistics.set_curves(id_, constant(5))) == {38}


def test_a_value_too_wide_for_the_older_of_two_rows_is_not_valid_there() -> None:
    curves = statistics.set_curves("memory_shares", constant(2**64 - 1))
    assert statistics.given(curves, 0) == {8: (False, 0), 38: (True, 2**64 - 1)}


def test_texts_and_marks_are_set() -> None:
    curves = {18: constant("/é"), 37: constant(False), 12: constant(False), 1: constant(2.9)}
    assert statistics.given(curves, 0) == {
        18: (True, "/é".encode()),
        37: (False, b""),
        12: (False, 0),
        1: (True, 2),
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("memory_balooned", 1, "memory_balooned: no such statistic; did you mean memory_ballooned"),
        (str(len(STATISTICS) + 1), 1, f"no such statistic; .*an id, 1 to {len(STATISTICS)}"),
        ("cpu_limit", -1, "expected a number from 0 to 4294967295"),
        ("cpu_limit", 2**32, "expected a number from 0 to 4294967295"),
        ("cpu_used", 2**64, "expected a number from 0 to 18446744073709551615"),
        ("cpu_used", "much", "expected a number"),
        ("cpu_used", True, "expected a number"),
        ("resource_pool_path", 5, "expected a text"),
        ("resource_pool_path", True, "expected a text"),
    ],
)
def test_what_can_not_be_set_is_refused_in_words(name: str, value: CurveValue, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        statistics.set_curves(name, constant(value))


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda row: row.id)
def test_every_statistic_can_be_set_to_its_extremes(statistic: BasicStatistic) -> None:
    if statistic.wire in (Wire.U32, Wire.U64):
        most = 2**32 - 1 if statistic.wire is Wire.U32 else 2**64 - 1
        for value in (0, most):
            found = statistics.given(statistics.set_curves(statistic.id, constant(value)), 0)
            assert found == {statistic.id: (True, value)}
    else:
        found = statistics.given(statistics.set_curves(statistic.id, constant("x" * 512)), 0)
        assert found == {statistic.id: (True, b"x" * 512)}
