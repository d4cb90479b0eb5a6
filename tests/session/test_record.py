from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

from exporter.errors import (
    ConnectionLost,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    TransportError,
)
from exporter.masking import Masker
from exporter.protocol import rpci, stat_get, stats_v3
from exporter.session.missing import MOST
from exporter.session.record import Exchange, Recorder, TapConnector, data, masked, survey
from exporter.session.wire import Channel, WireSource
from exporter.simulator.in_process import in_process
from exporter.transport.base import Stream

ASK = "guestlib.info.get 3"


class Clock:
    def __init__(self, step: float = 0.0) -> None:
        self.now = 100.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Scripted:
    """A stream that gives back what a test says: bytes, or an error to raise."""

    def __init__(self, *script: bytes | TransportError, send: TransportError | None = None) -> None:
        self.script = list(script)
        self.error = send
        self.closed = False

    def send(self, data: bytes, timeout: float) -> None:
        if self.error is not None:
            raise self.error

    def receive(self, timeout: float) -> bytes:
        step = self.script.pop(0)
        if isinstance(step, TransportError):
            raise step
        return step

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


class ScriptedConnector:
    transport = "memory"

    def __init__(self, *steps: Stream | TransportError) -> None:
        self.steps = list(steps)

    def connect(self, timeout: float) -> Stream:
        step = self.steps.pop(0)
        if isinstance(step, TransportError):
            raise step
        return step


def tapped(*steps: Stream | TransportError, clock: Clock | None = None) -> tuple[Channel, list[Exchange]]:
    seen: list[Exchange] = []
    clock = clock or Clock()
    return Channel(TapConnector(ScriptedConnector(*steps), seen.append, clock=clock), 1.0, clock=clock), seen


