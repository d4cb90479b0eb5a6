"""The clock of the session, rule by rule; whole histories are in test_histories."""

from __future__ import annotations

from exporter.clock import Instant, Life
from exporter.session.epoch import SessionClock
from exporter.session.remembered import Remembered
from exporter.snapshot import ExtendedSnapshot, ExtendedValue, Snapshot

WALL = 1_700_000_000.0
MOMENT = 1e-6
"""Seconds by which a life of its own begins after the reading before."""


class World:
    """Both clocks, moved by hand; the wall clock is ``ahead`` of the monotonic one."""

    def __init__(self, remembered: Remembered | None = None) -> None:
        self.clock = SessionClock(remembered)
        self.now, self.ahead = 1000.0, WALL - 1000

    @property
    def instant(self) -> Instant:
        return Instant(self.now + self.ahead, self.now)

    def read(self, session: int = 1, elapsed: int | None = 60_000, **values: int) -> Life:
        given = values if elapsed is None else {"elapsed": elapsed, **values}
        self.clock.read(Snapshot(session, 3, given), self.instant)
        return self.clock.lives.session

    def round(self, answered: Instant | None = None, **values: int) -> None:
        group = tuple(
            ExtendedValue(name.replace("_", "."), value, "accumulate", "us") for name, value in values.items()
        )
        instant = answered or self.instant
        self.clock.read_extended(ExtendedSnapshot(1, {"resources": group}, instant.wall, instant.monotonic))


def test_an_epoch_begins_with_a_new_id_and_its_start_is_a_fact() -> None:
    world = World()
    first = world.read(elapsed=60_000)
    assert first == Life(1, WALL - 60, None)
    world.now += 5
    # The host's clock runs at half the speed of ours.
    assert world.read(elapsed=62_500) == first
    world.now += 5
    assert world.read(2, elapsed=1_000) == Life(2, WALL + 9, world.now - 1)


def test_an_epoch_without_an_age_began_somewhere_since_the_last_reading() -> None:
    world = World()
    world.read()
    world.now += 5
    assert world.read(2, elapsed=0) == Life(2, WALL + 5, 1000.0)


def test_it_begins_anew_where_elapsed_falls_under_the_same_id() -> None:
    world = World()
    world.read(elapsed=60_000)
    world.now += 5
    assert world.read(elapsed=59_999) == Life(2, WALL + 5 - 59.999, None)
    world.now += 5
    assert world.read(elapsed=2_000) == Life(3, WALL + 8, world.now - 2)


def test_a_reading_without_elapsed_forgets_nothing() -> None:
    world = World()
    first = world.read(elapsed=60_000)
    assert world.read(elapsed=None) == first
    assert world.read(elapsed=60_000) == first
    assert world.read(elapsed=1_000).number == 2


def test_a_new_id_under_which_the_counters_go_on_did_not_begin_before_our_eyes() -> None:
    world = World()
    world.read(elapsed=3_600_000)
    world.now += 5
    assert world.read(2, elapsed=3_605_000).since is None


def test_an_epoch_that_is_a_little_older_than_the_last_reading_began_after_it_by_another_clock() -> None:
    world = World()
    world.read(elapsed=3_600_000)
    world.now += 100
    assert world.read(2, elapsed=102_000).since == 1000.0


def test_without_elapsed_the_start_is_unknown_unless_the_uptime_is_known_in_time() -> None:
    world = World()
    assert world.read(elapsed=None).start is None
    world.clock.read_uptime(60.0, world.now - 2)
    assert world.clock.lives.session.start == WALL - 62
    world.clock.read_uptime(1.0, world.now)
    assert world.clock.lives.session.start == WALL - 62


def test_a_new_id_without_elapsed_under_which_no_counter_fell_was_not_seen_to_begin() -> None:
    """Some hot-plug gives a new id while the counters go on, and this one reply has no ``elapsed``."""
    world = World()
    world.read(elapsed=3_600_000, cpu_used=500, host_cpu_used=900)
    world.now += 5
    assert world.read(2, elapsed=None, cpu_used=500, host_cpu_used=7).since is None
    world.now += 5
    assert world.read(2, elapsed=3_610_000, cpu_used=501).since is None


