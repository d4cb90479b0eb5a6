"""What happened to the heartbeats, for the timeline of this VM: from one report of the heart to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from exporter.ha.messages import HeartReport


class Happened:
    """Tells what a report says that the one before did not. ``tell`` takes one sentence."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self._before = HeartReport()

    def reported(self, report: HeartReport) -> None:
        """A heart that has only begun knows nothing yet, and nothing has happened by that."""
        if not report.settled:
            return
        before = self._before
        # A status that can't be read counts as none: the last one still holds.
        self._before = replace(report, app_status=report.app_status or before.app_status)
        for text in changes(before, self._before):
            self.tell(text)


def changes(before: HeartReport, after: HeartReport) -> Iterator[str]:
    """A sentence for each change that an operator may look for."""
    if after.maintenance_end and not before.maintenance_end:
        yield "Maintenance began: no heartbeats are sent."
    if before.maintenance_end and not after.maintenance_end:
        yield "Maintenance ended."
    if after.enabled != before.enabled:
        yield f"Monitoring by vSphere HA is {'on' if after.enabled else 'off, or no longer confirmed'}."
    if after.app_status != before.app_status:
        yield f"vSphere HA sees this application as {after.app_status.title()}."
    if after.requested_reset != before.requested_reset:
        yield f"The request for a reset of this VM is {'with the host' if after.requested_reset else 'taken back'}."
