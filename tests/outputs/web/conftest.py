"""What tests of servers share."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from waitress import wasyncore


@pytest.fixture
def mishaps(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Each release makes a server's loop fail once, after its next turn."""
    real = wasyncore.loop
    due = threading.Semaphore(0)

    def loop(**more: Any) -> None:
        real(**more)
        if due.acquire(blocking=False):
            raise ValueError("too many file descriptors in select()")

    monkeypatch.setattr(wasyncore, "loop", loop)
    return due
