from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import STATISTICS, Wire
from exporter.masking import Masker
from exporter.protocol import stat_get, stats_v2, stats_v3
from exporter.simulator.host import SimulatedHost

VALUES: dict[int, tuple[bool, int | bytes]] = {
    row.id: (True, row.id * 1000 if row.wire in {Wire.U32, Wire.U64} else b"/host/user/pool-web")
    for row in STATISTICS
}
MAC = "00:50:56:9a:1b:01"
UUID = "56 4d 2c 53 43 56 66 8e-5f 3c 9d 1b 7a 26 4e 80"


def test_a_mac_address_keeps_its_shape_and_its_identity() -> None:
    masker = Masker()
    text = masker.text(f"{MAC} and {MAC.upper()} and 00-50-56-9A-1B-02.")
    first, _, second, _, third = text.rstrip(".").split()
    assert first == second == "02:00:00:00:00:01"
    assert third == "02-00-00-00-00-02"


@pytest.mark.parametrize("uuid", [UUID, "564d2c53-4356-668e-5f3c-9d1b7a264e80"])
def test_a_uuid_keeps_its_shape(uuid: str) -> None:
    masked = Masker().text(f"uuid.bios = {uuid}")
    assert masked.endswith("01")
    assert len(masked) == len(f"uuid.bios = {uuid}")
    assert "4d" not in masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to 192.168.1.20:4317", "to xxx.xxx.x.xx:4317"),
        ("on 127.0.0.1 and 0.0.0.0", "on 127.0.0.1 and 0.0.0.0"),
        ("at [2001:db8::1]:4318", "at [xxxx:xxx::x]:4318"),
        ("version 12.2.0-1 of 1.2.3.4.5", "version 12.2.0-1 of 1.2.3.4.5"),
        ("sd [fields]", "sd [fields]"),
    ],
)
def test_addresses_of_other_machines_are_crossed_out(text: str, masked: str) -> None:
    assert Masker().text(text) == masked


def test_names_are_crossed_out_as_whole_words() -> None:
    masker = Masker(["db-01.example.org", "db-01", "", "ab"])
    assert masker.text("host=db-01.example.org short db-01, not db-011 nor ab") == (
        "host=xx-xx.xxxxxxx.xxx short xx-xx, not db-011 nor ab"
    )


def test_a_v3_reply_loses_its_pool_and_nothing_else() -> None:
    reply = stats_v3.encode(7, VALUES)
    masked = Masker().reply("guestlib.info.get 3", reply)
    before, after = stats_v3.decode(reply), stats_v3.decode(masked)
    assert after.session_id == before.session_id
    assert after.values == {**before.values, "resource_pool_path": "/xxxx/xxxx/xxxxxxxx"}
    assert b"pool" not in masked


def test_a_v2_reply_loses_its_pool_and_nothing_else() -> None:
    reply = stats_v2.encode(7, VALUES)
    masked = Masker().reply("guestlib.info.get 2", reply)
    assert stats_v2.decode(masked).values == {
        **stats_v2.decode(reply).values,
        "resource_pool_path": "/xxxx/xxxx/xxxxxxxx",
    }


def test_a_list_out_of_order_loses_what_looks_like_a_path() -> None:
    reply = bytearray(stats_v3.encode(7, VALUES))
    reply[23] = 9
    masked = Masker().reply("guestlib.info.get 3", bytes(reply))
    assert len(masked) == len(reply)
    assert b"pool" not in masked


@pytest.mark.parametrize("encoding", stat_get.ENCODINGS)
@pytest.mark.parametrize("group", ["session", "vnet 00:50:56:9a:1b:01", "resources", ""])
def test_extended_replies_keep_their_numbers(encoding: str, group: str) -> None:
    if not group and encoding != "text":
        return
    host = SimulatedHost()
    reply = host.stat(encoding, group)
    masked = Masker().reply(f"guestlib.stat.get {encoding} {group}", reply)
    assert len(masked) == len(reply)
    assert b"56 4d" not in masked
    assert MAC.encode() not in masked
    if not group:
        assert b"vnet 02:00:00:00:00:01" in masked
        return
    before = {each.name: each.value for each in stat_get.parse(encoding, reply).values}
    after = {each.name: each.value for each in stat_get.parse(encoding, masked).values}
    before.pop("uuid.bios", None)
    after.pop("uuid.bios", None)
    assert after == before


def test_texts_that_nobody_knows_are_crossed_out_where_they_are_values() -> None:
    reply = b'<metrics session="5"><metric name="vm.name">finance</metric><metric name="x">VMware finance</metric></metrics>'
    masked = Masker().reply("guestlib.stat.get xml host", reply)
    assert masked == reply.replace(b">finance<", b">xxxxxxx<").replace(b"VMware finance", b"xxxxxx xxxxxxx")


def test_versions_stay() -> None:
    reply = b"version = VMware ESXi 8.0.3 build-24022510\n"
    assert Masker().reply("guestlib.stat.get text session", reply) == reply


def test_nonsense_in_an_extended_reply_is_masked_as_text() -> None:
    assert (
        Masker().reply("guestlib.stat.get xml x", f"<broken {MAC}".encode()) == b"<broken 02:00:00:00:00:01"
    )
    assert Masker().reply("guestlib.stat.get future x", MAC.encode()) == b"02:00:00:00:00:01"


def test_other_replies_stay() -> None:
    assert Masker().reply("GuestAppMonitor.Cmd.GetAppStatus", b"Green") == b"Green"


def test_bytes_that_nothing_is_known_of_lose_what_looks_like_a_name() -> None:
    assert (
        Masker().raw(b"\0\1/host/user/pool\0" + MAC.encode())
        == b"\0\1/xxxx/xxxx/xxxx\0" + b"02:00:00:00:00:01"
    )


@given(st.binary(max_size=200))
def test_any_bytes_keep_their_length(data: bytes) -> None:
    masker = Masker(["name"])
    for command in ("guestlib.info.get 3", "guestlib.info.get 2", "guestlib.stat.get text x", "other"):
        assert len(masker.reply(command, data)) == len(data)
    assert len(masker.raw(data)) == len(data)


@given(st.binary(max_size=120), st.integers(0, 60))
def test_any_v3_body_keeps_its_length(body: bytes, count: int) -> None:
    reply = stats_v3.encode(7, VALUES)[:16] + count.to_bytes(4, "big") + body
    assert len(Masker().reply("guestlib.info.get 3", reply)) == len(reply)
