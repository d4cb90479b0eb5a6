"""The host, and this VM's session on it."""

from __future__ import annotations

from dashboards.one_vm.common import EXTENDED, lines, vm
from dashboards.one_vm.common import HOST as NOT_THE_HOST
from dashboards.panels import Panel, Query, Section, Shape

HOST = Section(
    "Host and session",
    (
        Panel(
            "Session began",
            "When the host began to count for this VM. It starts again at power-on, vMotion, resume, revert, reset and some "
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
            "How often a new session began in the time shown, by the sessions' ids. They are drawn as marks in every graph.",
            "short",
            "The exporter can't be scraped",
            (Query(vm.session_changes(), "changes"),),
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
            EXTENDED,
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
        lines(
            "How busy the whole host is",
            "CPU time used on all cores of the host, this VM's among it. After a session change it may be another host.",
            "percentunit",
            NOT_THE_HOST,
            {
                "host CPU": f"sum without (session_id) ({vm.rate('vmguest_host_cpu_used_seconds_total')})"
                f" / {vm('vmguest_host_cpu_cores')}"
            },
            width=12,
            high=1,
        ),
        lines(
            "Memory of the whole host",
            "When free memory of the host runs low, ballooning and swapping begin.",
            "bytes",
            NOT_THE_HOST,
            {
                "used": vm("vmguest_host_memory_used_bytes"),
                "free": vm("vmguest_host_memory_physical_free_bytes"),
                "physical": vm("vmguest_host_memory_physical_bytes"),
                "swapped": vm("vmguest_host_memory_swapped_bytes"),
            },
            width=12,
        ),
    ),
)