def test_one_whose_counters_fell_or_whose_age_is_known_at_last_began_since_the_last_reading() -> None:
    world = World()
    world.read(elapsed=3_600_000, cpu_used=500, cpu_stolen=3)
    world.now += 5
    assert world.read(2, elapsed=None, cpu_used=4, cpu_stolen=3).since == world.now - 5
    world.now += 5
    assert world.read(3, elapsed=None, cpu_used=6, cpu_stolen=3).since is None
    world.now += 5
    assert world.read(3, elapsed=7_000, cpu_used=6, cpu_stolen=3) == Life(3, WALL + 8, world.now - 7)


def test_what_fell_in_a_reply_without_elapsed_is_of_the_epoch_that_the_next_one_shows() -> None:
    """It is counted from there, and not once more from the beginning of the epoch."""
    world = World()
    world.read(elapsed=60_000, cpu_used=500, cpu_stolen=60)
    world.now += 5
    world.read(elapsed=65_000, cpu_used=510, cpu_stolen=6)
    world.now += 5
    world.read(elapsed=None, cpu_used=4, cpu_stolen=8)
    fell = world.clock.lives.of("cpu_used")
    world.now += 5
    session = world.read(elapsed=8_000, cpu_used=9, cpu_stolen=9)
    assert (session.number, session.start) == (4, WALL + 7)
    assert world.clock.lives.of("cpu_used") == fell
    assert world.clock.lives.of("cpu_stolen") == session, "that was in the epoch before"


def test_a_reading_without_elapsed_does_not_tell_whether_the_epoch_goes_on() -> None:
    world = World()
    world.read(elapsed=None)
    assert world.clock.told == 1000.0, "where there is none, the id is all there is"
    world.now += 5
    world.read()
    world.now += 5
    world.read(elapsed=None)
    assert world.clock.told == 1005.0
    world.read(2, elapsed=None)
    assert world.clock.told == 1010.0


def test_where_elapsed_stays_away_the_id_is_all_there_is() -> None:
    """Else rounds that wait for it would wait for ever."""

    def tells(world: World, elapsed: int | None) -> bool:
        world.now += 5
        world.read(elapsed=elapsed)
        return world.clock.told == world.now

    world = World()
    given = (60_000, None, None, None, None, 80_000, None)
    assert [tells(world, elapsed) for elapsed in given] == [True, False, False, True, True, True, False]
    world = World(Remembered(1, WALL - 61.5, 50_000))
    assert [tells(world, None) for _ in range(4)] == [False, False, True, True], "the process before had it"


def test_what_fell_while_elapsed_was_away_is_of_the_epoch_that_it_shows_later() -> None:
    world = World()
    world.read(cpu_used=500)
    for used in (400, 500, 600, 700):
        world.now += 5
        world.read(elapsed=None, cpu_used=used)
    fell = world.clock.lives.of("cpu_used")
    assert (fell.alone, fell.since) == (True, 1000.0)
    world.now += 5
    world.read(elapsed=20_000, cpu_used=800)
    assert world.clock.lives.of("cpu_used") == fell


def test_the_hosts_own_counters_are_in_another_life_at_each_change_of_the_id() -> None:
    """Also where an id comes again: nothing says that it is of the same host."""
    world = World()
    numbers = []
    for session in (1, 2, 1):
        world.read(session, host_cpu_used=100)
        numbers.append(world.clock.lives.of("host_cpu_used", of_host=True).number)
    assert len(set(numbers)) == 3
    assert max(numbers) < 0
    world.read(1, elapsed=1, host_cpu_used=100)
    assert world.clock.lives.of("host_cpu_used", of_host=True).number == numbers[-1]


def test_a_session_is_not_younger_than_its_first_reading() -> None:
    world = World()
    world.read(elapsed=None)
    world.now += 3
    world.clock.read_uptime(2.9, world.now)
    assert world.clock.lives.session.start == WALL


def test_elapsed_that_comes_late_makes_the_start_known_once() -> None:
    world = World()
    world.read(elapsed=None)
    world.now += 5
    assert world.read(elapsed=60_000).start == WALL - 55
    assert world.read(elapsed=70_000).start == WALL - 55


def test_a_wall_clock_that_is_not_set_makes_the_start_unknown_until_it_is() -> None:
    world = World()
    world.ahead = 0.0
    assert world.read(elapsed=60_000).start is None
    world.now, world.ahead = world.now + 5, WALL - 1000
    assert world.read(elapsed=65_000).start == WALL - 60
    world.ahead += 3600
    assert world.read(elapsed=65_001).start == WALL - 60


