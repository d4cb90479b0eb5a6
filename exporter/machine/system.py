"""What this system has of what the exporter can use, and what its own tools are called: the one place that knows.

Whoever offers or advises something asks :data:`HERE`, or the :class:`System` that it is given, and never the name of
the platform.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

VSOCK, UNIX_SOCKETS, HEARTBEATS = "vsock", "unix sockets", "heartbeats"
"""What a system may lack."""


@dataclass(frozen=True, slots=True)
class System:
    """``name`` as people call it. The commands are what its administrators type."""

    name: str
    list_listeners: str
    list_addresses: str
    show_service: str
    set_clock: str
    port_denied: str
    """Why a port may be denied, and what to do; follows the port's number."""
    update_tools: str
    patience: float = 1.0
    """How many times as long as on Linux a process may take to begin."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What it has not, each with the sentence that says so: whatever needs it is refused, and the help says the same."""
    unset: Mapping[str, str] = field(default_factory=dict)
    """What happens without a setting, by its name, where that is not as on Linux."""

    @property
    def windows(self) -> bool:
        return self.name == "Windows"

    def told(self, text: str, needs: str, what: str = "") -> str:
        """The help of something that ``needs`` what a system may lack; ``what`` of it, where the rest does without."""
        if needs not in self.lacks:
            return text
        return f"{text.rstrip('.')}. {f'{what} is refused' if what else 'Refused'}: {self.lacks[needs]}."


LINUX = System(
    "Linux",
    list_listeners="ss -ltnp",
    list_addresses="ip address",
    show_service="systemctl status vmguest-exporter",
    set_clock="set the clock and run chronyd or systemd-timesyncd",
    port_denied="needs a privilege (CAP_NET_BIND_SERVICE); choose one above 1023",
    update_tools="update open-vm-tools",
)
WINDOWS = System(
    "Windows",
    list_listeners="netstat -abno",
    list_addresses="ipconfig",
    show_service="Get-Service vmguest-exporter",
    set_clock="set the clock and run the service Windows Time (`w32tm /resync`)",
    port_denied=(
        "is kept by another program or by Windows itself; choose another (`netsh interface ipv4 show excludedportrange "
        "tcp` lists what Windows keeps)"
    ),
    update_tools="update VMware Tools",
    # Virus scanners look at every file of a process that begins.
    patience=6.0,
    lacks={
        VSOCK: "Python has no vsock on Windows, so GuestRPC is not to be had; VMware's library does without",
        UNIX_SOCKETS: "Python has no unix sockets on Windows",
        HEARTBEATS: "heartbeats for vSphere HA are sent from Linux guests only",
    },
    unset={"library.path": "vmGuestLib.dll in System32, else the one of VMware Tools"},
)


def named(platform: str = sys.platform) -> System:
    """The system of a ``sys.platform``; what is not Windows is taken for a Linux."""
    return WINDOWS if platform == "win32" else LINUX


HERE = named()


def host_name() -> str:
    """This machine's name. Not by :mod:`platform`, which asks WMI on Windows, and WMI may hang."""
    return socket.gethostname()


def windows_release() -> str:
    """Windows' version and build, such as ``10.0.20348``; empty elsewhere. Not by :mod:`platform`, as above."""
    if sys.platform != "win32":
        return ""
    release = sys.getwindowsversion()
    return f"{release.major}.{release.minor}.{release.build}"


def architecture(environ: Mapping[str, str] = os.environ) -> str:
    """The CPU's architecture as the system spells it, such as ``x86_64`` or ``AMD64``; empty where it does not say.

    A 32-bit Python on a 64-bit Windows is told its own in PROCESSOR_ARCHITECTURE (Microsoft, WOW64 Implementation
    Details). Not by :mod:`platform`, as :func:`host_name`.
    """
    if sys.platform != "win32":
        return os.uname().machine
    return environ.get("PROCESSOR_ARCHITEW6432") or environ.get("PROCESSOR_ARCHITECTURE", "")
