from __future__ import annotations

import gzip
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData

from exporter.catalogue import UP
from exporter.clock import Instant
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp import http_client
from exporter.outputs.otlp.client import MAX_ANSWER, ExportResult, Outcome
from exporter.outputs.otlp.http_client import HttpClient, cause
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Batch
from exporter.outputs.otlp.settings import PushSettings, Temporality
from tests.outputs.otlp.hostile import WAYS, Serve, accepting, drip, peer, read_head, read_request, relay
from tests.outputs.otlp.receivers import HttpReceiver, Reply, values


def data(value: float = 1.0) -> MetricsData:
    batch = Batch(Instant(1000.0, 0.0), (Family(UP, (Point(value),)),))
    return Converter(Temporality.CUMULATIVE, {}).convert(batch)


def settings(url: str, **more: Any) -> PushSettings:
    return replace(PushSettings(f"{url}/v1/metrics", timeout=5.0), **more)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def export(
    way: str, serve: Serve, files: Any, monkeypatch: pytest.MonkeyPatch, timeout: float = 10.0
) -> ExportResult:
    with peer(way, serve, files) as at:
        if at.proxy:
            monkeypatch.setenv("https_proxy" if at.secure else "http_proxy", at.proxy)
        client = HttpClient(PushSettings(at.url, secure=at.secure, timeout=timeout, ca=files.ca))
        result = client.export(data())
        client.close()
    return result


def answer(*pieces: bytes) -> Serve:
    """Sends them and closes."""

    def serve(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)

    return serve


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
INTERIM = b"".join(
    (
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nX: y\r\n\r\n",
        b"HTTP/1.1 199\r\n\r\n",
    )
)
"""RFC 9110, 15.2: any number of them may come before the final answer, asked for or not."""


def test_an_export_arrives_with_its_headers_and_the_connection_is_kept() -> None:
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url, headers={"authorization": "Basic x"}, gzip=True))
        assert client.export(data(3.0)) == ExportResult(Outcome.SUCCESS)
        assert client.export(data(4.0)) == ExportResult(Outcome.SUCCESS)
        client.close()
    assert receiver.connections == 1
    received = receiver.received[0]
    assert received.path == "/v1/metrics"
    assert received.headers["authorization"] == "Basic x"
    assert received.headers["content-type"] == "application/x-protobuf"
    assert received.headers["content-encoding"] == "gzip"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["user-agent"].startswith("vmguest-exporter/")
    assert values([each.request for each in receiver.received], "vmguest.up") == [3.0, 4.0]


def test_a_host_header_of_ones_own_is_the_only_one() -> None:
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url, headers={"host": "behind.example"}))
        client.export(data())
        client.close()
        assert receiver.received[0].headers["host"] == "behind.example"


