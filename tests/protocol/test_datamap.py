"""DataMap fields: what one side writes the other reads, and any other bytes are one error."""

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import LocalProtocolError, RemoteProtocolError
from exporter.protocol import datamap

INT64 = st.integers(-(2**63), 2**63 - 1)
STRING = st.binary(min_size=1, max_size=30)
FIELDS = st.dictionaries(st.integers(0, 2**32 - 1), st.one_of(INT64, STRING), max_size=4)


@given(FIELDS)
def test_round_trip(fields: Mapping[int, int | bytes]) -> None:
    assert datamap.decode(datamap.encode(fields)) == fields


@pytest.mark.parametrize("kind", [3, 4])
def test_an_empty_list_is_a_list(kind: int) -> None:
    assert datamap.decode(bytes.fromhex(f"0000000{kind} 00000001 00000000")) == {1: []}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (1, "00000001 00000001 00000001 00000000"),
        (-1, "00000001 00000001 ffffffff ffffffff"),
        (2**32, "00000001 00000001 00000000 00000001"),
        (b"ab", "00000002 00000001 00000002 6162"),
    ],
)
def test_bytes_of_each_type(value: int | bytes, encoded: str) -> None:
    """An int64 has its low word first, each word big-endian."""
    assert datamap.encode({1: value}) == bytes.fromhex(encoded)
    assert datamap.decode(bytes.fromhex(encoded)) == {1: value}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ([1, -2], "00000003 00000001 00000002 00000001 00000000 fffffffe ffffffff"),
        ([b"a", b"bc"], "00000004 00000001 00000002 00000001 61 00000002 6263"),
    ],
)
def test_lists_of_a_host_are_read(value: datamap.Field, encoded: str) -> None:
    assert datamap.decode(bytes.fromhex(encoded)) == {1: value}


@pytest.mark.parametrize(
    "body",
    [
        "00000005 00000001 00000000",
        "00000000 00000001 00000000",
        "00000001 00000001 00000001",
        "00000002 00000001 00000000",
        "00000002 00000001 ffffffff 61",
        "00000002 00000001 00000003 6162",
        "00000003 00000001 ffffffff 00000001 00000000",
        "00000004 00000001 7fffffff 00000001 61",
        "00000001 00000001 00000001 00000000 00000001 00000001 00000001 00000000",
        "00000001",
    ],
)
def test_malformed(body: str) -> None:
    with pytest.raises(RemoteProtocolError):
        datamap.decode(bytes.fromhex(body))


@pytest.mark.parametrize("value", [b"", 2**63, -(2**63) - 1])
def test_what_cannot_be_said_is_our_mistake(value: int | bytes) -> None:
    with pytest.raises(LocalProtocolError):
        datamap.encode({1: value})


@given(st.binary(max_size=80))
def test_any_bytes_give_fields_or_one_error(body: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        datamap.decode(body)


def test_what_has_too_many_parts_is_not_taken_apart() -> None:
    """A mebibyte of them would keep the polling thread for a tenth of a second."""
    numbers = dict.fromkeys(range(datamap.MAX_FIELDS), 1)
    assert len(datamap.decode(datamap.encode(numbers))) == datamap.MAX_FIELDS
    with pytest.raises(RemoteProtocolError, match="more than 1024 fields"):
        datamap.decode(datamap.encode({**numbers, datamap.MAX_FIELDS: 1}))
    for kind, item in ((3, bytes(8)), (4, b"\0\0\0\x01a")):
        head = kind.to_bytes(4, "big") + bytes(4)
        assert len(datamap.decode(head + (1024).to_bytes(4, "big") + item * 1024)) == 1
        with pytest.raises(RemoteProtocolError, match="a list of 1025 entries"):
            datamap.decode(head + (1025).to_bytes(4, "big") + item * 1025)
