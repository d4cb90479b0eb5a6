"""What the host has heard of this application, and what it shows of it. Decides nothing and waits for nothing.

Parts of :class:`~exporter.ha.host_state.HostState`, which alone writes them. Times are seconds of one steady clock.
"""

from __future__ import annotations

from exporter.protocol.appmonitor import AppStatus


class Heard:
    """Enable and heartbeats, by what was sent and what came back.

    ``window``: seconds without a heartbeat after which the host may act.
    """

    def __init__(self, window: float) -> None:
        self.last_beat: float | None = None
        """When the last heartbeat that it took was sent."""
        self.enabled_at = float("-inf")
        """When the last Enable that it took was sent; minus infinity where that may have been another host."""
        self._window = window
        self._silent_since: float | None = None
        """Since when it has heard neither Enable nor a heartbeat, at the earliest. An Enable whose reply was lost may have
        been heard."""
        self._by: float | None = None
        """Until when it may have heard one, at the latest: also one whose reply was lost."""
        self._sent = float("-inf")
        self._before: float | None = None
        """What a call that a clear no answers leaves as it was."""

    def sent(self, now: float, *, anew: bool) -> None:
        """A call goes out; ``anew``: one with which the host may begin to count."""
        self._sent, self._before = now, self._silent_since
        if anew:
            self._silent_since = now

    def maybe(self, now: float) -> None:
        """An Enable or a heartbeat may have been heard, as late as ``now``."""
        self._by = now

    def enabled(self) -> None:
        """An Enable was taken."""
        self._silent_since = self.enabled_at = self._sent

    def enabled_at_is(self, time: float) -> None:
        """As if the last Enable had been taken then."""
        self.enabled_at = time

    def beaten(self) -> None:
        """A heartbeat was taken."""
        self.last_beat = self._silent_since = self._sent

    def refused(self) -> None:
        """The call did nothing."""
        self._silent_since = self._before

    def time_left(self, now: float) -> float | None:
        """Seconds until a host that expects heartbeats may act on silence; None where it has never heard anything."""
        return None if self._silent_since is None else max(0.0, self._silent_since + self._window - now)

    def overdue(self, now: float) -> bool:
        """It has certainly heard nothing for so long that it may have acted already."""
        times = [time for time in (self._silent_since, self._by) if time is not None]
        return bool(times) and now - max(times) >= self._window


class Shown:
    """The application's status, as the host gave it last."""

    def __init__(self) -> None:
        self.status: AppStatus | None = None
        self.gray_since: float | None = None
        self.green = False
        """Seen since the last Enable that mattered."""
        self.doubtful = False
        """Monitoring was off, and it has not been asked since this look: an Enable may have come late, or be another program's, and the
        status may stay Gray until a heartbeat comes."""

    def looked(self, now: float, status: AppStatus | None, *, on: bool) -> None:
        """``status`` None: it was not given. ``on``: the host expects heartbeats."""
        self.status = status
        self.doubtful = not on
        if status is AppStatus.GREEN:
            self.green = True
        if status is None:
            return
        if status is not AppStatus.GRAY:
            self.gray_since = None
        elif on and self.gray_since is None:
            self.gray_since = now

    def doubt(self) -> None:
        """Before the last look of all."""
        self.doubtful = True

    def asked(self) -> None:
        """IsEnabled was."""
        self.doubtful = False

    def lost(self) -> None:
        """What was green by then is so no more."""
        self.green = False
