"""What one whole poll costs: request, reply, all statistics decoded.

Three ways against one simulated host, in one run, taking turns:

- native: this exporter's GuestRPC on its kept-open connection;
- library: VMware's libguestlib by ctypes in the same process, as lean as ctypes can be (handle kept, every
  argument prebuilt);
- vmware-toolbox-cmd: one process a value, which is what scripts do.

Host and guest take turns on one CPU: a poll is one thing after another, and on two CPUs the wait for the other
one to wake up, which is the same for all ways, is most of what a clock sees. The ratio across CPUs is printed too.

And one round over all groups of extended statistics, natively against ``vmware-toolbox-cmd stat raw``, by CPU
time. Prints medians and ratios; judges nothing. Needs open-vm-tools and a C compiler (``apt-get install
open-vm-tools gcc``): VMware's library runs away from VMware behind the tests' shim.

    python -m benchmarks.poll [--polls 1000] [--turns 9]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.host import ROOT, simulated_host

SHIM = ROOT / "tests" / "real" / "shim.c"
TOOLBOX = "vmware-toolbox-cmd"
TOOLBOX_VALUES = ("balloon", "swap", "memlimit", "memres", "cpures", "cpulimit", "sessionid")


def build_shim(folder: Path) -> Path:
    shim = folder / "shim.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(SHIM), "-ldl"], check=True)
    return shim


def median_us(poll: Callable[[], object], polls: int) -> float:
    """Median time of a call, µs."""
    times = []
    for _ in range(polls):
        begun = time.perf_counter_ns()
        poll()
        times.append(time.perf_counter_ns() - begun)
    return statistics.median(times) / 1000


def native_poll(path: Path) -> Callable[[], object]:
    from exporter.session.wire import WireSource
    from exporter.transport.unix import UnixConnector

    source = WireSource(UnixConnector(path))
    assert len(source.read().values) >= 25
    return source.read


def library_poll() -> Callable[[], object]:
    """The leanest loop over VMware's library: not how the exporter uses it, which opens a handle a poll."""
    from exporter.catalogue import STATISTICS, Wire

    library = ctypes.CDLL("libguestlib.so.0")
    handle = ctypes.c_void_p()
    assert library.VMGuestLib_OpenHandle(ctypes.byref(handle)) == 0
    session = ctypes.c_uint64()
    calls = [(library.VMGuestLib_GetSessionId, ctypes.byref(session))]
    values = []
    for row in STATISTICS:
        if row.symbol is None or row.wire in (Wire.STRING, Wire.OPAQUE):
            continue
        value = ctypes.c_uint64() if row.wire is Wire.U64 else ctypes.c_uint32()
        values.append(value)
        calls.append((getattr(library, f"VMGuestLib_{row.symbol}"), ctypes.byref(value)))
    update = library.VMGuestLib_UpdateInfo
    path, size = ctypes.create_string_buffer(513), ctypes.c_size_t()
    get_path = library.VMGuestLib_GetResourcePoolPath

    def poll() -> None:
        assert update(handle) == 0
        for getter, out in calls:
            getter(handle, out)
        size.value = 513
        get_path(handle, ctypes.byref(size), path)
        [value.value for value in values]

    poll()
    return poll


def turn(way: str, path: str, polls: int) -> None:
    """One turn, in a process of its own; prints its median."""
    poll = native_poll(Path(path)) if way == "native" else library_poll()
    median_us(poll, polls // 10)
    sys.stdout.write(json.dumps(median_us(poll, polls)))


def run_turn(way: str, path: Path, polls: int, environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", "benchmarks.poll", "--turn", way, str(path), "--polls", str(polls)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    )
    return float(json.loads(done.stdout))


@contextmanager
def one_cpu() -> Iterator[None]:
    """This process, and those it starts, on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(path: Path, polls: int, turns: int, shimmed: dict[str, str]) -> tuple[list[float], list[float]]:
    """The medians of each turn: native, and VMware's library."""
    native, library = [], []
    for _ in range(turns):
        native.append(run_turn("native", path, polls, dict(os.environ)))
        library.append(run_turn("library", path, polls, shimmed))
    return native, library


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def toolbox(arguments: list[str], environment: dict[str, str]) -> bytes:
    done = subprocess.run(
        [TOOLBOX, "stat", *arguments], env=environment, check=True, capture_output=True, timeout=30
    )
    return done.stdout


def extended_round(path: Path, environment: dict[str, str]) -> tuple[float, float, int]:
    """CPU seconds of one round: natively, by toolbox-cmd, and the number of groups."""
    from exporter.protocol.stat_get import parse, parse_names
    from exporter.session.gate import accept
    from exporter.session.wire import WireSource
    from exporter.transport.unix import UnixConnector

    source = WireSource(UnixConnector(path))
    groups = parse_names(source.stat("text", ""))
    rounds = 200
    begun = own_cpu()
    for _ in range(rounds):
        accept({group: parse("xml", source.stat("xml", group)).values for group in groups})
    native = (own_cpu() - begun) / rounds
    source.close()
    begun = children_cpu()
    for group in groups:
        assert toolbox(["raw", "xml", *group.split(" ")], environment)
    return native, children_cpu() - begun, len(groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--polls", type=int, default=1000, help="polls a turn (default 1000)")
    parser.add_argument("--turns", type=int, default=9, help="turns of each way (default 9)")
    parser.add_argument("--turn", nargs=2, metavar=("WAY", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        way, path = arguments.turn
        turn(way, path, arguments.polls)
        return
    with tempfile.TemporaryDirectory(prefix="vmg") as folder:
        path = Path(folder) / "host"
        shimmed = os.environ | {
            "LD_PRELOAD": str(build_shim(Path(folder))),
            "GUESTRPC_SHIM_SOCKET": str(path),
        }
        with one_cpu(), simulated_host(path):
            native, library = compare(path, arguments.polls, arguments.turns, shimmed)
        with simulated_host(path):
            apart = [statistics.median(way) for way in compare(path, arguments.polls, 3, shimmed)]
            begun = time.perf_counter()
            for value in TOOLBOX_VALUES:
                assert toolbox([value], shimmed)
            scripts = (time.perf_counter() - begun) * 1e6
            native_round, toolbox_round, groups = extended_round(path, shimmed)
    ours, theirs = statistics.median(native), statistics.median(library)
    print("One poll of all statistics, median µs (simulated host in another process, on the same CPU):")
    print(f"  native, connection kept open      {ours:9.1f}   turns: {', '.join(f'{t:.1f}' for t in native)}")
    print(
        f"  libguestlib by ctypes             {theirs:9.1f}   turns: {', '.join(f'{t:.1f}' for t in library)}"
    )
    print(f"  {TOOLBOX}, {len(TOOLBOX_VALUES)} values    {scripts:9.0f}")
    print(f"  ratio native / library            {ours / theirs:9.2f}   (bar: at most 0.6)")
    print(
        f"  the same across CPUs              {apart[0] / apart[1]:9.2f}   ({apart[0]:.1f} / {apart[1]:.1f} µs)"
    )
    print(f"  ratio native / {TOOLBOX} {ours / scripts:9.5f}")
    print(f"One round over {groups} groups of extended statistics, CPU ms in the guest:")
    print(f"  native                            {native_round * 1e3:9.2f}")
    print(f"  {TOOLBOX} stat raw        {toolbox_round * 1e3:9.2f}")
    print(f"  ratio {TOOLBOX} / native {toolbox_round / native_round:9.0f}   (bar: at least 50)")


if __name__ == "__main__":
    main()