def lines(file: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_the_format_of_a_recording() -> None:
    file, clock = io.BytesIO(), Clock()
    recorder = Recorder(file, 5.0, clock=clock, wall=lambda: 0.0)
    recorder(Exchange(100.25, 0.5, ASK, b"\0\1"))
    recorder(Exchange(101.0, 2.0, ASK, b"", "timeout", "no answer"))
    clock.now = 110.0
    recorder.end()
    head, good, bad, end = lines(file)
    assert head.pop("exporter")
    assert head == {
        "format": "vmguest-recording",
        "version": 1,
        "started": "1970-01-01T00:00:00Z",
        "interval": 5.0,
        "masked": False,
    }
    assert good == {"at": 0.25, "took": 0.5, "ask": ASK, "reply": base64.b64encode(b"\0\1").decode()}
    assert bad == {"at": 1.0, "took": 2.0, "ask": ASK, "reply": "", "error": "timeout", "text": "no answer"}
    assert end == {"at": 10.0, "end": True}
    assert recorder.exchanges == 2


def test_an_exchange_is_recorded_byte_for_byte() -> None:
    packet = rpci.reply(b"data")
    channel, seen = tapped(Scripted(packet[:7], packet[7:]), clock=Clock(step=0.001))
    assert channel.call(ASK.encode()) == b"data"
    (exchange,) = seen
    assert (exchange.ask, exchange.reply, exchange.error) == (ASK, packet, "")
    assert exchange.took > 0
    assert data(exchange) == b"data"
    channel.close()


def test_a_refusal_is_a_reply_like_any_other() -> None:
    packet = rpci.reply(b"disabled", ok=False)
    channel, seen = tapped(Scripted(packet))
    with pytest.raises(RpcError):
        channel.call(ASK.encode())
    assert seen[0].reply == packet
    assert seen[0].error == ""


def test_a_connection_that_breaks_is_recorded_with_what_had_come() -> None:
    channel, seen = tapped(Scripted(b"\0\0", ConnectionLost("the host closed the connection")))
    with pytest.raises(ConnectionLost):
        channel.call(ASK.encode())
    assert seen == [Exchange(100.0, 0.0, ASK, b"\0\0", "lost", "the host closed the connection")]


def test_a_request_that_is_not_taken_is_recorded() -> None:
    channel, seen = tapped(Scripted(send=TimeoutExpired("not taken")))
    with pytest.raises(TimeoutExpired):
        channel.call(ASK.encode())
    assert seen == [Exchange(100.0, 0.0, ASK, b"", "timeout", "not taken")]


def test_a_connection_that_is_not_to_be_had_is_recorded() -> None:
    channel, seen = tapped(RefusedError("reset"))
    with pytest.raises(RefusedError):
        channel.call(ASK.encode())
    assert seen == [Exchange(100.0, 0.0, "", b"", "refused", "reset")]


def test_a_reply_that_is_none_is_recorded_once() -> None:
    channel, seen = tapped(Scripted(b"\x7f\xff\xff\xff" + bytes(9)))
    with pytest.raises(RemoteProtocolError):
        channel.call(ASK.encode())
    assert [each.reply for each in seen] == [b"\x7f\xff\xff\xff" + bytes(9)]


def test_bytes_that_nobody_asked_for_are_passed_on_and_not_recorded() -> None:
    seen: list[Exchange] = []
    tap = TapConnector(ScriptedConnector(Scripted(b"x", ConnectionLost("gone"))), seen.append, clock=Clock())
    stream = tap.connect(1.0)
    assert stream.receive(1.0) == b"x"
    with pytest.raises(ConnectionLost):
        stream.receive(1.0)
    assert seen == []
    assert tap.transport == "memory"


def test_a_survey_asks_for_every_group_in_every_encoding() -> None:
    seen: list[Exchange] = []
    source = WireSource(TapConnector(in_process(), seen.append))
    survey(source)
    source.close()
    asked = [each.ask for each in seen]
    assert asked[0] == "guestlib.stat.get text "
    assert len(asked) == 1 + 7 * len(stat_get.ENCODINGS)
    assert "guestlib.stat.get json vscsi scsi0:0" in asked


def test_a_survey_of_a_host_without_a_list_asks_for_what_every_host_has() -> None:
    seen: list[Exchange] = []
    source = WireSource(TapConnector(in_process("older-host"), seen.append))
    survey(source)
    source.close()
    assert [each.ask for each in seen][1:] == [
        f"guestlib.stat.get {each} resources" for each in stat_get.ENCODINGS
    ]


class Partly:
    """A host that fails over some groups."""

    def __init__(self, fails: dict[str, Exception], groups: int = 6) -> None:
        self.fails = fails
        self.groups = tuple(f"vscsi scsi0:{number}" for number in range(groups))
        self.asked: list[tuple[str, str]] = []

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        self.asked.append((encoding, name))
        for place in (name, f"{encoding} {name}"):
            if place in self.fails:
                raise self.fails[place]
        return b"" if name else "\n".join(self.groups).encode()


@pytest.mark.parametrize(
    ("error", "times"), [(ConnectionLost("closed"), len(stat_get.ENCODINGS)), (TimeoutExpired("late"), 1)]
)
def test_a_group_over_which_the_connection_fails_costs_a_survey_itself_alone(
    error: TransportError, times: int
) -> None:
    host = Partly({"vscsi scsi0:1": error, "xml vscsi scsi0:2": ConnectionLost("closed")})
    survey(host)  # type: ignore[arg-type]
    for group in host.groups:
        asked = [each for each, name in host.asked if name == group]
        assert len(asked) == (times if group == "vscsi scsi0:1" else len(stat_get.ENCODINGS))


def test_a_survey_of_many_groups_that_hang_ends_soon_and_one_of_a_host_that_is_gone_fails() -> None:
    host = Partly(dict.fromkeys(Partly({}).groups[1:], TimeoutExpired("late")))
    survey(host)  # type: ignore[arg-type]
    assert len(host.asked) == 1 + len(stat_get.ENCODINGS) + MOST
    gone = Partly(dict.fromkeys(("", "resources"), ConnectionLost("gone")))
    with pytest.raises(ConnectionLost):
        survey(gone)  # type: ignore[arg-type]


def test_a_masked_exchange_still_decodes() -> None:
    values: dict[int, tuple[bool, int | bytes]] = {1: (True, 5), 18: (True, b"/host/pool")}
    exchange = Exchange(0.0, 0.1, ASK, rpci.reply(stats_v3.encode(7, values)))
    after = masked(exchange, Masker())
    assert stats_v3.decode(data(after)).values == {"cpu_reservation": 5, "resource_pool_path": "/xxxx/xxxx"}


def test_a_masked_question_names_no_card() -> None:
    exchange = Exchange(
        0.0, 0.1, "guestlib.stat.get text vnet 00:50:56:9a:1b:01", rpci.reply(b"num.tx = 1\n")
    )
    after = masked(exchange, Masker())
    assert after.ask == "guestlib.stat.get text vnet 02:00:00:00:00:01"
    assert after.reply == exchange.reply


def test_what_is_no_reply_is_masked_too() -> None:
    exchange = Exchange(0.0, 0.1, ASK, b"\0\0/host/pool", "lost", "at 10.1.2.3")
    after = masked(exchange, Masker())
    assert (after.reply, after.text) == (b"\0\0/xxxx/xxxx", "at xx.x.x.x")


def test_a_recorder_that_masks_says_so() -> None:
    file, masker = io.BytesIO(), Masker()
    recorder = Recorder(file, 1.0, change=lambda exchange: masked(exchange, masker), clock=Clock())
    recorder(Exchange(100.0, 0.0, "guestlib.stat.get text vnet 00:50:56:9a:1b:01", b""))
    head, line = lines(file)
    assert head["masked"] is True
    assert "02:00:00:00:00:01" in line["ask"]
