"""Memory: taken, about to be taken, far away."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, LOCAL, vm
from dashboards.panels import Panel, Query, Section

MEMORY = Section(
    "Memory",
    (
        Panel(
            "Memory as the hypervisor sees it",
            "Stacked, without overlap: in active use, mapped but idle, ballooned, swapped by the host, compressed. The line "
            "'shared' is the part of mapped that is shared with other VMs, 'guest memory' what the guest's kernel believes to "
            "have. What is missing up to there was never touched.",
            "bytes",
            "Not given by this host",
            (
                Query(vm("vmguest_memory_active_bytes"), "active"),
                Query(
                    f"clamp_min({vm('vmguest_memory_mapped_bytes')} - {vm('vmguest_memory_active_bytes')}, 0)",
                    "mapped, idle",
                ),
                Query(vm("vmguest_memory_ballooned_bytes"), "ballooned"),
                Query(vm("vmguest_memory_swapped_bytes"), "swapped"),
                Query(vm("vmguest_memory_zipped_bytes"), "zipped"),
                Query(vm("vmguest_memory_shared_bytes"), "shared"),
                Query(vm("vmguest_guest_memory_bytes"), "guest memory"),
            ),
            width=12,
            height=9,
            stacked=True,
            unstacked=("shared", "guest memory"),
            low=0,
        ),
        Panel(
            "Where the host is steering to",
            "Targets against the present: a balloon target above ballooned means that the guest is about to lose memory; a swap "
            "target above swapped, that more will be swapped. No other tool shows this in advance.",
            "bytes",
            "Not given: targets came with ESXi 5",
            (
                Query(vm("vmguest_memory_balloon_target_bytes"), "balloon target"),
                Query(vm("vmguest_memory_ballooned_bytes"), "ballooned"),
                Query(vm("vmguest_memory_balloon_max_bytes"), "balloon maximum"),
                Query(vm("vmguest_memory_swap_target_bytes"), "swap target"),
                Query(vm("vmguest_memory_swapped_bytes"), "swapped"),
            ),
            width=12,
            height=9,
            low=0,
        ),
        Panel(
            "Use against target, limit and reservation",
            "Host memory used for this VM, what the host's scheduler wants it to have, what is guaranteed, and the limit (drawn "
            "only where there is one). A limit below the guest's memory makes the host reclaim, however much is free.",
            "bytes",
            "Not given by this host",
            (
                Query(vm("vmguest_memory_used_bytes"), "used"),
                Query(vm("vmguest_memory_target_bytes"), "target"),
                Query(vm("vmguest_memory_reservation_bytes"), "reservation"),
                Query(f"{vm('vmguest_memory_limit_bytes')} < Inf", "limit"),
                Query(vm("vmguest_memory_overhead_bytes"), "overhead"),
            ),
            width=8,
            low=0,
        ),
        Panel(
            "Swap traffic of the host",
            "Guest memory read back from the host's swap, and written to it. Reading back stops vCPUs; the guest's own swap "
            "figures show nothing of it.",
            "binBps",
            EXTENDED,
            (
                Query(vm.rate("vmguest_memory_swap_in_bytes_total"), "read back"),
                Query(vm.rate("vmguest_memory_swap_out_bytes_total"), "written"),
            ),
            width=8,
            low=0,
        ),
        Panel(
            "Memory near its vCPUs (NUMA)",
            "Share of the guest's memory on the NUMA node of its vCPUs. Below 80 % the VM works on remote memory, which is "
            "slower.",
            "percentunit",
            EXTENDED,
            (
                Query(
                    f"sum without (locality) ({vm('vmguest_numa_memory_bytes', LOCAL)})"
                    f" / (sum without (locality) ({vm('vmguest_numa_memory_bytes')}) > 0)",
                    "local",
                ),
            ),
            width=8,
            low=0,
            high=1,
        ),
    ),
)
