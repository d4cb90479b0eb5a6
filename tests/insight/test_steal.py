"""Whether the kernel's steal can be believed."""

from __future__ import annotations

from exporter.insight.steal import Steal
from tests.insight.simulated import Simulated


def accounting(*readings: tuple[float | None, float]) -> bool | None:
    steal = Steal()
    for kernel, host in readings:
        steal.read(kernel, host)
    return steal.accounting


def test_a_kernel_that_shows_none_is_disbelieved_once_enough_was_taken() -> None:
    assert accounting((0.0, 0.0), (0.0, 4.9)) is None
    assert accounting((0.0, 0.0), (0.0, 5.0)) is False


def test_a_kernel_that_shows_some_is_believed() -> None:
    assert accounting((100.0, 7.0), (104.0, 12.0)) is True
    assert accounting((100.0, 7.0), (100.4, 12.0)) is False, "what it showed before our start does not count"


def test_a_quiet_host_tells_nothing() -> None:
    assert accounting((0.0, 0.0), (0.0, 0.1)) is None


def test_no_steal_at_all_tells_nothing() -> None:
    assert accounting((None, 0.0), (None, 100.0)) is None


def test_a_limit_is_no_proof() -> None:
    """Time that a limit took is not steal to every kernel."""
    assert Simulated("cpu-limit").run(600).insight.steal_accounting is None
    assert Simulated("noisy-neighbour").run(600).insight.steal_accounting is False
