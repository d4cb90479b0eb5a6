"""What a published metric is, and how its names follow from one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from exporter.catalogue.units import Unit

PREFIX = "vmguest_"

SESSION_ID = "session_id"
"""Label: the session's id as vmware-toolbox-cmd spells it, so that the two can be compared by eye."""

Labels = tuple[tuple[str, str], ...]


class Kind(Enum):
    """What a metric is; the value is the word of the OpenMetrics ``# TYPE`` line."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One published metric.

    ``name`` is the OTLP name without the leading ``vmguest.``; the Prometheus name follows from name, unit
    and kind. ``help`` says in one sentence what a high value means for the VM.
    """

    name: str
    kind: Kind
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()
    of_host: bool = False
    """A counter of the host's own life, not of the session's. Each session is a series of its own (label
    ``session_id``), so that no rate crosses two hosts, and its beginning is not known."""
    created: bool = True
    """Whether Prometheus is told when a counter began, in a series of its own each. Not where there are many that are
    0 from this process's start on, which ``process_start_time_seconds`` tells."""

    def __hash__(self) -> int:
        # Every page has a dictionary of all metrics, and equal ones have the same name.
        return hash(self.name)

    @cached_property
    def family(self) -> str:
        """Prometheus metric family, without ``_total`` or ``_info``: ``vmguest_cpu_used_seconds``."""
        parts = (self.name.replace(".", "_"), self.unit.suffix)
        return PREFIX + "_".join(part for part in parts if part)

    @cached_property
    def prometheus(self) -> str:
        """Prometheus sample name: ``vmguest_cpu_used_seconds_total``. Of a histogram, the family."""
        return self.family + {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")

    @cached_property
    def otlp(self) -> str:
        """OpenTelemetry metric name: ``vmguest.cpu.used``."""
        suffix = ".info" if self.kind is Kind.INFO else "_timestamp" if self.unit is Unit.TIMESTAMP else ""
        return f"vmguest.{self.name}{suffix}"


def well_formed(text: str) -> str:
    """``text`` with ``?`` for each lone surrogate, which neither UTF-8 nor protobuf can hold."""
    return text.encode("utf-8", "replace").decode()
