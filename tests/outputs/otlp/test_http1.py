from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.outputs.otlp.http1 import MAX_BODY, Answer, MalformedAnswer, read_answer


def stream(chunks: Iterable[bytes]) -> Callable[[], bytes]:
    left = list(chunks)
    return lambda: left.pop(0) if left else b""


def read(data: bytes, size: int = 0) -> Answer:
    size = size or max(1, len(data))
    return read_answer(stream(data[at : at + size] for at in range(0, len(data), size)))


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 4\r\n\r\nbody"
CASES = [
    (OK, (200, "OK", b"body", True)),
    (b"HTTP/1.1 204 No Content\r\n\r\n", (204, "No Content", b"", True)),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, "", b"", True)),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, "OK", b"body", True)),
    (b"HTTP/1.1 503 Busy\r\ncontent-length: 1\r\nConnection: Close\r\n\r\nx", (503, "Busy", b"x", False)),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", (200, "OK", b"x", False)),
    (b"HTTP/1.1 200 OK\r\n\r\nto the end", (200, "OK", b"to the end", False)),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nWiki\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
        (200, "OK", b"Wiki0123456789", True),
    ),
]


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_answers_whole_and_byte_by_byte(data: bytes, expected: tuple[int, str, bytes, bool]) -> None:
    for size in (0, 1, 3):
        answer = read(data, size)
        assert (answer.status, answer.reason, answer.body, answer.reusable) == expected


def test_names_of_headers_are_in_lower_case_and_nonsense_among_them_is_skipped() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nRetry-After:  7 \r\nnonsense\r\nContent-Length: 0\r\n\r\n").headers == {
        "retry-after": "7",
        "content-length": "0",
    }


def test_a_connection_with_bytes_behind_the_answer_is_not_used_again() -> None:
    assert not read(OK + b"HTTP/1.1 200 OK").reusable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        OK[:40],
        OK[:-1],
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWikipedia\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_answer_ends_the_connection(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read(data)


@pytest.mark.parametrize(
    "head",
    [b"", b"Content-Length: 999999999999\r\n", b"Transfer-Encoding: chunked\r\n"],
)
def test_an_endless_body_is_cut_off(head: bytes) -> None:
    piece = b"80\r\n" + b"x" * 128 + b"\r\n" if b"chunked" in head else b"x" * 128
    pieces = 0

    def receive() -> bytes:
        nonlocal pieces
        pieces += 1
        return b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" if pieces == 1 else piece

    answer = read_answer(receive)
    assert len(answer.body) <= MAX_BODY
    assert pieces < MAX_BODY / 128 + 5
    assert not answer.reusable


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", OK]))
def test_any_bytes_are_an_answer_or_malformed(data: bytes, before: bytes) -> None:
    with contextlib.suppress(MalformedAnswer):
        assert isinstance(read(before + data, 7), Answer)
