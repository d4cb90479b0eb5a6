"""CPU time: used, stolen, limited."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, vm
from dashboards.panels import Panel, Query, Section

CPU = Section(
    "CPU",
    (
        Panel(
            "Where the vCPUs' time goes",
            "Per vCPU and by the host's clock: time that ran, time that was wanted and not given (stolen), and the rest, in "
            "which the vCPU had nothing to do or waited for something else. 100 % is all vCPUs all the time.",
            "percentunit",
            "Not given by this host",
            (
                Query(vm.used(), "used"),
                Query(vm.stolen(), "stolen"),
            ),
            width=8,
            stacked=True,
            low=0,
            high=1,
        ),
        Panel(
            "Use against limit and reservation",
            "Hz used by the whole VM, against its limit (drawn only where there is one), its reservation, and what its vCPUs "
            "could use at the host's nominal frequency. Use that sticks to the limit is throttled.",
            "hertz",
            "Not given by this host",
            (
                Query(vm.used_hertz(), "used"),
                Query(f"{vm('vmguest_cpu_limit_hertz')} < Inf", "limit"),
                Query(vm("vmguest_cpu_reservation_hertz"), "reservation"),
                Query(vm.capacity(), "vCPUs x host frequency"),
            ),
            width=8,
            low=0,
        ),
        Panel(
            "Contention by cause",
            "Time in which vCPUs could have run and did not, by cause: cpu (ready, co-stop and more, differing by ESXi release) "
            "or memory (waiting for swapped or compressed pages). Never compare it across ESXi releases.",
            "percentunit",
            EXTENDED,
            (Query(vm.contention(), "{{cause}}"),),
            width=8,
            low=0,
        ),
    ),
)
