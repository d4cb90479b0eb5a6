"""The heart's ends of the pipes: neither is ever waited for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from exporter.ha import messages
from exporter.ha.link import Link
from exporter.ha.messages import HealthUpdate, HeartReport, LineReader, LogLine, Message
from exporter.ha.rules import Health


class Ends:
    """Both pipes, with the exporter's ends in this test's hands."""

    def __init__(self) -> None:
        incoming, self.to_heart = os.pipe()
        self.from_heart, outgoing = os.pipe()
        self.open = {incoming, self.to_heart, self.from_heart, outgoing}
        self.link = Link(incoming, outgoing)
        self.reader = LineReader()
        os.set_blocking(self.from_heart, False)

    def close(self, descriptor: int) -> None:
        self.open.remove(descriptor)
        os.close(descriptor)

    def received(self) -> list[Message]:
        found: list[Message] = []
        try:
            while data := os.read(self.from_heart, 1 << 20):
                found += [messages.decode(line) for line in self.reader.feed(data)]
        except BlockingIOError:
            pass
        return found

    def fill(self) -> int:
        """Send lines until the pipe takes no more; how many."""
        for number in range(100_000):
            self.link.send(LogLine("info", f"{number} " + 500 * "x"))
            if self.link._unsent:
                return number
        raise AssertionError("a pipe without end")


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    for descriptor in list(ends.open):
        ends.close(descriptor)


def test_news_are_read_and_nothing_is_waited_for(ends: Ends) -> None:
    assert ends.link.receive() == []
    news = HealthUpdate(Health.GOOD, "", 1.0)
    os.write(ends.to_heart, messages.encode(news) * 2)
    assert ends.link.receive() == [news, news]
    assert not ends.link.closed


def test_the_exporters_end_shows_once_all_is_read(ends: Ends) -> None:
    os.write(ends.to_heart, messages.encode(HealthUpdate(Health.BAD, "x", 1.0)))
    ends.close(ends.to_heart)
    assert len(ends.link.receive()) == 1
    assert ends.link.closed
    assert ends.link.receive() == []


def test_a_pipe_that_can_not_be_read_is_the_end_too(ends: Ends) -> None:
    link = Link(ends.to_heart, ends.to_heart)
    assert link.receive() == []
    assert link.closed


def test_lines_wait_while_the_exporter_does_not_read_and_arrive_in_order(ends: Ends) -> None:
    first = ends.fill()
    ends.link.send(LogLine("info", "last"))
    texts = [message.text for message in ends.received() if isinstance(message, LogLine)]
    assert len(texts) == first
    ends.link.send(LogLine("info", "after"))
    texts = [message.text for message in ends.received() if isinstance(message, LogLine)]
    assert [text.split()[0] for text in texts] == [str(first), "last", "after"]


def test_reports_do_not_wait_and_do_not_pass_lines(ends: Ends) -> None:
    ends.fill()
    for number in range(3):
        ends.link.send(HeartReport(heartbeats=number))
    assert not any(isinstance(message, HeartReport) for message in ends.received())
    ends.link.send(HeartReport(heartbeats=3))
    assert [type(message) for message in ends.received()] == [LogLine, HeartReport]


def test_what_waits_is_bounded(ends: Ends) -> None:
    ends.fill()
    for number in range(1000):
        ends.link.send(LogLine("info", str(number)))
    assert len(ends.link._unsent) == 200
    assert b"999" in ends.link._unsent[-1], "the newest are kept"


def test_an_exporter_that_is_gone_costs_nothing(ends: Ends) -> None:
    ends.close(ends.from_heart)
    ends.link.send(LogLine("info", "x"))
    ends.link.send(HeartReport())
    assert not ends.link._unsent
