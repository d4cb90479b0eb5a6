from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.advice import Where
from exporter.doctor.finding import Verdict
from exporter.doctor.world import Ran
from exporter.errors import RefusedError
from exporter.machine.hypervisor import Hypervisor, detect
from exporter.simulator.curves import constant
from exporter.simulator.scenario import Scenario

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

OTHERS = {
    "KVM": {"sys_vendor": "QEMU", "product_name": "Standard PC"},
    "Amazon EC2": {"sys_vendor": "Amazon EC2", "product_name": "m5.large"},
    "Hyper-V": {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"},
    "Xen": {"sys_vendor": "Xen", "product_name": "HVM domU"},
    "VirtualBox": {"sys_vendor": "innotek GmbH", "product_name": "VirtualBox"},
}


def test_a_vmware_guest_is_one(guest: Guest) -> None:
    found = guest.findings()["hypervisor"]
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == "This is a VMware guest (DMI says VMware, Inc. / VMware7,1)."
    assert guest.connections > 0


@pytest.mark.parametrize("name", OTHERS)
def test_another_hypervisor_is_named_and_nothing_is_asked(guest: Guest, name: str) -> None:
    for file, text in OTHERS[name].items():
        guest.write(f"sys/class/dmi/id/{file}", text)
    guest.programs["systemd-detect-virt --vm"] = Ran(0, "vendor-of-tomorrow")
    findings = guest.findings()
    found = findings["hypervisor"]
    assert found.verdict is Verdict.FAIL
    assert name in found.diagnosis.sentence
    assert "vendor-of-tomorrow" in found.diagnosis.sentence
    assert found.diagnosis.advice is not None
    assert "--source=simulated" in found.diagnosis.advice.sentence
    assert findings["guestrpc-answer"].because == "hypervisor"
    assert findings["steal-clock"].because == "hypervisor"
    assert guest.connections == 0
    assert guest.sockets == []


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (Ran(0, "kvm"), "KVM"),
        (Ran(1, "none"), "none"),
        (Ran(0, "google"), "Google"),
        (Ran(127, ""), "unknown"),
    ],
)
def test_without_dmi_systemd_says_which_hypervisor_it_is(guest: Guest, program: Ran, name: str) -> None:
    guest.remove("sys/class/dmi")
    guest.remove("sys/bus/pci/devices")
    guest.programs["systemd-detect-virt --vm"] = program
    found = guest.finding("hypervisor")
    assert found.verdict is Verdict.FAIL
    assert f"its hypervisor is {name}" in found.diagnosis.sentence or name in found.diagnosis.sentence


def test_copied_dmi_strings_are_not_believed_against_the_cpu(guest: Guest) -> None:
    guest.programs["systemd-detect-virt --vm"] = Ran(0, "kvm")
    found = guest.finding("hypervisor")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.sentence == (
        "This machine is not a VMware guest: its hypervisor is KVM (DMI says VMware, Inc. / VMware7,1; "
        "systemd-detect-virt says kvm), so there is no host to ask."
    )
    assert guest.connections == 0


def test_a_vm_with_its_hosts_dmi_strings_is_known_by_its_device_or_its_cpu(guest: Guest) -> None:
    guest.write("sys/class/dmi/id/sys_vendor", "Dell Inc.")
    guest.write("sys/class/dmi/id/product_name", "PowerEdge R640")
    assert guest.finding("hypervisor").verdict is Verdict.OK
    guest.remove("sys/bus/pci/devices")
    assert guest.finding("hypervisor").verdict is Verdict.OK
    guest.programs["systemd-detect-virt --vm"] = Ran(127, "")
    found = guest.finding("hypervisor")
    assert found.verdict is Verdict.FAIL
    assert "Dell Inc." in found.diagnosis.sentence


