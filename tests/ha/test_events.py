"""One line for each change, not for each attempt."""

from __future__ import annotations

from exporter.ha.events import Event, Events
from exporter.protocol.appmonitor import Verb


def test_lines_are_taken_once_and_in_order() -> None:
    events = Events()
    events.tell("info", "one")
    events.tell("error", "two")
    assert events.take() == [Event("info", "one"), Event("error", "two")]
    assert events.take() == []


def test_a_complaint_is_told_until_it_changes() -> None:
    events = Events()
    for left in (20, 19):
        events.complain(Verb.MARK_ACTIVE, "warning", "no answer.", f" {left} s are left.")
    events.complain(Verb.IS_ENABLED, "warning", "no answer.")
    events.complain(Verb.MARK_ACTIVE, "warning", "broken.")
    assert [event.text for event in events.take()] == ["no answer. 20 s are left.", "no answer.", "broken."]


def test_what_works_again_may_be_complained_about_again() -> None:
    events = Events()
    events.complain(Verb.ENABLE, "warning", "no")
    assert not events.settle(Verb.MARK_ACTIVE)
    assert events.settle(Verb.ENABLE)
    assert not events.settle(Verb.ENABLE)
    events.complain(Verb.ENABLE, "warning", "no")
    assert len(events.take()) == 2