def test_a_connection_that_the_receiver_closed_meanwhile_is_not_tried() -> None:
    """Sent into it, the export might be there or not, and would have to be sent again."""
    closed = threading.Semaphore(0)

    def handle(connection: socket.socket) -> None:
        with connection:
            read_request(connection)
            connection.sendall(OK + b"Content-Length: 0\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
        closed.release()

    with accepting(handle) as port:
        client = HttpClient(settings(f"http://127.0.0.1:{port}"))
        for _ in range(3):
            assert client.export(data()) == ExportResult(Outcome.SUCCESS)
            assert closed.acquire(timeout=10)
        client.close()


def test_a_redirect_is_not_followed_and_is_no_success() -> None:
    moved = Reply(302, {"Location": "http://elsewhere.invalid/"})
    with HttpReceiver(moved).running() as receiver:
        client = HttpClient(settings(receiver.url))
        result = client.export(data())
        client.close()
    assert (result.outcome, result.code) == (Outcome.FAILED, "302")
    assert "elsewhere.invalid" in result.reason


def test_one_export_is_one_try_and_says_when_to_come_again() -> None:
    """Trying again is the push's business alone: two that retry would multiply."""
    with HttpReceiver(Reply(429, {"Retry-After": "60"})).running() as receiver:
        client = HttpClient(settings(receiver.url))
        result = client.export(data())
        client.close()
        assert len(receiver.received) == 1
    assert (result.outcome, result.code, result.retry_after) == (Outcome.FAILED, "429", 60.0)


@pytest.mark.parametrize("name", ["127.0.0.1", "does-not-exist.invalid", "a..b"])
def test_nobody_there_is_a_failure_with_its_cause(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = HttpClient(settings(f"http://{name}:{port}"))
    result = client.export(data())
    client.close()
    assert result.outcome is Outcome.FAILED
    if name == "127.0.0.1":
        assert (result.code, result.reason) == ("ConnectionError", "Connection refused")
    assert "object at" not in result.reason


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((OK + b"Content-Length: 0\r\n\r\n",), ""),
        ((OK + b"\r\n",), ""),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",), ""),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"), ""),
        ((INTERIM, OK + b"Content-Length: 0\r\n\r\n"), ""),
        ((OK + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",), ""),
        ((b"HTTP/1.1 101 Switching Protocols\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"), "101"),
        ((b"HTTP/1.0 503 Busy\r\n\r\nbusy",), "503"),
    ],
    ids=["length", "end", "chunked", "continue", "interim", "empty-gzip", "switching", "http1.0"],
)
def test_a_whole_answer_is_one_by_every_way(
    way: str, pieces: tuple[bytes, ...], code: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = export(way, answer(*pieces), files, monkeypatch)
    expected = {"": Outcome.SUCCESS, "101": Outcome.REJECTED, "503": Outcome.FAILED}[code]
    assert (result.code, result.outcome) == (code, expected)


def test_a_proxy_may_answer_for_the_time_being_before_it_connects(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpReceiver().running() as receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        receiver_port = receiver.port
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        with relay(receiver_port, greeting=INTERIM) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            url = f"https://localhost:{receiver_port}"
            client = HttpClient(settings(url, secure=True, ca=files.ca))
            result = client.export(data())
            client.close()
    assert result == ExportResult(Outcome.SUCCESS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200",),
        (b"HTTP/1.1 200 OK\r\n",),
        (OK,),
        (OK + b"Content-Len",),
        (OK + b"Content-Length: 5\r\n\r\nx",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nx",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",),
        (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"x" * 1000)[:-9]),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n",),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n",),
        (b"HTTP/1.1 103 Early Hints\r\nX: ", b"x" * 70_000, b"\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"),
        (b"220 mail ESMTP\r\n\r\n",),
    ],
)  # fmt: skip
def test_a_cut_answer_is_a_failure(
    way: str, pieces: tuple[bytes, ...], files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http.client takes the end of the stream for the end of the headers: status 200, and nothing is wrong."""
    assert export(way, answer(*pieces), files, monkeypatch).outcome is Outcome.FAILED


def endless(*first: bytes, again: bytes) -> Serve:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        for piece in first:
            connection.sendall(piece)
        while not over.is_set():
            connection.sendall(again)

    return serve


MIB = b"x" * 2**20
BOMB = gzip.compress(bytes(200 * 2**20))
"""200 MiB in 200 kB."""
ENDLESS: dict[str, Callable[[], Serve]] = {
    "body": lambda: endless(OK + b"\r\n", again=MIB),
    "length": lambda: endless(OK + b"Content-Length: 99999999999\r\n\r\n", again=MIB),
    "chunks": lambda: endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", again=b"100000\r\n" + MIB + b"\r\n"
    ),
    "chunk-size": lambda: endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", again=MIB),
    "chunk-below-0": lambda: endless(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", again=MIB),
    "chunk-of-64-bits": lambda: endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", again=MIB
    ),
    "small-chunks": lambda: endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", again=b"1\r\nx\r\n" * 1000),
    "length-below-0": lambda: endless(OK + b"Content-Length: -1\r\n\r\n", again=MIB),
    "length-of-64-bits": lambda: endless(OK + b"Content-Length: 18446744073709551615\r\n\r\n", again=MIB),
    "continue": lambda: endless(again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "trailers": lambda: endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", again=b"X: y\r\n" * 1000),
    "header": lambda: endless(OK + b"X: ", again=MIB),
    "status": lambda: endless(b"HTTP/1.1 200 ", again=MIB),
    "error": lambda: endless(b"HTTP/1.1 500 Oh\r\n\r\n", again=MIB),
    "bomb": lambda: answer(OK + b"Content-Encoding: gzip\r\n\r\n", BOMB),
    "bomb-in-bomb": lambda: answer(OK + b"Content-Encoding: gzip, gzip\r\n\r\n", gzip.compress(BOMB)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ENDLESS)
def test_no_answer_is_read_without_end(
    way: str, what: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = export(way, ENDLESS[what](), files, monkeypatch, timeout=60.0)
    assert result.code != "timeout"
    assert result.outcome is (Outcome.REJECTED if what == "error" else Outcome.FAILED)
    # kB; the peer's own mebibytes included.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("way", WAYS)
def test_a_head_counts_as_part_of_the_answer(way: str, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client takes a hundred lines of 64 KiB."""
    head = (b"X: " + b"x" * 60_000 + b"\r\n") * 90
    result = export(way, answer(OK + head + b"Content-Length: 0\r\n\r\n"), files, monkeypatch)
    assert (result.outcome, result.reason) == (Outcome.FAILED, "the answer is larger than 256 KiB")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_an_answer_that_is_compressed_although_nobody_asked_is_read(encoding: str) -> None:
    told = ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=2, error_message="old")
    ).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": encoding}
    with HttpReceiver(Reply(200, headers, gzip.compress(told))).running() as receiver:
        client = HttpClient(settings(receiver.url))
        assert client.export(data()) == ExportResult(Outcome.PARTIAL, "partial", "old", refused_points=2)
        client.close()


