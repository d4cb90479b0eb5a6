"""Metrics beside the host's statistics: what the guest's kernel sees, the session, the exporter about itself."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.catalogue.insight import INSIGHT_METRICS
from exporter.catalogue.metric import Kind, Metric
from exporter.catalogue.units import Unit

_G, _C, _I = Kind.GAUGE, Kind.COUNTER, Kind.INFO
_EV, _NO = Unit.EVENTS, Unit.NONE

# Beside the host's numbers: what the guest's own kernel sees, so that ratios need no second exporter.
# fmt: off
VCPUS = Metric("vcpus", _G, Unit.NONE, "Virtual CPUs online in this guest, by its kernel.")
GUEST_MEMORY = Metric("guest_memory", _G, Unit.BYTES, "Memory that the guest's kernel sees.")

# The session: one run of the VM on one host between two events that reset the host's counters.
SESSION = Metric("session", _I, _NO, "Opaque id of the host's session; a new one after power-on, vMotion, resume, revert, reset or some hot-plug.", ("session_id",))
SESSION_START = Metric("session.start", _G, Unit.TIMESTAMP, "When the host began to count for the present session; absent where that is not known.")
SESSION_CHANGES = Metric("session.changes", _C, _EV, "Session changes seen since the exporter started; the host does not tell their cause.")

# The exporter about itself.
UP = Metric("up", _G, _NO, "1 when the last poll was good and is fresh; 0 otherwise. Statistics older than three intervals are left out.")
POLLS = Metric("polls", _C, _EV, "Polls begun.")
POLL_ERRORS = Metric("poll.errors", _C, _EV, "Polls that failed, by kind of error.", ("kind",))
POLL_DURATION = Metric("poll.duration", Kind.HISTOGRAM, Unit.SECONDS, "Time that a poll took, from request to decoded values.")
POLLS_MISSED = Metric("polls_missed", _C, _EV, "Polls skipped because the one before took longer than the interval.")
POLLS_UNCHANGED = Metric("polls_unchanged", _C, _EV, "Polls in which the host repeated its last sample (elapsed had not moved); no error.")
LAST_POLL = Metric("last_poll", _G, Unit.TIMESTAMP, "When the last good poll read the host.")
SOURCE = Metric("source", _I, _NO, "Source of the statistics, its transport and the version of the host's reply.", ("source", "transport", "protocol"))
BUILD = Metric("exporter.build", _I, _NO, "Version of the exporter and of Python.", ("version", "python"))
LIBRARY_RESTARTS = Metric("library.restarts", _C, _EV, "Times that the child process with VMware's library had to be restarted.")
EXTENDED_UP = Metric("extended.up", _G, _NO, "1 when the last round over the extended statistics was good and is fresh; absent where the host has none.")
EXTENDED_DROPPED = Metric("extended.dropped", _C, _EV, "Extended statistics left out: over a cap on names, labels or devices, with a name or value that can't be used, or read while the session changed.")

# OTLP push.
OTLP_EXPORTS = Metric("otlp.exports", _C, _EV, "OTLP exports, by outcome.", ("outcome",))
OTLP_QUEUE_LENGTH = Metric("otlp.queue_length", _G, _NO, "Exports that wait to be sent or sent again; near its bound, data is about to be lost.")
OTLP_LAST_SUCCESS = Metric("otlp.last_success", _G, Unit.TIMESTAMP, "When the receiver last took an export.")

# The web server.
WEB_CONNECTIONS_REFUSED = Metric("web.connections_refused", _C, _EV, "Connections that the web server refused or cut off, by reason: certificate, handshake, limit (too many), protocol (TLS and plain HTTP mixed up), timeout.", ("reason",))
WEB_RESTARTS = Metric("web.restarts", _C, _EV, "Times that the web server failed and was started again in the process, as it is while heartbeats are on.")

# vSphere HA Application Monitoring.
HA_ENABLED = Metric("ha.enabled", _G, _NO, "1 when the host has confirmed that application monitoring is on: silence then resets this VM.")
HA_HEALTHY = Metric("ha.healthy", _G, _NO, "1 when the exporter's health and every check are good.")
HA_CHECK_HEALTHY = Metric("ha.check_healthy", _G, _NO, "1 when this check counts as good.", ("check",))
HA_APP_STATUS = Metric("ha.app_status", _G, _NO, "Application monitoring status as vSphere HA sees it; the present one is 1.", ("status",))
HA_REQUESTED_RESET = Metric("ha.requested_reset", _G, _NO, "1 after this program asked the host to reset the VM.")
HA_HEARTBEATS = Metric("ha.heartbeats", _C, _EV, "Heartbeats that the host has taken.")
HA_HEARTBEAT_ERRORS = Metric("ha.heartbeat_errors", _C, _EV, "Heartbeats that failed, by kind of error.", ("kind",))
HA_HEARTBEATS_WITHHELD = Metric("ha.heartbeats_withheld", _C, _EV, "Heartbeats not sent because health was bad; 30 s of them and HA may reset the VM.")
HA_REENABLES = Metric("ha.reenables", _C, _EV, "Times that monitoring was lost (session change, host restart) and switched on again.")
HA_LAST_HEARTBEAT = Metric("ha.last_heartbeat", _G, Unit.TIMESTAMP, "When the host last took a heartbeat.")
HA_DRY_RUN = Metric("ha.dry_run", _G, _NO, "1 in a dry run: the others show what the real thing would, and the host knows of nothing.")
HA_MAINTENANCE_END = Metric("ha.maintenance_end", _G, Unit.TIMESTAMP, "When maintenance ends, +Inf where it has no end; absent outside of one. No heartbeats are sent in it.")
HA_DRY_RUN_RESETS = Metric("ha.dry_run_resets", _C, _EV, "Resets that would have happened, had this not been a dry run.")
# fmt: on

GUEST_METRICS = (VCPUS, GUEST_MEMORY)
SESSION_METRICS = (SESSION, SESSION_START, SESSION_CHANGES)
SELF_METRICS = (
    UP,
    POLLS,
    POLL_ERRORS,
    POLL_DURATION,
    POLLS_MISSED,
    POLLS_UNCHANGED,
    LAST_POLL,
    SOURCE,
    BUILD,
    LIBRARY_RESTARTS,
    EXTENDED_UP,
    EXTENDED_DROPPED,
)
OTLP_METRICS = (OTLP_EXPORTS, OTLP_QUEUE_LENGTH, OTLP_LAST_SUCCESS)
WEB_METRICS = (WEB_CONNECTIONS_REFUSED, WEB_RESTARTS)
HA_METRICS = (
    HA_ENABLED,
    HA_HEALTHY,
    HA_CHECK_HEALTHY,
    HA_APP_STATUS,
    HA_REQUESTED_RESET,
    HA_HEARTBEATS,
    HA_HEARTBEAT_ERRORS,
    HA_HEARTBEATS_WITHHELD,
    HA_REENABLES,
    HA_LAST_HEARTBEAT,
    HA_DRY_RUN,
    HA_MAINTENANCE_END,
    HA_DRY_RUN_RESETS,
)

OWN: Mapping[str, tuple[Metric, ...]] = {
    "What the guest's own kernel sees": GUEST_METRICS,
    "The session": SESSION_METRICS,
    "The exporter itself": SELF_METRICS,
    "What it means": INSIGHT_METRICS,
    "OTLP push": OTLP_METRICS,
    "Web server": WEB_METRICS,
    "Heartbeats": HA_METRICS,
}
"""All of them, by the heading that they have in the reference."""
