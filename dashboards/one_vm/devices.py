"""Virtual disks and network cards."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, SIMULATOR_ONLY, vm
from dashboards.panels import Panel, Query, Section

DEVICES = Section(
    "Disks and network cards, as the hypervisor counts them",
    (
        Panel(
            "Disk commands (names not seen on a real host yet)",
            f"Commands a second of each virtual disk. {SIMULATOR_ONLY}",
            "iops",
            EXTENDED,
            (
                Query(vm.rate("vmguest_disk_num_reads_total"), "{{disk}} reads"),
                Query(vm.rate("vmguest_disk_num_writes_total"), "{{disk}} writes"),
            ),
            low=0,
        ),
        Panel(
            "Disk throughput (names not seen on a real host yet)",
            f"Bytes a second of each virtual disk. {SIMULATOR_ONLY}",
            "binBps",
            EXTENDED,
            (
                Query(vm.rate("vmguest_disk_size_reads_bytes_total"), "{{disk}} read"),
                Query(vm.rate("vmguest_disk_size_writes_bytes_total"), "{{disk}} written"),
            ),
            low=0,
        ),
        Panel(
            "Disk latency (names not seen on a real host yet)",
            "Mean time of a read and of a write on each virtual disk: the datastore's and the hypervisor's part, without the "
            f"guest's own queues. Above 25 ms esxtop users look at the datastore. {SIMULATOR_ONLY}",
            "s",
            EXTENDED,
            (
                Query(vm.latency_of("reads"), "{{disk}} per read"),
                Query(vm.latency_of("writes"), "{{disk}} per write"),
            ),
            low=0,
        ),
        Panel(
            "Network throughput",
            "Bytes a second through each virtual NIC, by MAC address.",
            "binBps",
            EXTENDED,
            (
                Query(vm.rate("vmguest_network_receive_bytes_total"), "{{mac}} received"),
                Query(vm.rate("vmguest_network_transmit_bytes_total"), "{{mac}} sent"),
            ),
            width=12,
            low=0,
        ),
        Panel(
            "Network packets",
            "Packets a second through each virtual NIC, by MAC address. Errors and drops are not among what hosts are known "
            "to give: look at them inside the guest.",
            "pps",
            EXTENDED,
            (
                Query(vm.rate("vmguest_network_receive_packets_total"), "{{mac}} received"),
                Query(vm.rate("vmguest_network_transmit_packets_total"), "{{mac}} sent"),
            ),
            width=12,
            low=0,
        ),
    ),
)
