"""A heart whose lock's file was taken from under it hands over, and only to somebody who keeps it."""

from __future__ import annotations

from exporter.ha.heart import LOST_PATIENCE, LockKeeper
from exporter.ha.lock import Lock


class Held(Lock):
    def __init__(self) -> None:
        self.kept = True

    def keep(self) -> bool:
        return self.kept


def test_it_is_lost_to_whoever_holds_it_for_longer_than_a_call_takes() -> None:
    held, told, now = Held(), list[str](), [100.0]
    keeper = LockKeeper(held, told.append, lambda: now[0])
    assert not keeper.lost()
    held.kept = False
    assert not keeper.lost()
    now[0] += LOST_PATIENCE - 0.1
    assert not keeper.lost()
    held.kept = True
    assert not keeper.lost(), "a command that asked who holds it"
    held.kept = False
    now[0] += 1
    assert not keeper.lost()
    assert told == []
    now[0] += LOST_PATIENCE
    assert keeper.lost()
    (text,) = told
    assert "another process holds it now" in text
    held.kept = True
    assert keeper.lost(), "a stop is not called off"
    assert len(told) == 1
