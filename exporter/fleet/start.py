"""The fleet as a part of the program: its settings, and its start."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from exporter.config import Settings, push_wanted
from exporter.config.settings import OPTIONS
from exporter.errors import ConfigError
from exporter.fleet.fleet import Fleet
from exporter.fleet.site import Site
from exporter.fleet.vm import Parts
from exporter.metrics.collector import Options
from exporter.metrics.families import Family
from exporter.outputs.otlp import start as push
from exporter.outputs.otlp.settings import resolve
from exporter.outputs.web.connections import connection_limit
from exporter.outputs.web.server import WebServer
from exporter.simulator.fleet import mix
from exporter.simulator.fleet.estate import Estate
from exporter.simulator.fleet.operations import Plan

if sys.platform != "win32":
    import resource

MOST = 100_000
SWITCH = 0.0005
"""Seconds after which Python's threads change places. By its default, 5 ms, a request waits for the polling thread at each
of its system calls once there is no time left between polls, and scrapes time out with CPU to spare."""
INTERVAL = 15.0
"""Seconds between two polls of one VM."""
SHARE = 0.1
"""Of the VMs, that push where a receiver is named."""
_TAKEN = (
    "web.listen-address",
    "otlp.",
    "extended.",
    "insight.",
    "deprecated-metrics",
    "expose-identity",
    "log.",
    "config.",
)
"""Settings, or beginnings of their names, that the exporters of a fleet go by."""
_OF_ONE_VM = ("poller", "extended", "session", "insight")
"""Loggers below the package's that say what one exporter has to say; of a thousand simulated ones nobody wants to hear it."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for beside the settings."""

    count: int
    mix: Mapping[str, float] = field(default_factory=lambda: mix.DEFAULT)
    seed: int = 0
    plan: Plan = field(default_factory=Plan)
    share: float | None = None
    """Of the VMs that push; None: :data:`SHARE` where a receiver is named."""


def check(
    settings: Settings,
    environ: Mapping[str, str],
    unread: Collection[str] = (),
    *,
    share: float | None = None,
) -> list[str]:
    """All settings that can't hold for a fleet, a sentence each. ``unread``: names of those whose value can't be known."""
    problems = [
        f"{row.flag} has no effect on simulate --fleet; leave it out"
        for row in OPTIONS
        if row.name in settings.given and not row.name.startswith(_TAKEN)
    ]
    if push_wanted(settings, environ):
        try:
            push.check(settings, environ, unread)
        except ConfigError as error:
            problems += error.problems
    elif share is not None and not {"otlp.endpoint", "otlp.metrics-endpoint"} & {*unread}:
        problems.append("--push-share has no effect without --otlp.endpoint; add it, or leave it out")
    return problems


@contextmanager
def serving(settings: Settings, environ: Mapping[str, str], wanted: Wanted) -> Iterator[WebServer]:
    """The fleet while the block runs; gives what serves it.

    Raises:
        ConfigError: an address that can't be listened on.
    """
    estate = Estate(wanted.count, wanted.mix, seed=wanted.seed, plan=wanted.plan)
    parts = Parts(
        INTERVAL,
        settings.extended.interval if settings.extended.enabled else None,
        settings.extended.unknown,
        settings.insight.histograms,
        Options(settings.expose_identity, settings.deprecated_metrics),
    )

    def of_the_server() -> list[Family]:
        return server.families()

    fleet = Fleet(estate, parts, others=of_the_server)
    names = [vm.name for vm in estate.vms]
    pushing = _pushing(settings, environ, wanted, names)
    with ExitStack() as ends:
        _of_this_process(ends)
        connections = _connections(len(names), ends)
        server = WebServer(Site(fleet, pushing), settings.web.listen, connections=connections)
        server.start()
        ends.callback(server.close)
        fleet.start()
        ends.callback(fleet.stop)
        push_settings = resolve(settings.otlp, environ) if pushing else None
        if push_settings is not None:
            from exporter.fleet.push import FleetPush

            pusher = FleetPush(fleet, pushing, push_settings)
            pusher.start()
            ends.callback(pusher.stop)
        yield server


def _pushing(settings: Settings, environ: Mapping[str, str], wanted: Wanted, names: list[str]) -> list[str]:
    """The VMs that push: every so many-th, but one at least where a share is wanted."""
    share = SHARE if wanted.share is None else wanted.share
    if not share or not push_wanted(settings, environ):
        return []
    pushing = [name for place, name in enumerate(names) if int((place + 1) * share) > int(place * share)]
    return pushing or names[-1:]


def _of_this_process(ends: ExitStack) -> None:
    """What a fleet changes of the process around it; ``ends`` puts it back."""
    for name in _OF_ONE_VM:
        logger = logging.getLogger(f"exporter.{name}")
        ends.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL)
    ends.callback(sys.setswitchinterval, sys.getswitchinterval())
    sys.setswitchinterval(SWITCH)


def _connections(count: int, ends: ExitStack) -> int:
    """One for each VM and some: vmagent keeps a connection for each target, be they all at one address."""
    if sys.platform != "win32":
        before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 3 * count + 1024
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if before != resource.RLIM_INFINITY and before < soft:
            ends.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (before, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(connection_limit(), min(2 * count + 256, soft // 2))
    return connection_limit()
