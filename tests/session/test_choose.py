"""Which source, and why not the other."""

import logging

import pytest

from exporter.errors import NoDeviceError, NotVMwareError, RemoteProtocolError, RpcError, VMGuestError
from exporter.machine.hypervisor import Hypervisor
from exporter.machine.system import WINDOWS
from exporter.session import choose
from exporter.session.wire import WireSource
from exporter.snapshot import Snapshot, SourceInfo

KVM = Hypervisor("KVM", "CPUID")
VMWARE = Hypervisor("VMware", "DMI says VMware, Inc.")


class StandIn:
    """A source that answers as told, and remembers that it was closed."""

    restarts = 4

    def __init__(self, name: str, *answers: Snapshot | Exception) -> None:
        self.name = name
        self._answers = list(answers)
        self.closed = False
        self.info = SourceInfo(name, "memory", "3", "")

    def read(self) -> Snapshot:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        return f"{self.name} {encoding} {name}".encode()

    def close(self) -> None:
        self.closed = True


SNAPSHOT = Snapshot(1, 3, {})


def auto(native: StandIn, library: StandIn) -> choose.AutoSource:
    return choose.AutoSource({"guestrpc": lambda: native, "library": lambda: library}, "DMI")


@pytest.mark.parametrize("source", ["auto", "guestrpc"])
def test_not_vmware_is_refused_before_anything_is_opened(source: str) -> None:
    with pytest.raises(NotVMwareError, match=r"hypervisor is KVM \(CPUID\)\. Nothing was sent"):
        choose.choose(source, find_hypervisor=lambda: KVM)
    with pytest.raises(NotVMwareError, match="KVM"):
        choose.connector(find_hypervisor=lambda: KVM)


@pytest.mark.parametrize("source", ["auto", "guestrpc"])
def test_a_socket_path_is_a_simulated_host_and_needs_no_vmware(source: str) -> None:
    chosen = choose.choose(source, socket_path="/nowhere", find_hypervisor=lambda: pytest.fail("looked"))
    assert chosen.info == SourceInfo("guestrpc", "unix", "", "")
    assert choose.connector("/nowhere", lambda: pytest.fail("looked")).transport == "unix"


def test_guestrpc_is_vsock_on_vmware() -> None:
    chosen = choose.choose("guestrpc", find_hypervisor=lambda: VMWARE)
    assert isinstance(chosen, WireSource)
    assert chosen.info.transport == "vsock"
    assert choose.connector(find_hypervisor=lambda: VMWARE).transport == "vsock"


def test_library_does_not_look_at_the_machine() -> None:
    """The library looks by itself, and says so by its status 2."""
    chosen = choose.choose("library", find_hypervisor=lambda: pytest.fail("looked"))
    assert chosen.info.source == "library"
    chosen.close()


def test_auto_on_vmware_opens_nothing_before_the_first_read() -> None:
    chosen = choose.choose("auto", find_hypervisor=lambda: VMWARE)
    assert isinstance(chosen, choose.AutoSource)
    assert chosen.info.source == "auto"
    assert chosen.restarts is None
    chosen.close()


def test_guestrpc_first(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = auto(StandIn("guestrpc", SNAPSHOT, SNAPSHOT), StandIn("library"))
    assert source.read() == source.read() == SNAPSHOT
    assert source.info == SourceInfo("guestrpc", "memory", "3", "guestrpc answered first")
    assert source.stat("xml", "host") == b"guestrpc xml host"
    assert [record.getMessage() for record in caplog.records] == ["source of statistics chosen"]


def test_library_when_native_cannot_connect() -> None:
    native, library = StandIn("guestrpc", NoDeviceError("no vsock")), StandIn("library", SNAPSHOT)
    source = auto(native, library)
    assert source.read() == SNAPSHOT
    assert source.info.source == "library"
    assert source.info.note == "not guestrpc: no vsock"
    assert source.restarts == 4
    assert native.closed
    source.close()
    assert library.closed


def test_a_refusal_is_an_answer_and_the_other_source_would_get_the_same() -> None:
    library = StandIn("library")
    source = auto(StandIn("guestrpc", RpcError("disabled"), SNAPSHOT), library)
    with pytest.raises(RpcError):
        source.read()
    assert source.read() == SNAPSHOT
    assert source.info.source == "guestrpc"


def test_no_source_is_the_first_ones_error_and_is_tried_anew() -> None:
    native = StandIn("guestrpc", NoDeviceError("no vsock"), SNAPSHOT)
    source = auto(native, StandIn("library", NotVMwareError("no library")))
    with pytest.raises(VMGuestError, match="no vsock"):
        source.read()
    assert source.info.note == "guestrpc: no vsock; library: no library"
    with pytest.raises(NotVMwareError, match="no source"):
        source.stat("xml", "")
    assert source.read() == SNAPSHOT


def test_why_no_source_answers_is_said_once_for_both(caplog: pytest.LogCaptureFixture) -> None:
    native = StandIn("guestrpc", NoDeviceError("no vsock"), NoDeviceError("no vsock"), SNAPSHOT)
    source = auto(native, StandIn("library", NotVMwareError("no library"), NotVMwareError("no library")))
    for _ in range(2):
        with pytest.raises(NoDeviceError):
            source.read()
    (record,) = caplog.records
    assert vars(record)["why"] == "guestrpc: no vsock; library: no library"


def test_a_source_is_kept_through_its_errors() -> None:
    source = auto(StandIn("guestrpc", SNAPSHOT, RemoteProtocolError("x"), SNAPSHOT), StandIn("library"))
    source.read()
    with pytest.raises(RemoteProtocolError):
        source.read()
    assert source.read() == SNAPSHOT


def test_a_mistake_in_this_program_is_not_hidden_by_the_other_source() -> None:
    source = auto(StandIn("guestrpc", ZeroDivisionError()), StandIn("library"))
    with pytest.raises(ZeroDivisionError):
        source.read()
    source.close()


def test_the_librarys_refusal_decides_nothing() -> None:
    """Its status NOT_ENABLED also stands for "no channel to the host"."""
    native = StandIn("guestrpc", NoDeviceError("no vsock"), SNAPSHOT)
    library = StandIn("library", RpcError("not enabled"))
    source = auto(native, library)
    with pytest.raises(NoDeviceError):
        source.read()
    assert source.read() == SNAPSHOT
    assert source.info.source == "guestrpc"


def test_sources_are_made_once_and_the_ones_not_taken_closed_in_the_end() -> None:
    """The library's process counts its crashes and pauses between them: a new one would forget."""
    made: list[StandIn] = []

    def make() -> StandIn:
        made.append(StandIn("library", *[NotVMwareError("no library")] * 3))
        return made[-1]

    native = StandIn("guestrpc", *[NoDeviceError("no vsock")] * 3)
    source = choose.AutoSource({"guestrpc": lambda: native, "library": make}, "DMI")
    for _ in range(3):
        with pytest.raises(NoDeviceError):
            source.read()
    assert len(made) == 1
    source.close()
    assert (native.closed, made[0].closed) == (True, True)


def test_where_python_has_no_vsock_the_library_is_the_only_source(monkeypatch: pytest.MonkeyPatch) -> None:
    made = StandIn("library", SNAPSHOT)
    monkeypatch.setattr(choose, "LibrarySource", lambda path, timeout: made)
    monkeypatch.setattr(choose, "VsockConnector", None)
    source = choose.choose("auto", find_hypervisor=lambda: VMWARE, system=WINDOWS)
    assert source.read() == SNAPSHOT
    assert source.info == SourceInfo("library", "memory", "3", "library answered first")
