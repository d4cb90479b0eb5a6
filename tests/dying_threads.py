"""Threads that die at their start, as for want of memory."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def new_threads_die(after: int = 0) -> Iterator[list[int]]:
    """Each new thread, when ``after`` more have been started, ends before its first word, for which its starter waits: ``threading.Thread`` for ever. One entry each."""
    real = _thread.start_new_thread
    dead: list[int] = []

    def start(*thread: Any, **more: Any) -> int:
        nonlocal after
        if after:
            after -= 1
            return real(*thread, **more)
        dead.append(1)
        return real(lambda: None, ())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", start)
        for name in ("_start_new_thread", "_start_joinable_thread"):
            patch.setattr(threading, name, start, raising=False)
        patch.setattr("exporter.threads.LIMIT", 0.01)
        yield dead
