"""The numbers behind the heartbeats, and the words that their modules share."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum

from exporter.errors import ConfigError

WINDOW = 30.0
"""Seconds without a heartbeat after which the host may call the application dead (programming guide)."""

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS})
"""What the system says when this process, or the machine, has run out of something: no word on anything else."""


class Health(Enum):
    """The verdict of the exporter's own health and the user's checks."""

    UNKNOWN = "unknown"
    """Not judged yet. Only before the first verdict, and for a bounded time."""
    GOOD = "good"
    BAD = "bad"
    """A check of the user's is bad."""
    FAULT = "fault"
    """Only the exporter itself is not well: never a reason to ask for a reset, but for silence it is."""


class OnUnhealthy(Enum):
    """``--ha.on-unhealthy``."""

    WITHHOLD = "withhold"
    REQUEST_RESET = "request-reset"
    DISABLE = "disable"


class Leftover(Enum):
    """What may be left at the host by an exporter that died, or by hand; the value is the word in the file."""

    NOTHING = "off"
    BY_HAND = "on by hand"
    """Heartbeats are expected of whoever said ``ha enable --unattended``. An exporter with heartbeats takes that over."""
    MONITORING = "on"
    """Heartbeats may be expected."""
    REQUEST = "reset asked"
    """Beside that, a request for a reset may be pending."""


class Phase(Enum):
    """Where the heartbeats stand, in a word for people."""

    WAITING = "waiting for the first good health"
    BEATING = "beating"
    WITHHOLDING = "withholding heartbeats"
    ASKING = "asking for a reset"
    OFF = "monitoring handed back"
    MAINTENANCE = "maintenance"
    STOPPING = "stopping"
    STOPPED = "stopped"


QUIET = frozenset({Phase.OFF, Phase.MAINTENANCE, Phase.STOPPING, Phase.STOPPED})
"""Nobody shall expect heartbeats."""
NO_BEATS = frozenset({Phase.WITHHOLDING, Phase.ASKING})
"""The host shall expect heartbeats, and none are sent."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers, in seconds. Only tests change those below ``on_unhealthy``."""

    interval: float = 10.0
    grace: float = 30.0
    on_unhealthy: OnUnhealthy = OnUnhealthy.WITHHOLD
    window: float = WINDOW
    retry: float = 1.0
    """Between attempts while the host does not answer; the first new attempt is immediate."""
    unavailable_retry: float = 300.0
    """Between attempts where the host has refused from the start: a setting has to be changed first."""
    stop_limit: float = 60.0
    """For a confirmed Disable. Below systemd's 90 s, after which it kills."""

    @property
    def timing_slack(self) -> float:
        """What is left of the host's limit when one heartbeat fails. Negative: one failure could be a reset."""
        return self.window - 2 * self.interval

    @property
    def status_interval(self) -> float:
        """Between status polls; 30 s at the default interval, as in the guide's flow."""
        return 3 * self.interval

    @property
    def patience(self) -> float:
        """How long Gray may follow on good heartbeats before it means "not enabled in the cluster".

        The host's HA daemon looks every 30 s and decides after 61 to 89 s.
        """
        return 3 * self.window

    def check(self) -> None:
        """Refuse rules that leave no slack.

        Raises:
            ConfigError: why, and what would do.
        """
        if self.interval <= 0 or self.timing_slack < 0:
            raise ConfigError(
                f"--ha.interval={self.interval:g}s leaves no slack: the host acts on {self.window:g}s of silence, and "
                f"one heartbeat must be allowed to fail; use {self.window / 2:g}s or less"
            )
