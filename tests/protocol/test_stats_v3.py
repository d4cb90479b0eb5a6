"""The V3 reply: every statistic, every cut, and no value that the host did not send."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import BY_ID, BY_KEY, STATISTICS, Wire
from exporter.errors import RemoteProtocolError
from exporter.protocol import stats_v3

FOUR = bytes.fromhex(
    "03000000 8877665544332211 38000000 00000004"
    "00000001 00000001 00000a28"
    "00000002 00000001 ffffffff"
    "00000003 00000001 00000fa0"
    "00000004 00000001 00000011 22334455"
)
"""A reply that VMware's own library decodes to the values below."""

SESSION = 0x1122334455667788
LAST = STATISTICS[-1].id
"""What follows it is unknown."""
LONG_PATH = 37


def number(wire: Wire) -> st.SearchStrategy[int | bytes]:
    match wire:
        case Wire.U32:
            return st.integers(0, 2**32 - 1)
        case Wire.U64:
            return st.integers(0, 2**64 - 1)
        case _:
            return st.text(
                st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40
            ).map(lambda text: text.encode())


VALUES = st.fixed_dictionaries({row.id: st.tuples(st.booleans(), number(row.wire)) for row in STATISTICS})


def expected(values: dict[int, tuple[bool, int | bytes]], count: int = LAST) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for row in STATISTICS[:count]:
        valid, value = values[row.id]
        ones = [2**64 - 1] if row.wire is Wire.U64 else [2**32 - 1]
        ones += [2**32 - 1] if row.key == "memory_shares" else []
        if valid and (value not in ones or row.key in ("cpu_limit", "memory_limit")):
            if row.id == LONG_PATH and found.get(row.key):
                # The short path fits here always, and stands.
                continue
            found[row.key] = value.decode() if isinstance(value, bytes) else value
    return found


def full(**changes: tuple[bool, int | bytes]) -> dict[int, tuple[bool, int | bytes]]:
    values: dict[int, tuple[bool, int | bytes]] = {
        row.id: (True, row.id if row.wire in (Wire.U32, Wire.U64) else b"/host/user/pool%d" % row.id)
        for row in STATISTICS
    }
    return values | {int(key[1:]): value for key, value in changes.items()}


def test_documented_packet() -> None:
    snapshot = stats_v3.decode(FOUR)
    assert snapshot.session_id == SESSION
    assert snapshot.protocol == 3
    assert snapshot.values == {
        "cpu_reservation": 2600,
        "cpu_limit": 0xFFFFFFFF,
        "cpu_shares": 4000,
        "cpu_used": 0x1122334455,
    }


def test_documented_packet_is_what_we_encode() -> None:
    values = {1: (True, 2600), 2: (True, 0xFFFFFFFF), 3: (True, 4000), 4: (True, 0x1122334455)}
    assert stats_v3.encode(SESSION, values, 4) == FOUR


def test_a_path_is_padded_to_four_bytes() -> None:
    encoded = stats_v3.encode(1, {18: (True, b"/pool")}, 18)
    assert encoded.endswith(bytes.fromhex("00000012 00000001 00000005 2f706f6f6c 000000"))


@given(st.integers(1, 2**64 - 1), VALUES, st.one_of(st.integers(0, LAST), st.just(LAST)))
def test_every_statistic_at_any_length_of_the_list(
    session_id: int, values: dict[int, tuple[bool, int | bytes]], count: int
) -> None:
    snapshot = stats_v3.decode(stats_v3.encode(session_id, values, count))
    assert snapshot.session_id == session_id
    assert snapshot.values == expected(values, count)


@pytest.mark.parametrize("value", [0, 2**32 - 1, 2**63, 2**64 - 2])
@pytest.mark.parametrize("id_", [row.id for row in STATISTICS if row.wire is Wire.U64])
def test_64_bit_extremes(id_: int, value: int) -> None:
    snapshot = stats_v3.decode(stats_v3.encode(1, full(**{f"_{id_}": (True, value)})))
    widened = id_ == 38 and value == 2**32 - 1
    assert snapshot.values[BY_ID[id_].key] == (8 if widened else value)


