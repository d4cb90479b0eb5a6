"""Levels over time, as the physics read them."""

from exporter.simulator.fleet.levels import KEPT, STEP, Levels, Timeline
from exporter.simulator.scenario import Drive


def test_a_level_holds_for_its_step_and_the_last_goes_on() -> None:
    timeline = Timeline()
    for step in range(4):
        timeline.add(step, Levels(demand=step / 10))
    assert [timeline.at(time).demand for time in (0, STEP - 0.1, STEP, 3 * STEP, 99 * STEP)] == [
        0.0, 0.0, 0.1, 0.3, 0.3,
    ]  # fmt: skip


def test_before_the_first_step_there_is_nothing() -> None:
    assert Timeline().at(3.0) == Levels()


def test_what_is_older_than_is_kept_is_the_oldest() -> None:
    timeline = Timeline()
    for step in range(KEPT + 10):
        timeline.add(step, Levels(swap=step))
    assert timeline.at(0).swap == 10
    assert timeline.at(10 * STEP).swap == 10
    assert timeline.at(11 * STEP).swap == 11


def test_a_drive_has_the_fleets_levels_and_its_own_rest() -> None:
    timeline, own = Timeline(), Drive()
    timeline.add(0, Levels(*(number / 10 for number in range(len(Levels._fields)))))
    drive = timeline.drive(own)
    told = {name: getattr(drive, name).number(1.0) for name in Levels._fields}
    assert told == dict(zip(Levels._fields, (number / 10 for number in range(7)), strict=True))
    rest = set(Drive._fields) - set(Levels._fields)
    assert all(getattr(drive, name) is getattr(own, name) for name in rest)
