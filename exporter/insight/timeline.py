"""What happened to this VM, as far as can be told from inside: session changes with their clues, settings, pauses,
the exporter's own starts and its heartbeats.

The host never says why a session changed. A guess is called one, and the clues that it rests on stand beside it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from exporter.insight.interval import number
from exporter.insight.words import hertz, span
from exporter.snapshot import ExtendedSnapshot, Guest, PollState, Snapshot

MOST = 100
"""Entries that are kept."""
CLOCK_STEP = 2.0
"""Seconds by which the guest's clock must have jumped to count: time services correct less than that by slewing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. ``kind``: start, session, setting, pause, heartbeat."""

    time: float
    """Wall clock, seconds since the epoch."""
    at: float
    """Monotonic clock, seconds: the place on a chart, which no step of the wall clock moves."""
    kind: str
    text: str
    guess: str = ""
    clues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a session looks like; None or empty where it is not told."""

    session_id: int
    elapsed: float | None
    """Seconds that the host had counted for it when last seen."""
    frequency: float | None
    cores: float | None
    build: str
    """Version of the hypervisor, by the extended statistics."""
    boot_id: str
    """Of the guest's kernel."""
    clock: float
    """Wall clock minus monotonic clock, seconds."""
    seen: float
    """Wall clock of the last good poll, seconds."""

    @property
    def at(self) -> float:
        """The same by the monotonic clock."""
        return self.seen - self.clock


def bounded(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """At most :data:`MOST`, oldest first: the oldest of the commonest kind goes, so that moves don't hide a changed setting."""
    while len(entries) > MOST:
        ((kind, _),) = Counter(each.kind for each in entries).most_common(1)
        place = next(at for at, each in enumerate(entries) if each.kind == kind)
        entries = (*entries[:place], *entries[place + 1 :])
    return entries


def fell(before: SessionFacts, after: SessionFacts) -> bool:
    """Whether the host began to count anew under the same session id."""
    if before.session_id != after.session_id or before.elapsed is None or after.elapsed is None:
        return False
    return after.elapsed < before.elapsed


def another(before: SessionFacts, after: SessionFacts) -> bool:
    """Whether it is another session, by its id or by its counters."""
    return before.session_id != after.session_id or fell(before, after)


def facts_of(state: PollState, snapshot: Snapshot, guest: Guest) -> SessionFacts:
    elapsed = snapshot.values.get("elapsed")
    return SessionFacts(
        session_id=snapshot.session_id,
        elapsed=elapsed / 1000 if isinstance(elapsed, int) else None,
        frequency=number(snapshot, "host_cpu_frequency"),
        cores=number(snapshot, "host_cpu_cores"),
        build="",
        boot_id=guest.boot_id or "",
        clock=state.read_time - state.read_monotonic,
        seen=state.read_time,
    )


def build_of(extended: ExtendedSnapshot) -> str:
    """The hypervisor's version, where the extended statistics tell it."""
    for value in extended.groups.get("session", ()):
        if value.name == "version" and isinstance(value.value, str):
            return value.value
    return ""


def session_entry(before: SessionFacts, after: SessionFacts, at: float, *, restarted: bool = False) -> Entry:
    """The entry of a session change, its clues, and what they make probable.

    ``restarted``: the exporter was not running in between, so that the monotonic clocks can't be compared.
    """
    rebooted = bool(before.boot_id and after.boot_id and before.boot_id != after.boot_id)
    step = 0.0 if restarted else after.clock - before.clock
    moved = []
    if before.frequency and after.frequency and before.frequency != after.frequency:
        moved.append(f"host frequency {hertz(before.frequency)} before, {hertz(after.frequency)} now")
    if before.cores and after.cores and before.cores != after.cores:
        moved.append(f"host cores {before.cores:.0f} before, {after.cores:.0f} now")
    other_build = bool(before.build and after.build and before.build != after.build)
    clues = [*moved]
    if other_build:
        clues.append(f"{before.build} before, {after.build} now")
    if rebooted:
        clues.append("the guest's kernel was booted in between")
    if abs(step) > CLOCK_STEP:
        clues.append(f"the guest's clock was set {'forward' if step > 0 else 'back'} by {span(abs(step))}")
    if fell(before, after):
        clues.append("its counters fell under the same id")
    unseen = after.seen - before.seen if restarted or rebooted else after.at - before.at
    clues.append(f"nothing was seen for {span(max(unseen, 0.0))}")
    if after.elapsed is not None:
        clues.append(f"the host had counted for {span(after.elapsed)}")
    return Entry(
        after.seen,
        at,
        "session",
        "A new session began.",
        _guess(rebooted, step, moved, other_build),
        tuple(clues),
    )


def _guess(rebooted: bool, step: float, moved: list[str], other_build: bool) -> str:
    if rebooted:
        return "probably powered on or reset" + (", on a host of another model" if moved else "")
    if moved:
        return "probably moved to a host of another model"
    if other_build:
        return "probably moved to a host with another build"
    if step < -CLOCK_STEP:
        return "probably reverted to a snapshot, or the clock was set"
    if step > CLOCK_STEP:
        return "probably resumed after a suspension, or the clock was set"
    return "probably moved to a host of the same model, or a device was added"