@pytest.mark.parametrize(
    ("encoding", "body", "told"),
    [
        ("gzip", gzip.compress(b"too busy"), ": too busy"),
        ("gzip", gzip.compress(b"too busy")[:-9], ": too busy"),
        ("gzip", gzip.compress(b"x" * 2**24), ": " + "x" * 200),
        ("gzip", b"too busy", ""),
        ("br", b"\x0b\x02\x80", ""),
        ("identity", b"too busy", ": too busy"),
    ],
    ids=["gzip", "cut", "bomb", "no-gzip", "unknown", "identity"],
)
def test_the_words_of_a_compressed_error_are_read(encoding: str, body: bytes, told: str) -> None:
    headers = {"Content-Type": "text/plain", "Content-Encoding": encoding}
    with HttpReceiver(Reply(503, headers, body)).running() as receiver:
        client = HttpClient(settings(receiver.url))
        result = client.export(data())
        client.close()
    assert (result.code, result.reason) == ("503", f"HTTP 503 Service Unavailable{told}")


def test_an_answer_that_is_not_compressed_as_it_says_is_a_failure_with_a_name() -> None:
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    with HttpReceiver(Reply(200, headers, b"no gzip")).running() as receiver:
        client = HttpClient(settings(receiver.url))
        result = client.export(data())
        client.close()
    assert result == ExportResult(
        Outcome.FAILED, "CorruptAnswer", "the answer says that it is gzip, and is not"
    )


