"""The heartbeats as a part of the program: their settings, and their start."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from tempfile import TemporaryDirectory
from typing import Protocol

from exporter.config import Settings
from exporter.errors import ConfigError, NotVMwareError, VMGuestError
from exporter.ha import check_types, lock
from exporter.ha.base import AppMonitor
from exporter.ha.explain import explain
from exporter.ha.health import HealthJudge
from exporter.ha.heart import monitor_for
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.heartbeat import Heartbeat
from exporter.ha.idle import Idle
from exporter.ha.kept import Kept
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.left_on import LeftOn
from exporter.ha.maintenance import Maintenance
from exporter.ha.rules import Leftover
from exporter.ha.running_clock import RunningClock
from exporter.ha.stop_note import StopNote
from exporter.machine import hypervisor
from exporter.metrics.published import Published

log = logging.getLogger("exporter.app")


ServeAt = Callable[[str], AbstractContextManager[None]]
"""Has the simulated host of this process answer on a unix socket too."""


class Listening(Protocol):
    """A web server."""

    def responds(self, limit: float) -> bool: ...


def check(settings: Settings, _environ: Mapping[str, str], _unread: Collection[str] = ()) -> None:
    """Raise ConfigError for checks that can't be used."""
    check_types.read(settings.ha.checks, RunningClock(time.monotonic))


def stopped_at_the_start(settings: Settings) -> None:
    """A stop was asked for and the exporter can't start: what one that crashed left on is switched off after its end.

    Where that can't be noted - the lock's directory is read-only by now, say - it is switched off here.
    """
    path = settings.ha.lock_file or lock.DEFAULT_PATH
    if StopNote(path).write_for_the_dead() is None and _is_of_this_machine(settings):
        with ExitStack() as parts:
            LeftOn(path, partial(_connect, settings, None, parts, path)).stop()


def start(
    settings: Settings,
    published: Published,
    simulated: ServeAt | None,
    server: Listening | None,
    parts: ExitStack,
    tell: Callable[[str], None] = lambda _text: None,
) -> None:
    """Send heartbeats to vSphere HA from here on; ``parts`` ends them.

    ``simulated`` reaches the host in this process, where there is one; ``server`` is the web server, whose health is
    the exporter's. ``tell`` takes what happens to the heartbeats, a sentence each, from any thread.

    Raises:
        ConfigError: a check that can't be used, or another process sends the heartbeats of this VM.
        VMGuestError: heartbeats are required, and not possible.
    """
    ha = settings.ha
    running = RunningClock()
    lock_file = ha.lock_file or _lock_file(simulated, parts)
    maintenance = Maintenance(lock_file)
    judge = HealthJudge(
        check_types.read(ha.checks, running),
        lambda: published.state.read_monotonic,
        ha.max_poll_age,
        None if server is None else server.responds,
        running=running,
        longest=ha.interval,
        grace=ha.grace,
        session_changes=lambda: published.state.session_changes,
        maintained=maintenance.happened,
    )
    if not ha.dry_run:
        judge.goes_on(*left_behind(lock_file, maintenance))
    judge.start()
    parts.callback(judge.stop)
    try:
        socket = None if ha.dry_run else _heart_socket(settings, simulated, parts)
    except NotVMwareError as error:
        if not ha.dry_run and settings.source != "replay" and may_be_on(lock_file):
            raise VMGuestError(
                f"heartbeats: monitoring was on in this boot, and now: {explain(error)} That can't be, and may be a shortage: "
                "another start finds out"
            ) from error
        if ha.required:
            raise VMGuestError(f"--ha.required: {explain(error)}") from error
        log.error("no heartbeats: %s", explain(error))  # noqa: TRY400  a traceback would hide the advice
        published.add(Idle(judge.judge).families)
        return
    if os.getpid() == 1 and simulated is None and not ha.dry_run:
        raise ConfigError(
            "--ha.enabled: heartbeats need an init as the first process of this container (docker run --init, or the "
            "shipped image, which has one): the kernel drops a SIGTERM that comes in the first moments of a first process "
            "without one, and a stop that is lost ends in a reset of this VM"
        )
    problems: list[str] = []

    def give_up(problem: str) -> None:
        problems.append(problem)
        os.kill(os.getpid(), signal.SIGTERM)

    @parts.callback
    def fail() -> None:
        if problems:
            raise VMGuestError(f"--ha.required: {problems[0]}")

    left_on = _left_on(settings, simulated, parts, tell) if ha.dry_run else None
    heartbeat = Heartbeat(
        heart_settings(settings, socket, lock_file, dry_run=ha.dry_run),
        judge.judge,
        required=ha.required,
        fatal=give_up,
        tell=lambda text: tell(f"In the dry run: {text}" if ha.dry_run else text),
    )
    heartbeat.start()

    _stop_with(parts, heartbeat.stop)

    published.add(heartbeat.families if left_on is None else left_on.until_then(heartbeat.families))


