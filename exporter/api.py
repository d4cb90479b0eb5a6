"""For programs: the host's statistics, a collector for prometheus_client's registries, and heartbeats.

What ``__all__`` names is public and changes only as the changelog promises; nothing else of this package is.
``docs/python.md`` shows each of them at work.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Self, get_args

from exporter.catalogue import BY_KEY, BasicStatistic
from exporter.config import Settings
from exporter.config.places import LockFile
from exporter.config.rules import contradictions
from exporter.config.settings import BY_NAME, POLL_INTERVAL, GuestRpc, Library, Replay, Simulated
from exporter.errors import ConfigError, LibraryNotFound, NotVMwareError, VMGuestError
from exporter.ha import lock
from exporter.ha.base import AppMonitor
from exporter.ha.wire import WireAppMonitor
from exporter.insight.observer import Observer
from exporter.library.appmonitor_process import LibraryAppMonitor
from exporter.metrics.published import Published
from exporter.outputs.prometheus import VMGuestCollector
from exporter.poller import Poller
from exporter.protocol.appmonitor import AppState, AppStatus, Code
from exporter.session.base import Host
from exporter.session.choose import connector
from exporter.session.hosts import find_host
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import Channel
from exporter.simulator.in_process import in_process

__all__ = [
    "AppState",
    "AppStatus",
    "Code",
    "Collector",
    "ConfigError",
    "Heartbeats",
    "LibraryNotFound",
    "NotVMwareError",
    "Reading",
    "SourceName",
    "Statistic",
    "Statistics",
    "VMGuestError",
    "heartbeats",
]

SourceName = Literal["auto", "guestrpc", "library", "simulated", "replay"]
"""Where statistics come from, as ``--source``."""

_SENDERS = Literal["guestrpc", "library", "simulated"]

_SETTINGS = {
    "socket": "guestrpc.socket",
    "library": "library.path",
    "scenario": "simulated.scenario",
    "file": "replay.file",
}
"""Argument -> the setting that it is."""

CALL_LIMIT = 2.0
"""Seconds for one call to the host."""

Heartbeats = AppMonitor
"""What :func:`heartbeats` gives."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of the host."""

    value: float | str
    """In base units; ``inf`` means *unlimited*. Text for the resource pool's path."""
    unit: str
    """UCUM: ``By``, ``s``, ``Hz``, ``{share}``, ``{cpu}``, or empty."""
    kind: str
    """``gauge``, ``counter`` or ``info``. A counter is 0 at the beginning of the session and grows."""
    help: str
    """What a high value means for the VM."""


@dataclass(frozen=True, slots=True)
class Reading(Mapping[str, Statistic]):
    """What the host said at one time: a mapping, ``reading["memory.ballooned"]`` is a :class:`Statistic`.

    Names are those of OTLP without ``vmguest.`` in front. What the host does not give is absent.
    """

    statistics: Mapping[str, Statistic]
    session_id: int
    """Another one than before: counters began anew (power-on, vMotion, resume, revert, reset)."""
    time: float
    """Seconds since the epoch."""

    def __getitem__(self, name: str) -> Statistic:
        """Raises KeyError where the host does not give the statistic, or there is none of this name."""
        return self.statistics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.statistics)

    def __len__(self) -> int:
        return len(self.statistics)


class _Closing:
    """A context manager that closes itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that was opened. Never raises."""
        raise NotImplementedError


class Statistics(_Closing):
    """The host's statistics, read when asked for; for one thread at a time.

    ``source`` as ``--source``. ``socket``: a unix socket to speak GuestRPC over, of a simulated host. ``library``: the
    file of VMware's library. ``scenario``: of the simulated host. ``file``: the recording to replay.

    Raises:
        NotVMwareError: this machine is no VMware guest.
        LibraryNotFound: the library was asked for, and there is none that can be loaded.
        ConfigError: a scenario or recording that can't be used, or an argument that has no effect on this source.
    """

    def __init__(
        self,
        source: SourceName = "auto",
        *,
        socket: str | None = None,
        library: str | None = None,
        scenario: str | None = None,
        file: str | None = None,
    ) -> None:
        self._closed = False
        self._source = _host(source, socket=socket, library=library, scenario=scenario, file=file).source

    def read(self) -> Reading:
        """Ask the host.

        Raises:
            VMGuestError: it does not answer, or refuses; ``kind`` is a stable word for the reason.
            ValueError: after :meth:`close`.
        """
        if self._closed:
            raise ValueError("read() after close()")
        snapshot = self._source.read()
        statistics = {
            row.metric.name: _statistic(row, snapshot.values[key])
            for key, row in BY_KEY.items()
            if key in snapshot.values
        }
        return Reading(statistics, snapshot.session_id, time.time())

    def close(self) -> None:
        self._closed = True
        self._source.close()


