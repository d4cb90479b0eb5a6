"""Everything that a threshold or a contract can be about, a row each: percent where not said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exporter.catalogue import HA_LAST_HEARTBEAT
from exporter.outputs.api import Document, metric

Number = float | None
"""None: the host, or too short a time, does not give it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """``key`` as in ``--critical KEY=RANGE`` and ``--only KEY``. ``question``: the key of the insight's question that
    judges it, if any. ``host``: whether it is the host that gives it; what it does not give is UNKNOWN with ``--strict``.
    """

    key: str
    title: str
    value: Callable[[Document], Number]
    unit: str = "%"
    """Of the performance data; empty for a plain number."""
    question: str = ""
    host: bool = True


def _share(name: str) -> Callable[[Document], Number]:
    def value(document: Document) -> Number:
        found: Number = document["numbers"].get(name)
        return 100 * found if found is not None else None

    return value


def _count(name: str) -> Callable[[Document], Number]:
    def value(document: Document) -> Number:
        found: Number = document["numbers"][name]
        return found if document["up"] else None

    return value


def memory_size(document: Document) -> Number:
    """Bytes of the VM, as far as the guest tells."""
    guest: dict[str, Number] = document["guest"]
    return guest.get("installed_bytes") or guest.get("memory_bytes")


def _of_memory(name: str) -> Callable[[Document], Number]:
    def value(document: Document) -> Number:
        return _percent(document["numbers"].get(name), memory_size(document))

    return value


def _percent(part: Any, whole: Number) -> Number:
    if part is None or part == "unlimited" or not whole:
        return None
    return 100.0 * float(part) / whole


def _withheld(limit: Any, whole: Number) -> Number:
    """What a limit leaves out; 0 without one."""
    if limit == "unlimited":
        return 0.0
    part = _percent(limit, whole)
    return None if part is None else max(100.0 - part, 0.0)


def _cpu_withheld(document: Document) -> Number:
    numbers = document["numbers"]
    return _withheld(numbers["cpu_limit"], numbers["capacity"])


def _memory_withheld(document: Document) -> Number:
    return _withheld(document["numbers"]["memory_limit"], memory_size(document))


def _reserved(document: Document) -> Number:
    """Of what the kernel sees, as the insight takes it: firmware and kernel image keep some of the size."""
    found = _percent(document["numbers"]["memory_reservation"], document["guest"].get("memory_bytes"))
    return None if found is None else min(found, 100.0)


def _cpu_reserved(document: Document) -> Number:
    numbers = document["numbers"]
    return _percent(numbers["cpu_reservation"], numbers["capacity"])


def _remote(document: Document) -> Number:
    local: Number = document["numbers"]["numa_local"]
    return None if local is None else 100.0 * (1.0 - local)


def _frequency(document: Document) -> Number:
    found: Number = document["numbers"]["host_frequency"]
    return None if found is None else found / 1e9


def _vcpus(document: Document) -> Number:
    found = document["guest"].get("vcpus")
    return None if found is None else float(found)


def _seconds_since_heartbeat(document: Document) -> Number:
    """None while none was taken, or none is sent."""
    points = metric(document, HA_LAST_HEARTBEAT.prometheus)
    return next((max(document["time"] - each["value"], 0.0) for each in points), None)


def _balloon_stuck(document: Document) -> Number:
    numbers = document["numbers"]
    found: Number = numbers["balloon_stuck"]
    return None if None in {numbers["balloon_target"], numbers["ballooned"]} else found


def _pauses(document: Document) -> Number:
    found: Number = document["numbers"]["pauses"]
    return found


def _hot_add(document: Document) -> Number:
    online, possible = (document["guest"].get(name) for name in ("vcpus", "possible_vcpus"))
    return None if online is None or possible is None else max(float(possible - online), 0.0)


def _steal(document: Document) -> Number:
    found = document["numbers"]["steal_accounting"]
    return None if found is None else float(found)


MEASURES: tuple[Measure, ...] = (
    Measure("stolen", "Stolen CPU time", _share("stolen")),
    Measure("cpu_limit", "CPU time lost to the CPU limit", _share("lost_limit"), question="cpu-limit"),
    Measure("host", "CPU time lost to the host", _share("lost_host"), question="host"),
    Measure("undetermined", "CPU time lost, undetermined", _share("lost_undetermined"), question="undetermined"),
    Measure("bursts", "CPU time stolen in the worst sample", _share("worst"), question="bursts"),
    Measure("cpu_withheld", "CPU rate that the CPU limit leaves out", _cpu_withheld),
    Measure("cpu_reserved", "CPU rate that is reserved", _cpu_reserved),
    Measure("memory_limit", "Memory that the memory limit leaves out", _memory_withheld, question="memory-limit"),
    Measure("balloon", "Memory ballooned", _of_memory("ballooned"), question="balloon"),
    Measure("swap", "Memory in the host's swap", _of_memory("swapped"), question="swap"),
    Measure("zipped", "Memory compressed", _of_memory("zipped")),
    Measure("memory_wait", "CPU time waiting for memory", _share("memory_contention")),
    Measure("reclaim", "Memory that is missing if the host takes what it wants", _of_memory("reclaim_deficit"), question="reclaim"),
    Measure("reservation", "Memory that is reserved", _reserved, question="reservation"),
    Measure("numa", "Memory on another NUMA node", _remote, question="numa"),
    Measure("settings", "Settings changed in the last day", _count("setting_changes"), "", "settings"),
    Measure("session", "Session changes in the last hour", _count("session_changes"), "", "session"),
    Measure("pauses", "Pauses in the last hour", _pauses, "", "pauses", host=False),
    Measure("heartbeat", "Time since the host took the last heartbeat", _seconds_since_heartbeat, "s", "heartbeat", host=False),
    Measure("balloon_driver", "Time that the balloon has stayed short of its target", _balloon_stuck, "s", "balloon-driver"),
    Measure("hot_add", "vCPUs that could be added", _hot_add, "", "hot-add", host=False),
    Measure("steal", "Whether the guest's kernel shows steal, 0 or 1", _steal, "", "steal", host=False),
    Measure("vcpus", "vCPUs", _vcpus, "", host=False),
    Measure("frequency", "Host CPU frequency, GHz", _frequency, ""),
)  # fmt: skip
BY_KEY = {row.key: row for row in MEASURES}
BY_QUESTION = {row.question: row for row in MEASURES if row.question}
