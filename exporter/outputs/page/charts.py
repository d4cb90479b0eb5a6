"""The last hour as the page draws it: the band of vCPU time, a line for each value, what happened below them.

All charts share one list of times, in seconds before now. A value that is not known is None, and a gap is a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter import catalogue
from exporter.catalogue import BY_KEY, Metric
from exporter.insight.history import SPAN, STEP, Moment, since
from exporter.insight.observer import Insight
from exporter.insight.vitals import Vitals
from exporter.insight.words import span
from exporter.snapshot import PollState

GAP = 2.5
"""Steps without a value after which a line ends."""
BAND = (
    ("cpu_used", "used"),
    ("lost_limit", "lost to the CPU limit"),
    ("lost_undetermined", "lost, undetermined"),
    ("lost_host", "lost to the host"),
)
"""Keys of :data:`exporter.insight.history.KEPT` that are stacked; what is left of the vCPUs' time is idle."""
_PER_VCPU = " / rate(vmguest_elapsed_seconds_total[5m]) / vmguest_vcpus"


@dataclass(frozen=True)
class PageChart:
    """One line. ``query``: the same for whoever has Prometheus; empty for the metric itself."""

    key: str
    title: str
    unit: str
    text: str
    metric: Metric
    query: str = ""
    rate: bool = False
    extended: bool = False
    """Drawn at the times of the extended rounds."""

    @property
    def shown(self) -> str:
        return self.query or self.metric.prometheus


def _share(
    key: str, title: str, text: str, metric: Metric, labels: str = "", *, extended: bool = False
) -> PageChart:
    ignoring = _PER_VCPU.replace(" / ", " / ignoring (cause) group_left () ") if labels else _PER_VCPU
    query = f"rate({metric.prometheus}{labels}[5m]){ignoring}"
    return PageChart(key, title, "ratio", text, metric, query, rate=True, extended=extended)


def _level(key: str, title: str, text: str) -> PageChart:
    return PageChart(key, title, "bytes", text, BY_KEY[key].metric)


CHARTS: tuple[PageChart, ...] = (
    _share("cpu_used", "CPU used", "Share of all vCPUs' time in which they ran.", BY_KEY["cpu_used"].metric),
    _share("cpu_stolen", "CPU stolen", "Share in which they were ready and not run, for whatever cause.", BY_KEY["cpu_stolen"].metric),
    PageChart(
        "worst",
        "Worst sample",
        "ratio",
        "The largest share of one vCPU's time that was stolen in one sample.",
        catalogue.STOLEN_RATIO,
        f"histogram_quantile(1, rate({catalogue.STOLEN_RATIO.prometheus}_bucket[5m]))",
    ),
    _share(
        "contention_memory",
        "Waiting for memory",
        "Share in which vCPUs stood still because the host fetched their memory.",
        catalogue.CPU_CONTENTION,
        '{cause="memory"}',
        extended=True,
    ),
    _level("memory_active", "Memory active", "In recent use, as the host estimates it."),
    _level("memory_used", "Memory used", "Host memory that backs the guest's."),
    _level("memory_ballooned", "Memory ballooned", "Taken back by the host; missing to the guest."),
    _level("memory_swapped", "Memory swapped", "In the host's swap file; slow to come back."),
)  # fmt: skip


def hour(state: PollState, insight: Insight, vitals: Vitals, now: float) -> dict[str, Any]:
    """Times, band, lines and events."""
    moments = since(insight.moments, now - SPAN)
    memory = insight.guest.memory_bytes
    step = GAP * max(STEP, state.interval, insight.refresh or 0.0)
    rounds = GAP * max(STEP, state.interval, state.extended_interval)
    return {
        "times": [round(moment.at - now, 1) for moment in moments],
        "gap": step,
        "band": {
            "title": "Where the vCPU time went",
            "text": "Share of all vCPUs' time. Used time includes virtualization work and may exceed the clock: idle is"
            " then drawn as nothing.",
            "query": f"rate({catalogue.CPU_LOST.prometheus}[5m])",
            "parts": [
                {"key": key, "title": title, "values": _values(moments, key, rate=True)}
                for key, title in BAND
            ],
        },
        "charts": [
            {
                "key": chart.key,
                "title": chart.title,
                "unit": chart.unit,
                "text": chart.text,
                "query": chart.shown,
                "full": 1.0 if chart.unit == "ratio" else memory,
                "gap": rounds if chart.extended else step,
                "now": _now(chart, state, vitals, moments, now),
                "values": _values(moments, chart.key, rate=chart.rate),
            }
            for chart in CHARTS
        ],
        "events": [
            {
                "ago": round(entry.at - now, 1),
                "time": entry.time,
                "kind": entry.kind,
                "text": entry.text,
                "guess": entry.guess,
                "clues": list(entry.clues),
            }
            for entry in reversed(insight.timeline)
        ],
    }


def _values(moments: tuple[Moment, ...], key: str, *, rate: bool) -> list[float | None]:
    found: list[float | None] = []
    before: Moment | None = None
    for moment in moments:
        value = moment.get(key)
        if rate:
            value = moment.rate(before, key) if before is not None else None
            # Between two rounds of extended statistics nothing moves: the next round's value spans both.
            if value is not None or before is None or before.get(key) is None or before.epoch != moment.epoch:
                before = moment
        else:
            before = moment
        found.append(None if value is None else float(f"{value:.4g}"))
    return found


def _now(
    chart: PageChart, state: PollState, vitals: Vitals, moments: tuple[Moment, ...], now: float
) -> dict[str, Any] | None:
    """The present value and of when it is; None where there is none. Shares are those of the verdict."""
    if not moments or not state.fresh(now):
        return None
    if chart.key == "worst":
        value = vitals.worst
    elif chart.rate:
        shares = {
            "cpu_used": vitals.used,
            "cpu_stolen": vitals.stolen,
            "contention_memory": vitals.memory_contention,
        }
        value = shares[chart.key]
    else:
        return {
            "value": moments[-1].get(chart.key),
            "of": "",
            "time": state.read_time + moments[-1].at - state.read_monotonic,
        }
    window = vitals.memory_window if chart.extended else vitals.window
    return {"value": value, "of": f"last {span(window)}" if value is not None else "", "time": None}
