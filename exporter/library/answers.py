"""What the expendable process answers, as values and errors; each value is checked.

The library may have damaged the memory of the process that it runs in: nothing from there is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalogue import BY_KEY, Wire
from exporter.errors import (
    ConnectionLost,
    LibraryNotFound,
    LibraryStatus,
    LocalProtocolError,
    NotVMwareError,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    VMGuestError,
)
from exporter.library.messages import LibraryMessage
from exporter.snapshot import Snapshot, Value

_ERRORS: dict[str, type[VMGuestError]] = {
    kind.__name__: kind
    for kind in (
        ConnectionLost,
        LibraryNotFound,
        LibraryStatus,
        LocalProtocolError,
        NotVMwareError,
        RefusedError,
        RemoteProtocolError,
        RpcError,
    )
}
"""What the child may answer with."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the child has loaded: the file, and the functions that it lacks."""

    library: str
    missing: tuple[str, ...]


# All of these raise AttributeError, KeyError, TypeError or ValueError for anything that is not an answer.


def error(answer: LibraryMessage) -> VMGuestError | None:
    """The error in an answer; None where it holds none."""
    if "error" not in answer:
        return None
    name, *arguments = answer["error"]
    kind = _ERRORS[name]
    numbers = [_status(arguments.pop(0))] if kind is LibraryStatus else []
    return kind(*numbers, *map(_text, arguments))


def loaded(answer: LibraryMessage) -> Loaded:
    """What the library is."""
    return Loaded(_text(answer["library"]), tuple(map(_text, answer["missing"])))


def snapshot(answer: LibraryMessage) -> Snapshot:
    """The basic statistics."""
    values: dict[str, Value] = {}
    for key, value in answer["values"].items():
        is_number = BY_KEY[key].wire in (Wire.U32, Wire.U64)
        values[key] = _unsigned(value) if is_number else _text(value)
    return Snapshot(_unsigned(answer["session"]), 0, values)


def data(answer: LibraryMessage) -> bytes:
    """The bytes of an extended reply, as the host sent them."""
    return _text(answer["data"]).encode("latin-1")


def _status(value: object) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError(f"{type(value).__name__}: a C int is expected")
    return value


def _unsigned(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise ValueError(f"{type(value).__name__}: an unsigned 64-bit number is expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__}: text is expected")
    # Raises for half a surrogate pair, which no output could write.
    value.encode()
    return value
