"""Board 3: the exporter itself, its heartbeats and its push."""

from __future__ import annotations

import re
from dataclasses import replace

from dashboards.expressions import INTERVAL, Scope
from dashboards.panels import OVER_TIME, VMS, Board, Mark, Panel, Query, Section, Shape, Variable

own = Scope('job=~"$job",instance=~"$instance"')
MOST = 15
"""Series of a query. With ten thousand VMs chosen Grafana would draw itself to death, and nobody could read it."""

_NO_HA = "Heartbeats are off (--ha.enabled)"
_NO_OTLP = "No OTLP push is set up (--otlp.endpoint)"
_NO_PROCESS = "Not published: pushed over OTLP, or --web.disable-exporter-metrics"
_DOWN = "The exporter can't be scraped"


def _status(colour: str) -> str:
    return own("vmguest_ha_app_status", f'status="{colour}"')


POLLS = Section(
    "Polls of the host",
    (
        Panel(
            "Statistics",
            "Whether each exporter's last poll was good and fresh.",
            "none",
            _DOWN,
            (Query(own("vmguest_up"), "{{instance}}"),),
            Shape.STATES,
            12,
            10,
            words=(("0", "withheld", "red"), ("1", "fresh", "green")),
        ),
        Panel(
            "Failed polls by kind",
            "Failures a second. The kind is the stable word of an error; vmguest-exporter doctor explains each.",
            "short",
            "No poll fails, or the recording rules are not loaded",
            (Query(own("vmguest:poll_errors:per_second"), "{{instance}} {{kind}}"),),
            Shape.LINES,
            12,
            10,
            low=0,
        ),
        Panel(
            "Time of a poll",
            "Time from request to decoded values: the mean of each exporter, and what 99 % of all polls stay below. Usually far below a "
            "millisecond.",
            "s",
            _DOWN,
            (
                # Of all together: by VM it takes a minute and more of ten thousand.
                Query(
                    f"histogram_quantile(0.99, sum by (le) ({own.rate('vmguest_poll_duration_seconds_bucket')}))",
                    "99 % of all",
                ),
                Query(
                    f"{own.rate('vmguest_poll_duration_seconds_sum')}"
                    f" / ({own.rate('vmguest_poll_duration_seconds_count')} > 0)",
                    "{{instance}} mean",
                ),
            ),
            low=0,
        ),
        Panel(
            "Age of the statistics",
            "Time since the last good poll, by the guest's and the server's clocks: a steady offset is a wrong clock.",
            "s",
            "No poll has been good yet",
            (Query(f"time() - {own('vmguest_last_poll_timestamp_seconds')}", "{{instance}}"),),
        ),
        Panel(
            "Polls that brought nothing new",
            "Share of polls that were skipped because the one before took too long, and of polls in which the host repeated its "
            "last sample. The latter is no error.",
            "percentunit",
            _DOWN,
            (
                Query(
                    f"{own.rate('vmguest_polls_missed_total')} / ({own.rate('vmguest_polls_total')} > 0)",
                    "{{instance}} missed",
                ),
                Query(
                    f"{own.rate('vmguest_polls_unchanged_total')} / ({own.rate('vmguest_polls_total')} > 0)",
                    "{{instance}} unchanged",
                ),
            ),
            low=0,
        ),
        Panel(
            "Extended statistics",
            "Whether the last round was good; absent where the host has none.",
            "none",
            "No host gives extended statistics",
            (Query(own("vmguest_extended_up"), "{{instance}}"),),
            Shape.STATES,
            8,
            10,
            words=(("0", "failed", "red"), ("1", "good", "green")),
        ),
        Panel(
            "Dropped statistics, library restarts",
            "Extended statistics dropped because a cap was reached or a name could not be used; and restarts of the process in "
            "which VMware's library runs.",
            "short",
            "No host gives extended statistics, and no library is in use",
            (
                Query(own.rate("vmguest_extended_dropped_total"), "{{instance}} dropped"),
                Query(own.rate("vmguest_library_restarts_total"), "{{instance}} restarts"),
            ),
            Shape.LINES,
            8,
            10,
            low=0,
        ),
        Panel(
            "Who runs what",
            "Version of each exporter and its source.",
            "none",
            _DOWN,
            (
                Query(own("vmguest_exporter_build_info"), "build"),
                # Of the same VMs.
                Query(
                    f"{own('vmguest_source_info')} and on (job, instance) topk({MOST}, {own('vmguest_exporter_build_info')})",
                    "from",
                ),
            ),
            Shape.TABLE,
            8,
            10,
            columns=(
                ("vm", "VM"),
                ("version", "Version"),
                ("python", "Python"),
                ("source", "Source"),
                ("transport", "Transport"),
                ("protocol", "Reply"),
            ),
        ),
        Panel(
            "CPU of the exporter",
            "Share of one CPU that the exporter itself uses.",
            "percentunit",
            _NO_PROCESS,
            (Query(own.ours(own.rate("process_cpu_seconds_total")), "{{instance}}"),),
            width=12,
            low=0,
        ),
        Panel(
            "Memory of the exporter",
            "Resident memory of the exporter itself.",
            "bytes",
            _NO_PROCESS,
            (Query(own.ours(own("process_resident_memory_bytes")), "{{instance}}"),),
            width=12,
            low=0,
        ),
    ),
)

