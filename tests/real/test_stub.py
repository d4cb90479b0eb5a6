"""Our side of the C interface, against a library that counts what it gave away. In this process: it is our own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import pytest

from exporter.catalogue import STATISTICS, Wire
from exporter.errors import LibraryNotFound, VMGuestError
from exporter.library import handle, loader
from exporter.library.answers import Loaded
from exporter.library.process import LibraryProcess
from exporter.library.signatures import SIGNATURES, GuestLibStatus
from exporter.session.vendor import LibrarySource

pytestmark = pytest.mark.real

LATER = {
    *(str(row.symbol) for row in STATISTICS if row.symbol and not row.public),
    "GetMemShares64",
    "StatGet",
    "StatFree",
}


@pytest.fixture(scope="module")
def file(build: Callable[..., str]) -> str:
    return build("stub")


@pytest.fixture
def stub(file: str) -> Iterator[ctypes.CDLL]:
    """The same library again, for its functions that are there for tests; everything must be given back."""
    stub = ctypes.CDLL(file)
    stub.stub_reset()
    yield stub
    assert (stub.stub_handles(), stub.stub_blocks(), stub.stub_crossings()) == (0, 0, 0)


def test_every_symbol_of_a_whole_library_is_attached(file: str) -> None:
    library = loader.load(file)
    assert library.missing == ()
    assert set(library.functions) == set(SIGNATURES)
    assert loader.location(library.name) == file


def test_every_value_arrives_in_its_width(file: str, stub: ctypes.CDLL) -> None:
    snapshot = handle.read(loader.load(file))
    assert snapshot.session_id == 0xFEDCBA9876543210
    base = {Wire.U32: 0xFFFFFF00, Wire.U64: 0xFFFFFFFFFFFFFF00}
    numbers = {
        row.key: base[row.wire] + row.id for row in STATISTICS if row.wire in base and not row.deprecated
    }
    assert snapshot.values == {**numbers, "resource_pool_path": "/pool"}


def test_an_older_library_gives_what_it_has(build: Callable[..., str]) -> None:
    older = build("stub", "-DOLDER")
    library = loader.load(older)
    assert set(library.missing) == LATER
    values = handle.read(library).values
    assert values["memory_shares"] == 0xFFFFFF00 + 8
    assert len(values) == 29
    source = LibrarySource(process=LibraryProcess(older, 30.0, start_limit=60.0))
    try:
        assert source.read().values == values
        assert source.loaded == Loaded(older, library.missing)
        with pytest.raises(VMGuestError, match="VMGuestLib_StatGet"):
            source.stat("xml", "resources")
        assert source.read().values == values
    finally:
        source.close()


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 1000])
def test_a_pool_path_of_any_length(file: str, stub: ctypes.CDLL, length: int) -> None:
    stub.stub_path(b"p" * length + b"\0")
    assert handle.read(loader.load(file)).values["resource_pool_path"] == "p" * length


@pytest.mark.parametrize("code", [*range(1, 11), 11, 4242, -1])
@pytest.mark.parametrize(
    "function",
    ["OpenHandle", "UpdateInfo", "GetSessionId", "GetCpuUsedMs", "GetResourcePoolPath", "CloseHandle"],
)
def test_no_status_of_any_function_leaves_a_handle_open(
    file: str, stub: ctypes.CDLL, function: str, code: int
) -> None:
    stub.stub_answer(function.encode(), code)
    absent = (GuestLibStatus.NOT_AVAILABLE, GuestLibStatus.UNSUPPORTED_VERSION)
    library = loader.load(file)
    if function == "CloseHandle" or (function in {"GetCpuUsedMs", "GetResourcePoolPath"} and code in absent):
        assert handle.read(library).session_id
        return
    with pytest.raises(VMGuestError):
        handle.read(library)


@pytest.mark.parametrize("code", range(12))
def test_no_status_of_stat_leaves_its_reply_allocated(file: str, stub: ctypes.CDLL, code: int) -> None:
    stub.stub_answer(b"StatGet", code)
    library = loader.load(file)
    if code == GuestLibStatus.SUCCESS:
        assert handle.stat(library, "xml", "vscsi scsi0:0") == b"xml vscsi scsi0:0"
        return
    with pytest.raises(VMGuestError):
        handle.stat(library, "xml", "vscsi scsi0:0")


@pytest.mark.parametrize("code", range(1, 12))
def test_stat_is_not_called_where_no_handle_could_be_opened(file: str, stub: ctypes.CDLL, code: int) -> None:
    stub.stub_answer(b"OpenHandle", code)
    with pytest.raises(VMGuestError):
        handle.stat(loader.load(file), "xml", "resources")


def test_the_librarys_words(file: str) -> None:
    assert handle.status_text(loader.load(file), 6) == "Stub's words"


def test_a_thousand_polls_give_everything_back(file: str, stub: ctypes.CDLL) -> None:
    library = loader.load(file)
    for _ in range(1000):
        handle.read(library)
        handle.stat(library, "xml", "resources")


def test_a_library_that_is_something_else_is_not_taken(shim: str) -> None:
    with pytest.raises(LibraryNotFound, match=r"not VMware's library: it has no VMGuestLib_OpenHandle"):
        loader.load(shim)
