"""The public face, as docs/python.md writes it and on the simulated host."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter import api
from exporter.ha import lock
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

PAGE = (Path(__file__).parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SIMULATED = {
    "Statistics()": 'Statistics("simulated")',
    "Collector()": 'Collector("simulated")',
    "heartbeats()": 'heartbeats("simulated")',
    "sleep(10)": "sleep(0.01)",
    "sleep(2)": "sleep(1.1)",
}
"""What the tests put in the place of the real host, and of real waiting."""


@pytest.mark.parametrize("block", BLOCKS, ids=["read", "rate", "collector", "heartbeats"])
def test_a_documented_example_runs(block: str) -> None:
    program = block
    for real, simulated in SIMULATED.items():
        program = program.replace(real, simulated)
    assert '"simulated"' in program
    if "REGISTRY" in program:
        program += (
            "\nimport prometheus_client, time"
            "\nwhile b'vmguest_up 1.0' not in (page := prometheus_client.generate_latest()): time.sleep(0.02)"
            "\nprint(page.decode())"
        )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if "print" in block:
        assert re.match(r"\d+ bytes|\d\.\d\d CPUs", done.stdout)
    if "REGISTRY" in program:
        assert "vmguest_memory_ballooned_bytes " in done.stdout
        assert "python_info" in done.stdout


def test_every_public_name_is_documented_and_there() -> None:
    (listed,) = re.findall(r"## What is public\n\n(.*)", PAGE, re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(api.__all__)
    assert all(hasattr(api, name) for name in api.__all__)


def test_values_are_in_base_units_with_their_unit() -> None:
    with api.Statistics("simulated", scenario="cpu-limit") as vm:
        reading = vm.read()
    assert reading["cpu.limit"] == api.Statistic(2.6e9, "Hz", "gauge", reading["cpu.limit"].help)
    assert reading["memory.limit"].value == float("inf")
    assert (reading["cpu.used"].kind, reading["cpu.used"].unit) == ("counter", "s")
    assert isinstance(reading["resource_pool"].value, str)


def test_what_the_host_does_not_give_is_absent() -> None:
    with api.Statistics("simulated", scenario="host-stats-disabled") as vm:
        reading = vm.read()
    assert "memory.used" in reading
    assert "host.memory.used" not in reading
    with pytest.raises(KeyError):
        reading["host.memory.used"]


def test_a_reading_is_a_mapping() -> None:
    with api.Statistics("simulated") as vm:
        reading = vm.read()
    assert isinstance(reading, Mapping)
    assert dict(reading) == dict(reading.items()) == dict(reading.statistics)
    assert len(reading) == len([*reading]) == len(reading.values()) > 20
    assert reading.get("no.such") is None


@pytest.mark.parametrize(
    "interval", [0, -1, 1e-9, 0.099, 3600.1, float("inf"), float("nan"), "5", True, None]
)
def test_an_interval_out_of_the_command_lines_bounds_is_refused(interval: Any) -> None:
    with pytest.raises(api.ConfigError, match=r"interval=.*between 100ms and 1h"):
        api.Collector("simulated", interval=interval)


@pytest.mark.parametrize(
    ("source", "arguments", "told"),
    [
        ("simulated", {"socket": "/x"}, 'socket has no effect without source="guestrpc"; add it, or leave socket out'),
        ("simulated", {"library": "/y"}, 'library has no effect without source="library"'),
        ("simulated", {"file": "/z"}, 'file has no effect without source="replay"'),
        ("guestrpc", {"scenario": "steady"}, 'scenario has no effect without source="simulated"'),
        ("replay", {}, 'source="replay" needs file=FILE, the recording to play'),
        ("guestrpc", {"socket": ""}, "socket: it is empty"),
        ("bogus", {}, "source='bogus': expected one of auto, guestrpc, library, simulated, replay"),
        ("simulated", {"scenario": "nope"}, "scenario: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("what", [api.Statistics, api.Collector])
def test_arguments_without_effect_are_refused_by_their_names(
    what: Callable[..., object], source: str, arguments: dict[str, str], told: str
) -> None:
    with pytest.raises(api.ConfigError, match=f"^{re.escape(told)}") as caught:
        what(source, **arguments)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "arguments", "told"),
    [
        ("bogus", {}, "source='bogus': expected one of guestrpc, library, simulated"),
        ("simulated", {"socket": "/x"}, "socket has no effect"),
        ("guestrpc", {"library": "/y"}, "library has no effect"),
        ("simulated", {"lock_file": "/z"}, "lock_file has no effect"),
        (
            "guestrpc",
            {"lock_file": "/none/x.maintenance"},
            "lock_file='/none/x.maintenance': .maintenance is how a note",
        ),
        ("guestrpc", {"lock_file": ""}, "lock_file='': a path has at least one character"),
    ],
)
def test_heartbeats_refuse_them_too(source: str, arguments: dict[str, str], told: str) -> None:
    sender: Callable[..., AbstractContextManager[object]] = api.heartbeats
    with pytest.raises(api.ConfigError, match=f"^{re.escape(told)}"), sender(source, **arguments):
        pass


def test_nothing_is_read_after_the_end() -> None:
    with api.Statistics("simulated") as vm:
        vm.read()
    with pytest.raises(ValueError, match=r"read\(\) after close\(\)"):
        vm.read()


def test_a_simulated_host_on_a_socket(short_path: Path) -> None:
    path = str(short_path / "host")
    host = Server(SimulatedHost("ballooning"))
    with serve_unix(path, host), api.Statistics("guestrpc", socket=path) as vm:
        assert vm.read().session_id == host.host.session_id
        lock_file = str(short_path / "lock")
        with api.heartbeats(socket=path, lock_file=lock_file) as monitor:
            assert monitor.enable() is api.Code.OK
            assert monitor.mark_active() is api.Code.OK
            assert monitor.get_app_status() is api.AppStatus.GREEN
        assert host.host.ha.enabled, "leaving the block changes nothing at the host"


def test_two_senders_of_heartbeats_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    taken = lock.acquire(path)
    assert taken is not None
    with pytest.raises(api.ConfigError, match="another process, pid"), api.heartbeats(lock_file=path):
        pass
    taken.release()


def test_the_lock_is_let_go_of(short_path: Path) -> None:
    path = str(short_path / "lock")
    for _ in range(2):
        with (
            pytest.raises(api.VMGuestError),
            api.heartbeats(socket=str(short_path / "none"), lock_file=path) as monitor,
        ):
            monitor.mark_active()


def test_a_collector_in_a_registry_of_its_own() -> None:
    registry = CollectorRegistry()
    with api.Collector("simulated", interval=0.1) as collector:
        registry.register(collector)
        while b"vmguest_up 1.0" not in (page := generate_latest(registry)):
            pass
    assert b"vmguest_memory_ballooned_bytes " in page


def test_a_collector_tells_what_is_worked_out_too() -> None:
    registry = CollectorRegistry()
    with api.Collector("simulated", interval=0.1) as collector:
        registry.register(collector)
        # The second poll begins when the first has been told to everybody.
        while (registry.get_sample_value("vmguest_polls_total") or 0) < 2:
            pass
        told = {family.name for family in registry.collect()}
    assert told >= {
        "vmguest_cpu_lost_seconds",
        "vmguest_cpu_limit_state",
        "vmguest_memory_limit_state",
        "vmguest_setting_changes",
    }


def test_a_wrong_scenario_is_told() -> None:
    with pytest.raises(api.ConfigError, match="ballooning"):
        api.Statistics("simulated", scenario="baloning")


def test_replay_of_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(api.VMGuestError):
        api.Statistics("replay", file=str(tmp_path / "none"))
