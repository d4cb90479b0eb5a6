"""What to ask the vSphere administrator for, and where it is set, by the insight's question that speaks.

Places are those of the vSphere Client 7 and 8. A question without a row here is told without an ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from exporter.insight.interval import BINDING
from exporter.outputs.api import Document


class Ask(NamedTuple):
    """One request: ``what`` in the words of the vSphere Client, and ``where`` it is set or seen."""

    what: str
    where: str


_EDIT = "vSphere Client: the VM, Actions, Edit Settings, Virtual Hardware"
_POOL = "the resource pool, Actions, Edit Resource Settings"
_RESERVE = Ask(
    "Reserve all guest memory (All locked), or set Reservation to what the VM must have.",
    f"{_EDIT}, Memory, Reservation",
)
_MEMORY_LIMIT = Ask(
    "Set the memory Limit to Unlimited; on the resource pool too.", f"{_EDIT}, Memory, Limit; {_POOL}, Memory"
)
_ROOM = Ask(
    "Move the VM to a host with room, or give the cluster more hosts; vCPU to core ratio and CPU ready tell.",
    "the host, Monitor, Performance, Advanced, CPU: Ready and Co-stop of this VM; the cluster, Configure, vSphere DRS",
)
_CPU_RESERVE = Ask("Set a CPU Reservation for the rate that the VM must have.", f"{_EDIT}, CPU, Reservation")
_CPU_LIMIT = Ask(
    "Set the CPU Limit to Unlimited; on the resource pool too.", f"{_EDIT}, CPU, Limit; {_POOL}, CPU"
)
_PARENT = Ask(
    "Check whether a parent resource pool has a limit: a guest can't see it.", f"{_POOL}, CPU, Limit"
)
_MEMORY_PARENT = Ask(
    "Check whether a parent resource pool has a memory limit: a guest can't see it.",
    f"{_POOL}, Memory, Limit",
)
_BALLOON_ON = Ask(
    "Check that the balloon is not switched off for this VM (sched.mem.maxmemctl).",
    "the VM, Actions, Edit Settings, Advanced Parameters",
)
_POWER = Ask(
    "Check the host's power policy: High Performance where latency matters.",
    "the host, Configure, Hardware, Overview, Power Management",
)

ASKS: dict[str, tuple[Ask, ...]] = {
    "cpu-limit": (_CPU_LIMIT,),
    "host": (_ROOM, _CPU_RESERVE, _PARENT, _POWER),
    "undetermined": (_CPU_LIMIT, _ROOM),
    "bursts": (_ROOM, _CPU_RESERVE),
    "memory-limit": (_MEMORY_LIMIT,),
    "reclaim": (_RESERVE, Ask("Give the host more free memory, or move the VM.", "the host, Monitor, Performance, Overview, Memory")),
    "balloon": (_RESERVE, _MEMORY_LIMIT, Ask("Move the VM to a host with free memory.", "the host, Monitor, Performance, Overview, Memory")),
    "balloon-driver": (_BALLOON_ON,),
    "swap": (_RESERVE, _MEMORY_LIMIT, Ask("Move the VM to a host with free memory; a vMotion brings what is swapped back.", "the VM, Actions, Migrate")),
    "numa": (Ask("Size the VM to fit one NUMA node, or let its virtual nodes match the host's.", f"{_EDIT}, CPU, Cores per Socket; VM Options, CPU Topology"),),
    "settings": (Ask("Say who changed these settings, and whether that was meant.", "the VM, Monitor, Tasks and Events"),),
    "session": (Ask("Say why the VM was moved, suspended or reset.", "the VM, Monitor, Tasks and Events"),),
    "pauses": (Ask("Say what ran at these times: snapshots, their removal, backups, vMotion.", "the VM, Monitor, Tasks and Events; Snapshots"),),
    "hot-add": (Ask("Switch CPU Hot Add off, so that the guest sees its NUMA nodes (the VM must be off).", f"{_EDIT}, CPU, CPU Hot Plug"),),
    "steal": (Ask("Set stealclock.enable to TRUE, so that the guest's kernel shows steal (the VM must be off).", "the VM, Actions, Edit Settings, Advanced Parameters"),),
    "heartbeat": (Ask("Set VM Monitoring to VM and Application Monitoring, and do not exclude this VM.", "the cluster, Configure, vSphere Availability, Failures and responses, VM Monitoring"),),
}  # fmt: skip
"""Key of the question -> requests, the most helpful first."""


def asks(key: str, document: Document) -> Iterator[Ask]:
    """The requests of a question, without those for what is so already."""
    for ask in ASKS.get(key, ()):
        is_so, instead = _ALREADY.get(ask, (None, None))
        if is_so is None or not is_so(document):
            yield ask
        elif instead is not None:
            yield instead


def _at_least(value: float | str | None, wanted: float | None) -> bool:
    return isinstance(value, int | float) and wanted is not None and value >= BINDING * wanted


_ALREADY: dict[Ask, tuple[Callable[[Document], bool], Ask | None]] = {
    _MEMORY_LIMIT: (lambda it: it["numbers"]["memory_limit"] == "unlimited", _MEMORY_PARENT),
    _CPU_LIMIT: (lambda it: it["numbers"]["cpu_limit"] == "unlimited", _PARENT),
    _RESERVE: (lambda it: _at_least(it["numbers"]["memory_reservation"], it["guest"]["memory_bytes"]), None),
    _CPU_RESERVE: (lambda it: _at_least(it["numbers"]["cpu_reservation"], it["numbers"]["capacity"]), None),
    _BALLOON_ON: (lambda it: bool(it["numbers"]["ballooned"]), None),
}
"""When a request is for what is so already, and what is asked for then."""
