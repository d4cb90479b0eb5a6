"""When what is due: the next heartbeat, status, question and post, and the next attempt after a failure.

Written by its own methods alone. It says when something may be done, never whether it is wanted.
"""

from __future__ import annotations

from exporter.ha.rules import NO_BEATS, QUIET, Phase, Rules
from exporter.protocol.appmonitor import AppStatus, Verb


class Schedule:
    """Times are seconds of one steady clock."""

    def __init__(self, rules: Rules, now: float) -> None:
        self.beat = self.status = self.ask = self.post = now
        """When the next MarkActive, GetAppStatus, IsEnabled, PostAppState are due."""
        self.retry = now
        """Before it nothing is sent but PostAppState."""
        self.failures = 0
        """Calls in a row that came to nothing."""
        self._failing_since = now
        """When the first of them did."""
        self._rules = rules
        self._sent: dict[Verb, float] = {}

    def sent(self, now: float, verb: Verb) -> None:
        self._sent[verb] = now
        if verb is Verb.ENABLE:
            self.ask = now

    def least_recent(self, verbs: list[Verb]) -> Verb:
        """In turns: while nothing gets through, none of them may keep the others from being tried."""
        return min(verbs, key=lambda verb: self._sent.get(verb, float("-inf")))

    def beat_at(self, when: float) -> None:
        self.beat = when

    def beat_taken(self) -> None:
        """The next one is due an interval after this one was sent."""
        self.beat = self._sent[Verb.MARK_ACTIVE] + self._rules.interval
        self.failures = 0

    def ask_at(self, when: float) -> None:
        self.ask = when

    def retry_at(self, when: float) -> None:
        self.retry = when

    def status_at(self, when: float) -> None:
        self.status = when

    def looked(self, now: float, status: AppStatus | None, *, beating: bool) -> None:
        """Where heartbeats go out, Green needs no closer look."""
        rules = self._rules
        rare = beating and status is AppStatus.GREEN
        self.status = now + (rules.status_interval if rare else rules.interval)

    def post_at(self, when: float) -> None:
        self.post = when

    def posted(self, now: float, *, taken: bool, pending: bool) -> None:
        """``pending``: a request for a reset may be at the host, or on its way: it is not left so."""
        if pending or not taken:
            # Silence leads to the same as a request that is refused.
            self.post = now + (self._rules.retry if pending else self._rules.interval)

    def entered(self, now: float, before: Phase, after: Phase) -> None:
        """Another phase begins. A stop does not wait for what was planned, nor does what was silent before it."""
        if (after is Phase.BEATING and before is not Phase.WAITING) or (
            before in NO_BEATS and after in QUIET
        ):
            self.beat = now
        if after in QUIET:
            self.retry = self.ask = self.post = self.status = now
        elif Phase.ASKING in {before, after}:
            self.post = now

    def another_host(self, now: float) -> None:
        """Ask how it sees the application, and try again what another one refused."""
        self.status = now
        self.retry = min(self.retry, now)

    def recovered(self) -> None:
        self.failures = 0

    def failed(self, now: float, *, refused: bool, known: bool, expected: bool, overdue: bool) -> None:
        """A call came to nothing: when is the next attempt?

        ``expected``: the host may expect heartbeats. Then every second within its patience is used, whatever it
        answered: a refusal may be as passing as a lost reply. ``overdue``: that patience is over. ``known``: the host has
        answered such a call before, so that a refusal passes.
        """
        rules = self._rules
        self.failures += 1
        if self.failures == 1:
            # At once, on a new connection: the slack is for this.
            self.retry, self._failing_since = now, now
        elif expected:
            self.retry = now + (rules.interval if refused and overdue else rules.retry)
        elif known or not refused or now - self._failing_since < rules.window:
            # A full disk may have kept "on" from being noted, and a host that is starting refuses what it knows: soon
            # again at first, as the last heartbeat may be nearly an interval old.
            self.retry = now + min(rules.retry * 2 ** min(self.failures - 2, 10), rules.interval)
        else:
            self.retry = now + rules.unavailable_retry
