"""``vmguest-exporter ha disable | enable | status | finish-stop``: maintenance, and the end of a stop.

They tell what they know, and exit so: an exporter's heart that does not react is not one that has stopped.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import ConfigError, LibraryStatus, TransportError
from exporter.ha import lock
from exporter.ha.base import AppMonitor
from exporter.ha.maintenance import Maintenance
from exporter.ha.rules import Leftover
from exporter.ha.stop_note import StopNote
from exporter.protocol.appmonitor import Code

OK, NO, HELD, NOBODY = 0, 1, 6, 7

ATTEMPTS = 5
"""Of Disable, a second apart, until the host confirms it."""
STOP_ATTEMPTS = 45
"""The same to finish a stop: below the unit's TimeoutStopSec."""
HEART_LIMIT = 12.0
"""Seconds for a heart to do what was asked: it looks every second, and one call takes 2 s at most."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the calls are made from: the lock that says who beats, the host, and a way to wait."""

    path: str
    monitor: AppMonitor
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def heart(self) -> str:
        return f"the exporter's heart (pid {lock.holder(self.path) or 'unknown'})"

    def wait(self, true: Callable[[], bool], limit: float) -> bool:
        """Whether it became true in time."""
        deadline = self.clock() + limit
        while not (found := true()) and self.clock() < deadline:
            self.sleep(0.1)
        return found


def disable(desk: Desk, seconds: float | None) -> int:
    """Monitoring off, confirmed; a running exporter leaves it off until the end of maintenance.

    Raises:
        ConfigError: maintenance can't be noted.
        VMGuestError: the host does not answer.
    """
    maintenance = Maintenance(desk.path)
    beats = lock.holder(desk.path) is not None
    if beats or seconds is not None:
        maintenance.begin(math.inf if seconds is None else seconds)
    heard = not beats or desk.wait(lambda: _leftover(desk) is Leftover.NOTHING, HEART_LIMIT)
    status = _off(desk, ATTEMPTS)
    if status != OK:
        return status
    _forget(desk.path)
    if maintenance.left() is None and lock.holder(desk.path) is not None:
        # An exporter was starting meanwhile, and knows of nothing.
        return disable(desk, seconds)
    print("monitoring is off, confirmed by the host")
    if maintenance.left() is None:
        print(
            "no exporter sends heartbeats; one that starts switches monitoring on again, and --for keeps it from that"
        )
    else:
        print(f"maintenance: {_until(maintenance)}; `vmguest-exporter ha enable` ends it")
    if heard:
        return OK
    _complain(
        f"{desk.heart} has not confirmed it: it stands still, or does not see {maintenance.path}, and may switch monitoring "
        "on again. Stop that exporter"
    )
    return HELD


def enable(desk: Desk, *, unattended: bool) -> int:
    """End maintenance: the exporter's heart switches monitoring on. Without one only where nobody is to beat.

    Raises:
        ConfigError: maintenance can't be ended.
        VMGuestError: the host does not answer.
    """
    maintenance = Maintenance(desk.path)
    held = lock.acquire(desk.path)
    if held is None:
        maintenance.end()
        if desk.wait(
            lambda: _leftover(desk) is not Leftover.NOTHING and desk.monitor.is_enabled(), HEART_LIMIT
        ):
            print(f"monitoring is on: {desk.heart} sends the heartbeats")
            return OK
        _complain(
            f"maintenance is over, and monitoring is not on yet: {desk.heart} switches it on once health is good (look at "
            "vmguest_ha_check_healthy and the exporter's log)"
        )
        return NO
    try:
        if not unattended:
            _complain(
                "no exporter is there to send heartbeats: 30 s after this vSphere HA would reset the machine. Start the "
                "exporter with --ha.enabled; it switches monitoring on by itself. --unattended does it all the same"
            )
            return NOBODY
        maintenance.end()
        # An exporter that starts from now on takes it over.
        held.note(Leftover.MONITORING)
        code = desk.monitor.enable()
    finally:
        held.release()
    if code is not Code.OK:
        _complain(f"the host answered {code.words}")
        return NO
    print("monitoring is on: a heartbeat is due every 30 s, or vSphere HA resets this VM. Nobody sends one")
    return OK


def status(desk: Desk) -> int:
    """Print who beats, what the host expects, and whether this is maintenance."""
    maintenance = Maintenance(desk.path)
    pid = lock.holder(desk.path)
    print(f"exporter: {'none sends heartbeats' if pid is None else desk.heart}")
    print(f"maintenance: {'none' if maintenance.left() is None else _until(maintenance)}")
    enabled = desk.monitor.is_enabled()
    print(f"monitoring: {'on' if enabled else 'off'}")
    print(f"application status: {desk.monitor.get_app_status().value}")
    return OK if enabled else NO


def finish_stop(desk: Desk, environ: Mapping[str, str] = os.environ) -> int:
    """Finish an orderly stop that was cut short, and nothing else: a crash stays what it is.

    ``environ``: how the service ended, by systemd.

    Raises:
        VMGuestError: the host does not answer.
    """
    note = StopNote(desk.path)

    def cut_short() -> bool:
        return note.stands() or (_stopped_unprepared(environ) and _leftover(desk) is not Leftover.NOTHING)

    if not cut_short():
        return OK
    held = lock.acquire(desk.path)
    # Whoever holds it beats, or is finishing the stop.
    if held is None:
        return OK
    try:
        # Once more: an exporter may have begun and ended since.
        if not cut_short():
            return OK
        status = _off(desk, STOP_ATTEMPTS)
        if status == OK:
            held.note(Leftover.NOTHING)
            note.clear()
            print("the stop is finished: monitoring is off, confirmed by the host")
        return status
    finally:
        held.release()


def _stopped_unprepared(environ: Mapping[str, str]) -> bool:
    """SIGTERM was the end of the main process: one that had not begun yet, and so could not hand monitoring back.

    systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager": of a stop that it asked for, and
    of a kill by hand; never of a crash, a watchdog, a time limit or a lack of memory, which have results of their own.
    """
    ended = (environ.get(name, "") for name in ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS"))
    return tuple(ended) == ("success", "killed", "TERM")


def _off(desk: Desk, attempts: int) -> int:
    """Disable until the host confirms it."""
    code = Code.OK
    for attempt in range(attempts):
        if attempt:
            desk.sleep(1.0)
        try:
            code = desk.monitor.disable()
            if not desk.monitor.is_enabled():
                return OK
        except (TransportError, LibraryStatus):
            # An RpcError is the host's last word; a lost connection is not.
            if attempt == attempts - 1:
                raise
    _complain(f"monitoring is still on after {attempts} attempts; to Disable the host answered {code.words}")
    return NO


def _leftover(desk: Desk) -> Leftover:
    return lock.record(desk.path).leftover


def _forget(path: str) -> None:
    """Nothing is left for a later exporter to take over."""
    if Path(path).exists():
        with suppress(ConfigError):
            held = lock.acquire(path)
            if held is not None:
                held.note(Leftover.NOTHING)
                held.release()


def _until(maintenance: Maintenance) -> str:
    left = maintenance.left()
    if left is None or left == math.inf:
        return "without an end"
    return (
        f"until {time.strftime('%H:%M:%S', time.localtime(time.time() + left))}, another {left / 60:.0f} min"
    )


def _complain(sentence: str) -> None:
    print(f"vmguest-exporter: {sentence}", file=sys.stderr)
