from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from exporter.advice import Where
from exporter.doctor import checks_kernel
from exporter.doctor.finding import Finding, Verdict
from exporter.errors import NoDeviceError

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

MODULES = "lib/modules/6.1.0-18-amd64"
TRANSPORT = "vmw_vsock_vmci_transport"
INSTALLED = (
    "kernel/net/vmw_vsock/vsock.ko.xz:\nkernel/net/vmw_vsock/vmw_vsock_vmci_transport.ko.xz: kernel/x\n"
)


def advice(finding: Finding) -> str:
    assert finding.diagnosis.advice is not None
    assert finding.diagnosis.advice.code == finding.code
    return finding.diagnosis.advice.sentence


def unload(guest: Guest, *names: str) -> None:
    for name in names:
        guest.remove(f"sys/module/{name}")


def test_modules_that_are_loaded(guest: Guest) -> None:
    found = guest.finding("vsock-module")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["modules"] == {"vsock": "loaded", "vmw_vmci": "loaded", TRANSPORT: "loaded"}


def test_a_module_that_is_installed_but_not_loaded(guest: Guest) -> None:
    unload(guest, TRANSPORT)
    guest.write(f"{MODULES}/modules.dep", INSTALLED)
    findings = guest.findings()
    found = findings["vsock-module"]
    assert found.verdict is Verdict.WARN
    assert TRANSPORT in found.diagnosis.sentence
    assert advice(found).startswith("In the guest: run `modprobe vmw_vsock_vmci_transport`")
    # The kernel may load it at the first vsock, so that is tried.
    assert findings["guestrpc-answer"].verdict is Verdict.OK


def test_in_a_container_the_vm_loads_the_module(guest: Guest) -> None:
    unload(guest, TRANSPORT)
    guest.write(".dockerenv", "")
    found = guest.finding("vsock-module")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.facts["modules"] == {"vsock": "loaded", "vmw_vmci": "loaded", TRANSPORT: "unknown"}
    assert advice(found).startswith(
        "In the guest: outside of this container, on the VM itself, run `modprobe"
    )


def test_a_module_that_the_kernel_lacks(guest: Guest) -> None:
    unload(guest, TRANSPORT)
    guest.write(f"{MODULES}/modules.dep", "kernel/net/vmw_vsock/vsock.ko.xz:\n")
    findings = guest.findings()
    found = findings["vsock-module"]
    assert found.verdict is Verdict.FAIL
    assert "linux-modules-extra-6.1.0-18-amd64" in advice(found)
    assert findings["vsock-allowed"].because == "vsock-module"
    assert findings["guestrpc-answer"].because == "vsock-module"
    assert guest.sockets == []


@pytest.mark.parametrize("line", ["install vsock /bin/false", "blacklist vmw-vsock-vmci-transport"])
def test_a_module_that_is_forbidden(guest: Guest, line: str) -> None:
    unload(guest, "vsock", TRANSPORT)
    guest.write(f"{MODULES}/modules.dep", INSTALLED)
    guest.write("etc/modprobe.d/cis.conf", f"# CIS 3.4\n{line}\n")
    found = guest.finding("vsock-module")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.details == (f"/etc/modprobe.d/cis.conf: {line}",)
    assert "remove the lines listed" in advice(found)


def test_modules_inside_the_kernel_image(guest: Guest) -> None:
    unload(guest, "vsock", "vmw_vmci", TRANSPORT)
    guest.write(f"{MODULES}/modules.builtin", "kernel/net/vmw_vsock/vsock.ko\n")
    guest.write("sys/bus/pci/drivers/vmw_vmci/bind", "")
    guest.write("proc/kallsyms", "ffffffff81000000 t vmci_transport_connect\nffffffff81000001 t other\n")
    found = guest.finding("vsock-module")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["modules"] == {
        "vsock": "built in",
        "vmw_vmci": "built in",
        TRANSPORT: "built in",
    }


