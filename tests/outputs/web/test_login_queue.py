"""The queue of logins against a model of its own: who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from exporter.outputs.web import login_queue
from exporter.outputs.web.login_queue import EACH, WAITING, Login, LoginQueue, source
from tests.dying_threads import new_threads_die


class Desk:
    """A queue whose checks wait until they are let go on, one by one."""

    def __init__(self, **bounds: int) -> None:
        self.queue = LoginQueue(**bounds)
        self.checked: list[str] = []
        self.turned_away: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def put(self, address: str, name: str) -> None:
        def check() -> None:
            self.checked.append(name)
            self.begun.release()
            assert self.go_on.acquire(timeout=10)

        self.queue.put(address, Login(check, lambda: self.turned_away.append(name)))

    def busy(self) -> None:
        """Something is being checked, so that whatever comes has to wait."""
        self.put("192.0.2.99", "first")
        assert self.begun.acquire(timeout=10)

    def finish(self, count: int) -> list[str]:
        """Let ``count`` more be checked; their names in order."""
        seen = len(self.checked)
        for _ in range(count):
            self.go_on.release()
            assert self.begun.acquire(timeout=10)
        return self.checked[seen:]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.go_on.release(1000)


def test_one_address_after_the_other_and_each_in_its_own_order(desk: Desk) -> None:
    desk.busy()
    for number in range(4):
        desk.put("192.0.2.1", f"a{number}")
    desk.put("192.0.2.2", "b0")
    desk.put("192.0.2.3", "c0")
    desk.put("192.0.2.2", "b1")
    assert desk.finish(7) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]
    assert desk.turned_away == []


def test_a_flood_from_one_address_costs_another_one_login_at_most(desk: Desk) -> None:
    desk.busy()
    for number in range(1000):
        desk.put("192.0.2.1", f"flood {number}")
    desk.put("192.0.2.2", "scraper")
    assert desk.turned_away == [f"flood {number}" for number in range(EACH, 1000)]
    assert desk.finish(2) == ["flood 0", "scraper"]


def test_a_flood_from_many_addresses_leaves_room_for_another() -> None:
    desk = Desk(waiting=6, each=3)
    desk.busy()
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        for number in range(3):
            desk.put(address, f"{address[-1]}{number}")
    assert len(desk.turned_away) == 3
    desk.put("192.0.2.4", "scraper")
    assert len(desk.turned_away) == 4, "the last of whoever has most waiting"
    assert "scraper" in desk.finish(4)
    desk.go_on.release(1000)


def test_with_as_many_addresses_as_there_is_room_the_next_is_turned_away() -> None:
    desk = Desk(waiting=3)
    desk.busy()
    for number in range(4):
        desk.put(f"192.0.2.{number}", str(number))
    assert desk.turned_away == ["3"]
    desk.go_on.release(1000)


def test_a_check_that_fails_is_turned_away_and_the_next_is_checked(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    away = threading.Event()

    def fail() -> None:
        raise RuntimeError("so it goes")

    desk.queue.put("192.0.2.1", Login(fail, away.set))
    assert away.wait(10)
    desk.busy()
    assert desk.checked == ["first"]
    assert "so it goes" in caplog.text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("somewhere", "elsewhere", False),
    ],
)
def test_what_counts_as_one_source(one: str, other: str, same: bool) -> None:
    assert (source(one) == source(other)) is same


def test_the_bounds_are_those_of_the_documents() -> None:
    assert (WAITING, EACH) == (64, 16)


def test_where_no_thread_can_be_started_a_login_is_turned_away_and_a_later_one_is_checked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For want of memory. The web server's loop waits for it, and its standstill is bad health."""
    monkeypatch.setattr(login_queue, "START", 0.01)
    with new_threads_die() as dead:
        desk.put("192.0.2.1", "a")
        desk.put("192.0.2.1", "b")
    assert len(dead) == 2
    assert desk.turned_away == ["a", "b"]
    desk.put("192.0.2.1", "c")
    assert desk.begun.acquire(timeout=10)
    assert desk.checked == ["c"]
