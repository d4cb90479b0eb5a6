"""``vmguest-exporter simulate``: a host to point an exporter at, where there is no VMware; or a fleet of VMs with theirs."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from exporter.config import Settings
from exporter.config.values import Whole
from exporter.errors import ConfigError, Problems
from exporter.fleet.start import MOST, Wanted, check, serving
from exporter.machine.system import HERE, UNIX_SOCKETS
from exporter.simulator.faults import KINDS, Fault
from exporter.simulator.fleet import mix
from exporter.simulator.fleet.operations import CALM, Plan
from exporter.simulator.host import SimulatedHost
from exporter.simulator.scenarios import SCENARIOS
from exporter.simulator.server import Server, serve_unix

TICK = 0.1
"""Seconds between looks at what has happened: a reset shows although no guest asks anything."""
MAX_SPEED = 1000.0
_OF_A_HOST = ("socket", "scenario", "fault", "speed")
_OF_A_FLEET = ("mix", "calm", "push_share")

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

a fleet of a thousand VMs, served where --web.listen-address says: /sd is for Prometheus's http_sd_configs
  vmguest-exporter simulate --fleet 1000 --web.listen-address=:10052
settings such as --otlp.endpoint, --no-extended or --expose-identity hold for the exporters of all its VMs
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s --socket PATH | --fleet N [OPTION ...] [SETTING ...]"
    parser.epilog, parser.formatter_class = _EPILOG, RawDescriptionHelpFormatter
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help=HERE.told("unix socket to listen at, such as /tmp/host.sock", UNIX_SOCKETS),
    )
    parser.add_argument(
        "--scenario",
        metavar="NAME|FILE",
        help="built-in scenario, or a TOML file (default: steady)",
    )
    parser.add_argument(
        "--fault",
        metavar="RULE",
        action="append",
        help="KIND[:p=0.1][:times=3][:skip=10][:on=COMMAND]...; see --list-faults",
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="start of the random numbers (default: another one each time)"
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=float,
        help="statistics and scenario run X times as fast as the clock; vSphere HA does not (default: 1)",
    )
    parser.add_argument(
        "--fleet",
        metavar="N",
        help="play N VMs on hosts that they share, and serve the exporter's page of each; instead of --socket",
    )
    parser.add_argument(
        "--mix",
        metavar="NAME=WEIGHT,...",
        help=f"scenarios of a fleet's VMs (default: {','.join(f'{n}={w:g}' for n, w in mix.DEFAULT.items())})",
    )
    parser.add_argument(
        "--calm", action="store_true", help="a fleet without DRS moves, host failures and ESXi upgrade"
    )
    parser.add_argument(
        "--push-share",
        metavar="X",
        type=float,
        help="of a fleet's VMs, 0 to 1, that push to --otlp.endpoint and are not scraped (default: 0.1)",
    )
    parser.add_argument("--list-scenarios", action="store_true", help="print the built-in scenarios and exit")
    parser.add_argument("--list-faults", action="store_true", help="print the kinds of faults and exit")


def run(args: Namespace, load: Callable[[], Settings], *, stop: threading.Event | None = None) -> int:
    """Serve until SIGINT or SIGTERM (or ``stop``, from which no signals are handled); the exit status.

    Raises:
        ConfigError: an argument can't be used.
    """
    if args.list_scenarios or args.list_faults:
        if args.list_scenarios:
            rows = SCENARIOS if args.fleet is None else mix.FLEET
            _list((name, row.summary) for name, row in rows.items())
        if args.list_faults:
            _list((name, row.summary) for name, row in KINDS.items())
        return 0
    return _host(args, stop) if args.fleet is None else _fleet(args, load, stop)


def _host(args: Namespace, stop: threading.Event | None) -> int:
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


def _fleet(args: Namespace, load: Callable[[], Settings], stop: threading.Event | None) -> int:
    wanted = _wanted(args)
    settings = load()
    if found := wrong_settings(args, settings, os.environ):
        raise ConfigError(*found)
    with _stopped_by_signals(stop) as stopped, serving(settings, os.environ, wanted) as server:
        _say(f"{wanted.count} VMs, simulated, seed {wanted.seed}")
        for url in server.urls:
            _say(f"listening on {url}: service discovery at {url}sd, the truth at {url}truth")
        while not stopped.wait(TICK):
            pass  # On Windows a signal comes between two waits, and never ends one.
    _say("stopped")
    return 0


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be used."""
    found = Problems()
    if not (args.list_scenarios or args.list_faults):
        with found.gather():
            _prepare(args) if args.fleet is None else _wanted(args)
    return found


def wrong_settings(
    args: Namespace | None, settings: Settings, environ: Mapping[str, str], unread: Collection[str] = ()
) -> list[str]:
    """Settings that a fleet can't go by. ``unread``: names of those whose value can't be known."""
    return check(settings, environ, unread, share=None if args is None else args.push_share)


def _wanted(args: Namespace) -> Wanted:
    """The fleet that the arguments ask for.

    Raises:
        ConfigError: everything that is wrong with them.
    """
    problems = Problems(
        f"{_flag(name)} has no effect with --fleet; leave it out"
        for name in _OF_A_HOST
        if getattr(args, name) is not None
    )
    count, mixed, share = 0, mix.DEFAULT, args.push_share
    try:
        count = Whole(1, MOST).parse(args.fleet)
    except ValueError:
        problems.append(f"--fleet={args.fleet}: expected a number of VMs from 1 to {MOST}")
    with problems.gather():
        mixed = mix.DEFAULT if args.mix is None else mix.parse(args.mix)
    if share is not None and not 0 <= share <= 1:
        problems.append(f"--push-share={share:g}: expected a number from 0 to 1")
    problems.tell()
    seed = secrets.randbits(32) if args.seed is None else args.seed
    return Wanted(count, mixed, seed, CALM if args.calm else Plan(), share)


def _prepare(args: Namespace) -> tuple[SimulatedHost, list[Fault]]:
    """The host that the arguments ask for, and what is to go wrong with it. Errors as :func:`_wanted`."""
    faults: list[Fault] = []
    problems = Problems(
        f"{_flag(name)} has no effect without --fleet; add it, or leave {_flag(name)} out"
        for name in _OF_A_FLEET
        if getattr(args, name) not in (None, False)
    )
    # A host that restarts has a new session: with the same seed its counters would seem to fall.
    seed = secrets.randbits(32) if args.seed is None else args.seed
    speed = 1.0 if args.speed is None else args.speed
    hosts: list[SimulatedHost] = []
    if UNIX_SOCKETS in HERE.lacks:
        problems.append(
            f"{'simulate without --fleet' if args.socket is None else '--socket'}: {HERE.lacks[UNIX_SOCKETS]}; use --fleet N, "
            "or --source=simulated for one host"
        )
    elif not args.socket:
        problems.append(
            "--socket is missing: expected the path of a unix socket, such as /tmp/host.sock (or --fleet N)"
        )
    if not 0 < speed <= MAX_SPEED:
        problems.append(f"--speed={speed:g}: expected more than 0 and at most {MAX_SPEED:g}")
    for rule in args.fault or ():
        with problems.gather():
            faults.append(Fault.parse(rule))
    scenario = "steady" if args.scenario is None else args.scenario
    with problems.gather():
        hosts.append(SimulatedHost(scenario, time.monotonic, seed, speed=speed))
    problems.tell()
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
