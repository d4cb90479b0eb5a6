"""Packets: cut right however the stream is split, and never trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import LocalProtocolError, RemoteProtocolError
from exporter.protocol import packet

BODIES = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4)


def read_all(decoder: packet.PacketDecoder) -> list[bytes]:
    bodies = []
    while (body := decoder.next()) is not None:
        bodies.append(body)
    return bodies


@given(BODIES, st.data())
def test_any_split_of_the_stream_gives_the_same_packets(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(packet.encode, bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = packet.PacketDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[start:end])
        found += read_all(decoder)
    assert found == bodies
    assert decoder.pending == 0


def test_byte_by_byte_gives_one_packet_at_its_last_byte() -> None:
    decoder = packet.PacketDecoder()
    for byte in packet.encode(b"abc")[:-1]:
        decoder.feed(bytes([byte]))
        assert decoder.next() is None
    decoder.feed(b"c")
    assert decoder.next() == b"abc"


def test_trailing_bytes_wait_for_their_packet() -> None:
    decoder = packet.PacketDecoder()
    decoder.feed(packet.encode(b"abc") + b"\0\0")
    assert decoder.next() == b"abc"
    assert decoder.next() is None
    assert decoder.pending == 2


@pytest.mark.parametrize("length", [0, packet.LIMIT + 1, 2**31, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(length: int) -> None:
    decoder = packet.PacketDecoder()
    decoder.feed(length.to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError, match=str(length)):
        decoder.next()


@pytest.mark.parametrize("body", [b"", bytes(packet.LIMIT + 1)])
def test_what_cannot_be_sent_is_our_mistake(body: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        packet.encode(body)


@given(st.binary(max_size=64))
def test_any_bytes_give_packets_or_one_error(data: bytes) -> None:
    decoder = packet.PacketDecoder(limit=32)
    decoder.feed(data)
    try:
        bodies = read_all(decoder)
    except RemoteProtocolError:
        return
    assert sum(len(body) + 4 for body in bodies) + decoder.pending == len(data)
