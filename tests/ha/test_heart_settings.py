from __future__ import annotations

from pathlib import Path

from exporter.ha.heart_settings import HeartSettings
from exporter.ha.messages import HeartReport
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


def test_who_follows_a_heart_goes_on_where_that_was() -> None:
    report = HeartReport(phase="beating", bad_for=3.0, fault_for=9.0, leftover="on", maintained=5.0)
    after = ORDERS.after(report, 2.0, 7.0)
    assert (after.bad_for, after.fault_for, after.leftover, after.maintained) == (5.0, 7.0, "on", 5.0)
    assert ORDERS.after(HeartReport(), 2.0, 7.0) == ORDERS


def test_rules_follow_from_orders() -> None:
    assert ORDERS.rules == Rules(5.0, 20.0, OnUnhealthy.REQUEST_RESET)


def test_those_of_a_heart_that_runs_are_read_from_its_command_line(tmp_path: Path) -> None:
    settings = HeartSettings(5.0, 30.0, "withhold", "guestrpc", None, None, "/run/x/ha.lock", dry_run=True)
    for pid, line in ((7, f"python\0-c\0import x\0{settings.argument}\0"), (8, "sh\0"), (9, "a\0{}\0")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_text(line)
    assert HeartSettings.of(7, tmp_path) == settings
    for other in (8, 9, 10, 0, None):
        assert HeartSettings.of(other, tmp_path) is None