def test_a_step_back_past_the_start_moves_it_once_and_a_smaller_one_not_at_all() -> None:
    world = World()
    world.read(elapsed=60_000)
    world.ahead -= 59
    assert world.read(elapsed=60_000).start == WALL - 60
    world.ahead -= 3600
    moved = world.read(elapsed=60_000)
    assert moved == Life(1, WALL - 60 - 59 - 3600, None)
    world.now += 5
    assert world.read(elapsed=65_000) == moved


def test_a_counter_that_falls_alone_began_at_the_reading_before() -> None:
    world = World()
    session = world.read(cpu_used=500, cpu_stolen=7)
    world.now += 5
    world.read(elapsed=65_000, cpu_used=20, cpu_stolen=8)
    lives = world.clock.lives
    assert lives.session == session
    assert lives.of("cpu_used") == Life(2, WALL + MOMENT, 1000.0, alone=True)
    assert lives.of("cpu_stolen") == session
    world.now += 5
    world.read(elapsed=70_000, cpu_used=21, cpu_stolen=8)
    assert world.clock.lives == lives
    world.now += 5
    world.read(elapsed=75_000, cpu_used=1, cpu_stolen=8)
    assert world.clock.lives.of("cpu_used") == Life(3, WALL + 10 + MOMENT, 1010.0, alone=True)


def test_a_counter_that_was_missing_is_held_against_what_it_was_last() -> None:
    world = World()
    world.read(cpu_used=500)
    world.now += 5
    world.read(elapsed=65_000)
    world.now += 5
    world.read(elapsed=70_000, cpu_used=20)
    assert world.clock.lives.of("cpu_used").start == WALL + MOMENT


def test_an_extended_counter_that_falls_alone_began_at_the_round_before() -> None:
    world = World()
    world.read()
    world.round(vm_cpu_contention_cpu=900)
    world.now += 15
    world.round(vm_cpu_contention_cpu=30)
    assert world.clock.lives.of(("resources", "vm.cpu.contention.cpu")) == Life(
        2, WALL + MOMENT, 1000.0, alone=True
    )


def test_a_life_of_its_own_ends_with_the_session_and_moves_with_the_wall_clock() -> None:
    world = World()
    world.read(cpu_used=500)
    world.now += 5
    world.read(elapsed=65_000, cpu_used=20)
    world.ahead -= 3600
    world.read(elapsed=66_000, cpu_used=21)
    assert world.clock.lives.of("cpu_used").start == WALL - 3600 + MOMENT
    world.now += 5
    world.read(2, elapsed=1_000, cpu_used=3)
    assert not world.clock.lives.alone


def test_what_counts_on_the_host_does_not_begin_anew_where_elapsed_falls() -> None:
    world = World()
    world.read(host_cpu_used=900, cpu_used=900)
    world.now += 5
    world.read(elapsed=61_000, host_cpu_used=5, cpu_used=5)
    fell = world.clock.lives.of("host_cpu_used")
    assert fell.alone
    world.read(elapsed=1_000, host_cpu_used=6, cpu_used=0)
    assert world.clock.lives.of("host_cpu_used") == fell
    assert not world.clock.lives.of("cpu_used").alone
    world.read(2, elapsed=2_000, host_cpu_used=7)
    assert not world.clock.lives.alone


def test_an_exporter_that_starts_again_takes_the_start_of_the_same_session() -> None:
    known = Remembered(1, WALL - 61.5, 50_000)
    assert World(known).read(1, elapsed=60_000).start == WALL - 61.5
    assert World(known).read(1, elapsed=None).start == WALL - 61.5
    assert World(known).read(2, elapsed=60_000).start == WALL - 60
    assert World(known).read(1, elapsed=49_999).start == WALL - 49.999, "elapsed fell meanwhile"
    world = World(known)
    assert world.read(1, elapsed=None).start == WALL - 61.5
    assert world.read(1, elapsed=49_999) == Life(2, WALL - 49.999, None), "as it shows a reading later"
    world = World(known)
    world.ahead -= 3600
    assert world.read(1, elapsed=60_000).start == WALL - 3660, "the clock was set back meanwhile"
    world = World(known)
    world.read(2)
    assert world.read(1, elapsed=60_000).start == WALL - 60, (
        "only the first session can be the one that is known"
    )


def restarted(world: World, down: float = 10.0) -> World:
    """The exporter was away for ``down`` seconds."""
    after = World(world.clock.known)
    after.now, after.ahead = world.now + down, world.ahead
    return after


