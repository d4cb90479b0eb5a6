from __future__ import annotations

from exporter.ha.heart_settings import HeartSettings
from exporter.ha.rules import OnUnhealthy, Rules

ORDERS = HeartSettings(
    interval=5.0,
    grace=20.0,
    on_unhealthy="request-reset",
    source="guestrpc",
    socket=None,
    library=None,
    lock_file="/run/x",
    dry_run=False,
)


def test_orders_survive_the_command_line() -> None:
    assert HeartSettings.parse(ORDERS.argument) == ORDERS


def test_rules_follow_from_orders() -> None:
    assert ORDERS.rules == Rules(5.0, 20.0, OnUnhealthy.REQUEST_RESET)
