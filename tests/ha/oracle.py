"""A second model: vSphere HA's side and the promises of the heartbeats, from VMware's documents alone.

It imports nothing of this program, neither of the heartbeats nor of the simulator, and is told of the world and not of
what the program thinks: what each look at what is checked found and when, when it could not run or reach its host.

Sources: "Guest and HA Application Monitoring SDK Programming Guide" (30 s, statuses, codes), vSphere API
(``GuestInfo.appState``); docs/heartbeats.md for what is promised, of checks too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW = 30.0
SETTLE = 6.0
"""Seconds after a disturbance within which a heartbeat has got through."""


@dataclass
class Host:
    """One VM as its host sees it. ``resets``: when, why, and when the host had last heard of it."""

    request_delay: float = 0.0
    enabled: bool = False
    heard: float = 0.0
    asked: float | None = None
    resets: list[tuple[float, str, float]] = field(default_factory=list)
    beats: list[tuple[float, int]] = field(default_factory=list)
    """When, and by which process."""

    def advance(self, now: float) -> None:
        if self.asked is not None and now >= self.asked + self.request_delay:
            self._reset(self.asked + self.request_delay, "asked")
        if self.enabled and now > self.heard + WINDOW:
            self._reset(self.heard + WINDOW, "silent")

    def _reset(self, when: float, why: str) -> None:
        self.resets.append((when, why, self.heard))
        self.forget()

    def forget(self) -> None:
        self.enabled, self.asked = False, None

    def command(self, now: float, who: int, text: str) -> str:
        """The reply to ``text``, which is what stands behind ``GuestAppMonitor.Cmd.``"""
        self.advance(now)
        if text == "Enable":
            if not self.enabled:
                self.enabled, self.heard = True, now
            return "0"
        if text == "MarkActive":
            if not self.enabled:
                return "2"
            self.heard = now
            self.beats.append((now, who))
            return "0"
        if text == "Disable":
            self.enabled = False
            return "0"
        if text == "IsEnabled":
            return "true" if self.enabled else "false"
        if text == "GetAppStatus":
            return "Green" if self.enabled else "Gray"
        if text == "PostAppState appStateNeedReset":
            self.asked = now if self.asked is None else self.asked
            return "0"
        if text == "PostAppState appStateOk":
            self.asked = None
            return "0"
        if text in {"PostAppState OK", "PostAppState needReset"}:
            return "5"
        raise AssertionError(f"no such command: {text}")


@dataclass(frozen=True)
class Inheritance:
    """What a killed process leaves of its check: looks in a row, all that it takes where it is bad; whether it was good;
    seconds for which a clear result was waited for, where there is none."""

    failed: int = 0
    good: int = 0
    was_good: bool = False
    waited: float = 0.0
    unproved: float = 0.0
    """Seconds for which it was bad by its verdict, after its last look."""
    same_for: float = 0.0
    """Seconds until an interval after the last failed look that counts: one that fails sooner is no other failure."""


@dataclass
class Check:
    """What is known of the one thing that is checked, by what each look found. Times: seconds in which somebody could look.

    A look is ``good``, ``bad``, ``fault`` (the exporter could not look) or ``unknown`` (too early to say).
    """

    interval: float
    timeout: float
    failures: int
    successes: int
    known: str = "unknown"
    in_a_row: list[str] = field(default_factory=list)
    """Looks that were good or bad, since the last one of the other kind."""
    blind: int = 0
    """Faults in a row."""
    spoiled: int = 0
    """Looks in a row in which the exporter stood still."""
    more: float = 0.0
    """Seconds of standstills in looks that had all their time, none of which has said anything: later ones have so much more."""
    begun: float | None = None
    waited: float = 0.0
    """Seconds until ``mark`` for which a clear result was waited for, without those in which the exporter could not look."""
    mark: float = 0.0
    good_row: int = 0
    """Good looks in a row that a process before this one has seen, until the first that fails."""
    waited_before: float = 0.0
    """The same, by those whom this one follows. It counts with a fresh look that failed."""
    failed: int = 0
    """Looks of this process that came back bad."""
    goods: int = 0
    """Looks of this process by which it was good."""
    good_before: bool = False
    """Those whom it follows knew it to be good, and nothing has made it bad since."""
    bad_before: bool = False
    """They knew it to be bad, and no look has come back since."""
    unproved_before: float = 0.0
    again: float = 0.0
    """Seconds that it was bad for them after their last look, if the first one found it bad again, and that that one took."""
    counted: bool = False
    """That is among the bad time by now."""
    since: float | None = None
    """When the session changed last: what was bad before it is none of the bad time."""
    next_failure: float = float("-inf")
    """An interval after the last failure that counts."""
    same_until: float = float("-inf")
    """The same, where that was one of a process before this one."""

    def handed_over(self, at: float, unproved: float = 0.0) -> Inheritance:
        """For the check of a process that follows a killed one. ``unproved``: seconds of its bad verdict since its last look."""
        bad = self.bad_before or "bad" in {self.known, self.verdict(at)}
        late = self._late(at, 2.0)
        failed = min(self.in_a_row.count("bad") + late, self.failures)
        next_failure = self._first_due() + late * self.interval if late else self.next_failure
        return Inheritance(
            self.failures if bad else failed,
            0 if late else self.good_row + self.in_a_row.count("good"),
            self.known == "good" or self.good_before,
            self.waited_before + self._all_waited(at)
            if self.known == "unknown" and not self.good_before
            else 0.0,
            unproved + (self.unproved_before if self.bad_before and not self.counted else 0.0),
            max(0.0, next_failure - at),
        )

    def goes_on(self, left: Inheritance, gap: float = 0.0) -> None:
        """A fresh look decides: what was handed over, ``gap`` seconds ago, is no verdict by itself."""
        if left.failed < self.failures:
            self.next_failure = self.same_until = max(0.0, left.same_for - gap)
        self.in_a_row = ["bad"] * min(left.failed, self.failures - 1)
        self.good_row = min(left.good, self.successes - 1)
        self.good_before = left.was_good and left.failed < self.failures
        self.waited_before = left.waited
        self.bad_before, self.unproved_before = left.failed >= self.failures, left.unproved

    def _all_waited(self, at: float) -> float:
        blind = (self.blind or self.spoiled) and self.begun is None
        return self.waited + (0.0 if blind else at - self.mark)

    def begin(self, at: float) -> None:
        if not (self.blind or self.spoiled):
            self.waited += at - self.mark
        self.begun = self.mark = at

    def end(self, at: float, found: str, stood: float = 0.0) -> None:
        """``stood``: seconds of the look, not counted in ``at``, for which the exporter stood still."""
        assert self.begun is not None
        took = at - self.begun
        late = took - self.timeout > 0
        first_due = self._first_due()
        anew = self.begun >= self.same_until - 0.1
        counted = max(1 if anew else 0, self._late(at, 0.0))
        self.begun = None
        if not late and stood >= max(0.1, self.timeout / 10):
            self.spoiled += 1
            if took + stood >= self.timeout + self.more - 0.1:
                self.more = min(self.timeout, self.more + stood)
            return
        self.spoiled = 0
        if found == "fault":
            self.blind += 1
            return
        self.blind = 0
        self.more = self.more if late and found != "unknown" else 0.0
        bad_before, self.bad_before = self.bad_before, False
        self.waited = 0.0 if found == "unknown" else self.waited + at - self.mark
        self.waited_before = 0.0 if found == "unknown" else self.waited_before
        self.mark = at
        if found == "unknown":
            return
        found = "bad" if late else found
        if self.in_a_row and self.in_a_row[-1] != found:
            self.in_a_row.clear()
        self.in_a_row += [found] * (counted if found == "bad" else 1)
        if found == "good":
            self.again = 0.0
            self.next_failure = self.same_until = float("-inf")
        if found == "bad":
            self.next_failure = first_due + counted * self.interval
            self.same_until = float("-inf") if counted else self.same_until
            self.failed, self.good_row = self.failed + 1, 0
            self.again = self.unproved_before + took if bad_before else self.again
            if len(self.in_a_row) >= self.failures:
                self.known, self.good_before = "bad", False
        elif self.known == "good" or self.good_before or self.good_row + len(self.in_a_row) >= self.successes:
            self.known, self.good_before = "good", False
            self.goods += 1

    def _late(self, at: float, patience: float) -> int:
        """A look that hangs is a failed one, and so is each that it keeps from being taken."""
        over = 0.0 if self.begun is None else at - self._first_due() - self.timeout - self.more - patience
        return 0 if over <= 0 else 1 + int(over / self.interval)

    def _first_due(self) -> float:
        """When the look that is under way was to begin, had there been one process all the while."""
        assert self.begun is not None
        return max(self.begun, self.same_until)

    def hangs(self, at: float) -> bool:
        return self._late(at, 2.0) > 0

    def found_again(self, at: float) -> float:
        """:attr:`again`, or that of a first look which hangs."""
        again = self.again
        if self.bad_before and self.begun is not None and self.hangs(at):
            again = self.unproved_before + at - self.begun
        return again if self.since is None else min(again, at - self.since)

    def another_session(self, at: float) -> None:
        self.since, self.unproved_before = at, 0.0

    def verdict(self, at: float) -> str:
        failed = self.in_a_row.count("bad") + self._late(at, 2.0)
        if self.blind >= self.failures:
            return "fault"
        if failed >= self.failures:
            return "bad"
        limit = max(self.failures, self.successes) * (self.interval + self.timeout)
        waited = self._all_waited(at) + (self.waited_before if self.failed else 0.0)
        return "bad" if self.known == "unknown" and waited > limit else self.known


ROUNDING = 1e-3
"""Seconds by which a sum of times may be short of the grace period."""


@dataclass
class Promises:
    """What may happen to the machine, given what was done to it. ``on_unhealthy`` as the setting's text."""

    interval: float
    grace: float
    on_unhealthy: str
    total: float = 0.0
    """Seconds of bad health that reached the program, by whatever check."""
    each: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By check: its last verdict, and the seconds for which it was bad since it was last good."""
    unproved: dict[str, float] = field(default_factory=dict)
    """By check: those of them that were after the last look that found it bad."""
    counted_again: float = 0.0
    """Seconds of before this process that looks have found bad again, as far as it has been told."""
    off: bool = False
    """It has handed monitoring back for bad health, and that was not good since."""
    own: float = 0.0
    """Seconds for which the program itself was not well, whatever else was bad."""
    fault: bool = False
    """It was so by the last verdict."""
    known_bad: set[str] = field(default_factory=set)
    """The checks that are bad by the last verdict, or were so before they could not be looked at any more."""
    last: tuple[float, str] | None = None
    checked: float | None = None
    """When the main process judged its checks last, in seconds for which it ran."""
    silent_at: float | None = None
    """When the last look at a silent main process was."""
    permitted: list[float] = field(default_factory=list)
    """Moments at which beats may be withheld."""
    asking: list[float] = field(default_factory=list)
    """Moments at which a reset may be asked for."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When, and for how long, nothing could get through."""
    health: str = "unknown"
    """What was known when the program last ran."""
    good_since: float = float("inf")
    trusted: bool = False
    """Health was good once since the boot, the last orderly stop or maintenance: before it nothing may be enabled."""
    entitled: bool = False
    """The host has taken an Enable since then, or had one when this process began: a lost one may be restored while
    health is bad, and a first one may not be given."""
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def bad(self) -> float:
        """No check's bad time but its own counts against it, only up to a look that found it bad, and while it is known to be
        bad."""
        return max(0.0, min(self.total, self._proved(now=bool(self.known_bad))))

    @property
    def _longest(self) -> float:
        """Bad time of the check that was bad for longest."""
        return max((bad for _, bad in self.each.values()), default=0.0)

    @property
    def _bad_now(self) -> float:
        """That of the checks that are bad now: one that can't be looked at asks for nothing."""
        return self._proved(now=True, of={name for name, (word, _) in self.each.items() if word == "bad"})

    def _proved(self, *, now: bool, of: set[str] | None = None) -> float:
        """The same, up to a look that found it bad; ``now``: of those that are known to be bad, or ``of`` these."""
        known_bad = self.known_bad if of is None else of
        times = (
            bad - self.unproved.get(name, 0.0)
            for name, (_, bad) in self.each.items()
            if not now or name in known_bad
        )
        return max(times, default=0.0)

    def forget_checks(self, left: float = 0.0) -> None:
        """``left``: seconds for which some check was bad, it is not known which."""
        self.each = dict.fromkeys(self.each, ("", left))
        self.unproved.clear()

    def another_session(self) -> None:
        """What was bad is so still, and has been for no time."""
        self.each = {name: (word, 0.0) for name, (word, _) in self.each.items()}
        self.unproved.clear()
        self.known_bad.clear()

    def checks(
        self,
        at: float,
        found: dict[str, str],
        again: dict[str, float],
        proved: set[str],
        blind: frozenset[str] = frozenset(),
    ) -> None:
        """What the checks are by what was found, ``again``: for how long a look took that found the same as those before;
        ``proved``: checks that a look has found bad by now. A verdict between two looks is none of what is there now. ``at``: in
        seconds for which the main process ran: while it stands still nobody knows. ``blind``: those of which the last look said
        nothing, by no fault of what is checked: nobody has observed that they were bad."""
        gap = 0.0 if self.checked is None else at - self.checked
        self.checked = at
        for name, word in found.items():
            before, bad = self.each.get(name, ("", 0.0))
            if word == "bad":
                bad += again.get(name, 0.0)
                more = gap if before == "bad" and gap <= self.interval else 0.0
                bad += more
                self.unproved[name] = self.unproved.get(name, 0.0) + more
            if word == "good" or name in proved:
                self.unproved[name] = 0.0
            elif name in blind:
                bad -= self.unproved.get(name, 0.0)
                self.unproved[name] = 0.0
            self.each[name] = word, 0.0 if word == "good" else bad
            if word == "bad":
                self.known_bad.add(name)
            elif word != "fault":
                self.known_bad.discard(name)

    def verdict(self, at: float, health: str, again: float = 0.0, *, fault: bool = False) -> None:
        """``good``, ``bad``, ``fault`` or ``unknown`` has reached the program; ``fault``: beside what is bad it could not look."""
        fault = fault or health == "fault"
        fault_before, self.fault = self.fault, fault
        before, self.last = self.last, (at, health)
        if health == "bad":
            self.total += max(0.0, again - self.counted_again)
            self.counted_again = again
        silent_at, self.silent_at = self.silent_at, None
        if not fault:
            self.own = 0.0
        elif silent_at is not None and at - silent_at <= self.interval:
            # It was not well up to its first word, and is not well by that.
            self.own += at - silent_at
        if health == "good":
            self.total, self.off = 0.0, False
            self.trusted = True
            if before is None or before[1] != "good":
                self.good_since = at
            return
        self.good_since = float("inf")
        if before and at - before[0] <= self.interval:
            if health == before[1] == "bad":
                self.total += at - before[0]
            if fault and fault_before:
                self.own += at - before[0]
        self.total = min(self.total, self._longest)

    def fresh(self, *, on: bool, anew: bool) -> None:
        """Another process: what was the last verdict is not known to it. ``on``: the host expects heartbeats. ``anew``: the
        main process is another one too; else it has seen its checks go on, and tells what it knew last."""
        self.last = None if anew else self.last
        self.silent_at, self.off = None, False
        self.health, self.entitled, self.counted_again = "unknown", on, 0.0
        if anew:
            # What no look has proved yet is up to the first one of the next process.
            proved, self.own = max(self.bad, self._proved(now=False)), 0.0
            self.known_bad.clear()
            self.each = {
                name: ("", max(0.0, bad - self.unproved.get(name, 0.0)))
                for name, (_, bad) in self.each.items()
            }
            self.total = min(proved, self._longest)
            self.unproved.clear()
            self.checked = None

    def clear(self) -> None:
        """An orderly stop, maintenance, another session, a boot."""
        self.total = self.own = 0.0
        self.known_bad.clear()

    def handed_back(self, *, good_now: bool = False) -> None:
        """Confirmed by the host, or a boot: from here on all begins as if nothing had ever been enabled. ``good_now``: where
        health is good by the last verdict, it is good since then too."""
        self.trusted = good_now and self.health == "good"
        self.entitled = False

    def enabled(self) -> None:
        """The host has taken Enable, whether or not its reply arrives."""
        self.entitled = True

    def enabling(self, now: float) -> None:
        """The program asks the host to expect heartbeats."""
        if not self.trusted:
            self.wrong.append(f"at {now:.1f}, enabled before health was good")
        elif not self.entitled and self.health != "good":
            self.wrong.append(f"at {now:.1f}, enabled for the first time while health is {self.health}")

    def disabling(self, now: float, *, wanted: bool) -> None:
        """The program asks the host to expect no heartbeats any more, outside of a stop; ``wanted``: of maintenance too.

        One that follows a crash takes the monitoring over, whatever health is.
        """
        bad = bool(self.known_bad) or self.health == "fault" or self.off
        if wanted and not (self.on_unhealthy == "disable" and bad):
            self.missed.append(f"at {now:.1f}, switched off though nobody asked")

    def look(self, now: float, begun: float, *, wanted: bool) -> None:
        """The program runs at ``now``, since ``begun``; ``wanted``: no stop, no maintenance."""
        at, health = self.last or (begun, "unknown")
        if now - at > self.interval:
            health = "fault"
            if self.silent_at is not None and now - self.silent_at <= self.interval:
                self.own += now - self.silent_at
            self.silent_at = now
        self.health = health
        spent = self.bad >= self.grace - ROUNDING
        # A fault of the exporter's own has a grace period to itself; what was decided before it stands.
        lasting = {
            "bad": spent or (self.fault and self.own >= self.grace - ROUNDING),
            "fault": self.own >= self.grace - ROUNDING or (bool(self.known_bad) and spent),
        }
        self.off = wanted and (self.off or bool(lasting.get(health)))
        if wanted and lasting.get(health) and self.on_unhealthy != "disable":
            self.permitted.append(now)
            asks = spent and self._bad_now >= self.grace - ROUNDING
            if health == "bad" and asks and self.on_unhealthy == "request-reset":
                self.asking.append(now)

    def outage(self, begin: float, seconds: float) -> None:
        self.outages.append((begin, begin + seconds))

    def judge(self, when: float, why: str, heard: float, *, stopped: bool) -> None:
        """A reset: was it right?"""
        if why == "asked":
            recent = when - 60.0 - self.out(when - 300.0, when)
            asked = [at for at in self.asking if recent <= at <= when]
            # A request may have been on its way when health came back.
            good_for = when - self.good_since
            right = bool(asked) and good_for <= SETTLE + self.out(when - WINDOW, when)
        else:
            # A beat that could not be sent is not one that was withheld.
            due = heard + self.interval + SETTLE + self.out(heard, when)
            withheld = any(heard < at <= due for at in self.permitted)
            right = withheld or self.out(heard, when) >= WINDOW - self.interval - SETTLE
        if stopped or not right:
            self.wrong.append(f"at {when:.1f}, {why}, last heard {heard:.1f}, stopped: {stopped}")

    def out(self, begin: float, end: float) -> float:
        """Seconds between them for which nothing could get through."""
        return sum(max(0.0, min(end, stop) - max(begin, start)) for start, stop in self.outages)
