"""Board 1: what the hypervisor does to one VM. A module for each row."""

from __future__ import annotations

from dashboards.expressions import INTERVAL
from dashboards.one_vm.blame import BLAME
from dashboards.one_vm.common import vm
from dashboards.one_vm.cpu import CPU
from dashboards.one_vm.devices import DEVICES
from dashboards.one_vm.memory import MEMORY
from dashboards.one_vm.session import HOST
from dashboards.one_vm.verdict import VERDICT
from dashboards.panels import VMS, Board, Mark, Variable

BOARD = Board(
    "vmguest-one-vm",
    "VMware guest / One VM",
    "What the hypervisor does to one virtual machine, read from inside it by vmguest-exporter.",
    (
        Variable("job", "Job", "label_values(vmguest_up, job)", matches_all=None),
        # One, not many: the graphs add up what is of one VM.
        VMS(many=False),
    ),
    (VERDICT, BLAME, CPU, MEMORY, DEVICES, HOST),
    (
        Mark(
            "Session change (vMotion, resume, revert, reset or hot-plug: the host does not say)",
            vm.new_session(),
            "purple",
        ),
        Mark(
            "Setting changed (limit, reservation, shares, size)",
            f"increase({vm('vmguest_setting_changes_total')}[{INTERVAL}]) > 0",
            "orange",
        ),
    ),
)
