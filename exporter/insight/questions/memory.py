"""Questions about memory."""

from __future__ import annotations

from exporter.insight.interval import BINDING
from exporter.insight.memory import AHEAD, MemoryLimitState, balloon_goal
from exporter.insight.question import Level, Question, Said
from exporter.insight.vitals import Vitals
from exporter.insight.words import percent, size, span

BALLOONED = 0.05
"""Share of memory, as used against vCenter's figures (eco4cloud)."""
NEAR_MAXIMUM = 0.9
"""Of the largest balloon allowed. Our own choice."""
STALLED = 0.01
"""Time lost to memory contention per vCPU, as esxtop's %SWPWT is read, more cautiously."""
STUCK = 120.0
"""Seconds after which a balloon that does not follow its target is one that can't. Our own choice."""
NUMA_LOCAL = 0.8
"""Share of local memory below which esxtop's N%L is called bad (Duncan Epping's list)."""


def memory_limit(v: Vitals) -> Said:
    if v.memory_limit is None:
        return Level.UNKNOWN, "The host does not tell the memory limit."
    if v.memory_limit == float("inf"):
        return Level.OK, "No memory limit is set."
    limit = f"The memory limit of {size(v.memory_limit)}"
    if v.guest.memory_bytes is None:
        return Level.UNKNOWN, f"{limit} is set; the guest's own memory is not known."
    if v.memory_limit >= BINDING * v.guest.memory_bytes:
        return Level.OK, f"{limit} covers all that the guest sees."
    now = (
        " It is used up, and the host takes memory because of it."
        if v.memory_limit_state == MemoryLimitState.RECLAIMING
        else ""
    )
    return (
        Level.WARNING,
        (
            f"{limit} is below the {size(v.guest.memory_bytes)} that the guest sees. The rest is ballooned, compressed or"
            f" swapped however much the host has free: ask for the limit to be lifted.{now}"
        ),
    )


def balloon(v: Vitals) -> Said:
    if v.ballooned is None:
        return Level.UNKNOWN, "The host does not tell the balloon's size."
    pending = v.reclaim.pending or 0.0
    stuck = v.balloon_stuck >= STUCK
    ahead = f" The host wants {size(pending)} more." if pending > AHEAD and not stuck else ""
    if v.ballooned <= 0:
        return Level.WARNING if ahead else Level.OK, f"The balloon is empty.{ahead}"
    memory = v.guest.memory_bytes
    full = bool(v.balloon_max) and v.ballooned > NEAR_MAXIMUM * (v.balloon_max or 0.0)
    share = f", {percent(v.ballooned / memory)} of it" if memory else ""
    much = memory is not None and v.ballooned > BALLOONED * memory
    limit = ""
    if full:
        next_ = "the host swaps already" if v.swapped else "after that the host compresses and swaps"
        limit = f" The balloon is near its maximum; {next_}."
    return (
        Level.WARNING if much or ahead or full else Level.INFO,
        f"The host has taken {size(v.ballooned)} of the guest's memory back{share}; no process in the guest owns it.{ahead}{limit}",
    )


def driver(v: Vitals) -> Said:
    if v.balloon_target is None or v.ballooned is None:
        return Level.UNKNOWN, "The host does not tell the balloon's target."
    if v.balloon_stuck < STUCK:
        return Level.OK, "The balloon follows its target, or has none to follow."
    goal = size(balloon_goal(v.balloon_target, v.balloon_max) or 0.0)
    if v.ballooned > 0:
        return (
            Level.INFO,
            (
                f"The balloon stays at {size(v.ballooned)}, short of its target of {goal}, for {span(v.balloon_stuck)}:"
                " the guest has no more to give, or its driver backs off."
            ),
        )
    return (
        Level.WARNING,
        (
            f"The balloon has stayed empty for {span(v.balloon_stuck)} although the host wants {goal}:"
            " its driver is probably missing, unloaded or blocked, and the host swaps instead."
            " vmguest-exporter doctor looks further."
        ),
    )


