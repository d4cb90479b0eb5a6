"""The composition root: what a serving process consists of, and in which order it starts and ends.

    road to the host -> poller -> collector -> web
                           |                -> push (OTLP)
                           +--> health -> heart (a process of its own, with a road of its own)

Every part is built here by hand and knows of no other; optional ones are imported only when a setting asks for
them. Parts start from the host outwards and end in the reverse order.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from exporter import __version__
from exporter.config import Settings, push_wanted
from exporter.errors import ConfigError, LibraryNotFound, NotVMwareError, VMGuestError
from exporter.machine import guest, hypervisor
from exporter.machine.guest import Guest
from exporter.machine.signals import RELOAD, Signals
from exporter.machine.systemd import Notifier
from exporter.metrics.collector import Options, collect
from exporter.metrics.families import Family
from exporter.outputs.prometheus import Families
from exporter.poller import Poller
from exporter.session.base import Source
from exporter.session.choose import choose
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import PollState

if TYPE_CHECKING:
    from exporter.outputs.web.server import WebServer
    from exporter.simulator.server import Server

log = logging.getLogger("exporter.app")

WEDGED_AFTER = 10
"""Calls to the host that one poll may take, each up to its time limit, before it counts as stuck for ever."""


def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """Publish until SIGTERM or SIGINT; the exit status.

    Raises:
        ConfigError: settings that only their parts could check.
        VMGuestError: it can't start, and the message says what to change.
    """
    log.info("starting", extra={"version": __version__, "python": sys.version.split()[0]})
    notifier = Notifier(environ)
    try:
        with Signals() as signals, ExitStack() as parts:
            poller = start(settings, environ, notifier, parts)
            supervise(poller, settings, signals, notifier)
    except ConfigError as error:
        raise ConfigError(*dict.fromkeys((*error.problems, *wrong_settings(settings, environ)))) from error
    log.info("stopped")
    return 0


def wrong_settings(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """What each part would find wrong with its settings, asked for when one of them did: all are told at once."""

    def host() -> None:
        if settings.source in {"simulated", "replay"}:
            find_host(settings).source.close()

    def push() -> None:
        if push_wanted(settings, environ):
            from exporter.outputs.otlp.settings import resolve

            resolve(settings.otlp, environ)

    def listen() -> None:
        if settings.web.enabled:
            from exporter.outputs.web.listen import bind

            for bound in bind(settings.web.listen):
                bound.close()

    def secure() -> None:
        if settings.web.enabled and settings.web.config_file is not None:
            from exporter.outputs.web.secured import Secured

            Secured(settings.web.config_file)

    def checks() -> None:
        if settings.ha.enabled:
            from exporter.ha import check_tables

            check_tables.read(settings.ha.checks)

    found: list[str] = []
    for check in (host, push, listen, secure, checks):
        try:
            check()
        except ConfigError as error:
            found += error.problems
    return found


def start(settings: Settings, environ: Mapping[str, str], notifier: Notifier, parts: ExitStack) -> Poller:
    """Build and start every part; ``parts`` ends them.

    ``others``, below, are families that come from beside the poller: what the push and the heartbeats say of
    themselves. Every output shows them.
    """
    host = find_host(settings)
    told: list[Callable[[PollState], None]] = []

    def polled(state: PollState) -> None:
        if state.polls == 1:
            notifier.ready(f"polling every {state.interval:g} s")
        for tell in told:
            tell(state)

    poller = Poller(host.source, settings.poll.interval, on_poll=polled, extended=extended(settings))
    options = Options(
        expose_identity=settings.expose_identity, deprecated_metrics=settings.deprecated_metrics
    )
    others: list[Callable[[], list[Family]]] = []
    if push_wanted(settings, environ):
        otlp(settings, environ, poller, host, options, others, parts)
    server: WebServer | None = None
    if settings.web.enabled:
        server, record = web(settings, poller, host, options, others, parts)
        told.append(record)
    poller.start()
    parts.callback(poller.stop)
    if settings.ha.enabled:
        # Last, so that an orderly stop hands monitoring back before anything else ends.
        heartbeats(settings, poller, host, server, others, parts)
    return poller


class Host(NamedTuple):
    """The road to the host, and the machine that it speaks of."""

    source: Source
    guest: Callable[[], Guest] = guest.read
    server: Server | None = None
    """The simulated host, where there is one in this process."""


def find_host(settings: Settings) -> Host:
    """The host that the settings name.

    Raises:
        NotVMwareError: there is none from this machine.
        LibraryNotFound: the library was asked for, and there is none that can be loaded.
        ConfigError: a scenario or recording that can't be used.
    """
    if settings.source == "simulated":
        return _simulated(settings)
    return Host(source(settings))


def source(settings: Settings) -> Source:
    """The road to a host that is not simulated here; errors as :func:`find_host`."""
    if settings.source == "replay":
        from exporter.session.replay import ReplaySource

        replay = settings.replay
        return ReplaySource(replay.file or "", speed=replay.speed, loop=replay.loop)
    road = choose(
        settings.source,
        socket_path=settings.guestrpc.socket or "",
        library_path=settings.library.path or "",
        timeout=settings.guestrpc.timeout,
    )
    if settings.source == "library":
        _leads_somewhere(road)
    return road


def _simulated(settings: Settings) -> Host:
    import secrets

    from exporter.session.wire import WireSource
    from exporter.simulator.in_process import in_process

    # A host that starts anew has a new session: with one and the same seed its counters would seem to fall.
    seed = secrets.randbits(32) if settings.simulated.seed is None else settings.simulated.seed
    try:
        connector = in_process(settings.simulated.scenario, seed=seed)
    except ConfigError as error:
        raise ConfigError(*(f"--simulated.scenario: {problem}" for problem in error.problems)) from error
    machine = connector.server.host.scenario.machine
    simulated = Guest(machine.vcpus, machine.memory << 20)
    road = WireSource(connector, settings.guestrpc.timeout, source="simulated")
    return Host(road, lambda: simulated, connector.server)


def _leads_somewhere(road: Source) -> None:
    """Fail at start where a forced library can never work; what may pass is left to the poller."""
    try:
        road.read()
    except (LibraryNotFound, NotVMwareError):
        road.close()
        raise
    except VMGuestError as error:
        log.debug("the first question to the library failed", extra={"kind": error.kind})


def extended(settings: Settings) -> ExtendedReader | None:
    """The reader of the extended statistics, unless they are off."""
    if not settings.extended.enabled:
        return None
    return ExtendedReader(settings.extended.interval, unknown=settings.extended.unknown)


def otlp(
    settings: Settings,
    environ: Mapping[str, str],
    poller: Poller,
    host: Host,
    options: Options,
    others: list[Callable[[], list[Family]]],
    parts: ExitStack,
) -> None:
    """The push, unless a standard variable switches it off. To be called before there are other threads."""
    from exporter.outputs.otlp.push import Push
    from exporter.outputs.otlp.settings import resolve

    push_settings = resolve(settings.otlp, environ)
    if push_settings is None:
        return

    def gather() -> list[Family]:
        found = collect(poller.state, time.time(), time.monotonic(), options, host.guest())
        return [*found, *(family for families in others for family in families())]

    push = Push(push_settings, gather, poller.state.started, delay=settings.poll.interval / 2)
    others.append(push.families)
    push.start()
    parts.callback(push.stop)


def web(
    settings: Settings,
    poller: Poller,
    host: Host,
    options: Options,
    others: Sequence[Families],
    parts: ExitStack,
) -> tuple[WebServer, Callable[[PollState], None]]:
    """The web server, listening from here on, and what wants to be told after each poll."""
    from exporter.outputs.page.landing import views
    from exporter.outputs.page.status import Status
    from exporter.outputs.prometheus import Collector, Page
    from exporter.outputs.web.application import Application
    from exporter.outputs.web.server import WebServer

    # Asked for at each page: the heartbeats come after the web server, whose health they look at.
    shown: list[Families] = [lambda: [family for families in others for family in families()]]
    if not settings.web.disable_exporter_metrics:
        from exporter.outputs import process

        shown.append(process.families)
    path = settings.web.telemetry_path
    collector = Collector(lambda: poller.state, options, shown, guest=host.guest)
    status = Status(collector)
    application = Application(Page(collector), lambda: poller.state.polls > 0, path, views(path, status.view))
    if settings.web.config_file is None:
        server = WebServer(application, settings.web.listen)
    else:
        from exporter.outputs.web.secured import Secured

        secured = Secured(settings.web.config_file)
        # Passwords are slow to check by design, so the application may block.
        server = WebServer(
            secured.guard(application),
            settings.web.listen,
            blocking=True,
            listener=secured.listener,
            scheme=secured.scheme,
        )
    server.start()
    parts.callback(server.close)
    for url in server.urls:
        log.info("listening on %s", url.rstrip("/") + path)
    return server, status.record


def heartbeats(
    settings: Settings,
    poller: Poller,
    host: Host,
    server: WebServer | None,
    others: list[Callable[[], list[Family]]],
    parts: ExitStack,
) -> None:
    """The heartbeats to vSphere HA, from here on.

    Raises:
        ConfigError: a check that can't be used, or another process sends the heartbeats of this VM.
        VMGuestError: heartbeats are required, and not possible.
    """
    if sys.platform == "win32":
        raise ConfigError("--ha.enabled: heartbeats are sent on Linux only; leave it out here")

    from exporter.ha import check_tables
    from exporter.ha.explain import explain
    from exporter.ha.health import HealthJudge
    from exporter.ha.heartbeat import Heartbeat, Idle
    from exporter.ha.orders import Orders

    ha = settings.ha
    judge = HealthJudge(
        check_tables.read(ha.checks),
        lambda: poller.state.read_monotonic,
        ha.max_poll_age,
        None if server is None else lambda: server.addresses[0],
        tls=settings.web.config_file is not None,
    )
    judge.start()
    parts.callback(judge.stop)
    try:
        orders = Orders(
            interval=ha.interval,
            grace=ha.grace,
            on_unhealthy=ha.on_unhealthy,
            road=ha.road,
            socket=None if ha.dry_run else _heart_socket(settings, host, parts),
            library=None,
            lock_file=ha.lock_file or _lock_file(host, parts),
            dry_run=ha.dry_run,
        )
    except NotVMwareError as error:
        if ha.required:
            raise VMGuestError(f"--ha.required: {explain(error)}") from error
        log.error("no heartbeats: %s", explain(error))  # noqa: TRY400  a traceback would hide the advice
        others.append(Idle(judge.judge).families)
        return
    problems: list[str] = []

    def give_up(problem: str) -> None:
        problems.append(problem)
        os.kill(os.getpid(), signal.SIGTERM)

    @parts.callback
    def fail() -> None:
        if problems:
            raise VMGuestError(f"--ha.required: {problems[0]}")

    heartbeat = Heartbeat(
        orders,
        judge.judge,
        lambda: poller.state.session_changes,
        required=ha.required,
        fatal=give_up,
    )
    heartbeat.start()
    parts.callback(heartbeat.stop)
    others.append(heartbeat.families)


def _heart_socket(settings: Settings, host: Host, parts: ExitStack) -> str | None:
    """The unix socket of a simulated host; None: the hypervisor's vsock, on VMware only."""
    if host.server is not None:
        from exporter.simulator.server import serve_unix

        path = f"{_folder(parts)}/host"
        parts.enter_context(serve_unix(path, host.server))
        return path
    if settings.source == "replay":
        raise NotVMwareError("a recording takes no heartbeats")
    if settings.guestrpc.socket is None and not hypervisor.detect().vmware:
        # Elsewhere the other end of a vsock would be somebody else's host.
        raise NotVMwareError("this machine is not a VMware guest")
    return settings.guestrpc.socket


def _folder(parts: ExitStack) -> str:
    """One that goes with ``parts``."""
    from tempfile import TemporaryDirectory

    return parts.enter_context(TemporaryDirectory(prefix="vmguest-"))


def _lock_file(host: Host, parts: ExitStack) -> str:
    """The one of this machine; a simulated VM of one process is its own."""
    from exporter.ha import lock

    if host.server is not None:
        return f"{_folder(parts)}/ha.lock"
    return lock.DEFAULT_PATH


def supervise(
    poller: Poller,
    settings: Settings,
    signals: Signals,
    notifier: Notifier,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """The main thread's whole work: wait for the end, and tell systemd that polls go on."""
    patience = settings.poll.interval + WEDGED_AFTER * settings.guestrpc.timeout
    polls, moved = -1, clock()
    while True:
        for number in signals.wait(notifier.watchdog_interval):
            if number != RELOAD:
                log.info("stopping", extra={"signal": number})
                notifier.stopping()
                return
            log.info(
                "SIGHUP: settings are read at the start only; certificates and users are read when their files change"
            )
        if poller.state.polls != polls:
            polls, moved = poller.state.polls, clock()
        if clock() - moved <= patience:
            notifier.alive()
