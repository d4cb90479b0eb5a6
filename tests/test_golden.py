"""The whole page from a host that never changes: whatever renames, adds or drops a metric shows up as a diff.

After a wanted change: ``UPDATE_GOLDEN=1 make test ARGS=tests/test_golden.py``, and read the diff before committing it.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from exporter.catalogue import STATISTICS
from exporter.errors import ConnectionLost
from exporter.insight.observer import Observer
from exporter.metrics.collector import Options
from exporter.metrics.published import Published
from exporter.outputs.prometheus import OPENMETRICS, TEXT, Format, VMGuestCollector
from exporter.poller import Poller
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import in_process
from exporter.simulator.scenarios import SCENARIOS
from exporter.snapshot import Guest
from tests.top.worlds import documents

FOLDER = Path(__file__).parent / "golden"

WALL, MONOTONIC = 1_790_000_000.0, 1000.0


def page(form: Format) -> str:
    """What an exporter with every statistic on shows 90 s into the ballooning scenario."""
    time = [MONOTONIC]

    def monotonic() -> float:
        return time[0]

    def wall() -> float:
        return WALL + time[0] - MONOTONIC

    scenario = replace(SCENARIOS["ballooning"], statistics=len(STATISTICS))
    host = in_process(scenario, seed=1, clock=monotonic)
    source = WireSource(host, source="simulated")
    observer = Observer(lambda: Guest(4, 8 * 2**30, 8 * 2**30, 3 * 2**30, 0, 4, 1.25, "boot"))
    poller = Poller(
        source,
        5.0,
        clock=monotonic,
        wall=wall,
        on_state=observer.polled,
        extended=ExtendedReader(15.0, clock=monotonic, wall=wall),
    )
    options = Options(expose_identity=True, deprecated_metrics=True)
    collector = Published(
        lambda: poller.state,
        options,
        guest=lambda: observer.insight.guest,
        insight=lambda: observer.insight,
        wall=wall,
        monotonic=monotonic,
    )
    try:
        for _ in range(2):
            time[0] += 45.0
            poller.poll()
            poller.poll_extended(monotonic() + 5.0)
    finally:
        source.close()
    written = form.page(VMGuestCollector(collector.collect)).decode()
    assert "\nvmguest_up 1.0\n" in written, "a simulator that fails must never be approved"
    assert "\nvmguest_extended_up 1.0\n" in written
    return re.sub(r"(vmguest_exporter_build_info)\{[^}]*\}", r"\1{…}", written)


@pytest.mark.parametrize(("name", "form"), [("metrics.txt", TEXT), ("openmetrics.txt", OPENMETRICS)])
def test_the_page_is_the_one_that_was_approved(name: str, form: Format) -> None:
    file = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(page(form), encoding="utf-8")
    assert page(form).splitlines() == file.read_text(encoding="utf-8").splitlines()


def fail(*_: object) -> NoReturn:
    """End the host's thread as one ends that serves: any other exception is told to whichever test runs then."""
    raise ConnectionLost("a mistake in the simulator")


@pytest.mark.parametrize("part", ["info", "stat"])
def test_a_simulator_that_fails_changes_no_golden_file(
    part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the pages nor those of ``top``, which are of :func:`documents`."""
    monkeypatch.setattr(SimulatedHost, part, fail)
    monkeypatch.setitem(globals(), "FOLDER", tmp_path)
    monkeypatch.setenv("UPDATE_GOLDEN", "1")
    with pytest.raises(AssertionError):
        test_the_page_is_the_one_that_was_approved("metrics.txt", TEXT)
    assert [*tmp_path.iterdir()] == []
    with pytest.raises(AssertionError):
        documents("steady", 61.0)
