"""Board 1: what the hypervisor does to one VM."""

from __future__ import annotations

from dashboards.expressions import INTERVAL, Scope
from dashboards.panels import Board, Mark, Panel, Query, Section, Shape, Variable

vm = Scope('job=~"$job",instance=~"$instance"')

_EXTENDED = "Not given: the host has no extended statistics, or --no-extended is set"
_HOST = "Not given: the host's own figures need tools.guestlib.enableHostInfo on the VM"
_LOCAL = 'locality="local"'
_STOLEN_STEPS = ((None, "green"), (0.05, "orange"), (0.10, "red"))

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
            steps=_STOLEN_STEPS,
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
            "(DAVG). VMware publishes no list of these fields, so a host may name them otherwise.",
            "s",
            _EXTENDED,
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
            _EXTENDED,
            (Query(vm.contention(), "{{cause}}"),),
            width=8,
            low=0,
        ),
    ),
)

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
            _EXTENDED,
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
            _EXTENDED,
            (
                Query(
                    f"sum without (locality) ({vm('vmguest_numa_memory_bytes', _LOCAL)})"
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

DEVICES = Section(
    "Disks and network cards, as the hypervisor counts them",
    (
        Panel(
            "Disk commands",
            "Commands a second of each virtual disk. VMware publishes no list of the fields of disks; a host may name them "
            "otherwise.",
            "iops",
            _EXTENDED,
            (
                Query(vm.rate("vmguest_disk_num_reads_total"), "{{disk}} reads"),
                Query(vm.rate("vmguest_disk_num_writes_total"), "{{disk}} writes"),
            ),
            low=0,
        ),
        Panel(
            "Disk throughput",
            "Bytes a second of each virtual disk.",
            "binBps",
            _EXTENDED,
            (
                Query(vm.rate("vmguest_disk_size_reads_bytes_total"), "{{disk}} read"),
                Query(vm.rate("vmguest_disk_size_writes_bytes_total"), "{{disk}} written"),
            ),
            low=0,
        ),
        Panel(
            "Disk latency",
            "Mean time of a command on each virtual disk: the datastore's and the hypervisor's part, without the guest's "
            "own queues. Above 25 ms esxtop users look at the datastore.",
            "s",
            _EXTENDED,
            (Query(vm.disk_latency(), "{{disk}}"),),
            low=0,
        ),
        Panel(
            "Network throughput",
            "Bytes a second through each virtual NIC, by MAC address.",
            "binBps",
            _EXTENDED,
            (
                Query(vm.rate("vmguest_network_receive_bytes_total"), "{{mac}} received"),
                Query(vm.rate("vmguest_network_transmit_bytes_total"), "{{mac}} sent"),
            ),
            width=12,
            low=0,
        ),
        Panel(
            "Network packets",
            "Packets a second through each virtual NIC, by MAC address.",
            "pps",
            _EXTENDED,
            (
                Query(vm.rate("vmguest_network_receive_packets_total"), "{{mac}} received"),
                Query(vm.rate("vmguest_network_transmit_packets_total"), "{{mac}} sent"),
            ),
            width=12,
            low=0,
        ),
    ),
)

HOST = Section(
    "Host and session",
    (
        Panel(
            "Session began",
            "When the host began to count for this VM. It starts anew at power-on, vMotion, resume, revert, reset and some "
            "hot-plug, and does not say which it was.",
            "dateTimeFromNow",
            "Not known: the host does not answer",
            (Query(f"1000 * {vm('vmguest_session_start_timestamp_seconds')}", "session"),),
            Shape.NUMBER,
            4,
            6,
        ),
        Panel(
            "Session changes in this time",
            "Session changes that the exporter saw in the time shown. They are drawn as marks in every graph.",
            "short",
            "The exporter can't be scraped",
            (Query(f"increase({vm('vmguest_session_changes_total')}[$__range])", "changes"),),
            Shape.NUMBER,
            4,
            6,
        ),
        Panel(
            "CPU of the host",
            "Nominal frequency of the host's cores. Another value after a session change means another model of host.",
            "hertz",
            "Not given by this host",
            (Query(vm("vmguest_host_cpu_frequency_hertz"), "frequency"),),
            Shape.NUMBER,
            4,
            6,
        ),
        Panel(
            "Hypervisor",
            "What the host says of itself. Contention has another make-up in each release.",
            "none",
            _EXTENDED,
            (Query(vm("vmguest_hypervisor_info"), "info"),),
            Shape.TABLE,
            6,
            6,
            columns=(("version", "Version"), ("provider", "Provider")),
        ),
        Panel(
            "Source",
            "Where the exporter reads from: guestrpc is its own, library is VMware's.",
            "none",
            "The exporter can't be scraped",
            (Query(vm("vmguest_source_info"), "info"),),
            Shape.TABLE,
            6,
            6,
            columns=(("source", "Source"), ("transport", "Transport"), ("protocol", "Reply")),
        ),
        Panel(
            "How busy the whole host is",
            "CPU time used on all cores of the host, this VM's among it. After a session change it may be another host.",
            "percentunit",
            _HOST,
            (
                Query(
                    f"sum without (session_id) ({vm.rate('vmguest_host_cpu_used_seconds_total')})"
                    f" / {vm('vmguest_host_cpu_cores')}",
                    "host CPU",
                ),
            ),
            width=12,
            low=0,
            high=1,
        ),
        Panel(
            "Memory of the whole host",
            "When free memory of the host runs low, ballooning and swapping begin.",
            "bytes",
            _HOST,
            (
                Query(vm("vmguest_host_memory_used_bytes"), "used"),
                Query(vm("vmguest_host_memory_physical_free_bytes"), "free"),
                Query(vm("vmguest_host_memory_physical_bytes"), "physical"),
                Query(vm("vmguest_host_memory_swapped_bytes"), "swapped"),
            ),
            width=12,
            low=0,
        ),
    ),
)

_SETTINGS = (
    "vmguest_cpu_limit_hertz",
    "vmguest_cpu_reservation_hertz",
    "vmguest_cpu_shares",
    "vmguest_memory_limit_bytes",
    "vmguest_memory_reservation_bytes",
    "vmguest_memory_shares",
)

BOARD = Board(
    "vmguest-one-vm",
    "VMware guest / One VM",
    "What the hypervisor does to one virtual machine, read from inside it by vmguest-exporter.",
    (
        Variable("job", "Job", "label_values(vmguest_up, job)"),
        # One, not many: the graphs add up what is of one VM.
        Variable("instance", "VM", 'label_values(vmguest_up{job=~"$job"}, instance)', many=False),
    ),
    (VERDICT, CPU, MEMORY, DEVICES, HOST),
    (
        Mark(
            "Session change (vMotion, resume, revert, reset or hot-plug: the host does not say)",
            f"increase({vm('vmguest_session_changes_total')}[{INTERVAL}]) > 0",
            "purple",
        ),
        Mark(
            "Setting changed (limit, reservation or shares)",
            " or ".join(f"changes({vm(name)}[{INTERVAL}]) > 0" for name in _SETTINGS),
            "orange",
        ),
    ),
)
