"""The numbers, and what is refused of them."""

from __future__ import annotations

import pytest

from exporter.errors import ConfigError
from exporter.ha.rules import Rules


def test_one_heartbeat_may_fail_within_the_hosts_limit() -> None:
    assert Rules(interval=10).timing_slack == 10
    assert Rules(interval=15).timing_slack == 0
    for interval in (1, 10, 15):
        Rules(interval=interval).check()


@pytest.mark.parametrize("interval", [15.1, 20, 30, 60])
def test_an_interval_without_slack_is_refused_with_what_would_do(interval: float) -> None:
    assert Rules(interval=interval).timing_slack < 0
    with pytest.raises(ConfigError, match=r"the host acts on 30s of silence.* use 15s or less") as caught:
        Rules(interval=interval).check()
    assert f"--ha.interval={interval:g}s" in str(caught.value)


@pytest.mark.parametrize("interval", [0, -1])
def test_no_interval_is_no_interval(interval: float) -> None:
    with pytest.raises(ConfigError):
        Rules(interval=interval).check()


def test_the_status_is_polled_as_in_the_guides_flow() -> None:
    assert Rules().status_interval == 30
    assert Rules().patience == 90


def test_the_stop_is_over_before_systemd_kills() -> None:
    assert Rules().stop_limit < 90
