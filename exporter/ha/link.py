"""The heart's ends of the two pipes between it and the exporter. Neither is ever waited for."""

from __future__ import annotations

import os
from collections import deque

from exporter.ha import messages
from exporter.ha.messages import HeartReport, LineReader, Message


class Link:
    """The two pipes to the exporter, neither of which is ever waited for."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming = incoming
        self._outgoing = outgoing
        self._reader = LineReader()
        self._unsent: deque[bytes] = deque(maxlen=200)
        self.closed = False
        for descriptor in (incoming, outgoing):
            os.set_blocking(descriptor, False)

    def receive(self) -> list[Message]:
        """What has come since the last call."""
        lines: list[bytes] = []
        while not self.closed:
            try:
                data = os.read(self.incoming, 65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.closed = not data
            lines += self._reader.feed(data)
        return [messages.decode(line) for line in lines]

    def send(self, message: Message) -> None:
        """Send, or keep for later while the exporter does not read. Of reports only the newest is kept."""
        line = messages.encode(message)
        if isinstance(message, HeartReport):
            if self._flush():
                self._write(line)
        else:
            self._unsent.append(line)
            self._flush()

    def _flush(self) -> bool:
        while self._unsent:
            if not self._write(self._unsent[0]):
                return False
            self._unsent.popleft()
        return True

    def _write(self, line: bytes) -> bool:
        try:
            os.write(self._outgoing, line)
        except BlockingIOError:
            return False
        except OSError:
            # The exporter is gone; the incoming pipe says so too, and that is where it is acted upon.
            return True
        return True
