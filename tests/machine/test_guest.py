"""The guest's own kernel: CPUs online and memory, from a fixture tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.machine import guest
from exporter.snapshot import Guest

MEMINFO = "MemTotal:        8127304 kB\nMemFree:          210000 kB\n"


def tree(root: Path, online: str | None, meminfo: str | None) -> str:
    for name, text in (("sys/devices/system/cpu/online", online), ("proc/meminfo", meminfo)):
        if text is not None:
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("online", "count"),
    [("0\n", 1), ("0-3\n", 4), ("0-3,5\n", 5), ("0,2-3,8-15\n", 11), ("0-127\n", 128)],
)
def test_online_cpus_are_counted_from_the_kernels_list(tmp_path: Path, online: str, count: int) -> None:
    assert guest.read(tree(tmp_path, online, MEMINFO)).vcpus == count


def test_memory_is_mem_total_in_bytes(tmp_path: Path) -> None:
    assert guest.read(tree(tmp_path, "0", MEMINFO)).memory_bytes == 8127304 * 1024


@pytest.mark.parametrize("online", [None, "", "\n", "all of them\n"])
def test_without_a_usable_list_the_operating_system_counts_cpus(tmp_path: Path, online: str | None) -> None:
    assert guest.read(tree(tmp_path, online, MEMINFO), cpu_count=lambda: 6).vcpus == 6


@pytest.mark.parametrize(
    "meminfo", [None, "", "MemFree: 1 kB\n", "MemTotal:\n", "MemTotal: many kB\n", "MemTotal: 5 MB\n"]
)
def test_memory_that_the_kernel_does_not_tell_is_absent(tmp_path: Path, meminfo: str | None) -> None:
    assert guest.read(tree(tmp_path, "0", meminfo)).memory_bytes is None


def test_nothing_known_is_nothing_said(tmp_path: Path) -> None:
    assert guest.read(str(tmp_path), cpu_count=lambda: None) == Guest(None, None)


def test_this_machine_has_cpus_and_memory() -> None:
    here = guest.read()
    assert here.vcpus is not None
    assert here.vcpus >= 1
    assert here.memory_bytes is not None
    assert here.memory_bytes > 2**24


FULL = MEMINFO + "MemAvailable:    3000000 kB\nSwapFree:         500000 kB\n"


def test_what_the_guest_can_give(tmp_path: Path) -> None:
    found = guest.read(tree(tmp_path, "0", FULL))
    assert (found.available_bytes, found.swap_free_bytes) == (3_000_000 * 1024, 500_000 * 1024)


def test_memory_that_is_not_the_vms_is_left_out(tmp_path: Path) -> None:
    """LXCFS mounts a file of its own over /proc/meminfo: a container's view."""
    root = tree(tmp_path, "0", FULL)
    (tmp_path / "proc/self").mkdir()
    mounts = tmp_path / "proc/self/mountinfo"
    mounts.write_text("22 1 0:21 / /proc rw - proc proc rw\n")
    assert guest.read(root).memory_bytes is not None
    mounts.write_text(
        "22 1 0:21 / /proc rw - proc proc rw\n"
        "95 22 0:40 /proc/meminfo /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw\n"
    )
    found = guest.read(root)
    assert (found.memory_bytes, found.available_bytes, found.swap_free_bytes) == (None, None, None)
    assert found.vcpus == 1


@pytest.mark.parametrize("place", ["/sys/devices/system/cpu/online", "/sys/devices/system/cpu"])
def test_a_count_of_cpus_that_is_not_the_vms_is_left_out(tmp_path: Path, place: str) -> None:
    """LXCFS gives a container its own CPUs alone: stolen time per vCPU would be too high."""
    root = tree(tmp_path, "0-1", FULL)
    (tmp_path / "proc/self").mkdir()
    mounts = tmp_path / "proc/self/mountinfo"
    mounts.write_text(f"95 22 0:40 /sys/devices/system/cpu {place} rw - fuse.lxcfs lxcfs rw\n")
    assert guest.read(root, cpu_count=lambda: 2).vcpus is None


