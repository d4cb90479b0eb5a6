"""The host as a place to read, by the parts that the exporter consists of, in this process.

:meth:`HostReading.measure` reads for a while and ends; :meth:`HostReading.follow` goes on in a thread. The extended
statistics are read at both ends of a measurement, so that their rates span all of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import PurePath

from exporter.config import Settings
from exporter.insight.observer import Observer
from exporter.machine.systemd import runtime_directory
from exporter.metrics.collector import Options
from exporter.metrics.published import Published
from exporter.outputs.api import Document, document
from exporter.outputs.prometheus import Format, VMGuestCollector
from exporter.poller import Poller
from exporter.session import hosts
from exporter.session.base import Host
from exporter.session.memory import SessionFile
from exporter.session.recording import read as read_recording
from exporter.session.replay import ReplaySource
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import Guest, PollState

LONGEST_STEP = 1.0
"""Seconds between two polls of a measurement, at most: bursts are looked for in what lies between."""


class HostReading:
    """``host`` as an exporter with these settings would see it. Opens nothing before the first poll."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rounds: float | None = None,
        memory: SessionFile | None = None,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._timeout = settings.guestrpc.timeout
        # Half: a poll that comes a little early is a moment all the same.
        self._observer = Observer(host.guest, vcpus=host.vcpus, histograms=False, step=interval / 2)
        self._watching = False
        reader = None
        if settings.extended.enabled:
            every = settings.extended.interval if rounds is None else rounds
            reader = ExtendedReader(every, unknown=settings.extended.unknown, clock=clock, wall=wall)
        self._poller = Poller(
            host.source,
            interval,
            on_state=self._told,
            extended=reader,
            clock=clock,
            wall=wall,
            memory=memory,
        )
        self.published = Published(
            lambda: self._poller.state,
            Options(settings.expose_identity, settings.deprecated_metrics),
            guest=host.guest,
            insight=lambda: self._observer.insight,
            wall=wall,
            monotonic=clock,
        )

    @property
    def name(self) -> str:
        source = self._poller.state.source
        if source is None or source.transport == source.source or not source.transport:
            return f"the host ({source.source if source is not None else 'no source'})"
        return f"the host ({source.source} over {source.transport})"

    def _told(self, state: PollState) -> None:
        if self._watching:
            self._observer.polled(state)

    def measure(self, seconds: float) -> None:
        """Read for ``seconds``; 0 is one reading. Returns at once where the first poll fails: its state says why."""
        self._poller.poll()
        if self._poller.state.last_error:
            return
        self._round()
        self._watching = True
        # What the round found stands beside this poll: the first end of the measurement.
        self._poller.poll()
        begun = self._clock()
        steps = max(round(seconds / self._interval), 1) if seconds > 0 else 0
        for step in range(1, steps + 1):
            self._sleep(max(begun + seconds * step / steps - self._clock(), 0.0))
            if step == steps:
                self._round()
            self._poller.poll()

    def play(self, seconds: float) -> None:
        """Read as the exporter does, a poll each interval and a round when it is due, for ``seconds``."""
        self._watching = True
        for step in range(int(seconds / self._interval) + 1):
            self._sleep(max(step * self._interval - self._clock(), 0.0))
            self._poller.poll()
            self._round()
        if (left := seconds - self._clock()) > 0:
            # The last round may be held back for a poll.
            self._sleep(left / 2)
            self._poller.poll()

    def follow(self) -> None:
        """Go on reading in a thread, until :meth:`close`."""
        self._watching = True
        self._poller.start()

    def document(self) -> Document:
        return document(self.published)

    def page(self, form: Format) -> bytes:
        return form.page(VMGuestCollector(self.published.collect))

    def close(self) -> None:
        self._poller.stop()

    def _round(self) -> None:
        self._poller.poll_extended(self._clock() + self._timeout)


def measured(settings: Settings, seconds: float, *, environ: Mapping[str, str] = os.environ) -> HostReading:
    """The settings' host, read for ``seconds``. A unit with a RuntimeDirectory whose name begins with vmguest-exporter keeps the session's start there, so that
    every run of a timer has the same.

    Raises:
        VMGuestError: there is none, or the settings are wrong.
    """
    interval = min(settings.poll.interval, LONGEST_STEP, seconds or LONGEST_STEP)
    reading = HostReading(
        settings,
        hosts.find_host(settings),
        interval,
        rounds=max(seconds / 2, 0.1),
        memory=hosts.memory(settings, environ) if _is_own(environ) else None,
    )
    try:
        reading.measure(seconds)
    except BaseException:
        reading.close()
        raise
    return reading


def _is_own(environ: Mapping[str, str]) -> bool:
    """Whether the folder that systemd has made is this program's: a plugin runs in that of whoever runs it."""
    return PurePath(runtime_directory(environ)).name.startswith("vmguest-exporter")


def followed(settings: Settings, interval: float) -> HostReading:
    """The settings' host, read on and on; errors as :func:`measured`."""
    reading = HostReading(settings, hosts.find_host(settings), interval, rounds=max(interval, 1.0))
    reading.follow()
    return reading


def recorded(settings: Settings, file: str, guest: Guest) -> HostReading:
    """A whole recording, read at once on a clock of its own; ``guest``: what is given of the VM that it is of, before
    what the recording tells.

    Raises:
        ConfigError: the file is no recording.
    """
    recording = read_recording(file)
    clock = _Clock()
    played = ReplaySource(file, clock=clock)
    given = {name: value for name, value in asdict(guest).items() if value is not None}

    def read_guest() -> Guest:
        return replace(played.guest(), **given)

    began = time.time() - recording.duration
    interval = recording.interval or settings.poll.interval
    reading = HostReading(
        settings,
        Host(played, read_guest, vcpus=lambda: read_guest().vcpus),
        interval,
        clock=clock,
        wall=lambda: began + clock(),
        sleep=clock.sleep,
    )
    reading.play(recording.duration)
    return reading


def silence(form: Format) -> bytes:
    """The metrics where there is nothing to read: what the guest says, and ``vmguest_up`` 0."""
    return form.page(VMGuestCollector(Published(lambda: PollState(LONGEST_STEP)).collect))


class _Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
