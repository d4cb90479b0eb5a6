"""What the heartbeats have to say for the log: once for each change, not once for each attempt."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.protocol.appmonitor import Verb


@dataclass(frozen=True, slots=True)
class Event:
    """A line for the log. ``level``: info, warning, error or critical."""

    level: str
    text: str


class Events:
    """Lines that wait to be written, and what has been complained about already."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._complaints: dict[Verb, str] = {}

    def tell(self, level: str, text: str) -> None:
        self._events.append(Event(level, text))

    def complain(self, verb: Verb, level: str, text: str, more: str = "") -> None:
        """Tell once until it is another text; ``more`` (a number that moves) is not compared."""
        if self._complaints.get(verb) != text:
            self._complaints[verb] = text
            self.tell(level, text + more)

    def settle(self, verb: Verb) -> bool:
        """This works again: the next complaint about it is news. Whether there was one."""
        return self._complaints.pop(verb, None) is not None

    def take(self) -> list[Event]:
        """The lines since the last call."""
        events, self._events = self._events, []
        return events
