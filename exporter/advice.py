"""One text for one problem: what to change, and where, when the numbers do not come.

``doctor`` and the messages of ``serve`` both take their advice from here. ``code`` is the finding of ``doctor``
that looks into the problem. Little is imported: the serving path can afford it.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import NamedTuple

from exporter.errors import (
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
from exporter.machine.system import HERE, System


class Where(Enum):
    """Who can change it; the value is the word in ``doctor --json``."""

    GUEST = "guest"
    VM = "vm"
    """The virtual machine's settings in vSphere; most of them want it powered off."""
    HOST = "host"
    CLUSTER = "cluster"

    @property
    def phrase(self) -> str:
        return _PHRASES[self]


_PHRASES = {
    Where.GUEST: "In the guest",
    Where.VM: "On the VM",
    Where.HOST: "On the host",
    Where.CLUSTER: "In the cluster",
}


class Advice(NamedTuple):
    """``text`` begins in lower case and has no full stop: it follows :attr:`Where.phrase`."""

    code: str
    where: Where
    text: str

    @property
    def sentence(self) -> str:
        return f"{self.where.phrase}: {self.text}."


NOT_VMWARE = Advice(
    "hypervisor",
    Where.GUEST,
    "run the exporter inside a VMware guest; to see it at work here, start it with --source=simulated",
)
NO_MODULE = Advice(
    "vsock-module",
    Where.GUEST,
    "run `modprobe vmw_vsock_vmci_transport` and put that name into /etc/modules-load.d/vmguest-exporter.conf; a "
    "kernel without it (CONFIG_VMWARE_VMCI_VSOCKETS) leaves --source=library",
)
NO_DEVICE = Advice(
    "vsock-device",
    Where.VM,
    "look for vmci0.present = FALSE in the advanced settings and have it removed; a VM without the VMCI device has no "
    "vsock",
)
NOT_ALLOWED = Advice(
    "vsock-allowed",
    Where.GUEST,
    "let the sandbox have AF_VSOCK (family 40): containers want `--security-opt seccomp=deploy/container/seccomp.json`, "
    "systemd wants AF_VSOCK in RestrictAddressFamilies; `vmguest-exporter doctor` names the layer that refuses",
)
VSOCK_OFF = Advice(
    "guestrpc-answer",
    Where.VM,
    "look for guest_rpc.rpci.usevsocket = FALSE in the advanced settings, the usual reason for a refusal, and have it "
    "removed; --source=library does without vsock",
)
NO_SIMULATED_HOST = Advice(
    "guestrpc-answer",
    Where.GUEST,
    "--guestrpc.socket names the socket of a simulated host: start one there with `vmguest-exporter simulate --socket "
    "PATH`, or leave the flag out to ask the real host",
)
NO_ANSWER = Advice(
    "guestrpc-answer",
    Where.HOST,
    "the VM's process on the host does not answer; suspend and resume, or vMotion, gives the VM a new one. Where it "
    "stays so, look into vmware.log of the VM",
)
LOST = Advice(
    "guestrpc-answer",
    Where.GUEST,
    "once is what vMotion, suspend and snapshots do; where it goes on, record it with `vmguest-exporter record FILE "
    "--for 5m` and report it",
)
NONSENSE = Advice(
    "guestrpc-answer",
    Where.GUEST,
    "this host answers in a way that was never seen; please report it with `vmguest-exporter doctor --bundle "
    "FILE.tar.gz`, which holds the reply",
)
DISABLED = Advice(
    "statistics-enabled",
    Where.VM,
    "look for isolation.tools.guestlibGetInfo.disable = TRUE in the advanced settings and have it set to FALSE or "
    "removed, with the VM powered off",
)
NO_SUCH_COMMAND = Advice(
    "statistics-enabled",
    Where.VM,
    "guest statistics belong to ESXi, and Workstation and Fusion have none: ask who runs this VM on which product. Where it "
    "is ESXi, ask for its version and for the VM's vmware.log: this answer alone does not say why that host lacks them",
)
NOT_TOLD = Advice(
    "library-answer",
    Where.VM,
    "VMware's library does not say which it is: isolation.tools.guestlibGetInfo.disable = TRUE in the advanced settings "
    "(have it removed, with the VM powered off), a host without guest statistics (Workstation and Fusion have none), or "
    "no channel to the host; over vsock the host says it itself: `vmguest-exporter doctor` asks it",
)
NEEDS_PRIVILEGE = Advice(
    "privileged-port",
    Where.GUEST,
    "run the exporter with CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE) or as root: where "
    "guest_rpc.rpci.auth.app.APP_MONITOR = TRUE is set on the VM, the host answers to source ports below 1024 only",
)
NO_LIBRARY = Advice(
    "library-present",
    Where.GUEST,
    "install the package open-vm-tools, or name the file with --library.path; --source=guestrpc needs "
    "no library",
)
NAMED_LIBRARY = Advice(
    "library-present",
    Where.GUEST,
    "the file that library.path names (by flag, variable or settings file) is no library that this Python can load: name "
    "another, or none, and the one of open-vm-tools is looked for; --source=guestrpc needs no library",
)
LIBRARY_BROKEN = Advice(
    "library-answer",
    Where.GUEST,
    "prefer --source=guestrpc, which does not depend on VMware's library; else update open-vm-tools",
)

