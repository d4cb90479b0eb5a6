"""What the exporter tells its heart at the start: how to beat, and by which source."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from exporter.ha.messages import HeartReport
from exporter.ha.rules import Leftover, OnUnhealthy, Rules


@dataclass(frozen=True, slots=True)
class HeartSettings:
    """How the heart shall beat; handed over as JSON on its command line. It holds no secrets."""

    interval: float
    grace: float
    on_unhealthy: str
    source: str
    """``guestrpc`` or ``library``."""
    socket: str | None
    """Unix socket of a simulated host; None: vsock to the hypervisor."""
    library: str | None
    """File of VMware's library; None: the known names."""
    lock_file: str
    dry_run: bool
    bad_for: float | None = None
    """Seconds for which the heart before this one had known health to be bad; None: there was none."""
    fault_for: float = 0.0
    """Seconds for which the exporter itself had not been well, by that heart."""
    exporter: str = ""
    """The main process, by :func:`exporter.machine.process.identity`."""
    leftover: str = Leftover.NOTHING.value
    """What that heart may have left at the host, a word of :class:`Leftover`: the lock's file may not have taken it."""
    maintained: float | None = None
    """When the last maintenance began that it knew of, as :meth:`Maintenance.begun`; None: there was no heart before this one."""
    kept_bad_for: float = 0.0
    """Seconds for which some check was known to be bad, by what an exporter before this one kept of its checks."""

    @classmethod
    def parse(cls, argument: str) -> HeartSettings:
        return cls(**json.loads(argument))

    @classmethod
    def of(cls, pid: int | None, processes: Path = Path("/proc")) -> HeartSettings | None:
        """Those of the heart that is the process ``pid``; None where that can't be told."""
        try:
            words = (
                (processes / str(pid) / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            )
            return cls.parse(next(word for word in words if word.startswith("{")))
        except (OSError, ValueError, TypeError, StopIteration):
            return None

    @classmethod
    def running(cls, processes: Path = Path("/proc")) -> Iterator[tuple[int, HeartSettings]]:
        """Every heart that can be seen from here, also in another mount namespace: its pid, and its settings."""
        with suppress(OSError):
            for entry in processes.iterdir():
                if entry.name.isdigit() and (found := cls.of(int(entry.name), processes)):
                    yield int(entry.name), found

    def after(self, last: HeartReport, bad_since: float = 0.0, fault_for: float = 0.0) -> HeartSettings:
        """Those of who follows a heart with this last report. Without a word from any the lock's file knows better.

        ``bad_since``: seconds for which the main process has known health to be bad since then. No heart has counted them; those of a
        maintenance count for nobody. ``fault_for``: those of that report, unless the exporter has been well since.
        """
        if not last.phase:
            return self
        counted = bad_since if 0 < bad_since < math.inf and not last.maintenance_end else 0.0
        return replace(
            self,
            bad_for=last.bad_for + counted,
            fault_for=fault_for,
            leftover=last.leftover,
            maintained=last.maintained,
        )

    @property
    def argument(self) -> str:
        """For the heart's command line."""
        return json.dumps(asdict(self))

    @property
    def rules(self) -> Rules:
        return Rules(self.interval, self.grace, OnUnhealthy(self.on_unhealthy))
