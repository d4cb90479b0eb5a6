"""GuestRPC over joined streams: one kept-open connection, bounded, repeated once when it broke."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from exporter.errors import (
    ConnectionLost,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    VMGuestError,
)
from exporter.protocol import rpci, stats_v2, stats_v3
from exporter.protocol.packet import PacketDecoder
from exporter.session.wire import Channel, WireSource
from exporter.snapshot import Snapshot, SourceInfo
from exporter.transport.base import Stream
from exporter.transport.memory import MemoryConnector, pair

Script = Callable[[bytes], bytes | None]
"""A command's whole reply packet; None closes the connection."""


class Host:
    """Serves each connection by a script, and counts connections and commands."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.connections = 0
        self.commands: list[bytes] = []
        self.connector = MemoryConnector(self.serve)

    def serve(self, stream: Stream) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        decoder = PacketDecoder()
        try:
            while True:
                while (body := decoder.next()) is None:
                    decoder.feed(stream.receive(10))
                command = rpci.parse_request(body).command
                self.commands.append(command)
                if (answer := script(command)) is None:
                    return
                stream.send(answer, 10)
        except VMGuestError:
            pass
        finally:
            stream.close()


def echo(command: bytes) -> bytes:
    return rpci.reply(b"echo " + command)


def dies(_command: bytes) -> None:
    return None


def dies_after(count: int) -> Script:
    left = iter(range(count))
    return lambda command: echo(command) if next(left, None) is not None else None


@pytest.fixture
def channel() -> Iterator[Callable[[Host], Channel]]:
    made: list[Channel] = []

    def make(host: Host, timeout: float = 5) -> Channel:
        made.append(Channel(host.connector, timeout))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_many_calls_on_one_connection(channel: Callable[[Host], Channel]) -> None:
    host = Host(echo)
    calls = channel(host)
    assert [calls.call(b"%d" % n) for n in range(5)] == [b"echo %d" % n for n in range(5)]
    assert host.connections == 1
    assert calls.connected


def test_a_kept_connection_that_broke_is_replaced_and_the_call_repeated(
    channel: Callable[[Host], Channel],
) -> None:
    """vMotion, suspend and revert break it: the caller does not notice."""
    host = Host(dies_after(1), echo)
    calls = channel(host)
    assert calls.call(b"a") == b"echo a"
    assert calls.call(b"b") == b"echo b"
    assert host.connections == 2
    assert host.commands == [b"a", b"b", b"b"]


def test_lost_twice_is_an_error(channel: Callable[[Host], Channel]) -> None:
    host = Host(dies_after(1), dies)
    calls = channel(host)
    calls.call(b"a")
    with pytest.raises(ConnectionLost):
        calls.call(b"b")
    assert not calls.connected


def test_a_new_connection_that_breaks_is_not_repeated(channel: Callable[[Host], Channel]) -> None:
    host = Host(dies)
    with pytest.raises(ConnectionLost):
        channel(host).call(b"a")
    assert host.connections == 1


def test_refused_after_the_loss(channel: Callable[[Host], Channel]) -> None:
    """A refusal of the repeated call is the host's answer; the new connection stays."""
    host = Host(dies_after(1), lambda _: rpci.reply(b"disabled", ok=False))
    calls = channel(host)
    calls.call(b"a")
    with pytest.raises(RpcError, match="disabled"):
        calls.call(b"b")
    assert calls.connected


def test_a_refusal_keeps_the_connection(channel: Callable[[Host], Channel]) -> None:
    host = Host(lambda _: rpci.reply(b"Unknown command", ok=False))
    calls = channel(host)
    for _ in range(2):
        with pytest.raises(RpcError, match="Unknown command"):
            calls.call(b"a")
    assert host.connections == 1


@pytest.mark.parametrize(
    "answer", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1x", echo(b"a") + b"\0", echo(b"a") + echo(b"a")]
)
def test_nonsense_closes_the_connection(channel: Callable[[Host], Channel], answer: bytes) -> None:
    """A second packet too: it would be taken for the reply to the next command."""
    calls = channel(Host(lambda _: answer, echo))
    with pytest.raises(RemoteProtocolError):
        calls.call(b"a")
    assert not calls.connected
    assert calls.call(b"b") == b"echo b"


def test_a_silent_host_is_a_time_out_and_its_late_reply_is_never_read() -> None:
    ours, theirs = pair()

    class Once:
        transport = "memory"

        def connect(self, timeout: float) -> Stream:
            return ours

    calls = Channel(Once(), 0.02)
    with pytest.raises(TimeoutExpired):
        calls.call(b"a")
    assert not calls.connected
    theirs.close()


