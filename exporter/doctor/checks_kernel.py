"""Checks of what stands between the exporter and a vsock: kernel modules, devices, sandboxes, ports, namespaces."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping

from exporter.advice import NEEDS_PRIVILEGE, NO_DEVICE, NO_MODULE, NOT_ALLOWED, Advice, Where
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, warn
from exporter.doctor.world import World
from exporter.transport.vsock import AF_VSOCK

MODULES = ("vsock", "vmw_vmci", "vmw_vsock_vmci_transport")
"""In Linux since 3.9; CONFIG_VSOCKETS, CONFIG_VMWARE_VMCI, CONFIG_VMWARE_VMCI_VSOCKETS."""

RIVALS = {
    "vmw_vsock_virtio_transport": "virtio (KVM)",
    "hv_sock": "Hyper-V",
}
"""Modules of other hypervisors' guests: the kernel has one way to the hypervisor, and who comes first owns it."""

VMCI_DEVICE = ("0x15ad", "0x0740")
"""PCI vendor and device (Linux drivers/misc/vmw_vmci/vmci_guest.c)."""

CAP_NET_BIND_SERVICE = 10
"""linux/capability.h."""


def module(world: World) -> Diagnosis:
    state = {name: module_state(world, name) for name in MODULES}
    facts: Facts = {"modules": state, "kernel": world.kernel}
    missing = [name for name, word in state.items() if word in {"installed", "absent", "unknown"}]
    blocked = [
        f"{path}: {line}"
        for path, line in world.lines("etc/modprobe.d/*.conf")
        if re.match(rf"(blacklist|install)\s+({'|'.join(MODULES)})\b", line.replace("-", "_"))
    ]
    if not missing:
        return ok("The kernel's VSOCK and VMCI modules are there.", **facts)
    names = ", ".join(missing)
    if blocked:
        return fail(
            f"The kernel modules {names} are not loaded, and /etc/modprobe.d forbids it.",
            Advice(
                "vsock-module",
                Where.GUEST,
                f"remove the lines listed, then run `modprobe {MODULES[-1]}`; hardening guides that switch vsock off mean "
                "machines that are no guests of VMware",
            ),
            *blocked,
            **facts,
        )
    if "absent" in state.values():
        absent = ", ".join(name for name, word in state.items() if word == "absent")
        return fail(
            f"The kernel {world.kernel} has no {absent}: it was built or installed without VMware's vsock.",
            Advice(
                "vsock-module",
                Where.GUEST,
                f"install the rest of its modules (Ubuntu: linux-modules-extra-{world.kernel}; Fedora and RHEL: "
                "kernel-modules), or use VMware's library with --source=library",
            ),
            **facts,
        )
    where = "outside of this container, on the VM itself, " if world.container else ""
    return warn(
        f"The kernel modules {names} are not loaded yet; the first vsock loads them where that is allowed.",
        NO_MODULE._replace(text=where + NO_MODULE.text),
        **facts,
    )


def module_state(world: World, name: str) -> str:
    if world.exists(f"sys/module/{name}"):
        return "loaded"
    # A module inside the kernel image shows in /sys/module only where it has parameters.
    folder = f"lib/modules/{world.kernel}"
    file = re.compile(rf"/{name.replace('_', '[_-]')}\.ko")
    sign = _SIGNS.get(name)
    if file.search(world.read(f"{folder}/modules.builtin")) or (sign and sign(world)):
        return "built in"
    listing = world.read(f"{folder}/modules.dep")
    if file.search(listing):
        return "installed"
    # Without a sign of its own it may still be inside a kernel image whose list of modules can't be read.
    return "absent" if listing and sign else "unknown"


_SIGNS: Mapping[str, Callable[[World], bool]] = {
    "vsock": lambda world: "AF_VSOCK" in world.read("proc/net/protocols"),
    "vmw_vmci": lambda world: world.exists("sys/bus/pci/drivers/vmw_vmci"),
    "vmw_vsock_vmci_transport": lambda world: "vmci_transport_connect" in world.symbols,
    "vmw_balloon": lambda world: "vmballoon_work" in world.symbols,
}
"""What shows, beside the kernel's own list, that a module is inside the kernel image."""


