"""Counters are integrals, levels follow targets, and nothing is used that is not there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator.curves import Curve, constant, ramp, steps
from exporter.simulator.physics import BALLOON_MAX, LAG, Memory, Physics, Totals
from exporter.simulator.scenario import Drive, Machine

FRACTION = st.floats(0, 1)


@st.composite
def curves(draw: st.DrawFn, values: st.SearchStrategy[float] = FRACTION) -> Curve:
    times = draw(st.lists(st.floats(0, 60), min_size=1, max_size=4, unique=True).map(sorted))
    points = tuple((time, draw(values)) for time in times)
    every = draw(st.sampled_from([0.0, 60.0]))
    return Curve(points, draw(st.booleans()), every)


DRIVES = st.builds(
    Drive,
    demand=curves(st.floats(-0.5, 2)),
    neighbours=curves(),
    touched=curves(),
    # What the guest can give bounds the balloon; that has a test of its own.
    needed=st.just(constant(0.3)),
    active=curves(),
    shared=curves(),
    balloon=curves(),
    compress=curves(),
    swap=curves(),
    host_cache=curves(),
    numa_remote=curves(),
    host_load=curves(),
    host_memory=curves(),
    disk_commands=curves(st.floats(-10, 1000)),
    disk_latency=curves(st.floats(-10, 30000)),
    packets=curves(st.floats(-10, 10000)),
)
MACHINES = st.builds(
    Machine,
    vcpus=st.integers(1, 8),
    memory=st.integers(1, 65536),
    cpu_limit=st.one_of(st.just(0xFFFFFFFF), st.integers(0, 20000)),
    memory_limit=st.one_of(st.just(0xFFFFFFFF), st.integers(0, 65536)),
)
TIMES = st.lists(st.integers(0, 120_000), min_size=1, max_size=5).map(sorted)


def physics(machine: Machine | None = None, drive: Drive | None = None, **given: Curve) -> Physics:
    by_id = {int(key.removeprefix("id")): curve for key, curve in given.items()}
    return Physics(machine or Machine(), drive or Drive(), by_id)


@given(MACHINES, DRIVES, TIMES)
@settings(deadline=None)
def test_counters_never_fall_and_fit_into_the_vcpus(machine: Machine, drive: Drive, times: list[int]) -> None:
    simulated = physics(machine, drive)
    before = Totals()
    for time in times:
        totals = simulated.totals(time)
        assert all(now >= then for now, then in zip(totals, before, strict=True))
        seconds = time / 1000
        budget = seconds * machine.vcpus + 1e-6
        assert totals.used + totals.stolen + totals.stalled <= budget
        assert totals.used <= totals.host_used + 1e-6 <= seconds * machine.host_cores + 2e-6
        if machine.cpu_limit != 0xFFFFFFFF:
            assert totals.used <= seconds * machine.cpu_limit / machine.host_mhz + 1e-6
        before = totals


@given(DRIVES, TIMES)
@settings(deadline=None)
def test_counters_depend_on_the_time_and_not_on_who_looks(drive: Drive, times: list[int]) -> None:
    often, once = physics(drive=drive), physics(drive=drive)
    for time in times:
        last = often.totals(time)
    assert once.totals(times[-1]) == last


@given(MACHINES, DRIVES, st.floats(-20, 200))
@settings(deadline=None)
def test_memory_is_never_more_than_there_is(machine: Machine, drive: Drive, time: float) -> None:
    memory = physics(machine, drive).memory(time)
    size = machine.memory << 10
    assert min(memory) >= 0
    assert memory.mapped + memory.ballooned + memory.swapped + memory.zipped <= size
    assert max(memory.ballooned, memory.balloon_target) <= size * BALLOON_MAX // 100
    assert memory.balloon_target + memory.swap_target <= size
    assert max(memory.active, memory.shared, memory.remote) <= memory.mapped
    assert memory.saved <= memory.shared
    assert memory.host_cache <= memory.swapped
    if machine.memory_limit != 0xFFFFFFFF:
        assert max(memory.mapped, min(memory.target, memory.mapped)) <= max(machine.memory_limit << 10, 0)


# Eighths, of which sums and differences are exact.
@given(DRIVES, st.integers(0, 1600).map(lambda eighths: eighths / 8))
@settings(deadline=None)
def test_the_balloon_follows_its_target(drive: Drive, time: float) -> None:
    simulated = physics(drive=drive)
    assert simulated.memory(time + LAG).ballooned == simulated.memory(time).balloon_target


@given(DRIVES, st.integers(0, 120))
@settings(deadline=None)
def test_swap_in_and_swap_out_explain_the_level(drive: Drive, seconds: int) -> None:
    simulated = physics(drive=drive)
    totals = simulated.totals(seconds * 1000)
    moved = simulated.memory(seconds).swapped - simulated.memory(0).swapped
    assert round(totals.swap_out - totals.swap_in) == moved


def test_a_memory_limit_puts_what_is_above_into_swap() -> None:
    free = physics().memory(0)
    limited = physics(Machine(memory_limit=1024)).memory(0)
    assert limited.mapped == 1024 << 10
    assert limited.swapped == free.mapped - limited.mapped
    assert limited.swap_target == limited.swapped
    assert limited.target == limited.mapped


def test_memory_in_swap_makes_the_vcpus_wait() -> None:
    swapping = physics(drive=Drive(swap=constant(0.2))).totals(60_000)
    assert swapping.stalled > 1
    assert swapping.swap_in > 0
    assert physics().totals(60_000).stalled == 0


def test_neighbours_and_the_limit_steal() -> None:
    demand = constant(1.0)
    alone = physics(drive=Drive(demand=demand, neighbours=constant(0.0))).totals(10_000)
    crowded = physics(drive=Drive(demand=demand, neighbours=constant(0.5))).totals(10_000)
    limited = physics(Machine(cpu_limit=2600), Drive(demand=demand)).totals(10_000)
    assert alone.stolen == 0
    assert 19 < crowded.stolen < 20.001
    assert round(limited.used, 6) == 10
    assert round(limited.used + limited.stolen, 3) == round(alone.used, 3)


def test_a_limit_that_is_set_over_time_is_obeyed() -> None:
    limit = steps((0, 0xFFFFFFFF), (10, 2600))
    simulated = physics(drive=Drive(demand=constant(1.0), neighbours=constant(0.0)), id2=limit)
    before = simulated.totals(10_000)
    after = simulated.totals(20_000)
    assert before.used > 37
    assert round(after.used - before.used, 6) == 10


def test_a_clock_rate_of_zero_limits_nothing() -> None:
    assert physics(Machine(cpu_limit=2600), id5=constant(0)).totals(10_000).used > 5


def test_a_level_of_swap_that_is_set_moves_the_swap_counters() -> None:
    totals = physics(id13=ramp((0, 0), (10, 100), (20, 40))).totals(20_000)
    assert round(totals.swap_out - totals.swap_in) == 40 << 10
    assert totals.swap_out >= 100 << 10


def test_a_set_text_or_invalid_mark_leaves_the_physics_alone() -> None:
    assert physics(id13=constant(False)).totals(9_000) == physics().totals(9_000)


def test_levels_are_whole_kilobytes() -> None:
    assert all(isinstance(value, int) for value in Memory(*physics().memory(12.345)))


def test_another_seed_is_another_curve_with_the_same_bounds() -> None:
    one = Physics(Machine(), Drive(), {}, seed=1).totals(60_000)
    two = Physics(Machine(), Drive(), {}, seed=2).totals(60_000)
    assert one != two
    assert abs(one.used - two.used) < 0.1 * one.used


def test_the_balloon_takes_no_more_than_the_guest_can_give() -> None:
    asked = Drive(balloon=constant(0.5), needed=constant(0.75))
    memory = physics(drive=asked).memory(100)
    assert memory.balloon_target == 4096 << 10
    assert memory.ballooned == 2048 << 10


def test_without_a_driver_the_balloon_stays_empty() -> None:
    memory = physics(Machine(balloon_driver=False), Drive(balloon=constant(0.5))).memory(100)
    assert (memory.balloon_target, memory.ballooned) == (4096 << 10, 0)


def test_what_the_limit_took_is_told_apart_from_what_neighbours_took() -> None:
    both = Drive(demand=constant(1.0), neighbours=constant(0.25))
    neighbours = physics(drive=both).totals(10_000)
    limited = physics(Machine(cpu_limit=2600), both).totals(10_000)
    assert neighbours.limited == 0
    assert round(limited.stolen - limited.limited, 6) == round(neighbours.stolen, 6)
    assert round(limited.used, 6) == 10
