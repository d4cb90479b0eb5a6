"""A recording instead of a host: raw replies through the production decoder.

The recording is played by the clock: a command is answered with what the host last said to it by then, in the session
that the basic statistics are of by then. Polls at another interval than the recorder's see the same host, more or less often.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress

from exporter.errors import (
    ConnectionLost,
    NoDeviceError,
    ProtocolError,
    RefusedError,
    RpcError,
    TimeoutExpired,
    TransportError,
)
from exporter.protocol import rpci
from exporter.session.record import Exchange, command_of, data
from exporter.session.recording import CONNECTING, Recording, read
from exporter.session.wire import WireSource
from exporter.snapshot import Guest

log = logging.getLogger("exporter.session")

_WITHHELD = b"The recording has no answer to this of the present session"
_ERRORS: dict[str, type[TransportError]] = {
    kind.kind: kind for kind in (ConnectionLost, NoDeviceError, RefusedError, TimeoutExpired)
}


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
        failed = self._recording.down(newest.ask if newest else CONNECTING, position)
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
        exchange = self._recording.answer(command, position)
        if exchange is None:
            known = command in self._recording.exchanges
            return rpci.reply(_WITHHELD if known else b"Unknown command", ok=False), None
        if exchange.error:
            return exchange.reply, _error(exchange)
        return self._turned(exchange, turn), None

    def guest(self) -> Guest:
        """What the guest's kernel says now; looked at before the first connection, as it was at the start."""
        position, _ = self._place(self._clock())
        return self._recording.guest(position)

    def _place(self, now: float) -> tuple[float, int]:
        """Seconds into the recording at ``now``, and how often it has begun again; before its start, the start."""
        position = 0.0 if self._began is None else (now - self._began) * self._speed
        if self._loop and position > self._recording.duration > 0:
            turn, position = divmod(position, self._recording.duration)
            return position, int(turn)
        return position, 0

    def _position(self) -> tuple[float, int]:
        """Seconds into the recording up to which it counts as said, and how often it has begun again."""
        now = self._clock()
        if self._began is None:
            self._began = now
        position, turn = self._place(now)
        if position <= self._recording.duration:
            # A poll that comes a little earlier than the recorder's did shall not get the answer before.
            return position + self._recording.interval / 10, turn
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
                # Whatever the encoding, the id is the first number after the word.
                said = rb"(\bsession\b\D{1,60})%d(?!\d)" % self._session_id
                return rpci.reply(re.sub(said, rb"\g<1>%d" % shown, reply))
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

    def unread(self) -> int:
        return 0

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
        connector = ReplayConnector(recording, speed, loop=loop, clock=clock)
        super().__init__(connector, source="replay", note=recording.words)
        self.guest = connector.guest


def _error(exchange: Exchange) -> TransportError:
    kind = _ERRORS.get(exchange.error, TransportError)
    return kind(f"{exchange.text} (recorded)")