def test_connect_opens_once(channel: Callable[[Host], Channel]) -> None:
    host = Host(echo)
    calls = channel(host)
    calls.connect()
    calls.connect()
    assert calls.call(b"a") == b"echo a"
    assert host.connections == 1


def test_no_connection() -> None:
    class Nobody:
        transport = "unix"

        def connect(self, timeout: float) -> Stream:
            raise RefusedError("nobody listens")

    calls = Channel(Nobody())
    for attempt in (calls.connect, lambda: calls.call(b"a")):
        with pytest.raises(RefusedError):
            attempt()
    assert not calls.connected


V3 = stats_v3.encode(3, {1: (True, 10)})
V2 = stats_v2.encode(2, {1: (True, 20)})


def reads(host: Host) -> WireSource:
    return WireSource(host.connector, 5)


def test_source_reads_v3() -> None:
    source = reads(Host(lambda _: rpci.reply(V3)))
    assert source.info == SourceInfo("guestrpc", "memory", "", "")
    for _ in range(2):
        assert source.read() == Snapshot(3, 3, {"cpu_reservation": 10})
    assert source.info.protocol == "3"
    assert source.restarts is None
    source.close()


def test_source_falls_back_to_v2() -> None:
    host = Host(
        lambda command: (
            rpci.reply(b"Unsupported version", ok=False) if command.endswith(b"3") else rpci.reply(V2)
        )
    )
    source = reads(host)
    assert source.read() == Snapshot(2, 2, {"cpu_reservation": 20})
    assert source.info.protocol == "2"
    assert host.connections == 1
    source.close()


def test_source_refused() -> None:
    source = reads(Host(lambda _: rpci.reply(b"disabled", ok=False)))
    with pytest.raises(RpcError, match="disabled"):
        source.read()
    source.close()


def test_source_malformed_then_good() -> None:
    host = Host(lambda _: rpci.reply(V3[:-1]), lambda _: rpci.reply(V3))
    source = reads(host)
    with pytest.raises(RemoteProtocolError):
        source.read()
    assert source.read().session_id == 3
    assert host.connections == 2
    source.close()


def test_source_asks_for_extended_statistics() -> None:
    host = Host(echo)
    source = reads(host)
    assert source.stat("xml", "resources") == b"echo guestlib.stat.get xml resources"
    source.close()


class Repeats:
    """A host whose reply to the first command comes twice, the second time when ``late`` is called."""

    transport = "memory"

    def __init__(self) -> None:
        self.ends: list[Stream] = []
        self.requests: list[rpci.Request] = []
        self.late: Callable[[], None] = lambda: None

    def connect(self, timeout: float) -> Stream:
        ours, theirs = pair()
        self.ends.append(theirs)
        threading.Thread(target=self.serve, args=(theirs,), daemon=True).start()
        return ours

    def serve(self, stream: Stream) -> None:
        decoder = PacketDecoder()
        try:
            while True:
                while (body := decoder.next()) is None:
                    decoder.feed(stream.receive(10))
                self.requests.append(rpci.parse_request(body))
                answer = echo(self.requests[-1].command)
                if len(self.requests) == 1:
                    self.late = partial(stream.send, answer, 10)
                stream.send(answer, 10)
        except VMGuestError:
            pass
        finally:
            stream.close()


def test_a_reply_that_comes_again_is_never_the_answer_to_the_next_command() -> None:
    host = Repeats()
    calls = Channel(host, 5)
    assert calls.call(b"a") == b"echo a"
    host.late()
    with pytest.raises(RemoteProtocolError, match="which nobody asked for"):
        calls.call(b"b")
    assert not calls.connected
    # A host that does so once is asked on a connection for each command.
    assert [calls.call(b"%d" % n) for n in range(3)] == [b"echo %d" % n for n in range(3)]
    assert len(host.ends) == 4
    assert [request.fast_close for request in host.requests] == [False, True, True, True]
    assert not calls.connected


def test_each_question_of_a_round_has_a_connection_of_its_own() -> None:
    host = Repeats()
    source = WireSource(host, 5)
    for group in ("vnet a", "vnet b"):
        assert source.stat("xml", group) == f"echo guestlib.stat.get xml {group}".encode()
        host.late = lambda: None
    assert len(host.ends) == 2
    source.close()
