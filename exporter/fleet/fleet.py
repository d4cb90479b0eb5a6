"""A fleet in motion: one thread lets the hosts go on and polls VM after VM, evenly spread over the interval."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from exporter.fleet.vm import Exporter, Parts
from exporter.metrics.published import Families
from exporter.simulator.fleet.estate import Estate
from exporter.simulator.fleet.inventory import VM

log = logging.getLogger("exporter.fleet")


class Fleet:
    """``estate``'s VMs with an exporter each. :meth:`exporter` and :meth:`truth` are for any thread."""

    def __init__(
        self,
        estate: Estate,
        parts: Parts,
        *,
        others: Families | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.estate = estate
        self.parts = parts
        self._others = others
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        """Held while the estate goes on, and while the truth is told."""
        self.vms = {vm.name: vm for vm in estate.vms}
        self._exporters = {vm.name: self._exporter(vm) for vm in estate.vms}
        self._served: Counter[str] = Counter()
        self._turns = 0
        self._skipped = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Poll every VM once, then go on in a thread of its own."""
        for vm in self.estate.vms:
            self.turn(vm, self._clock())
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def turn(self, vm: VM, due: float) -> None:
        """Let the hosts go on, and poll ``vm`` if it runs; an exporter anew where it was powered on since."""
        # The poll too asks the VM's host, which may be asked for the truth meanwhile.
        with self._lock:
            self.estate.advance()
            if vm.off:
                return
            exporter = self._exporters[vm.name]
            if exporter.boots != vm.boots:
                exporter = self._exporters[vm.name] = self._exporter(vm)
            exporter.poll(due)

    def _exporter(self, vm: VM) -> Exporter:
        made = Exporter(vm, self.parts, clock=self._clock, wall=self._wall)
        if self._others is not None:
            made.published.add(self._others)
        return made

    def _run(self) -> None:
        vms, interval = self.estate.vms, self.parts.interval
        begun = self._clock()
        told = False
        while not self._stop.is_set():
            due = begun + self._turns * interval / len(vms)
            if (wait := due - self._clock()) > 0 and self._stop.wait(wait):
                return
            if -wait > interval:
                # As a real exporter does: what was missed is skipped, not made up for.
                missed = int(-wait / interval) * len(vms)
                self._turns += missed
                self._skipped += missed
                if not told:
                    log.warning(
                        "this machine is too slow for so many VMs: polls are skipped",
                        extra={"late": round(-wait, 1)},
                    )
                told = True
                continue
            self.turn(vms[self._turns % len(vms)], due)
            self._turns += 1

    def exporter(self, name: str) -> Exporter | None:
        """That of the VM, None where there is no such VM, or it is off."""
        vm = self.vms.get(name)
        found = self._exporters.get(name)
        if vm is None or vm.off or found is None or found.boots != vm.boots:
            return None
        return found

    def served(self, name: str) -> None:
        """A page of metrics of that VM was handed over."""
        self._served[name] += 1

    def truth(self) -> dict[str, Any]:
        """The estate's, with what the exporters know of themselves beside."""
        with self._lock:
            told = self.estate.truth()
        told["skipped_polls"] = self._skipped
        for name, of_vm in told["vms"].items():
            of_vm["pages"] = self._served[name]
        return told
