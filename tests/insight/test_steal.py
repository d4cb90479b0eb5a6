"""Whether the kernel's steal can be believed."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics.export import NumberDataPoint

from exporter.insight.steal import Steal
from exporter.outputs.otlp.client import ExportResult, Outcome
from exporter.outputs.otlp.points import Converter
from exporter.outputs.otlp.reader import Reader
from exporter.outputs.otlp.settings import Temporality
from exporter.snapshot import Guest
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


def test_a_kernel_whose_steal_falls_is_not_disbelieved_for_it() -> None:
    """The fall stays above the first reading: 44 of 59 were shown."""
    assert accounting((100.0, 0.0), (140.0, 40.0), (101.0, 41.0), (105.0, 60.0)) is True


def test_a_quiet_host_tells_nothing() -> None:
    assert accounting((0.0, 0.0), (0.0, 0.1)) is None


def test_no_steal_at_all_tells_nothing() -> None:
    assert accounting((None, 0.0), (None, 100.0)) is None


def test_a_limit_is_no_proof() -> None:
    """Time that a limit took is not steal to every kernel."""
    assert Simulated("cpu-limit").run(600).insight.steal_accounting is None
    assert Simulated("noisy-neighbour").run(600).insight.steal_accounting is False


@pytest.mark.parametrize("temporality", [Temporality.DELTA, Temporality.CUMULATIVE])
def test_a_kernels_steal_that_goes_back_is_no_growth_and_has_a_start_of_its_own(
    temporality: Temporality,
) -> None:
    """After a vMotion some kernels show less than before: neither 49,991 s in one window, nor a sum that falls."""
    shown = {"steal": 50_000.0}
    simulated = Simulated("steady", guest=lambda: Guest(vcpus=2, steal_seconds=shown["steal"]))
    reader, converter = Reader(simulated.published), Converter(temporality, {})
    found = []
    for steal in (50_000.0, 50_006.0, 49_991.0, 49_992.0, 3.0, 4.0):
        shown["steal"] = steal
        simulated.run(15)
        data = converter.convert(reader.collect())
        converter.settle(ExportResult(Outcome.SUCCESS))
        found += [
            (point.value, point.time_unix_nano, point.start_time_unix_nano)
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "vmguest.guest.steal"
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        ]
    if temporality is Temporality.DELTA:
        assert [value for value, _, _ in found] == [6.0, 1.0, 1.0]
    else:
        assert [value for value, _, _ in found] == [50_000.0, 50_006.0, 49_991.0, 49_992.0, 3.0, 4.0]
        firsts = [found[index // 2 * 2][1] for index in range(6)]
        assert [start for _, _, start in found] == firsts, (
            "each fall begins a life whose beginning nobody knows"
        )


def test_a_difference_of_the_kernels_steal_is_over_the_time_between_two_readings_of_it() -> None:
    """The kernel is asked more seldom than exports go out: 3 s of 15 were 3 s in 5, and nothing in the 10 after."""
    simulated = Simulated("steady", guest=lambda: Guest(vcpus=2, steal_seconds=simulated.now / 5))
    reader, converter = Reader(simulated.published), Converter(Temporality.DELTA, {})
    shares = []
    for _ in range(20):
        simulated.poll()
        simulated.now += 5
        data = converter.convert(reader.collect())
        converter.settle(ExportResult(Outcome.SUCCESS))
        shares += [
            point.value / (point.time_unix_nano - point.start_time_unix_nano) * 1e9
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "vmguest.guest.steal"
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        ]
    assert len(shares) > 3
    assert shares == pytest.approx([0.2] * len(shares))
