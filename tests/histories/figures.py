"""``python -m tests.histories.figures``: what happens to times and counters in some plain cases, as figures to compare.

Each is a host that is written down in a few lines, and what is true of it by arithmetic alone. The exporter is reached
through :mod:`tests.histories.program`. How they came out before there was one clock of the session::

    git worktree add --detach ../before 57c965d && cp -r tests/histories ../before/tests/
    cp tests/histories/before/program.py ../before/tests/histories/
    (python=$PWD/.venv/bin/python; cd ../before && $python -m tests.histories.figures)
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from exporter.errors import RpcError
from tests.histories.program import Program
from tests.histories.sent import INFO, Sent, snapshot

NOON = 1_700_000_000.0
"""Wall clock at the start of a case, seconds since 1970."""
UP = 1_000.0
"""Monotonic clock then."""
USED, POLLS, HOST_USED, CONTENTION = (
    "vmguest.cpu.used",
    "vmguest.polls",
    "vmguest.host.cpu.used",
    "vmguest.cpu.contention",
)
SESSION_START = "vmguest_session_start_timestamp_seconds"
GROUPS = ("session", "host", "resources")


class Host:
    """A host and the guest's two clocks. Its VM uses half a second of CPU in a second and waits for a tenth."""

    info = INFO
    restarts = None

    def __init__(
        self, *, age: float, speed: float = 1.0, elapsed: bool = True, ahead: float = NOON - UP
    ) -> None:
        self.monotonic, self.ahead = UP, ahead
        self.session, self.age, self.speed = 1, age, speed
        self.used, self.host_used = 100.0, 20_000_000.0
        self.gives_elapsed = elapsed
        self.slow: Iterator[float] | None = None
        """Seconds that each next reply of extended statistics takes."""
        self.encoding = "xml"
        self.moves_before = ""
        """The group before whose reply the VM moves to another host, once."""

    def clock(self) -> float:
        return self.monotonic

    def wall(self) -> float:
        return self.monotonic + self.ahead

    def passes(self, seconds: float) -> None:
        self.monotonic += seconds
        self.age += seconds * self.speed
        self.used += seconds / 2
        self.host_used += seconds

    def moves(self) -> None:
        """vMotion: the counters of the session are 0, the next host has run for longer."""
        self.session += 1
        self.age = self.used = 0.0
        self.host_used += 17_000_000

    def read(self) -> object:
        values: dict[str, int | str] = {
            "cpu_used": int(self.used * 1000),
            "host_cpu_used": int(self.host_used * 1000),
        }
        if self.gives_elapsed:
            values["elapsed"] = int(self.age * 1000)
        return snapshot(self.session, values)

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        if self.slow is not None:
            self.passes(next(self.slow))
        if not name:
            return "\n".join(GROUPS).encode()
        if encoding != self.encoding:
            raise RpcError("bad encoding")
        if name == self.moves_before:
            self.moves_before = ""
            self.moves()
        rows = {
            "session": [("uptime", "instant", int(self.age * 1e6))],
            "host": [("energy.used", "accumulate", int(self.host_used * 1e6))],
            "resources": [("vm.cpu.contention.cpu", "accumulate", int(self.used * 2e5))],
        }[name]
        if encoding == "json":
            told = {key: {"type": kind, "units": "us", "value": value} for key, kind, value in rows}
            return json.dumps(told).encode()
        metrics = "".join(
            f'<metric name="{key}" type="{kind}" units="us">{value}</metric>' for key, kind, value in rows
        )
        return f'<metrics session="{self.session}">{metrics}</metrics>'.encode()

    def close(self) -> None:
        pass


class Run:
    """A host with an exporter that polls it each 5 s, and all that was pushed. ``rounds`` as :class:`Program`."""

    def __init__(self, host: Host, folder: Path, rounds: float = 0) -> None:
        self.host, self.folder, self.rounds = host, folder, rounds
        self.totals: list[Sent] = []
        self.deltas: list[Sent] = []
        self.created: list[float] = []
        """Of ``cpu.used``, as each page said it."""
        self.restart()

    def restart(self) -> None:
        """The exporter starts, or starts again."""
        host = self.host
        self.program = Program(host, host.clock, host.wall, self.folder, self.rounds)  # type: ignore[arg-type]

    def goes_on(self, seconds: float, *, export_each: float = 10) -> None:
        host, end = self.host, self.host.monotonic + seconds
        exports = host.monotonic
        while host.monotonic < end:
            due = host.monotonic + 5
            self.program.poll()
            if self.rounds:
                self.program.round(due)
            if host.monotonic >= exports:
                exports += export_each
                self.export()
            host.passes(max(due - host.monotonic, 0))

    def export(self) -> None:
        totals, deltas = self.program.export()
        self.totals += totals
        self.deltas += deltas
        self.created += self.program.page().get("vmguest_cpu_used_seconds_created", {}).values()

    def starts(self, name: str) -> int:
        """Different start times of a series that was pushed as totals."""
        return len({round(each.start, 3) for each in self.totals if each.name == name})

    def grew(self, name: str) -> float:
        """The sum of the deltas of it."""
        return sum(each.value for each in self.deltas if each.name == name)


