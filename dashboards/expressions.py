"""PromQL that more than one panel needs. Every selector carries the board's variables."""

from __future__ import annotations

from dataclasses import dataclass

INTERVAL = "$__rate_interval"


def named(expr: str) -> str:
    """``expr`` with the label ``vm``: the VM's name where it is known (``host_name``, from OTLP), else its instance."""
    labelled = f'label_replace({expr}, "vm", "$1", "instance", "(.*)")'
    return f'label_replace({labelled}, "vm", "$1", "host_name", "(.+)")'


@dataclass(frozen=True)
class Scope:
    """The label matchers of a board, put into each selector."""

    matchers: str

    def __call__(self, name: str, extra: str = "") -> str:
        return f"{name}{{{self.matchers}{f',{extra}' if extra else ''}}}"

    def rate(self, name: str, extra: str = "") -> str:
        return f"rate({self(name, extra)}[{INTERVAL}])"

    def ours(self, expr: str) -> str:
        """``expr`` of this exporter's targets: others may share the job."""
        return f"{expr} and on (job, instance) {self('vmguest_exporter_build_info')}"

    def down(self) -> str:
        """Targets of this exporter that can't be scraped, as VMGuestExporterDown finds them.

        What never answered is ours unless others share the job; a recorded series tells, and without it nobody does.
        """
        lost = f"{self('up')} == 0"
        seen = f"last_over_time({self('vmguest_exporter_build_info')}[$__range])"
        shared = 'max_over_time(vmguest:strangers:count{job=~"$job"}[7d])'
        return f"({lost} and on (job, instance) {seen} or {lost} unless on (job) {shared})"

    def elapsed(self) -> str:
        """Seconds by the host's clock per second; never 0, which a host that repeats its sample would give."""
        return f"({self.rate('vmguest_elapsed_seconds_total')} > 0)"

    def per_vcpu(self, counter: str, ratio: str) -> str:
        """Share of each vCPU's time. ``ratio``: the recorded name that stands in where there is no counter."""
        return f"{self.rate(counter)} / {self.elapsed()} / {self('vmguest_vcpus')} or {self.recorded(ratio)}"

    def recorded(self, name: str) -> str:
        """Without its name: else it is a line of its own, and not the continuation of what it stands in for."""
        return f"{self(name)} + 0"

    def used(self) -> str:
        return self.per_vcpu("vmguest_cpu_used_seconds_total", "vmguest:cpu_used:ratio")

    def stolen(self) -> str:
        return self.per_vcpu("vmguest_cpu_stolen_seconds_total", "vmguest:cpu_stolen:ratio")

    def contention(self) -> str:
        return (
            f"{self.rate('vmguest_cpu_contention_seconds_total')}"
            f" / ignoring (cause) group_left () {self.elapsed()}"
            f" / ignoring (cause) group_left () {self('vmguest_vcpus')}"
        )

    def lost(self, extra: str = "") -> str:
        """Share of each vCPU's time that was wanted and not given, by cause."""
        return (
            f"{self.rate('vmguest_cpu_lost_seconds_total', extra)}"
            f" / ignoring (cause) group_left () {self.elapsed()}"
            f" / ignoring (cause) group_left () {self('vmguest_vcpus')}"
        )

    def bursts(self, window: str = INTERVAL) -> str:
        """Samples of the host in which more than a tenth of a vCPU's time was stolen; the same bound as the alert's."""
        all_, below = (
            self("vmguest_cpu_stolen_ratio_count"),
            self("vmguest_cpu_stolen_ratio_bucket", 'le="0.1"'),
        )
        return f"increase({all_}[{window}]) - ignoring (le) increase({below}[{window}])"

    def used_hertz(self) -> str:
        return (
            f"{self.rate('vmguest_cpu_used_seconds_total')} / {self.elapsed()}"
            f" * {self('vmguest_host_cpu_frequency_hertz')}"
            f" or {self.recorded('vmguest:cpu_used:hertz')}"
        )

    def capacity(self) -> str:
        return f"{self('vmguest_vcpus')} * {self('vmguest_host_cpu_frequency_hertz')}"

    def limit_binds(self) -> str:
        """1 where the CPU limit is below 98 % of what the vCPUs could use; the same bound as the alert's."""
        return f"({self('vmguest_cpu_limit_hertz')} < bool 0.98 * {self.capacity()})"

    def at_limit(self) -> str:
        """1 where a limit binds and is used up."""
        return f"({self.limit_binds()} * (({self.used_hertz()}) > bool 0.95 * {self('vmguest_cpu_limit_hertz')}))"

    def share(self, name: str) -> str:
        """A level of memory against the memory that the guest sees."""
        return f"{self(name)} / {self('vmguest_guest_memory_bytes')}"

    def new_session(self) -> str:
        """1 where a session begins. By its id: the exporter's own counter starts anew with a VM that was reset."""
        seen = self("vmguest_session_info")
        return f"({seen} unless last_over_time({seen}[1h] offset {INTERVAL}))"

    def session_changes(self) -> str:
        """How many sessions began in the time shown, beside the first."""
        return f"count without (session_id) (count_over_time({self('vmguest_session_info')}[$__range])) - 1"

    def latency_of(self, way: str) -> str:
        """Mean seconds per command of each disk: ``reads`` or ``writes``."""
        time = self.rate(f"vmguest_disk_latency_{way}_seconds_total")
        return f"{time} / ({self.rate(f'vmguest_disk_num_{way}_total')} > 0)"

    def disk_latency(self) -> str:
        """Mean seconds per command of each disk."""
        time = [self.rate(f"vmguest_disk_latency_{way}_seconds_total") for way in ("reads", "writes")]
        commands = [self.rate(f"vmguest_disk_num_{way}_total") for way in ("reads", "writes")]
        return f"({' + '.join(time)}) / (({' + '.join(commands)}) > 0)"
