"""Whether the guest can do what the host asks of its memory: the balloon driver."""

from __future__ import annotations

import re

from exporter.advice import Advice, Where
from exporter.doctor.checks_kernel import module_state
from exporter.doctor.finding import Diagnosis, Facts, ok, skip, warn
from exporter.doctor.world import World

MODULE = "vmw_balloon"
"""Linux drivers/misc/vmw_balloon.c, CONFIG_VMWARE_BALLOON."""
DEBUG = "sys/kernel/debug/vmmemctl"
"""Its state, for root, where debugfs is mounted."""

_CODE = "balloon-driver"
_WITHOUT = "when the host wants memory back it will swap pages of its own choice, which is far slower"


def driver(world: World) -> Diagnosis:
    state = module_state(world, MODULE)
    facts: Facts = {"module": state}
    blocked = [
        f"{path}: {line}"
        for path, line in world.lines("etc/modprobe.d/*.conf")
        if re.match(rf"(blacklist|install)\s+{MODULE}\b", line.replace("-", "_"))
    ]
    if state in {"loaded", "built in"}:
        lines = [
            line.strip()
            for line in world.read(DEBUG).splitlines()
            if re.match(r"\s*(target|current)\b", line)
        ]
        return ok(f"The balloon driver {MODULE} is {state}.", *lines, **facts)
    if state == "unknown":
        return skip(f"Whether the balloon driver {MODULE} is there can't be told from here.", **facts)
    if blocked:
        return warn(
            f"The balloon driver {MODULE} is not loaded, and /etc/modprobe.d forbids it: {_WITHOUT}.",
            Advice(_CODE, Where.GUEST, f"remove the lines listed, then run `modprobe {MODULE}`"),
            *blocked,
            **facts,
        )
    if state == "installed":
        return warn(
            f"The balloon driver {MODULE} is not loaded: {_WITHOUT}.",
            Advice(_CODE, Where.GUEST, f"run `modprobe {MODULE}`, and name it in /etc/modules-load.d"),
            **facts,
        )
    return warn(
        f"The kernel {world.kernel} has no {MODULE}: {_WITHOUT}.",
        Advice(
            _CODE,
            Where.GUEST,
            "install a kernel, or its package of extra modules, with CONFIG_VMWARE_BALLOON",
        ),
        **facts,
    )
