"""The simulated host without a socket's path: ``--source=simulated``, and tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from exporter.errors import RefusedError
from exporter.simulator.faults import Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenario import Scenario
from exporter.simulator.server import Server
from exporter.transport.memory import MemoryConnector
from exporter.transport.sockets import SocketStream


class InProcess(MemoryConnector):
    """Connects to a simulated host inside this process; ``server`` is it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.serve_admitted)
        self.server = server

    def connect(self, timeout: float) -> SocketStream:
        # Only here can a refusal be one: by the time that serve() runs, the guest is connected.
        if self.server.refuses():
            raise RefusedError("the simulated host does not take the connection")
        return super().connect(timeout)


def in_process(
    scenario: Scenario | str = "steady",
    *,
    faults: Iterable[Fault] = (),
    seed: int = 0,
    speed: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
) -> InProcess:
    """A connector to a host of its own, for ``--source=simulated`` and tests.

    Raises:
        ConfigError: no such scenario, or a file that can't be used.
    """
    return InProcess(Server(SimulatedHost(scenario, clock, seed, speed=speed), faults))
