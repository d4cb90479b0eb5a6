"""Memory: taken, about to be taken, far away."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, LOCAL, lines, vm
from dashboards.panels import Section

MEMORY = Section(
    "Memory",
    (
        lines(
            "Memory as the hypervisor sees it",
            "Stacked, without overlap: in active use, mapped but idle, ballooned, swapped by the host, compressed. The line "
            "'shared' is the part of mapped that is shared with other VMs, 'guest memory' what the guest's kernel believes to "
            "have. What is missing up to there was never touched.",
            "bytes",
            "Not given by this host",
            {
                "active": vm("vmguest_memory_active_bytes"),
                "mapped, idle": f"clamp_min({vm('vmguest_memory_mapped_bytes')} - {vm('vmguest_memory_active_bytes')}, 0)",
                "ballooned": vm("vmguest_memory_ballooned_bytes"),
                "swapped": vm("vmguest_memory_swapped_bytes"),
                "zipped": vm("vmguest_memory_zipped_bytes"),
                "shared": vm("vmguest_memory_shared_bytes"),
                "guest memory": vm("vmguest_guest_memory_bytes"),
            },
            width=12,
            height=9,
            stacked=True,
            unstacked=("shared", "guest memory"),
        ),
        lines(
            "Where the host is steering to",
            "Targets against the present: a balloon target above ballooned means that the guest is about to lose memory; a swap "
            "target above swapped, that more will be swapped. No other tool shows this in advance.",
            "bytes",
            "Not given: targets came with ESXi 5",
            {
                "balloon target": vm("vmguest_memory_balloon_target_bytes"),
                "ballooned": vm("vmguest_memory_ballooned_bytes"),
                "balloon maximum": vm("vmguest_memory_balloon_max_bytes"),
                "swap target": vm("vmguest_memory_swap_target_bytes"),
                "swapped": vm("vmguest_memory_swapped_bytes"),
            },
            width=12,
            height=9,
        ),
        lines(
            "Use against target, limit and reservation",
            "Host memory used for this VM, what the host's scheduler wants it to have, what is guaranteed, and the limit (drawn "
            "only where there is one). A limit below the guest's memory makes the host reclaim, however much is free.",
            "bytes",
            "Not given by this host",
            {
                "used": vm("vmguest_memory_used_bytes"),
                "target": vm("vmguest_memory_target_bytes"),
                "reservation": vm("vmguest_memory_reservation_bytes"),
                "limit": f"{vm('vmguest_memory_limit_bytes')} < Inf",
                "overhead": vm("vmguest_memory_overhead_bytes"),
            },
            width=8,
        ),
        lines(
            "Swap traffic of the host",
            "Guest memory read back from the host's swap, and written to it. Reading back stops vCPUs; the guest's own swap "
            "figures show nothing of it.",
            "binBps",
            EXTENDED,
            {
                "read back": vm.rate("vmguest_memory_swap_in_bytes_total"),
                "written": vm.rate("vmguest_memory_swap_out_bytes_total"),
            },
            width=8,
        ),
        lines(
            "Memory near its vCPUs (NUMA)",
            "Share of the guest's memory on the NUMA node of its vCPUs. Below 80 % the VM works on remote memory, which is "
            "slower.",
            "percentunit",
            EXTENDED,
            {
                "local": f"sum without (locality) ({vm('vmguest_numa_memory_bytes', LOCAL)})"
                f" / (sum without (locality) ({vm('vmguest_numa_memory_bytes')}) > 0)"
            },
            width=8,
            high=1,
        ),
    ),
)
