"""What a PromQL expression asks for, by its text: enough to check names, not a parser."""

from __future__ import annotations

import re

from exporter import catalogue

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LABELS = re.compile(r"\{[^{}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w:])[a-zA-Z_][\w]*(?:_|:)[\w:]*")
_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_FUNCTION = re.compile(r"\w+(?=\()")

SIMULATED_DISK = frozenset(
    f"vmguest_disk_{name}_total"
    for name in (
        "num_reads",
        "num_writes",
        "size_reads_bytes",
        "size_writes_bytes",
        "latency_reads_seconds",
        "latency_writes_seconds",
    )
)
"""Disk counters as the naming rule makes them from the simulator's fields. VMware publishes no list of them."""


def metrics(expression: str) -> set[str]:
    """Names of metrics in ``expression``: words with ``_`` or ``:`` outside strings, labels and clauses.

    A name that is a whole matcher, ``{__name__=~...}``, is not seen.
    """
    expression = expression.replace("$__rate_interval", "5m")
    bare = _CLAUSE.sub(" ", _LABELS.sub(" ", _STRING.sub('""', expression)))
    return set(_NAME.findall(_FUNCTION.sub(" ", bare)))


def published() -> set[str]:
    """Every sample name that the exporter can publish under a fixed name."""
    names = {row.prometheus for row in catalogue.METRICS}
    histograms = {row.prometheus for row in catalogue.METRICS if row.kind is catalogue.Kind.HISTOGRAM}
    return (names - histograms) | {name + end for name in histograms for end in ("_bucket", "_count", "_sum")}
