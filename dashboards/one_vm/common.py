"""What the rows of this board have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboards.expressions import Scope
from dashboards.panels import Panel, Query

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


def lines(title: str, about: str, unit: str, empty: str, shown: Mapping[str, str], **look: Any) -> Panel:
    """A panel of lines from 0 up: ``shown`` has an expression for each legend, ``look`` what else a panel has."""
    queries = tuple(Query(expr, legend) for legend, expr in shown.items())
    return Panel(title, about, unit, empty, queries, low=0, **look)
