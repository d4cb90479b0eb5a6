"""Somebody changed a setting: what counts as one, and how it is told."""

from __future__ import annotations

import pytest

from exporter.insight.settings import SETTINGS, changes, settings_of
from exporter.snapshot import Guest, Snapshot
from tests.insight.simulated import Simulated

NONE = 0xFFFFFFFF
BASE = Snapshot(
    1,
    3,
    {
        "cpu_reservation": 0,
        "cpu_limit": NONE,
        "cpu_shares": 4000,
        "memory_reservation": 0,
        "memory_limit": NONE,
        "memory_shares": 81920,
        "memory_balloon_max": 5324,
        "resource_pool_path": "/host/user/a",
    },
)
GUEST = Guest(4, 8 * 2**30, installed_bytes=8 * 2**30)


def after(guest: Guest = GUEST, /, **values: int | str) -> list[str]:
    changed = Snapshot(2, 3, {**BASE.values, **values})
    return [each.text for each in changes(settings_of(BASE, GUEST), settings_of(changed, guest))]


TOLD: tuple[tuple[dict[str, int | str], str], ...] = (
    ({"cpu_reservation": 1000}, "CPU reservation went from none to 1 GHz"),
    ({"cpu_limit": 2400}, "CPU limit went from none to 2.4 GHz"),
    ({"cpu_shares": 2000}, "CPU shares went from 4000 to 2000"),
    ({"memory_reservation": 8192}, "memory reservation went from none to 8 GiB"),
    ({"memory_limit": 4096}, "memory limit went from none to 4 GiB"),
    ({"memory_shares": 40960}, "memory shares went from 81920 to 40960"),
    ({"memory_balloon_max": 1024}, "largest balloon allowed went from 5.2 GiB to 1 GiB"),
    ({"resource_pool_path": "/host/user/b"}, "resource pool is another one"),
)


NEAR: tuple[tuple[str, float, float, str], ...] = (
    ("cpu_limit", 2.4e9, 2.403e9, "CPU limit went from 2.4 GHz to 2.403 GHz"),
    ("cpu_reservation", 10e9, 10.01e9, "CPU reservation went from 10 GHz to 10.01 GHz"),
    ("memory_limit", 200 * 2**30, 200 * 2**30 + 300 * 2**20, "memory limit went from 200 GiB to 200.29 GiB"),
    ("memory_reservation", 4 * 2**30, 4 * 2**30 + 2**20, "memory reservation went from 4 GiB to 4.001 GiB"),
    ("memory_limit", float("inf"), 0.0, "memory limit went from none to 0 bytes"),
    ("cpu_limit", 0.0, float("inf"), "CPU limit went from 0 MHz to none"),
)


@pytest.mark.parametrize(("name", "old", "new", "text"), NEAR)
def test_no_change_names_the_same_value_twice(name: str, old: float, new: float, text: str) -> None:
    (change,) = changes({name: old}, {name: new})
    assert change.text == text


@pytest.mark.parametrize(("values", "text"), TOLD)
def test_each_setting_of_the_host(values: dict[str, int | str], text: str) -> None:
    assert after(GUEST, **values) == [text]


def test_what_the_guest_says() -> None:
    assert after(Guest(8, 1, installed_bytes=16 * 2**30)) == [
        "number of vCPUs went from 4 to 8",
        "memory size went from 8 GiB to 16 GiB",
    ]


def test_a_balloon_that_the_kernel_takes_off_its_total_is_no_change() -> None:
    assert after(Guest(4, 5 * 2**30, installed_bytes=8 * 2**30)) == []


def test_what_is_not_told_any_more_is_no_change() -> None:
    assert changes(settings_of(BASE, GUEST), {}) == ()
    assert changes({}, settings_of(BASE, GUEST)) == ()


def test_a_pools_path_is_told_to_nobody() -> None:
    assert "/host" not in "".join(after(resource_pool_path="/host/user/b"))


def test_every_setting_is_there_from_the_start() -> None:
    counts = Simulated("steady").insight.setting_changes
    assert counts == dict.fromkeys((row.name for row in SETTINGS), 0)
    assert len(counts) == 10


def test_one_poll_is_one_entry_that_names_all_that_changed() -> None:
    simulated = Simulated("changed-limit").run(120)
    (entry,) = simulated.entries
    assert entry.text == "CPU limit went from none to 2.4 GHz; CPU shares went from 4000 to 2000."
    assert entry.kind == "setting"
    assert simulated.insight.timeline == (entry,)
    counts = {name: count for name, count in simulated.insight.setting_changes.items() if count}
    assert counts == {"cpu_limit": 1, "cpu_shares": 1}


def test_a_move_changes_no_setting() -> None:
    simulated = Simulated("vmotion").run(100)
    assert not any(simulated.insight.setting_changes.values())
