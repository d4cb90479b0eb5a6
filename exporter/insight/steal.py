"""Whether the steal that the guest's kernel shows can be believed.

A Linux guest shows steal on VMware only where host, virtual hardware and ``stealclock.enable`` give it the clock;
elsewhere it is 0 for ever, which every dashboard then calls a quiet host.
"""

from __future__ import annotations

ENOUGH = 5.0
"""Seconds that the host must have taken, no limit being in play, before a kernel that shows none is disbelieved."""
SEEN = 0.1
"""Share of it that the kernel must show to be believed: the two count differently, but not by ten times."""


class Steal:
    """Compares the growth of both, from one reading to the next; where the kernel's fell, neither's is counted."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._shown = self._taken = 0.0
        self.accounting: bool | None = None
        """None until enough was stolen to tell."""
        self.falls = 0
        """Times that the kernel has shown less than before, as some do after a vMotion, or where a CPU goes offline."""

    def read(self, kernel: float | None, host: float) -> None:
        """``kernel``: seconds of steal that the kernel shows; ``host``: seconds that were laid to the host."""
        if kernel is None:
            return
        before, self._last = self._last, (kernel, host)
        if before is None:
            return
        if kernel < before[0]:
            self.falls += 1
            return
        self._shown += kernel - before[0]
        self._taken += host - before[1]
        if self._shown >= ENOUGH * SEEN and self._shown >= SEEN * self._taken:
            self.accounting = True
        elif self._taken >= ENOUGH:
            self.accounting = False