# What each machine shows: files, the word of systemd-detect-virt, and whether it is VMware's.
MACHINES: dict[str, tuple[dict[str, str], str, bool]] = {
    "a guest": ({}, "vmware", True),
    "a guest without systemd": ({}, "", True),
    "ESXi on Arm without DMI": (
        {
            "sys/class/dmi/id/sys_vendor": "",
            "sys/class/dmi/id/product_name": "",
            "proc/cpuinfo": "CPU part : 0xd0c\n",
            "proc/device-tree/hypervisor/compatible": "vmware\0",
            "sys/bus/pci/devices/0000:00:07.7/vendor": "0x15ad\n",
            "sys/bus/pci/devices/0000:00:07.7/device": "0x07b0\n",
        },
        "none",
        True,
    ),
    "KVM on Arm": (
        {"proc/cpuinfo": "CPU part : 0xd0c\n", "proc/device-tree/hypervisor/compatible": "linux,kvm\0"},
        "kvm",
        False,
    ),
    "Xen PV inside VMware": ({"sys/hypervisor/type": "xen\n"}, "xen", False),
    "the same without systemd": ({"sys/hypervisor/type": "xen\n"}, "", False),
    "XCP-ng in Workstation, its first guest": ({"proc/xen/capabilities": "control_d\n"}, "none", False),
    "that without systemd": ({"proc/xen/capabilities": "control_d\n"}, "", False),
    "the same where neither is mounted": ({}, "none", False),
    "KVM with copied DMI strings": ({}, "kvm", False),
    "an unheard-of one with copied DMI strings": ({}, "vendor-of-tomorrow", False),
    "KVM that a program takes for VMware": (
        {"sys/class/dmi/id/sys_vendor": "QEMU", "sys/class/dmi/id/product_name": "Standard PC"},
        "vmware",
        False,
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_doctor_says_what_the_exporter_does(guest: Guest, name: str) -> None:
    files, word, vmware = MACHINES[name]
    for file, text in files.items():
        guest.write(file, text)
    guest.programs["systemd-detect-virt --vm"] = Ran(0 if word else 127, word)
    assert detect(guest.root, "linux", detect_virt=lambda: word).vmware is vmware
    findings = guest.findings("hypervisor", "guestrpc-answer")
    assert findings["hypervisor"].verdict is (Verdict.OK if vmware else Verdict.FAIL)
    assert (guest.connections > 0) is vmware


def test_cpuid_needs_no_second_opinion(guest: Guest) -> None:
    guest.programs["systemd-detect-virt --vm"] = Ran(0, "kvm")
    guest.world["find_hypervisor"] = lambda root: Hypervisor("VMware", "CPUID")
    assert guest.finding("hypervisor").verdict is Verdict.OK


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (".dockerenv", "", "Docker"),
        ("run/.containerenv", "", "Podman"),
        ("run/systemd/container", "systemd-nspawn", "systemd-nspawn"),
        ("proc/1/environ", "PATH=/bin\0container=oci\0", "oci"),
        ("proc/self/cgroup", "0::/kubepods/besteffort/pod1", "Kubernetes"),
        ("proc/self/cgroup", "0::/system.slice/containerd.service/x", "containerd"),
    ],
)
def test_containers_are_named(guest: Guest, file: str, text: str, name: str) -> None:
    guest.write(file, text)
    found = guest.finding("container")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.sentence == f"This runs in a container ({name})."


def test_kubernetes_is_named_by_its_variable(guest: Guest) -> None:
    guest.world["environ"] = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert guest.finding("container").diagnosis.facts["container"] == "Kubernetes"


def test_outside_of_containers_nothing_is_named(guest: Guest) -> None:
    guest.write("proc/1/environ", "PATH=/bin\0")
    guest.write("proc/self/cgroup", "0::/user.slice")
    assert guest.finding("container").diagnosis.sentence == "This is no container."


@pytest.mark.parametrize(
    ("machine", "bits", "verdict", "word"),
    [
        ("x86_64", 64, Verdict.OK, "64 bits"),
        ("AMD64", 64, Verdict.OK, "64 bits"),
        ("x86_64", 32, Verdict.WARN, "32 bits"),
        ("i686", 32, Verdict.WARN, "32 bits"),
        ("aarch64", 64, Verdict.WARN, "Arm"),
        ("s390x", 64, Verdict.FAIL, "s390x"),
    ],
)
def test_architecture(guest: Guest, machine: str, bits: int, verdict: Verdict, word: str) -> None:
    guest.world |= {"machine": machine, "bits": bits}
    found = guest.finding("architecture")
    assert found.verdict is verdict
    assert word in found.diagnosis.sentence
    assert (found.diagnosis.advice is None) is (verdict is Verdict.OK)


