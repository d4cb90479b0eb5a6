"""One line for each change, not for each attempt."""

from __future__ import annotations

from exporter.ha.journal import Event, Journal
from exporter.protocol.appmonitor import Verb


def test_lines_are_taken_once_and_in_order() -> None:
    journal = Journal()
    journal.tell("info", "one")
    journal.tell("error", "two")
    assert journal.take() == [Event("info", "one"), Event("error", "two")]
    assert journal.take() == []


def test_a_complaint_is_told_until_it_changes() -> None:
    journal = Journal()
    for left in (20, 19):
        journal.complain(Verb.MARK_ACTIVE, "warning", "no answer.", f" {left} s are left.")
    journal.complain(Verb.IS_ENABLED, "warning", "no answer.")
    journal.complain(Verb.MARK_ACTIVE, "warning", "broken.")
    assert [event.text for event in journal.take()] == ["no answer. 20 s are left.", "no answer.", "broken."]


def test_what_works_again_may_be_complained_about_again() -> None:
    journal = Journal()
    journal.complain(Verb.ENABLE, "warning", "no")
    journal.settle(Verb.MARK_ACTIVE, Verb.ENABLE)
    journal.complain(Verb.ENABLE, "warning", "no")
    assert len(journal.take()) == 2
