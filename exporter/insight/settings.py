"""Somebody changed a setting of this VM: which, from what, to what.

Host frequency and cores are no settings: a move to another host changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.insight.interval import number
from exporter.insight.words import hertz, size
from exporter.snapshot import Guest, Snapshot

Setting = float | str

DIGITS = 10
"""Beyond the usual ones, to tell two values apart."""


class SettingRow(NamedTuple):
    """One setting: its label's value, its name for people, and how its values are written."""

    name: str
    title: str
    write: Callable[[float, int], str] | None
    """None: its values name something that is not to be told (the resource pool's path)."""
    key: str = ""
    """Of the catalogue; empty for what the guest says."""


def _rate(value: float, more: int) -> str:
    return hertz(value, more) if value else "none"


def _rate_limit(value: float, more: int) -> str:
    return "none" if value == float("inf") else hertz(value, more)


def _bytes(value: float, more: int) -> str:
    return size(value, more) if value else "none"


def _bytes_limit(value: float, more: int) -> str:
    return "none" if value == float("inf") else size(value, more)


def _count(value: float, _more: int) -> str:
    return f"{value:.0f}"


SETTINGS: tuple[SettingRow, ...] = (
    SettingRow("cpu_reservation", "CPU reservation", _rate, "cpu_reservation"),
    SettingRow("cpu_limit", "CPU limit", _rate_limit, "cpu_limit"),
    SettingRow("cpu_shares", "CPU shares", _count, "cpu_shares"),
    SettingRow("memory_reservation", "memory reservation", _bytes, "memory_reservation"),
    SettingRow("memory_limit", "memory limit", _bytes_limit, "memory_limit"),
    SettingRow("memory_shares", "memory shares", _count, "memory_shares"),
    SettingRow("memory_balloon_max", "largest balloon allowed", _bytes, "memory_balloon_max"),
    SettingRow("resource_pool", "resource pool", None, "resource_pool_path"),
    SettingRow("vcpus", "number of vCPUs", _count),
    SettingRow("memory", "memory size", _bytes),
)
"""Every setting that is watched."""
_KEYS = tuple(row.key for row in SETTINGS if row.key)


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that is not what it was."""

    row: SettingRow
    before: Setting
    after: Setting

    @property
    def text(self) -> str:
        """For a line of log: ``CPU limit went from none to 2.4 GHz``."""
        write = self.row.write
        if write is None or isinstance(self.before, str) or isinstance(self.after, str):
            return f"{self.row.title} is another one"
        texts = ((write(self.before, more), write(self.after, more)) for more in range(DIGITS))
        # As many digits as it takes to tell them apart.
        before, after = next(
            (both for both in texts if both[0] != both[1]), (str(self.before), str(self.after))
        )
        return f"{self.row.title} went from {before} to {after}"


def raw(snapshot: Snapshot, guest: Guest) -> tuple[object, ...]:
    """All that :func:`settings_of` looks at: where this is the same, so are the settings."""
    return (*map(snapshot.values.get, _KEYS), guest.vcpus, guest.installed_bytes)


def settings_of(snapshot: Snapshot, guest: Guest) -> dict[str, Setting]:
    """What is set now, in base units; what is not told is left out."""
    found: dict[str, Setting] = {}
    for row in SETTINGS:
        value = (
            snapshot.values.get(row.key)
            if row.write is None
            else number(snapshot, row.key)
            if row.key
            else None
        )
        if isinstance(value, float | int | str):
            found[row.name] = value
    if guest.vcpus is not None:
        found["vcpus"] = float(guest.vcpus)
    if guest.installed_bytes is not None:
        found["memory"] = float(guest.installed_bytes)
    return found


def changes(before: Mapping[str, Setting], after: Mapping[str, Setting]) -> tuple[Change, ...]:
    """What differs among what is known on both sides."""
    return tuple(
        Change(row, before[row.name], after[row.name])
        for row in SETTINGS
        if row.name in before and row.name in after and before[row.name] != after[row.name]
    )
