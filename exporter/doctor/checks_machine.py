"""Checks of the machine: hypervisor, container, architecture, steal clock, clock."""

from __future__ import annotations

import time

from exporter.advice import NOT_VMWARE, Advice, Where
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, warn
from exporter.doctor.world import World
from exporter.machine.system import VSOCK

RELEASED = 1_767_225_600
"""2026-01-01: a wall clock before it is wrong."""

STEAL_KERNEL = (5, 7)
"""The first Linux with VMware's steal clock (commits ab02bb3f55f5, e73a8f38f82d). Some distributions have it earlier."""


def hypervisor(world: World) -> Diagnosis:
    """As the exporter finds it. Sets ``world.may_ask``: nothing else lets a check speak to the host."""
    found = world.hypervisor
    facts: Facts = {"hypervisor": found.name, "evidence": found.evidence}
    if world.socket_path:
        world.may_ask = True
        return ok(f"A simulated host is asked, at {world.socket_path}; the hypervisor is not.", **facts)
    if found.vmware:
        world.may_ask = True
        return ok(f"This is a VMware guest ({found.evidence}).", **facts)
    if world.settings.source == "library":
        return fail(
            f"Without VMware's library this seems to be no VMware guest: its hypervisor is {found.name} ({found.evidence}). "
            "The library looks by itself, and is asked all the same.",
            NOT_VMWARE,
            **facts,
        )
    return fail(
        f"This machine is not a VMware guest: its hypervisor is {found.name} ({found.evidence}), so there is no host to ask.",
        NOT_VMWARE,
        **facts,
    )


def container(world: World) -> Diagnosis:
    name = world.container
    if not name:
        return ok("This is no container.", container="")
    return ok(f"This runs in a container ({name}).", container=name)


def architecture(world: World) -> Diagnosis:
    facts: Facts = {"machine": world.machine, "bits": world.bits}
    word = world.machine.lower()
    if word in {"x86_64", "amd64"} and world.bits == 64:
        return ok(f"{world.machine}, 64 bits.", **facts)
    if word in {"x86_64", "amd64", "i386", "i586", "i686"}:
        return warn(
            f"This Python has {world.bits} bits: VMware's library must have as many.",
            Advice(
                "architecture",
                Where.GUEST,
                "use a 64-bit Python"
                + ("" if VSOCK in world.system.lacks else "; --source=guestrpc works with either"),
            ),
            **facts,
        )
    if word in {"aarch64", "arm64"}:
        return warn(
            "ESXi on Arm has guest statistics too, but this exporter was never tried there.",
            Advice(
                "architecture",
                Where.GUEST,
                "send us the findings: vmguest-exporter doctor --bundle FILE.tar.gz"
                if VSOCK in world.system.lacks
                else "send us a recording: vmguest-exporter record FILE --for 5m",
            ),
            **facts,
        )
    return fail(
        f"VMware has no guests of the architecture {world.machine}.",
        Advice("architecture", Where.GUEST, "run the exporter inside a VMware guest, x86-64 or Arm"),
        **facts,
    )


def steal_clock(world: World) -> Diagnosis:
    """Whether the guest kernel's own steal counts, and which of its three preconditions is missing."""
    steal = _steal_ticks(world)
    stolen = (
        world.answer.snapshot.values.get("cpu_stolen") if world.answer and world.answer.snapshot else None
    )
    facts: Facts = {"kernel": world.kernel, "steal_ticks": steal}
    if isinstance(stolen, int):
        facts["host_stolen_ms"] = stolen
    if steal > 0:
        return ok("The guest kernel's own steal time counts.", **facts)
    if "no-steal-acc" in world.read("proc/cmdline").split():
        return _no_steal(
            "the kernel was started with no-steal-acc",
            Where.GUEST,
            "remove no-steal-acc from the kernel's command line",
            facts,
        )
    by_version = world.kernel_version >= STEAL_KERNEL
    if not ("vmware_steal_clock" in world.symbols if world.symbols else by_version):
        return _no_steal(
            f"the kernel {world.kernel} has no steal clock for VMware",
            Where.GUEST,
            "use Linux 5.7 or later, or a distribution's kernel with that change",
            facts,
        )
    if "vmware-stealclock" in world.run(["dmesg"]).out:
        return ok("The guest kernel's steal clock is on; nothing has been stolen since the start.", **facts)
    if stolen == 0:
        return ok(
            "The guest kernel counts no steal time, and the host has stolen none: neither can be told.",
            **facts,
        )
    return _no_steal(
        "the host does not keep it up to date",
        Where.VM,
        "set stealclock.enable = TRUE in the advanced settings; the VM must have hardware version 13 or later",
        facts,
    )


def _no_steal(why: str, where: Where, text: str, facts: Facts) -> Diagnosis:
    return warn(
        f"The guest kernel's own steal time is always 0: {why}. The exporter's stolen time does not need it.",
        Advice("steal-clock", where, text),
        **facts,
    )


def _steal_ticks(world: World) -> int:
    """The eighth number of the line ``cpu`` in /proc/stat (proc(5))."""
    for line in world.read("proc/stat").splitlines():
        fields = line.split()
        if fields[:1] == ["cpu"] and len(fields) > 8 and fields[8].isdigit():
            return int(fields[8])
    return 0


def clock(world: World) -> Diagnosis:
    now = world.wall()
    source = world.read("sys/devices/system/clocksource/clocksource0/current_clocksource")
    facts: Facts = {"clocksource": source, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}
    if now < RELEASED:
        return fail(
            f"The clock says {facts['time']}: receivers refuse samples from that far away.",
            Advice("clock", Where.GUEST, world.system.set_clock),
            **facts,
        )
    if world.system.windows:
        return ok("The clock is plausible; whether it is synchronised says `w32tm /query /status`.", **facts)
    ran = world.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if ran.status == 0 and ran.out == "no":
        return warn(
            "The clock is not synchronised: timestamps may be wrong.",
            Advice("clock", Where.GUEST, "run chronyd or systemd-timesyncd (`timedatectl set-ntp true`)"),
            **facts,
        )
    if ran.status == 0 and ran.out == "yes":
        return ok("The clock is synchronised.", **facts)
    return ok("The clock is plausible; whether it is synchronised can't be seen from here.", **facts)
