"""Peers that answer what no receiver should, on the loopback: in the clear, over TLS, and behind a proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

Serve = Callable[[socket.socket, threading.Event], None]
"""Answers one request; the event is set when the test is over."""


class Way(NamedTuple):
    """Where a client has to send, and by which proxy."""

    url: str
    secure: bool
    proxy: str = ""


WAYS = ("plain", "tls", "proxy", "tls-proxy")


@contextmanager
def peer(way: str, serve: Serve, files: Any) -> Iterator[Way]:
    """Gives each connection, behind TLS and a proxy's CONNECT where wanted, to ``serve``.

    A proxy for plain HTTP sees the request itself, so the peer is the proxy.
    """
    over = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if way == "tls-proxy":
                read_head(connection)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if way.startswith("tls"):
                with context.wrap_socket(connection, server_side=True) as secured:
                    serve(secured, over)
            else:
                serve(connection, over)

    with accepting(handle) as port:
        scheme = "https" if way.startswith("tls") else "http"
        # Behind a proxy the address is only ever the proxy's to look up.
        url = f"{scheme}://{'localhost' if way.endswith('proxy') else '127.0.0.1'}:{port}/v1/metrics"
        proxy = f"http://127.0.0.1:{port}" if way.endswith("proxy") else ""
        try:
            yield Way(url, way.startswith("tls"), proxy)
        finally:
            over.set()


@contextmanager
def accepting(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener that gives each connection to ``handle`` in a thread; its port."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=handle, args=(connection,)))
                    threads[-1].start()

        accepter = threading.Thread(target=accept)
        accepter.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepter.join()
    for thread in threads:
        thread.join(10)


def read_head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("hung up")
        data += piece
    return data


@contextmanager
def relay(port: int, passed: list[bytes] | None = None, greeting: bytes = b"") -> Iterator[int]:
    """A proxy that answers CONNECT and passes everything on to ``port``; its own port. ``passed``: what went there.

    ``greeting``: what it says before its answer.
    """

    def pump(source: socket.socket, target: socket.socket, kept: list[bytes] | None = None) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if kept is not None:
                    kept.append(piece)
                target.sendall(piece)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection, socket.create_connection(("127.0.0.1", port)) as inner:
            read_head(connection)
            connection.sendall(greeting + b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(inner, connection))
            back.start()
            pump(connection, inner, passed)
            back.join(10)

    with accepting(handle) as at:
        yield at


def read_request(connection: socket.socket) -> bytes:
    head, _, body = read_head(connection).partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head


def drip(connection: socket.socket, over: threading.Event, piece: bytes, seconds: float = 0.02) -> None:
    with suppress(OSError):
        while not over.wait(seconds):
            connection.sendall(piece)
