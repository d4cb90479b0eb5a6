"""What is said once and not at each attempt: log lines on a change of state."""

from __future__ import annotations

from collections.abc import Hashable


class Once:
    """Remembers what was said on which topic. One thread's."""

    def __init__(self) -> None:
        self._said: dict[Hashable, Hashable] = {}

    def is_news(self, topic: Hashable, what: Hashable = None) -> bool:
        """Whether ``what`` was not what was said last on ``topic``; from now on it is."""
        if topic in self._said and self._said[topic] == what:
            return False
        self._said[topic] = what
        return True

    def settle(self, *topics: Hashable) -> bool:
        """These are over (all of them, where none is named): whatever comes next is news. Whether any was open."""
        over = [topic for topic in topics or tuple(self._said) if topic in self._said]
        for topic in over:
            del self._said[topic]
        return bool(over)
