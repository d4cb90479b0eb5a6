"""Disks or network cards of a simulated VM, and how they share its load."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from exporter.simulator.physics import Totals


class Device(NamedTuple):
    """``share``: its part of the load of all of its kind, from 0 to 1. ``since``: what they had done when it got that
    share; ``before``: what it had done itself by then.
    """

    name: str
    share: float = 0.0
    since: Totals = Totals()
    before: Totals = Totals()

    def carried(self, totals: Totals) -> Totals:
        """What it has done by the time that all of its kind have done ``totals``."""
        parts = zip(self.before, totals, self.since, strict=True)
        return Totals(*(before + self.share * (now - then) for before, now, then in parts))


class Devices:
    """All of one kind, by name. The first carries most of the load, and together they carry all of it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._devices = tuple(Device(name) for name in names)
        self._share(Totals())

    def all(self) -> tuple[Device, ...]:
        return self._devices

    def begin_anew(self) -> None:
        """All counters from 0, as in a new session."""
        self._devices = tuple(Device(device.name) for device in self._devices)
        self._share(Totals())

    def add(self, name: str, totals: Totals) -> bool:
        """False where there is one of this name; its counters start at 0."""
        if any(device.name == name for device in self._devices):
            return False
        self._devices += (Device(name),)
        self._share(totals)
        return True

    def remove(self, name: str, totals: Totals) -> bool:
        """False where there is none of this name."""
        left = tuple(device for device in self._devices if device.name != name)
        if len(left) == len(self._devices):
            return False
        self._devices = left
        self._share(totals)
        return True

    def _share(self, totals: Totals) -> None:
        """Share what comes from now on; what each has done stays."""
        weights = [4.0**-number for number in range(len(self._devices))]
        self._devices = tuple(
            Device(device.name, weight / sum(weights), totals, device.carried(totals))
            for device, weight in zip(self._devices, weights, strict=True)
        )
