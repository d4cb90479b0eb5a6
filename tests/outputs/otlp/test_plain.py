from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.exporter.http.transport._base import BaseHTTPResult, BaseHTTPTransport

from exporter.outputs.otlp.plain import PlainTransport
from exporter.outputs.otlp.watch import Watch
from tests.outputs.otlp.receivers import HttpReceiver, Reply


def post(
    transport: PlainTransport, url: str, data: bytes = b"", timeout: float | None = 10.0, **headers: str
) -> BaseHTTPResult:
    return transport.request("POST", url, headers=headers, timeout=timeout, data=data)


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener that gives each connection to ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/metrics"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_one_connection_carries_export_after_export() -> None:
    watch = Watch()
    transport = PlainTransport(watch)
    with HttpReceiver(Reply(body=b"", headers={"X": "y"})).running() as receiver:
        url = f"{receiver.url}/v1/metrics?a=b"
        first = post(transport, url, authorization="Basic x")
        assert (first.status_code, first.reason, first.content(), first.error) == (200, "OK", b"", None)
        assert first.headers()["x"] == "y"
        assert post(transport, url, timeout=None).status_code == 200
        assert receiver.connections == 1
        assert [each.path for each in receiver.received] == ["/v1/metrics?a=b"] * 2
        sent = receiver.received[0].headers
        assert (sent["authorization"], sent["host"]) == ("Basic x", f"127.0.0.1:{receiver.port}")
        transport.close()
    assert watch.result(taken=True).outcome.value == "success"


def test_a_host_header_of_ones_own_is_the_only_one() -> None:
    with HttpReceiver().running() as receiver:
        transport = PlainTransport(Watch())
        post(transport, f"{receiver.url}/v1/metrics", Host="behind.example")
        assert receiver.received[0].headers["host"] == "behind.example"
        transport.close()


def test_a_connection_that_the_receiver_closed_meanwhile_is_not_tried() -> None:
    """Sent into it, the export might be there or not, and would have to be sent again."""
    seen = []

    def serve(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with peer(serve) as url:
        transport = PlainTransport(Watch())
        assert post(transport, url).status_code == 200
        kept = transport._connection
        assert kept is not None
        # The close is on its way; wait until it is here.
        kept.settimeout(10)
        assert kept.recv(1, socket.MSG_PEEK) == b""
        assert post(transport, url).status_code == 200
        transport.close()
    assert len(seen) == 2


def test_an_answer_that_ends_with_the_connection_ends_it_here_too() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nx")

    with peer(serve) as url:
        transport = PlainTransport(Watch())
        assert post(transport, url).content() == b"x"
        assert transport._connection is None


def test_a_closed_port_and_nonsense_are_errors_that_the_sdk_tries_again() -> None:
    watch = Watch()
    transport = PlainTransport(watch)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    result = post(transport, url)
    assert isinstance(result.error, ConnectionRefusedError)
    assert (result.status_code, result.content(), result.headers()) == (None, b"", {})
    assert transport.is_connection_error(result.error)
    assert not transport.is_connection_error(ValueError())
    assert watch.result(taken=False).reason == "Connection refused"
    with peer(lambda connection: connection.sendall(b"220 mail ESMTP\r\n\r\n")) as url:
        assert transport.is_connection_error(post(transport, url).error)


def test_the_time_limit_holds_for_the_whole_even_if_bytes_drip() -> None:
    """The SDK's own carriers wait that long for each byte."""
    clock = 0.0

    def tick() -> float:
        nonlocal clock
        clock += 1.0
        return clock

    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not done.wait(0.002):
            try:
                connection.sendall(b"X: y\r\n")
            except OSError:
                return

    with peer(drip) as url:
        result = post(PlainTransport(Watch(), tick), url, timeout=6.0)
        done.set()
    assert isinstance(result.error, TimeoutError)


def test_closing_ends_an_exchange_of_another_thread_and_closing_twice_is_fine() -> None:
    transport = PlainTransport(Watch())
    results: list[BaseHTTPResult] = []
    hold = threading.Event()
    with HttpReceiver(Reply(hold=hold)).running() as receiver:
        url = f"{receiver.url}/v1/metrics"
        thread = threading.Thread(target=lambda: results.append(post(transport, url, timeout=60.0)))
        thread.start()
        receiver.wait_for(lambda: len(receiver.received) == 1)
        transport.close()
        thread.join(20)
        assert not thread.is_alive()
        transport.close()
        hold.set()
        # For good: the SDK tries a lost connection again at once.
        assert isinstance(post(transport, url).error, ConnectionAbortedError)
        assert len(receiver.received) == 1
    assert isinstance(results[0].error, OSError)


def test_this_sdk_still_has_the_interface() -> None:
    """It is not public: a release that changes it shows here, and the client goes by ``requests`` meanwhile."""
    assert BaseHTTPTransport.__abstractmethods__ == {"request", "close", "is_connection_error"}
    assert BaseHTTPResult.__abstractmethods__ == {"content", "headers"}
