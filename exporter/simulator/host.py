"""One VM on one simulated host, as a function of a clock: its statistics, its sessions, its devices.

Knows nothing of connections. Not thread-safe: whoever shares one holds a lock (:mod:`exporter.simulator.server`).
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.errors import RpcError
from exporter.protocol import stats_v2, stats_v3
from exporter.simulator import scenario_file, stat_get, statistics
from exporter.simulator.curves import Curve, CurveValue, constant
from exporter.simulator.devices import Devices
from exporter.simulator.guest import guest_of
from exporter.simulator.ha import Monitor
from exporter.simulator.physics import Physics
from exporter.simulator.scenario import Scenario, ScenarioEvent
from exporter.snapshot import Guest


@dataclass(frozen=True)
class Happening:
    """Something worth a line: seconds since the start, and what it was."""

    time: float
    text: str


class SimulatedHost:
    """``scenario``: a :class:`Scenario`, or the name or file of one.

    ``clock`` in seconds; ``speed`` makes statistics and scenario run faster than it, but not vSphere HA: the
    guest's heartbeats do not. The same scenario and seed at the same times give the same numbers.
    """

    def __init__(
        self,
        scenario: Scenario | str = "steady",
        clock: Callable[[], float] = time.monotonic,
        seed: int = 0,
        *,
        speed: float = 1.0,
    ) -> None:
        self.scenario = scenario_file.load(scenario) if isinstance(scenario, str) else scenario
        self.seed = seed
        self.session_changes = 0
        self.generation = 0
        """Grows when every connection to the host breaks."""
        self._clock = clock
        self._speed = speed
        self._origin = clock()
        self._now = 0
        self._event_time: float | None = None
        self._random = random.Random(seed)  # noqa: S311  to be foreseen is its purpose
        self._happenings: deque[Happening] = deque(maxlen=1000)
        self.ha = Monitor(self.scenario.ha, self._time, self._notice)
        self._set: dict[int, Curve] = dict(self.scenario.set)
        # The next one last; of two at one time the one that was written first.
        self._pending = sorted(self.scenario.events, key=lambda event: event.at)[::-1]
        self._next_session = self.scenario.session_every or float("inf")
        self._outage_end = 0.0
        self._disks = Devices(self.scenario.disks)
        self._nics = Devices(self.scenario.nics)
        self.session_id = self.scenario.session_id or self._draw_session_id()
        self._begin_session()

    def advance(self) -> None:
        """Let everything happen that is due by the clock. Every question to the host does it first."""
        now = int((self._clock() - self._origin) * self._speed * 1000)
        while True:
            event_at = self._pending[-1].at if self._pending else float("inf")
            due = min(event_at, self._next_session)
            if due * 1000 > now:
                break
            self._now = max(self._now, int(due * 1000))
            # Noticed late or not, it happened when it was due.
            self._event_time = self._origin + due / self._speed
            if event_at <= self._next_session:
                self._happen(self._pending.pop())
            else:
                self._next_session += self.scenario.session_every
                self._change_session("vMotion")
        self._event_time = None
        self._now = max(self._now, now)
        self.ha.advance()

    def take_happenings(self) -> list[Happening]:
        """What has happened since the last call, at most the last thousand."""
        # With a sample: who calls this regularly never leaves hours to be worked off within one request.
        self._sample()
        taken = list(self._happenings)
        self._happenings.clear()
        return taken

    def _notice(self, text: str) -> None:
        self._happenings.append(Happening(self._time() - self._origin, text))

    def _time(self) -> float:
        """By the clock; while an event of the scenario is worked off, when that was due."""
        return self._clock() if self._event_time is None else self._event_time

    @property
    def down(self) -> bool:
        """Whether the host is restarting and takes no connections."""
        self.advance()
        return self._now < self._outage_end * 1000

    def session_change(self, why: str = "vMotion") -> None:
        """As by vMotion, resume or revert: new id, counters restart, connections break, HA forgets."""
        self.advance()
        self._change_session(why)

    def host_restart(self, outage: float = 0.0) -> None:
        """The host fails, and the VM is powered on again ``outage`` seconds later; nobody answers till then."""
        self.advance()
        self._restart(outage)

    def _restart(self, outage: float) -> None:
        self._outage_end = self._now / 1000 + outage
        self._change_session("host restart")

    def _pause(self, seconds: float) -> None:
        """The VM stands still, as for a snapshot: the host's clock goes on, the guest's did not."""
        self._paused += round(seconds * 1000)
        self._notice(f"pause of {seconds:g} s")
        self._forget_sample()

    def _change_session(self, why: str) -> None:
        self.session_id = self._draw_session_id()
        self.session_changes += 1
        self.generation += 1
        self._begin_session()
        self._notice(f"session change ({why}): {self.session_id}")
        self.ha.forget(why)

    def _draw_session_id(self) -> int:
        # 0 means "no data" to VMware's library.
        return self._random.getrandbits(64) or 1

    def _begin_session(self) -> None:
        self._began = self._now
        self._paused = 0
        machine = self.scenario.machine
        self._physics = Physics(machine, self.scenario.drive, self._set, seed=self.seed, began=self._began)
        # The host has run for 1 to 30 days; a session change may well have brought the VM to another one.
        self._host_used = int(self._random.uniform(1, 30) * 86400 * 1000) * machine.host_cores // 3
        self._disks.begin_anew()
        self._nics.begin_anew()
        self._forget_sample()

    def _happen(self, event: ScenarioEvent) -> None:
        """One of the scenario's events, at the time that it is due."""
        if event.do == "session-change":
            self._change_session(event.what or "vMotion")
        elif event.do == "host-restart":
            self._restart(float(event.what or 0))
        elif event.do == "pause":
            self._pause(float(event.what or 1))
        else:
            change, _, kind = event.do.partition("-")
            devices = self._disks if kind == "disk" else self._nics
            (self._plug if change == "add" else self._unplug)(devices, event.what)

    def set(self, statistic: str | int, value: CurveValue | Curve | None) -> None:
        """Send ``value`` for a statistic from now on, by catalogue key or id; None lets the physics speak again.

        False marks it as not valid.

        Raises:
            ConfigError: no such statistic, or a value that it can't have.
        """
        self.advance()
        # What has passed has passed by the old values.
        self._physics.totals(self._sample_time)
        if value is None:
            for row in statistics.named(statistic):
                self._set.pop(row.id, None)
        else:
            curve = value if isinstance(value, Curve) else constant(value)
            self._set.update(statistics.set_curves(statistic, curve))
        self._forget_sample()

    def add_disk(self, name: str) -> None:
        """Hot-plug a disk; its counters start at 0."""
        self.advance()
        self._plug(self._disks, name)

    def remove_disk(self, name: str) -> None:
        self.advance()
        self._unplug(self._disks, name)

    def add_nic(self, mac: str) -> None:
        """Hot-plug a network card; its counters start at 0."""
        self.advance()
        self._plug(self._nics, mac)

    def remove_nic(self, mac: str) -> None:
        self.advance()
        self._unplug(self._nics, mac)

    def _plug(self, devices: Devices, name: str) -> None:
        if devices.add(name, self._physics.totals(self._sample_time)):
            self._notice(f"{name} added")

    def _unplug(self, devices: Devices, name: str) -> None:
        if devices.remove(name, self._physics.totals(self._sample_time)):
            self._notice(f"{name} removed")

    def values(self) -> Mapping[int, tuple[bool, int | bytes]]:
        """All statistics as of now, by id: valid or not, and the value; also those that the host won't send."""
        self._sample()
        return self._values

    def info(self, version: int) -> bytes:
        """The reply's data to ``guestlib.info.get``. The same object while nothing has changed.

        Raises:
            RpcError: the host does not know this version.
        """
        if version not in self.scenario.versions:
            raise RpcError("Unsupported version")
        self._sample()
        reply = self._replies.get(version)
        if reply is None:
            reply = (
                stats_v2.encode(self.session_id, self._values)
                if version == stats_v2.VERSION
                else stats_v3.encode(self.session_id, self._values, self.scenario.statistics)
            )
            self._replies[version] = reply
        return reply

    def stat(self, encoding: str, name: str) -> bytes:
        """The reply's data to ``guestlib.stat.get``.

        Raises:
            RpcError: the host has no extended statistics, or none by that name or in that encoding.
        """
        self._sample()
        return stat_get.answer(self.extended_view(), encoding, name)

    def guest(self) -> Guest:
        """What the guest's own kernel would say."""
        self._sample()
        return guest_of(self.scenario.machine, self._physics.givable(self._sampled / 1000), self._memory)

    def extended_view(self) -> stat_get.HostView:
        """What the extended statistics are made of."""
        self._sample()
        return stat_get.HostView(
            scenario=self.scenario,
            session_id=self.session_id,
            uptime=self._elapsed * 1000,
            seed=self.seed,
            values=self._values,
            totals=self._totals,
            memory=self._memory,
            disks=self._disks.all(),
            nics=self._nics.all(),
        )

    def _forget_sample(self) -> None:
        self._sampled = -1

    @property
    def _sample_time(self) -> int:
        refresh = max(round(self.scenario.refresh * 1000), 1)
        return max(self._now // refresh * refresh, self._began)

    def _sample(self) -> None:
        """Take a new sample where the last one is older than the scenario's refresh."""
        self.advance()
        now = self._sample_time
        if now == self._sampled:
            return
        self._sampled = now
        self._elapsed = now - self._began + self._paused
        self._totals = self._physics.totals(now)
        self._memory = self._physics.memory(now / 1000)
        self._replies: dict[int, bytes] = {}
        self._values = statistics.compute(
            self.scenario.machine,
            self._elapsed,
            self._totals,
            self._memory,
            host_used=self._host_used,
            host_info=self.scenario.host_info,
        )
        self._values.update(statistics.given(self._set, now / 1000))
