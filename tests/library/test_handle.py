from __future__ import annotations

from typing import Any

import pytest

from exporter.catalogue import STATISTICS, Wire
from exporter.errors import (
    ConnectionLost,
    LibraryStatus,
    LocalProtocolError,
    NotVMwareError,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    VMGuestError,
)
from exporter.library import handle

SCALARS = [row for row in STATISTICS if row.symbol and row.wire is not Wire.STRING]


def test_a_poll_returns_every_statistic_and_closes_its_handle(fake: Any) -> None:
    fake.values = {str(row.symbol): 1000 + row.id for row in SCALARS}
    fake.path = b"/host/user/pool"
    snapshot = handle.read(fake.library())
    expected: dict[str, int | str] = {row.key: 1000 + row.id for row in SCALARS if not row.deprecated}
    assert snapshot.values == {**expected, "resource_pool_path": "/host/user/pool"}
    assert (snapshot.session_id, snapshot.protocol) == (5, 0)
    assert fake.open == 0


def test_every_poll_opens_a_fresh_handle(fake: Any) -> None:
    library = fake.library()
    handle.read(library)
    handle.read(library)
    assert (
        fake.calls.count("OpenHandle")
        == fake.calls.count("UpdateInfo")
        == fake.calls.count("CloseHandle")
        == 2
    )


def test_the_deprecated_getter_is_never_called(fake: Any) -> None:
    fake.values["GetHostMemKernOvhdMB"] = 0
    assert "host_memory_kernel_overhead" not in handle.read(fake.library()).values
    assert "GetHostMemKernOvhdMB" not in fake.calls


@pytest.mark.parametrize("code", [4, 10])
def test_a_statistic_that_the_host_does_not_give_is_absent(fake: Any, code: int) -> None:
    fake.values["GetCpuLimitMHz"] = 1
    fake.statuses["GetCpuLimitMHz"] = code
    assert "cpu_limit" not in handle.read(fake.library()).values


def test_a_symbol_that_the_library_lacks_is_absent(fake: Any) -> None:
    fake.values["GetMemZippedMB"] = 1
    fake.without = {"GetMemZippedMB"}
    assert "memory_zipped" not in handle.read(fake.library()).values


def test_all_ones_are_no_limit_or_nothing(fake: Any) -> None:
    fake.values = {str(row.symbol): 2**32 - 1 if row.wire is Wire.U32 else 2**64 - 1 for row in SCALARS}
    values = handle.read(fake.library()).values
    assert {key for key, value in values.items() if isinstance(value, int)} == {"cpu_limit", "memory_limit"}


def test_shares_of_64_bits_win(fake: Any) -> None:
    fake.values |= {"GetMemShares": 8, "GetMemShares64": 2**40}
    assert handle.read(fake.library()).values["memory_shares"] == 2**40
    assert "GetMemShares" not in fake.calls


def test_shares_of_32_bits_step_in(fake: Any) -> None:
    fake.values["GetMemShares"] = 8
    assert handle.read(fake.library()).values["memory_shares"] == 8
    fake.without = {"GetMemShares64"}
    assert handle.read(fake.library()).values["memory_shares"] == 8


def test_the_pool_path_is_asked_for_only_where_the_list_reaches_it(fake: Any) -> None:
    """The path may be the list's last statistic, as it was on the first hosts."""
    fake.path = b"/pool"
    assert handle.read(fake.library()).values["resource_pool_path"] == "/pool"
    fake.statuses |= {str(row.symbol): 10 for row in STATISTICS if row.id > 18 and row.symbol}
    fake.statuses["GetElapsedMs"] = 4
    assert handle.read(fake.library()).values["resource_pool_path"] == "/pool"
    fake.statuses["GetElapsedMs"] = 10
    fake.calls.clear()
    assert "resource_pool_path" not in handle.read(fake.library()).values
    assert "GetResourcePoolPath" not in fake.calls


def test_the_pool_path_is_not_asked_for_when_nothing_tells_how_long_the_list_is(fake: Any) -> None:
    fake.path = b"/pool"
    fake.without = {"GetElapsedMs"}
    assert "resource_pool_path" not in handle.read(fake.library()).values


@pytest.mark.parametrize("length", [0, 511, 512, 513, 5000])
def test_a_pool_path_of_any_length_is_whole(fake: Any, length: int) -> None:
    fake.path = b"p" * length
    assert handle.read(fake.library()).values["resource_pool_path"] == "p" * length


def test_a_pool_path_beyond_reason_is_an_error(fake: Any) -> None:
    fake.path = b"p" * handle.MAX_PATH_SIZE
    with pytest.raises(LibraryStatus) as caught:
        handle.read(fake.library())
    assert (caught.value.code, caught.value.function) == (7, "VMGuestLib_GetResourcePoolPath")


def test_a_pool_path_that_is_not_utf8_is_text_all_the_same(fake: Any) -> None:
    fake.path = b"/p\xff"
    assert handle.read(fake.library()).values["resource_pool_path"] == "/p\ufffd"