def test_steal_that_is_not_the_vms_is_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path, "0", FULL)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  1 2 3 4 5 6 7 800 9 10\n")
    assert guest.read(root).steal_seconds == 8.0
    mounts = tmp_path / "proc/self/mountinfo"
    mounts.write_text("95 22 0:40 /proc/stat /proc/stat rw - fuse.lxcfs lxcfs rw\n")
    assert guest.read(root).steal_seconds is None


def test_the_vms_memory_is_its_blocks_whatever_a_balloon_does(tmp_path: Path) -> None:
    folder = tmp_path / "sys/devices/system/memory"
    folder.mkdir(parents=True)
    assert guest.read(tmp_path).installed_bytes is None
    (folder / "block_size_bytes").write_text("8000000\n")
    for number in range(64):
        (folder / f"memory{number}").mkdir()
    (folder / "probe").touch()
    assert guest.read(tmp_path).installed_bytes == 8 * 2**30


@pytest.mark.parametrize("text", ["", "many\n", "0\n"])
def test_blocks_of_no_known_size_are_not_counted(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "sys/devices/system/memory"
    (folder / "memory0").mkdir(parents=True)
    (folder / "block_size_bytes").write_text(text)
    assert guest.read(tmp_path).installed_bytes is None


def test_possible_cpus_are_those_that_could_be_added(tmp_path: Path) -> None:
    root = tree(tmp_path, "0-3\n", None)
    (tmp_path / "sys/devices/system/cpu/possible").write_text("0-127\n")
    found = guest.read(root)
    assert (found.vcpus, found.possible_vcpus) == (4, 128)


@pytest.mark.parametrize(
    ("text", "steal"),
    [
        ("cpu  10 20 30 40 50 60 70 1234 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n", 12.34),
        ("cpu  10 20 30 40\n", None),
        ("intr 1 2 3 4 5 6 7 8 9\n", None),
        ("", None),
    ],
)
def test_steal_of_all_cpus_in_seconds(text: str, steal: float | None, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(text)
    assert guest.read(tmp_path).steal_seconds == steal


def test_the_boot_has_an_id(tmp_path: Path) -> None:
    file = tmp_path / "proc/sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True)
    file.write_text("5c0f1b9e\n")
    assert guest.read(tmp_path).boot_id == "5c0f1b9e"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


CPU = (
    "some avg10=1.50 avg60=0.80 avg300=0.20 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=900\n"
)
MEMORY = (
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n"
)
PRESSURE = {"proc/pressure/cpu": CPU, "proc/pressure/memory": MEMORY}

HELD: tuple[tuple[str, dict[str, str], float | None], ...] = (
    ("pressure alone", PRESSURE, 3.0),
    ("no pressure on memory", {"proc/pressure/cpu": CPU}, 2.5),
    ("the kernel does not tell", {}, None),
    ("something else stands there", {"proc/pressure/cpu": "some avg10=0.00 total=many\n"}, None),
    (
        "control groups of version 2, the outer one throttled too",
        {
            **PRESSURE,
            "proc/self/cgroup": "0::/system.slice/vmguest-exporter.service\n",
            "sys/fs/cgroup/system.slice/cpu.stat": "usage_usec 9\nnr_throttled 1\nthrottled_usec 1000000\n",
            "sys/fs/cgroup/system.slice/vmguest-exporter.service/cpu.stat": "throttled_usec 250000\n",
        },
        4.25,
    ),
    (
        "a container, whose own group is the root that it sees",
        {**PRESSURE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "throttled_usec 250000\n"},
        3.25,
    ),
    (
        "control groups of version 1",
        {
            **PRESSURE,
            "proc/self/cgroup": "9:name=systemd:/x\n4:cpu,cpuacct:/x\n3:cpuset:/x\n",
            "sys/fs/cgroup/cpu,cpuacct/x/cpu.stat": "nr_periods 7\nthrottled_time 2000000000\n",
            "sys/fs/cgroup/cpuset/x/cpu.stat": "throttled_time 9000000000\n",
        },
        5.0,
    ),
)


@pytest.mark.parametrize(("files", "held"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_what_held_up_the_guests_own_tasks(files: dict[str, str], held: float | None, tmp_path: Path) -> None:
    assert guest.read(written(tmp_path, files)).held_seconds == held