@pytest.mark.parametrize("way", ["plain", "tls"])
@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 50\r\n\r\nbusy", b"Transfer-Encoding: chunked\r\n\r\n5\r\nb", b"Transfer-Encoding: chunked\r\n\r\nno size\r\n"],
    ids=["length", "chunk", "no-chunk"],
)  # fmt: skip
@pytest.mark.parametrize(("status", "outcome"), [(400, Outcome.REJECTED), (503, Outcome.FAILED)])
def test_an_error_counts_by_its_status_although_its_words_are_cut(
    way: str, body: bytes, status: int, outcome: Outcome, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 %d No\r\nRetry-After: 9\r\n" % status
    result = export(way, answer(head + body), files, monkeypatch)
    assert (result.outcome, result.code) == (outcome, str(status))
    assert result.retry_after == (9 if status == 503 else None)


@pytest.mark.parametrize("size", [MAX_ANSWER, MAX_ANSWER + 1])
def test_the_largest_answer_that_is_read(size: int) -> None:
    told = ExportMetricsPartialSuccess(error_message="x" * (size - 8))
    body = ExportMetricsServiceResponse(partial_success=told).SerializeToString()
    assert len(body) == size
    with HttpReceiver(Reply(200, {}, body)).running() as receiver:
        client = HttpClient(settings(receiver.url))
        assert (client.export(data()).outcome is Outcome.SUCCESS) is (size == MAX_ANSWER)
        client.close()


def silent(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    over.wait(20)


def dripping(*first: bytes, piece: bytes) -> Serve:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(b"".join(first))
        drip(connection, over, piece)

    return serve


SLOW: dict[str, Serve] = {
    "silence": silent,
    "status": dripping(b"HTTP/1.1 200 ", piece=b"O"),
    "header": dripping(OK + b"X: ", piece=b"x"),
    "headers": dripping(OK, piece=b"X: y\r\n"),
    "length": dripping(OK + b"Content-Length: 9999\r\n\r\n", piece=b"x"),
    "body": dripping(OK + b"\r\n", piece=b"x"),
    "chunks": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", piece=b"1\r\nx\r\n"),
    "trailers": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", piece=b"X: y\r\n"),
    "continue": dripping(piece=b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", SLOW)
def test_the_time_limit_holds_for_the_whole(
    way: str, what: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the answer never does. Without a limit on the whole this would not end."""
    result = export(way, SLOW[what], files, monkeypatch, timeout=0.4)
    assert (result.outcome, result.code) == (Outcome.FAILED, "timeout")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ["silence", "status"])
def test_the_thread_of_an_export_that_is_late_ends_too(
    way: str, what: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the peer does: it would be in the way of the next export."""
    before = {*threading.enumerate()}
    with peer(way, SLOW[what], files) as at:
        if at.proxy:
            monkeypatch.setenv("https_proxy" if at.secure else "http_proxy", at.proxy)
        client = HttpClient(PushSettings(at.url, secure=at.secure, timeout=0.4, ca=files.ca))
        assert client.export(data()).code == "timeout"
        threads = [
            each for each in threading.enumerate() if each.name == "otlp-export" and each not in before
        ]
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        client.close()


@pytest.mark.parametrize("where", ["tunnel", "handshake"])
def test_a_proxy_or_a_handshake_that_drips_is_given_up(
    where: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection:
            if where == "tunnel":
                read_head(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
            drip(connection, over, b"X: y\r\n" if where == "tunnel" else b"\x16\x03\x03\x40\x00"[:1])

    with accepting(handle) as port:
        if where == "tunnel":
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        client = HttpClient(settings(f"https://127.0.0.1:{port}", secure=True, ca=files.ca, timeout=0.4))
        result = client.export(data())
        client.close()
        over.set()
    assert result.outcome is Outcome.FAILED


def shake_hands(outer: socket.socket, context: ssl.SSLContext) -> None:
    """The server's side of TLS within TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = context.wrap_bio(incoming, outgoing, server_side=True)
    done = False
    while not done:
        incoming.write(outer.recv(65536))
        with suppress(ssl.SSLWantReadError):
            inner.do_handshake()
            done = True
        outer.sendall(outgoing.read())


class DrippingProxy:
    """Speaks TLS and drips within the inner one, a byte in time, for ever: only who cuts the connection ends that."""

    def __init__(self, files: Any, where: str) -> None:
        self.where = where
        self.asked, self.cut, self.over = threading.Event(), threading.Event(), threading.Event()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files.cert, files.key)

    def handle(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, self.context.wrap_socket(connection, server_side=True) as outer:
            read_head(outer)
            outer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            if self.where == "answer":
                shake_hands(outer, self.context)
            outer.sendall(b"\x16\x03\x03\x40\x00" if self.where == "handshake" else b"\x17\x03\x03\x40\x00")
            self.asked.set()
            drip(outer, self.over, b"\x00")
            if not self.over.is_set():
                self.cut.set()

    @contextmanager
    def running(self) -> Iterator[int]:
        with accepting(self.handle) as port:
            try:
                yield port
            finally:
                self.over.set()


@pytest.mark.parametrize("where", ["handshake", "answer"])
def test_an_export_through_a_proxy_over_tls_ends_with_its_time(
    where: str, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of two exports finds the one before still waiting."""
    proxy = DrippingProxy(files, where)
    with proxy.running() as port:
        monkeypatch.setenv("https_proxy", f"https://127.0.0.1:{port}")
        client = HttpClient(settings(f"https://127.0.0.1:{port}", secure=True, ca=files.ca, timeout=0.5))
        results = [client.export(data())]
        if proxy.asked.is_set():
            assert proxy.cut.wait(20)
        results.append(client.export(data()))
        client.close()
    late = ExportResult(Outcome.FAILED, "timeout", "no whole answer within 0.5 s")
    assert results == [late, late]


def test_a_connection_that_was_made_after_its_time_is_cut_by_the_next_export(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    look_up = socket.getaddrinfo

    def hang(_: Any, *rest: Any, **more: Any) -> Any:
        hold.wait(20)
        return look_up("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    proxy = DrippingProxy(files, "answer")
    with proxy.running() as port:
        monkeypatch.setenv("https_proxy", f"https://localhost:{port}")
        client = HttpClient(settings(f"https://localhost:{port}", secure=True, ca=files.ca, timeout=1.0))
        assert client.export(data()).code == "timeout"
        hold.set()
        assert proxy.asked.wait(20)
        assert not proxy.cut.is_set()
        client.export(data())
        assert proxy.cut.wait(20)
        client.close()


def test_a_name_look_up_that_hangs_leaves_one_thread_behind_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold = threading.Event()
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def hang(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        hold.wait(20)
        return look_up("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(f"http://collector.invalid:{receiver.port}", timeout=0.2))
        results = [client.export(data()) for _ in range(3)]
        assert [each.code for each in results] == ["timeout"] * 3
        assert asked == ["collector.invalid"]
        hold.set()
        while (result := client.export(data())).code == "timeout":
            pass
        assert result == ExportResult(Outcome.SUCCESS)
        client.close()


def test_closing_ends_the_wait_of_another_thread_and_closing_twice_is_fine() -> None:
    results: list[ExportResult] = []
    hold = threading.Event()
    with HttpReceiver(Reply(hold=hold)).running() as receiver:
        client = HttpClient(settings(receiver.url, timeout=60.0))
        thread = threading.Thread(target=lambda: results.append(client.export(data())))
        thread.start()
        receiver.wait_for(lambda: len(receiver.received) == 1)
        client.close()
        thread.join(20)
        assert not thread.is_alive()
        client.close()
        hold.set()
        assert client.export(data()).code == "closed"
        assert len(receiver.received) == 1
    assert [each.code for each in results] == ["closed"]


def test_nothing_but_the_proxy_is_taken_from_the_surroundings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "outvoted=yes,nonsense")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere")
    with HttpReceiver().running() as receiver:
        client = HttpClient(settings(receiver.url, headers={"authorization": "Basic mine"}))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        sent = receiver.received[0].headers
    assert "outvoted" not in sent
    assert sent["authorization"] == "Basic mine"
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize("excepted", ["", "collector.invalid"])
def test_a_proxy_is_used_where_its_variable_is_set(monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    with HttpReceiver().running() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", excepted)
        client = HttpClient(settings("http://collector.invalid:4318"))
        result = client.export(data())
        client.close()
        paths = [each.path for each in proxy.received]
    assert paths == ([] if excepted else ["http://collector.invalid:4318/v1/metrics"])
    assert result.outcome is (Outcome.FAILED if excepted else Outcome.SUCCESS)


def test_tls_with_an_authority_of_ones_own_and_a_client_certificate(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ``requests`` would rather take from the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    cert, key, ca = files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver = HttpReceiver()
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    with receiver.running():
        url = f"https://127.0.0.1:{receiver.port}"
        client = HttpClient(settings(url, secure=True, ca=ca, cert=cert, key=key))
        assert client.export(data()).outcome is Outcome.SUCCESS
        client.close()
        stranger = HttpClient(settings(url, secure=True, cert=cert, key=key))
        result = stranger.export(data())
        stranger.close()
    assert result.outcome is Outcome.FAILED
    assert "certificate verify failed" in result.reason
    assert len(receiver.received) == 1


@pytest.mark.parametrize("known", [True, False])
def test_without_certificates_given_those_of_the_system_are_trusted(
    known: bool, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``requests`` brings its own, which count where the system has none."""
    monkeypatch.setattr(http_client, "system_certificates", lambda: files.ca if known else None)
    result = export_without(files)
    if known:
        assert result == ExportResult(Outcome.SUCCESS)
    else:
        assert "certificate verify failed" in result.reason


def export_without(files: Any) -> ExportResult:
    """Over TLS, with no certificates given."""
    with peer("tls", answer(OK + b"Content-Length: 0\r\n\r\n"), files) as at:
        client = HttpClient(PushSettings(at.url, secure=True, timeout=20.0))
        result = client.export(data())
        client.close()
    return result


def test_the_cause_is_what_lies_at_the_bottom() -> None:
    error = RuntimeError("HTTPConnectionPool(host='c'): <object at 0x7f>")
    error.__cause__ = TimeoutError("timed out")
    assert cause(error) == "timed out"
    assert cause(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert cause(ValueError()) == "ValueError"
    assert cause(ValueError("x" * 300)) == "x" * 200
