"""What parent and child say to each other: JSON objects, each behind its length (4 bytes, big-endian).

JSON and not pickle: the child's memory belongs to VMware's library too, and what comes from there is not
trusted. Bytes travel as text, a character per byte (latin-1).
"""

from __future__ import annotations

import json
from typing import IO, Any

LIMIT = 8 * 2**20
"""Bytes of one message: an extended reply of 1 MiB takes at most six times its size as JSON."""

LibraryMessage = dict[str, Any]


def write(file: IO[bytes], message: LibraryMessage) -> None:
    """Write one message whole."""
    body = json.dumps(message).encode()
    file.write(len(body).to_bytes(4, "big") + body)
    file.flush()


def read(file: IO[bytes]) -> LibraryMessage | None:
    """The next message; None when the other side is gone, also in the middle of one.

    Raises:
        ValueError: the bytes are no message.
    """
    head = file.read(4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head, "big")
    if length > LIMIT:
        raise ValueError(f"a message of {length} bytes: {LIMIT} at most are expected")
    body = file.read(length)
    if len(body) < length:
        return None
    try:
        message = json.loads(body)
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"a message that can't be taken in: {error!r}") from error
    if not isinstance(message, dict):
        raise ValueError(f"a message that is {type(message).__name__}: an object is expected")  # noqa: TRY004
    return message
