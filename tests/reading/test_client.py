"""An exporter as a place to read, over a socket and over HTTP: answers, and what is said without one."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from exporter.errors import ConfigError
from exporter.metrics.published import Published
from exporter.outputs.api import FORMAT, KEYS, document
from exporter.outputs.prometheus import TEXT
from exporter.reading.base import NoAnswer
from exporter.reading.client import ExporterClient, at_socket, at_url
from exporter.snapshot import PollState


class Exporter(http.server.BaseHTTPRequestHandler):
    """Answers what a test laid into ``answers``; remembers what it was sent."""

    answers: ClassVar[dict[str, tuple[int, bytes]]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.answers.get(self.path, (404, b""))
        # As something in between may: RFC 9110, 15.2.
        self.send_response_only(103)
        self.end_headers()
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def exporter(tls: ssl.SSLContext | None = None, /, **answers: tuple[int, bytes]) -> Iterator[str]:
    Exporter.answers = {f"/{path.replace('__', '/')}": answer for path, answer in answers.items()}
    Exporter.asked = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Exporter)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if tls is not None else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def of(url: str) -> ExporterClient:
    return at_url(url, None, None, None)


EMPTY = document(Published(lambda: PollState(5.0)))
"""Of an exporter that has not read anything yet."""
INSIGHT = "-__insight"


def test_it_reads_documents_and_pages(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    whole = {**EMPTY, "of_tomorrow": 1}
    with exporter(**{INSIGHT: (200, json.dumps(whole).encode()), "metrics": (200, b"page")}) as url:
        client = at_url(f"{url}/metrics", "me", secret, None)
        assert client.document() == whole
        assert client.page(TEXT) == b"page"
        assert Exporter.asked == [("/-/insight", "Basic bWU6czNjcmV0"), ("/metrics", "Basic bWU6czNjcmV0")]


def test_a_login_that_was_given_and_refused_is_not_asked_for(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong")
    with exporter(**{INSIGHT: (401, b"")}) as url, pytest.raises(NoAnswer, match="name or password is wrong"):
        at_url(url, "me", secret, None).document()


def test_a_certificate_is_checked_against_the_authority_that_is_given(tmp_path: Path) -> None:
    for name, authority in (("ours", ours := trustme.CA()), ("other", trustme.CA())):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    whole = json.dumps(EMPTY).encode()
    with exporter(context, **{INSIGHT: (200, whole)}) as url:
        assert at_url(url, None, None, tmp_path / "ours").document()["format"] == FORMAT
        with pytest.raises(NoAnswer, match=r"its certificate is not trusted .*--ca=FILE"):
            at_url(url, None, None, tmp_path / "other").document()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, b""), "give --user and --password-file"),
        ((302, b""), "answered with 302"),
        ((200, b"<html>"), "not an exporter's"),
        ((200, b"[]"), "not an exporter's"),
        ((200, json.dumps({"format": 99}).encode()), "it speaks format 99"),
        (
            (200, json.dumps({"format": FORMAT, **dict.fromkeys(KEYS - {"raw", "format"})}).encode()),
            "no raw$",
        ),
        (
            (200, json.dumps({**dict.fromkeys(KEYS), "format": FORMAT}).encode()),
            "not understood: version, time, up",
        ),
        (
            (200, json.dumps({**EMPTY, "numbers": [], "answers": {}}).encode()),
            "not understood: answers, numbers$",
        ),
    ],
)
def test_what_is_no_answer_is_said(answer: tuple[int, bytes], words: str) -> None:
    with exporter(**{INSIGHT: answer}) as url, pytest.raises(NoAnswer, match=words):
        of(url).document()


def test_silence_names_the_place_and_what_to_look_at(short_path: Path) -> None:
    with pytest.raises(NoAnswer, match=r"api.sock does not answer.*systemctl status vmguest-exporter"):
        at_socket(str(short_path / "api.sock")).document()


def test_silence_elsewhere_is_looked_at_elsewhere() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # And nobody listens.
        with pytest.raises(NoAnswer, match=r"vmguest-exporter there$"):
            of(f"http://127.0.0.1:{taken.getsockname()[1]}").document()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:10052", "expected http://HOST:PORT"),
        ("http://me:pw@x", "go into --user"),
        ("http://x:99999", "a port up to 65535"),
    ],
)
def test_urls_that_can_not_be_used(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        of(url)


def test_options_that_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="go together"):
        at_url("http://x", "me", None, None)
    with pytest.raises(ConfigError, match="--ca has no effect"):
        at_url("http://x", None, None, tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        at_url("http://x", "me", tmp_path / "none", None)
