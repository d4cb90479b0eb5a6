"""The simulated host, seen by VMware's own library and command, against GuestRPC and the host itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from exporter.errors import LibraryCrashed, VMGuestError
from exporter.protocol.stat_get import ENCODINGS
from exporter.simulator.faults import KINDS, Fault, Stage
from exporter.simulator.scenarios import SCENARIOS

pytestmark = pytest.mark.real

MOMENTS = (0.0, 0.5, 7.0, 31.0, 59.0, 61.0, 75.0, 140.0, 3600.0)
"""Seconds; between some of them, scenarios change the session."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_statistic_at_every_moment(simulate: Callable[..., Any], name: str) -> None:
    simulated = simulate(name)
    guestrpc, library = simulated.sources.guestrpc(), simulated.sources.library()
    seen = set()
    for simulated.clock.now in MOMENTS:
        expected = guestrpc.read()
        simulated.sources.compare(expected, library.read())
        seen.add(expected.session_id)
    assert len(seen) == (5 if name == "vmotion" else 1)
    assert library.restarts == 0


@pytest.mark.parametrize("length", [0, 511, 512, 513, 2000])
def test_long_pool_paths(simulate: Callable[..., Any], length: int) -> None:
    """One beyond 512 bytes travels in a statistic that no function of the library returns."""
    machine = replace(SCENARIOS["steady"].machine, resource_pool_path="p" * length)
    simulated = simulate(replace(SCENARIOS["steady"], machine=machine))
    expected = simulated.sources.guestrpc().read()
    assert expected.values["resource_pool_path"] == "p" * length
    absent = ["resource_pool_path"] if length > 512 else []
    simulated.sources.compare(expected, simulated.sources.library().read(), *absent)


def test_a_pool_path_that_grows_between_polls(simulate: Callable[..., Any]) -> None:
    simulated = simulate()
    guestrpc, library = simulated.sources.guestrpc(), simulated.sources.library()
    for length in (4, 500, 8, 512, 1, 256):
        simulated.host.set("resource_pool_path", "p" * length)
        simulated.sources.compare(guestrpc.read(), library.read())
    assert library.restarts == 0


def groups_of(simulated: Any) -> list[str]:
    names = simulated.sources.guestrpc().stat("text", "").decode().splitlines()
    assert len(names) == 7
    return ["", *names]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", [name for name, row in SCENARIOS.items() if row.encodings])
def test_every_extended_group(simulate: Callable[..., Any], name: str, encoding: str) -> None:
    simulated = simulate(name)
    guestrpc, library = simulated.sources.guestrpc(), simulated.sources.library()
    for simulated.clock.now in (0.0, 65.0):
        for group in groups_of(simulated):
            expected = guestrpc.stat(encoding, group)
            simulated.sources.compare_replies(expected, library.stat(encoding, group))
            assert expected
    assert library.restarts == 0


@pytest.mark.parametrize(
    ("name", "encoding", "group"),
    [("v2-host", "xml", ""), ("steady", "xml", "no such"), ("steady", "no such", "host")],
)
def test_an_extended_group_that_there_is_not(
    simulate: Callable[..., Any], name: str, encoding: str, group: str
) -> None:
    simulated = simulate(name)
    errors = []
    for source in (simulated.sources.guestrpc(), simulated.sources.library()):
        with pytest.raises(VMGuestError) as caught:
            source.stat(encoding, group)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


# The library makes NOT_ENABLED of what it can't read at all, after having tried the older version.
BY_LIBRARY = {"no-status": "not_enabled", "empty-body": "library_crashed"}
SAME_KIND = [
    name
    for name, kind in KINDS.items()
    if kind.stage in {Stage.REFUSAL, Stage.STATISTICS} or name == "no-status"
]


def outcome(read: Callable[[], Any]) -> str:
    try:
        read()
    except VMGuestError as error:
        return error.kind
    return "good"


@pytest.mark.parametrize("name", [name for name in SAME_KIND if name != "huge-size"])
def test_a_fault_of_the_host_is_the_same_kind_of_error(simulate: Callable[..., Any], name: str) -> None:
    simulated = simulate(faults=(Fault(name),))
    guestrpc, library = outcome(simulated.sources.guestrpc().read), outcome(simulated.sources.library().read)
    assert guestrpc in {"good", "malformed", "not_enabled"}
    assert library == BY_LIBRARY.get(name, guestrpc)


def test_a_size_beyond_the_reply_costs_one_poll_at_most(simulate: Callable[..., Any]) -> None:
    """The library reads past the reply; what it finds there is not ours to say."""
    simulated = simulate(faults=(Fault("huge-size", times=2),))
    guestrpc, library = simulated.sources.guestrpc(), simulated.sources.library()
    assert outcome(guestrpc.read) == "malformed"
    assert outcome(library.read) in {"good", "malformed", "library_crashed"}
    simulated.sources.compare(guestrpc.read(), library.read())


def test_an_empty_body_now_and_then(simulate: Callable[..., Any]) -> None:
    simulated = simulate(faults=(Fault("empty-body", times=1),))
    library = simulated.sources.library()
    with pytest.raises(LibraryCrashed, match="SIGSEGV"):
        library.read()
    simulated.sources.compare(simulated.sources.guestrpc().read(), library.read())
    assert library.restarts == 1


STATISTICS = {
    "balloon": (12, "MB"),
    "swap": (13, "MB"),
    "memlimit": (7, "MB"),
    "memres": (6, "MB"),
    "cpures": (1, "MHz"),
    "cpulimit": (2, "MHz"),
}


@pytest.mark.parametrize("scenario", ["steady", "swapping", "cpu-limit", "v2-host"])
def test_the_command_prints_the_hosts_numbers(
    simulate: Callable[..., Any], toolbox: Callable[..., str], scenario: str
) -> None:
    simulated = simulate(scenario)
    simulated.clock.now = 300.0
    for name, (id_, unit) in STATISTICS.items():
        valid, number = simulated.host.values()[id_]
        assert valid
        assert toolbox(simulated.sources, name) == f"{number} {unit}\n"
    assert toolbox(simulated.sources, "sessionid") == f"{simulated.host.session_id:#x}\n"


@pytest.mark.parametrize(
    ("arguments", "encoding", "group"),
    [
        ((), "text", ""),
        (("json", "resources"), "json", "resources"),
        (("text", "vscsi", "scsi0:0"), "text", "vscsi scsi0:0"),
        (("xml", "session"), "xml", "session"),
        (("yaml", "host"), "yaml", "host"),
    ],
)
def test_the_command_prints_what_the_host_holds(
    simulate: Callable[..., Any],
    toolbox: Callable[..., str],
    arguments: tuple[str, ...],
    encoding: str,
    group: str,
) -> None:
    simulated = simulate()
    simulated.clock.now = 300.0
    printed = toolbox(simulated.sources, "raw", *arguments)
    assert printed.strip() == simulated.host.stat(encoding, group).decode().strip()
