"""What to change, and where, when the host does not take heartbeats: one text for one problem.

Used by the start-up messages, the log, ``vmguest-exporter ha`` and ``doctor``. What is not peculiar to heartbeats
comes from :mod:`exporter.advice`.
"""

from __future__ import annotations

import errno

from exporter import advice
from exporter.errors import (
    LibraryCrashed,
    LibraryNotFound,
    LibraryStatus,
    NoDeviceError,
    NotVMwareError,
    RefusedError,
    RpcError,
    VMGuestError,
)

NOT_SUPPORTED = (
    "This host has no HA Application Monitoring: it belongs to ESXi, and to a cluster with vSphere HA; Workstation "
    "and Fusion lack it. Leave --ha.enabled out on this machine."
)
NOT_IN_CLUSTER = (
    "The host takes heartbeats, but nothing in vSphere HA acts on them. In vCenter: cluster, Configure, vSphere "
    "Availability, Edit: turn on vSphere HA, and under VM Monitoring choose 'VM and Application Monitoring'; look "
    "under VM Overrides for an exception for this VM."
)
SECURE_CHANNEL = (
    "The usual reason is guest_rpc.rpci.auth.app.APP_MONITOR = TRUE in the VM's advanced settings: the host then "
    "takes these commands only from a source port below 1024. Run the exporter with CAP_NET_BIND_SERVICE (systemd: "
    "AmbientCapabilities=CAP_NET_BIND_SERVICE) or as root, or have that setting removed. A Fault Tolerance VM has "
    "only the non-secure channel: there the setting must be left out."
)
NOT_VMWARE = "Heartbeats need a VMware guest on ESXi. Leave --ha.enabled out on this machine."
REFUSED = (
    "The usual reason is guest_rpc.rpci.usevsocket = FALSE in the VM's advanced settings: have it removed, or use "
    "VMware's library (--ha.source=library). Where guest_rpc.rpci.auth.app.APP_MONITOR = TRUE is set, a source port "
    "below 1024 is needed: run with CAP_NET_BIND_SERVICE or as root; on a Fault Tolerance VM that setting must be left out."
)
NO_LIBRARY = (
    "Install libappmonitorlib.so of VMware's Guest SDK (or libappmonitor.so of open-vm-tools) and put its folder "
    "into LD_LIBRARY_PATH, or use --ha.source=guestrpc, which needs no library."
)
LIBRARY = "Where VMware's library can't open a channel, --ha.source=guestrpc may, and says why not."


def advise(error: VMGuestError) -> str:
    """What the operator can do about ``error``; empty where its own text says all there is."""
    match error:
        case RpcError():
            return NOT_SUPPORTED if error.reason == "unknown_command" else SECURE_CHANNEL
        case NotVMwareError():
            return NOT_VMWARE
        case RefusedError(errno=errno.ECONNRESET):
            return REFUSED
        case RefusedError() | NoDeviceError():
            found = advice.advice(error)
            return found.sentence if found else ""
        case LibraryNotFound():
            return NO_LIBRARY
        case LibraryStatus() | LibraryCrashed():
            return LIBRARY
        case _:
            return ""


def explain(error: VMGuestError) -> str:
    """``error`` and the advice, as one paragraph."""
    return f"{str(error).rstrip('.')}. {advise(error)}".rstrip()
