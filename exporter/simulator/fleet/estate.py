"""A fleet of VMs on shared hosts, step by step, and the truth about who lost what to whom.

Not thread-safe: whoever shares one holds a lock. Everything follows from the seed and the time; a step is a function of
the state before it, never of when it was worked out.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from exporter.catalogue import NO_LIMIT
from exporter.simulator.fleet import inventory, mix, share
from exporter.simulator.fleet.inventory import VM, PhysicalHost
from exporter.simulator.fleet.levels import STEP, Levels
from exporter.simulator.fleet.operations import Operations, Plan
from exporter.simulator.physics import BALLOON_MAX, CPU_LIMIT

USABLE = 0.94
"""Of a host's memory, what VMs may fill before it takes some back: the hypervisor keeps the rest."""
EVENTS = 1000
"""That are remembered."""


class Estate:
    """``count`` VMs by the weights of ``mixed``. ``clock`` in seconds; the fleet begins when it is built."""

    def __init__(
        self,
        count: int,
        mixed: Mapping[str, float] = mix.DEFAULT,
        *,
        seed: int = 0,
        plan: Plan | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        chance = random.Random(seed)  # noqa: S311  to be foreseen is its purpose
        self.seed = seed
        self._clock = clock
        # Stands still until all hosts are there: they have one beginning.
        self._began: float | None = None
        self.hosts, self.vms = inventory.build(mix.draw(count, mixed, chance), chance, self.time)
        self.events: deque[tuple[float, str]] = deque(maxlen=EVENTS)
        self._operations = Operations(self, plan or Plan(), chance)
        self._step = 0
        self._settle_all(0)
        self._began = clock()

    def time(self) -> float:
        """Seconds since the beginning."""
        return 0.0 if self._began is None else self._clock() - self._began

    def advance(self) -> None:
        """Every step that is due."""
        due = int(self.time() / STEP)
        while self._step < due:
            self._step += 1
            self._operations.at(self._step * STEP)
            self._settle_all(self._step)

    def move(self, vm: VM, host: PhysicalHost, why: str) -> None:
        """``vm`` goes on on ``host``: a new session, on what that host is and runs."""
        if vm.host is not None:
            vm.host.vms.remove(vm)
        vm.host = host
        host.vms.append(vm)
        side = vm.host_side
        side.scenario = replace(side.scenario, machine=inventory.on(side.scenario, host))
        side.session_change(why)

    def stop(self, vm: VM, until: float) -> None:
        """``vm`` is off, at least until then."""
        if vm.host is not None:
            vm.host.vms.remove(vm)
        vm.host, vm.off_until = None, until

    def boot(self, vm: VM, host: PhysicalHost) -> None:
        """``vm`` is powered on: its exporter begins anew too."""
        vm.boots += 1
        vm.off_until = 0.0
        self.move(vm, host, "power on")

    def note(self, text: str) -> None:
        self.events.append((self._step * STEP, text))

    def load(self, host: PhysicalHost) -> float:
        """Cores that the VMs of ``host`` want now."""
        now = self._step * STEP
        return sum(min(_wants(vm, now), _limit(vm, now)) for vm in host.vms)

    def _settle_all(self, step: int) -> None:
        for host in self.hosts:
            self._settle(host, step)
        for vm in self.vms:
            if vm.off:
                vm.timeline.add(step, Levels())

    def _settle(self, host: PhysicalHost, step: int) -> None:
        """Divide what ``host`` has for one step."""
        now, vms = step * STEP, host.vms
        wants = [_wants(vm, now) for vm in vms]
        allowed = [min(want, _limit(vm, now)) for want, vm in zip(wants, vms, strict=True)]
        got = share.cpu(host.cores, allowed, [vm.host_side.scenario.machine.shares[0] for vm in vms])
        used, givable, swappable = (
            zip(*(_memory(vm, now) for vm in vms), strict=True) if vms else ((), (), ())
        )
        taken = share.memory(host.memory * USABLE, used, givable, swappable)
        running = sum(got)
        resident = sum(used) - sum(each.balloon + each.swap for each in taken)
        for place, vm in enumerate(vms):
            size = vm.host_side.scenario.machine.memory
            mine = used[place] - taken[place].balloon - taken[place].swap
            vm.timeline.add(
                step,
                Levels(
                    demand=wants[place] / vm.host_side.scenario.machine.vcpus,
                    neighbours=1 - got[place] / wants[place] if got[place] < allowed[place] else 0.0,
                    balloon=taken[place].balloon / size,
                    swap=taken[place].swap / size,
                    host_load=(running - got[place]) / max(host.cores - got[place], 1e-9),
                    host_memory=(resident - mine) / host.memory,
                ),
            )
            losses = vm.losses
            losses.elapsed += STEP
            losses.wanted += wants[place] * STEP
            losses.ran += got[place] * STEP
            beyond = (wants[place] - allowed[place]) * STEP
            if got[place] < allowed[place]:
                losses.to_both += beyond
            else:
                losses.to_limit += beyond
            losses.taken, losses.taken_for = taken[place], {}
        for loser, winner, seconds in share.blame(
            [(ask - have) * STEP for ask, have in zip(allowed, got, strict=True)], got
        ):
            to_vms = vms[loser].losses.to_vms
            to_vms[vms[winner].name] = to_vms.get(vms[winner].name, 0.0) + seconds
        for loser, winner, megabytes in share.blame([sum(each) for each in taken], used):
            vms[loser].losses.taken_for[vms[winner].name] = megabytes

    def truth(self) -> dict[str, Any]:
        """What really happened so far, for tests: JSON's types. CPU in seconds of vCPU time, memory in MB."""
        return {
            "seed": self.seed,
            "seconds": self._step * STEP,
            "vms": {vm.name: _truth(vm, self._step * STEP) for vm in self.vms},
            "hosts": {
                host.name: {
                    "cluster": host.cluster,
                    "build": host.build,
                    "up": host.down_until == 0,
                    "cores": host.cores,
                    "wanted_cores": round(self.load(host), 3),
                    "vms": [vm.name for vm in host.vms],
                }
                for host in self.hosts
            },
            "events": [{"seconds": at, "text": text} for at, text in self.events],
        }


def _truth(vm: VM, now: float) -> dict[str, Any]:
    vm.host_side.advance()
    losses, scenario = vm.losses, vm.host_side.scenario
    return {
        "scenario": scenario.name,
        "host": vm.host.name if vm.host is not None else None,
        "vcpus": scenario.machine.vcpus,
        "boots": vm.boots,
        "session_changes": vm.host_side.session_changes,
        "cpu": {
            "seconds": losses.elapsed,
            "wanted": round(losses.wanted, 3),
            "ran": round(losses.ran, 3),
            "limited": _limit(vm, now) < scenario.machine.vcpus,
            "lost_to_limit": round(losses.to_limit, 3),
            "lost_to_vms": _rounded(losses.to_vms),
            "lost_to_both": round(losses.to_both, 3),
        },
        "memory": {
            "balloon": round(losses.taken.balloon, 3),
            "swap": round(losses.taken.swap, 3),
            "taken_for_vms": _rounded(losses.taken_for),
        },
    }


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(number, 3) for name, number in numbers.items()}


def _wants(vm: VM, now: float) -> float:
    """Cores."""
    demand = vm.workload.demand.number(now + vm.phase)
    return vm.host_side.scenario.machine.vcpus * min(max(demand, 0.0), 1.0)


def _limit(vm: VM, now: float) -> float:
    """Cores that its CPU limit allows."""
    scenario = vm.host_side.scenario
    curve = scenario.set.get(CPU_LIMIT)
    limit = scenario.machine.cpu_limit if curve is None else curve.number(now)
    return float("inf") if limit == NO_LIMIT else limit / scenario.machine.host_mhz


def _memory(vm: VM, now: float) -> tuple[float, float, float]:
    """MB that it uses on its host, could give to the balloon, and could lose to swap beside."""
    machine, drive = vm.host_side.scenario.machine, vm.workload
    touched = machine.memory * min(max(drive.touched.number(now), 0.0), 1.0)
    free = max(touched - machine.memory_reservation, 0.0)
    needed = machine.memory * min(max(drive.needed.number(now), 0.0), 1.0)
    givable = min(machine.memory * BALLOON_MAX / 100, max(touched - needed, 0.0), free)
    if not machine.balloon_driver:
        givable = 0.0
    return touched + 48 + machine.memory / 128, givable, free - givable
