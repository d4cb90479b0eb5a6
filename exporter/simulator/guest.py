"""What the kernel of a simulated guest would say about itself."""

from __future__ import annotations

from exporter.simulator.physics import Memory
from exporter.simulator.scenario import Machine
from exporter.snapshot import Guest


def guest_of(machine: Machine, givable: int, memory: Memory) -> Guest:
    """``givable``: KB that its processes do not hold. No steal clock: its steal stays 0, as on most hosts."""
    return Guest(
        vcpus=machine.vcpus,
        memory_bytes=machine.memory << 20,
        installed_bytes=machine.memory << 20,
        available_bytes=max(givable - memory.ballooned, 0) << 10,
        swap_free_bytes=machine.guest_swap << 20,
        possible_vcpus=machine.vcpus,
        steal_seconds=0.0,
        boot_id="simulated",
    )
