"""One look of a check: what a probe is, and what it can find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from exporter.ha.rules import SHORTAGES

LookMemory = tuple[int, ...]
"""What a probe has to know from one look to the next; empty where that is nothing."""


class Remembering(Protocol):
    """A probe that compares a look with those before it."""

    memory: LookMemory

    def __call__(self, limit: float) -> str | None: ...


Probe = Callable[[float], str | None] | Remembering
"""One look, given its time limit in seconds: what is wrong, or None. Raises :class:`OwnFault`, :class:`NotKnownYet`."""


class OwnFault(Exception):
    """The exporter could not look: a shortage of its own. Never a failure of what is checked."""


class Starved(OwnFault):
    """What the exporter looks with got no processor time: the look says nothing, and is taken again."""


class NotKnownYet(Exception):
    """Neither good nor bad so far."""


def look(probe: Probe, limit: float) -> str | None:
    """What ``probe`` finds; a shortage is a fault of the exporter's own, whatever it is called.

    Raises:
        OwnFault, NotKnownYet: it found nothing.
    """
    try:
        return probe(limit)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise OwnFault(f"the exporter could not look: {error.strerror}") from error
        return f"{type(error).__name__}: {error}"
    except MemoryError as error:
        raise OwnFault("the exporter could not look: no memory") from error
    except (OwnFault, NotKnownYet):
        raise
    except Exception as error:
        if "can't start new thread" in str(error):
            raise OwnFault("the exporter could not look: no thread can be started") from error
        return f"{type(error).__name__}: {error}"