def start_without(
    settings: Settings,
    published: Published,
    simulated: ServeAt | None,
    parts: ExitStack,
    tell: Callable[[str], None] = lambda _text: None,
) -> None:
    """An exporter without ``--ha.enabled`` starts: what one that died has left on is handed back. As for :func:`start`."""
    if left_on := _left_on(settings, simulated, parts, tell):
        published.add(left_on.families)


def _left_on(
    settings: Settings, simulated: ServeAt | None, parts: ExitStack, tell: Callable[[str], None]
) -> LeftOn | None:
    if simulated is not None or not _is_of_this_machine(settings):
        return None
    path = settings.ha.lock_file or lock.DEFAULT_PATH
    left_on = LeftOn(path, partial(_connect, settings, simulated, parts, path), tell)
    left_on.start()
    _stop_with(parts, left_on.stop)
    return left_on


def _is_of_this_machine(settings: Settings) -> bool:
    """The host is the one that the lock is about. Of a simulated one the machine's lock knows nothing."""
    if settings.source in {"replay", "simulated"}:
        return False
    return not settings.guestrpc.socket or bool(settings.ha.lock_file)


def _connect(settings: Settings, simulated: ServeAt | None, parts: ExitStack, path: str) -> AppMonitor:
    # Asked each time: that this is VMware can't be told while files are short.
    socket = _heart_socket(settings, simulated, parts)
    return monitor_for(heart_settings(settings, socket, path, dry_run=False))


def _stop_with(parts: ExitStack, stop: Callable[[], bool]) -> None:
    """``stop`` says whether the host confirmed it."""

    @parts.callback
    def hand_back() -> None:
        if not stop():
            raise VMGuestError("vSphere HA may reset this VM: the end of monitoring is not confirmed")


def heart_settings(settings: Settings, socket: str | None, lock_file: str, *, dry_run: bool) -> HeartSettings:
    """The part of ``settings`` that a heart, or a single call to the host, needs. ``socket``: of a simulated host."""
    ha = settings.ha
    return HeartSettings(
        interval=ha.interval,
        grace=ha.grace,
        on_unhealthy=ha.on_unhealthy,
        source=ha.source,
        socket=socket,
        library=None,
        lock_file=lock_file,
        dry_run=dry_run,
    )


def _heart_socket(settings: Settings, simulated: ServeAt | None, parts: ExitStack) -> str | None:
    """The unix socket of a simulated host; None: the hypervisor's vsock, on VMware only."""
    if simulated is not None:
        path = f"{_folder(parts)}/host"
        parts.enter_context(simulated(path))
        return path
    if settings.source == "replay":
        raise NotVMwareError("a recording takes no heartbeats")
    if settings.guestrpc.socket is None and not hypervisor.detect().vmware:
        # Elsewhere the other end of a vsock would be somebody else's host.
        raise NotVMwareError("this machine is not a VMware guest")
    return settings.guestrpc.socket


def may_be_on(lock_file: str) -> bool:
    """An exporter has left monitoring on in this boot; or whether one has can't be read for now."""
    try:
        return lock.record(lock_file).leftover is not Leftover.NOTHING
    except ConfigError as error:
        return error.passing


def left_behind(lock_file: str, maintenance: Maintenance) -> tuple[dict[str, Kept], float]:
    """What the checks of the exporter before this one had found, and the bad time of any of them, for where that is not known.

    Nothing after a stop that was asked for, or may have been, though it was cut short: it is the end of all bad time.
    """
    try:
        if StopNote(lock_file).stands():
            return {}, 0.0
        bad_for = lock.record(lock_file).bad_for
    except ConfigError:
        return {}, 0.0
    return KeptChecks(lock_file).read(maintenance.begun()), bad_for


def _folder(parts: ExitStack) -> str:
    """One that goes with ``parts``."""
    return parts.enter_context(TemporaryDirectory(prefix="vmguest-"))


def _lock_file(simulated: ServeAt | None, parts: ExitStack) -> str:
    """The one of this machine; a simulated VM of one process is its own."""
    return lock.DEFAULT_PATH if simulated is None else f"{_folder(parts)}/ha.lock"
