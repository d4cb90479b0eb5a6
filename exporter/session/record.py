"""Recordings of a host: its raw replies with their times, so that a user's odd host becomes a test here.

Version 1 is UTF-8 text, a JSON object a line::

    {"format": "vmguest-recording", "version": 1, "exporter": "…", "started": "2026-11-24T19:00:00Z",
     "interval": 5.0, "masked": false}
    {"at": 0.0102, "took": 0.0004, "ask": "guestlib.info.get 3", "reply": "…"}
    {"at": 5.0101, "took": 2.0, "ask": "guestlib.info.get 3", "reply": "", "error": "timeout", "text": "…"}
    {"at": 7.0105, "took": 0.0001, "ask": "", "reply": "", "error": "refused", "text": "…"}
    {"at": 7.0106, "guest": {"vcpus": 4, "memory_bytes": 8318353408}}
    {"at": 600.0, "end": true}

``at``: seconds since the start at which the command went out; ``took``: until its reply was there. ``reply``: the
bytes of the connection in base64, packet lengths and DataMap included, whatever they are worth. ``error`` and
``text``: kind and words of the :class:`~exporter.errors.TransportError` that came instead of a whole reply; with
an empty ``ask`` no connection could be made. ``guest``: what the guest's own kernel said then, the fields of
:class:`~exporter.snapshot.Guest` that are numbers; without it, shares per vCPU would take those of the machine that
plays. The last line tells a recording that was ended from one that was cut
off. Lines of other shapes, and further keys, belong to later versions: readers pass over keys they do not know.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import IO

from exporter import __version__
from exporter.errors import ProtocolError, RpcError, TimeoutExpired, TransportError
from exporter.masking import Masker
from exporter.protocol import packet, rpci, stat_get
from exporter.session.base import Source
from exporter.session.missing import MOST
from exporter.snapshot import Guest
from exporter.transport.base import Connector, Stream

FORMAT = "vmguest-recording"
VERSION = 1
GUEST = frozenset(field.name for field in fields(Guest)) - {"boot_id"}
"""What a recording holds of the guest; a line has what changed since the line before."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line: what was asked, and what came of it."""

    at: float
    took: float
    ask: str
    reply: bytes
    error: str = ""
    text: str = ""


Sink = Callable[[Exchange], None]
"""Where exchanges go."""


def data(exchange: Exchange) -> bytes:
    """The data of a good reply.

    Raises:
        RpcError: the host refused.
        ProtocolError: it is no whole reply.
    """
    decoder = packet.PacketDecoder()
    decoder.feed(exchange.reply)
    return rpci.parse_reply(decoder.next() or b"", exchange.ask.encode())


def masked(exchange: Exchange, masker: Masker) -> Exchange:
    """The same without names; replies keep their length."""
    try:
        good = data(exchange)
    except (RpcError, ProtocolError):
        reply = masker.raw(exchange.reply)
    else:
        # The data ends the packet: nothing but the length of it depends on what it is.
        reply = exchange.reply[: len(exchange.reply) - len(good)] + masker.reply(exchange.ask, good)
    return replace(exchange, ask=masker.text(exchange.ask), reply=reply, text=masker.text(exchange.text))