def test_a_counter_that_fell_while_no_exporter_looked_begins_at_the_last_reading_before() -> None:
    world = World()
    world.read(cpu_used=500, cpu_stolen=90)
    world.round(vm_cpu_contention_cpu=700, vm_cpu_contention_mem=7)
    then, world = world.instant, restarted(world)
    session = world.read(elapsed=70_000, cpu_used=400, cpu_stolen=91)
    world.now += 1
    world.round(vm_cpu_contention_cpu=5, vm_cpu_contention_mem=7)
    assert session.start == WALL - 60, "the same id, and elapsed has gone on"
    lives = world.clock.lives
    for fell in ("cpu_used", ("resources", "vm.cpu.contention.cpu")):
        # What it counted since then nobody saw: no difference brings it.
        assert (lives.of(fell).start, lives.of(fell).since, lives.of(fell).alone) == (
            then.wall + MOMENT,
            None,
            True,
        )
    for went_on in ("cpu_stolen", ("resources", "vm.cpu.contention.mem")):
        assert lives.of(went_on) == session
    world.now += 5
    world.read(elapsed=75_000, cpu_used=3, cpu_stolen=92)
    assert world.clock.lives.of("cpu_used").since == world.now - 6, "and this was seen"


def test_the_uptime_holds_no_start_of_a_round_against_the_older_wall_clock_of_the_poll() -> None:
    """The clock is set between the two: to 1970, and from there. No start is later than what is shown: nor is that of the
    session, where the round has another clock than the poll.
    """
    today, long_ago = WALL - 1000, -950.0
    for polled, later, session, start in (
        (today, long_ago, None, None),
        (long_ago, today, None, WALL),
    ):
        world = World()
        world.ahead = polled
        world.read(elapsed=None)
        world.round(vm_cpu_contention_cpu=700)
        world = restarted(world)
        world.read(elapsed=None)
        world.now += 1
        world.ahead = later
        world.clock.read_uptime(60.0, world.now)
        world.round(vm_cpu_contention_cpu=5)
        lives = world.clock.lives
        fell = lives.of(("resources", "vm.cpu.contention.cpu"))
        assert (lives.session.start, fell.alone, fell.start) == (
            session,
            True,
            None if start is None else start + MOMENT,
        )


def test_elapsed_that_fell_while_no_exporter_looked_is_seen_in_the_first_minute_too() -> None:
    world = World()
    world.read(elapsed=25_000, cpu_used=900)
    world = restarted(world)
    assert world.read(elapsed=3_000, cpu_used=300).start == WALL + 10 - 3
    assert not world.clock.lives.alone


def test_a_coarser_unit_after_a_restart_is_no_fall() -> None:
    def told(value: int, units: str) -> ExtendedSnapshot:
        group = (ExtendedValue("vm.cpu.contention.cpu", value, "accumulate", units),)
        return ExtendedSnapshot(1, {"resources": group}, *world.instant)

    for after, fell in ((123, False), (122, True)):
        world = World()
        world.read()
        world.clock.read_extended(told(123_999, "us"))
        world = restarted(world)
        world.read(elapsed=70_000)
        world.clock.read_extended(told(after, "ms"))
        assert world.clock.lives.of(("resources", "vm.cpu.contention.cpu")).alone is fell


def test_what_stands_for_a_basic_statistic_is_kept_over_a_restart() -> None:
    world = World()
    world.read()
    world.round(vm_cpu_used=50_020_000)
    world = restarted(world)
    world.read(elapsed=70_000, cpu_used=50_015)
    assert "cpu_used" not in world.clock.basic, "it is behind what was shown"
    assert not world.clock.lives.alone
    world.read(elapsed=71_000, cpu_used=50_030)
    world = restarted(world)
    world.read(elapsed=81_000)
    world.round(vm_cpu_used=50_025_000)
    assert not world.clock.lives.alone, "the basic reply has given it"


def test_an_epoch_shown_before_its_start_was_known_is_late_for_the_exporters_after() -> None:
    """OTLP had to have something stand in: a start before those points would reach back over them."""
    world = World()
    assert not world.read(elapsed=None).late
    assert restarted(world).read(elapsed=70_000).late
    world.now += 5
    assert not world.read(elapsed=65_000).late, "the push knows what it has sent"
    for _ in range(2):
        world = restarted(world)
        life = world.read(elapsed=int((world.now - 940) * 1000))
        assert (life.start, life.late) == (WALL - 60, True)
    assert not world.read(2).late
    world = World()
    world.read()
    assert not restarted(world).read(elapsed=70_000).late


