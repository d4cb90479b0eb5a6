"""Monitoring handed back by the exporter's own process: at a stop for which no heart can be started any more."""

from __future__ import annotations

import time
from contextlib import closing

from exporter.errors import VMGuestError
from exporter.ha import lock
from exporter.ha.hand_back import hand_back
from exporter.ha.heart import monitor_for, taken_over
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.rules import Leftover


def hand_back_alone(settings: HeartSettings) -> bool:
    """One attempt, with the lock held; whether the host confirmed it. It takes one file and one connection: a heart takes more."""
    try:
        held = lock.acquire(settings.lock_file, exporter=settings.exporter)
        if held is None:
            return False
        try:
            with closing(monitor_for(settings)) as monitor:
                leftover, *_ = taken_over(held.before, settings)
                found = hand_back(
                    monitor,
                    leftover,
                    0.0,
                    sleep=time.sleep,
                    clock=time.monotonic,
                    late_until=held.before.late_until,
                )
            if found.confirmed and not settings.dry_run:
                held.note(Leftover.NOTHING)
            return found.confirmed
        finally:
            held.release()
    except (VMGuestError, OSError, MemoryError):
        # Tried again for as long as there is time.
        return False
