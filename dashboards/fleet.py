"""Board 2: many VMs, the worst first."""

from __future__ import annotations

from dashboards.expressions import Scope
from dashboards.panels import VMS, Board, Panel, Query, Section, Shape, Variable

vms = Scope('cluster=~"$cluster",job=~"$job",instance=~"$instance"')

_NONE = "None"
_ALARM = ((None, "green"), (1.0, "orange"))
_EMPTY = "No VM reports this"


def _count(condition: str) -> str:
    """How many VMs ``condition`` holds for; 0 rather than nothing."""
    return f"count({condition}) or vector(0)"


def _worst(
    title: str,
    about: str,
    expr: str,
    unit: str,
    steps: tuple[tuple[float | None, str], ...],
    legend: str = "{{instance}}",
    width: int = 8,
) -> Panel:
    return Panel(
        title,
        about,
        unit,
        "No VM has any",
        (Query(f"topk(15, ({expr}) > 0)", legend),),
        Shape.BARS,
        width,
        11,
        steps=steps,
        low=0,
        drill_down=True,
    )


def _number(title: str, about: str, expr: str, steps: tuple[tuple[float | None, str], ...] = _ALARM) -> Panel:
    return Panel(title, about, "short", _NONE, (Query(expr, "VMs"),), Shape.NUMBER, 3, 4, steps=steps)


COUNTS = Section(
    "How many",
    (
        _number(
            "VMs reporting",
            "VMs whose host answered the last poll.",
            _count(f"{vms('vmguest_up')} == 1"),
            ((None, "blue"),),
        ),
        _number(
            "Exporters down",
            "Targets of these jobs that can't be scraped. The variable knows a job once one of its VMs has reported; in a job that "
            "other exporters share, those count that were seen in the time shown.",
            _count(vms.down()),
        ),
        _number(
            "Statistics withheld",
            "Exporters that run and get nothing usable from their host.",
            _count(f"{vms('vmguest_up')} == 0"),
        ),
        _number(
            "Starved of CPU",
            "VMs with more than 5 % of each vCPU's time stolen that no limit explains. The threshold is borrowed from CPU ready.",
            _count(f"(({vms.stolen()}) > 0.05) unless {vms.at_limit()} == 1"),
        ),
        _number(
            "Throttled now",
            "VMs that use up a CPU limit below what their vCPUs could use.",
            _count(f"{vms.at_limit()} == 1"),
        ),
        _number(
            "Ballooned",
            "VMs of whose memory the balloon holds any.",
            _count(f"{vms('vmguest_memory_ballooned_bytes')} > 0"),
        ),
        _number(
            "About to be ballooned",
            "VMs from whose balloon the host wants more than 64 MiB beyond its size.",
            _count(f"{vms('vmguest_memory_reclaim_pending_bytes')} > 64 * 1024 * 1024"),
        ),
        _number(
            "Swapped by the host",
            "VMs with memory in their host's swap file.",
            _count(f"{vms('vmguest_memory_swapped_bytes')} > 0"),
        ),
    ),
)

WORST = Section(
    "The worst, now",
    (
        _worst(
            "Stolen CPU, per vCPU",
            "Share of each vCPU's time in which it was ready and the host ran others. At a limit of its own a VM shows up here "
            "too. Click for the VM.",
            vms.stolen(),
            "percentunit",
            ((None, "green"), (0.05, "orange"), (0.10, "red")),
        ),
        _worst(
            "Ballooned share of memory",
            "Share of the guest's memory that the balloon holds. Click for the VM.",
            vms.share("vmguest_memory_ballooned_bytes"),
            "percentunit",
            ((None, "green"), (0.0001, "orange"), (0.05, "red")),
        ),
        _worst(
            "Swapped share of memory",
            "Share of the guest's memory in the host's swap file. Click for the VM.",
            vms.share("vmguest_memory_swapped_bytes"),
            "percentunit",
            ((None, "green"), (0.0001, "orange"), (0.05, "red")),
        ),
        _worst(
            "CPU time lost, per vCPU and cause",
            "Share of each vCPU's time that was wanted and not given: to the VM's own limit, to the host, or either "
            "(undetermined); memory is waiting for memory and may overlap. Click for the VM.",
            vms.lost(),
            "percentunit",
            ((None, "green"), (0.05, "orange"), (0.10, "red")),
            "{{instance}} {{cause}}",
            12,
        ),
        _worst(
            "Bursts of stolen CPU time",
            "Samples of the host, in the time shown, with more than a tenth of a vCPU's time stolen: an average hides them. Click for "
            "the VM.",
            f"round({vms.bursts('$__range')})",
            "short",
            ((None, "orange"),),
            width=12,
        ),
    ),
)