def transport(world: World) -> Diagnosis:
    """Another transport that owns the way to the hypervisor."""
    loaded = [name for name in RIVALS if world.exists(f"sys/module/{name}")]
    if world.kernel_version and world.kernel_version < (5, 5) and world.exists("sys/module/vhost_vsock"):
        # Before 5.5 there was one transport in all, for guests and hosts together.
        loaded.append("vhost_vsock")
    if not loaded:
        return ok("No other transport owns vsock.", rivals=loaded)
    names = " and ".join(
        f"{name} ({RIVALS.get(name, 'for virtual machines inside this one')})" for name in loaded
    )
    return warn(
        f"Another vsock transport is loaded: {names}. VMware's may find its place taken.",
        Advice(
            "vsock-transport",
            Where.GUEST,
            f"run `modprobe -r {' '.join(loaded)}`, then `modprobe {MODULES[-1]}`",
        ),
        rivals=loaded,
    )


def device(world: World) -> Diagnosis:
    found = {path: world.exists(path) for path in ("dev/vsock", "dev/vmci")}
    pci = _vmci_on_pci(world)
    facts: Facts = {"dev_vsock": found["dev/vsock"], "dev_vmci": found["dev/vmci"], "pci": pci}
    if pci is False and not found["dev/vmci"]:
        return fail(
            "This VM has no VMCI device (PCI 15ad:0740): vsock has nothing to go through.", NO_DEVICE, **facts
        )
    missing = [f"/{path}" for path, there in found.items() if not there]
    if not missing:
        return ok("The VMCI device is there, and its nodes.", **facts)
    if world.container:
        return ok(
            f"{' and '.join(missing)} can't be seen in this container; GuestRPC does not need them.",
            **facts,
        )
    return warn(
        f"{' and '.join(missing)} can't be seen: the driver did not take the device yet.",
        Advice("vsock-device", Where.GUEST, f"run `modprobe {MODULES[-1]}`, then look for vmci in `dmesg`"),
        **facts,
    )


def _vmci_on_pci(world: World) -> bool | None:
    """None where PCI devices can't be seen."""
    devices = [
        (
            world.read(f"{folder.relative_to(world.root)}/vendor"),
            world.read(f"{folder.relative_to(world.root)}/device"),
        )
        for folder in world.root.glob("sys/bus/pci/devices/*")
    ]
    return VMCI_DEVICE in devices if devices else None


