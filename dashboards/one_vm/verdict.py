"""The first row: is it me?"""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, STOLEN_STEPS, vm
from dashboards.panels import Panel, Query, Section, Shape

VERDICT = Section(
    "Verdict: what does the hypervisor do to me?",
    (
        Panel(
            "Throttled by a CPU limit?",
            "Whether somebody set a CPU limit on this VM, whether it is below what the vCPUs could use, and whether it is "
            "used up right now. A guest can't see esxtop's %MLMTD; at the limit is inferred from use above 95 % of it.",
            "none",
            "No limit is known",
            (
                Query(
                    f"({vm('vmguest_cpu_limit_hertz')} < bool Inf) + {vm.limit_binds()} + {vm.at_limit()}",
                    "limit",
                ),
            ),
            Shape.NUMBER,
            4,
            5,
            words=(
                ("0", "No: no limit", "green"),
                ("1", "No: the limit does not bind", "green"),
                ("2", "Not now, but the limit binds", "orange"),
                ("3", "Yes, right now", "red"),
            ),
        ),
        Panel(
            "Starved by neighbours?",
            "Share of each vCPU's time in which it was ready and the host ran others, as far as no limit explains it. Stolen "
            "time is near to CPU ready, not equal to it or to Linux steal; the colours (5 and 10 %) are borrowed from ready.",
            "percentunit",
            "Not given: ESX 3.x and hosts without statistics do not tell stolen time",
            (Query(f"({vm.stolen()}) * (1 - {vm.at_limit()})", "stolen"),),
            Shape.NUMBER,
            4,
            5,
            steps=STOLEN_STEPS,
        ),
        Panel(
            "Ballooned?",
            "Share of the guest's memory that the balloon driver holds for the host: missing to the guest, owned by no "
            "process.",
            "percentunit",
            "Not given by this host",
            (Query(vm.share("vmguest_memory_ballooned_bytes"), "ballooned"),),
            Shape.NUMBER,
            4,
            5,
            steps=((None, "green"), (0.0001, "orange"), (0.05, "red")),
        ),
        Panel(
            "Swapped by the host?",
            "Share of the guest's memory that lies in the host's swap file, not in the guest's own swap. It hurts when touched: "
            "see swap traffic.",
            "percentunit",
            "Not given by this host",
            (Query(vm.share("vmguest_memory_swapped_bytes"), "swapped"),),
            Shape.NUMBER,
            4,
            5,
            steps=((None, "green"), (0.0001, "orange"), (0.05, "red")),
        ),
        Panel(
            "On a slow datastore?",
            "Mean time of a command on the slowest virtual disk, by the hypervisor's count. 25 ms is where esxtop users look "
            "(DAVG). The names of these fields are the simulator's: no recording of a real host has them yet.",
            "s",
            EXTENDED,
            (Query(f"max by (job, instance) ({vm.disk_latency()})", "latency"),),
            Shape.NUMBER,
            4,
            5,
            steps=((None, "green"), (0.015, "orange"), (0.025, "red")),
        ),
        Panel(
            "Can I trust this page?",
            "Whether the last poll of the host was good and is fresh. When it is not, statistics are withheld: blank is "
            "honest, flat is a lie.",
            "none",
            "The exporter can't be scraped",
            (Query(vm("vmguest_up"), "up"),),
            Shape.NUMBER,
            4,
            5,
            words=(("0", "No: the host does not answer", "red"), ("1", "Yes", "green")),
        ),
    ),
)
