"""Which hypervisor, from fake roots: VMware only on good evidence."""

from pathlib import Path

import pytest

from exporter.machine import hypervisor
from exporter.machine.hypervisor import Hypervisor, detect


def make(
    root: Path,
    vendor: str = "",
    product: str = "",
    flags: str | None = "fpu hypervisor lahf_lm",
    cpuid: bytes = b"",
) -> Path:
    folder = root / "sys/class/dmi/id"
    folder.mkdir(parents=True)
    if vendor:
        (folder / "sys_vendor").write_text(vendor + "\n")
    if product:
        (folder / "product_name").write_text(product + "\n")
    (root / "proc").mkdir()
    lines = "processor\t: 0\n" + (f"flags\t\t: {flags}\n" if flags is not None else "CPU part\t: 0xd0c\n")
    (root / "proc/cpuinfo").write_text(lines)
    if cpuid:
        path = root / "dev/cpu/0/cpuid"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.seek(0x40000000)
            file.write(b"\x10\0\0\x40" + cpuid)
    return root


@pytest.mark.parametrize(
    ("vendor", "product", "name"),
    [
        ("VMware, Inc.", "VMware Virtual Platform", "VMware"),
        ("VMware, Inc.", "VMware20,1", "VMware"),
        ("VMware, Inc.", "", "VMware"),
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)", "KVM or QEMU"),
        ("Microsoft Corporation", "Virtual Machine", "Hyper-V"),
        ("Microsoft Corporation", "Surface Laptop", "unknown"),
        ("innotek GmbH", "VirtualBox", "VirtualBox"),
        ("Amazon EC2", "m7i.large", "KVM (Amazon EC2)"),
        ("Google", "Google Compute Engine", "KVM (Google Compute Engine)"),
        ("Xen", "HVM domU", "Xen"),
        ("", "", "unknown"),
    ],
)
def test_by_dmi(tmp_path: Path, vendor: str, product: str, name: str) -> None:
    found = detect(make(tmp_path, vendor, product), "linux")
    assert found.name == name
    assert found.vmware == (name == "VMware")
    assert "DMI says" in found.evidence


def test_arm_has_no_flags_line_and_goes_by_dmi(tmp_path: Path) -> None:
    assert detect(make(tmp_path, "VMware, Inc.", "VMware20,1", flags=None), "linux").vmware


def test_a_cpu_without_the_flag_is_bare_metal_whatever_dmi_says(tmp_path: Path) -> None:
    found = detect(make(tmp_path, "VMware, Inc.", "VMware7,1", flags="fpu vme"), "linux")
    assert found == Hypervisor("none", "the CPU does not have the hypervisor flag")


@pytest.mark.parametrize(("word", "vmware"), [("", True), ("vmware", True), ("none", True), ("kvm", False)])
def test_a_guest_whose_flag_is_hidden_is_known_by_its_vmci_device(
    tmp_path: Path, word: str, vmware: bool
) -> None:
    """``hypervisor.cpuid.v0 = FALSE``; beside it ``smbios.reflectHost``, for which systemd-detect-virt says none."""
    for vendor in ("VMware, Inc.", "Dell Inc."):
        root = make(tmp_path / vendor, vendor, "x", flags="fpu vme")
        assert detect(with_pci(root, ("0x15ad", "0x0740")), "linux", lambda: word).vmware is vmware


@pytest.mark.parametrize(
    ("signature", "name"),
    [(b"VMwareVMware", "VMware"), (b"KVMKVMKVM\0\0\0", "KVM"), (b"Microsoft Hv", "Hyper-V")],
)
def test_cpuid_overrules_dmi(tmp_path: Path, signature: bytes, name: str) -> None:
    found = detect(make(tmp_path, "VMware, Inc.", "VMware7,1", cpuid=signature), "linux")
    assert found == Hypervisor(name, "CPUID")


def test_an_unknown_cpuid_leaf_is_no_evidence(tmp_path: Path) -> None:
    found = detect(make(tmp_path, "QEMU", "x", cpuid=b"\x07\0\0\0\x40\x04\0\0\x40\x04\0\0"), "linux")
    assert found.name == "KVM or QEMU"


def test_an_unreadable_cpuid_device_is_no_evidence(tmp_path: Path) -> None:
    root = make(tmp_path, "VMware, Inc.", "VMware7,1")
    (root / "dev/cpu/0/cpuid").mkdir(parents=True)
    assert detect(root, "linux").evidence.startswith("DMI")


