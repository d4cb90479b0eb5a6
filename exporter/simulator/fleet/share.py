"""How a host divides what it has among its VMs, as pure functions.

CPU by shares: nobody gets more than it wants, and what one leaves goes to the others (vSphere Resource Management,
"Resource Allocation Shares"). Memory: what VMs use beyond what the host has is taken back, by the same part of what
each can give; the balloon first, and the host's swap for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


def cpu(capacity: float, wants: Sequence[float], shares: Sequence[float]) -> list[float]:
    """What each gets of ``capacity``, in the unit of ``wants``."""
    got = [0.0] * len(wants)
    left, hungry = capacity, [index for index, want in enumerate(wants) if want > 0]
    while hungry:
        each = left / sum(shares[index] for index in hungry)
        content = [index for index in hungry if wants[index] <= each * shares[index]]
        if not content:
            for index in hungry:
                got[index] = each * shares[index]
            break
        for index in content:
            got[index] = wants[index]
            left -= wants[index]
        hungry = [index for index in hungry if wants[index] > each * shares[index]]
    return got


class Taken(NamedTuple):
    """Of one VM's memory, in the unit given."""

    balloon: float = 0.0
    swap: float = 0.0


NOTHING = Taken()


def memory(
    capacity: float, used: Sequence[float], givable: Sequence[float], swappable: Sequence[float]
) -> list[Taken]:
    """What is taken back from each.

    ``givable``: what each could give to the balloon; ``swappable``: what else could go to swap.
    """
    over = sum(used) - capacity
    if over <= 0:
        return [NOTHING] * len(used)
    can_give, can_swap = sum(givable), sum(swappable)
    balloon = min(over / can_give, 1.0) if can_give else 0.0
    rest = over - balloon * can_give
    swap = min(rest / can_swap, 1.0) if can_swap and rest > 0 else 0.0
    return [Taken(balloon * give, swap * more) for give, more in zip(givable, swappable, strict=True)]


def blame(losses: Sequence[float], uses: Sequence[float]) -> list[tuple[int, int, float]]:
    """(who lost, to whom, how much): each loss laid to all others in proportion to what they used."""
    total = sum(uses)
    found = []
    for loser, loss in enumerate(losses):
        others = total - uses[loser]
        if loss <= 0 or others <= 0:
            continue
        found += [
            (loser, winner, loss * use / others)
            for winner, use in enumerate(uses)
            if winner != loser and use > 0
        ]
    return found
