"""What every test of the heartbeats may use."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

NewThreadsDie = Callable[[], AbstractContextManager[list[int]]]


@pytest.fixture
def new_threads_die(monkeypatch: pytest.MonkeyPatch) -> NewThreadsDie:
    """``with new_threads_die() as dead``: each new thread ends before its first word, as for want of memory; one entry each.

    Whoever started it waits for that word: by ``threading.Thread`` for ever.
    """
    real = _thread.start_new_thread

    @contextmanager
    def die() -> Iterator[list[int]]:
        dead: list[int] = []

        def start(*_: object, **__: object) -> int:
            dead.append(1)
            return real(lambda: None, ())

        with monkeypatch.context() as patch:
            patch.setattr(_thread, "start_new_thread", start)
            for name in ("_start_new_thread", "_start_joinable_thread"):
                patch.setattr(threading, name, start, raising=False)
            yield dead

    return die