HEARTBEATS = Section(
    "vSphere HA heartbeats",
    (
        Panel(
            "Application status",
            "How vSphere HA sees each VM. Gray: not watched. Red: heartbeats are missing and a reset is near.",
            "none",
            _NO_HA,
            (
                Query(
                    f"{_status('green')} + ignoring (status) 2 * {_status('gray')}"
                    f" + ignoring (status) 3 * {_status('red')}",
                    "{{instance}}",
                ),
            ),
            Shape.STATES,
            12,
            10,
            words=(("1", "green", "green"), ("2", "gray", "text"), ("3", "red", "red")),
        ),
        Panel(
            "Health checks",
            "Each check as it counts after its thresholds, and the whole. When the whole is bad for longer than the grace "
            "period, heartbeats stop.",
            "none",
            _NO_HA,
            (
                Query(
                    f'label_replace({own("vmguest_ha_healthy")}, "check", "all", "", "")'
                    f" or {own('vmguest_ha_check_healthy')}",
                    "{{instance}} {{check}}",
                ),
            ),
            Shape.STATES,
            12,
            10,
            words=(("0", "bad", "red"), ("1", "good", "green")),
        ),
        Panel(
            "Monitoring on",
            "Whether the host has confirmed that it expects heartbeats. Silence then resets the VM.",
            "none",
            _NO_HA,
            (Query(own("vmguest_ha_enabled"), "{{instance}}"),),
            Shape.NUMBER,
            6,
            7,
            words=(("0", "off", "orange"), ("1", "on", "green")),
        ),
        Panel(
            "Heartbeats",
            "Heartbeats a minute that the host took, and that were withheld. Six are due by default.",
            "short",
            _NO_HA,
            (
                Query(f"60 * {own.rate('vmguest_ha_heartbeats_total')}", "{{instance}} taken"),
                Query(f"60 * {own.rate('vmguest_ha_heartbeats_withheld_total')}", "{{instance}} withheld"),
            ),
            width=9,
            height=7,
            low=0,
        ),
        Panel(
            "Age of the last heartbeat",
            "Time since the host last took one. At 30 s the host misses it; it acts 61 to 89 s after the last.",
            "s",
            _NO_HA,
            (Query(f"time() - {own('vmguest_ha_last_heartbeat_timestamp_seconds')}", "{{instance}}"),),
            width=9,
            height=7,
            steps=((None, "green"), (20.0, "orange"), (30.0, "red")),
        ),
        Panel(
            "Failed heartbeats by kind",
            "Failures a second. A failed one is tried again within the same interval.",
            "short",
            "No heartbeat fails, heartbeats are off (--ha.enabled), or the recording rules are not loaded",
            (Query(own("vmguest:ha_heartbeat_errors:per_second"), "{{instance}} {{kind}}"),),
            width=12,
            height=7,
            low=0,
        ),
        Panel(
            "Enabled again, resets asked for",
            "In the time shown: how often monitoring was lost and switched on again; resets that a dry run would have caused; "
            "and whether a reset is asked for now.",
            "short",
            _NO_HA,
            (
                Query(
                    f"increase({own('vmguest_ha_reenables_total')}[$__range])", "{{instance}} enabled again"
                ),
                Query(
                    f"increase({own('vmguest_ha_dry_run_resets_total')}[$__range])", "{{instance}} in dry run"
                ),
                Query(own("vmguest_ha_requested_reset"), "{{instance}} reset asked for"),
            ),
            Shape.BARS,
            12,
            7,
            steps=((None, "green"), (1.0, "orange")),
            low=0,
        ),
    ),
)

