from __future__ import annotations

from io import BytesIO

import pytest

from exporter.library import messages


def test_messages_arrive_as_they_were_written() -> None:
    file = BytesIO()
    sent: list[messages.LibraryMessage] = [
        {"ask": "read"},
        {"session": 2**64 - 1, "values": {"a": "\0\xff\u20ac"}},
    ]
    for message in sent:
        messages.write(file, message)
    file.seek(0)
    assert [messages.read(file), messages.read(file), messages.read(file)] == [*sent, None]


def test_an_end_in_the_middle_of_a_message_is_an_end() -> None:
    file = BytesIO()
    messages.write(file, {"ask": "read"})
    whole = file.getvalue()
    for length in range(4, len(whole)):
        assert messages.read(BytesIO(whole[:length])) is None


def test_a_length_beyond_the_limit_is_not_read() -> None:
    with pytest.raises(ValueError, match="at most"):
        messages.read(BytesIO(b"\xff\xff\xff\xff" + b"x" * 100))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{",
        b"\xff",
        pytest.param(b"[" * 400_000, id="lists"),
        pytest.param(b'{"a":' * 400_000, id="objects"),
    ],
)
def test_bytes_that_are_no_object_are_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        messages.read(BytesIO(len(body).to_bytes(4, "big") + body))
