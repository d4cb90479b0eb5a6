"""A recording instead of a host: raw replies through the production decoder.

The recording is played by the clock: a command is answered with what the host last said to it by then. Polls at
another interval than the recorder's see the same host, more or less often.
"""

from __future__ import annotations

import base64
import bisect
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from exporter.errors import (
    ConfigError,
    ConnectionLost,
    NoDeviceError,
    ProtocolError,
    RefusedError,
    RpcError,
    TimeoutExpired,
    TransportError,
    passing,
)
from exporter.protocol import rpci
from exporter.session.record import FORMAT, VERSION, Exchange, command_of, data
from exporter.session.wire import WireSource

log = logging.getLogger("exporter.session")

_ERRORS: dict[str, type[TransportError]] = {
    kind.kind: kind for kind in (ConnectionLost, NoDeviceError, RefusedError, TimeoutExpired)
}
_CONNECTING = ""
"""What failed attempts to connect are recorded as."""


@dataclass
class Recording:
    """A recording in memory: exchanges by command, each list in the order of time."""

    path: str
    interval: float = 0.0
    """Seconds between the recorder's polls."""
    exchanges: dict[str, list[Exchange]] = field(default_factory=dict)
    duration: float = 0.0
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

    def down(self, command: str, position: float) -> Exchange | None:
        """The failed attempt to connect that is the newest at ``position``, newer than any answer to ``command``."""
        failed = self.exchanges.get(_CONNECTING, [])
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
        lines = Path(path).read_bytes().split(b"\n")
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
    return recording


def _header(path: str, line: bytes) -> float:
    """Check the first line; the recorder's interval."""
    try:
        header = json.loads(line)
        name, version = header["format"], header["version"]
        interval = float(header.get("interval", 0.0))
    except (ValueError, KeyError, TypeError) as error:
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
        exchange = Exchange(
            at,
            float(fields["took"]),
            str(fields["ask"]),
            base64.b64decode(fields["reply"], validate=True),
            str(fields.get("error", "")),
            str(fields.get("text", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"{recording.path}:{number}: expected a JSON object with at, took, ask and reply; {missing}"
        ) from error
    found = recording.exchanges.setdefault(exchange.ask, [])
    if found and found[-1].at > at:
        raise ConfigError(f"{recording.path}:{number}: at goes back, from {found[-1].at} to {at}")
    found.append(exchange)
    recording.lines += 1
    return False


class ReplayConnector:
    """Plays a recording from the first connection on, ``speed`` times as fast.

    With ``loop`` it begins again at the end. Counters fall there, which within one session they never do: each
    round therefore shows another session id, as after a vMotion; nothing else of a reply is touched.
    """

    transport = "file"

    def __init__(
        self,
        recording: Recording,
        speed: float = 1.0,
        *,
        loop: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recording = recording
        self._speed = speed
        self._loop = loop
        self._clock = clock
        self._began: float | None = None
        self._over = False
        self._session_id = 0

    def connect(self, timeout: float) -> ReplayStream:  # noqa: ARG002  nothing can make it wait
        position, _ = self._position()
        newest = max(
            (
                each
                for command in self._recording.exchanges
                if command and (each := self._recording.latest(command, position))
            ),
            key=lambda each: each.at,
            default=None,
        )
        failed = self._recording.down(newest.ask if newest else _CONNECTING, position)
        if failed is not None:
            raise _error(failed)
        return ReplayStream(self)

    def answer(self, command: str) -> tuple[bytes, TransportError | None]:
        """The bytes that come back to ``command`` now, and what then breaks the connection.

        Raises:
            ConnectionLost: the host was not to be reached at that time, or the recording is over.
        """
        position, turn = self._position()
        if self._recording.down(command, position) is not None:
            raise ConnectionLost("the recorded host took no connection any more")
        exchange = self._recording.latest(command, position)
        if exchange is None:
            return rpci.reply(b"Unknown command", ok=False), None
        if exchange.error:
            return exchange.reply, _error(exchange)
        return self._turned(exchange, turn), None

    def _position(self) -> tuple[float, int]:
        """Seconds into the recording up to which it counts as said, and how often it has begun again."""
        now = self._clock()
        if self._began is None:
            self._began = now
        position = (now - self._began) * self._speed
        duration = self._recording.duration
        # A poll that comes a little earlier than the recorder's did shall not get the answer before.
        slack = self._recording.interval / 10
        if position <= duration:
            return position + slack, 0
        if self._loop and duration > 0:
            turn, position = divmod(position, duration)
            return position + slack, int(turn)
        if not self._over:
            self._over = True
            log.warning("the recording is over", extra={"recording": self._recording.words})
        raise ConnectionLost(f"the recording is over ({self._recording.words}); --replay.loop begins again")

    def _turned(self, exchange: Exchange, turn: int) -> bytes:
        """The reply with the session id of this round."""
        with suppress(RpcError, ProtocolError):
            reply = data(exchange)
            # Versions 2 and 3 have it in the same place (exporter.protocol.stats_v2, stats_v3).
            basic = exchange.ask.startswith("guestlib.info.get ") and len(reply) >= 12
            if basic:
                self._session_id = int.from_bytes(reply[4:12], "little")
            if turn and self._session_id:
                shown = (self._session_id + turn) % 2**64 or 1
                if basic:
                    return rpci.reply(reply[:4] + shown.to_bytes(8, "little") + reply[12:])
                return rpci.reply(reply.replace(b"%d" % self._session_id, b"%d" % shown))
        return exchange.reply


class ReplayStream:
    """One connection to the recorded host."""

    def __init__(self, connector: ReplayConnector) -> None:
        self._connector = connector
        self._reply = b""
        self._error: TransportError | None = None

    def send(self, data: bytes, timeout: float) -> None:  # noqa: ARG002
        self._reply, self._error = self._connector.answer(command_of(data))

    def receive(self, timeout: float) -> bytes:
        if self._reply:
            reply, self._reply = self._reply, b""
            return reply
        if self._error is not None:
            raise self._error
        raise TimeoutExpired(f"the recorded host said no more within {timeout:.3g} s")

    def close(self) -> None:
        self._reply, self._error = b"", None


class ReplaySource(WireSource):
    """The statistics of a recorded host: ``--source=replay``.

    ``speed``: how many times as fast as it was recorded; ``loop``: whether it begins again at its end, where
    otherwise nothing comes any more.

    Raises:
        ConfigError: the file is no recording.
    """

    def __init__(
        self,
        file: str,
        *,
        speed: float = 1.0,
        loop: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        recording = read(file)
        level = logging.WARNING if recording.cut else logging.INFO
        log.log(level, "playing a recording", extra={"recording": recording.words})
        super().__init__(
            ReplayConnector(recording, speed, loop=loop, clock=clock), source="replay", note=recording.words
        )


def _error(exchange: Exchange) -> TransportError:
    kind = _ERRORS.get(exchange.error, TransportError)
    return kind(f"{exchange.text} (recorded)")
