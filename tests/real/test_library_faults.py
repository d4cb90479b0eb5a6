"""Each known fault of VMware's own library, provoked by a host, and what it costs us: one failed poll at most.

Where a fault can be shown by using the library plainly, a control does: it proves that the host provokes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.catalogue import STATISTICS, Wire
from exporter.errors import LibraryCrashed, NotVMwareError, RemoteProtocolError, TimeoutExpired
from exporter.library.process import LibraryProcess
from exporter.machine import hypervisor
from exporter.protocol import rpci, stats_v3
from exporter.session.vendor import LibrarySource

pytestmark = pytest.mark.real

# The library as its manual shows it: one handle, updated again and again.
PLAIN = """
import sys
from ctypes import *
library = CDLL(sys.argv[1])
handle, number = c_void_p(), c_uint64()
print(library.VMGuestLib_OpenHandle(byref(handle)), flush=True)
for _ in range(int(sys.argv[2])):
    print(library.VMGuestLib_UpdateInfo(handle), flush=True)
    print(library.VMGuestLib_GetElapsedMs(handle, byref(number)), flush=True)
print(library.VMGuestLib_CloseHandle(handle), flush=True)
"""


def plain(sources: Any, library: str, updates: int) -> tuple[list[int], int]:
    """What the library answers to each call, and the exit status of its process (negative: the signal)."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PLAIN, library, str(updates)],
        env=sources.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [int(line) for line in done.stdout.split()], done.returncode


def reply(path: bytes = b"/pool") -> bytes:
    values = {
        row.id: (True, path if row.wire in (Wire.STRING, Wire.OPAQUE) else 1000 + row.id)
        for row in STATISTICS
    }
    return rpci.reply(stats_v3.encode(5, values))


EMPTY = rpci.reply(stats_v3.encode(5, {})[:12] + bytes(4))
CUT_OFF = rpci.reply(
    stats_v3.encode(5, {})[:12] + (8).to_bytes(4, "little") + bytes.fromhex("00000026 00000001")
)


def growing() -> Callable[[bytes], bytes]:
    lengths = iter([*range(4, 513, 12), *[512] * 1000])
    return lambda _: reply(b"p" * next(lengths))


def test_a_growing_pool_path(host: Any, sources: Any, real_library: str) -> None:
    host.answer = growing()
    _, status = plain(sources, real_library, 40)
    assert status in {-6, -11}, "one handle for all updates should have overflowed the heap"

    host.answer = growing()
    library = sources.library()
    lengths = [len(library.read().values["resource_pool_path"]) for _ in range(60)]
    assert lengths == [*range(4, 513, 12), *[512] * 17]
    assert library.restarts == 0


def test_a_failed_decode_that_is_reported_as_success(host: Any, sources: Any, real_library: str) -> None:
    host.answer = lambda _: CUT_OFF
    assert plain(sources, real_library, 1) == ([0, 0, 5, 0], 0)

    library = sources.library()
    with pytest.raises(RemoteProtocolError, match="GetSessionId answered 5"):
        library.read()
    host.answer = lambda _: reply()
    assert library.read().values["elapsed"] == 1017
    assert library.restarts == 0


def test_an_empty_body(host: Any, sources: Any, real_library: str) -> None:
    host.answer = lambda _: EMPTY
    assert plain(sources, real_library, 1) == ([0, 0], -11)

    library, guestrpc = sources.library(), sources.guestrpc()
    for crashes in range(1, 4):
        host.answer = lambda _: EMPTY
        with pytest.raises(RemoteProtocolError):
            guestrpc.read()
        with pytest.raises(LibraryCrashed, match="SIGSEGV") as caught:
            library.read()
        assert caught.value.kind == "library_crashed"
        host.answer = lambda _: reply()
        sources.compare(guestrpc.read(), library.read())
        assert library.restarts == crashes


def test_a_host_that_hangs(host: Any, sources: Any) -> None:
    library = sources.library(timeout=1.0)
    host.answer = lambda _: reply()
    library.read()
    host.answer = lambda _: None
    with pytest.raises(LibraryCrashed, match=r"within 1 s and was killed"):
        library.read()
    host.answer = lambda _: reply()
    assert library.read().values["elapsed"] == 1017
    assert library.restarts == 1


def test_a_host_that_is_slow_with_an_extended_group_does_not_cost_the_process(
    host: Any, sources: Any
) -> None:
    library = sources.library(timeout=1.0)
    host.answer = lambda _: reply()
    library.read()
    host.answer = lambda _: None
    with pytest.raises(TimeoutExpired):
        library.stat("xml", "resources", 0.05)
    with pytest.raises(LibraryCrashed):
        library.read()
    host.answer = lambda _: reply()
    assert library.read().session_id == 5


def test_a_host_that_is_gone_is_an_error_and_not_our_death(host: Any, sources: Any) -> None:
    """The library falls back to the backdoor instruction, which kills its process away from VMware."""
    library = sources.library()
    host.answer = lambda _: reply()
    library.read()
    host.path.rename(host.path.with_suffix(".away"))
    with pytest.raises(LibraryCrashed, match="SIGSEGV"):
        library.read()
    host.path.with_suffix(".away").rename(host.path)
    assert library.read().session_id == 5


def test_stat_away_from_vmware(build: Callable[..., str], real_library: str) -> None:
    """With the library's own check for a virtual machine; the shim still lets nothing reach a real vsock."""
    if hypervisor.detect().vmware:
        pytest.skip("this is a VMware guest, where there is nothing to show")
    environ = {**os.environ, "LD_PRELOAD": build("shim", "-DREAL_CHECK")}
    environ.pop("GUESTRPC_SHIM_SOCKET", None)
    library = LibrarySource(process=LibraryProcess(real_library, 30.0, environ=environ, start_limit=60.0))
    try:
        for _ in range(3):
            with pytest.raises(NotVMwareError):
                library.stat("xml", "resources")
            with pytest.raises(NotVMwareError):
                library.read()
        assert library.restarts == 0
    finally:
        library.close()


def test_many_polls_leave_nothing_behind(host: Any, sources: Any) -> None:
    host.answer = lambda command: rpci.reply(b"x" * 10_000) if b"stat" in command else reply(b"p" * 512)
    library = sources.library()

    def pages() -> int:
        return int(Path(f"/proc/{library._process.pid}/statm").read_text("ascii").split()[1])

    for _ in range(100):
        library.read()
        library.stat("xml", "resources")
    before = pages()
    for _ in range(400):
        library.read()
        library.stat("xml", "resources")
    # A reply that is not freed each time would be 4 MB; a handle, 0.4 MB.
    assert (pages() - before) * 4096 < 200_000
    assert library.restarts == 0
