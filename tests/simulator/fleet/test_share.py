"""How a host divides CPU and memory, against a model of its own: a water level found by halving."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.fleet import share

VMS = st.lists(st.tuples(st.floats(0, 16), st.integers(1, 32_000)), min_size=1, max_size=12)


def by_water_level(capacity: float, wants: list[float], shares: list[int]) -> list[float]:
    """Each VM is a column as wide as its shares, open up to what it wants: how high does the water stand?"""
    if sum(wants) <= capacity:
        return wants
    low, high = 0.0, capacity / min(shares)
    for _ in range(200):
        middle = (low + high) / 2
        if sum(min(want, middle * width) for want, width in zip(wants, shares, strict=True)) < capacity:
            low = middle
        else:
            high = middle
    return [min(want, low * width) for want, width in zip(wants, shares, strict=True)]


@given(VMS, st.floats(0.5, 64))
def test_cpu_is_divided_as_water_finds_its_level(vms: list[tuple[float, int]], capacity: float) -> None:
    wants, shares = [want for want, _ in vms], [width for _, width in vms]
    got = share.cpu(capacity, wants, shares)
    assert got == pytest.approx(by_water_level(capacity, wants, shares), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("capacity", "wants", "shares", "got"),
    [
        (10, [2, 3], [1, 1], [2, 3]),
        (4, [4, 4], [1, 3], [1, 3]),
        (4, [0.5, 4, 4], [1, 1, 1], [0.5, 1.75, 1.75]),
        (1, [0, 0], [1, 1], [0, 0]),
        (1, [], [], []),
    ],
)
def test_cpu_by_hand(capacity: float, wants: list[float], shares: list[float], got: list[float]) -> None:
    assert share.cpu(capacity, wants, shares) == pytest.approx(got)


@pytest.mark.parametrize(
    ("capacity", "used", "givable", "swappable", "taken"),
    [
        (100, [40, 50], [10, 10], [30, 40], [(0, 0), (0, 0)]),
        (80, [40, 50], [10, 30], [30, 20], [(2.5, 0), (7.5, 0)]),
        (40, [40, 50], [10, 10], [30, 30], [(10, 15), (10, 15)]),
        (80, [40, 50], [0, 0], [0, 20], [(0, 0), (0, 10)]),
        (0, [10], [0], [0], [(0, 0)]),
    ],
)
def test_memory_goes_by_the_balloon_first(
    capacity: float,
    used: list[float],
    givable: list[float],
    swappable: list[float],
    taken: list[tuple[float, float]],
) -> None:
    found = share.memory(capacity, used, givable, swappable)
    assert [(each.balloon, each.swap) for each in found] == taken


def test_a_loss_is_laid_to_all_others_by_what_they_used() -> None:
    assert share.blame([3, 0, 0], [5, 2, 1]) == [(0, 1, 2.0), (0, 2, 1.0)]
    assert share.blame([1.0], [1.0]) == []


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.1, 9)), min_size=2, max_size=9))
def test_blame_adds_up_to_the_loss(vms: list[tuple[float, float]]) -> None:
    losses, uses = [loss for loss, _ in vms], [use for _, use in vms]
    sums = [0.0] * len(vms)
    for loser, winner, amount in share.blame(losses, uses):
        assert winner != loser
        sums[loser] += amount
    assert sums == pytest.approx(losses)
