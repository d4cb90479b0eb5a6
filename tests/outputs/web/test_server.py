"""The web server under clients that mean well, and under clients that don't: a normal scrape always answers."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import resource
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Self

import pytest
from waitress import wasyncore

from exporter.errors import ConfigError
from exporter.outputs.web import connections
from exporter.outputs.web.application import WSGI, Environ, StartResponse
from exporter.outputs.web.connections import (
    AHEAD,
    CONNECTIONS,
    FEWEST,
    UNFINISHED_SECONDS,
    WITHOUT_POLL,
    Limits,
    Refusals,
    connection_limit,
)
from exporter.outputs.web.restarts import Restarts
from exporter.outputs.web.server import SILENCE_LOOK, Decide, InLoop, WebServer
from exporter.outputs.web.tls import TLSListener
from exporter.outputs.web.tls_context import context
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

    def test_who_has_to_wait_before_it_may_ask_holds_nobody_up(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The loop looks after its connections every second; a decision must not wait for that.
        real = wasyncore.loop
        monkeypatch.setattr(wasyncore, "loop", lambda **more: real(**more | {"timeout": None}))
        waiting: list[Decide] = []
        more = threading.Semaphore(0)

        def admit(headers: Mapping[str, str], address: str, decide: Decide) -> None:
            assert address == "127.0.0.1"
            if headers.get("AUTHORIZATION"):
                waiting.append(decide)
                more.release()
            else:
                decide(None)

        server = serve(admit=admit)
        with clients(server, 3) as slow:
            for client in slow:
                client.send(REQUEST.replace(b"\r\n\r\n", b"\r\nAuthorization: x\r\n\r\n"))
                assert more.acquire(timeout=10)
            assert scrapes(server)
            for decide, client in zip(waiting, slow, strict=True):
                # Let the loop go to sleep first.
                threading.Event().wait(0.1)
                decide(None)
                assert client.answer() == (200, PAGE)
        server.close()
        for decide in waiting:
            # Nobody is there any more, which a login that took long can't know.
            decide(None)

    def test_a_server_thread_that_fails_says_so(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def loop(**_: Any) -> None:
            raise ValueError("too many file descriptors in select()")

        monkeypatch.setattr(wasyncore, "loop", loop)
        failed = threading.Event()
        server = serve(failed=failed.set)
        assert failed.wait(10)
        assert "too many file descriptors" in caplog.text
        server.close()

    def test_with_heartbeats_one_that_fails_is_started_again_counted_and_logged_once(
        self,
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        mishaps: threading.Semaphore,
    ) -> None:
        """The end of the process would end the heartbeats with it."""
        monkeypatch.setattr("exporter.outputs.web.server.PAUSE", 0.01)
        failed = threading.Event()
        restarts = Restarts(wanted=True)
        server = serve(failed=failed.set, restarts=restarts)
        addresses = server.addresses
        assert scrapes(server)
        for number in (1, 2):
            with clients(server, 1) as (client,):
                client.send(REQUEST)
                assert client.answer() == (200, PAGE)
                mishaps.release()
                try:
                    client.send(REQUEST)
                    answer = client.socket.recv(100)
                except OSError:
                    answer = b""
                assert answer == b"", "the connection of before is closed: neither an answer nor silence"
            assert scrapes(server)
            assert server.responds(10)
            assert restarts.families()[0].points[0].value == number
        assert server.addresses == addresses
        assert not failed.is_set()
        assert caplog.text.count("started again") == 1

    def test_its_loop_is_asked_from_inside(self, serve: Serve) -> None:
        """The exporter's health: no client's doing."""
        held, entered = threading.Event(), threading.Event()

        def wedged(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            entered.set()
            held.wait(10)
            start_response("200 OK", [])
            return [b""]

        server = serve(wedged)
        assert server.responds(10)
        with socket.create_connection(server.addresses[0], 10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert entered.wait(10)
            assert not server.responds(0.05)
            held.set()
            assert server.responds(10)

    def test_its_loop_turns_though_nobody_gets_in(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Strangers may take every file that there is: whoever asked at the door would be let wait with them."""

        def accept(_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(wasyncore.dispatcher, "accept", accept)
        server = serve()
        with clients(server, 10, silent=True):
            assert server.responds(10)

    def test_a_server_that_is_closed_has_not_failed(self, serve: Serve) -> None:
        failed = threading.Event()
        serve(failed=failed.set).close()
        assert not failed.is_set()

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400),
            (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
            (b"GET / HTTP/1.0\r\n\r\n", 200),
        ],
    )
    def test_host_stands_there_once(self, serve: Serve, request_: bytes, status: int) -> None:
        """RFC 9112 section 3.2."""
        with Client(serve()) as client:
            client.send(request_)
            assert client.answer()[0] == status


