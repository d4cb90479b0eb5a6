"""Groups that the host does not answer: each costs itself, a little time, and no basic poll."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from exporter.errors import (
    ConnectionLost,
    LibraryCrashed,
    RefusedError,
    RpcError,
    TimeoutExpired,
    TransportError,
    VMGuestError,
)
from exporter.session.missing import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT, MOST, SHORTEST
from exporter.session.rounds import ExtendedReader
from exporter.snapshot import ExtendedState, Snapshot, SourceInfo

DISKS = tuple(f"vscsi scsi0:{number}" for number in range(8))
REPLY = '<metrics session="{}"><metric name="a.b" type="instant" units="">5</metric></metrics>'


@dataclass
class Host:
    """Groups by name; those that ``hang`` take all the time that there is, ``crash`` those that end the library's process."""

    groups: tuple[str, ...]
    hang: set[str] = field(default_factory=set)
    crash: set[str] = field(default_factory=set)
    refuse: set[str] = field(default_factory=set)
    restarts: int | None = None
    """None: GuestRPC; else VMware's library in its process."""
    session: int = 7
    lose: dict[str, VMGuestError] = field(default_factory=dict)
    """Group, or encoding and group -> the error in which its connection ends; ``lose_once``: the first time alone."""
    lose_once: bool = False
    json: bool = False
    """Whether it gives JSON too."""
    limit: float = 2.0
    takes: float = 0.0
    info = SourceInfo("guestrpc", "memory")
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)
    """In which a group was asked for."""

    def __call__(self) -> float:
        return self.now

    def read(self) -> Snapshot:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        self.asked.append(name)
        self.encodings += [encoding] if name else []
        assert timeout is not None
        limit = min(timeout, self.limit)
        if name in self.hang or self.takes > limit:
            self.now += limit
            self._lose()
            raise TimeoutExpired(f"the host did not answer within {limit:g} s")
        self.now += self.takes
        if name in self.crash:
            self._lose()
            raise LibraryCrashed("VMware's library crashed its process (SIGSEGV)")
        for place in (name, f"{encoding} {name}"):
            if place in self.lose:
                raise self.lose.pop(place) if self.lose_once else self.lose[place]
        if self.json and encoding == "json":
            return b'{"a.b": {"type": "instant", "units": "", "value": 5}}'
        if name in self.refuse:
            raise RpcError("Permission denied")
        return "\n".join(self.groups).encode() if not name else REPLY.format(self.session).encode()

    def _lose(self) -> None:
        if self.restarts is not None:
            self.restarts += 1