PUSH = Section(
    "OTLP push",
    (
        Panel(
            "Exports by outcome",
            "Exports a minute, by what became of them.",
            "short",
            _NO_OTLP,
            (Query(f"60 * {own.rate('vmguest_otlp_exports_total')}", "{{instance}} {{outcome}}"),),
            low=0,
        ),
        Panel(
            "Waiting exports",
            "Exports that wait to be sent or sent again. The oldest are dropped when the queue is full.",
            "short",
            _NO_OTLP,
            (Query(own("vmguest_otlp_queue_length"), "{{instance}}"),),
            low=0,
        ),
        Panel(
            "Time since the last success",
            "Time since the receiver last took an export.",
            "s",
            _NO_OTLP,
            (Query(f"time() - {own('vmguest_otlp_last_success_timestamp_seconds')}", "{{instance}}"),),
        ),
    ),
)


def _bounded(section: Section) -> Section:
    """The row with the worst of each panel."""
    return replace(section, panels=tuple(_bounded_panel(panel) for panel in section.panels))


def _bounded_panel(panel: Panel) -> Panel:
    lowest_is_worst = any(value == "0" for value, _, _ in panel.words)
    pick = "bottomk" if lowest_is_worst else "topk"
    queries = tuple(
        replace(query, expr=_bounded_query(pick, query.expr, over_time=panel.shape in OVER_TIME))
        for query in panel.queries
    )
    return replace(panel, about=f"{panel.about} At most {MOST} VMs.", queries=queries)


def _bounded_query(pick: str, expr: str, *, over_time: bool) -> str:
    """The worst of the whole time shown: at each step others may be the worst, and all of these would be drawn."""
    if f"topk({MOST}, " in expr:
        return expr
    if over_time and " by (" not in expr:
        return f"({expr}) and {pick}({MOST}, {_overall(expr)})"
    return f"{pick}({MOST}, {expr})"


def _overall(expr: str) -> str:
    """``expr`` over the whole time shown: rates over all of it, of what is no counter the mean."""
    rates = expr.replace(f"[{INTERVAL}]", "[$__range] @ end()")
    return re.sub(r"([\w:]+\{[^{}]*\})(?!\[)", r"avg_over_time(\1[$__range] @ end())", rates)


BOARD = Board(
    "vmguest-exporter",
    "VMware guest / Exporter and HA",
    "The health of vmguest-exporter: polls, errors, heartbeats to vSphere HA, OTLP push.",
    (
        Variable("job", "Job", "label_values(vmguest_up, job)", matches_all=None),
        VMS(),
    ),
    tuple(_bounded(section) for section in (POLLS, HEARTBEATS, PUSH)),
    (
        Mark(
            "Session change (the host does not say why)",
            f"topk({MOST}, {own.new_session()})",
            "purple",
        ),
    ),
    # An hour, not six: each query looks at all of ten thousand VMs to find the worst.
    since="now-1h",
)
