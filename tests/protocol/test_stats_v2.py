"""The V2 reply: 669 bytes of a fixed layout."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import BY_ID, STATISTICS, Wire
from exporter.errors import RemoteProtocolError
from exporter.protocol import stats_v2

VALUES: dict[int, tuple[bool, int | bytes]] = {
    row.id: (True, 100 + row.id if row.wire is not Wire.STRING else b"/host/user")
    for row in STATISTICS
    if row.v2
}
OFFSETS = {1: 12, 2: 20, 3: 28, 4: 36, 5: 48, 6: 56, 7: 64, 8: 72, 9: 80, 10: 88, 11: 96, 12: 104, 13: 112, 14: 120} | {
    15: 128, 16: 136, 17: 144
}  # fmt: skip
"""Where the valid byte of each statistic stands, from the reference; the value follows four bytes later."""


def test_layout() -> None:
    reply = stats_v2.encode(7, VALUES)
    assert len(reply) == 669
    assert struct.unpack_from("<IQ", reply) == (2, 7)
    for id_, offset in OFFSETS.items():
        layout = "<B3xQ" if BY_ID[id_].wire is Wire.U64 else "<B3xI"
        assert struct.unpack_from(layout, reply, offset) == (1, 100 + id_)
    assert reply[156] == 1
    assert reply[157:] == b"/host/user".ljust(512, b"\0")


def test_round_trip() -> None:
    snapshot = stats_v2.decode(stats_v2.encode(7, VALUES))
    assert (snapshot.session_id, snapshot.protocol) == (7, 2)
    assert snapshot.values == {
        BY_ID[id_].key: value.decode() if isinstance(value, bytes) else value
        for id_, (_, value) in VALUES.items()
    }


def test_what_is_not_valid_is_absent() -> None:
    snapshot = stats_v2.decode(stats_v2.encode(7, {4: (True, 2**64 - 2), 18: (False, b"x"), 5: (False, 9)}))
    assert snapshot.values == {"cpu_used": 2**64 - 2}


def test_all_ones_are_no_limit_or_nothing() -> None:
    values: dict[int, tuple[bool, int | bytes]] = {
        **dict.fromkeys((2, 3, 7, 13), (True, 2**32 - 1)),
        **dict.fromkeys((4, 17), (True, 2**64 - 1)),
    }
    assert stats_v2.decode(stats_v2.encode(7, values)).values == {
        "cpu_limit": 2**32 - 1,
        "memory_limit": 2**32 - 1,
    }


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (stats_v2.encode(7, VALUES)[:-1], "668"),
        (stats_v2.encode(7, VALUES) + b"\0", "670"),
        (b"\x03" + stats_v2.encode(7, VALUES)[1:], "version 3"),
        (stats_v2.encode(0, VALUES), "session id 0"),
        (b"", "0 bytes"),
    ],
)
def test_malformed(reply: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        stats_v2.decode(reply)


@given(st.binary(min_size=669, max_size=669))
def test_any_bytes_give_a_snapshot_or_one_error(reply: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        stats_v2.decode(b"\x02\0\0\0" + reply[4:])


@pytest.mark.parametrize("length", [510, 511, 512])
def test_a_path_has_511_bytes_at_most(length: int) -> None:
    """VMware's library overwrites the last of the 512 with a NUL."""
    reply = stats_v2.encode(1, {18: (True, b"")})
    reply = reply[:-512] + (b"p" * length).ljust(512, b"\0")
    assert stats_v2.decode(reply).values["resource_pool_path"] == "p" * min(length, 511)


def test_what_was_not_given_is_sent_as_zero_and_not_valid() -> None:
    assert stats_v2.encode(7, {})[12:] == bytes(stats_v2.SIZE - 12)


@pytest.mark.parametrize("length", [510, 511, 512, 600])
def test_a_path_is_cut_so_that_a_nul_ends_it(length: int) -> None:
    path = next(row for row in STATISTICS if row.v2 and row.wire is Wire.STRING)
    sent = stats_v2.encode(7, {path.id: (True, b"p" * length)})[157:]
    assert sent == (b"p" * min(length, 511)).ljust(512, b"\0")