class Player:
    """Polls every ``interval`` seconds, and after each poll goes on with the round."""

    def __init__(self, host: Host, interval: float = 5.0, rounds: float = 15.0) -> None:
        self.host = host
        self.interval = interval
        self.reader = ExtendedReader(rounds, clock=host, wall=lambda: 5000.0)
        self.missed = 0
        self.state = ExtendedState()

    def play(self, seconds: float) -> ExtendedState:
        """Until ``seconds`` of the clock."""
        while self.host.now < seconds:
            deadline = self.host.now + self.interval
            self.state = self.reader.step(self.host, self.host.session, deadline)
            self.missed += self.host.now > deadline
            self.host.now = max(self.host.now, deadline)
        return self.state

    @property
    def shown(self) -> set[str]:
        return set(self.state.snapshot.groups) if self.state.snapshot is not None else set()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("interval", "rounds"), [(5.0, 15.0), (1.0, 5.0), (0.5, 5.0), (0.1, 1.0), (60.0, 60.0)]
)
@pytest.mark.parametrize("restarts", [None, 0])
def test_one_group_that_hangs_costs_itself_alone(
    interval: float, rounds: float, restarts: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(("session", "resources", *DISKS[:2]), hang={DISKS[0]}, restarts=restarts)
    player = Player(host, interval, rounds)
    player.play(900.0)
    assert player.state.up is True
    assert player.shown == {"session", "resources", DISKS[1]}
    assert player.state.snapshot is not None
    assert player.state.snapshot.read_monotonic > 900 - rounds - interval
    assert player.missed == 0
    told = [
        each
        for each in caplog.records
        if each.getMessage() == "a group of extended statistics is not answered"
    ]
    assert [each.__dict__["group"] for each in told] == [DISKS[0]]
    assert "did not answer within" in told[0].__dict__["reason"]
    assert "no extended statistics this round" not in messages(caplog)
    # After 60, 120, 240 and 480 s, or 600; each time twice where the first time was too short to tell, and after a round,
    # two, four and so on before that where all times are.
    more = math.ceil(math.log2(FIRST_PAUSE / rounds)) if interval <= SHORTEST else 0
    assert host.asked.count(DISKS[0]) <= (5 + more if restarts is None else 2) * (2 if interval < 2 else 1)
    assert host.asked.count("resources") >= 0.9 * 900 / max(rounds, interval) - 2


def test_a_moment_of_silence_between_polls_that_follow_one_another_costs_a_few_rounds() -> None:
    """A host that is busy for half a second has no group that is not answered for a minute."""
    host = Host(("session", DISKS[0]))
    player = Player(host, 0.1, 0.3)
    player.play(3.0)
    host.hang = {DISKS[0]}
    player.play(host.now + 0.5)
    host.hang = set()
    player.play(host.now + 1.5)
    assert player.shown == {"session", DISKS[0]}
    assert player.state.snapshot is not None
    assert player.state.snapshot.read_monotonic > host.now - 0.5


def test_it_is_counted_in_each_round(caplog: pytest.LogCaptureFixture) -> None:
    player = Player(Host(("session", DISKS[0]), hang={DISKS[0]}))
    assert player.play(45.0).dropped == 3
    counts = [record.__dict__["count"] for record in caplog.records if "count" in record.__dict__]
    assert list(map(repr, counts)) == ["1"]


def test_its_series_end_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    host = Host(("session", DISKS[0]))
    player = Player(host)
    player.play(15.0)
    assert player.shown == {"session", DISKS[0]}
    host.hang = {DISKS[0]}
    player.play(20.0)
    assert player.shown == {"session"}
    host.hang = set()
    player.play(20.0 + FIRST_PAUSE + 20.0)
    assert player.shown == {"session", DISKS[0]}
    assert messages(caplog)[-1] == "a group of extended statistics is answered again"
    host.hang = {DISKS[0]}
    player.play(115.0)
    host.hang = set()
    player.play(115.0 + FIRST_PAUSE + 15.0)
    assert player.shown == {"session", DISKS[0]}, "an answer ends the longer pauses too"


def test_it_is_asked_last_and_ever_more_seldom() -> None:
    host = Host((DISKS[0], "session", "resources"), hang={DISKS[0]})
    player = Player(host)
    when: list[float] = []
    while host.now < 4000:
        before = host.asked.count(DISKS[0])
        player.play(host.now + 5.0)
        if host.asked.count(DISKS[0]) > before:
            when.append(host.now)
    pauses = [later - earlier for earlier, later in pairwise(when)]
    for pause, wanted in zip(pauses, (60.0, 120.0, 240.0, 480.0, *[LONGEST_PAUSE] * 9), strict=False):
        assert wanted <= pause <= wanted + 20
    assert len(pauses) >= 7
    at = len(host.asked) - 1 - host.asked[::-1].index(DISKS[0])
    assert host.asked[at - 2 : at] == ["session", "resources"]


def test_a_session_change_asks_it_anew() -> None:
    host = Host(("resources", DISKS[0]), hang={DISKS[0]})
    player = Player(host)
    player.play(10.0)
    host.hang, host.session = set(), 8
    player.play(15.0)
    assert player.shown == {"resources", DISKS[0]}


def test_a_group_that_the_host_names_no_more_is_forgotten() -> None:
    host = Host(("resources", DISKS[0]), hang={DISKS[0]})
    player = Player(host)
    player.play(59.0)
    host.groups = ("resources",)
    player.play(119.0)
    host.groups, host.hang = ("resources", DISKS[0]), set()
    player.play(140.0)
    assert player.shown == {"resources", DISKS[0]}


def test_a_library_that_crashes_over_one_group_costs_that_group_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host(("session", DISKS[0], "resources"), crash={DISKS[0]}, restarts=0)
    player = Player(host)
    player.play(590.0)
    assert (player.state.up, player.shown, host.restarts) == (True, {"session", "resources"}, 1)
    assert messages(caplog).count("a group of extended statistics is not answered") == 1


def test_a_process_that_is_lost_ends_the_step() -> None:
    """What the next one meets with as it begins is no group's: the basic poll has it begin."""
    host = Host(("session", "resources", DISKS[0]), hang={"resources"}, restarts=0)
    reader = ExtendedReader(15.0, clock=host, wall=lambda: 5000.0)
    assert reader.step(host, 7, 5.0).snapshot is None
    assert host.asked[-1] == "resources"
    host.now = 5.0
    state = reader.step(host, 7, 10.0)
    assert state.snapshot is not None
    assert set(state.snapshot.groups) == {"session", DISKS[0]}


def test_too_short_a_time_says_nothing_of_a_group() -> None:
    """As while a new session is being looked at, in short intervals, on a machine that is busy starting."""
    host = Host(("session", "resources"), takes=0.3)
    player = Player(host, 0.25)
    player.play(5.0)
    assert host.asked == [""], "and waits for a longer one"
    player.interval = 5.0
    player.play(20.0)
    assert player.shown == {"session", "resources"}
    assert player.state.dropped == 0
    assert 0.25 < SHORTEST < LONGEST_WAIT


def test_it_waits_for_a_longer_time_only_so_long(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(("session", "resources"), takes=0.3)
    Player(host, 0.25).play(40.0)
    assert "a group of extended statistics is not answered" in messages(caplog)


def test_a_question_at_the_end_of_its_time_is_asked_again_after_the_poll() -> None:
    host = Host(("session", "host", "resources"), takes=1.4)
    player = Player(host)
    player.play(10.0)
    assert player.shown == {"session", "host", "resources"}
    assert player.state.dropped == 0
    assert host.asked == ["", "session", "host", "resources", "resources"]


def test_a_host_that_answers_nothing_is_a_failed_round_and_is_left_in_peace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host(("session", *DISKS), hang={"", "session", "host", "resources"})
    player = Player(host)
    player.play(900.0)
    assert (player.state.up, player.state.snapshot, player.missed) == (False, None, 0)
    assert messages(caplog).count("no extended statistics this round") == 1
    assert len(host.asked) <= 4 * 5
    host.hang = set()
    player.play(900.0 + LONGEST_PAUSE + 30)
    assert player.state.up is True
    assert player.shown == {"session", *DISKS}


def test_a_list_that_is_not_answered_leaves_the_groups_that_are_known() -> None:
    host = Host(("session", *DISKS[:2]))
    player = Player(host)
    player.play(10.0)
    host.hang = {""}
    player.play(100.0)
    assert (player.state.up, player.shown) == (True, {"session", *DISKS[:2]})
    host.hang, host.groups = set(), ("session",)
    player.play(200.0)
    assert player.shown == {"session"}


def test_a_host_with_many_groups_that_hang_is_asked_for_some_in_each_round() -> None:
    """So what answers is shown soon, and in the end every one of them."""
    host = Host(("session", *DISKS, "resources"), hang=set(DISKS[:6]))
    player = Player(host)
    player.play(15.0)
    assert (player.state.up, player.shown) == (True, {"session", "resources"})
    assert len(host.hang & set(host.asked)) == MOST
    player.play(30.0)
    assert len(host.hang & set(host.asked)) == 2 * MOST
    player.play(50.0)
    assert player.shown == {"session", *DISKS[6:], "resources"}


LOST = (ConnectionLost("the host closed the connection"), RefusedError("reset"), TransportError("x"))


@pytest.mark.parametrize("restarts", [None, 0])
@pytest.mark.parametrize("error", LOST, ids=lambda error: error.kind)
def test_one_group_over_which_the_host_closes_the_connection_costs_itself_alone(
    error: VMGuestError, restarts: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(("session", "resources", *DISKS[:2]), lose={DISKS[0]: error}, restarts=restarts)
    player = Player(host)
    player.play(300.0)
    assert (player.state.up, player.shown) == (True, {"session", "resources", DISKS[1]})
    assert player.state.dropped == 20, "once in each round"
    (told,) = (each for each in caplog.records if each.levelname == "WARNING" and "group" in each.__dict__)
    assert (told.__dict__["group"], told.__dict__["kind"]) == (DISKS[0], error.kind)
    assert host.asked.count(DISKS[0]) == 4 * 20, "in each encoding of each round, which takes no time"
    host.lose.clear()
    player.play(315.0)
    assert player.shown == {"session", "resources", *DISKS[:2]}


@pytest.mark.parametrize("error", LOST, ids=lambda error: error.kind)
def test_an_encoding_over_which_the_host_closes_the_connection_is_followed_by_the_next_one(
    error: VMGuestError,
) -> None:
    host = Host(("session", DISKS[0]), lose={f"xml {DISKS[0]}": error}, json=True)
    player = Player(host)
    player.play(20.0)
    player.reader.polled(host.session, 0, host.now)
    snapshot = player.reader.state.snapshot
    assert snapshot is not None
    assert set(snapshot.groups) == {"session", DISKS[0]}


def test_a_connection_that_breaks_once_takes_nothing_away() -> None:
    """As at a vMotion: the group is asked again, in the same encoding."""
    host = Host(("session", DISKS[0]))
    player = Player(host)
    player.play(10.0)
    host.lose, host.lose_once = {DISKS[0]: LOST[0]}, True
    player.play(20.0)
    assert (player.state.dropped, player.shown) == (0, {"session", DISKS[0]})
    assert set(host.encodings) == {"xml"}


def test_a_list_that_is_lost_is_asked_for_in_the_next_round() -> None:
    host = Host(("session", "resources", *DISKS[:2]), lose={"": LOST[0]})
    player = Player(host)
    player.play(15.0)
    assert player.shown == {"session", "host", "resources"}
    host.lose.clear()
    player.play(30.0)
    assert player.shown == {"session", "resources", *DISKS[:2]}


def test_a_host_that_closes_every_connection_is_a_failed_round(caplog: pytest.LogCaptureFixture) -> None:
    host = Host(("session", *DISKS))
    player = Player(host)
    player.play(15.0)
    host.lose = dict.fromkeys(("", "session", *DISKS), LOST[0])
    player.play(30.0)
    assert player.state.up is False
    assert "no extended statistics this round" in messages(caplog)
    host.lose.clear()
    player.play(60.0)
    assert (player.state.up, player.shown) == (True, {"session", *DISKS})


def test_a_refusal_is_an_answer() -> None:
    host = Host(("resources", "host"), refuse={"host"})
    player = Player(host)
    player.play(31.0)
    assert (player.state.up, player.shown) == (True, {"resources"})
    assert host.asked.count("host") == 4 * 3, "in each encoding of each round"


def test_the_same_error_is_raised_in_round_after_round_without_a_growing_trace() -> None:
    host = Host(("resources",), hang={"resources"})
    player = Player(host, rounds=5.0)
    player.play(20.0)
    error = player.reader._missing.why
    assert isinstance(error, VMGuestError)
    depths = []
    for _ in range(3):
        player.play(host.now + 5.0)
        trace, depth = error.__traceback__, 0
        while trace is not None:
            trace, depth = trace.tb_next, depth + 1
        depths.append(depth)
    assert len(set(depths)) == 1
    assert math.isfinite(host.now)
