"""The catalogue: one row per statistic, read by everything that needs to know one.

Wire decoder, C signatures, collector, Prometheus, OTLP, the documents' tables, simulator, dashboards' tests: all walk
these tables. No name, unit or help text of a metric stands in any other room. ``statistics`` the basic ones ·
``extended_statistics`` the extended ones that are known by name · ``extended_names`` the rule for those that are not ·
``own`` what does not come from the host · ``units`` and ``metric`` what rows are made of.
"""

from __future__ import annotations

from exporter.catalogue.extended_statistics import (
    CPU_CONTENTION,
    EXTENDED,
    HOST_FACTS,
    HYPERVISOR,
    NUMA_MEMORY,
    ExtendedStatistic,
)
from exporter.catalogue.metric import PREFIX, SESSION_ID, Kind, Labels, Metric, well_formed
from exporter.catalogue.own import (
    BUILD,
    EXTENDED_DROPPED,
    EXTENDED_UP,
    GUEST_MEMORY,
    GUEST_METRICS,
    HA_APP_STATUS,
    HA_CHECK_HEALTHY,
    HA_DRY_RUN_RESETS,
    HA_ENABLED,
    HA_HEALTHY,
    HA_HEARTBEAT_ERRORS,
    HA_HEARTBEATS,
    HA_HEARTBEATS_WITHHELD,
    HA_LAST_HEARTBEAT,
    HA_METRICS,
    HA_REENABLES,
    HA_REQUESTED_RESET,
    LAST_POLL,
    LIBRARY_RESTARTS,
    OTLP_EXPORTS,
    OTLP_LAST_SUCCESS,
    OTLP_METRICS,
    OTLP_QUEUE_LENGTH,
    OWN,
    POLL_DURATION,
    POLL_ERRORS,
    POLLS,
    POLLS_MISSED,
    POLLS_UNCHANGED,
    SELF_METRICS,
    SESSION,
    SESSION_CHANGES,
    SESSION_METRICS,
    SESSION_START,
    SOURCE,
    UP,
    VCPUS,
    WEB_CONNECTIONS_REFUSED,
    WEB_METRICS,
)
from exporter.catalogue.statistics import (
    BY_ID,
    BY_KEY,
    NO_LIMIT,
    OLD_NO_LIMIT_MB,
    STATISTICS,
    Statistic,
    Wire,
)
from exporter.catalogue.units import HostUnit, Unit, scale

METRICS: tuple[Metric, ...] = tuple(
    dict.fromkeys(
        (
            *(row.metric for row in STATISTICS),
            *(row.metric for row in EXTENDED),
            HYPERVISOR,
            HOST_FACTS,
            *(metric for group in OWN.values() for metric in group),
        )
    )
)
"""Every metric with a fixed name."""

__all__ = [
    "BUILD",
    "BY_ID",
    "BY_KEY",
    "CPU_CONTENTION",
    "EXTENDED",
    "EXTENDED_DROPPED",
    "EXTENDED_UP",
    "GUEST_MEMORY",
    "GUEST_METRICS",
    "HA_APP_STATUS",
    "HA_CHECK_HEALTHY",
    "HA_DRY_RUN_RESETS",
    "HA_ENABLED",
    "HA_HEALTHY",
    "HA_HEARTBEATS",
    "HA_HEARTBEATS_WITHHELD",
    "HA_HEARTBEAT_ERRORS",
    "HA_LAST_HEARTBEAT",
    "HA_METRICS",
    "HA_REENABLES",
    "HA_REQUESTED_RESET",
    "HOST_FACTS",
    "HYPERVISOR",
    "LAST_POLL",
    "LIBRARY_RESTARTS",
    "METRICS",
    "NO_LIMIT",
    "NUMA_MEMORY",
    "OLD_NO_LIMIT_MB",
    "OTLP_EXPORTS",
    "OTLP_LAST_SUCCESS",
    "OTLP_METRICS",
    "OTLP_QUEUE_LENGTH",
    "OWN",
    "POLLS",
    "POLLS_MISSED",
    "POLLS_UNCHANGED",
    "POLL_DURATION",
    "POLL_ERRORS",
    "PREFIX",
    "SELF_METRICS",
    "SESSION",
    "SESSION_CHANGES",
    "SESSION_ID",
    "SESSION_METRICS",
    "SESSION_START",
    "SOURCE",
    "STATISTICS",
    "UP",
    "VCPUS",
    "WEB_CONNECTIONS_REFUSED",
    "WEB_METRICS",
    "ExtendedStatistic",
    "HostUnit",
    "Kind",
    "Labels",
    "Metric",
    "Statistic",
    "Unit",
    "Wire",
    "scale",
    "well_formed",
]