@pytest.mark.parametrize("count", [38, 36, 13, 4])
def test_all_ones_are_no_limit_or_nothing(count: int) -> None:
    """Also where the list ends within a run of numbers."""
    ones: dict[int, tuple[bool, int | bytes]] = {
        row.id: (True, 2**32 - 1 if row.wire is Wire.U32 else 2**64 - 1)
        for row in STATISTICS
        if row.wire in (Wire.U32, Wire.U64)
    }
    limits = {"cpu_limit"} | ({"memory_limit"} if count >= 7 else set())
    assert stats_v3.decode(stats_v3.encode(1, ones, count)).values == dict.fromkeys(limits, 2**32 - 1)


def test_shares_of_64_bits_win_where_they_are_valid() -> None:
    short, long = 8, 38
    key = BY_ID[short].key
    as_value = {k: v for k, (_, v) in full().items()}
    assert stats_v3.decode(stats_v3.encode(1, full())).values[key] == as_value[long]
    absent = full(**{f"_{long}": (False, full()[long][1])})
    assert stats_v3.decode(stats_v3.encode(1, absent)).values[key] == as_value[short]
    assert stats_v3.decode(stats_v3.encode(1, full(), 36)).values[key] == as_value[short]


def test_an_unknown_statistic_ends_the_list() -> None:
    """New ids are only appended, and the length of an unknown one is unknown."""
    body = stats_v3.encode(1, full())
    grown = bytearray(body + struct.pack(">IIQ", LAST + 1, 1, 9) + b"\xca\xfe")
    struct.pack_into("<I", grown, 12, len(grown) - 16)
    struct.pack_into(">I", grown, 16, LAST + 2)
    assert stats_v3.decode(bytes(grown)) == stats_v3.decode(body)


@pytest.mark.parametrize("id_", [0, LAST + 1, LAST + 60, 2**32 - 1])
@pytest.mark.parametrize("position", range(1, LAST + 1))
def test_another_statistic_among_the_known_ones_is_malformed(position: int, id_: int) -> None:
    """As VMware's library has it, whatever stands behind; else half of the statistics were gone while all is well."""
    before = stats_v3.encode(1, full(), position - 1)
    for rest in (b"", b"\0\0\0\x01", bytes(400)):
        body = bytearray(before + struct.pack(">I", id_) + rest)
        struct.pack_into("<I", body, 12, len(body) - 16)
        struct.pack_into(">I", body, 16, LAST)
        with pytest.raises(RemoteProtocolError, match=f"statistic {id_} stands where {position}"):
            stats_v3.decode(bytes(body))


@pytest.mark.parametrize(
    ("short", "long", "shown"),
    [
        (b"/short", b"/other", b"/short"),
        (b"/short", b"/" + 511 * b"p", b"/short"),
        (b"/short", b"/" + 512 * b"p", b"/" + 512 * b"p"),
        # Of what stands behind a NUL nothing counts.
        (b"/short", b"/other\0" + 600 * b"p", b"/short"),
        (b"", b"/other", b"/other"),
        (None, b"/other", b"/other"),
        (b"/short", None, b"/short"),
    ],
)
def test_the_long_path_stands_for_one_that_does_not_fit_the_short_one(
    short: bytes | None, long: bytes | None, shown: bytes
) -> None:
    """VMware's library has no function for the long one: two sources give one value."""
    values = full(_18=(short is not None, short or b""), _37=(long is not None, long or b""))
    assert stats_v3.decode(stats_v3.encode(1, values)).values["resource_pool_path"] == shown.decode()


@pytest.mark.parametrize("long", [b"", b"\0", b"\0/pool"])
def test_an_empty_long_path_does_not_hide_the_short_one(long: bytes) -> None:
    values = full(_18=(True, b"/short"), _37=(True, long))
    assert stats_v3.decode(stats_v3.encode(1, values)).values["resource_pool_path"] == "/short"
    values[18] = (False, b"/short")
    assert stats_v3.decode(stats_v3.encode(1, values)).values["resource_pool_path"] == ""


