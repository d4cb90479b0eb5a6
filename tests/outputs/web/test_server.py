"""The web server under clients that mean well, and under clients that don't: a normal scrape always answers."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Self

import pytest
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.task import Task

from exporter.errors import ConfigError
from exporter.outputs.web.application import WSGI, Environ, StartResponse
from exporter.outputs.web.server import AHEAD, REQUEST_SECONDS, InLoop, Limits, WebServer
from exporter.outputs.web.tls import TLSListener, context
from exporter.outputs.web.webconfig import TLSSettings

PAGE = b"vmguest_up 1.0\n" * 1400
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Site:
    """An application: a page of 21 kB everywhere, an error at ``/boom``, a wait for ``release`` at ``/wait``."""

    def __init__(self) -> None:
        self.calls = 0
        self.release = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        if environ["PATH_INFO"] == "/boom":
            raise RuntimeError("so it goes")
        if environ["PATH_INFO"] == "/wait":
            self.release.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]


Serve = Callable[..., WebServer]


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.release.set()


@pytest.fixture
def settings() -> dict[str, Any]:
    """How the servers of a test are set up; hostile clients meet several ways."""
    return {"listen": [("127.0.0.1", 0)]}


@pytest.fixture
def serve(site: Site, settings: dict[str, Any]) -> Iterator[Serve]:
    """Start a server on an ephemeral port of loopback."""
    with contextlib.ExitStack() as stack:

        def start(application: WSGI = site, **changes: Any) -> WebServer:
            server = WebServer(application, **settings | changes)
            server.start()
            stack.callback(server.close)
            return server

        yield start


class Client:
    """A client of one connection, with TLS where the server has it; ``silent`` connects and no more."""

    def __init__(self, server: WebServer, *, silent: bool = False) -> None:
        self.socket = socket.create_connection(server.addresses[0], timeout=10)
        self.left = b""
        if server.urls[0].startswith("https:") and not silent:
            anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            anyone.check_hostname = False
            anyone.verify_mode = ssl.CERT_NONE
            self.socket = anyone.wrap_socket(self.socket)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self.left:
            self._more()
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(self.left) < length:
            self._more()
        body, self.left = self.left[:length], self.left[length:]
        return int(head.split()[1]), body

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the server")
        self.left += data

    def closed(self) -> bool:
        """Whether the server closes the connection, after whatever it still sends."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def scrapes(server: WebServer) -> bool:
    """Whether a well-behaved client gets its page."""
    with Client(server) as client:
        client.send(REQUEST)
        return client.answer() == (200, PAGE)


@contextlib.contextmanager
def clients(server: WebServer, count: int, *, silent: bool = False) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server, silent=silent)) for _ in range(count)]


@pytest.fixture
def silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No client can fill the log."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