@pytest.mark.parametrize("listing", ["", INSTALLED])
def test_of_a_module_without_a_sign_nothing_is_said(
    guest: Guest, listing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks_kernel, "MODULES", ("vsock", "vmw_pvscsi"))
    guest.write("proc/kallsyms", "ffffffff81000000 t vmci_transport_connect\n")
    guest.write(f"{MODULES}/modules.dep", listing)
    found = guest.finding("vsock-module")
    assert found.diagnosis.facts["modules"] == {"vsock": "loaded", "vmw_pvscsi": "unknown"}


def test_vsock_inside_the_kernel_image_shows_in_its_protocols(guest: Guest) -> None:
    unload(guest, "vsock")
    guest.write("proc/net/protocols", "protocol  size\nAF_VSOCK  1088\n")
    assert guest.finding("vsock-module").verdict is Verdict.OK


@pytest.mark.parametrize(
    ("module", "kernel", "word"),
    [
        ("vmw_vsock_virtio_transport", "6.1.0", "virtio (KVM)"),
        ("hv_sock", "6.1.0", "Hyper-V"),
        ("vhost_vsock", "4.19.0", "virtual machines inside this one"),
    ],
)
def test_another_transport(guest: Guest, module: str, kernel: str, word: str) -> None:
    guest.write(f"sys/module/{module}/refcnt", "")
    guest.write("proc/sys/kernel/osrelease", kernel)
    found = guest.finding("vsock-transport")
    assert found.verdict is Verdict.WARN
    assert word in found.diagnosis.sentence
    assert f"modprobe -r {module}" in advice(found)


def test_virtual_machines_inside_do_no_harm_to_a_newer_kernel(guest: Guest) -> None:
    guest.write("sys/module/vhost_vsock/refcnt", "")
    assert guest.finding("vsock-transport").verdict is Verdict.OK


def test_a_vm_without_the_device(guest: Guest) -> None:
    guest.write("sys/bus/pci/devices/0000:00:07.7/device", "0x07b0\n")
    guest.remove("dev/vmci")
    found = guest.finding("vsock-device")
    assert found.verdict is Verdict.FAIL
    assert advice(found).startswith("On the VM: look for vmci0.present = FALSE")


def test_a_device_without_its_driver(guest: Guest) -> None:
    guest.remove("dev/vmci")
    found = guest.finding("vsock-device")
    assert found.verdict is Verdict.WARN
    assert "/dev/vmci" in found.diagnosis.sentence


def test_nodes_are_not_needed_in_a_container(guest: Guest) -> None:
    guest.remove("dev/vmci")
    guest.remove("dev/vsock")
    guest.write(".dockerenv", "")
    found = guest.finding("vsock-device")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence.startswith("/dev/vsock and /dev/vmci can't be seen in this container")


def test_where_pci_can_not_be_seen_the_nodes_count(guest: Guest) -> None:
    guest.remove("sys/bus/pci")
    found = guest.finding("vsock-device")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["pci"] is None


def refused(guest: Guest, number: int) -> Finding:
    guest.vsock = OSError(number, "refused")
    findings = guest.findings()
    assert findings["guestrpc-answer"].because == "vsock-allowed"
    assert findings["vsock-allowed"].verdict is Verdict.FAIL
    return findings["vsock-allowed"]


def test_a_vsock_is_made_and_closed(guest: Guest) -> None:
    assert guest.finding("vsock-allowed").verdict is Verdict.OK
    assert len(guest.sockets) == 1
    assert guest.sockets[0].closed


def test_a_kernel_without_the_family(guest: Guest) -> None:
    found = refused(guest, errno.EAFNOSUPPORT)
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.code == "vsock-module"


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_seccomp_profile(guest: Guest, number: int) -> None:
    guest.write("proc/self/status", "CapEff:\t0\nSeccomp:\t2\n")
    guest.write(".dockerenv", "")
    found = refused(guest, number)
    assert "seccomp profile of Docker denies AF_VSOCK" in found.diagnosis.sentence
    assert "--security-opt seccomp=deploy/container/seccomp.json" in advice(found)


