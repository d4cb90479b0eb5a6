"""CPU time: used, stolen, limited."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, lines, vm
from dashboards.panels import Section

CPU = Section(
    "CPU",
    (
        lines(
            "Where the vCPUs' time goes",
            "Per vCPU and by the host's clock: time that ran, time that was wanted and not given (stolen), and the rest, in "
            "which the vCPU had nothing to do or waited for something else. 100 % is all vCPUs all the time.",
            "percentunit",
            "Not given by this host",
            {"used": vm.used(), "stolen": vm.stolen()},
            width=8,
            stacked=True,
            high=1,
        ),
        lines(
            "Use against limit and reservation",
            "Hz used by the whole VM, against its limit (drawn only where there is one), its reservation, and what its vCPUs "
            "could use at the host's nominal frequency. Use that sticks to the limit is throttled.",
            "hertz",
            "Not given by this host",
            {
                "used": vm.used_hertz(),
                "limit": f"{vm('vmguest_cpu_limit_hertz')} < Inf",
                "reservation": vm("vmguest_cpu_reservation_hertz"),
                "vCPUs x host frequency": vm.capacity(),
            },
            width=8,
        ),
        lines(
            "Contention by cause",
            "Time in which vCPUs could have run and did not, by cause: cpu (ready, co-stop and more, differing by ESXi release) "
            "or memory (waiting for swapped or compressed pages). Never compare it across ESXi releases.",
            "percentunit",
            EXTENDED,
            {"{{cause}}": vm.contention()},
            width=8,
        ),
    ),
)
