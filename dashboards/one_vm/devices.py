"""Virtual disks and network cards."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, SIMULATOR_ONLY, lines, vm
from dashboards.panels import Section

DEVICES = Section(
    "Disks and network cards, as the hypervisor counts them",
    (
        lines(
            "Disk commands (names not seen on a real host yet)",
            f"Commands a second of each virtual disk. {SIMULATOR_ONLY}",
            "iops",
            EXTENDED,
            {
                "{{disk}} reads": vm.rate("vmguest_disk_num_reads_total"),
                "{{disk}} writes": vm.rate("vmguest_disk_num_writes_total"),
            },
        ),
        lines(
            "Disk throughput (names not seen on a real host yet)",
            f"Bytes a second of each virtual disk. {SIMULATOR_ONLY}",
            "binBps",
            EXTENDED,
            {
                "{{disk}} read": vm.rate("vmguest_disk_size_reads_bytes_total"),
                "{{disk}} written": vm.rate("vmguest_disk_size_writes_bytes_total"),
            },
        ),
        lines(
            "Disk latency (names not seen on a real host yet)",
            "Mean time of a read and of a write on each virtual disk: the datastore's and the hypervisor's part, without the "
            f"guest's own queues. Above 25 ms esxtop users look at the datastore. {SIMULATOR_ONLY}",
            "s",
            EXTENDED,
            {"{{disk}} per read": vm.latency_of("reads"), "{{disk}} per write": vm.latency_of("writes")},
        ),
        lines(
            "Network throughput",
            "Bytes a second through each virtual NIC, by MAC address.",
            "binBps",
            EXTENDED,
            {
                "{{mac}} received": vm.rate("vmguest_network_receive_bytes_total"),
                "{{mac}} sent": vm.rate("vmguest_network_transmit_bytes_total"),
            },
            width=12,
        ),
        lines(
            "Network packets",
            "Packets a second through each virtual NIC, by MAC address. Errors and drops are not among what hosts are known "
            "to give: look at them inside the guest.",
            "pps",
            EXTENDED,
            {
                "{{mac}} received": vm.rate("vmguest_network_receive_packets_total"),
                "{{mac}} sent": vm.rate("vmguest_network_transmit_packets_total"),
            },
            width=12,
        ),
    ),
)