def test_valid_is_the_low_byte_of_its_word() -> None:
    """As VMware's library keeps it (xdr_bool into a char)."""
    body = bytearray(FOUR)
    struct.pack_into(">I", body, 24, 0x100)
    assert "cpu_reservation" not in stats_v3.decode(bytes(body)).values
    struct.pack_into(">I", body, 24, 0x1FF)
    assert stats_v3.decode(bytes(body)).values["cpu_reservation"] == 2600


@pytest.mark.parametrize("cut", range(len(stats_v3.encode(9, full()))))
def test_truncation_at_every_byte_is_malformed(cut: int) -> None:
    with pytest.raises(RemoteProtocolError):
        stats_v3.decode(stats_v3.encode(9, full())[:cut])


@pytest.mark.parametrize("cut", range(4, len(stats_v3.encode(9, full())) - 16))
def test_a_body_that_ends_early_by_its_own_size_is_malformed(cut: int) -> None:
    body = bytearray(stats_v3.encode(9, full()))
    struct.pack_into("<I", body, 12, cut)
    with pytest.raises(RemoteProtocolError):
        stats_v3.decode(bytes(body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, "<I", 4), "version 4"),
        ((4, "<Q", 0), "session id 0"),
        ((12, "<I", 0), "body of 0 bytes"),
        ((12, "<I", 2**32 - 1), "body of 4294967295 bytes"),
        ((20, ">I", 2), "statistic 2 stands where 1"),
    ],
)
def test_malformed(change: tuple[int, str, int], message: str) -> None:
    body = bytearray(FOUR)
    offset, layout, value = change
    struct.pack_into(layout, body, offset, value)
    with pytest.raises(RemoteProtocolError, match=message):
        stats_v3.decode(bytes(body))


def test_a_string_over_512_bytes_is_malformed_and_an_opaque_is_not() -> None:
    with pytest.raises(RemoteProtocolError, match="513"):
        stats_v3.decode(stats_v3.encode(1, full(_18=(True, b"x" * 513))))
    long = b"/" + b"p" * 5000 + b"\0"
    assert (
        stats_v3.decode(stats_v3.encode(1, full(_37=(True, long)))).values["resource_pool_path"]
        == long[:-1].decode()
    )


def test_a_text_out_of_order_is_malformed() -> None:
    body = bytearray(stats_v3.encode(1, full(), 18))
    at = body.rindex(struct.pack(">II", 18, 1))
    struct.pack_into(">I", body, at, 19)
    with pytest.raises(RemoteProtocolError, match="19 stands where 18"):
        stats_v3.decode(bytes(body))


@pytest.mark.parametrize("raw", [b"/pool\0", b"/pool\0\0", b"/pool\0rest"])
def test_a_path_ends_at_its_first_nul(raw: bytes) -> None:
    for id_, count in ((18, 18), (37, 37)):
        snapshot = stats_v3.decode(stats_v3.encode(1, {id_: (True, raw)}, count))
        assert snapshot.values["resource_pool_path"] == "/pool"


def test_a_path_that_is_no_utf_8_is_still_text() -> None:
    for id_, count in ((18, 18), (37, 37)):
        snapshot = stats_v3.decode(stats_v3.encode(1, {id_: (True, b"/\xff")}, count))
        assert snapshot.values["resource_pool_path"] == "/�"


@given(st.binary(max_size=200))
def test_any_bytes_give_a_snapshot_or_one_error(reply: bytes) -> None:
    try:
        snapshot = stats_v3.decode(b"\x03\0\0\0" + reply)
    except RemoteProtocolError:
        return
    assert set(snapshot.values) <= set(BY_KEY)


@given(st.integers(0, 8 * len(stats_v3.encode(9, full())) - 1))
def test_a_flipped_bit_changes_one_value_or_shortens_the_list_or_is_malformed(bit: int) -> None:
    good = stats_v3.encode(9, full())
    body = bytearray(good)
    body[bit // 8] ^= 1 << bit % 8
    try:
        kept = stats_v3.decode(bytes(body)).values
    except RemoteProtocolError:
        return
    lists = [stats_v3.decode(stats_v3.encode(9, full(), count)).values for count in range(LAST + 1)]
    assert any(
        sum(kept.get(key) != values.get(key) for key in kept.keys() | values.keys()) <= 1 for values in lists
    )