class TestServing:
    def test_many_scrapes_over_one_kept_open_connection(self, serve: Serve) -> None:
        with Client(serve()) as client:
            for _ in range(50):
                client.send(REQUEST)
                assert client.answer() == (200, PAGE)

    def test_http_1_0_is_answered_and_closed(self, serve: Serve) -> None:
        with Client(serve()) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert client.answer() == (200, PAGE)
            assert client.closed()

    def test_no_version_is_told(self, serve: Serve) -> None:
        with Client(serve()) as client:
            client.send(REQUEST)
            head = client.socket.recv(65536).partition(b"\r\n\r\n")[0]
            assert head.splitlines()[-1] == b"Server: vmguest-exporter"

    def test_several_addresses(self, serve: Serve) -> None:
        server = serve(listen=[("127.0.0.1", 0), ("127.0.0.1", 0)])
        assert len({port for _, port in server.addresses}) == 2
        for address in server.addresses:
            with socket.create_connection(address, timeout=10) as sock:
                sock.sendall(REQUEST)
                assert sock.recv(12) == b"HTTP/1.1 200"

    def test_urls_are_for_people(self, serve: Serve) -> None:
        server = serve(listen=[("", 0), ("127.0.0.1", 0)])
        ports = [port for _, port in server.addresses]
        assert server.urls == (f"http://localhost:{ports[0]}/", f"http://127.0.0.1:{ports[1]}/")

    def test_an_address_that_can_not_be_had_stops_the_start(self, site: Site, serve: Serve) -> None:
        taken = serve().addresses[0]
        with pytest.raises(ConfigError, match="is in use"):
            WebServer(site, [taken]).start()

    def test_close_ends_at_once_with_connections_open_and_frees_the_port(self, serve: Serve) -> None:
        server = serve()
        address = server.addresses[0]
        with clients(server, 20) as idle:
            idle[0].send(REQUEST)
            assert idle[0].answer() == (200, PAGE)
            server.close()
            assert not any(thread.name == "web" for thread in threading.enumerate())
            assert all(client.closed() for client in idle)
            server.close()
        assert scrapes(serve(listen=[address]))

    def test_a_server_that_never_started_can_be_closed(self, site: Site) -> None:
        WebServer(site, [("127.0.0.1", 0)]).close()

    def test_a_mistake_of_ours_is_a_500_and_the_next_request_is_served(
        self, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = serve()
        with Client(server) as client:
            client.send(b"GET /boom HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, body = client.answer()
            assert status == 500
            assert b"so it goes" not in body
        assert "so it goes" in caplog.text
        assert scrapes(server)

    def test_an_application_that_blocks_does_not_hold_others_up(self, serve: Serve, site: Site) -> None:
        server = serve(blocking=True)
        with clients(server, 3) as waiting:
            for client in waiting:
                client.send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert scrapes(server)
            site.release.set()
            assert all(client.answer() == (200, PAGE) for client in waiting)


@pytest.mark.usefixtures("silence")
class TestHostileClients:
    @pytest.fixture(params=["plain, in the loop", "plain, in threads", "TLS, in the loop", "TLS, in threads"])
    def settings(self, request: pytest.FixtureRequest, certificate: TLSSettings) -> dict[str, Any]:
        found: dict[str, Any] = {"listen": [("127.0.0.1", 0)], "blocking": request.param.endswith("threads")}
        if request.param.startswith("TLS"):
            made = context(certificate)
            found |= {"listener": partial(TLSListener, context=lambda: made), "scheme": "https"}
        return found

    def test_200_idle_connections(self, serve: Serve) -> None:
        server = serve()
        with clients(server, 200):
            assert all(scrapes(server) for _ in range(3))

    def test_200_connections_that_never_say_a_word(self, serve: Serve) -> None:
        """With TLS, that is before the handshake."""
        server = serve()
        with clients(server, 200, silent=True):
            assert all(scrapes(server) for _ in range(3))

    def test_garbage_instead_of_a_handshake(self, serve: Serve) -> None:
        server = serve()
        with clients(server, 20, silent=True) as bad:
            for client in bad:
                client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500 + b"\r\n\r\n")
            assert scrapes(server)

    def test_bytes_that_drip_in(self, serve: Serve) -> None:
        server = serve()
        with clients(server, 20) as slow:
            for byte in b"GET /metrics HTTP/1.1\r\nX-Slow: ":
                for client in slow:
                    client.send(bytes([byte]))
                assert scrapes(server)

    def test_a_request_that_is_never_finished_is_cut_off(self, serve: Serve) -> None:
        now = [0.0]
        server = serve(clock=lambda: now[0])
        with Client(server) as slow:
            slow.send(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
            for seconds in (2, 2, REQUEST_SECONDS):
                assert scrapes(server)
                slow.send(b"still here")
                now[0] += seconds
            assert scrapes(server)
            assert slow.closed()
            assert scrapes(server)

    def test_10_mb_of_headers(self, serve: Serve) -> None:
        server = serve()
        with Client(server) as client, contextlib.suppress(OSError):
            client.send(b"GET /metrics HTTP/1.1\r\n")
            for _ in range(160):
                client.send(b"X-Filler: " + b"x" * 65526)
            pytest.fail("the server took 10 MB")
        assert scrapes(server)

    def test_headers_beyond_the_limit_are_told_so(self, serve: Serve) -> None:
        with Client(serve()) as client:
            client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 16384)
            assert client.answer()[0] == 431
            assert client.closed()

    def test_pipelined_garbage(self, serve: Serve) -> None:
        server = serve()
        for garbage in (
            b"\0\xff\x16\x03\x01\r\n\r\n",
            b"\r\n\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
        ):
            with Client(server) as client:
                with contextlib.suppress(OSError):
                    client.send(garbage * 2000)
                assert scrapes(server)

    def test_a_flood_of_requests_in_one_connection_is_cut_off(self, serve: Serve, site: Site) -> None:
        server = serve()
        with Client(server) as client:
            with contextlib.suppress(OSError):
                client.send(b"GET / HTTP/1.1\r\n\r\n" * 5000)
            assert client.closed()
        # Threads serve while the loop still takes the one record or buffer apart, which holds 910 of them.
        assert site.calls <= 910
        assert scrapes(server)

    def test_a_few_requests_sent_ahead_are_answered_in_order(self, serve: Serve) -> None:
        with Client(serve()) as client:
            client.send(REQUEST * AHEAD)
            assert [client.answer() for _ in range(AHEAD)] == [(200, PAGE)] * AHEAD

    def test_clients_that_never_read(self, serve: Serve) -> None:
        server = serve()
        with clients(server, 100) as deaf:
            for client in deaf:
                client.send(REQUEST * AHEAD)
            assert all(scrapes(server) for _ in range(3))

    def test_a_body_is_refused(self, serve: Serve) -> None:
        server = serve()
        with Client(server) as client:
            client.send(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n")
            assert client.answer()[0] == 413
        with Client(server) as client:
            client.send(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"
                + b"x" * 9999
            )
            assert client.answer()[0] == 413
        assert scrapes(server)

    def test_connections_that_are_reset(self, serve: Serve) -> None:
        server = serve()
        for data in (b"", b"GET /met", REQUEST, REQUEST * AHEAD):
            for _ in range(5):
                with Client(server) as client:
                    client.send(data)
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert scrapes(server)

    def test_beyond_the_limit_of_connections_newcomers_are_still_served(self, serve: Serve) -> None:
        server = serve(connections=10)
        with clients(server, 50) as idle:
            assert all(scrapes(server) for _ in range(3))
            assert idle[0].closed(), "who was idle for longest went first"


def test_with_nobody_connected_the_loop_sleeps_until_somebody_comes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a second at a time: an exporter that nobody asks does nothing."""
    rounds: list[float | None] = []
    real = wasyncore.loop
    waits = threading.Semaphore(0)

    def loop(timeout: Any = None, **settings: Any) -> None:
        rounds.append(timeout)
        waits.release()
        real(timeout=timeout, **settings)

    monkeypatch.setattr(wasyncore, "loop", loop)
    server = serve()
    assert waits.acquire(timeout=10)
    assert rounds == [None]
    with Client(server) as client:
        client.send(REQUEST)
        assert client.answer() == (200, PAGE)
        assert rounds[-1] is not None, "a kept-open connection has its time limits"
    while rounds[-1] is not None:
        assert waits.acquire(timeout=10)
    server.close()
    assert rounds[-1] is None


class FakeChannel:
    def __init__(self, last_activity: float = 0.0, *, requests: int = 0, request: object = None) -> None:
        self.last_activity = last_activity
        self.requests = [object()] * requests
        self.request = request
        self.closed = False

    def handle_close(self) -> None:
        self.closed = True


def closed(look: Callable[[list[HTTPChannel]], None], *channels: FakeChannel) -> list[bool]:
    look(list(channels))  # type: ignore[arg-type]
    return [channel.closed for channel in channels]


class TestLimits:
    def test_within_the_limit_nobody_goes(self) -> None:
        assert closed(Limits(2).crowd, FakeChannel(1), FakeChannel(2)) == [False, False]

    def test_beyond_it_the_longest_idle_go(self) -> None:
        channels = [FakeChannel(5), FakeChannel(1), FakeChannel(9), FakeChannel(1)]
        assert closed(Limits(2).crowd, *channels) == [False, True, False, True]

    def test_who_waits_for_an_answer_stays(self) -> None:
        assert closed(Limits(1).crowd, FakeChannel(1, requests=1), FakeChannel(2)) == [False, True]

    def test_a_request_has_its_time(self) -> None:
        limits, request = Limits(9), object()
        slow, idle = FakeChannel(request=request), FakeChannel()
        assert closed(lambda channels: limits.requests(channels, 100.0), slow, idle) == [False, False]
        assert closed(lambda channels: limits.requests(channels, 100.0 + REQUEST_SECONDS), slow, idle) == [
            False,
            False,
        ]
        assert closed(lambda channels: limits.requests(channels, 100.1 + REQUEST_SECONDS), slow, idle) == [
            True,
            False,
        ]

    def test_the_next_request_has_its_own_time(self) -> None:
        limits, channel = Limits(9), FakeChannel(request=object())
        closed(lambda channels: limits.requests(channels, 100.0), channel)
        channel.request = object()
        assert closed(lambda channels: limits.requests(channels, 111.0), channel) == [False]


class FakeTask:
    def __init__(self, served: list[str], name: str, then: Callable[[], None] | None = None) -> None:
        self.served, self.name, self.then = served, name, then

    def service(self) -> None:
        self.served.append(self.name)
        if self.then is not None:
            self.then()


class TestInLoop:
    def test_what_a_task_lets_in_waits_for_the_next_round(self) -> None:
        loop = InLoop()
        served: list[str] = []
        second: Any = FakeTask(served, "second")
        first: Any = FakeTask(served, "first", lambda: loop.add_task(second))
        loop.add_task(first)
        loop.run()
        assert served == ["first"]
        loop.run()
        assert served == ["first", "second"]

    def test_one_tasks_mishap_is_not_the_end_of_all(self, caplog: pytest.LogCaptureFixture) -> None:
        loop = InLoop()
        served: list[str] = []

        def fail() -> None:
            raise RuntimeError("so it goes")

        tasks: list[Task] = [FakeTask(served, "bad", fail), FakeTask(served, "good")]  # type: ignore[list-item]
        for task in tasks:
            loop.add_task(task)
        loop.run()
        assert served == ["bad", "good"]
        assert "so it goes" in caplog.text