def reclaim(v: Vitals) -> Said:
    r = v.reclaim
    if r.pending is None:
        return Level.UNKNOWN, "The host does not tell what it wants next."
    wants = (
        f"The host wants {size(r.pending)} more"
        if r.pending > 0
        else "The host wants nothing more at present"
    )
    if r.swap_pending:
        of_guest = (
            f"{wants}, and" if r.pending > 0 else "The host asks the balloon for nothing more, but wants"
        )
        wants = f"{of_guest} {size(r.swap_pending)} more into its swap"
    if r.spare is None:
        return Level.UNKNOWN, f"{wants}; what the guest could give is not known here."
    if r.deficit:
        return (
            Level.CRITICAL,
            (
                f"{wants}, and the guest has {size(r.spare) if r.spare else 'nothing'} to give, free swap included: it may run"
                " out of memory and kill processes. Free memory, add swap, or ask for a reservation."
            ),
        )
    worst = ""
    if r.worst_case is not None and r.worst_case > r.spare:
        worst = (
            f" At worst it may take {size(r.worst_case)}, which is more than the guest has ({size(r.spare)})."
        )
    return Level.OK, f"{wants}; the guest has {size(r.spare)} to give.{worst}"


def swap(v: Vitals) -> Said:
    if v.swapped is None:
        return Level.UNKNOWN, "The host does not tell how much it has swapped."
    during = f"in the last {span(v.memory_window)}"
    if (v.swap_in or 0.0) > 0:
        return (
            Level.WARNING,
            (
                f"{size(v.swap_in or 0.0)} a second came back from the host's disk {during} ({size(v.swapped)} are out);"
                " the guest stands still while it waits."
            ),
        )
    if (v.memory_contention or 0.0) > STALLED:
        return (
            Level.WARNING,
            f"Each vCPU waited for memory for {percent(v.memory_contention or 0.0)} of the time {during}.",
        )
    if v.swapped > 0:
        return (
            Level.INFO,
            f"{size(v.swapped)} of its memory are in the host's swap; using them again will be slow.",
        )
    if (v.zipped or 0.0) > 0:
        return (
            Level.INFO,
            f"{size(v.zipped or 0.0)} of its memory are compressed, one step short of swapping.",
        )
    return Level.OK, "Nothing is in the host's swap."


def reservation(v: Vitals) -> Said:
    if v.memory_reservation is None or v.guest.memory_bytes is None:
        return Level.UNKNOWN, "The memory reservation, or the guest's memory, is not known."
    if v.memory_reservation >= BINDING * v.guest.memory_bytes:
        return (
            Level.OK,
            f"All of its memory is reserved ({size(v.memory_reservation)}): the host can't take any of it.",
        )
    if v.memory_reservation <= 0:
        return Level.OK, "No memory is reserved: when the host runs short, it may take any of it."
    return (
        Level.OK,
        f"{size(v.memory_reservation)} of {size(v.guest.memory_bytes)} are reserved: when the host runs short, it may take the rest.",
    )


def numa(v: Vitals) -> Said:
    if v.numa_local is None:
        return Level.UNKNOWN, "The host does not tell where its memory lies."
    if v.numa_local < NUMA_LOCAL:
        return (
            Level.INFO,
            f"{percent(1 - v.numa_local)} of its memory lies on another NUMA node than its vCPUs, and is slower to reach.",
        )
    return Level.OK, f"{percent(v.numa_local)} of its memory lies on the NUMA node of its vCPUs."


ROWS = (
    Question(
        "memory-limit",
        "Is its memory limited?",
        "Binding below 98 % of the memory that the guest sees; the effect is described in Broadcom's article 326270.",
        memory_limit,
    ),
    Question(
        "reclaim",
        "Will it run out if the host takes what it wants?",
        "What the balloon's target is ahead, against available memory and free swap. A target is no promise: the driver may back off.",
        reclaim,
    ),
    Question(
        "balloon",
        "Is its memory ballooned?",
        "Anything: informed. 5 % of memory, a target 64 MiB ahead, or 90 % of the largest balloon: warned.",
        balloon,
    ),
    Question(
        "balloon-driver",
        "Does the balloon do what the host asks?",
        "A target 64 MiB or more ahead for 2 minutes in which the balloon did not grow (our own choice).",
        driver,
    ),
    Question(
        "swap",
        "Is its memory swapped by the host?",
        "Reading back, or 1 % of time lost to memory: warned. Memory in the host's swap or compressed: it was under"
        " pressure (esxtop's SWR/s, %SWPWT and SWCUR).",
        swap,
    ),
    Question(
        "reservation",
        "Is its memory reserved?",
        "Full from 98 % of the memory that the guest sees on: what vendors of databases and of SAP ask for.",
        reservation,
    ),
    Question("numa", "Is its memory far away?", "Less than 80 % local: informed (esxtop's N%L).", numa),
)
