"""Whose doing it is, what comes next, how it bursts, and what somebody changed."""

from __future__ import annotations

from dashboards.expressions import INTERVAL
from dashboards.one_vm.common import EXTENDED, lines, vm
from dashboards.panels import Panel, Query, Section, Shape

_OLD = "Not given: no statistics yet, or the host does not tell stolen time"


def _state(name: str, worst: str) -> str:
    """0 none, 1 does not bind, 2 binds, 3 at work."""
    at = [vm(name, f'state="{state}"') for state in ("not_binding", "binding", worst)]
    return f"sum without (state) ({at[0]}) + sum without (state) (2 * {at[1]}) + sum without (state) (3 * {at[2]})"


def _bursts(title: str, about: str, name: str, empty: str) -> Panel:
    return Panel(
        title,
        f"{about} A colour is how many samples of the host lay in that band: an average hides a burst that a user feels.",
        "percentunit",
        empty,
        (Query(f"sum by (le) (increase({vm(name)}[{INTERVAL}]))", "{{le}}"),),
        Shape.HEATMAP,
        12,
    )


_WORDS = (
    ("0", "no limit", "green"),
    ("1", "does not bind", "green"),
    ("2", "binds", "orange"),
)

BLAME = Section(
    "Whose doing it is, and what comes next",
    (
        lines(
            "CPU time lost, by cause",
            "Share of each vCPU's time that was wanted and not given: held back by this VM's own limit, taken by the host for "
            "others, or either of the two (undetermined). The line 'memory' is waiting for memory; it may overlap.",
            "percentunit",
            _OLD,
            {
                "own limit": vm.lost('cause="limit"'),
                "host": vm.lost('cause="host"'),
                "undetermined": vm.lost('cause="undetermined"'),
                "memory": vm.lost('cause="memory"'),
            },
            width=12,
            stacked=True,
            unstacked=("memory",),
        ),
        Panel(
            "What the limits do",
            "State of the CPU limit and of the memory limit over time. Whether a binding limit is at work is a rule of thumb: "
            "95 % of it is used. A limit of a parent pool can't be seen from here.",
            "none",
            "Not known: the host gives no limit or no frequency",
            (
                Query(_state("vmguest_cpu_limit_state", "throttling"), "CPU"),
                Query(_state("vmguest_memory_limit_state", "reclaiming"), "memory"),
            ),
            Shape.STATES,
            12,
            words=(*_WORDS, ("3", "at work", "red")),
        ),
        lines(
            "What the host wants next",
            "Memory that the balloon will take by its present target, what the largest balloon would take, and what the guest "
            "lacks to give it, free swap included. A deficit means that its kernel will kill processes.",
            "bytes",
            "Not given: targets came with ESXi 5",
            {
                "pending": vm("vmguest_memory_reclaim_pending_bytes"),
                "worst case": vm("vmguest_memory_reclaim_worst_case_bytes"),
                "deficit": vm("vmguest_memory_reclaim_deficit_bytes"),
            },
            width=12,
        ),
        lines(
            "Stolen, and what the guest shows of it",
            "Time stolen by the host's count, and the steal of the guest's own kernel. The kernel's stays 0 where its accounting is "
            "not set up for it: tools inside the guest then show nothing.",
            "percentunit",
            _OLD,
            {
                "stolen": vm.stolen(),
                "steal in the guest": f"{vm.rate('vmguest_guest_steal_seconds_total')} / {vm('vmguest_vcpus')}",
            },
            width=12,
        ),
        _bursts(
            "Bursts of stolen time",
            "Share of a vCPU's time that was stolen, sample by sample.",
            "vmguest_cpu_stolen_ratio_bucket",
            _OLD,
        ),
        _bursts(
            "Bursts of waiting for memory",
            "Share of a vCPU's time spent waiting for swapped or compressed memory, round by round.",
            "vmguest_cpu_memory_contention_ratio_bucket",
            EXTENDED,
        ),
        lines(
            "Bursts of stolen time, counted",
            "How many samples of the host had more than a tenth of a vCPU's time stolen, in each step of the graph. Many of them "
            "beside a low average is what VMGuestCPUBursts warns of.",
            "short",
            _OLD,
            {"bursts": vm.bursts()},
            width=12,
        ),
        Panel(
            "Settings that were changed in this time",
            "How often each setting of this VM changed: limit, reservation, shares, balloon's maximum, pool, size. Each is a mark "
            "in every graph.",
            "short",
            "Nothing was changed",
            (Query(f"increase({vm('vmguest_setting_changes_total')}[$__range]) > 0", "{{setting}}"),),
            Shape.BARS,
            12,
            5,
            steps=((None, "blue"),),
            low=0,
        ),
    ),
)
