from __future__ import annotations

from exporter.catalogue import BY_KEY, HYPERVISOR, POLLS, SESSION
from exporter.metrics.families import Family, Point
from exporter.outputs.otlp.reader import Reader
from tests.outputs.otlp.receivers import Gathered

USED = BY_KEY["memory_used"].metric
TARGET = BY_KEY["memory_target"].metric


def family(value: float, time: float) -> Family:
    return Family(USED, (Point(value),), time)


def test_a_batch_has_everything_of_one_moment() -> None:
    polls = Family(POLLS, (Point(3.0),))
    batch = Reader(Gathered(lambda: [family(1, 10), polls], wall=lambda: 12.5), {"a": "b"}).collect()
    assert (batch.now.wall, batch.attributes) == (12.5, {"a": "b"})
    assert batch.families == (family(1, 10), polls)


def test_the_same_read_of_the_host_is_not_sent_twice_but_the_exporter_goes_on_about_itself() -> None:
    polls = Family(POLLS, (Point(3.0),))
    given = [[family(1, 10), polls], [family(1, 10), polls], [family(1, 15), polls], [polls], [family(2, 20)]]
    reader = Reader(Gathered(lambda: given.pop(0)), {})
    assert [len(reader.collect().families) for _ in range(5)] == [2, 1, 2, 1, 1]


def test_two_families_of_one_metric_and_time_both_go() -> None:
    reader = Reader(Gathered(lambda: [family(1, 10), family(2, 10), Family(TARGET, (), 10)]), {})
    assert len(reader.collect().families) == 3
    assert not reader.collect().families


def test_the_resource_learns_the_sessions_facts_and_stays_the_same_object_meanwhile() -> None:
    facts = [
        Family(SESSION, (Point(1.0, (("session_id", "0x1"),)),), 10),
        Family(HYPERVISOR, (Point(1.0, (("version", "8"), ("provider", "V"))),), 10),
    ]
    given: list[list[Family]] = [[], facts, facts, []]
    reader = Reader(Gathered(lambda: given.pop(0)), {"vmguest.hypervisor.provider": "mine"})
    assert reader.collect().attributes == {"vmguest.hypervisor.provider": "mine"}
    second, third, fourth = (reader.collect() for _ in range(3))
    assert second.attributes == {"vmguest.hypervisor.provider": "mine", "vmguest.hypervisor.version": "8"}
    assert second.attributes is third.attributes is fourth.attributes
    assert len(second.families) == 2
    assert not third.families
