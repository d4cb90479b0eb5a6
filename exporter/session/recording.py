"""A recording in memory, and how it is read from its file; the format stands in :mod:`exporter.session.record`."""

from __future__ import annotations

import base64
import bisect
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from exporter import files
from exporter.errors import ConfigError, ProtocolError, RpcError, passing
from exporter.protocol import guestlib, stats_v2, stats_v3
from exporter.session.record import FORMAT, GUEST, VERSION, Exchange, data
from exporter.snapshot import Guest

CONNECTING = ""
"""What failed attempts to connect are recorded as."""


_BASIC = {guestlib.command(each.VERSION).decode(): each.decode for each in (stats_v2, stats_v3)}
_EXTENDED = guestlib.stat_command("", "").decode().rstrip() + " "


class Epoch(NamedTuple):
    """Of the VM's counters: from the first basic reply of a session to the last, seconds; of the last epoch to the end."""

    first: float
    last: float


@dataclass
class Recording:
    """A recording in memory: exchanges by command, each list in the order of time."""

    path: str
    interval: float = 0.0
    """Seconds between the recorder's polls."""
    exchanges: dict[str, list[Exchange]] = field(default_factory=dict)
    guests: list[tuple[float, Guest]] = field(default_factory=list)
    """What the guest's kernel said, and when; empty: the recorder did not ask it."""
    duration: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    """In the order of time; none where no basic statistics were given."""
    cut: bool = False
    """Its end is missing: the recorder, or the copying of the file, was cut off."""
    lines: int = 0

    @property
    def words(self) -> str:
        """What there is of it, for a log line."""
        shape = "cut off: it ends" if self.cut else "it ends"
        return f"{self.path}: {self.lines} replies; {shape} after {self.duration:.1f} s"

    def latest(self, command: str, position: float) -> Exchange | None:
        """What ``command`` was last answered with by ``position`` seconds; before its first time, the first one."""
        found = self.exchanges.get(command)
        if not found:
            return None
        index = bisect.bisect_right(found, position, key=lambda each: each.at)
        return found[max(index - 1, 0)]

    def answer(self, command: str, position: float) -> Exchange | None:
        """As :meth:`latest`, and of extended statistics what is of the same epoch as the basic ones at ``position``.

        In most encodings a reply does not say of which session it is, and one between the last basic reply of an epoch and the
        first of the next may be of either: it is nobody's.
        """
        if not self.epochs or not command.startswith(_EXTENDED):
            return self.latest(command, position)
        found = self.exchanges.get(command, [])
        later = bisect.bisect_right(self.epochs, position, key=lambda epoch: epoch.first)
        epoch = self.epochs[max(later - 1, 0)]
        begin = bisect.bisect_left(found, epoch.first, key=lambda each: each.at)
        end = bisect.bisect_right(found, min(epoch.last, position), key=lambda each: each.at)
        if begin < end:
            return found[end - 1]
        return found[begin] if begin < len(found) and found[begin].at <= epoch.last else None

    def find_epochs(self) -> None:
        """Find the epochs, as :class:`exporter.session.epoch.SessionClock` has them."""
        basic = (each for command in _BASIC for each in self.exchanges.get(command, ()))
        session_id, elapsed, last = -1, -1, 0.0
        for exchange in sorted(basic, key=lambda each: each.at):
            with suppress(RpcError, ProtocolError):
                snapshot = _BASIC[exchange.ask](data(exchange))
                told = snapshot.values.get("elapsed")
                fell = isinstance(told, int) and told < elapsed
                if snapshot.session_id != session_id or fell:
                    if self.epochs:
                        self.epochs[-1] = self.epochs[-1]._replace(last=last)
                    self.epochs.append(Epoch(exchange.at if self.epochs else -math.inf, math.inf))
                    session_id, elapsed = snapshot.session_id, -1
                elapsed, last = told if isinstance(told, int) else elapsed, exchange.at

    def guest(self, position: float) -> Guest:
        """What the guest's kernel had said last by ``position`` seconds; before its first time, the first one."""
        index = bisect.bisect_right(self.guests, position, key=lambda each: each[0])
        return self.guests[max(index - 1, 0)][1] if self.guests else Guest()

    def add_guest(self, at: float, told: Mapping[str, Any]) -> None:
        """Raises ValueError where ``at`` lies before that of the last."""
        last, before = self.guests[-1] if self.guests else (at, Guest())
        if at < last:
            raise ValueError(f"at goes back, from {last} to {at}")
        self.guests.append((at, replace(before, **told)))

    def down(self, command: str, position: float) -> Exchange | None:
        """The failed attempt to connect that is the newest at ``position``, newer than any answer to ``command``."""
        failed = self.exchanges.get(CONNECTING, [])
        index = bisect.bisect_right(failed, position, key=lambda each: each.at)
        answered = self.latest(command, position)
        if not index or (answered is not None and failed[index - 1].at < answered.at <= position):
            return None
        return failed[index - 1]


def read(path: str) -> Recording:
    """Read the recording at ``path``.

    Raises:
        ConfigError: there is none, or it is not one; file and line are named.
    """
    recording = Recording(path)
    try:
        lines = files.read_bytes(path, files.RECORDING).split(b"\n")
    except OSError as error:
        raise ConfigError(passing(f"{path}: {error.strerror}", error)) from error
    # What is behind the last line feed is a line that was cut off, if it is anything.
    rest = lines.pop()
    recording.interval = _header(path, lines[0] if lines else rest)
    ended = False
    for number, line in enumerate(lines[1:], 2):
        if ended:
            raise ConfigError(f"{path}:{number}: the recording has ended in the line before")
        ended = _take(recording, number, line)
    recording.cut = not ended
    recording.find_epochs()
    return recording


def _header(path: str, line: bytes) -> float:
    """Check the first line; the recorder's interval."""
    try:
        header = json.loads(line)
        name, version = header["format"], header["version"]
        interval = float(header.get("interval", 0.0))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{path}:1: no recording; the first line of one is a JSON object with format and version "
            "(vmguest-exporter record FILE makes one)"
        ) from error
    if name != FORMAT:
        raise ConfigError(f"{path}:1: the format is {name!r}, where {FORMAT!r} is expected")
    if version != VERSION:
        raise ConfigError(
            f"{path}:1: version {version!r}, where this release reads {VERSION}; a newer one may read it"
        )
    return interval


def _take(recording: Recording, number: int, line: bytes) -> bool:
    """Add the exchange in one line; whether it is the end instead."""
    try:
        fields = json.loads(line)
        at = float(fields["at"])
        recording.duration = max(recording.duration, at)
        if fields.get("end") is True:
            return True
        if "guest" in fields:
            recording.add_guest(at, _guest(fields["guest"]))
            return False
        exchange = Exchange(
            at,
            float(fields["took"]),
            str(fields["ask"]),
            base64.b64decode(fields["reply"], validate=True),
            str(fields.get("error", "")),
            str(fields.get("text", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"{recording.path}:{number}: expected a JSON object with at, took, ask and reply, or at and guest; {missing}"
        ) from error
    found = recording.exchanges.setdefault(exchange.ask, [])
    if found and found[-1].at > at:
        raise ConfigError(f"{recording.path}:{number}: at goes back, from {found[-1].at} to {at}")
    found.append(exchange)
    recording.lines += 1
    return False


def _guest(told: Mapping[str, object]) -> dict[str, Any]:
    """Raises ValueError for what is no number; names that this release does not know are passed over."""
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ValueError(f"guest: {name} is {value!r}, where a number is expected")
    return {name: value for name, value in told.items() if name in GUEST}
