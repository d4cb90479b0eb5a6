"""Questions about CPU time. What a guest can't tell is called so: nobody is blamed, or cleared, without a reason."""

from __future__ import annotations

from exporter.insight.interval import BINDING, HELD_BACK, LimitState
from exporter.insight.ledger import HIGH
from exporter.insight.question import Level, Question, Said
from exporter.insight.vitals import Vitals
from exporter.insight.words import hertz, percent, span

UNTROUBLED, STARVED, BADLY_STARVED = 0.025, 0.05, 0.10
"""Stolen time per vCPU. Borrowed from the CPU ready scale in common use; stolen time may hold other losses too."""
MANY = 3
"""Bursts in the window from which on it is a problem. Our own choice."""


def _not_measured(v: Vitals) -> Said:
    return Level.UNKNOWN, _why(v)


def _why(v: Vitals) -> str:
    return v.not_measured or "There are no two readings yet that stolen time could be told from."


def cpu_limit(v: Vitals) -> Said:
    if v.cpu_limit is None:
        return Level.UNKNOWN, "The host does not tell the CPU limit."
    if v.cpu_limit == float("inf"):
        return Level.OK, "No CPU limit is set."
    limit = f"The CPU limit of {hertz(v.cpu_limit)}"
    if v.capacity is None:
        return (
            Level.UNKNOWN,
            f"{limit} is set; whether it binds can't be told without vCPUs and the host's frequency.",
        )
    if v.cpu_limit >= BINDING * v.capacity:
        return Level.OK, f"{limit} is no less than the vCPUs can use."
    binds = f"{limit} allows {percent(v.cpu_limit / v.capacity)} of what the vCPUs could use."
    lost = v.lost_limit
    if lost is None:
        return Level.UNKNOWN, f"{binds} Whether it holds them back is not known. {_why(v)}"
    if lost > HELD_BACK:
        throttled = " It is used up right now." if v.cpu_limit_state == LimitState.THROTTLING else ""
        return (
            Level.WARNING,
            (
                f"{limit} was used up and held each vCPU back for {percent(lost)} of the time {v.during}.{throttled}"
                " Ask for the limit to be lifted; what the host takes beside it would show only then."
            ),
        )
    use = f"; {v.during} {percent(v.limit_use)} of it was used" if v.limit_use is not None else ""
    return (
        Level.INFO,
        f"{binds} Little is lost until the load gets there{use}.",
    )


def host(v: Vitals) -> Said:
    if v.lost_host is None:
        return _not_measured(v)
    if v.lost_host <= UNTROUBLED:
        other = (v.lost_limit or 0.0) + (v.lost_undetermined or 0.0)
        if other > HELD_BACK:
            return (
                Level.OK,
                "Nothing is laid to it: a CPU limit binds, and beside it the host's part can't be told.",
            )
        return Level.OK, f"Each vCPU waited for the host for {percent(v.lost_host)} of the time {v.during}."
    lost = f"Each vCPU lost {percent(v.lost_host)} of the time {v.during}"
    if v.lost_host <= STARVED:
        return Level.INFO, f"{lost}, and no limit of its own explains it: worth watching."
    return (
        Level.CRITICAL if v.lost_host > BADLY_STARVED else Level.WARNING,
        (
            f"{lost}, and no limit of its own explains it: neighbours, a parent pool's limit, co-stop or clock reduction."
            " Ask for a host with room, or a reservation."
        ),
    )


def undetermined(v: Vitals) -> Said:
    if v.lost_undetermined is None:
        return _not_measured(v)
    if v.lost_undetermined <= HELD_BACK:
        return Level.OK, "All lost CPU time can be laid to a limit or to the host."
    lost = f"{percent(v.lost_undetermined)} of each vCPU's time {v.during} was stolen"
    level = Level.WARNING if v.lost_undetermined > STARVED else Level.INFO
    if v.cpu_limit is None or v.capacity is None:
        return level, f"{lost}; too little is known to say by what."
    return (
        level,
        (
            f"{lost} while the CPU limit was not used up on average: short bursts into the limit, or the host, which can't be"
            " told apart. Polling every second tells more."
        ),
    )


def bursts(v: Vitals) -> Said:
    if v.worst is None or v.sample is None:
        return _not_measured(v)
    worst = f"the worst sample ({span(v.sample)}) lost {percent(v.worst)} of a vCPU's time"
    if not v.high:
        return Level.OK, f"No: {worst} {v.during}."
    if (v.stolen or 0.0) >= HIGH / 2:
        return (
            Level.OK,
            f"The loss is steady rather than in bursts: {worst} {v.during}, and the average is {percent(v.stolen or 0.0)}.",
        )
    samples = "one sample" if v.high == 1 else f"{v.high} samples"
    average = f", where the average is {percent(v.stolen)}" if v.stolen is not None else ""
    return (
        Level.WARNING if v.high >= MANY else Level.INFO,
        f"In bursts: {worst} {v.during}, and {samples} lost more than {percent(HIGH)}{average}.",
    )


def steal(v: Vitals) -> Said:
    if v.guest.steal_seconds is None:
        return Level.UNKNOWN, "The guest's kernel shows no steal at all."
    if v.steal_accounting is None:
        return Level.UNKNOWN, "Too little was stolen so far to tell."
    if v.steal_accounting:
        return Level.OK, "The guest's kernel shows steal of its own, and it can be believed."
    return (
        Level.INFO,
        "The guest's kernel shows no steal although the host took time: top and node_exporter show 0 here, whatever happens.",
    )


ROWS = (
    Question(
        "cpu-limit",
        "Is it throttled by a CPU limit?",
        "Binding below 98 % of vCPUs times host frequency; stolen time is laid to it where use was 95 % of it or more;"
        " a problem above 1 % of the time (stands in for esxtop's %MLMTD, which a guest can't see).",
        cpu_limit,
    ),
    Question(
        "host",
        "Is it starved by the host?",
        "Stolen time per vCPU while no limit of its own binds: 2.5, 5 and 10 %. Borrowed from the CPU ready scale; stolen"
        " may hold losses to hyper-threading and clock reduction too.",
        host,
    ),
    Question(
        "undetermined",
        "Is CPU time lost that can't be laid to anybody?",
        "Stolen time while a limit binds that was not used up: 1 % informed, 5 % warned (the CPU ready scale).",
        undetermined,
    ),
    Question(
        "bursts",
        "Does it lose CPU time in bursts?",
        "Samples in which more than 10 % of a vCPU's time was stolen: one informed, three in the window warned (our own"
        " choice), where the average is below 5 %. A sample is what lies between two polls, or two samples of the host where that is slower.",
        bursts,
    ),
)
STEAL = Question(
    "steal",
    "Can the kernel's own steal be believed?",
    "Not where the host took 5 s and the kernel shows less than a tenth of it (our own choice).",
    steal,
    aside=True,
)
