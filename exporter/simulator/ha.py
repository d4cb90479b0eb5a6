"""vSphere HA Application Monitoring, the host's side: a state machine on a given clock, without I/O.

::

    gray ──Enable──> green ──no heartbeat for `window`──> red ──`reset_delay` later──> reset recorded, gray
      ^                │  ^────────────MarkActive──────────┘
      └──Disable, vMotion, host restart: monitoring forgotten

PostAppState needReset is acted upon without Enable, and appStateOk takes it back while it is still pending.
Source: Guest and HA Application Monitoring SDK Programming Guide. What it leaves open is decided here towards
what is hardest for the guest: a second Enable is no heartbeat, and the window is the documented 30 s, where
real hosts take 61 to 89.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.errors import RpcError
from exporter.protocol.appmonitor import PREFIX, AppState, AppStatus, Code, Verb

WINDOW = 30.0
"""Seconds within which the next heartbeat is due."""


@dataclass(frozen=True)
class MonitorOptions:
    """How this host monitors. Times in seconds."""

    supported: bool = True
    """False: Workstation and Fusion, which have no such commands."""
    reacts: bool = True
    """False: the cluster's VM Monitoring is not set to "VM and Application"; calls succeed, nobody acts."""
    window: float = WINDOW
    reset_delay: float = 0.0
    """From red to the reset."""
    request_delay: float = 0.0
    """From appStateNeedReset to the reset."""
    guest_runs_on: bool = False
    """A reset is recorded and changes nothing else, as in a dry run: one for each silence, one for each request."""
    guide_spelling: bool = False
    """Takes the programming guide's OK and needReset, and answers 5 to appStateOk and appStateNeedReset."""
    status_prefix: str = ""
    """``appStatus`` for a host that writes appStatusGreen."""


@dataclass(frozen=True)
class Reset:
    """A reset of the VM that vSphere HA would have done: when by the monitor's clock, and why."""

    time: float
    reason: str


class Monitor:
    """What the host knows of one VM's application. ``notice`` is told of every change of state, in words."""

    def __init__(
        self,
        options: MonitorOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.options = options or MonitorOptions()
        self.resets: list[Reset] = []
        self.enabled = False
        self.heartbeats = 0
        """Taken since the start."""
        self._clock = clock
        self._notice = notice
        self._due = 0.0
        """When the window closes; counts while enabled."""
        self._red = False
        self._requested: float | None = None
        self._recorded = False
        """This silence, or this request, has had its reset; the guest runs on."""

    @property
    def status(self) -> AppStatus:
        """What GetAppStatus would say now."""
        self.advance()
        if not self.enabled:
            return AppStatus.GRAY
        return AppStatus.RED if self._red else AppStatus.GREEN

    def seconds_left(self) -> float | None:
        """Until the host resets the VM, should nothing more come; None: it won't."""
        self.advance()
        ends = [] if self._requested is None else [self._requested + self.options.request_delay]
        if self.enabled:
            ends.append(self._due + self.options.reset_delay)
        return min(ends) - self._clock() if ends and self.options.reacts else None

    def advance(self) -> None:
        """Do what is due by now. Every other method does it first."""
        now = self._clock()
        if self._requested is not None and not self._recorded:
            end = self._requested + self.options.request_delay
            if now >= end:
                self._reset(end, "the guest asked for it (appStateNeedReset)")
        if self.enabled and not self._red and now > self._due:
            self._red = True
            self._notice(f"HA: no heartbeat for {self.options.window:g} s, status Red")
        silent = self.enabled and not self._recorded and self.options.reacts
        if silent and now > (end := self._due + self.options.reset_delay):
            self._reset(end, f"no heartbeat for {self.options.window:g} s")

    def answer(self, command: bytes) -> bytes:
        """The reply's data to a ``GuestAppMonitor.Cmd.…`` command.

        Raises:
            RpcError: the host has no such command.
        """
        self.advance()
        word, space, argument = command.decode("utf-8", "replace").removeprefix(PREFIX).partition(" ")
        verb = _VERBS.get(word)
        if verb is None or not self.options.supported:
            raise RpcError("Unknown command")
        if verb is Verb.IS_ENABLED:
            return b"true" if self.enabled else b"false"
        if verb is Verb.GET_APP_STATUS:
            return f"{self.options.status_prefix}{self.status.value.capitalize()}".encode()
        if verb is Verb.ENABLE:
            self._enable()
            code = Code.OK
        elif verb is Verb.DISABLE:
            self._disable()
            code = Code.OK
        elif verb is Verb.MARK_ACTIVE:
            code = self._mark_active()
        else:
            code = self._post(argument if space else None)
        return str(code.value).encode()

    def forget(self, reason: str) -> None:
        """The VM runs under another host process now, which knows nothing of the monitoring."""
        self.advance()
        if self.enabled:
            self._notice(f"HA: {reason}, monitoring forgotten, status Gray")
        self._clear()

    def _clear(self) -> None:
        self.enabled = self._red = self._recorded = False
        self._requested = None

    def _reset(self, when: float, reason: str) -> None:
        # A reset guest has to enable again, and the host says nothing to a guest that it reset.
        if self.options.guest_runs_on:
            self._recorded = True
        else:
            self._clear()
        self.resets.append(Reset(when, reason))
        self._notice(f"HA: RESET of the VM (number {len(self.resets)}): {reason}")

    def _enable(self) -> None:
        if not self.enabled:
            self.enabled = True
            self._due = self._clock() + self.options.window
            self._notice("HA: monitoring enabled, status Green")

    def _disable(self) -> None:
        if self.enabled:
            self.enabled = self._red = False
            self._recorded = self._recorded and self._requested is not None
            self._notice("HA: monitoring disabled, status Gray")

    def _mark_active(self) -> Code:
        if not self.enabled:
            return Code.NOT_ENABLED
        self.heartbeats += 1
        self._due = self._clock() + self.options.window
        self._recorded = self._recorded and self._requested is not None
        if self._red:
            self._red = False
            self._notice("HA: heartbeats are back, status Green")
        return Code.OK

    def _post(self, argument: str | None) -> Code:
        if argument is None:
            return Code.ARGUMENT_EXPECTED
        if not argument:
            return Code.NULL_ARGUMENT
        spelling = 1 if self.options.guide_spelling else 0
        state = {state.spellings[spelling]: state for state in AppState}.get(argument)
        if state is None:
            return Code.BAD_ARGUMENT
        if state is AppState.NEED_RESET and self._requested is None:
            self._notice("HA: the guest asks for a reset")
            if self.options.reacts:
                self._requested = self._clock()
                self.advance()
        elif state is AppState.OK and self._requested is not None:
            self._requested = None
            self._recorded = self._red
            self._notice("HA: the guest takes its request for a reset back")
        return Code.OK


_VERBS = {verb.value: verb for verb in Verb}
