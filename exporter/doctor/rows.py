"""Every finding, a row each, in the order of the report. To add one, write its function and add a row.

Codes are public API: they stand in ``--json``, in docs/doctor.md and in advice elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.doctor import (
    checks_balloon,
    checks_exporter,
    checks_extended,
    checks_ha,
    checks_hardening,
    checks_host,
    checks_kernel,
    checks_library,
    checks_machine,
    checks_network,
)
from exporter.doctor.finding import Check
from exporter.machine.system import named

_WIRE = "guestrpc"
_LIBRARY = "library"
_ASKS = ("guestrpc-answer",)
_GIVES = ("statistics-enabled",)

# fmt: off
CHECKS: tuple[Check, ...] = (
    Check(
        "hypervisor", "Hypervisor",
        "Which hypervisor this is, decided as the exporter does: Xen, CPUID, device tree, systemd-detect-virt, DMI, VMCI. "
        "Nothing asks the host unless it is VMware's.",
        checks_machine.hypervisor, linux=False,
    ),
    Check("container", "Container", "Which container engine this runs in.", checks_machine.container),
    Check(
        "architecture", "Architecture", "Whether VMware has guests of this kind, and bits of Python and library match.",
        checks_machine.architecture, linux=False,
    ),
    Check(
        "vsock-module", "Kernel modules", "Kernel modules vsock, vmw_vmci and vmw_vsock_vmci_transport: loaded, built in, "
        "installed, or forbidden in /etc/modprobe.d.",
        checks_kernel.module, ("hypervisor",), source=_WIRE, real=True,
    ),
    Check(
        "vsock-transport", "Other transports", "Whether another hypervisor's vsock transport has taken VMCI's place.",
        checks_kernel.transport, ("hypervisor",), source=_WIRE, real=True,
    ),
    Check(
        "vsock-device", "VMCI device", "PCI device 15ad:0740, /dev/vsock and /dev/vmci.",
        checks_kernel.device, ("hypervisor",), source=_WIRE, real=True,
    ),
    Check(
        "vsock-allowed", "Sandbox", "Whether this process may open a vsock, and which layer refuses: seccomp, AppArmor, "
        "SELinux, systemd.",
        checks_kernel.allowed, ("hypervisor", "vsock-module"), source=_WIRE, real=True,
    ),
    Check(
        "privileged-port", "Privileged port", "CAP_NET_BIND_SERVICE in the initial user namespace: source ports below 1024.",
        checks_kernel.privileged_port, ("hypervisor",), source=_WIRE, real=True,
    ),
    Check(
        "balloon-driver", "Balloon driver", "Kernel module vmw_balloon: loaded, built in, installed, or forbidden in "
        "/etc/modprobe.d; target and size in debugfs, where they can be read.",
        checks_balloon.driver, ("hypervisor",), real=True,
    ),
    Check(
        "guestrpc-answer", "GuestRPC", "Whether the host answers over GuestRPC, and how fast.",
        checks_host.answers, ("hypervisor", "vsock-allowed"), source=_WIRE,
    ),
    Check(
        "statistics-enabled", "Guest statistics", "Whether the host gives guest statistics "
        "(isolation.tools.guestlibGetInfo.disable).",
        checks_host.enabled, _ASKS, source=_WIRE,
    ),
    Check(
        "protocol-version", "Protocol", "Version of the host's replies: 3, or 2 from ESX 3.x.",
        checks_host.protocol, _GIVES, source=_WIRE,
    ),
    Check(
        "statistics-given", "Statistics", "Each statistic that this host does not give, and why.",
        checks_host.given, _GIVES, source=_WIRE,
    ),
    Check(
        "extended-statistics", "Extended statistics", "Whether the host has them, in which encodings, and which groups the exporter gets.",
        checks_extended.extended_statistics, _ASKS, source=_WIRE, limit=3.5,
    ),
    Check(
        "library-present", "VMware's library", "Whether libguestlib or libvmGuestLib is installed; on Windows vmGuestLib.dll, and whether it loads.",
        checks_library.present, source=_LIBRARY, linux=False, limit=2.0,
    ),
    Check(
        "library-version", "Its version", "Package and version that the library comes from; on Windows the version in the file.",
        checks_library.library_version, ("library-present",), source=_LIBRARY, linux=False,
    ),
    Check(
        "library-symbols", "Its functions", "Functions that an older library lacks.",
        checks_library.symbols, ("library-present",), source=_LIBRARY, linux=False,
    ),
    Check(
        "library-dependencies", "What it needs", "Shared objects that it needs: there, and glib and libtirpc new enough.",
        checks_library.dependencies, ("library-present",), source=_LIBRARY,
    ),
    Check(
        "library-answer", "Its answer", "Whether the library, in its own process, gets statistics.",
        checks_library.answers, ("hypervisor", "library-present", "library-dependencies"),
        ("guestrpc-answer",), source=_LIBRARY, linux=False, limit=2.0,
    ),
    Check(
        "tools-version", "VMware Tools", "VMware Tools or open-vm-tools 11.0 or later, and what is missing in older ones.",
        checks_library.tools, after=("hypervisor",), source=_LIBRARY, linux=False,
    ),
    Check(
        "ha-supported", "HA monitoring", "Whether the host has HA Application Monitoring.",
        checks_ha.supported, _ASKS, source=_WIRE,
    ),
    Check(
        "ha-enabled", "HA heartbeats", "Whether the host expects heartbeats, and how vSphere HA sees them.",
        checks_ha.enabled, ("ha-supported",), source=_WIRE,
    ),
    Check(
        "ha-secure-channel", "HA secure channel", "Whether the host wants a privileged source port "
        "(guest_rpc.rpci.auth.app.APP_MONITOR).",
        checks_ha.secure_channel, ("ha-supported",), source=_WIRE, real=True, limit=2.5,
    ),
    Check(
        "ha-fault-tolerance", "HA and Fault Tolerance", "What Fault Tolerance would not let through.",
        checks_ha.fault_tolerance, ("ha-supported",), ("ha-secure-channel",), source=_WIRE, real=True,
    ),
    Check(
        "hardening", "Hardening", "Hardening switches by name, with their control ids and what can be seen of them.",
        checks_hardening.hardening, _ASKS, ("ha-secure-channel",), source=_WIRE,
    ),
    Check(
        "vsock-namespace", "Network namespace", "Mode of the network namespace's vsock (Linux 7.0: global or local).",
        checks_kernel.namespace, ("hypervisor",), ("guestrpc-answer",), source=_WIRE, real=True,
    ),
    Check(
        "steal-clock", "Kernel's steal time", "Whether the guest kernel's own steal time works; else which of kernel, VM "
        "option and hardware version is missing.",
        checks_machine.steal_clock, ("hypervisor",), ("statistics-enabled",), real=True,
    ),
    Check("clock", "Clock", "Whether the clock is plausible and synchronised.", checks_machine.clock, linux=False),
    Check(
        "port-free", "Listen address", "Whether the exporter can listen, or already does.",
        checks_exporter.port, linux=False,
    ),
    Check(
        "tls-files", "Certificates", "Certificates and keys: readable, matching, not about to end.",
        checks_network.tls_files, linux=False,
    ),
    Check(
        "otlp-endpoint", "OTLP receiver", "Whether the OTLP receiver takes a connection.",
        checks_network.otlp_endpoint, after=("tls-files",), linux=False, limit=2.5,
    ),
    Check(
        "config-file", "Settings", "Whether flags, variables and settings file are valid.",
        checks_exporter.config_file, linux=False,
    ),
    Check(
        "other-exporter", "Other exporters", "Other exporters, and other programs that send heartbeats.",
        checks_exporter.others,
    ),
)
# fmt: on
"""``needs`` and ``after`` are what the functions expect the world to know by then."""


def choose(source: str, platform: str, *, simulated: bool = False) -> list[Check]:
    """The rows that matter to ``source`` (``auto``: all) on this system, with or without a real host.

    A library that is forced is asked whatever the hypervisor seems to be, as the exporter does: it looks by itself.
    """
    patience = named(platform).patience
    forced = source == _LIBRARY

    def of_library(check: Check) -> Check:
        needs = tuple(code for code in check.needs if not (forced and code == "hypervisor"))
        return replace(check, needs=needs, limit=check.limit * patience)

    return [
        of_library(check) if check.source == _LIBRARY else check
        for check in CHECKS
        if (source == "auto" or check.source in {"", source})
        and (platform.startswith("linux") or not check.linux)
        and not (simulated and check.real)
    ]
