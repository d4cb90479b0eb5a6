"""The guestrpc source: every call as bytes on a stream, answered by the simulated host's own monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from exporter.errors import ConnectionLost, RemoteProtocolError, RpcError
from exporter.ha.wire import WireAppMonitor
from exporter.protocol import packet, rpci
from exporter.protocol.appmonitor import AppState, AppStatus, Code
from exporter.session.wire import Channel
from exporter.simulator.ha import Monitor, MonitorOptions


class Host:
    """Answers a command on any connection; ``connections`` counts them, ``spoil`` replaces the next reply."""

    transport = "memory"

    def __init__(self, options: MonitorOptions) -> None:
        self.monitor = Monitor(options, lambda: 0.0)
        self.commands: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.broken = 0
        self.spoil: bytes | None = None

    def connect(self, timeout: float) -> Stream:
        self.connections += 1
        return Stream(self)


class Stream:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.reply = b""

    def send(self, data: bytes, timeout: float) -> None:
        host = self.host
        if host.broken:
            host.broken -= 1
            raise ConnectionLost("broken")
        host.requests.append(data)
        decoder = packet.PacketDecoder()
        decoder.feed(data)
        request = rpci.parse_request(decoder.next() or b"")
        assert not request.fast_close, "HA commands keep their connection"
        host.commands.append(request.command)
        if host.spoil is not None:
            self.reply, host.spoil = host.spoil, None
            return
        try:
            self.reply = rpci.reply(host.monitor.answer(request.command))
        except RpcError as refusal:
            self.reply = rpci.reply(refusal.text.encode(), ok=False)

    def receive(self, timeout: float) -> bytes:
        return self.reply

    def unread(self) -> int:
        return 0

    def close(self) -> None:
        pass


Make = Callable[..., tuple[WireAppMonitor, Host]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[WireAppMonitor] = []

    def build(options: MonitorOptions | None = None) -> tuple[WireAppMonitor, Host]:
        host = Host(options or MonitorOptions())
        made.append(WireAppMonitor(Channel(host)))
        return made[-1], host

    yield build
    for monitor in made:
        monitor.close()


def test_all_calls_on_one_connection(make: Make) -> None:
    monitor, host = make()
    assert not monitor.is_enabled()
    assert monitor.mark_active() is Code.NOT_ENABLED
    assert monitor.enable() is Code.OK
    assert monitor.is_enabled()
    assert monitor.mark_active() is Code.OK
    assert monitor.get_app_status() is AppStatus.GREEN
    assert monitor.post_app_state(AppState.OK) is Code.OK
    assert monitor.disable() is Code.OK
    assert monitor.get_app_status() is AppStatus.GRAY
    assert host.connections == 1


def test_enable_is_the_real_librarys_packet(make: Make) -> None:
    monitor, host = make()
    monitor.enable()
    assert host.requests == [
        bytes.fromhex("00000036 00000001 00000001 00000001 00000000 00000002 00000002 0000001a")
        + b"GuestAppMonitor.Cmd.Enable"
    ]


def test_a_host_that_wants_the_guides_spelling_gets_it(make: Make) -> None:
    monitor, host = make(MonitorOptions(guide_spelling=True))
    assert monitor.post_app_state(AppState.NEED_RESET) is Code.OK
    assert host.commands == [
        b"GuestAppMonitor.Cmd.PostAppState appStateNeedReset",
        b"GuestAppMonitor.Cmd.PostAppState needReset",
    ]
    assert len(host.monitor.resets) == 1


def test_a_broken_connection_is_replaced_unseen(make: Make) -> None:
    monitor, host = make()
    monitor.enable()
    host.broken = 1
    assert monitor.mark_active() is Code.OK
    assert host.connections == 2


def test_a_refusal_of_a_command_that_was_sent_before_is_no_clear_no(make: Make) -> None:
    """The first one may have been heard: a reset that was asked for so would not be taken back."""
    monitor, host = make()
    monitor.enable()
    host.broken, host.spoil = 1, rpci.reply(b"Permission denied", ok=False)
    with pytest.raises(ConnectionLost, match="Permission denied"):
        monitor.disable()
    host.spoil = rpci.reply(b"Permission denied", ok=False)
    with pytest.raises(RpcError):
        monitor.disable()


@pytest.mark.parametrize("call", ["enable", "need reset"])
def test_what_could_come_late_is_not_sent_twice_unseen(make: Make, call: str) -> None:
    """Of two the first may be carried out last, also where the second was answered: found by a stranger, a reset after exit 0."""
    monitor, host = make()
    monitor.is_enabled()
    host.broken = 1
    with pytest.raises(ConnectionLost, match="broken"):
        _ = monitor.enable() if call == "enable" else monitor.post_app_state(AppState.NEED_RESET)
    monitor.is_enabled()
    host.broken = 1
    assert monitor.post_app_state(AppState.OK) is Code.OK


def test_a_refusal_is_the_hosts_own_words(make: Make) -> None:
    monitor, host = make(MonitorOptions(supported=False))
    with pytest.raises(RpcError) as caught:
        monitor.enable()
    assert (caught.value.reason, caught.value.command) == ("unknown_command", "GuestAppMonitor.Cmd.Enable")
    assert host.connections == 1


@pytest.mark.parametrize(
    "call", [WireAppMonitor.enable, WireAppMonitor.is_enabled, WireAppMonitor.get_app_status]
)
def test_after_an_answer_that_means_nothing_comes_a_new_connection(
    make: Make, call: Callable[[WireAppMonitor], object]
) -> None:
    monitor, host = make()
    host.spoil = rpci.reply(b"nonsense")
    with pytest.raises(RemoteProtocolError):
        call(monitor)
    call(monitor)
    assert host.connections == 2
