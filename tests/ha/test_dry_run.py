"""The dry run's host: it counts the resets that would have been, each once."""

from __future__ import annotations

import pytest

from exporter.ha.dry_run import DryRunMonitor
from exporter.protocol.appmonitor import AppState, AppStatus, Code


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> DryRunMonitor:
    return DryRunMonitor(30.0, clock)


def test_it_answers_as_a_host_does(monitor: DryRunMonitor) -> None:
    assert (monitor.is_enabled(), monitor.get_app_status()) == (False, AppStatus.GRAY)
    assert monitor.mark_active() is Code.NOT_ENABLED
    assert (monitor.enable(), monitor.mark_active()) == (Code.OK, Code.OK)
    assert (monitor.is_enabled(), monitor.get_app_status()) == (True, AppStatus.GREEN)
    assert (monitor.disable(), monitor.is_enabled()) == (Code.OK, False)
    monitor.close()
    assert monitor.resets == 0


def test_a_silence_is_one_reset_however_often_it_is_looked_at(monitor: DryRunMonitor, clock: Clock) -> None:
    monitor.enable()
    clock.now = 30
    assert monitor.get_app_status() is AppStatus.GREEN
    clock.now = 31
    for _ in range(3):
        assert monitor.get_app_status() is AppStatus.RED
    assert monitor.resets == 1
    monitor.mark_active()
    assert monitor.get_app_status() is AppStatus.GREEN
    clock.now = 100
    monitor.mark_active()
    assert monitor.resets == 2, "also when nobody looked during the silence"


def test_enable_is_no_heartbeat(monitor: DryRunMonitor, clock: Clock) -> None:
    monitor.enable()
    clock.now = 20
    monitor.enable()
    clock.now = 40
    monitor.enable()
    assert monitor.resets == 1


def test_a_request_is_a_reset_at_once_and_silence_beside_it_is_no_second(
    monitor: DryRunMonitor, clock: Clock
) -> None:
    monitor.enable()
    for _ in range(2):
        assert monitor.post_app_state(AppState.NEED_RESET) is Code.OK
    assert monitor.resets == 1
    clock.now = 50
    monitor.get_app_status()
    assert monitor.resets == 1
    monitor.post_app_state(AppState.OK)
    monitor.mark_active()
    clock.now = 100
    monitor.close()
    assert monitor.resets == 2


def test_what_is_disabled_is_not_reset(monitor: DryRunMonitor, clock: Clock) -> None:
    monitor.enable()
    monitor.disable()
    clock.now = 100
    monitor.close()
    assert monitor.resets == 0
