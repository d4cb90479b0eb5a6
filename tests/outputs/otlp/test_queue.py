from __future__ import annotations

import threading

import pytest

from exporter.clock import Instant
from exporter.outputs.otlp.queue import Queue
from exporter.outputs.otlp.reader import Batch


def batch(number: int) -> Batch:
    return Batch(Instant(float(number), float(number)), ())


def filled(capacity: int, count: int) -> tuple[Queue, int]:
    queue = Queue(capacity)
    return queue, sum(queue.put(batch(number)) for number in range(count))


def drain(queue: Queue) -> list[float]:
    queue.close()
    found = []
    while (each := queue.take()) is not None:
        found.append(each.now.wall)
    return found


def test_first_in_first_out() -> None:
    queue, dropped = filled(5, 4)
    assert (len(queue), dropped) == (4, 0)
    assert drain(queue) == [0, 1, 2, 3]
    assert len(queue) == 0


def test_the_oldest_go_when_it_is_full() -> None:
    queue, dropped = filled(3, 5)
    assert dropped == 2
    assert drain(queue) == [2, 3, 4]


def test_what_is_given_back_is_the_next_again() -> None:
    queue, _ = filled(3, 2)
    first = queue.take()
    assert first is not None
    assert len(queue) == 2
    assert queue.give_back(first) == 0
    assert drain(queue) == [0, 1]


def test_what_is_given_back_to_a_full_queue_was_the_oldest() -> None:
    queue, _ = filled(2, 2)
    first = queue.take()
    assert first is not None
    assert queue.put(batch(2)) == 0
    assert queue.give_back(first) == 1
    assert drain(queue) == [1, 2]


def test_the_one_under_way_takes_no_place() -> None:
    queue, _ = filled(1, 1)
    assert queue.take() is not None
    assert queue.put(batch(1)) == 0
    assert queue.put(batch(2)) == 1
    assert len(queue) == 2


def test_without_capacity_a_batch_is_tried_once() -> None:
    queue, dropped = filled(0, 1)
    assert dropped == 0
    taken = queue.take()
    assert taken is not None
    assert queue.put(batch(1)) == 1
    assert queue.give_back(taken) == 1
    assert len(queue) == 0


def test_take_waits_for_the_next_or_for_the_end() -> None:
    queue = Queue(3)
    found: list[Batch | None] = []

    def work() -> None:
        found.extend([queue.take(), queue.take()])

    thread = threading.Thread(target=work)
    thread.start()
    queue.put(batch(7))
    queue.close()
    thread.join(20)
    assert found == [batch(7), None]


@pytest.mark.parametrize("under_way", [True, False])
def test_what_is_given_up_is_counted(under_way: bool) -> None:
    queue, _ = filled(5, 3)
    if under_way:
        queue.take()
    assert queue.clear() == 3
    assert len(queue) == 0


def test_what_has_waited_too_long_is_given_up() -> None:
    queue, _ = filled(9, 6)
    assert queue.take() == batch(0)
    assert queue.drop_older(3.0) == 2
    queue.give_back(batch(0))
    assert queue.drop_older(3.0) == 1
    assert drain(queue) == [3.0, 4.0, 5.0]