def no_steal(guest: Guest) -> None:
    guest.write("proc/stat", "cpu  1 2 3 4 5 6 7 0 0 0\n")


def test_steal_that_counts_works(guest: Guest) -> None:
    assert guest.finding("steal-clock").diagnosis.sentence == "The guest kernel's own steal time counts."


def test_steal_switched_off_at_boot(guest: Guest) -> None:
    no_steal(guest)
    guest.write("proc/cmdline", "quiet no-steal-acc\n")
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert (
        found.diagnosis.advice.sentence == "In the guest: remove no-steal-acc from the kernel's command line."
    )


@pytest.mark.parametrize(
    ("kernel", "symbols"), [("4.19.0-27-amd64", ""), ("6.1.0", "ffffffff81000000 T vmci_qpair_alloc\n")]
)
def test_steal_missing_in_the_kernel(guest: Guest, kernel: str, symbols: str) -> None:
    no_steal(guest)
    guest.write("proc/sys/kernel/osrelease", kernel)
    if symbols:
        guest.write("proc/kallsyms", symbols)
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.where is Where.GUEST
    assert "5.7" in found.diagnosis.advice.text


def stolen(milliseconds: int) -> Scenario:
    """A host that says so much of stolen time."""
    return Scenario("test", "", set={19: constant(milliseconds)})


def test_steal_missing_on_the_vm(guest: Guest) -> None:
    no_steal(guest)
    # A distribution's older kernel that has the change: its symbols count more than its number.
    guest.write("proc/sys/kernel/osrelease", "4.18.0-553.el8")
    guest.write("proc/kallsyms", "ffffffff81000000 t vmware_steal_clock\n")
    guest.scenario = stolen(777)
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.facts["host_stolen_ms"] == 777
    assert found.diagnosis.advice is not None
    assert found.diagnosis.advice.where is Where.VM
    assert "stealclock.enable = TRUE" in found.diagnosis.advice.text
    assert "hardware version 13" in found.diagnosis.advice.text


def test_a_steal_clock_in_the_kernels_log_is_on(guest: Guest) -> None:
    no_steal(guest)
    guest.scenario = stolen(777)
    guest.programs["dmesg"] = Ran(0, "[0.0] vmware-stealclock: cpu 0, pa 23fc2a000")
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.OK
    assert "steal clock is on" in found.diagnosis.sentence


def test_where_nothing_was_stolen_nothing_can_be_told(guest: Guest) -> None:
    no_steal(guest)
    guest.scenario = stolen(0)
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.OK
    assert "neither can be told" in found.diagnosis.sentence


def test_steal_is_looked_at_although_the_host_does_not_answer(guest: Guest) -> None:
    guest.write("proc/stat", "intr 1\n")
    guest.refuses = lambda privileged: RefusedError("no")
    found = guest.finding("steal-clock")
    assert found.verdict is Verdict.WARN
    assert "host_stolen_ms" not in found.diagnosis.facts


def test_a_clock_that_is_synchronised(guest: Guest) -> None:
    found = guest.finding("clock")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["clocksource"] == "tsc"


def test_a_clock_that_is_not_synchronised(guest: Guest) -> None:
    guest.programs["timedatectl show"] = Ran(0, "no")
    found = guest.finding("clock")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert "timedatectl set-ntp true" in found.diagnosis.advice.text


def test_a_clock_far_off(guest: Guest) -> None:
    guest.world["wall"] = lambda: 0.0
    found = guest.finding("clock")
    assert found.verdict is Verdict.FAIL
    assert "1970-01-01T00:00:00Z" in found.diagnosis.sentence


def test_a_clock_of_which_nothing_is_said(guest: Guest) -> None:
    guest.programs["timedatectl show"] = Ran(1, "", "System has not been booted with systemd")
    found = guest.finding("clock")
    assert found.verdict is Verdict.OK
    assert "can't be seen" in found.diagnosis.sentence
