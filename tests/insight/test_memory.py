"""What the host may still take, and what the memory limit does."""

from __future__ import annotations

import pytest

from exporter.insight.memory import Balloon, MemoryLimitState, Reclaim, limit_state, reclaim
from exporter.snapshot import Guest, Snapshot

MIB = 2**20
GUEST = Guest(2, 1000 * MIB, available_bytes=100 * MIB, swap_free_bytes=50 * MIB)


def snapshot(**values: int) -> Snapshot:
    return Snapshot(1, 3, {f"memory_{key}": value for key, value in values.items()})


AHEAD = (
    # ballooned, target, maximum -> pending, worst case (MiB)
    (0, 0, 650, 0, 650),
    (100, 300, 650, 200, 550),
    (100, 900, 650, 550, 550),
    (300, 100, 650, 0, 350),
    (700, 700, 650, 0, 0),
)


@pytest.mark.parametrize(("ballooned", "target", "most", "pending", "worst"), AHEAD)
def test_pending_and_worst_case(ballooned: int, target: int, most: int, pending: int, worst: int) -> None:
    found = reclaim(snapshot(ballooned=ballooned, balloon_target=target, balloon_max=most), GUEST)
    assert (found.pending, found.worst_case) == (pending * MIB, worst * MIB)


def test_what_the_guest_lacks() -> None:
    wanted = snapshot(ballooned=0, balloon_target=200, balloon_max=650)
    assert reclaim(wanted, GUEST).deficit == 50 * MIB
    assert reclaim(snapshot(ballooned=0, balloon_target=150), GUEST).deficit == 0


@pytest.mark.parametrize("guest", [Guest(), Guest(available_bytes=1), Guest(swap_free_bytes=1)])
def test_without_the_vms_own_figures_there_is_no_deficit(guest: Guest) -> None:
    assert reclaim(snapshot(ballooned=0, balloon_target=200), guest).deficit is None


def test_what_the_host_does_not_tell_is_not_known() -> None:
    assert reclaim(snapshot(), Guest()) == Reclaim(None, None, None, None)
    assert reclaim(snapshot(swapped=10, swap_target=30), Guest()).swap_pending == 20 * MIB


NONE = 0xFFFFFFFF
LIMITS: tuple[tuple[str, dict[str, int], dict[str, int] | None, MemoryLimitState | None], ...] = (
    ("no limit", {"limit": NONE}, None, MemoryLimitState.NONE),
    ("covers", {"limit": 980}, None, MemoryLimitState.NOT_BINDING),
    ("binds", {"limit": 979, "used": 100}, None, MemoryLimitState.BINDING),
    ("used up, nothing ahead", {"limit": 500, "used": 475}, {}, MemoryLimitState.BINDING),
    ("used up, a balloon ahead", {"limit": 500, "used": 475, "ballooned": 1, "balloon_target": 2}, None, MemoryLimitState.RECLAIMING),
    ("used up, swap ahead", {"limit": 500, "used": 475, "swapped": 1, "swap_target": 2}, None, MemoryLimitState.RECLAIMING),
    ("used up, growing", {"limit": 500, "used": 475, "zipped": 2}, {"zipped": 1}, MemoryLimitState.RECLAIMING),
    ("used up, told for the first time", {"limit": 500, "used": 475, "zipped": 2}, {}, MemoryLimitState.BINDING),
    ("used up, at rest", {"limit": 500, "used": 475, "zipped": 2}, {"zipped": 2}, MemoryLimitState.BINDING),
    ("used up, the largest balloon reached", {"limit": 500, "used": 475, "ballooned": 3, "balloon_target": 9, "balloon_max": 3}, None, MemoryLimitState.BINDING),
    ("below, growing", {"limit": 500, "used": 474, "zipped": 2}, {"zipped": 1}, MemoryLimitState.BINDING),
    ("not told", {}, None, None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "before", "state"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS]
)
def test_the_limits_state(
    values: dict[str, int], before: dict[str, int] | None, state: MemoryLimitState | None
) -> None:
    last = None if before is None else snapshot(**before)
    assert limit_state(snapshot(**values), GUEST, last) is state


def test_a_limit_of_an_unknown_guest_has_no_state() -> None:
    assert limit_state(snapshot(limit=500), Guest(), None) is None


class TestBalloon:
    def test_one_that_follows_is_never_stuck(self) -> None:
        balloon = Balloon()
        for at in range(0, 600, 5):
            assert balloon.stuck(snapshot(ballooned=at, balloon_target=1000), float(at)) <= 5

    def test_one_that_does_not_is_stuck_since_it_should_have(self) -> None:
        balloon = Balloon()
        assert balloon.stuck(snapshot(ballooned=0, balloon_target=64), 0.0) == 0
        assert balloon.stuck(snapshot(ballooned=0, balloon_target=65), 10.0) == 0
        assert balloon.stuck(snapshot(ballooned=0, balloon_target=65), 130.0) == 120
        assert balloon.stuck(snapshot(ballooned=0, balloon_target=0), 140.0) == 0

    @pytest.mark.parametrize("most", [0, 650])
    def test_the_largest_one_allowed_is_not_stuck(self, most: int) -> None:
        balloon = Balloon()
        for at in range(0, 600, 5):
            full = snapshot(ballooned=most, balloon_target=2048, balloon_max=most)
            assert balloon.stuck(full, float(at)) == 0

    def test_what_is_not_told_is_no_reproach(self) -> None:
        assert Balloon().stuck(snapshot(), 1000.0) == 0
