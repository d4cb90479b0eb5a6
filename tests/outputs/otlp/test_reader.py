from __future__ import annotations

import tracemalloc

from exporter.catalogue import BY_KEY, CPU_LOST, POLLS
from exporter.clock import Instant
from exporter.metrics.families import Family, Point
from exporter.metrics.published import Published
from exporter.outputs.otlp.reader import Reader
from exporter.outputs.otlp.settings import MAX_QUEUE
from tests.collector.site import Site
from tests.outputs.otlp.receivers import Gathered

USED = BY_KEY["memory_used"].metric
TARGET = BY_KEY["memory_target"].metric


def family(value: float, time: float) -> Family:
    return Family(USED, (Point(value),), time, monotonic=time)


def test_a_batch_has_everything_of_one_moment() -> None:
    polls = Family(POLLS, (Point(3.0),))
    batch = Reader(Gathered(lambda: [family(1, 10), polls], wall=lambda: 12.5)).collect()
    assert batch.now.wall == 12.5
    assert batch.families == (family(1, 10), polls)


def test_the_same_read_of_the_host_is_not_sent_twice_but_the_exporter_goes_on_about_itself() -> None:
    polls = Family(POLLS, (Point(3.0),))
    given = [[family(1, 10), polls], [family(1, 10), polls], [family(1, 15), polls], [polls], [family(2, 20)]]
    reader = Reader(Gathered(lambda: given.pop(0)))
    assert [len(reader.collect().families) for _ in range(5)] == [2, 1, 2, 1, 1]


def test_a_reading_that_has_another_time_since_the_clock_was_set_is_the_same_reading() -> None:
    given = [[Family(USED, (Point(1.0),), time, monotonic=10)] for time in (20.0, 1_700_000_020.0)]
    reader = Reader(Gathered(lambda: given.pop(0)))
    assert [len(reader.collect().families) for _ in range(2)] == [1, 0]


def test_two_families_of_one_metric_and_time_both_go() -> None:
    reader = Reader(
        Gathered(lambda: [family(1, 10), family(2, 10), Family(TARGET, (Point(3.0),), 10, monotonic=10)])
    )
    assert len(reader.collect().families) == 3
    assert not reader.collect().families


def test_of_a_family_read_at_several_times_only_what_was_read_anew_is_sent() -> None:
    def lost(polled: float, round_: float) -> list[Family]:
        points = (
            Point(1.0, (("cause", "host"),)),
            Point(2.0, (("cause", "memory"),), read=Instant(round_, round_)),
        )
        return [Family(CPU_LOST, points, polled, monotonic=polled)]

    given = [lost(10, 9), lost(15, 9), lost(15, 14), lost(15, 14), lost(20, 19)]
    reader = Reader(Gathered(lambda: given.pop(0)))
    sent = [[dict(p.labels)["cause"] for f in reader.collect().families for p in f.points] for _ in range(5)]
    assert sent == [["host", "memory"], ["host"], ["memory"], [], ["host", "memory"]]


def traced() -> int:
    """Bytes, without what a measurement of coverage keeps of each thread that there was."""
    own = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(inclusive=False, filename_pattern="*/coverage/*")]
    )
    return sum(trace.size for trace in own.traces)


def test_a_queue_that_is_full_takes_the_memory_that_the_documents_say() -> None:
    """Some 50 MB, for an ordinary VM's hundred points; what Python had at hand already is not seen."""
    with Site(extended=0.001) as site:
        reader = Reader(Published(lambda: site.poller.state))
        for _ in range(2):
            site.poll()
            reader.collect()
        tracemalloc.start()
        try:
            kept = []
            for _ in range(50):
                site.poll()
                kept.append(reader.collect())
            points = [sum(len(family.points) for family in batch.families) for batch in kept]
            full = traced()
            kept.clear()
            empty = traced()
        finally:
            tracemalloc.stop()
    assert len(set(points)) == 1
    assert 30e6 < (full - empty) / len(points) * MAX_QUEUE < 55e6
