from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

import pytest

from exporter.shortage import shortage
from exporter.threads import Thread

PATIENCE = 60.0


def test_it_works_and_is_waited_for() -> None:
    go, gone = threading.Event(), threading.Event()

    def work() -> None:
        assert go.wait(PATIENCE)
        gone.set()

    thread = Thread(work)
    assert not thread.is_alive()
    thread.start(PATIENCE)
    assert thread.is_alive()
    thread.join(0.01)
    assert thread.is_alive()
    go.set()
    thread.join(PATIENCE)
    assert gone.is_set()
    assert not thread.is_alive()


def test_work_that_fails_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def work() -> None:
        raise MemoryError

    thread = Thread(work)
    thread.start(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert told


def test_a_new_thread_that_dies_before_its_first_word_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real, known = _thread.start_new_thread, {*threading.enumerate()}
    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: real(lambda: None, ()))
    thread = Thread(lambda: None)
    with pytest.raises(RuntimeError) as error:
        thread.start(0.01)
    assert shortage(error.value), "it is told as what it is"
    assert not thread.is_alive()
    thread.join(PATIENCE)
    assert {*threading.enumerate()} <= known


def test_one_that_comes_after_it_was_given_up_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[Callable[[], object]] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda work, _: late.append(work))
    done: list[int] = []
    thread = Thread(lambda: done.append(1))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        thread.start(0.01)
    late[0]()
    assert not done
    assert not thread.is_alive()
