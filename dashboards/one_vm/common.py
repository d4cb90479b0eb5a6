"""What the rows of this board have in common."""

from __future__ import annotations

from dashboards.expressions import Scope

# "=", not "=~": one VM, and an IPv6 address in brackets would be a character class.
vm = Scope('job=~"$job",instance="$instance"')

EXTENDED = "Not given: the host has no extended statistics, or --no-extended is set"
HOST = "Not given: the host's own figures need tools.guestlib.enableHostInfo on the VM"
LOCAL = 'locality="local"'
STOLEN_STEPS = ((None, "green"), (0.05, "orange"), (0.10, "red"))
SIMULATOR_ONLY = (
    "VMware publishes no list of these fields and no recording of a real host has them yet: the names are the"
    " simulator's, and a host may name them otherwise."
)
"""Of panels on names that nobody has seen on a real host."""
