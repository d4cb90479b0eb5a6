from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

import exporter
from exporter.advice import Advice, Where, advice, explain
from exporter.errors import (
    ConfigError,
    ConnectionLost,
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NoDeviceError,
    NotVMwareError,
    RefusedError,
    RemoteProtocolError,
    RpcError,
    TimeoutExpired,
    TransportError,
    VMGuestError,
)
from exporter.machine.system import LINUX, WINDOWS, System
from exporter.poller import Poller
from exporter.snapshot import Snapshot, SourceInfo


def named_library() -> LibraryNotFound:
    """Of the file that the operator named."""
    error = LibraryNotFound("x")
    error.named = True
    return error


def test_a_host_without_the_command_is_no_reason_to_suspect_a_switch() -> None:
    assert "guestlibGetInfo" not in explain(RpcError("Unknown command"))
    assert "guestlibGetInfo" in explain(RpcError("disabled"))


CASES: list[tuple[VMGuestError, str, Where]] = [
    (NotVMwareError("x"), "hypervisor", Where.GUEST),
    (NoDeviceError("x", errno.EAFNOSUPPORT), "vsock-module", Where.GUEST),
    (NoDeviceError("x", errno.EPERM), "vsock-allowed", Where.GUEST),
    (NoDeviceError("x", errno.EACCES), "vsock-allowed", Where.GUEST),
    (NoDeviceError("x", errno.ENODEV), "vsock-device", Where.VM),
    (RefusedError("x"), "guestrpc-answer", Where.VM),
    (RefusedError("x", errno.ECONNRESET), "guestrpc-answer", Where.VM),
    (RefusedError("x", errno.ENOENT), "guestrpc-answer", Where.GUEST),
    (RefusedError("x", errno.ECONNREFUSED), "guestrpc-answer", Where.GUEST),
    (TimeoutExpired("x"), "guestrpc-answer", Where.HOST),
    (ConnectionLost("x"), "guestrpc-answer", Where.GUEST),
    (TransportError("x"), "guestrpc-answer", Where.HOST),
    (RemoteProtocolError("x"), "guestrpc-answer", Where.GUEST),
    (RpcError("disabled"), "statistics-enabled", Where.VM),
    (RpcError("Unknown command"), "statistics-enabled", Where.VM),
    (RpcError("NOT_ENABLED (3), which VMware's library answers"), "library-answer", Where.VM),
    (RpcError("Permission denied"), "privileged-port", Where.GUEST),
    (LibraryNotFound("x"), "library-present", Where.GUEST),
    (named_library(), "library-present", Where.GUEST),
    (LibraryStatus(6, "VMGuestLib_UpdateInfo"), "library-answer", Where.GUEST),
    (LibraryCrashed("x"), "library-answer", Where.GUEST),
]


@pytest.mark.parametrize(("error", "code", "where"), CASES, ids=lambda each: type(each).__name__)
def test_every_failure_of_a_poll_has_an_advice(error: VMGuestError, code: str, where: Where) -> None:
    found = advice(error)
    assert found is not None
    assert (found.code, found.where) == (code, where)
    assert found.sentence.startswith(f"{where.phrase}: ")
    assert found.sentence.endswith(".")
    assert not found.text.endswith(".")


@pytest.mark.parametrize("system", [LINUX, WINDOWS])
def test_who_named_a_library_is_not_told_to_name_one(system: System) -> None:
    unnamed, named = advice(LibraryNotFound("x"), system), advice(named_library(), system)
    assert unnamed is not None
    assert named is not None
    assert "name the file with --library.path" in unnamed.text
    assert "name another, or none" in named.text
    assert "install" not in named.text


def test_where_the_library_does_not_tell_no_single_cause_is_guessed_at() -> None:
    found = advice(RpcError("NOT_ENABLED (3), which VMware's library answers to every refusal"))
    assert found is not None
    for cause in ("isolation.tools.guestlibGetInfo.disable", "Workstation", "no channel"):
        assert cause in found.text


def test_the_advice_follows_the_error_in_one_paragraph() -> None:
    text = explain(RefusedError("the hypervisor does not take the connection."))
    assert text.startswith(
        "the hypervisor does not take the connection. On the VM: look for guest_rpc.rpci.usevsocket"
    )
    assert text.endswith(".")


def test_where_nothing_is_known_the_error_stands_alone() -> None:
    assert advice(ConfigError("poll.interval: no")) is None
    assert explain(ConfigError("poll.interval: no")) == "poll.interval: no."


@pytest.mark.parametrize(
    ("where", "phrase"),
    [
        (Where.GUEST, "In the guest"),
        (Where.VM, "On the VM"),
        (Where.HOST, "On the host"),
        (Where.CLUSTER, "In the cluster"),
    ],
)
def test_an_advice_says_where(where: Where, phrase: str) -> None:
    assert Advice("clock", where, "do this").sentence == f"{phrase}: do this."


def test_files_that_an_advice_names_are_there() -> None:
    root = Path(exporter.__file__).parents[1]
    texts = "".join(
        path.read_text()
        for path in root.glob("exporter/**/*.py")
        if path.parent.name in {"exporter", "doctor"}
    )
    named = set(re.findall(r"deploy/[a-z_/.]*[a-z]", texts))
    assert named
    assert [each for each in named if not (root / each).exists()] == []


class Refusing:
    """A source that never answers."""

    restarts = None

    def __init__(self, source: str, error: VMGuestError) -> None:
        self.info = SourceInfo(source, "")
        self.error = error

    def read(self) -> Snapshot:
        raise self.error

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        raise self.error

    def close(self) -> None:
        pass


def test_the_polling_thread_logs_the_same_words(caplog: pytest.LogCaptureFixture) -> None:
    error = RefusedError("the hypervisor does not take the connection")
    Poller(Refusing("guestrpc", error), 5.0).poll()
    (record,) = caplog.records
    found = advice(error)
    assert found is not None
    assert vars(record)["advice"] == found.sentence
    assert vars(record)["finding"] == found.code


def test_a_recording_gets_no_advice(caplog: pytest.LogCaptureFixture) -> None:
    Poller(Refusing("replay", RefusedError("as it was (recorded)")), 5.0).poll()
    (record,) = caplog.records
    assert "advice" not in vars(record)


@pytest.mark.parametrize(("error", "code", "where"), CASES, ids=lambda each: type(each).__name__)
def test_advice_knows_its_system(error: VMGuestError, code: str, where: Where) -> None:
    """Of what can be on Windows, where there is no vsock."""
    found = advice(error, WINDOWS)
    assert found is not None
    assert (found.code, found.where) == (code, where)
    if code in {"hypervisor", "library-present", "library-answer"}:
        foreign = ("open-vm-tools", "vsock", "guestrpc", "modprobe", "systemd", "root")
        assert not [word for word in foreign if word in found.text]
