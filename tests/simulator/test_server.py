"""The host's side on the wire, asked by the production client."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.errors import (
    ConfigError,
    ConnectionLost,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    TransportError,
)
from exporter.protocol import datamap, packet, rpci, stat_get, stats_v3
from exporter.session.wire import Channel, WireSource
from exporter.simulator.faults import KINDS, Fault, Stage
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Scenario
from exporter.simulator.scenarios import SCENARIOS
from exporter.simulator.server import Server, serve_unix
from exporter.transport.base import Connector
from exporter.transport.memory import MemoryConnector, pair
from exporter.transport.sockets import SocketStream
from exporter.transport.unix import UnixConnector


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def serving(scenario: Scenario | str = "steady", *faults: Fault) -> Server:
    return Server(SimulatedHost(scenario, Clock()), faults)


SECURE = Scenario("secure", "", secure_only=True, privileged=False)


@contextmanager
def channel(server: Server) -> Iterator[Channel]:
    found = Channel(MemoryConnector(server.serve), timeout=5)
    yield found
    found.close()


@pytest.fixture(params=["memory", "unix"])
def served(request: pytest.FixtureRequest, short_path: Path) -> Iterator[tuple[Server, Connector]]:
    server = serving()
    if request.param == "memory":
        yield server, MemoryConnector(server.serve)
        return
    with serve_unix(short_path / "host", server):
        yield server, UnixConnector(short_path / "host")


def test_statistics_by_every_transport(served: tuple[Server, Connector]) -> None:
    server, connector = served
    source = WireSource(connector)
    snapshot = source.read()
    assert snapshot == stats_v3.decode(server.host.info(3))
    assert source.read() == snapshot
    assert (server.connections, server.requests) == (1, 2)
    names = stat_get.parse_names(source.stat("text", ""))
    assert stat_get.parse("xml", source.stat("xml", names[-1])).session_id == snapshot.session_id
    source.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_read_by_guestrpc(name: str) -> None:
    server = serving(name)
    source = WireSource(MemoryConnector(server.serve), 5)
    snapshot = source.read()
    assert snapshot.session_id == server.host.session_id
    assert snapshot.protocol == SCENARIOS[name].versions[0]
    source.close()


@pytest.mark.parametrize(
    "command",
    [
        b"guestlib.info.get 3",
        b"guestlib.info.get 3 ",
        b"guestlib.info.get 2",
        b"guestlib.stat.get text session",
    ],
)
def test_known_commands_are_answered_also_with_the_space_of_old_guests(command: bytes) -> None:
    with channel(serving()) as guest:
        assert guest.call(command)


@pytest.mark.parametrize(
    "command", [b"guestlib.stat.get   ", b"guestlib.stat.get xml ", b"guestlib.stat.get"]
)
def test_a_request_without_a_name_lists_the_groups(command: bytes) -> None:
    with channel(serving()) as guest:
        assert guest.call(command).startswith(b"session\nhost\nresources\n")


def test_a_group_with_a_trailing_space_is_found() -> None:
    with channel(serving()) as guest:
        assert guest.call(b"guestlib.stat.get text session ").startswith(b"session = ")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (b"guestlib.info.get 4", "Unsupported version"),
        (b"guestlib.info.get", "Unsupported version"),
        (b"guestlib.info.get \xb3", "Unsupported version"),
        (b"guestlib.info.get -3", "Unsupported version"),
        (b"guestlib.info.get " + b"9" * 5000, "Unsupported version"),
        (b"guestlib.ioctl \0\0\0\1", "Unknown command"),
        (b"info-set guestinfo.x 1", "Unknown command"),
        (b"\xff\xfe", "Unknown command"),
        (b"guestlib.stat.get csv session", "Unsupported encoding"),
    ],
)
def test_what_a_host_refuses_is_refused_and_the_connection_stays(command: bytes, text: str) -> None:
    server = serving()
    with channel(server) as guest:
        with pytest.raises(RpcError) as raised:
            guest.call(command)
        assert raised.value.text == text
        assert guest.call(b"guestlib.info.get 3")
    assert server.connections == 1


def test_fast_close_ends_the_connection_after_the_reply() -> None:
    ours, theirs = pair()
    server = serving()
    thread = threading.Thread(target=server.serve, args=(theirs,))
    thread.start()
    request = datamap.encode(
        {datamap.TYPE: 1, datamap.PAYLOAD: b"guestlib.info.get 3", datamap.FAST_CLOSE: 1}
    )
    ours.send(packet.encode(request), 5)
    received = b""
    with pytest.raises(ConnectionLost):
        while True:
            received += ours.receive(5)
    ours.close()
    thread.join(5)
    assert not thread.is_alive()
    decoder = packet.PacketDecoder()
    decoder.feed(received)
    body = decoder.next()
    assert body is not None
    assert rpci.parse_reply(body) == server.host.info(3)


def test_requests_cut_up_or_sent_together_are_answered_one_by_one() -> None:
    ours, theirs = pair()
    thread = threading.Thread(target=serving().serve, args=(theirs,))
    thread.start()
    two = rpci.request(b"guestlib.info.get 3") + rpci.request(b"nonsense")
    for index in range(len(two)):
        ours.send(two[index : index + 1], 5)
    decoder, bodies = packet.PacketDecoder(), list[bytes]()
    while len(bodies) < 2:
        while (body := decoder.next()) is None:
            decoder.feed(ours.receive(5))
        bodies.append(body)
    assert rpci.parse_reply(bodies[0])
    with pytest.raises(RpcError):
        rpci.parse_reply(bodies[1])
    ours.close()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    "garbage", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\4abcd", packet.encode(bytes(8))]
)
def test_bytes_that_are_no_request_end_the_connection(garbage: bytes) -> None:
    ours, theirs = pair()
    thread = threading.Thread(target=serving().serve, args=(theirs,))
    thread.start()
    ours.send(garbage, 5)
    with pytest.raises(ConnectionLost):
        ours.receive(5)
    thread.join(5)
    assert not thread.is_alive()
    ours.close()


def test_vmotion_breaks_the_connection_and_the_guest_gets_over_it() -> None:
    server = serving()
    with channel(server) as guest:
        guest.call(b"GuestAppMonitor.Cmd.Enable")
        with server.hold() as host:
            host.session_change()
        assert guest.call(b"GuestAppMonitor.Cmd.MarkActive") == b"2"
    assert server.connections == 2
    assert [each.text[:4] for each in server.take_happenings()] == ["HA: ", "sess", "HA: "]


def test_a_secure_host_answers_privileged_connections_only() -> None:
    server = serving(SECURE)
    with channel(server) as guest:
        for command in (b"guestlib.info.get 3", b"GuestAppMonitor.Cmd.IsEnabled", b"guestlib.stat.get text "):
            with pytest.raises(RpcError, match="Permission denied"):
                guest.call(command)
        with pytest.raises(RpcError, match="Unknown command"):
            guest.call(b"info-get guestinfo.x")


def test_privilege_can_be_told_per_connection() -> None:
    server = serving(SECURE)
    ours, theirs = pair()
    thread = threading.Thread(target=server.serve, args=(theirs, True))
    thread.start()

    class Once:
        transport = "memory"

        def connect(self, timeout: float) -> SocketStream:
            return ours

    guest = Channel(Once(), 5)
    assert guest.call(b"GuestAppMonitor.Cmd.IsEnabled") == b"false"
    guest.close()
    thread.join(5)
    assert not thread.is_alive()


EXPECTED: dict[str, type[Exception]] = {
    "refuse": ConnectionLost,
    "disconnect": ConnectionLost,
    "truncate": ConnectionLost,
    "no-status": RemoteProtocolError,
    "error": RpcError,
    "unknown-command": RpcError,
    "unsupported-version": RpcError,
}


@pytest.mark.parametrize(
    "kind", [*EXPECTED, *(name for name, row in KINDS.items() if row.stage is Stage.STATISTICS)]
)
def test_every_fault_reaches_the_guest_as_what_it_is(kind: str) -> None:
    server = serving("steady", Fault(kind))
    with channel(server) as guest:
        if kind in ("growing-path", "future-list"):
            assert stats_v3.decode(guest.call(b"guestlib.info.get 3")).session_id == server.host.session_id
        else:
            with pytest.raises(EXPECTED.get(kind, RemoteProtocolError)):
                stats_v3.decode(guest.call(b"guestlib.info.get 3"))
    assert server.rules.fired()[kind] >= 1


def test_a_corrupt_reply_is_a_value_or_one_error() -> None:
    server = serving("steady", Fault("corrupt", bytes=3))
    outcomes = set()
    for _ in range(200):
        with channel(server) as guest:
            try:
                stats_v3.decode(guest.call(b"guestlib.info.get 3"))
                outcomes.add("value")
            except (RemoteProtocolError, RpcError):
                outcomes.add("error")
    assert outcomes == {"value", "error"}


def test_a_delay_is_waited_for_before_the_reply() -> None:
    waited: list[float] = []
    server = Server(SimulatedHost(clock=Clock()), [Fault("delay", seconds=7)], sleep=waited.append)
    with channel(server) as guest:
        assert guest.call(b"guestlib.info.get 3")
    assert waited == [7]


def test_a_guest_that_does_not_wait_finds_its_time_limit() -> None:
    waiting = threading.Event()

    def sleep(seconds: float) -> None:
        waiting.wait(seconds)

    server = Server(SimulatedHost(clock=Clock()), [Fault("delay", seconds=10)], sleep=sleep)
    guest = Channel(MemoryConnector(server.serve), timeout=0.05)
    with pytest.raises(TimeoutExpired):
        guest.call(b"guestlib.info.get 3")
    waiting.set()


def test_a_fault_may_be_about_some_commands_only() -> None:
    server = serving("steady", Fault("error", text="no", on="GuestAppMonitor"))
    with channel(server) as guest:
        assert guest.call(b"guestlib.info.get 3")
        with pytest.raises(RpcError, match="no"):
            guest.call(b"GuestAppMonitor.Cmd.Enable")
    assert not server.host.ha.enabled


def test_a_refused_version_leads_to_the_older_one() -> None:
    server = serving("steady", Fault("unsupported-version"))
    source = WireSource(MemoryConnector(server.serve), 5)
    assert source.read().protocol == 2
    source.close()


def test_a_reply_is_spoiled_on_the_way_out_when_it_is_a_refusal_too() -> None:
    server = serving("steady", Fault("truncate"))
    with channel(server) as guest, pytest.raises(TransportError):
        guest.call(b"nonsense")


def test_damage_to_statistics_is_done_to_statistics_only() -> None:
    with channel(serving("steady", Fault("future-list", on=""))) as guest:
        assert guest.call(b"guestlib.stat.get text session").startswith(b"session = ")


def test_faults_of_the_scenario_and_of_the_caller_add_up() -> None:
    scenario = Scenario("bad", "", faults=(Fault("error", times=1),))
    assert [rule.fault.kind for rule in serving(scenario, Fault("delay")).rules.rules] == ["error", "delay"]


def test_many_guests_at_once_see_whole_replies(short_path: Path) -> None:
    server = Server(SimulatedHost(speed=500))
    failures: list[Exception] = []

    def guest() -> None:
        source = WireSource(UnixConnector(short_path / "host"), 5)
        try:
            for _ in range(50):
                source.read()
                source.stat("xml", "resources")
        except Exception as error:  # noqa: BLE001  whatever it is, the test must see it
            failures.append(error)
        source.close()

    with serve_unix(short_path / "host", server, threads=16):
        threads = [threading.Thread(target=guest) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failures == []
    assert server.requests >= 600


def test_more_guests_than_threads_wait_for_their_turn(short_path: Path) -> None:
    with serve_unix(short_path / "host", serving(), threads=1):
        connector = UnixConnector(short_path / "host")
        first, second = Channel(connector, 5), Channel(connector, 0.05)
        first.call(b"guestlib.info.get 3")
        with pytest.raises(TimeoutExpired):
            second.call(b"guestlib.info.get 3")
        first.close()
        third = Channel(connector, 5)
        assert third.call(b"guestlib.info.get 3")
        third.close()


def test_the_end_of_the_block_ends_open_connections_and_removes_the_socket(short_path: Path) -> None:
    path = short_path / "host"
    before = threading.active_count()
    guest = Channel(UnixConnector(path), 5)
    with serve_unix(path, serving()):
        guest.call(b"guestlib.info.get 3")
    assert not path.exists()
    assert threading.active_count() <= before  # threads of earlier tests may end meanwhile
    with pytest.raises(RefusedError):
        guest.call(b"guestlib.info.get 3")


def test_a_reply_that_is_delayed_does_not_hold_up_the_end(short_path: Path) -> None:
    path = short_path / "host"
    released = threading.Event()
    asked = threading.Event()

    def sleep(seconds: float) -> None:
        asked.set()
        released.wait(seconds)

    server = Server(SimulatedHost(), [Fault("delay", seconds=60)], sleep=sleep)
    with serve_unix(path, server, threads=1):
        guest = UnixConnector(path).connect(5)
        guest.send(rpci.request(b"guestlib.info.get 3"), 5)
        assert asked.wait(5)
    assert not path.exists()
    with pytest.raises(ConnectionLost):
        guest.receive(5)
    guest.close()
    released.set()


def test_a_socket_of_somebody_else_is_left_alone_at_the_end(short_path: Path) -> None:
    path = short_path / "host"
    with serve_unix(path, serving()):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_a_socket_that_is_gone_is_no_problem_at_the_end(short_path: Path) -> None:
    path = short_path / "host"
    with serve_unix(path, serving()):
        path.unlink()
    assert not path.exists()


def test_two_hosts_can_not_have_one_path(short_path: Path) -> None:
    path = short_path / "host"
    with serve_unix(path, serving()):
        with pytest.raises(ConfigError, match="somebody listens there"), serve_unix(path, serving()):
            pass
        assert path.exists()