class Collector(VMGuestCollector, _Closing):
    """What the exporter publishes of the VM and of its polls, for any registry of prometheus_client.

    Not ``process_*``, ``python_*`` and what comes with its other parts: web server, OTLP push, heartbeats.

    A thread of its own polls the host every ``interval`` seconds (0.1 to 3600) until :meth:`close`; a scrape never reaches
    the host.
    Arguments and errors as :class:`Statistics`.
    """

    def __init__(
        self,
        source: SourceName = "auto",
        *,
        interval: float = 5.0,
        socket: str | None = None,
        library: str | None = None,
        scenario: str | None = None,
        file: str | None = None,
    ) -> None:
        try:
            POLL_INTERVAL.bounded(interval)
        except ValueError:
            raise ConfigError(f"interval={interval!r}: expected {POLL_INTERVAL.expects} in seconds") from None
        host = _host(source, socket=socket, library=library, scenario=scenario, file=file)
        observer = Observer(host.guest, vcpus=host.vcpus)
        self._poller = Poller(
            host.source, interval, on_state=observer.polled, extended=ExtendedReader(max(interval, 15.0))
        )
        published = Published(
            lambda: self._poller.state,
            guest=lambda: observer.insight.guest,
            insight=lambda: observer.insight,
        )
        super().__init__(published.collect)
        self._poller.start()

    def close(self) -> None:
        self._poller.stop()


@contextmanager
def heartbeats(
    source: _SENDERS = "guestrpc",
    *,
    socket: str | None = None,
    library: str | None = None,
    lock_file: str | None = None,
) -> Iterator[Heartbeats]:
    """The calls of vSphere HA Application Monitoring, for as long as the block lasts.

    After ``enable()`` the host expects ``mark_active()`` every 30 s **and resets this machine where none comes**. Leaving
    the block changes nothing at the host: call ``disable()`` where the end is a planned one.

    Raises:
        NotVMwareError: this machine is no VMware guest.
        ConfigError: another process sends the heartbeats of this VM: two would mask each other. Or an argument that has no
            effect on this source.
    """
    _settings(source, get_args(_SENDERS), socket=socket, library=library)
    if source == "simulated" and lock_file is not None:
        raise ConfigError('lock_file has no effect on source="simulated"; leave it out')
    with ExitStack() as parts:
        if source != "simulated":
            try:
                path = lock.DEFAULT_PATH if lock_file is None else LockFile().parse(lock_file)
            except ValueError as error:
                raise ConfigError(f"lock_file={lock_file!r}: {error}") from error
            taken = lock.acquire(path)
            if taken is None:
                raise ConfigError(
                    f"another process, pid {lock.holder(path) or 'unknown'}, sends the heartbeats"
                )
            parts.callback(taken.release)
        monitor = _monitor(source, socket, library)
        parts.callback(monitor.close)
        yield monitor


def _monitor(source: str, socket: str | None, library: str | None) -> AppMonitor:
    if source == "library":
        return LibraryAppMonitor(library, CALL_LIMIT)
    return WireAppMonitor(
        Channel(in_process() if source == "simulated" else connector(socket or ""), CALL_LIMIT)
    )


def _host(source: SourceName, **arguments: str | None) -> Host:
    try:
        return find_host(_settings(source, get_args(SourceName), **arguments))
    except ConfigError as error:
        raise ConfigError(*map(_by_argument, error.problems)) from error


def _settings(source: str, sources: tuple[str, ...], **arguments: str | None) -> Settings:
    """The settings that the arguments are, held against the rules of the command line."""
    if source not in sources:
        raise ConfigError(f"source={source!r}: expected one of {', '.join(sources)}")
    given = {_SETTINGS[name]: value for name, value in arguments.items() if value is not None}
    if empty := [name for name, value in arguments.items() if value == ""]:
        raise ConfigError(*(f"{name}: it is empty" for name in empty))
    settings = Settings(
        source=source,
        guestrpc=GuestRpc(socket=given.get("guestrpc.socket")),
        library=Library(path=given.get("library.path")),
        simulated=Simulated(scenario=given.get("simulated.scenario", Simulated().scenario)),
        replay=Replay(file=given.get("replay.file")),
    )
    if wrong := contradictions(settings, {}, given):
        raise ConfigError(*map(_by_argument, wrong))
    return settings


def _by_argument(problem: str) -> str:
    """A sentence about flags, with the names of the arguments in their place."""
    for argument, setting in _SETTINGS.items():
        problem = problem.replace(BY_NAME[setting].flag, argument)
    return re.sub(r"--source=(\w+)", r'source="\1"', problem)


def _statistic(row: BasicStatistic, value: int | str) -> Statistic:
    return Statistic(
        row.scaled(value) if isinstance(value, int) else value,
        row.metric.unit.ucum,
        row.metric.kind.value,
        row.metric.help,
    )
