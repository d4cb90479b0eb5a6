"""What is done to a fleet: DRS moves, hosts that fail, an ESXi upgrade that rolls from host to host."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.simulator.fleet.inventory import NEW_BUILD, VM, PhysicalHost
from exporter.simulator.fleet.mix import TOGETHER

if TYPE_CHECKING:
    from exporter.simulator.fleet.estate import Estate

NEVER = float("inf")


@dataclass(frozen=True)
class Plan:
    """Seconds. Upgrades and repairs take minutes here that take hours in a data center."""

    moves_every: float = 120.0
    """Of each cluster's DRS, one VM at a time."""
    moves_above: float = 0.1
    """Of a host's cores: by how much more the fullest must want than the emptiest."""
    first_failure: float = 240.0
    failure_every: float = 1800.0
    restart_after: tuple[float, float] = (60.0, 120.0)
    """Until vSphere HA has a VM running again, on another host."""
    repair: float = 600.0
    upgrade_at: float = 180.0
    upgrade_takes: float = 120.0
    """Of one host, empty meanwhile."""


CALM = Plan(moves_every=NEVER, first_failure=NEVER, upgrade_at=NEVER)
"""Nothing happens to anybody."""


class Operations:
    def __init__(self, estate: Estate, plan: Plan, chance: random.Random) -> None:
        self._estate = estate
        self._plan = plan
        self._random = chance
        self._next_move = plan.moves_every
        self._next_failure = plan.first_failure
        self._upgrading: dict[str, PhysicalHost] = {}
        """Cluster -> the host that is out for its upgrade."""

    def at(self, now: float) -> None:
        """Whatever is due at ``now``, seconds since the beginning."""
        self._repaired(now)
        self._restarted(now)
        if now >= self._next_failure:
            self._next_failure += self._plan.failure_every
            self._fail(now)
        if now >= self._plan.upgrade_at:
            self._upgrade(now)
        if now >= self._next_move:
            self._next_move += self._plan.moves_every
            for cluster in self._clusters():
                self._balance(cluster)

    def _clusters(self) -> list[list[PhysicalHost]]:
        found: dict[str, list[PhysicalHost]] = {}
        for host in self._estate.hosts:
            found.setdefault(host.cluster, []).append(host)
        return [*found.values()]

    def _ready(self, cluster: str) -> list[PhysicalHost]:
        """Hosts that take VMs, the emptiest first."""
        up = [host for host in self._estate.hosts if host.cluster == cluster and not host.down_until]
        return sorted(up, key=self._estate.load)

    def _repaired(self, now: float) -> None:
        for host in self._estate.hosts:
            if host.down_until and now >= host.down_until:
                host.down_until = 0.0
                if self._upgrading.get(host.cluster) is host:
                    del self._upgrading[host.cluster]
                    host.build = NEW_BUILD
                    self._estate.note(f"{host.name} runs {host.build}")
                else:
                    self._estate.note(f"{host.name} is back")

    def _restarted(self, now: float) -> None:
        for vm in self._estate.vms:
            if vm.off and now >= vm.off_until:
                ready = self._ready(vm.labels["cluster"])
                if ready:
                    self._estate.boot(vm, ready[0])
                    self._estate.note(f"{vm.name} restarted on {ready[0].name}")

    def _fail(self, now: float) -> None:
        up = [host for host in self._estate.hosts if not host.down_until]
        if not up:
            return
        host = self._random.choice(up)
        host.down_until = now + self._plan.repair
        self._estate.note(f"{host.name} failed with {len(host.vms)} VMs")
        for vm in [*host.vms]:
            self._estate.stop(vm, now + self._random.uniform(*self._plan.restart_after))

    def _upgrade(self, now: float) -> None:
        """In each cluster one host at a time, emptied by vMotion before."""
        for cluster in self._clusters():
            name = cluster[0].cluster
            old = [host for host in cluster if host.build != NEW_BUILD and not host.down_until]
            ready = self._ready(name)
            if name in self._upgrading or not old or len(ready) < 2:
                continue
            host = old[0]
            # As vSphere's admission control: no maintenance that the other hosts can't bear.
            if sum(map(self._estate.load, ready)) > sum(each.cores for each in ready) - host.cores:
                continue
            host.down_until = now + self._plan.upgrade_takes
            self._upgrading[name] = host
            self._estate.note(f"{host.name} is emptied for its upgrade, of {len(host.vms)} VMs")
            for vm in [*host.vms]:
                self._estate.move(vm, self._ready(name)[0], "vMotion")

    def _balance(self, cluster: list[PhysicalHost]) -> None:
        ready = self._ready(cluster[0].cluster)
        if len(ready) < 2:
            return
        empty, full = ready[0], ready[-1]
        if self._estate.load(full) - self._estate.load(empty) < self._plan.moves_above * full.cores:
            return
        # The big ones stay: moving them would only move the trouble.
        movable = [vm for vm in full.vms if vm.host_side.scenario.name not in TOGETHER]
        if movable:
            vm: VM = self._random.choice(movable)
            self._estate.move(vm, empty, "vMotion")
            self._estate.note(f"{vm.name} moved by DRS from {full.name} to {empty.name}")
