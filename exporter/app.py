"""The composition root: what a serving process consists of, and in which order it starts and ends.

    host -> source -> poller -> published -> web
                        +--> insight ---^ +-> push (OTLP)
                        +--> health -> heart (a process of its own, with a connection of its own)

Parts start from the host outwards and end in the reverse order. Each brings a ``check`` of its settings and a
``start``, and knows of no other. One that the settings leave out is not imported.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Any, NamedTuple

from exporter import __version__
from exporter.config import Settings, push_wanted
from exporter.errors import ConfigError, Problems
from exporter.insight import start as meaning
from exporter.machine.signals import FAILED, RELOAD, STOP, Signals
from exporter.machine.systemd import Notifier
from exporter.metrics.collector import Options
from exporter.metrics.published import Published
from exporter.outputs.web import start as web
from exporter.poller import Poller
from exporter.session import hosts
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import PollState

log = logging.getLogger("exporter.app")

PROBES = 20
"""Quick polls at the start of a session, 5 s in all: how often does this host take a new sample?"""
WEDGED_AFTER = 10
"""Calls to the host that one poll may take, each up to its time limit, before it counts as stuck for ever."""


class Part(NamedTuple):
    """A module that can check its own settings, imported where they ask for it and not before."""

    module: str
    wanted: Callable[[Settings, Mapping[str, str]], bool] = lambda _settings, _environ: True
    switch: str = ""
    """The setting that turns it on, where its others can be checked without."""

    def load(self) -> Any:
        return import_module(self.module)


PUSH = Part("exporter.outputs.otlp.start", push_wanted)
HEARTBEATS = Part("exporter.ha.start", lambda settings, _environ: settings.ha.enabled, "ha.enabled")

HA_LOCK = "/run/vmguest-exporter/ha.lock"
"""That of :mod:`exporter.ha.lock`, which is loaded only where it may be needed."""

PARTS = (
    Part("exporter.session.hosts"),
    Part("exporter.insight.start"),
    PUSH,
    Part("exporter.outputs.web.start"),
    HEARTBEATS,
)


def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Publish until SIGTERM or SIGINT; the exit status, 1 after a part has failed for good.

    Raises:
        ConfigError: settings that only their parts could check.
        VMGuestError: it can't start, and the message says what to change.
    """
    log.info("starting", extra={"version": __version__, "python": sys.version.split()[0]})
    notifier = Notifier(environ)
    try:
        with Signals() as signals, ExitStack() as parts:
            try:
                poller = start(settings, environ, notifier, parts, signals.fail)
            except Exception:
                # Whatever it is, a shortage of files say. First what has started gives back those that the note of a stop needs.
                try:
                    parts.close()
                finally:
                    if settings.ha.enabled and set(STOP) & set(signals.wait(0)):
                        HEARTBEATS.load().stopped_at_the_start(settings)
                raise
            # What is here by now stays: later collections need not look at it.
            gc.collect()
            gc.freeze()
            status = supervise(poller, settings, signals, notifier)
    except ConfigError as error:
        found = dict.fromkeys((*error.problems, *wrong_settings(settings, environ)))
        raise ConfigError(*found) from error
    log.info("stopped")
    return status


def left_on(settings: Settings) -> bool:
    """Whether an exporter that died may have left monitoring by vSphere HA on, so that one that does not start is a reset."""
    path = settings.ha.lock_file or HA_LOCK
    return os.access(path, os.R_OK) and bool(HEARTBEATS.load().may_be_on(path))


def wrong_settings(
    settings: Settings,
    environ: Mapping[str, str],
    unread: Collection[str] = (),
    parts: Iterable[Part] = PARTS,
) -> list[str]:
    """What each part would find wrong with its settings, asked for when something is: all is told at once.

    ``unread``: names of settings whose value can't be known; what depends on one is not looked at.
    """
    found = Problems()
    for part in parts:
        if part.wanted(settings, environ) or part.switch in unread:
            with found.gather():
                part.load().check(settings, environ, unread)
    return found


def start(
    settings: Settings,
    environ: Mapping[str, str],
    notifier: Notifier,
    parts: ExitStack,
    failed: Callable[[], None],
) -> Poller:
    """Build and start every part; ``parts`` ends them. ``failed``: called when one of them fails for good."""
    host = hosts.find_host(settings)
    observer = meaning.start(settings, environ, host.guest, host.vcpus)

    def told(state: PollState) -> None:
        if state.polls == 1 and poller.state.polls == 0:
            notifier.ready(f"polling every {state.interval:g} s")
        observer(state)

    poller = Poller(
        host.source,
        settings.poll.interval,
        on_state=told,
        extended=extended(settings),
        probes=PROBES,
        memory=hosts.memory(settings, environ),
    )
    published = Published(
        lambda: poller.state,
        Options(settings.expose_identity, settings.deprecated_metrics),
        guest=observer.guest,
        insight=observer.insight,
    )
    if PUSH.wanted(settings, environ):
        PUSH.load().start(settings, environ, published, parts)
    server = web.start(settings, environ, published, parts, failed)
    # Registered before the poller's end, so called after it.
    parts.callback(observer.stop)
    poller.start()
    parts.callback(poller.stop)
    # Last, so that an orderly stop hands monitoring back before anything else ends.
    if HEARTBEATS.wanted(settings, environ):
        HEARTBEATS.load().start(
            settings, published, host.serve_at, server, parts, lambda text: observer.note("heartbeat", text)
        )
    elif os.access(settings.ha.lock_file or HA_LOCK, os.R_OK):
        # Heartbeats were sent in this boot. One that died may have left monitoring on, and nobody would beat.
        HEARTBEATS.load().start_without(
            settings, published, host.serve_at, parts, lambda text: observer.note("heartbeat", text)
        )
    return poller


def extended(settings: Settings) -> ExtendedReader | None:
    """The reader of the extended statistics, unless they are off."""
    if not settings.extended.enabled:
        return None
    return ExtendedReader(settings.extended.interval, unknown=settings.extended.unknown)


def supervise(
    poller: Poller,
    settings: Settings,
    signals: Signals,
    notifier: Notifier,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """The main thread's whole work: wait for the end, and tell systemd that polls go on. The exit status."""
    patience = settings.poll.interval + WEDGED_AFTER * settings.guestrpc.timeout
    polls, moved = -1, clock()
    while True:
        # Signals that come together have no order; the one that is not the end is not lost by it.
        for number in sorted(signals.wait(notifier.watchdog_interval), key=lambda number: number != RELOAD):
            if number != RELOAD:
                log.info("stopping", extra={"signal": number} if number != FAILED else None)
                notifier.stopping()
                return int(number == FAILED)
            log.info(
                "SIGHUP: settings are read at the start only; certificates and users are read when their files change"
            )
        if poller.state.polls != polls:
            polls, moved = poller.state.polls, clock()
        if clock() - moved <= patience:
            notifier.alive()