class Figure(NamedTuple):
    what: str
    true: float
    """By arithmetic."""
    seen: float

    @property
    def right(self) -> bool:
        return abs(self.true - self.seen) < 0.01


Case = Callable[[Path], Iterator[Figure]]
CASES: list[Case] = []


def case(play: Case) -> Case:
    CASES.append(play)
    return play


@case
def clock_set_back(folder: Path) -> Iterator[Figure]:
    """By two hours, in a session of half an hour, as by a clock in local time that NTP corrects; then five minutes."""
    run = Run(Host(age=1800), folder)
    run.goes_on(60)
    run.host.ahead -= 7200
    run.goes_on(300)
    run.program.poll()
    run.export()
    what = "clock set back 2 h, session of 30 min:"
    yield Figure(f"{what} sum of deltas of cpu.used, seconds", 180, run.grew(USED))
    yield Figure(f"{what} sum of deltas of polls", 73, run.grew(POLLS))
    yield Figure(f"{what} start times of cpu.used", 2, run.starts(USED))
    yield Figure(f"{what} start times of polls", 2, run.starts(POLLS))
    yield Figure(f"{what} different _created", 2, len({round(each, 3) for each in run.created}))
    late = [each for each in run.totals if each.start > each.time]
    yield Figure(f"{what} points before their start", 0, len(late))


@case
def fast_host(folder: Path) -> Iterator[Figure]:
    """As ``simulate --speed 1.02`` is."""
    run = Run(Host(age=1800, speed=1.02), folder, rounds=15)
    run.goes_on(3600)
    yield Figure("host 2 % fast, an hour: start times of cpu.used", 1, run.starts(USED))


@case
def drift(folder: Path) -> Iterator[Figure]:
    run = Run(Host(age=1800, speed=1.0001), folder, rounds=60)
    run.goes_on(6 * 3600, export_each=60)
    yield Figure("drift of 100 ppm, six hours: start times of cpu.used", 1, run.starts(USED))


@case
def slow_groups(folder: Path) -> Iterator[Figure]:
    """The host's ``uptime`` is of the group ``session``, which is answered long before the round's end."""
    host = Host(age=1800)
    host.slow = (each % 8 * 0.2 for each in range(10**9))
    run = Run(host, folder, rounds=15)
    run.goes_on(600)
    yield Figure("slow groups (0 to 1.4 s each), 10 min: start times of cpu.used", 1, run.starts(USED))


@case
def four_sessions(folder: Path) -> Iterator[Figure]:
    host = Host(age=1800)
    host.slow = (each % 4 * 0.3 for each in range(10**9))
    run = Run(host, folder, rounds=5)
    for _ in range(3):
        run.goes_on(120)
        host.moves()
    run.goes_on(120)
    yield Figure("four sessions, slow groups: start times of cpu.used", 4, run.starts(USED))
    yield Figure("four sessions, slow groups: start times of cpu.contention", 4, run.starts(CONTENTION))


@case
def no_elapsed(folder: Path) -> Iterator[Figure]:
    """What the host gives no start for is counted from the first reading on."""
    run = Run(Host(age=1800, elapsed=False), folder)
    run.goes_on(300)
    run.program.poll()
    run.export()
    yield Figure("no elapsed: sum of deltas of cpu.used, seconds", 150, run.grew(USED))
    yield Figure("no elapsed: _created of cpu.used", 0, len(run.created))


@case
def elapsed_falls(folder: Path) -> Iterator[Figure]:
    """A reset that keeps the session's id."""
    run = Run(Host(age=1800), folder)
    run.goes_on(60)
    run.host.age = run.host.used = 2.0
    run.goes_on(60)
    yield Figure("elapsed falls under one id: start times of cpu.used", 2, run.starts(USED))
    yield Figure("elapsed falls under one id: session changes", 1, run.program.session_changes)


