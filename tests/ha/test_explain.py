"""For each way in which heartbeats are not possible: what to change, and where."""

from __future__ import annotations

import errno

import pytest

from exporter import errors
from exporter.ha import explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.RpcError("Unknown command"), ["no HA Application Monitoring", "Workstation"]),
        (
            errors.RpcError("Permission denied"),
            ["guest_rpc.rpci.auth.app.APP_MONITOR", "CAP_NET_BIND_SERVICE", "Fault Tolerance"],
        ),
        (errors.RpcError("anything else"), ["guest_rpc.rpci.auth.app.APP_MONITOR"]),
        (errors.NotVMwareError("no VMware guest"), ["VMware guest on ESXi"]),
        (
            errors.RefusedError("reset", errno.ECONNRESET),
            ["guest_rpc.rpci.usevsocket", "--ha.source=library", "APP_MONITOR", "Fault Tolerance"],
        ),
        (errors.RefusedError("nobody", errno.ECONNREFUSED), ["simulate --socket"]),
        (errors.NoDeviceError("denied", errno.EPERM), ["AF_VSOCK"]),
        (errors.LibraryNotFound("none"), ["libappmonitorlib.so", "LD_LIBRARY_PATH"]),
        (errors.LibraryStatus(3, "f"), ["--ha.source=guestrpc"]),
        (errors.LibraryCrashed("crashed"), ["--ha.source=guestrpc"]),
    ],
)
def test_each_problem_names_what_to_change(error: errors.VMGuestError, words: list[str]) -> None:
    text = explain.explain(error)
    assert text.startswith(str(error))
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "error",
    [errors.TimeoutExpired("no answer"), errors.ConnectionLost("broken."), errors.RemoteProtocolError("?")],
)
def test_what_passes_by_itself_needs_no_advice(error: errors.VMGuestError) -> None:
    assert explain.advise(error) == ""
    assert explain.explain(error) == f"{str(error).rstrip('.')}."


def test_the_cluster_is_told_where_to_look() -> None:
    assert "VM and Application Monitoring" in explain.NOT_IN_CLUSTER
    assert "VM Overrides" in explain.NOT_IN_CLUSTER