_ON_WINDOWS = {
    NOT_TOLD: NOT_TOLD._replace(
        text="VMware's library does not say which it is: isolation.tools.guestlibGetInfo.disable = TRUE in the advanced "
        "settings (have it removed, with the VM powered off), a host without guest statistics (Workstation and Fusion "
        "have none), or no channel to the host"
    ),
    NO_LIBRARY: NO_LIBRARY._replace(
        text="install VMware Tools, or repair them (Settings, Apps, VMware Tools, Modify): they bring vmGuestLib.dll; or "
        "name the file with --library.path"
    ),
    NAMED_LIBRARY: NAMED_LIBRARY._replace(
        text="the file that library.path names (by flag, variable or settings file) is no library that this Python can "
        "load: name another, or none, and vmGuestLib.dll of VMware Tools is looked for"
    ),
    LIBRARY_BROKEN: LIBRARY_BROKEN._replace(
        text="update VMware Tools; where it goes on, `vmguest-exporter doctor` says more"
    ),
}
"""What other words are for there."""


def on(system: System, advice: Advice) -> Advice:
    """``advice`` as it is on ``system``."""
    return _ON_WINDOWS.get(advice, advice) if system.windows else advice


def advice(error: VMGuestError, system: System = HERE) -> Advice | None:
    """What the operator can do about ``error`` of a poll; None where nothing is known."""
    found = _advice(error)
    return None if found is None else on(system, found)


def _advice(error: VMGuestError) -> Advice | None:
    match error:
        case NotVMwareError():
            return NOT_VMWARE
        case NoDeviceError(errno=errno.EPERM | errno.EACCES | errno.ENOSYS):
            return NOT_ALLOWED
        case NoDeviceError(errno=errno.ENODEV | errno.ENETUNREACH | errno.EHOSTUNREACH | errno.EADDRNOTAVAIL):
            return NO_DEVICE
        case NoDeviceError():
            return NO_MODULE
        case RefusedError(errno=errno.ENOENT | errno.ECONNREFUSED | errno.EACCES):
            # A unix socket's; vsock resets.
            return NO_SIMULATED_HOST
        case RefusedError():
            return VSOCK_OFF
        case TimeoutExpired():
            return NO_ANSWER
        case ConnectionLost():
            return LOST
        case RemoteProtocolError():
            return NONSENSE
        case RpcError():
            return _refused(error)
        case LibraryNotFound(named=True):
            return NAMED_LIBRARY
        case LibraryNotFound():
            return NO_LIBRARY
        case LibraryStatus() | LibraryCrashed():
            return LIBRARY_BROKEN
        case TransportError():
            return NO_ANSWER
        case _:
            return None


def _refused(error: RpcError) -> Advice:
    if error.reason == "permission_denied":
        return NEEDS_PRIVILEGE
    if error.reason == "not_told":
        return NOT_TOLD
    return NO_SUCH_COMMAND if error.reason == "unknown_command" else DISABLED


def explain(error: VMGuestError) -> str:
    """``error`` and the advice, as one paragraph."""
    found = advice(error)
    text = str(error).rstrip(".")
    return f"{text}. {found.sentence}" if found else f"{text}."