@pytest.mark.parametrize(
    ("function", "code", "error"),
    [
        ("OpenHandle", 2, NotVMwareError),
        ("OpenHandle", 6, LibraryStatus),
        ("UpdateInfo", 1, RemoteProtocolError),
        ("UpdateInfo", 3, RpcError),
        ("UpdateInfo", 8, LibraryStatus),
        ("UpdateInfo", 4242, LibraryStatus),
        ("GetSessionId", 5, RemoteProtocolError),
        ("GetElapsedMs", 5, RemoteProtocolError),
        ("GetElapsedMs", 9, LibraryStatus),
        ("GetResourcePoolPath", 5, RemoteProtocolError),
    ],
)
def test_a_status_becomes_an_error_and_the_handle_is_closed(
    fake: Any, function: str, code: int, error: type[VMGuestError]
) -> None:
    fake.path = b""
    fake.statuses[function] = code
    with pytest.raises(error) as caught:
        handle.read(fake.library())
    assert fake.open == 0
    if isinstance(caught.value, LibraryStatus):
        assert (caught.value.code, caught.value.function) == (code, f"VMGuestLib_{function}")


def test_session_id_0_is_no_data(fake: Any) -> None:
    fake.session_id = 0
    with pytest.raises(RemoteProtocolError, match="session id 0"):
        handle.read(fake.library())
    assert fake.open == 0


def test_a_refusal_has_the_kind_that_guestrpc_gives_it(fake: Any) -> None:
    fake.statuses["UpdateInfo"] = 3
    with pytest.raises(RpcError, match="NOT_ENABLED") as caught:
        handle.read(fake.library())
    assert (caught.value.kind, caught.value.reason) == ("not_enabled", "not_told")


def test_the_librarys_words_for_a_status(fake: Any) -> None:
    assert handle.status_text(fake.library(), 6) == "Text of 6"
    fake.without = {"GetErrorText"}
    assert handle.status_text(fake.library(), 6) == ""


def test_stat_returns_the_bytes_and_frees_them(fake: Any) -> None:
    fake.reply = b"a\0\xffb"
    assert handle.stat(fake.library(), "xml", "vscsi scsi0:0") == b"a\0\xffb"
    assert fake.asked == [(b"xml", b"vscsi scsi0:0")]
    assert (fake.open, fake.allocated) == (0, {})


def test_stat_without_vmware_does_not_reach_stat_get(fake: Any) -> None:
    fake.statuses["OpenHandle"] = 2
    with pytest.raises(NotVMwareError):
        handle.stat(fake.library(), "xml", "resources")
    assert "StatGet" not in fake.calls


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"Unknown command", RpcError),
        (b"", RpcError),
        (b"\xff", RpcError),
        (b"Unknown command\0", RpcError),
        (b"RpcChannel: Unable to create the RpcChannel object", RefusedError),
        (b"RpcChannel: Unable to open the communication channel", RefusedError),
        (b"VSockOut: Unable to send data for the RPCI command", ConnectionLost),
        (b"RpcOut: Unable to receive the result of the RPCI command", ConnectionLost),
        (b"VSockOut: Invalid format for the result of the RPCI command", RemoteProtocolError),
    ],
)
def test_a_failed_stat_says_why_and_frees_the_text(fake: Any, text: bytes, error: type[VMGuestError]) -> None:
    fake.reply = text
    fake.statuses["StatGet"] = 4
    with pytest.raises(error) as caught:
        handle.stat(fake.library(), "xml", "resources")
    assert (fake.open, fake.allocated) == (0, {})
    if isinstance(caught.value, RpcError):
        assert caught.value.text == text.rstrip(b"\0").decode("utf-8", "replace")
        assert caught.value.command == "guestlib.stat.get xml resources"


def test_a_failed_stat_without_a_text_frees_nothing(fake: Any) -> None:
    fake.reply = None
    fake.statuses["StatGet"] = 4
    with pytest.raises(RpcError):
        handle.stat(fake.library(), "xml", "resources")
    assert "StatFree" not in fake.calls


def test_another_status_of_stat_frees_too(fake: Any) -> None:
    fake.statuses["StatGet"] = 7
    with pytest.raises(LibraryStatus, match="VMGuestLib_StatGet answered 7"):
        handle.stat(fake.library(), "xml", "resources")
    assert fake.allocated == {}


def test_a_huge_reply_is_an_error_and_is_freed(fake: Any) -> None:
    fake.reply = b"x" * handle.MAX_REPLY
    assert len(handle.stat(fake.library(), "xml", "")) == handle.MAX_REPLY
    fake.reply += b"x"
    with pytest.raises(RemoteProtocolError, match="1048576 at most"):
        handle.stat(fake.library(), "xml", "")
    assert fake.allocated == {}


@pytest.mark.parametrize("symbol", ["StatGet", "StatFree"])
def test_a_library_without_extended_statistics_says_so(fake: Any, symbol: str) -> None:
    fake.without = {symbol}
    with pytest.raises(RpcError, match="VMGuestLib_StatGet") as caught:
        handle.stat(fake.library(), "xml", "resources")
    assert caught.value.reason == "unknown_command"
    assert fake.calls == []


def test_a_name_that_c_would_cut_off_is_not_sent(fake: Any) -> None:
    with pytest.raises(LocalProtocolError):
        handle.stat(fake.library(), "xml", "vnet \0")
    assert fake.asked == []
