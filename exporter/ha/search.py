"""Whether a pattern is in a text, found out in a process that can be ended: some patterns take for ever.

One that takes too long is told from one that was not run: by the processor time that the search has had.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress

from exporter.ha.look import OwnFault, Starved
from exporter.ha.pattern import NO_MATCH
from exporter.machine import isolated, process

ORPHAN = 1.0
"""Seconds beyond its limit after which a search ends itself: whoever would end it may have been killed."""
SHARE = 0.5
"""Of its limit: a search that was given up before it has had so much processor time was starved."""


def search(pattern: str, text: bytes, limit: float) -> bool:
    """Whether ``pattern`` is somewhere in ``text``.

    Raises:
        TimeoutError: it took too long.
        Starved: it was hardly run.
        OwnFault: its process failed.
        OSError: there can't be one.
    """
    limit = max(0.0, limit)
    command = isolated.command("exporter.ha.pattern", json.dumps(pattern), f"{limit + ORPHAN:g}")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            child.communicate(text, limit)
        except subprocess.TimeoutExpired:
            had = process.processor_time(child.pid)
            child.kill()
            begun, _ = child.communicate()
            if _searched(had, begun) < SHARE * limit:
                raise Starved(f"the search for {pattern!r} was given up, having hardly run") from None
            raise TimeoutError from None
        except BaseException:
            child.kill()
            raise
    if child.returncode not in {0, NO_MATCH}:
        raise OwnFault(
            f"the exporter could not look for {pattern!r}: its process ended with {child.returncode}"
        )
    return child.returncode == 0


def _searched(had: float, begun: bytes) -> float:
    """Processor seconds of the search itself, of a process that had ``had`` in all; none where it has not begun."""
    with suppress(ValueError):
        return had - float(begun)
    return 0.0