@case
def one_counter_falls(folder: Path) -> Iterator[Figure]:
    """It began after the reading before."""
    run = Run(Host(age=1800), folder)
    run.goes_on(60)
    before = run.host.wall() - 5
    run.host.used = 0.25
    run.goes_on(60)
    starts = sorted({each.start for each in run.totals if each.name == USED})
    yield Figure("one counter falls: start times of it", 2, len(starts))
    yield Figure(
        "one counter falls: seconds from the reading before to its new start", 0, starts[-1] - before
    )
    yield Figure("one counter falls: session changes", 0, run.program.session_changes)


@case
def restarts(folder: Path) -> Iterator[Figure]:
    """In one unbroken session, with a host that is a little fast."""
    run = Run(Host(age=1800, speed=1.001), folder)
    for _ in range(3):
        run.goes_on(600)
        run.restart()
    run.goes_on(600)
    yield Figure(
        "exporter restarted three times, host 0.1 % fast: start times of cpu.used", 1, run.starts(USED)
    )


@case
def clock_before_2020(folder: Path) -> Iterator[Figure]:
    """A guest that boots in 1970, until its clock is set a minute later. Its session is 30 minutes old."""
    host = Host(age=1800, ahead=-UP)
    run = Run(host, folder)
    run.goes_on(60)
    yield Figure("clock in 1970: pages with a _created of cpu.used", 0, len(run.created))
    host.ahead = NOON - UP
    run.goes_on(300)
    run.program.poll()
    created = run.program.page()["vmguest_cpu_used_seconds_created"][""]
    yield Figure("clock in 1970, then set: _created of cpu.used, seconds off", 0, created - (NOON - 1800))


@case
def steps(folder: Path) -> Iterator[Figure]:
    """Of the wall clock: those that leave the start behind what is read change nothing; one that does not moves it once."""
    run = Run(Host(age=1800), folder)
    for step in (-60, -600, 3600, -1200, -7200):
        run.goes_on(60)
        run.host.ahead += step
    run.goes_on(60)
    yield Figure(
        "four steps smaller than the session's age, one larger: start times of cpu.used", 2, run.starts(USED)
    )


@case
def host_counters(folder: Path) -> Iterator[Figure]:
    """Those count the life of a host, and a vMotion is to one that has run for half a year longer."""
    run = Run(Host(age=1800), folder)
    run.goes_on(300)
    run.host.moves()
    run.goes_on(300)
    deltas = [each.value for each in run.deltas if each.name == HOST_USED]
    yield Figure("vMotion: largest delta of host.cpu.used, seconds", 10, max(deltas))
    points = [each for each in run.totals if each.name == HOST_USED]
    yield Figure("vMotion: series of host.cpu.used", 2, len({each.labels for each in points}))
    firsts = {each.labels: each for each in reversed(points)}.values()
    yield Figure(
        "vMotion: first points of these whose start is not their time",
        0,
        sum(each.start != each.time for each in firsts),
    )
    page = run.program.page()
    yield Figure(
        "vMotion: _created of host.cpu.used", 0, len(page.get("vmguest_host_cpu_used_seconds_created", ()))
    )


@case
def moved_within_a_round(folder: Path) -> Iterator[Figure]:
    """JSON does not say of which session it is. The contention that is shown must have grown under the start it is shown with."""
    host = Host(age=1800)
    host.encoding = "json"
    run = Run(host, folder, rounds=5)
    run.goes_on(60)
    wrong = shown = 0
    for move in range(8):
        host.moves_before = "resources" if move % 2 else "host"
        before = {(each.start, each.value) for each in run.totals if each.name == CONTENTION}
        at = len(run.totals)
        run.goes_on(30, export_each=5)
        most: dict[float, float] = {}
        for start, value in before:
            most[start] = max(most.get(start, 0.0), value)
        for each in run.totals[at:]:
            if each.name == CONTENTION:
                shown += 1
                wrong += each.value < most.get(each.start, 0.0)
                most[each.start] = max(most.get(each.start, 0.0), each.value)
    yield Figure("eight vMotions within a round in JSON: counters that fell under one start", 0, wrong)
    yield Figure(
        "eight vMotions within a round in JSON: start times of cpu.contention", 9, run.starts(CONTENTION)
    )


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def figures() -> Iterator[Figure]:
    for play in CASES:
        with folder() as place:
            yield from play(place)


def main() -> int:
    wrong = 0
    for each in figures():
        wrong += not each.right
        print(
            f"{each.what}: {each.seen:.10g}" + ("" if each.right else f", and not {each.true:g}"), flush=True
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