def with_pci(root: Path, *devices: tuple[str, str]) -> Path:
    for number, (vendor, device) in enumerate(devices):
        folder = root / f"sys/bus/pci/devices/0000:00:{number:02x}.0"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "device").write_text(f"{device}\n")
    return root


def test_a_guest_that_shows_its_hosts_dmi_is_known_by_the_vmci_device(tmp_path: Path) -> None:
    root = with_pci(make(tmp_path, "Dell Inc.", "PowerEdge R750"), ("0x8086", "0x7190"), ("0x15ad", "0x0740"))
    assert detect(root, "linux") == Hypervisor(
        "VMware", "the VMCI device on PCI; DMI says Dell Inc. / PowerEdge R750"
    )


@pytest.mark.parametrize("device", ["0x0405", "0x07b0", "0x07c0"])
def test_devices_that_qemu_emulates_are_no_evidence(tmp_path: Path, device: str) -> None:
    """Graphics, vmxnet3 and pvscsi."""
    root = with_pci(make(tmp_path, "Dell Inc.", "PowerEdge R750"), ("0x15ad", device))
    assert detect(root, "linux").name == "unknown"


def test_the_vmci_device_overrules_nothing(tmp_path: Path) -> None:
    root = with_pci(make(tmp_path, "QEMU", "x"), ("0x15ad", "0x0740"))
    assert detect(root, "linux").name == "KVM or QEMU"


@pytest.mark.parametrize(
    ("file", "text"), [("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "control_d\n")]
)
@pytest.mark.parametrize("cpuid", [b"", b"VMwareVMware"])
def test_a_kernel_on_xen_is_on_xen_whatever_the_outer_machine_shows(
    tmp_path: Path, file: str, text: str, cpuid: bytes
) -> None:
    root = with_pci(make(tmp_path, "VMware, Inc.", "VMware7,1", cpuid=cpuid), ("0x15ad", "0x0740"))
    (root / file).parent.mkdir(parents=True)
    (root / file).write_text(text)
    assert detect(root, "linux", lambda: "vmware").name == "Xen"


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        ("vmware\0", "VMware"),
        ("linux,kvm\0", "KVM"),
        ("xen,xen-4.14\0xen,xen\0", "Xen"),
        ("new\0", "unknown"),
    ],
)
def test_arm_by_the_device_tree(tmp_path: Path, compatible: str, name: str) -> None:
    root = make(tmp_path, flags=None)
    folder = root / "proc/device-tree/hypervisor"
    folder.mkdir(parents=True)
    (folder / "compatible").write_text(compatible)
    found = detect(root, "linux")
    assert found.name == name
    assert found.evidence.startswith("the device tree says ")


@pytest.mark.parametrize(
    ("vendor", "word", "name"),
    [
        ("VMware, Inc.", "vmware", "VMware"),
        ("VMware, Inc.", "", "VMware"),
        ("VMware, Inc.", "kvm", "KVM"),
        ("VMware, Inc.", "none", "none"),
        ("Dell Inc.", "vmware", "VMware"),
        ("Dell Inc.", "none", "none"),
        ("QEMU", "vmware", "KVM or QEMU"),
        ("QEMU", "kvm", "KVM or QEMU"),
        ("", "new-one", "new-one"),
    ],
)
def test_vmware_is_what_neither_firmware_nor_program_contradicts(
    tmp_path: Path, vendor: str, word: str, name: str
) -> None:
    assert detect(make(tmp_path, vendor, "x"), "linux", lambda: word).name == name


def test_a_program_that_knows_no_cpuid_is_no_evidence_on_arm(tmp_path: Path) -> None:
    assert detect(make(tmp_path, "VMware, Inc.", "VMware20,1", flags=None), "linux", lambda: "none").vmware


def test_the_program_is_not_asked_about_another_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "_detect_virt", lambda: "kvm")
    assert detect(make(tmp_path, "VMware, Inc.", "VMware7,1"), "linux").vmware


def test_a_program_that_is_not_there_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "DETECT_VIRT", ("no-such-program",))
    assert hypervisor._detect_virt() == ""


def test_an_empty_root_is_unknown(tmp_path: Path) -> None:
    assert detect(tmp_path, "linux") == Hypervisor("unknown", "DMI says nothing")


def test_windows_goes_by_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "_windows_words", lambda: ["VMware, Inc.", "VMware7,1"])
    assert detect(platform="win32") == Hypervisor("VMware", "the registry says VMware, Inc. / VMware7,1")


def test_this_machine_is_not_vmware() -> None:
    """The rest of this suite relies on it: nothing may reach a real hypervisor."""
    assert not detect().vmware