def allowed(world: World) -> Diagnosis:
    """Makes a vsock and closes it, connected to nothing; where that is refused, names the layer that refuses."""
    facts: Facts = {
        "seccomp": _status(world, "Seccomp") == "2",
        "lsm": _confinement(world),
        "container": world.container,
    }
    try:
        world.new_socket(AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        facts["errno"] = errno.errorcode.get(error.errno or 0, str(error.errno))
        return _layer(world, error, facts)
    return ok("This process may open vsocks.", **facts)


def _layer(world: World, error: OSError, facts: Facts) -> Diagnosis:
    reason = os.strerror(error.errno) if error.errno else str(error)
    confined = str(facts["lsm"])
    if error.errno == errno.EAFNOSUPPORT and not facts["seccomp"]:
        return fail(f"The kernel knows no vsock ({reason}).", NO_MODULE, **facts)
    if error.errno == errno.EAFNOSUPPORT:
        return fail(
            f"A seccomp filter denies AF_VSOCK ({reason}): systemd's RestrictAddressFamilies answers so.",
            Advice(
                "vsock-allowed",
                Where.GUEST,
                "add `RestrictAddressFamilies=AF_VSOCK` to the [Service] section (`systemctl edit vmguest-exporter`), then "
                "restart it",
            ),
            **facts,
        )
    if error.errno == errno.EACCES and "selinux" in confined:
        return fail(
            f"SELinux denies AF_VSOCK to {confined.removeprefix('selinux ')}.",
            Advice(
                "vsock-allowed",
                Where.GUEST,
                f"load deploy/container/vmguest_exporter.cil, or a module with `allow {_domain(confined)} self:vsock_socket "
                "{ create bind connect getattr getopt setopt read write shutdown };` (see `ausearch -m avc -ts recent`)",
            ),
            **facts,
        )
    if error.errno == errno.EACCES and "apparmor" in confined:
        return fail(
            f"The AppArmor profile {confined.removeprefix('apparmor ')} denies AF_VSOCK.",
            Advice(
                "vsock-allowed",
                Where.GUEST,
                "add the line `network vsock stream,` to that profile and reload it, or take deploy/container/apparmor",
            ),
            **facts,
        )
    if error.errno in {errno.EPERM, errno.ENOSYS} and facts["seccomp"]:
        engine = f" of {world.container}" if world.container else ""
        return fail(
            f"The seccomp profile{engine} denies AF_VSOCK ({reason}); the default profiles do since late 2022.",
            Advice(
                "vsock-allowed",
                Where.GUEST,
                "start the container with `--security-opt seccomp=deploy/container/seccomp.json` (Kubernetes: "
                "seccompProfile of type Localhost)",
            ),
            **facts,
        )
    return fail(f"This process may not open a vsock ({reason}).", NOT_ALLOWED, **facts)


def _confinement(world: World) -> str:
    """``selinux CONTEXT`` or ``apparmor PROFILE`` where one of them confines this process; else empty."""
    context = world.read("proc/self/attr/current").rstrip("\0")
    if world.read("sys/fs/selinux/enforce") == "1" and context.count(":") >= 2:
        return "" if ":unconfined_t:" in f"{context}:" else f"selinux {context}"
    if context and context != "unconfined" and context.endswith(")"):
        profile, _, mode = context.rpartition(" ")
        return f"apparmor {profile}" if mode == "(enforce)" else ""
    return ""


def _domain(confined: str) -> str:
    return confined.removeprefix("selinux ").split(":")[2]


def _status(world: World, name: str) -> str:
    """One line of /proc/self/status (proc(5))."""
    for line in world.read("proc/self/status").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def privileged_port(world: World) -> Diagnosis:
    effective = _status(world, "CapEff")
    capable = bool(int(effective or "0", 16) >> CAP_NET_BIND_SERVICE & 1)
    mapping = world.read("proc/self/uid_map").split()
    # The kernel asks the initial user namespace, which maps the whole range onto itself.
    initial = not mapping or mapping == ["0", "0", "4294967295"]
    facts: Facts = {"cap_net_bind_service": capable, "initial_user_namespace": initial}
    if capable and initial:
        return ok("Source ports below 1024 are allowed: hosts that demand one will answer.", **facts)
    if capable:
        return warn(
            "This container's root is not the VM's root: source ports below 1024 are denied.",
            NEEDS_PRIVILEGE._replace(
                text=f"run without user-namespace remapping and not rootless. {NEEDS_PRIVILEGE.text}"
            ),
            **facts,
        )
    return warn(
        "Source ports below 1024 are denied to this process; most hosts do not ask for one.",
        NEEDS_PRIVILEGE,
        **facts,
    )


def namespace(world: World) -> Diagnosis:
    """The network namespace's vsock mode (Linux 7.0)."""
    mode = world.read("proc/sys/net/vsock/ns_mode")
    facts: Facts = {"ns_mode": mode}
    if mode != "local":
        words = "is global" if mode else "does not exist in this kernel"
        return ok(
            f"The vsock mode of the network namespace {words}: the hypervisor is not shut off by it.", **facts
        )
    advice = Advice(
        "vsock-namespace",
        Where.GUEST,
        "run in the VM's first network namespace: `hostNetwork: true` in Kubernetes, `--network host` in Docker and Podman",
    )
    if world.answer is not None:
        return warn(
            "This network namespace has a vsock of its own (mode local), yet the host answers.",
            advice,
            **facts,
        )
    return fail(
        "This network namespace has a vsock of its own (mode local), without a hypervisor behind it.",
        advice,
        **facts,
    )
