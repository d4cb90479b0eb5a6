"""Which hypervisor this machine runs on, found without touching vsock or VMware's backdoor.

On anything but VMware, a vsock connection to CID 0 would reach somebody else's host and the backdoor
instruction would kill the process. So vsock is opened only after this module has said VMware.

One function decides, for the exporter and for doctor. Evidence, strongest first:

- Xen's own marks (``/sys/hypervisor``, ``/proc/xen``). A Xen that runs inside VMware shows its first guest the outer
  machine's firmware, devices and even CPUID, and shuts it off from VMware's host all the same.
- CPUID leaf 0x40000000 where the kernel shows it (``/dev/cpu/0/cpuid``: root, and the cpuid module). An x86 CPU
  without the ``hypervisor`` flag (leaf 1, ECX bit 31) is bare metal, unless it has a VMCI device: a VM's
  ``hypervisor.cpuid.v0 = FALSE`` hides the flag, and Linux, systemd and VMware's library look further then.
- The hypervisor node of the device tree, on Arm.
- What ``systemd-detect-virt --vm`` says, where it is installed: it executes CPUID, which Python can't, and touches
  neither ports nor sockets.
- The DMI strings of the firmware, which are world-readable and there in containers too, and which another hypervisor
  can copy. A VMware guest whose DMI shows the host's own strings (``smbios.reflectHost``) is known by its VMCI device,
  which no other hypervisor has.

Source of the signatures: open-vm-tools lib/misc/hostinfoHV.c; Linux arch/x86/kernel/cpu/hypervisor.c.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if sys.platform == "win32":
    from exporter.machine import windows

VMWARE = "VMware"
UNKNOWN = "unknown"

_SIGNATURES = {
    b"VMwareVMware": VMWARE,
    b"KVMKVMKVM\0\0\0": "KVM",
    b"XenVMMXenVMM": "Xen",
    b"Microsoft Hv": "Hyper-V",
    b"VBoxVBoxVBox": "VirtualBox",
    b"bhyve bhyve ": "bhyve",
    b" lrpepyh  vr": "Parallels",
    b"TCGTCGTCGTCG": "QEMU (emulation)",
}

_DMI = (
    ("VMware", VMWARE),
    ("QEMU", "KVM or QEMU"),
    ("KVM", "KVM"),
    ("Amazon EC2", "KVM (Amazon EC2)"),
    ("Google", "KVM (Google Compute Engine)"),
    ("OpenStack", "KVM (OpenStack)"),
    ("Xen", "Xen"),
    ("innotek", "VirtualBox"),
    ("VirtualBox", "VirtualBox"),
    ("Parallels", "Parallels"),
    ("Nutanix", "KVM (Nutanix AHV)"),
)

_DEVICE_TREE = (("vmware", VMWARE), ("linux,kvm", "KVM"), ("xen", "Xen"))
"""Words that ``compatible`` begins with (Linux Documentation/devicetree/bindings; arch/arm64/kernel)."""

_DETECTED = {
    "vmware": VMWARE,
    "kvm": "KVM",
    "qemu": "QEMU (emulation)",
    "amazon": "KVM (Amazon EC2)",
    "google": "KVM (Google Compute Engine)",
    "microsoft": "Hyper-V",
    "oracle": "VirtualBox",
    "xen": "Xen",
    "bhyve": "bhyve",
    "parallels": "Parallels",
}
"""Words of systemd-detect-virt(1)."""

DETECT_VIRT = ("systemd-detect-virt", "--vm")
_LIMIT = 1.0
"""Seconds for it; usually a few milliseconds."""

_CPUID_LEAF = 0x40000000

_VMCI = ("0x15ad", "0x0740")
"""PCI vendor and device of VMCI, which vsock goes through: Linux drivers/misc/vmw_vmci/vmci_guest.c."""


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """``name``: VMware, another hypervisor, ``none`` (bare metal) or ``unknown``; ``evidence`` says from what."""

    name: str
    evidence: str

    @property
    def vmware(self) -> bool:
        return self.name == VMWARE


def detect(
    root: str | os.PathLike[str] = "/",
    platform: str = sys.platform,
    detect_virt: Callable[[], str] | None = None,
) -> Hypervisor:
    """Find the hypervisor by what the file system under ``root`` shows. Never raises.

    ``detect_virt`` gives the word of ``systemd-detect-virt --vm``, empty where it says none; without one the program
    is run where ``root`` is this machine's.
    """
    if platform == "win32":
        return _from_words(_windows_words(), "the registry")
    base = Path(root)
    if (base / "proc/xen/capabilities").exists() or _read(base / "sys/hypervisor/type") == "xen":
        return Hypervisor("Xen", "the kernel runs on it: /sys/hypervisor or /proc/xen")
    signature = _cpuid(base / "dev/cpu/0/cpuid")
    if signature is not None:
        name = _SIGNATURES.get(signature, f"unknown ({signature.decode('ascii', 'replace').strip()})")
        return Hypervisor(name, "CPUID")
    flag = _has_flag(base / "proc/cpuinfo")
    if flag is False and not _has_vmci(base / "sys/bus/pci/devices"):
        return Hypervisor("none", "the CPU does not have the hypervisor flag")
    compatible = _read(base / "proc/device-tree/hypervisor/compatible").strip("\0").replace("\0", ", ")
    if compatible:
        names = (name for word, name in _DEVICE_TREE if compatible.startswith(word))
        return Hypervisor(next(names, UNKNOWN), f"the device tree says {compatible}")
    if detect_virt is None:
        detect_virt = _detect_virt if base == Path("/") else lambda: ""
    return _weigh(_by_firmware(base), detect_virt(), flag=bool(flag))


def _weigh(found: Hypervisor, word: str, *, flag: bool) -> Hypervisor:
    """The firmware's word and that of systemd-detect-virt. VMware it is only where neither names another one."""
    # On Arm, and where the flag is hidden, the program knows no more than the firmware and the device tree say.
    if not word or (word == "none" and not flag):
        return found
    name = "none" if word == "none" else _DETECTED.get(word, word)
    if name == found.name:
        return found
    evidence = f"{found.evidence}; {DETECT_VIRT[0]} says {word}"
    return Hypervisor(name if found.vmware or found.name == UNKNOWN else found.name, evidence)


