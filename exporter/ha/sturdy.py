"""Work that must not end by an error: a thread that is gone would be silence, and silence ends in a reset."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger("exporter.ha")

PAUSE = 1.0
"""Seconds after a turn that failed."""


def keep_on(turn: Callable[[], bool], name: str) -> None:
    """Call ``turn`` until it says False. One that fails, for want of memory say, is told once and tried again."""
    told = False
    while True:
        try:
            if not turn():
                return
            told = False
        except Exception as error:  # noqa: BLE001  whatever it is, it is no reason to fall silent
            if not told:
                # With no memory left, this may fail as well.
                with suppress(Exception):
                    log.critical("heartbeats: %s fails and is tried again: %r", name, error)
                    told = True
            time.sleep(PAUSE)


class Threads:
    """Those of one owner, each of which keeps on."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, turn: Callable[[], bool], name: str) -> None:
        """Have ``turn`` called again and again until it says False.

        Raises:
            RuntimeError: the system has no thread to spare.
        """
        thread = threading.Thread(target=keep_on, args=(turn, name), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def alive(self, name: str) -> bool:
        return any(thread.name == name and thread.is_alive() for thread in self._threads)

    def join(self, limit: float) -> None:
        """Wait for the end of each, ``limit`` seconds at most."""
        for thread in self._threads:
            thread.join(limit)