class Recorder:
    """Writes exchanges to ``file``, a line each, at once: what is written outlives a crash.

    ``change`` sees each exchange first; it masks.
    """

    def __init__(
        self,
        file: IO[bytes],
        interval: float,
        *,
        change: Callable[[Exchange], Exchange] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._change = change
        self._clock = clock
        self._began = clock()
        self.exchanges = 0
        self._guest: dict[str, object] = {}
        self._line(
            {
                "format": FORMAT,
                "version": VERSION,
                "exporter": __version__,
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall())),
                "interval": interval,
                "masked": change is not None,
            }
        )

    def __call__(self, exchange: Exchange) -> None:
        """Write one; its ``at`` is by this recorder's clock."""
        exchange = replace(exchange, at=exchange.at - self._began)
        if self._change is not None:
            exchange = self._change(exchange)
        line: dict[str, object] = {
            "at": round(exchange.at, 6),
            "took": round(exchange.took, 6),
            "ask": exchange.ask,
            "reply": base64.b64encode(exchange.reply).decode(),
        }
        if exchange.error:
            line |= {"error": exchange.error, "text": exchange.text}
        self._line(line)
        self.exchanges += 1

    def guest(self, guest: Guest) -> None:
        """Write what the guest's kernel says now; its boot id, which tells one VM from others, is left out."""
        told = {
            name: value
            for name, value in asdict(guest).items()
            if name in GUEST and value is not None and value != self._guest.get(name)
        }
        if told:
            self._guest |= told
            self._line({"at": round(self._clock() - self._began, 6), "guest": told})

    def end(self) -> None:
        """The recording ends here, and was not cut off."""
        self._line({"at": round(self._clock() - self._began, 6), "end": True})

    def _line(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()


class TapConnector:
    """A connector whose exchanges also go to ``sink``, byte for byte."""

    def __init__(
        self, connector: Connector, sink: Sink, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._sink = sink
        self._clock = clock

    @property
    def transport(self) -> str:
        return self._connector.transport

    def connect(self, timeout: float) -> Stream:
        began = self._clock()
        try:
            return _TapStream(self._connector.connect(timeout), self._sink, self._clock)
        except TransportError as error:
            self._sink(Exchange(began, self._clock() - began, "", b"", error.kind, str(error)))
            raise


class _TapStream:
    def __init__(self, stream: Stream, sink: Sink, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._sink = sink
        self._clock = clock
        self._ask = ""
        self._began = 0.0
        self._reply: bytearray | None = None
        self._decoder = packet.PacketDecoder()

    def send(self, data: bytes, timeout: float) -> None:
        self._ask = command_of(data)
        self._began = self._clock()
        self._reply = bytearray()
        self._decoder = packet.PacketDecoder()
        try:
            self._stream.send(data, timeout)
        except TransportError as error:
            self._note(error)
            raise

    def receive(self, timeout: float) -> bytes:
        try:
            data = self._stream.receive(timeout)
        except TransportError as error:
            self._note(error)
            raise
        if self._reply is not None:
            self._reply += data
            if self._complete(data):
                self._note()
        return data

    def unread(self) -> int:
        return self._stream.unread()

    def close(self) -> None:
        self._stream.close()

    def _complete(self, data: bytes) -> bool:
        """Whether the reply is whole, or so broken that the reader will give up on it."""
        try:
            self._decoder.feed(data)
            return self._decoder.next() is not None
        except ProtocolError:
            return True

    def _note(self, error: TransportError | None = None) -> None:
        if self._reply is None:
            return
        took = self._clock() - self._began
        reply, self._reply = bytes(self._reply), None
        self._sink(
            Exchange(
                self._began,
                took,
                self._ask,
                reply,
                error.kind if error else "",
                str(error) if error else "",
            )
        )


def command_of(data: bytes) -> str:
    """The command in a packet that we have made ourselves."""
    decoder = packet.PacketDecoder()
    decoder.feed(data)
    return rpci.parse_request(decoder.next() or b"").command.decode("utf-8", "replace")


def survey(source: Source) -> None:
    """Ask for everything once, in every encoding: one raw reply of each kind for whoever listens in.

    A group over which the connection fails costs itself alone; after :data:`MOST` of them the rest is left out.

    Raises:
        VMGuestError: the host answers nothing; refusals and nonsense are answers.
    """
    groups: tuple[str, ...] = ()
    with suppress(RpcError, ProtocolError, TransportError):
        groups = stat_get.parse_names(source.stat("text", ""))
    failures: list[TransportError] = []
    answered = False
    for group in groups or ("resources",):
        if len(failures) == MOST:
            break
        try:
            _survey_group(source, group)
            answered = True
        except TransportError as error:
            failures.append(error)
    if failures and not answered:
        raise failures[0]


def _survey_group(source: Source, group: str) -> None:
    """Raises TransportError: answered in no encoding, or not in time, as it then would be in the others."""
    failures: list[TransportError] = []
    for encoding in stat_get.ENCODINGS:
        try:
            with suppress(RpcError, ProtocolError):
                source.stat(encoding, group)
        except TimeoutExpired:
            raise
        except TransportError as error:
            failures.append(error)
    if len(failures) == len(stat_get.ENCODINGS):
        raise failures[0]
