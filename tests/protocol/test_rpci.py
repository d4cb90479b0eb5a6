"""Commands and replies, against the bytes that VMware's own library was seen to send."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import RemoteProtocolError, RpcError
from exporter.protocol import datamap, rpci

REQUEST = bytes.fromhex(
    "0000003f"
    "00000001 00000001 00000001 00000000"
    "00000002 00000002 00000013 67756573746c69622e696e666f2e6765742033"
    "00000001 00000003 00000001 00000000"
)
"""The real library's request for the basic statistics (67 bytes)."""

UNKNOWN_COMMAND = bytes.fromhex(
    "0000002d 00000001 00000001 00000001 00000000 00000002 00000002 00000011 3020556e6b6e6f776e20636f6d6d616e64"
)


def test_request_is_the_real_librarys_bytes() -> None:
    assert rpci.request(b"guestlib.info.get 3", fast_close=True) == REQUEST


def test_request_is_the_real_librarys_bytes_without_fast_close() -> None:
    """Its last 16 bytes ask for the connection to be closed; ours stays open."""
    assert rpci.request(b"guestlib.info.get 3") == (len(REQUEST) - 20).to_bytes(4, "big") + REQUEST[4:-16]


def test_the_host_reads_what_the_real_library_sends() -> None:
    assert rpci.parse_request(REQUEST[4:]) == rpci.Request(b"guestlib.info.get 3", fast_close=True)


def test_the_host_reads_what_the_guest_sends() -> None:
    packet = rpci.request(b"some command")
    assert rpci.parse_request(packet[4:]) == rpci.Request(b"some command", fast_close=False)


def test_refusal_is_the_documented_packet() -> None:
    assert rpci.reply(b"Unknown command", ok=False) == UNKNOWN_COMMAND


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Unknown command", "unknown_command"),
        ("Unknown Command", "other"),
        ("disabled", "disabled"),
        ("Unsupported version", "unsupported_version"),
        ("Permission denied", "permission_denied"),
        ("", "other"),
        ("Unknown command x", "other"),
    ],
)
def test_refusals_keep_the_hosts_words(text: str, reason: str) -> None:
    with pytest.raises(RpcError) as caught:
        rpci.parse_reply(rpci.reply(text.encode(), ok=False)[4:], b"guestlib.info.get 3")
    assert (caught.value.text, caught.value.reason, caught.value.kind) == (text, reason, "not_enabled")
    assert "guestlib.info.get 3" in str(caught.value)


@pytest.mark.parametrize("rest", ["\0", "\0\0", "\0and more"])
def test_a_refusal_ends_at_its_first_nul(rest: str) -> None:
    with pytest.raises(RpcError) as caught:
        rpci.parse_reply(rpci.reply(f"Unknown command{rest}".encode(), ok=False)[4:])
    assert (caught.value.text, caught.value.reason) == ("Unknown command", "unknown_command")


@given(st.binary(max_size=100))
def test_reply_data_may_be_any_bytes(data: bytes) -> None:
    assert rpci.parse_reply(rpci.reply(data)[4:]) == data


@pytest.mark.parametrize("payload", [b"1", b"2 x", b"x", b"\0 "])
def test_another_prefix_is_malformed(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="is expected"):
        rpci.parse_reply(datamap.encode({datamap.PAYLOAD: payload}))


@pytest.mark.parametrize(
    "body",
    [
        datamap.encode({datamap.TYPE: 1}),
        datamap.encode({datamap.PAYLOAD: 5}),
        bytes.fromhex("00000004 00000002 00000001 00000001 78"),
    ],
    ids=["none", "a number", "a list"],
)
def test_a_packet_without_payload_is_malformed(body: bytes) -> None:
    for parse in (rpci.parse_reply, rpci.parse_request):
        with pytest.raises(RemoteProtocolError, match="payload"):
            parse(body)


@given(st.binary(max_size=80))
def test_any_bytes_give_data_or_one_typed_error(body: bytes) -> None:
    with contextlib.suppress(RpcError, RemoteProtocolError):
        rpci.parse_reply(body)


def test_a_refusal_is_not_as_long_as_the_host_likes() -> None:
    with pytest.raises(RpcError) as caught:
        rpci.parse_reply(rpci.reply(b"x" * 100_000, ok=False)[4:])
    assert caught.value.text == "x" * rpci.MAX_REASON
