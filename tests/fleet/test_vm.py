"""An exporter without a wire says what one with a wire says, byte for byte."""

from __future__ import annotations

import gc
import gzip
import io
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from exporter.errors import RpcError
from exporter.fleet.vm import Direct, Exporter, Parts
from exporter.insight.observer import Observer
from exporter.metrics.published import Published
from exporter.outputs.prometheus import OPENMETRICS, TEXT, VMGuestCollector
from exporter.poller import Poller
from exporter.protocol.stat_get import ENCODINGS
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import Channel, WireSource
from exporter.simulator.fleet import mix
from exporter.simulator.fleet.inventory import VM, PhysicalHost
from exporter.simulator.fleet.levels import Timeline
from exporter.simulator.host import SimulatedHost
from exporter.simulator.in_process import InProcess
from exporter.simulator.server import Server
from tests.fleet.conftest import PARTS, Time

GROUPS = ("", "session", "host", "resources", "vscsi scsi0:0", "vnet 00:50:56:9a:1b:01", "none")
COMMANDS = [
    *(f"guestlib.info.get {version}".encode() for version in (2, 3, 4)),
    *(f"guestlib.stat.get {encoding} {group}".encode() for encoding in (*ENCODINGS, "x") for group in GROUPS),
    b"guestlib.ioctl 1",
]


def said(caller: Channel | Direct, command: bytes) -> bytes:
    """The host's answer, or its refusal."""
    try:
        return caller.call(command)
    except RpcError as error:
        return b"refused: " + error.text.encode()


@pytest.mark.parametrize("name", mix.FLEET)
def test_bytes_are_the_wires(name: str, clock: Time) -> None:
    scenario = mix.FLEET[name]
    directly = Direct(SimulatedHost(scenario, clock, 3))
    connector = InProcess(Server(SimulatedHost(scenario, clock, 3)))
    wire = Channel(connector, 10)
    try:
        for _ in range(3):
            clock.now += 7
            for command in COMMANDS:
                assert said(directly, command) == said(wire, command), command
    finally:
        wire.close()
        directly.close()


def vm_of(host: SimulatedHost) -> VM:
    place = PhysicalHost("esx-001", "cluster-1", 2600)
    return VM("vm", {}, place, host, Timeline(), host.scenario.drive, 0.0)


@pytest.mark.parametrize("name", mix.FLEET)
def test_the_page_is_a_real_exporters(name: str, clock: Time) -> None:
    """Beside one that is put together as app.py does it, over a connection."""
    scenario = mix.FLEET[name]
    exporter = Exporter(vm_of(SimulatedHost(scenario, clock, 3)), PARTS, clock=clock, wall=clock.wall)
    host = SimulatedHost(scenario, clock, 3)
    source = WireSource(InProcess(Server(host)), 10, source="simulated")
    observer = Observer(host.guest)
    poller = Poller(
        source, 15.0, clock=clock, wall=clock.wall, on_state=observer.polled,
        extended=ExtendedReader(15.0, clock=clock, wall=clock.wall),
    )  # fmt: skip
    published = Published(
        lambda: poller.state, guest=lambda: observer.insight.guest, insight=lambda: observer.insight,
        wall=clock.wall, monotonic=clock,
    )  # fmt: skip
    try:
        for _ in range(9):
            clock.now += 15
            exporter.poll(clock.now)
            poller.poll(clock.now)
            poller.poll_extended(clock.now + 15)
    finally:
        source.close()
    for form in (TEXT, OPENMETRICS):
        ours = form.page(VMGuestCollector(exporter.published.collect))
        assert ours == form.page(VMGuestCollector(published.collect))
        assert len(ours) > 5000


def get(exporter: Exporter, **headers: str) -> tuple[str, dict[str, str], bytes]:
    answered: list[Any] = []

    def start(status: str, fields: list[tuple[str, str]]) -> None:
        answered.extend((status, dict(fields)))

    environ = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO(), **headers}
    body: Iterable[bytes] = exporter.application(environ, start)
    return answered[0], answered[1], b"".join(body)


def test_what_is_served_is_negotiated_as_always(clock: Time) -> None:
    exporter = Exporter(vm_of(SimulatedHost("steady", clock)), PARTS, clock=clock, wall=clock.wall)
    exporter.poll(clock.now)
    status, fields, body = get(
        exporter, HTTP_ACCEPT="application/openmetrics-text;version=1.0.0", HTTP_ACCEPT_ENCODING="gzip"
    )
    assert status == "200 OK"
    assert fields["Content-Type"].startswith("application/openmetrics-text")
    assert gzip.decompress(body).endswith(b"# EOF\n")
    assert b"vmguest_up 1.0\n" in get(exporter)[2]


def test_parts_can_be_left_out(clock: Time) -> None:
    parts = Parts(15.0, None, histograms=False)
    exporter = Exporter(vm_of(SimulatedHost("steady", clock)), parts, clock=clock, wall=clock.wall)
    for _ in range(3):
        clock.now += 15
        exporter.poll(clock.now)
    page = get(exporter)[2]
    assert b"vmguest_cpu_used_seconds_total" in page
    assert b"vmguest_numa_memory_bytes" not in page
    assert b"vmguest_cpu_stolen_ratio" not in page


@pytest.mark.complete(reason="every allocation of an hour is traced: seconds")
def test_an_hour_of_history_is_at_most_100_kib(clock: Time) -> None:
    tracemalloc.start()
    try:
        host = SimulatedHost("noisy-neighbour", clock)
        exporter = Exporter(vm_of(host), PARTS, clock=clock, wall=clock.wall)
        sizes = []
        for polls in (8, 62, 8):
            for _ in range(polls):
                clock.now += 60
                exporter.poll(clock.now)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    first, after_an_hour, after_two = sizes
    assert 0 < after_an_hour - first < 100 * 1024
    # An hour is kept, and no more.
    assert after_two - after_an_hour < 10 * 1024
