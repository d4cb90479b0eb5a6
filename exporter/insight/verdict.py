"""What the hypervisor does to this VM, in words: five questions, each with an answer and the numbers behind it.

Pure. The thresholds are those of the alert rules (``deploy/prometheus/rules``), where they are compared over
time; here they are held against the last minutes. Each says where it comes from. What can't be known is answered
so: silence would read as "all is well".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

STARVED, BADLY_STARVED, UNTROUBLED = 0.05, 0.10, 0.025
"""Stolen time per vCPU. Borrowed from the CPU ready scale in common use; stolen time may hold other losses too."""
HELD_BACK, USED_UP = 0.01, 0.95
"""Stolen time, and use of a limit, from which on a limit counts as throttling. A guest can't see esxtop's %MLMTD."""
BINDING = 0.98
"""A limit below this share of what the VM could use binds; one that scales with the VM is no fault (dashdiag)."""
BALLOONED = 0.05
"""Share of memory, as used against vCenter's figures (eco4cloud)."""
PENDING = 64 * 2**20
"""Bytes that the balloon's target may be ahead of its size. Our own choice: nobody else shows the target."""
NEAR_MAXIMUM = 0.9
"""Of the largest balloon allowed. Our own choice."""
STALLED = 0.01
"""Time lost to memory contention per vCPU, as esxtop's %SWPWT is read, more cautiously."""


