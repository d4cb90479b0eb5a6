from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.machine.systemd import Notifier


@pytest.fixture
def manager(short_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_the_manager_hears_of_ready_alive_and_stopping(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("listening")
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(100) for _ in range(3)] == [
        b"READY=1\nSTATUS=listening",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_an_abstract_name_is_understood() -> None:
    name = f"vmguest-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).alive()
        assert sock.recv(100) == b"WATCHDOG=1"


def test_outside_systemd_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    assert notifier.watchdog_interval is None


def test_a_manager_that_went_away_is_no_error(short_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(short_path / "gone")}).alive()


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_names_us(variables: dict[str, str], interval: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", **variables}, pid=7).watchdog_interval == interval