@pytest.mark.usefixtures("silence")
class TestRefusals:
    """Those that no test of TLS is about."""

    def test_tls_on_a_plain_port_is_told_at_once_what_this_port_speaks(self, serve: Serve) -> None:
        server = serve()
        with (
            socket.create_connection(server.addresses[0], timeout=10) as plain,
            pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"),
        ):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain, server_hostname="localhost")
        with socket.create_connection(server.addresses[0], timeout=10) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert b"plain HTTP" in answer
        assert refused(server)["protocol"] == 2

    def test_a_mere_connect_and_close_is_neither_counted_nor_logged(
        self, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server = serve()
        with clients(server, 5, silent=True):
            pass
        assert scrapes(server)
        assert set(refused(server).values()) == {0.0}
        assert caplog.records == []

    def test_who_gives_way_to_a_newcomer_is_counted(
        self, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server = serve(connections=2)
        with clients(server, 3) as idle:
            assert idle[0].closed()
        assert refused(server)["limit"] == 1
        (record,) = [one for one in caplog.records if one.getMessage() == "connection refused"]
        assert record.reason == "limit"  # type: ignore[attr-defined]
        assert re.fullmatch(r"127\.0\.0\.1:\d+", record.client)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (("192.0.2.1", 7), "192.0.2.1:7"),
        (("::ffff:192.0.2.1", 7, 0, 0), "192.0.2.1:7"),
        (("2001:db8::1", 7, 0, 0), "[2001:db8::1]:7"),
    ],
)
def test_a_refused_client_is_named_as_people_write_it(
    address: tuple[Any, ...], shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    Refusals().count("limit", address, "for a test")
    assert caplog.records[0].client == shown  # type: ignore[attr-defined]


def refused(server: WebServer) -> dict[str, float]:
    (family,) = server.refusals.families()
    return {point.labels[0][1]: point.value for point in family.points}


@pytest.mark.usefixtures("silence")
class TestHostileClients:
    @pytest.fixture(params=["plain", "TLS"])
    def settings(self, request: pytest.FixtureRequest, certificate: TLSSettings) -> dict[str, Any]:
        found: dict[str, Any] = {"listen": [("127.0.0.1", 0)]}
        if request.param == "TLS":
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
            for seconds in (2, 2, UNFINISHED_SECONDS):
                assert scrapes(server)
                slow.send(b"still here")
                now[0] += seconds
            assert scrapes(server)
            assert slow.closed()
            assert scrapes(server)

    @pytest.mark.parametrize("before", [b"", REQUEST])
    def test_empty_lines_without_a_request_are_cut_off(self, serve: Serve, before: bytes) -> None:
        now = [0.0]
        server = serve(clock=lambda: now[0])
        with Client(server) as client:
            if before:
                client.send(before)
                assert client.answer() == (200, PAGE)
                now[0] += 60.0
            for seconds in (2, 2, UNFINISHED_SECONDS):
                client.send(b"\r\n\r\n")
                assert scrapes(server)
                now[0] += seconds
            assert scrapes(server)
            assert client.closed()
            assert refused(server)["timeout"] == 1

    def test_an_empty_line_before_a_request_is_no_offence(self, serve: Serve) -> None:
        now = [0.0]
        server = serve(clock=lambda: now[0])
        with Client(server) as client:
            client.send(b"\r\n")
            assert scrapes(server)
            for _ in range(3):
                client.send(b"\r\n" + REQUEST)
                assert client.answer() == (200, PAGE)
                now[0] += 60.0
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
    """Not a second at a time: an exporter that nobody asks does nothing; and a connection that is kept open is looked after twice a minute."""
    rounds: list[float | None] = []
    real = wasyncore.loop
    waits = threading.Semaphore(0)

    def loop(timeout: Any = None, **settings: Any) -> None:
        rounds.append(timeout)
        waits.release()
        real(timeout=timeout, **settings)

    def until(pause: float) -> None:
        while rounds[-1] != pause:
            assert waits.acquire(timeout=10)

    monkeypatch.setattr(wasyncore, "loop", loop)
    server = serve()
    assert waits.acquire(timeout=10)
    assert rounds == [None]
    with Client(server) as client:
        client.send(REQUEST)
        assert client.answer() == (200, PAGE)
        until(SILENCE_LOOK)  # a connection that is kept open has a time limit of minutes
        client.send(REQUEST[:10])
        until(1.0)  # a request that has begun, of seconds
        client.send(REQUEST[10:])
        assert client.answer() == (200, PAGE)
        until(SILENCE_LOOK)
    while rounds[-1] is not None:
        assert waits.acquire(timeout=10)
    server.close()
    assert rounds[-1] is None


class FakeChannel:
    def __init__(self, last_activity: float = 0.0, *, requests: int = 0, unfinished: object = None) -> None:
        self.last_activity = last_activity
        self.requests = [object()] * requests
        self.unfinished = unfinished
        self.refused = ""

    def refuse(self, reason: str, why: str) -> None:
        self.refused = reason


def refusals(look: Callable[..., Any], *channels: FakeChannel, **more: Any) -> list[str]:
    look(list(channels), **more)
    return [channel.refused for channel in channels]


class TestLimits:
    def test_within_the_limit_nobody_goes(self) -> None:
        assert refusals(Limits(2).crowd, FakeChannel(1), FakeChannel(2)) == ["", ""]

    def test_beyond_it_the_longest_idle_go(self) -> None:
        channels = [FakeChannel(5), FakeChannel(1), FakeChannel(9), FakeChannel(1)]
        assert refusals(Limits(2).crowd, *channels) == ["", "limit", "", "limit"]

    def test_who_waits_for_an_answer_stays(self) -> None:
        assert refusals(Limits(1).crowd, FakeChannel(1, requests=1), FakeChannel(2)) == ["", "limit"]

    def test_a_limit_that_was_too_high_is_lowered_for_good(self) -> None:
        limits, channels = Limits(99), [FakeChannel(number) for number in range(8)]
        refusals(limits.lower, *channels)
        assert refusals(limits.crowd, *channels) == ["limit", *[""] * 7]
        refusals(limits.lower, *channels[:2])
        assert refusals(limits.crowd, *channels[2:]) == ["limit"] * 2 + [""] * FEWEST

    def test_what_has_begun_has_its_time(self) -> None:
        limits = Limits(9)
        slow, idle = FakeChannel(unfinished=object()), FakeChannel()
        for now, expected in (
            (100.0, ""),
            (100.0 + UNFINISHED_SECONDS, ""),
            (100.1 + UNFINISHED_SECONDS, "timeout"),
        ):
            assert refusals(limits.unfinished, slow, idle, now=now) == [expected, ""]

    def test_the_next_request_has_its_own_time(self) -> None:
        limits, channel = Limits(9), FakeChannel(unfinished=object())
        refusals(limits.unfinished, channel, now=100.0)
        channel.unfinished = object()
        assert refusals(limits.unfinished, channel, now=111.0) == [""]


class TestConnectionLimit:
    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            (40, 20),
            (1024, CONNECTIONS),
            (10**6, CONNECTIONS),
            (1, FEWEST),
            (resource.RLIM_INFINITY, CONNECTIONS),
        ],
    )
    def test_it_follows_the_limit_of_open_files(
        self, monkeypatch: pytest.MonkeyPatch, files: int, expected: int
    ) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
        assert connection_limit() == expected

    def test_without_poll_it_stays_below_what_select_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(select, "poll")
        assert connection_limit() == WITHOUT_POLL < 512

    def test_without_poll_more_connections_than_select_takes_are_no_end_of_the_server(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on Windows, whose select ends at 512; here in small, as Linux's takes no descriptor above 1023, and this process has many."""
        limit, end = 100, 100 + 512 - WITHOUT_POLL
        monkeypatch.setattr(connections, "WITHOUT_POLL", limit)
        monkeypatch.delattr(select, "poll")
        real, most = select.select, [0]

        def as_on_windows(read: list[int], write: list[int], error: list[int], timeout: float | None) -> Any:
            most[0] = max(most[0], len({*read, *write, *error}))
            if most[0] > end:
                raise ValueError("too many file descriptors in select()")
            return real(read, write, error, timeout)

        monkeypatch.setattr(select, "select", as_on_windows)
        server = serve()
        with clients(server, limit + 10, silent=True):
            assert all(scrapes(server) for _ in range(3))
        assert most[0] > limit

    def test_with_no_more_open_files_and_nobody_to_close_it_looks_once_a_second(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever waits to be accepted would otherwise keep the loop spinning."""
        attempts: list[int] = []

        def accept(_: object) -> None:
            attempts.append(len(rounds))
            raise OSError(errno.EMFILE, "Too many open files")

        rounds: list[float | None] = []
        real = wasyncore.loop

        def loop(timeout: float | None = None, **more: Any) -> None:
            rounds.append(timeout)
            real(timeout=0.01 if timeout else timeout, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(wasyncore.dispatcher, "accept", accept)
        monkeypatch.setattr(wasyncore, "loop", loop)
        server = serve(clock=lambda: 5.0)
        with Client(server, silent=True):
            while not attempts or len(rounds) < attempts[0] + 20:
                threading.Event().wait(0.01)
            # The clock stands still: at the first look, and after that no second is over.
            assert len(attempts) <= 2
            assert set(rounds[2:]) == {1.0}

    def test_with_no_more_open_files_newcomers_are_served_and_it_is_said_once(self) -> None:
        """In a process of its own, with ``ulimit -n 40`` and a limit of connections that does not know of it."""
        program = """
import resource, socket, sys, logging
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from exporter.outputs.web.restarts import Restarts
from exporter.outputs.web.server import WebServer
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"page\\n"]
server = WebServer(application, [("127.0.0.1", 0)], connections=500)
server.start()
print(server.addresses[0][1], flush=True)
sys.stdin.read()
server.close()
print("closed", flush=True)
"""
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with contextlib.ExitStack() as stack:
                idle = [
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                    for _ in range(60)
                ]
                for _ in range(5):
                    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
                        sock.sendall(REQUEST)
                        assert sock.recv(12) == b"HTTP/1.1 200"
                assert idle
            out, _ = process.communicate("", timeout=20)
        assert out.count("no more open files") == out.count("\n") - 1 == 1
        assert out.endswith("closed\n")


class FakeTask:
    """A channel that was asked something."""

    def __init__(self, served: list[str], name: str, then: Callable[[], None] | None = None) -> None:
        self.served, self.name, self.then = served, name, then
        self.requests = [SimpleNamespace(error=None, headers={})]
        self.addr = ("127.0.0.1", 1)
        self.barred = self.refusal = None

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

        for task in (FakeTask(served, "bad", fail), FakeTask(served, "good")):
            loop.add_task(task)
        loop.run()
        assert served == ["bad", "good"]
        assert "so it goes" in caplog.text