class Level(IntEnum):
    """How much an answer matters; the name in lower case is its word."""

    OK = 0
    UNKNOWN = 1
    INFO = 2
    WARNING = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class Vitals:
    """Numbers in base units; None where the host, or too short a time, does not give them.

    Ratios hold for the last ``window`` seconds and for one vCPU: 1 is all the time of all vCPUs.
    """

    window: float = 0.0
    vcpus: float | None = None
    host_frequency: float | None = None
    cpu_limit: float | None = None
    used: float | None = None
    stolen: float | None = None
    guest_memory: float | None = None
    memory_limit: float | None = None
    ballooned: float | None = None
    balloon_target: float | None = None
    balloon_max: float | None = None
    swapped: float | None = None
    zipped: float | None = None
    swap_in: float | None = None
    """Bytes per second."""
    memory_contention: float | None = None

    @property
    def capacity(self) -> float | None:
        """Hertz that the vCPUs could use if nothing held them back."""
        return self.vcpus * self.host_frequency if self.vcpus and self.host_frequency else None

    @property
    def limit_use(self) -> float | None:
        """Share of the CPU limit that is used; 0 without a limit."""
        if self.capacity is None or self.used is None or not self.cpu_limit:
            return None
        return self.used * self.capacity / self.cpu_limit

    @property
    def limit_binds(self) -> bool:
        return (
            self.cpu_limit is not None
            and self.capacity is not None
            and self.cpu_limit < BINDING * self.capacity
        )

    @property
    def throttled(self) -> bool:
        return (
            self.limit_binds
            and self.limit_use is not None
            and self.limit_use > USED_UP
            and (self.stolen or 0.0) > HELD_BACK
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and its answer. ``threshold``: what the level rests on, and where that comes from."""

    question: str
    level: Level
    text: str
    threshold: str


def judge(vitals: Vitals) -> tuple[Answer, ...]:
    """All five, in the order in which a reader asks."""
    return (_cpu_limit(vitals), _neighbours(vitals), _memory_limit(vitals), _balloon(vitals), _swap(vitals))


def summary(answers: tuple[Answer, ...]) -> tuple[Level, str]:
    """The worst level, and one or two sentences for the top of a page."""
    worst = max(answer.level for answer in answers)
    if worst <= Level.UNKNOWN:
        unknown = sum(answer.level is Level.UNKNOWN for answer in answers)
        if unknown == len(answers):
            return Level.UNKNOWN, "Nothing can be said yet."
        return Level.OK, "Nothing is held back." + (
            " Not every question could be answered." if unknown else ""
        )
    return worst, " ".join(answer.text for answer in answers if answer.level is worst)


def _cpu_limit(v: Vitals) -> Answer:
    def found(level: Level, text: str) -> Answer:
        return Answer(
            "Is it throttled by a CPU limit?",
            level,
            text,
            "Binding below 98 % of vCPUs times host frequency; throttled when 95 % of it is used and 1 % of time is stolen.",
        )

    if v.cpu_limit is None:
        return found(Level.UNKNOWN, "The host does not tell the CPU limit.")
    if v.cpu_limit == float("inf"):
        return found(Level.OK, "No CPU limit is set.")
    limit = f"The CPU limit of {hertz(v.cpu_limit)}"
    if v.capacity is None:
        return found(
            Level.UNKNOWN, f"{limit} is set; whether it binds can't be told without the host's frequency."
        )
    if not v.limit_binds:
        return found(Level.OK, f"{limit} is no less than the vCPUs can use.")
    if v.throttled and v.stolen is not None and v.limit_use is not None:
        return found(
            Level.WARNING,
            f"{limit} is used up ({percent(v.limit_use)}) and holds each vCPU back for {percent(v.stolen)} of the time."
            " Other VMs have nothing to do with it: ask for the limit to be lifted.",
        )
    use = f"; now {percent(v.limit_use)} of it is used" if v.limit_use is not None else ""
    return found(
        Level.INFO,
        f"{limit} allows {percent(v.cpu_limit / v.capacity)} of what the vCPUs could use. Nothing is lost until the load"
        f" gets there{use}.",
    )


def _neighbours(v: Vitals) -> Answer:
    def found(level: Level, text: str) -> Answer:
        return Answer(
            "Is it starved by its neighbours?",
            level,
            text,
            "Stolen time per vCPU: 2.5, 5 and 10 %. Borrowed from the CPU ready scale; stolen may hold losses to"
            " hyper-threading and clock reduction too.",
        )

    if v.stolen is None:
        return found(Level.UNKNOWN, "The host gives no stolen time, or there are not two readings yet.")
    lost = f"Each vCPU was ready but not run for {percent(v.stolen)} of the time"
    if v.throttled:
        return found(Level.OK, f"{lost}, which the CPU limit explains.")
    if v.stolen > STARVED:
        level = Level.CRITICAL if v.stolen > BADLY_STARVED else Level.WARNING
        return found(
            level, f"{lost}: the host has too little CPU for its VMs. Ask for another host, or a reservation."
        )
    if v.stolen > UNTROUBLED:
        return found(Level.INFO, f"{lost}: worth watching.")
    return found(Level.OK, f"{lost}.")


def _memory_limit(v: Vitals) -> Answer:
    def found(level: Level, text: str) -> Answer:
        return Answer(
            "Is its memory limited?",
            level,
            text,
            "Binding below 98 % of the memory that the guest sees; the effect is described in Broadcom's article 326270.",
        )

    if v.memory_limit is None:
        return found(Level.UNKNOWN, "The host does not tell the memory limit.")
    if v.memory_limit == float("inf"):
        return found(Level.OK, "No memory limit is set.")
    limit = f"The memory limit of {size(v.memory_limit)}"
    if v.guest_memory is None:
        return found(Level.UNKNOWN, f"{limit} is set; the guest's own memory is not known.")
    if v.memory_limit >= BINDING * v.guest_memory:
        return found(Level.OK, f"{limit} covers all that the guest sees.")
    return found(
        Level.WARNING,
        f"{limit} is below the {size(v.guest_memory)} that the guest sees. The rest is ballooned, compressed or swapped"
        " however much the host has free: ask for the limit to be lifted.",
    )


def _balloon(v: Vitals) -> Answer:
    def found(level: Level, text: str) -> Answer:
        return Answer(
            "Is its memory ballooned?",
            level,
            text,
            "Anything: informed. 5 % of memory, a target 64 MiB ahead, or 90 % of the largest balloon: warned.",
        )

    if v.ballooned is None:
        return found(Level.UNKNOWN, "The host does not tell the balloon's size.")
    pending = max((v.balloon_target or 0.0) - v.ballooned, 0.0)
    ahead = f" The host is about to take {size(pending)} more." if pending > PENDING else ""
    if v.ballooned <= 0:
        return found(Level.WARNING if ahead else Level.OK, f"The balloon is empty.{ahead}")
    full = v.balloon_max is not None and v.balloon_max > 0 and v.ballooned > NEAR_MAXIMUM * v.balloon_max
    share = f", {percent(v.ballooned / v.guest_memory)} of it" if v.guest_memory else ""
    much = v.guest_memory is not None and v.ballooned > BALLOONED * v.guest_memory
    limit = " The balloon is near its maximum; after that the host swaps." if full else ""
    return found(
        Level.WARNING if much or ahead or full else Level.INFO,
        f"The host has taken {size(v.ballooned)} of the guest's memory back{share}; no process in the guest owns it.{ahead}{limit}",
    )


def _swap(v: Vitals) -> Answer:
    def found(level: Level, text: str) -> Answer:
        return Answer(
            "Is its memory swapped by the host?",
            level,
            text,
            "Reading back, or 1 % of time lost to memory: warned. Memory in the host's swap or compressed: it was under"
            " pressure (esxtop's SWR/s, %SWPWT and SWCUR).",
        )

    if v.swapped is None:
        return found(Level.UNKNOWN, "The host does not tell how much it has swapped.")
    if (v.swap_in or 0.0) > 0:
        return found(
            Level.WARNING,
            f"{size(v.swap_in or 0.0)} a second come back from the host's disk ({size(v.swapped)} are out);"
            " the guest stands still while it waits.",
        )
    if (v.memory_contention or 0.0) > STALLED:
        return found(
            Level.WARNING,
            f"Each vCPU waited for memory for {percent(v.memory_contention or 0.0)} of the time.",
        )
    if v.swapped > 0:
        return found(
            Level.INFO,
            f"{size(v.swapped)} of its memory are in the host's swap; using them again will be slow.",
        )
    if (v.zipped or 0.0) > 0:
        return found(
            Level.INFO, f"{size(v.zipped or 0.0)} of its memory are compressed, one step short of swapping."
        )
    return found(Level.OK, "Nothing is in the host's swap.")


def percent(ratio: float) -> str:
    """``0.0312`` as ``3.1 %``."""
    number = 100 * ratio
    return f"{number:.0f} %" if number >= 10 or number == 0 else f"{max(number, 0.1):.1f} %"


def size(count: float) -> str:
    """Bytes for people."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            number = count / factor
            return (
                f"{number:.0f} {unit}" if number >= 100 or number == int(number) else f"{number:.1f} {unit}"
            )
    return f"{count:.0f} bytes"


def hertz(rate: float) -> str:
    """Hertz for people."""
    return f"{rate / 1e9:.3g} GHz" if rate >= 1e9 else f"{rate / 1e6:.3g} MHz"
