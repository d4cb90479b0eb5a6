"""Who is told of every poll and works out what it means. One thread's; readers take :attr:`Observer.insight`.

Pure: no I/O but the guest's own figures, which the caller's functions read: once per extended round, and the number of vCPUs
with each poll.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from exporter.clock import Instant, Lives
from exporter.insight import memory, timeline
from exporter.insight.growth import CONTENTION, Growth, resource
from exporter.insight.history import STEP, History, Moment, Seen
from exporter.insight.interval import Bounds, Interval, LimitState, Readings, repeats
from exporter.insight.ledger import HIGH, Ledger
from exporter.insight.memory import MemoryLimitState
from exporter.insight.pauses import HOST_CLOCK, WAKEUP, Pauses, Wakeups
from exporter.insight.refresh import Refresh
from exporter.insight.settings import SETTINGS, Change, Setting, changes, raw, settings_of
from exporter.insight.steal import Steal
from exporter.insight.timeline import Entry, SessionFacts
from exporter.insight.words import span
from exporter.snapshot import ExtendedSnapshot, Guest, Histogram, PollState, Snapshot

GUEST_INTERVAL = 15.0
"""Seconds after which the guest's own figures are read anew, where no extended statistics set the rhythm."""
SAMPLE = 2.0
"""A histogram takes an interval of at most this many polls, or steps of the host: a longer one is no sample."""


@dataclass(frozen=True, slots=True)
class Insight:
    """What is known; frozen, replaced whole."""

    ledger: Ledger
    guest: Guest = field(default_factory=Guest)
    guest_read: Instant = field(default=Instant(0.0, 0.0))
    """When that was read."""
    read: Instant = field(default=Instant(0.0, 0.0))
    """When the host was read last."""
    measured: Instant | None = None
    """When the last round was told memory contention; None where it was not: its sum is not there then."""
    refresh: float | None = None
    """Seconds between two samples of the host; None until it repeated one."""
    cpu_limit: LimitState | None = None
    memory_limit: MemoryLimitState | None = None
    setting_changes: Mapping[str, int] = field(default_factory=dict)
    """Since the exporter started, and from its last run to this one; every setting is there from the start."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """As last seen."""
    facts: SessionFacts | None = None
    """Of the present session."""
    timeline: tuple[Entry, ...] = ()
    """Oldest first."""
    moments: tuple[Moment, ...] = ()
    """The last hour, oldest first."""
    steal_accounting: bool | None = None
    """Whether the kernel's own steal can be believed; None until enough was stolen to tell."""
    steal_falls: int = 0
    """Times that the kernel's own steal has fallen."""
    pauses: Mapping[str, Histogram] = field(default_factory=dict)
    """By what showed them; empty: not looked for."""
    balloon_stuck: float = 0.0
    """Seconds for which the balloon has not followed a target well above it."""