def _detect_virt() -> str:
    try:
        done = subprocess.run(
            DETECT_VIRT, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip()


def _by_firmware(base: Path) -> Hypervisor:
    folder = base / "sys/class/dmi/id"
    found = _from_words(
        [_read(folder / name) for name in ("sys_vendor", "product_name", "bios_vendor")], "DMI"
    )
    if found.name == UNKNOWN and _has_vmci(base / "sys/bus/pci/devices"):
        return Hypervisor(VMWARE, f"the VMCI device on PCI; {found.evidence}")
    return found


def _from_words(words: list[str], evidence: str) -> Hypervisor:
    shown = f"{evidence} says {' / '.join(word for word in words if word) or 'nothing'}"
    vendor, product = words[0], words[1]
    if vendor == "Microsoft Corporation" and product == "Virtual Machine":
        return Hypervisor("Hyper-V", shown)
    for start, name in _DMI:
        if vendor.startswith(start) or product.startswith(start):
            return Hypervisor(name, shown)
    return Hypervisor(UNKNOWN, shown)


def _has_vmci(folder: Path) -> bool:
    try:
        devices = list(folder.iterdir())
    except OSError:
        return False
    return _VMCI in ((_read(each / "vendor"), _read(each / "device")) for each in devices)


def _cpuid(path: Path) -> bytes | None:
    """The 12 bytes of EBX, ECX, EDX of the hypervisor leaf; None where the kernel does not show them."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if sys.platform == "win32":
            return None
        signature = os.pread(file, 16, _CPUID_LEAF)[4:]
    except OSError:
        return None
    finally:
        os.close(file)
    # Without a hypervisor the leaf repeats the highest basic one: no known signature, and no evidence.
    return signature if signature in _SIGNATURES else None


def _has_flag(cpuinfo: Path) -> bool | None:
    """Whether an x86 CPU shows the hypervisor flag; None on other CPUs, which have no such line."""
    for line in _read(cpuinfo).splitlines():
        if line.startswith("flags"):
            return " hypervisor" in line
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _windows_words() -> list[str]:
    if sys.platform == "win32":
        return windows.firmware()
    return ["", ""]
