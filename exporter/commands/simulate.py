"""``vmguest-exporter simulate``: a host to point an exporter at, where there is no VMware."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from exporter.errors import ConfigError
from exporter.simulator.faults import KINDS, Fault
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenarios import SCENARIOS
from exporter.simulator.server import Server, serve_unix

TICK = 0.1
"""Seconds between looks at what has happened: a reset shows although no guest asks anything."""
MAX_SPEED = 1000.0


_EPILOG = """\
a scenario file, for example:
  base = "steady"
  [set]                                        # any statistic, by name or id, in the host's unit
  memory_ballooned = [[0, 0], ["1m", 2048]]    # from 0 to 2048 MB within a minute
  cpu_limit = {steps = [[0, "unlimited"], [30, 1300]]}
  host_memory_used = false                     # not valid
  [session]
  every = 30                                   # seconds between session changes
  [[fault]]
  kind = "disconnect"
  p = 0.1
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = _EPILOG, RawDescriptionHelpFormatter
    parser.add_argument("--socket", metavar="PATH", help="unix socket to listen at, such as /tmp/host.sock")
    parser.add_argument(
        "--scenario",
        metavar="NAME|FILE",
        default="steady",
        help="built-in scenario, or a TOML file (default: %(default)s)",
    )
    parser.add_argument(
        "--fault",
        metavar="RULE",
        action="append",
        default=[],
        help="KIND[:p=0.1][:times=3][:skip=10][:on=COMMAND]...; see --list-faults",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="of all that is random (default: another one each time)"
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=float,
        default=1.0,
        help="statistics and scenario run X times as fast as the clock; vSphere HA does not (default: 1)",
    )
    parser.add_argument("--list-scenarios", action="store_true", help="print the built-in scenarios and exit")
    parser.add_argument("--list-faults", action="store_true", help="print the kinds of faults and exit")


def run(args: Namespace, *, stop: threading.Event | None = None) -> int:
    """Serve until SIGINT or SIGTERM (or ``stop``, from which no signals are handled); the exit status.

    Raises:
        ConfigError: an argument can't be used.
    """
    if args.list_scenarios or args.list_faults:
        if args.list_scenarios:
            _list((name, row.summary) for name, row in SCENARIOS.items())
        if args.list_faults:
            _list((name, row.summary) for name, row in KINDS.items())
        return 0
    host, faults = _prepare(args)
    server = Server(host, faults)
    with _stopped_by_signals(stop) as stopped, serve_unix(args.socket, server):
        _say(_greeting(args.socket, host))
        while True:
            for happening in server.take_happenings():
                _say(f"{happening.time:8.1f}s  {happening.text}")
            if stopped.wait(TICK):
                break
    _say(_farewell(server))
    return 0


def _prepare(args: Namespace) -> tuple[SimulatedHost, list[Fault]]:
    problems: list[str] = []
    faults: list[Fault] = []

    def collect(do: Callable[[], object]) -> None:
        try:
            do()
        except ConfigError as error:
            problems.extend(error.problems)

    # A host that starts anew has a new session: with one and the same seed its counters would seem to fall.
    seed = secrets.randbits(32) if args.seed is None else args.seed
    hosts: list[SimulatedHost] = []
    if not args.socket:
        problems.append("--socket is missing: expected the path of a unix socket, such as /tmp/host.sock")
    if not 0 < args.speed <= MAX_SPEED:
        problems.append(f"--speed={args.speed:g}: expected more than 0 and at most {MAX_SPEED:g}")
    for rule in args.fault:
        collect(lambda: faults.append(Fault.parse(rule)))  # noqa: B023  called at once
    collect(lambda: hosts.append(SimulatedHost(args.scenario, time.monotonic, seed, speed=args.speed)))
    if problems:
        raise ConfigError(*problems)
    return hosts[0], faults


@contextmanager
def _stopped_by_signals(stop: threading.Event | None) -> Iterator[threading.Event]:
    if stop is not None:
        yield stop
        return
    stopped = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _greeting(path: str, host: SimulatedHost) -> str:
    scenario, machine = host.scenario, host.scenario.machine
    return (
        f"{machine.hypervisor}, simulated: {scenario.name}. {scenario.summary}\n"
        f"{machine.vcpus} vCPUs, {machine.memory} MB, session {host.session_id}, seed {host.seed}. Listening at {path}; read it with\n"
        f"  vmguest-exporter --source=guestrpc --guestrpc.socket={path}"
    )


def _farewell(server: Server) -> str:
    parts = [
        f"{server.requests} requests on {server.connections} connections",
        f"{server.host.session_changes} session changes",
        f"{server.host.ha.heartbeats} heartbeats",
        f"{len(server.host.ha.resets)} resets",
    ]
    parts += [f"{kind} {count} times" for kind, count in server.rules.fired().items()]
    return f"stopped: {', '.join(parts)}"


def _list(rows: Iterator[tuple[str, str]]) -> None:
    for name, summary in rows:
        print(f"{name:20} {summary}")


def _say(text: str) -> None:
    print(text, flush=True)
