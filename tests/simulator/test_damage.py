"""What faults do to bytes, seen by the native decoder."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import CURRENT_LIST, STATISTICS
from exporter.errors import RemoteProtocolError
from exporter.protocol import packet, rpci, stats_v3
from exporter.protocol.packet import PacketDecoder
from exporter.simulator import damage
from exporter.simulator.faults import KINDS, Stage
from exporter.simulator.host import SimulatedHost

HOST = SimulatedHost(clock=lambda: 0.0)
REPLY = HOST.info(3)
HARMLESS = {"growing-path", "future-list"}


def spoiled(kind: str, fired: int = 1, count: int = CURRENT_LIST) -> bytes:
    return damage.statistics(
        kind, REPLY, fired=fired, session_id=HOST.session_id, values=HOST.values(), count=count
    )


@pytest.mark.parametrize(
    "kind", [name for name, row in KINDS.items() if row.stage is Stage.STATISTICS and name not in HARMLESS]
)
def test_a_spoiled_reply_is_one_error_on_guestrpc(kind: str) -> None:
    with pytest.raises(RemoteProtocolError):
        stats_v3.decode(spoiled(kind))


def test_a_longer_list_loses_nothing() -> None:
    known = len(STATISTICS)
    assert spoiled("future-list")[16:20] == (known + 2).to_bytes(4, "big")
    whole = stats_v3.encode(HOST.session_id, HOST.values(), known)
    assert stats_v3.decode(spoiled("future-list")) == stats_v3.decode(whole)


def test_a_growing_path_grows_up_to_what_a_string_may_have() -> None:
    lengths = [
        len(str(stats_v3.decode(spoiled("growing-path", n)).values["resource_pool_path"]))
        for n in range(1, 40)
    ]
    assert lengths[:3] == [31, 47, 63]
    assert max(lengths) == 512


def test_a_growing_path_keeps_the_length_of_the_list() -> None:
    assert spoiled("growing-path", count=30)[16:20] == (30).to_bytes(4, "big")


@pytest.mark.parametrize("kind", ["cut-list", "empty-body", "future-list"])
def test_sizes_are_right_where_the_fault_is_another_one(kind: str) -> None:
    reply = spoiled(kind)
    assert int.from_bytes(reply[12:16], "little") == len(reply) - 16


def test_a_reply_without_status_is_malformed() -> None:
    for data in (REPLY, b"1 looks good", b""):
        decoder = PacketDecoder()
        decoder.feed(damage.no_status(data))
        body = decoder.next()
        assert body is not None
        with pytest.raises(RemoteProtocolError, match="begins with"):
            rpci.parse_reply(body)


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_corruption_leaves_the_length_and_changes_something(seed: int, size: int) -> None:
    whole = rpci.reply(REPLY)
    found = damage.corrupt(whole, size, random.Random(seed))
    assert len(found) == len(whole)
    assert found[: packet.HEADER] == whole[: packet.HEADER]
    changed = sum(one != two for one, two in zip(found, whole, strict=True))
    assert changed <= size
    assert size > 1 or changed == 1


@pytest.mark.parametrize(("size", "left"), [(0, 50), (1, 1), (99, 99), (100, 99), (1000, 99)])
def test_truncation_never_leaves_all(size: int, left: int) -> None:
    assert damage.truncate(bytes(100), size) == bytes(left)