LIMITS = Section(
    "Limits that somebody forgot",
    (
        Panel(
            "CPU limits below the host's clock",
            "VMs whose CPU limit is below 98 % of vCPUs times host frequency, the tightest first. Ask who set them.",
            "hertz",
            "No VM has a CPU limit that binds",
            (
                Query(f"{vms('vmguest_cpu_limit_hertz')} and {vms.limit_binds()} == 1", "limit"),
                Query(f"({vms.capacity()}) and {vms.limit_binds()} == 1", "capacity"),
                Query(f"{vms('vmguest_cpu_limit_hertz')} / ({vms.capacity()}) < 0.98", "share"),
            ),
            Shape.TABLE,
            12,
            9,
            columns=(
                ("vm", "VM"),
                ("limit", "Limit"),
                ("capacity", "vCPUs x frequency"),
                ("share", "Share"),
            ),
            column_units=(("Share", "percentunit"),),
            drill_down=True,
        ),
        Panel(
            "Memory limits below the VM's memory",
            "VMs whose memory limit is below 98 % of what the guest sees. The host takes the difference away even when it has "
            "plenty.",
            "bytes",
            "No VM has a memory limit that binds",
            (
                Query(
                    f"{vms('vmguest_memory_limit_bytes')} < 0.98 * {vms('vmguest_guest_memory_bytes')}",
                    "limit",
                ),
                Query(
                    f"{vms('vmguest_guest_memory_bytes')} and"
                    f" {vms('vmguest_memory_limit_bytes')} < 0.98 * {vms('vmguest_guest_memory_bytes')}",
                    "memory",
                ),
            ),
            Shape.TABLE,
            12,
            9,
            columns=(("vm", "VM"), ("limit", "Limit"), ("memory", "Memory of the guest")),
            drill_down=True,
        ),
    ),
)

TIME = Section(
    "Over time",
    (
        Panel(
            "Stolen CPU across VMs",
            "Half of the VMs are below the median; the 95th percentile and the maximum show whether few or many suffer. Means of 5 "
            "minutes, by the recording rules.",
            "percentunit",
            "No VM reports this, or the recording rules are not loaded",
            # Recorded: at each of 60 moments three rates of ten thousand VMs would take seconds.
            (
                Query(f"quantile(0.5, {vms('vmguest:cpu_stolen:ratio')})", "median"),
                Query(f"quantile(0.95, {vms('vmguest:cpu_stolen:ratio')})", "95th percentile"),
                Query(f"max({vms('vmguest:cpu_stolen:ratio')})", "worst"),
            ),
            low=0,
        ),
        Panel(
            "CPU lost by all VMs, by cause",
            "vCPUs' worth of time that was wanted and not given: by the VMs' own limits, to the hosts, or either of the two.",
            "short",
            _EMPTY,
            (Query(f"sum by (cause) ({vms.rate('vmguest_cpu_lost_seconds_total')})", "{{cause}}"),),
            low=0,
        ),
        Panel(
            "Memory that hosts want next",
            "Sum over the VMs shown of what balloons will take by their present targets, and of what guests lack to give it.",
            "bytes",
            _EMPTY,
            (
                Query(f"sum({vms('vmguest_memory_reclaim_pending_bytes')})", "pending"),
                Query(f"sum({vms('vmguest_memory_reclaim_deficit_bytes')})", "deficit"),
            ),
            low=0,
        ),
        Panel(
            "Memory taken from all VMs",
            "Sum over the VMs shown: ballooned, in the hosts' swap files, compressed.",
            "bytes",
            _EMPTY,
            (
                Query(f"sum({vms('vmguest_memory_ballooned_bytes')})", "ballooned"),
                Query(f"sum({vms('vmguest_memory_swapped_bytes')})", "swapped"),
                Query(f"sum({vms('vmguest_memory_zipped_bytes')})", "zipped"),
            ),
            width=12,
            stacked=True,
            low=0,
        ),
        Panel(
            "VMs with a session change",
            "How many VMs began a new session in each interval. Many at once: a host was emptied, or DRS is eager; the host "
            "does not say.",
            "short",
            _EMPTY,
            (
                Query(
                    f"count({vms.new_session()}) or vector(0)",
                    "VMs",
                ),
            ),
            width=12,
            low=0,
        ),
    ),
)

WHO = Section(
    "Which",
    (
        Panel(
            "Exporters down",
            "Targets that can't be scraped now.",
            "none",
            "All can be scraped",
            (Query(vms.down(), "up"),),
            Shape.TABLE,
            8,
            9,
            columns=(("vm", "VM"), ("job", "Job")),
        ),
        Panel(
            "Most session changes in this time",
            "VMs by session changes in the time shown. Click for the VM.",
            "short",
            "No VM changed its session",
            (
                Query(
                    f"topk(15, {vms.session_changes()} > 0)",
                    "{{instance}}",
                ),
            ),
            Shape.BARS,
            8,
            9,
            steps=((None, "blue"),),
            low=0,
            drill_down=True,
        ),
        Panel(
            "VMs by hypervisor version",
            "How many VMs run on hosts of each version. Needs extended statistics.",
            "short",
            "Not given: the hosts have no extended statistics",
            (Query(f"count by (version) ({vms('vmguest_hypervisor_info')})", "VMs"),),
            Shape.TABLE,
            8,
            9,
            columns=(("version", "Version"), ("VMs", "VMs")),
        ),
    ),
)

BOARD = Board(
    "vmguest-fleet",
    "VMware guest / Fleet",
    "What hypervisors do to many virtual machines, the worst first.",
    (
        # ".*" for All: VMs whose scrape configuration sets no cluster have none.
        Variable("cluster", "Cluster", "label_values(vmguest_up, cluster)", matches_all=".*"),
        Variable("job", "Job", 'label_values(vmguest_up{cluster=~"$cluster"}, job)', matches_all=None),
        VMS('cluster=~"$cluster",job=~"$job"'),
    ),
    (COUNTS, WORST, LIMITS, TIME, WHO),
)
