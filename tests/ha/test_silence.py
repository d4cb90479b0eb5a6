"""Silence while the host counts: every short run of answers, good and bad, is played to the end of the host's patience.

The host here is written from VMware's documents: from Enable on it counts, a heartbeat that reached it begins the count
anew whether or not its reply came back, and after 30 s of silence it acts. Of the program it knows the calls alone.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from exporter.errors import RpcError, TimeoutExpired
from exporter.ha.actions import Call, End
from exporter.ha.host_state import CallResult
from exporter.ha.messages import HealthUpdate
from exporter.ha.policy import Policy
from exporter.ha.rules import Health, Leftover, Rules
from exporter.protocol.appmonitor import AppStatus, Code, Verb

PATIENCE = 30.0
PAUSE = 2.0
"""Seconds after a failed call within which the next one has to come while the host counts."""
FATES = ("ok", "refused", "lost before", "lost after", "slow")
SECONDS = {
    "ok": 0.01,
    "refused": 0.01,
    "lost before": 2.0,
    "lost after": 2.0,
    "slow": 1.9,
    "slowly refused": 2.0,
}


@dataclass
class Host:
    """``anew``: an Enable of what is enabled begins the count anew; documents do not say."""

    anew: bool
    on: bool = False
    heard: float = 0.0
    worst: float = 0.0
    """The longest silence so far."""

    def look(self, now: float) -> None:
        if self.on:
            self.worst = max(self.worst, now - self.heard)

    def take(self, now: float, verb: Verb) -> CallResult:
        self.look(now)
        match verb:
            case Verb.ENABLE:
                if self.anew or not self.on:
                    self.heard = now
                self.on = True
            case Verb.MARK_ACTIVE if self.on:
                self.heard = now
            case Verb.MARK_ACTIVE:
                return Code.NOT_ENABLED
            case Verb.DISABLE:
                self.on = False
            case Verb.IS_ENABLED:
                return self.on
            case Verb.GET_APP_STATUS:
                return AppStatus.GREEN if self.on else AppStatus.GRAY
            case _:
                pass
        return Code.OK


@dataclass
class World:
    policy: Policy
    host: Host
    interval: float
    health: Health = Health.GOOD
    maintenance: bool = False
    now: float = 0.0
    free_since: float = 0.0
    """The last call ended."""
    calls: list[tuple[float, Verb, str]] = field(default_factory=list)

    def due(self) -> Call | None:
        """What it asks next, the clock standing at that moment; None where it has ended."""
        for _ in range(1000):
            action = self.policy.next(
                self.now, HealthUpdate(self.health, "", self.now), maintenance=self.maintenance
            )
            if isinstance(action, Call):
                return action
            if isinstance(action, End):
                return None
            assert action.until > self.now, "a spin"
            self.now = action.until
        raise AssertionError("it asks nothing")

    def answer(self, call: Call, fate: str) -> None:
        self.calls.append((self.now, call.verb, fate))
        begun, self.now = self.now, self.now + SECONDS[fate]
        result: CallResult = TimeoutExpired("no answer")
        if fate.endswith("refused"):
            result = RpcError("Permission denied")
        elif fate == "lost after":
            self.host.take(self.now - 0.01, call.verb)
        elif fate != "lost before":
            result = self.host.take(self.now if fate == "slow" else begun, call.verb)
        self.host.look(self.now)
        self.policy.done(self.now, call, result)
        self.policy.events()
        self.free_since = self.now

    def go_on(self, fate: str) -> None:
        call = self.due()
        assert call
        self.answer(call, fate)

    def late(self) -> bool:
        """The counting host has been left alone for longer than need be: no call was just made, and a heartbeat is due."""
        need = max(self.free_since + PAUSE, self.host.heard + self.interval)
        return self.host.on and min(self.now, self.host.heard + PATIENCE) > need + 0.1


def fresh(interval: float, *, anew: bool = False) -> World:
    """Nothing is on."""
    return World(Policy(Rules(interval=interval, grace=300.0), 0.0), Host(anew), interval)


def beating(interval: float, *, anew: bool = False) -> World:
    """The first heartbeat and what belongs to it are through."""
    world = fresh(interval, anew=anew)
    for _ in range(4):
        world.go_on("ok")
    return world


def overdue_soon(interval: float, *, anew: bool = False) -> World:
    """Heartbeats have failed until shortly before the end of the host's patience."""
    world = beating(interval, anew=anew)
    while world.now <= world.host.heard + PATIENCE - 5:
        world.go_on("slowly refused")
    return world