def test_nothing_stands_for_what_the_basic_reply_has_given_in_this_session() -> None:
    """A round is of another age: a counter that went back to it, where a single reply lacks it, would fall."""
    world = World()
    world.read(cpu_used=50_020)
    world.round(vm_cpu_used=50_015_000)
    world.now += 5
    world.read()
    assert world.clock.basic >= {"cpu_used"}
    assert not world.clock.lives.alone
    world.read(2)
    assert "cpu_used" not in world.clock.basic


def test_the_basic_statistic_takes_over_when_it_is_not_behind() -> None:
    """One counter in two units and of two ages: its growth is counted once, and it never falls."""
    world = World()
    world.read()
    world.round(vm_cpu_used=50_015_700)
    for used, shown in ((50_015, False), (50_016, True), (50_017, True)):
        snapshot = Snapshot(1, 3, {"elapsed": 60_000, "cpu_used": used})
        assert ("cpu_used" in world.clock.read(snapshot, world.instant).values) is shown
        assert ("cpu_used" in world.clock.basic) is shown
    assert not world.clock.lives.alone


def test_a_unit_that_changes_is_no_fall() -> None:
    world = World()
    world.read()
    for value, unit in ((9_000_000, "us"), (9_002, "ms")):
        group = (ExtendedValue("vm.cpu.contention.mem", value, "accumulate", unit),)
        world.clock.read_extended(ExtendedSnapshot(1, {"resources": group}, *world.instant))
    assert not world.clock.lives.alone


CONTENTION = ("resources", "vm.cpu.contention.cpu")


def test_a_fall_in_a_round_that_waited_began_by_the_clock_of_the_reading_that_shows_it() -> None:
    """The wall clock was set back an hour meanwhile."""
    world = World()
    world.read(elapsed=86_400_000)
    world.round(vm_cpu_contention_cpu=700)
    world.now += 5
    world.read(elapsed=86_405_000)
    held = world.instant
    world.now += 5
    world.ahead -= 3600
    world.read(elapsed=86_410_000)
    world.round(held, vm_cpu_contention_cpu=5)
    life = world.clock.lives.of(CONTENTION)
    assert (life.alone, life.start) == (True, WALL - 3600 + MOMENT)
    world.now += 5
    world.read(elapsed=86_415_000)
    assert world.clock.lives.of(CONTENTION) == life, "once"


def test_no_start_is_later_than_a_reply_of_a_round_before_which_the_clock_was_set_back() -> None:
    world = World()
    world.read(elapsed=10_000, cpu_used=9)
    world.now += 5
    world.read(elapsed=15_000, cpu_used=3)
    world.now += 1
    world.ahead -= 3600
    world.round(vm_cpu_contention_cpu=700)
    assert world.clock.lives.session.start == WALL - 10 - 3600
    assert world.clock.lives.of("cpu_used").start == WALL - 3600 + MOMENT


def test_a_round_that_waited_moves_nothing_that_began_after_it_nor_by_a_clock_that_was_not_set() -> None:
    for ahead in (WALL - 1000, -950.0):
        world = World()
        world.read(elapsed=60_000, cpu_used=9)
        held = Instant(world.now + ahead, world.now)
        for used in (10, 3):
            world.now += 5
            world.read(elapsed=65_000, cpu_used=used)
        before = world.clock.lives
        world.round(held, vm_cpu_contention_cpu=700)
        assert world.clock.lives == before


def test_a_sample_that_is_older_than_the_first_reading_makes_no_session_younger_than_that() -> None:
    world = World()
    world.read(elapsed=None)
    world.now += 5
    assert world.read(elapsed=0).start == WALL


def test_a_counter_that_falls_right_after_its_first_point_does_not_fall_under_the_same_start() -> None:
    """Found by a stranger: where nobody knows the session's start, OTLP's first point has its own time for one."""
    world = World()
    world.read(elapsed=None, cpu_used=9000)
    world.now += 5
    world.read(elapsed=None, cpu_used=10)
    start = world.clock.lives.of("cpu_used").start
    assert start is not None
    assert round(WALL * 1e9) < round(start * 1e9) < round(WALL * 1e9) + 5_000
