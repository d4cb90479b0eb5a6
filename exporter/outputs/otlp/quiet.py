"""The SDK's log lines, turned down: an outage is 11 to 13 warnings in 20 s there, and one line in this program.

They are still to be had with ``--log.level=debug``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOUD = ("opentelemetry", "urllib3", "requests")
log = logging.getLogger("exporter.otlp.sdk")


class _TurnDown(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.debug("%s", record.getMessage(), extra={"logger": record.name, "as": record.levelname.lower()})


@contextmanager
def turned_down() -> Iterator[None]:
    """While the block lasts, records of the SDK and what it uses come out of our logger, at debug."""
    handler = _TurnDown()
    loggers = [logging.getLogger(name) for name in LOUD]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = not any(isinstance(each, _TurnDown) for each in logger.handlers)
