"""Work that must not end by an error: a thread that is gone would be silence, and silence ends in a reset."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from exporter.threads import NONE_TO_SPARE, Thread

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
        self._threads: list[tuple[str, Thread]] = []

    def start(self, turn: Callable[[], bool], name: str) -> None:
        """Have ``turn`` called again and again until it says False.

        Raises:
            RuntimeError: the system has no thread to spare, or no memory for one.
        """
        try:
            thread = Thread(lambda: keep_on(turn, name))
            thread.start()
        except MemoryError as error:
            raise RuntimeError(NONE_TO_SPARE) from error
        self._threads.append((name, thread))

    def alive(self, name: str) -> bool:
        return any(each == name and thread.is_alive() for each, thread in self._threads)

    def join(self, limit: float) -> None:
        """Wait for the end of each, ``limit`` seconds at most."""
        for _, thread in self._threads:
            thread.join(limit)