def restarted(interval: float, *, anew: bool = False) -> World:
    """After a crash: the host counts, and has done so for a while."""
    policy = Policy(Rules(interval=interval, grace=300.0), 0.0, Leftover.MONITORING)
    return World(policy, Host(anew, on=True, heard=-10.0, worst=10.0), interval)


def half_enabled(interval: float, *, anew: bool = False) -> World:
    """Enable was lost after it had its effect."""
    world = fresh(interval, anew=anew)
    for fate in ("refused", "lost after"):
        world.go_on(fate)
    return world


def ways(world: World, length: int, fates: tuple[str, ...] = FATES) -> Iterator[World]:
    """``world`` after every run of ``length`` answers, as long as it goes on and the host has not acted."""
    call = world.due() if length else None
    if call is None:
        yield world
        return
    before = pickle.dumps((world, call))
    for fate in fates:
        after, call = pickle.loads(before)
        after.answer(call, fate)
        if after.host.worst < PATIENCE:
            yield from ways(after, length - 1, fates)


def refuses_for_good(world: World) -> None:
    """From here on nothing gets through: the time until the host acts is used."""
    while call := world.due():
        assert not world.late(), world.calls
        if not world.host.on or world.now >= world.host.heard + PATIENCE:
            return
        world.answer(call, "slowly refused")


def lets_every_third_through(world: World) -> None:
    """Of each kind of call; so the host never comes to the end of its patience."""
    seen: Counter[Verb] = Counter()
    end = world.now + 2 * PATIENCE
    while world.now < end and (call := world.due()):
        seen[call.verb] += 1
        world.answer(call, "refused" if seen[call.verb] % 3 else "ok")
    assert world.host.worst < PATIENCE, world.calls


def judge(worlds: Iterable[World], *rests: Callable[[World], None]) -> int:
    played = 0
    for world in worlds:
        kept = pickle.dumps(world)
        for rest in rests:
            rest(pickle.loads(kept))
            played += 1
    return played


@pytest.mark.parametrize("interval", [15.0, 10.0])
@pytest.mark.parametrize("start", [fresh, beating, overdue_soon, restarted])
def test_no_three_answers_keep_the_host_waiting_longer_than_need_be(
    start: Callable[[float], World], interval: float
) -> None:
    assert judge(ways(start(interval), 3), refuses_for_good) >= 5**2


def test_nor_do_five() -> None:
    assert judge(ways(beating(15.0), 5, FATES[:4]), refuses_for_good) == 4**5


@pytest.mark.parametrize("start", [fresh, beating, restarted])
@pytest.mark.parametrize("anew", [False, True])
def test_a_host_that_takes_every_third_call_hears_enough(start: Callable[..., World], *, anew: bool) -> None:
    """Whether or not an Enable of what is on begins its count anew."""
    worlds = list(ways(start(15.0, anew=anew), 2))
    assert judge(worlds, lets_every_third_through, refuses_for_good) == 50


@pytest.mark.parametrize("start", [beating, restarted, half_enabled])
@pytest.mark.parametrize("turn", [*Health, "maintenance", "stop"])
def test_neither_do_two_answers_after_a_turn_of_events(
    start: Callable[[float], World], turn: Health | str
) -> None:
    world = start(15.0)
    if isinstance(turn, Health):
        world.health = turn
    elif turn == "stop":
        world.policy.stop(world.now)
    world.maintenance = turn == "maintenance"
    assert judge(ways(world, 2), refuses_for_good, lets_every_third_through) >= 2