class Observer:
    """``guest`` reads what the guest's kernel says; ``settings`` and ``facts`` are those of the last run, if kept.

    ``vcpus`` reads the number of online vCPUs alone, with each poll: the guest is asked anew where it changed. Without it that
    shows with the next reading of the guest. ``step``: seconds between two moments of the history.
    """

    def __init__(
        self,
        guest: Callable[[], Guest],
        *,
        vcpus: Callable[[], int | None] | None = None,
        histograms: bool = True,
        pauses: bool = False,
        settings: Mapping[str, Setting] | None = None,
        facts: SessionFacts | None = None,
        step: float = STEP,
    ) -> None:
        self._read_guest = guest
        self._read_vcpus = vcpus
        self._guest = Guest()
        self._guest_at = Instant(0.0, 0.0)
        self._guest_due = float("-inf")
        self._polls = 0
        self._lives = Lives()
        self._sample: Snapshot | None = None
        self._sample_before: Snapshot | None = None
        self._interval: Interval | None = None
        self._used, self._stolen = Readings("cpu_used"), Readings("cpu_stolen")
        self._growth = Growth()
        self._extended: ExtendedSnapshot | None = None
        self._settings: dict[str, Setting] = dict(settings or {})
        self._raw: tuple[object, ...] = ()
        self._counts = dict.fromkeys((row.name for row in SETTINGS), 0)
        self._restarted = facts is not None
        self._facts = facts
        self._refresh = Refresh()
        self._pauses = Pauses() if pauses else None
        self._wakeups = Wakeups()
        self._history = History(step)
        self._steal = Steal()
        self._balloon = memory.Balloon()
        self.insight = Insight(Ledger.empty(histograms=histograms), setting_changes=self._counts)

    def polled(self, state: PollState) -> tuple[Entry, ...]:
        """Work out what this state brings: of a poll, or of a round of extended statistics. What is new comes back."""
        entries: tuple[Entry, ...] = ()
        insight = self.insight
        polled = state.polls != self._polls
        snapshot = state.snapshot if polled and not state.last_error else None
        if polled:
            self._polls = state.polls
            self._wakeups.woke(state.late)
            if snapshot is None:
                self._refresh.missed()
            else:
                insight, entries = self._basic(insight, state, snapshot)
        if state.extended is not None and state.extended is not self._extended:
            insight = self._round(insight, state.extended)
        if snapshot is not None:
            at, epoch = state.read_monotonic, state.lives.session.number
            extended = state.fresh_extended(at)
            self._history.record(Seen(at, epoch, snapshot, extended, self._guest, self._growth.sums))
            insight = replace(insight, moments=self._history.moments)
        if entries:
            insight = replace(insight, timeline=timeline.bounded((*insight.timeline, *entries)))
        self.insight = insight
        return entries

    def _basic(
        self, insight: Insight, state: PollState, snapshot: Snapshot
    ) -> tuple[Insight, tuple[Entry, ...]]:
        at = state.read_monotonic
        new_session = self._facts is None or self._facts.session_id != snapshot.session_id
        late = self._pauses is not None and self._wakeups.late
        guest = self._guest
        if new_session or late or at >= self._guest_due or self._hot_plugged():
            self._guest = self._read_guest()
            self._guest_at = Instant(state.read_time, at)
            self._guest_due = at + (state.extended_interval or GUEST_INTERVAL)
            self._steal.read(self._guest.steal_seconds, insight.ledger.host / 1000)
        self._refresh.polled(snapshot)
        ledger = insight.ledger
        new_epoch = self._begins(state, snapshot)
        interval = self._intervals(state, snapshot)
        stolen = interval.stolen if interval is not None else 0 if new_session else None
        woke_late = self._wakeups.judged(guest, self._guest, None if stolen is None else stolen / 1000)
        if interval is not None:
            longest = SAMPLE * max(state.interval, self._refresh.seconds or 0.0)
            ledger = ledger.add(interval, longest)
            share = interval.stolen_share
            if share is not None and interval.elapsed <= 1000 * longest:
                self._history.burst(share, high=share > HIGH)
        entries = (*self._entries(state, snapshot, new_epoch), *self._paused(state, snapshot, woke_late))
        return replace(
            insight,
            ledger=ledger,
            guest=self._guest,
            guest_read=self._guest_at,
            read=Instant(state.read_time, at),
            refresh=self._refresh.seconds,
            cpu_limit=self._cpu_limit(snapshot),
            memory_limit=memory.limit_state(snapshot, self._guest, self._sample_before),
            setting_changes=self._counts,
            settings=self._settings,
            facts=self._facts,
            steal_accounting=self._steal.accounting,
            steal_falls=self._steal.falls,
            pauses=self._pauses_seen(),
            balloon_stuck=self._balloon.stuck(snapshot, at),
        ), entries

    def _hot_plugged(self) -> bool:
        """Whether the number of vCPUs is another one. Where it can't be told of the VM it is not asked for."""
        known = self._guest.vcpus
        return self._read_vcpus is not None and known is not None and self._read_vcpus() != known

    def _begins(self, state: PollState, snapshot: Snapshot) -> bool:
        """Whether another epoch begins, of which nothing is compared with the one before."""
        before, old, self._lives = self._sample, self._lives, state.lives
        if before is None or (
            before.session_id == snapshot.session_id and old.session.number == state.lives.session.number
        ):
            return False
        self._sample = self._sample_before = self._interval = None
        for each in (self._used, self._stolen, self._growth):
            each.begin()
        return True

    def _intervals(self, state: PollState, snapshot: Snapshot) -> Interval | None:
        """Sum up those that end now; that of the stolen time comes back."""
        vcpus = self._guest.vcpus
        used, stolen = (each.next(snapshot, state.lives, vcpus) for each in (self._used, self._stolen))
        if used is not None:
            self._growth.used(used)
        if stolen is not None:
            self._growth.stolen(stolen)
        if self._sample is None or not repeats(self._sample, snapshot):
            self._sample_before, self._sample, self._interval = self._sample, snapshot, stolen
        return stolen

    def _cpu_limit(self, snapshot: Snapshot) -> LimitState | None:
        """What the limit of now does. Whether it throttles takes an interval that ends with this very sample."""
        now, last = Bounds.of(snapshot, self._guest.vcpus), self._interval
        return last.limit_state if last is not None and last.after == now else now.state

    def _entries(self, state: PollState, snapshot: Snapshot, new_epoch: bool) -> tuple[Entry, ...]:
        """What this poll shows to have happened: a session change, settings that differ."""
        found = []
        at, before = state.read_monotonic, self._facts
        self._facts = timeline.facts_of(state, snapshot, self._guest)
        if before is not None and not (new_epoch or timeline.another(before, self._facts)):
            self._facts = replace(self._facts, build=before.build)
        elif before is not None:
            found.append(timeline.session_entry(before, self._facts, at, restarted=self._restarted))
            self._before = before
        changed: tuple[Change, ...] = ()
        present: dict[str, Setting] = {}
        if (settings := raw(snapshot, self._guest)) != self._raw:
            self._raw = settings
            present = settings_of(snapshot, self._guest)
            changed = changes(self._settings, present)
        if changed:
            self._counts = {
                **self._counts,
                **{each.row.name: self._counts[each.row.name] + 1 for each in changed},
            }
            text = "; ".join(each.text for each in changed)
            when = "; seen at the exporter's start" if self._restarted else ""
            found.append(Entry(state.read_time, at, "setting", f"{text[0].upper()}{text[1:]}{when}."))
        if changed or present.keys() - self._settings.keys():
            self._settings = {**self._settings, **present}
        self._restarted = False
        return tuple(found)

    def _paused(self, state: PollState, snapshot: Snapshot, woke_late: float | None) -> tuple[Entry, ...]:
        """Pauses that this poll shows."""
        if self._pauses is None:
            return ()
        at, interval = state.read_monotonic, state.interval
        found = []
        if woke_late is not None:
            text = f"The exporter woke {span(woke_late)} late, and nothing in the guest explains it."
            found.append(Entry(state.read_time, at, "pause", text, "the VM stood still"))
        length = self._pauses.polled(snapshot, at, min(self._refresh.seconds or interval, interval))
        if length is not None:
            text = f"The VM stood still for about {span(length)}, not long before this."
            found.append(Entry(state.read_time, at, "pause", text))
        return tuple(found)

    def _pauses_seen(self) -> Mapping[str, Histogram]:
        """What is looked for: late wake-ups only where the guest tells what else may have held them up."""
        if self._pauses is None:
            return {}
        told = self._guest.held_seconds is not None
        return {HOST_CLOCK: self._pauses.seen, **({WAKEUP: self._wakeups.seen} if told else {})}

    def _round(self, insight: Insight, extended: ExtendedSnapshot) -> Insight:
        """What rests on the extended statistics, at the time of their own answer."""
        self._extended = extended
        facts = self._facts
        if facts is not None and facts.session_id == extended.session_id and not facts.build:
            self._facts = replace(facts, build=timeline.build_of(extended))
            insight = replace(insight, facts=self._facts, timeline=self._with_build(insight.timeline))
        rise = self._growth.round(extended, self._guest.vcpus).get(CONTENTION)
        told = resource(extended, "vm.cpu.contention.mem") is not None
        measured = extended.at("resources") if told else None
        ledger = insight.ledger
        if rise is not None:
            ledger = ledger.add_memory(rise.grown, rise.share)
        return replace(insight, measured=measured, ledger=ledger)

    def _with_build(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """The last session change, told again now that the new host's build is known."""
        place = max((at for at, entry in enumerate(entries) if entry.kind == "session"), default=None)
        if place is None or self._facts is None:
            return entries
        entry = entries[place]
        told = timeline.session_entry(self._before, self._facts, entry.at)
        clues = tuple(dict.fromkeys((*entry.clues, *(clue for clue in told.clues if " before, " in clue))))
        guess = told.guess if len(clues) > len(entry.clues) else entry.guess
        return (*entries[:place], replace(entry, guess=guess, clues=clues), *entries[place + 1 :])
