"""Work that must not end by an error: a thread that is gone would be silence, and silence ends in a reset."""

from __future__ import annotations

import logging
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