def test_systemd_denies_by_seccomp_too(guest: Guest) -> None:
    guest.write("proc/self/status", "CapEff:\t0\nSeccomp:\t2\n")
    found = refused(guest, errno.EAFNOSUPPORT)
    assert "RestrictAddressFamilies=AF_VSOCK" in advice(found)


def test_apparmor(guest: Guest) -> None:
    guest.write("proc/self/status", "Seccomp:\t2\n")
    guest.write("proc/self/attr/current", "docker-default (enforce)\n")
    found = refused(guest, errno.EACCES)
    assert found.diagnosis.sentence == "The AppArmor profile docker-default denies AF_VSOCK."
    assert "`network vsock stream,`" in advice(found)


def test_selinux(guest: Guest) -> None:
    guest.write("sys/fs/selinux/enforce", "1")
    guest.write("proc/self/attr/current", "system_u:system_r:container_t:s0:c1,c2\0")
    found = refused(guest, errno.EACCES)
    assert "SELinux denies AF_VSOCK to system_u:system_r:container_t:s0:c1,c2" in found.diagnosis.sentence
    assert "allow container_t self:vsock_socket" in advice(found)


@pytest.mark.parametrize(
    ("context", "enforce"),
    [("unconfined\n", "0"), ("docker-default (complain)", "0"), ("u:r:unconfined_t:s0", "1"), ("", "1")],
)
def test_a_refusal_by_nobody_known(guest: Guest, context: str, enforce: str) -> None:
    guest.write("proc/self/attr/current", context)
    guest.write("sys/fs/selinux/enforce", enforce)
    found = refused(guest, errno.EACCES)
    assert found.diagnosis.facts["lsm"] == ""
    assert "may not open a vsock" in found.diagnosis.sentence
    assert "sandbox" in advice(found)


def test_a_refusal_without_a_number(guest: Guest) -> None:
    guest.vsock = OSError("it is just so")
    found = guest.finding("vsock-allowed")
    assert "it is just so" in found.diagnosis.sentence


def test_a_port_below_1024(guest: Guest) -> None:
    assert guest.finding("privileged-port").verdict is Verdict.OK


def test_no_port_below_1024(guest: Guest) -> None:
    guest.write("proc/self/status", "CapEff:\t0000000000000000\n")
    found = guest.finding("privileged-port")
    assert found.verdict is Verdict.WARN
    assert "CAP_NET_BIND_SERVICE" in advice(found)


def test_the_root_of_a_user_namespace_is_not_the_vms(guest: Guest) -> None:
    guest.write("proc/self/uid_map", "0 100000 65536\n")
    found = guest.finding("privileged-port")
    assert found.verdict is Verdict.WARN
    assert "rootless" in advice(found)


def test_a_system_without_user_namespaces(guest: Guest) -> None:
    guest.remove("proc/self/uid_map")
    guest.write("proc/self/status", "Name:\tpython\nCapEff:\t400\n")
    assert guest.finding("privileged-port").verdict is Verdict.OK


def test_capabilities_that_can_not_be_read(guest: Guest) -> None:
    guest.remove("proc/self/status")
    assert guest.finding("privileged-port").verdict is Verdict.WARN


@pytest.mark.parametrize("mode", ["", "global"])
def test_a_namespace_that_sees_the_hypervisor(guest: Guest, mode: str) -> None:
    if mode:
        guest.write("proc/sys/net/vsock/ns_mode", mode)
    assert guest.finding("vsock-namespace").verdict is Verdict.OK


def test_a_namespace_of_its_own_explains_silence(guest: Guest) -> None:
    guest.write("proc/sys/net/vsock/ns_mode", "local\n")
    guest.refuses = lambda privileged: NoDeviceError("can't be reached", errno.ENODEV)
    found = guest.finding("vsock-namespace")
    assert found.verdict is Verdict.FAIL
    assert "hostNetwork: true" in advice(found)
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.where is Where.GUEST


def test_a_namespace_of_its_own_that_works_is_worth_a_word(guest: Guest) -> None:
    guest.write("proc/sys/net/vsock/ns_mode", "local\n")
    assert guest.finding("vsock-namespace").verdict is Verdict.WARN
