"""This process and its interpreter, under the standard names that every Prometheus client gives them.

``process_*``: Prometheus docs ``instrumenting/writing_clientlibs``, "Process metrics"; ``python_*``: as
prometheus_client has them. They are not this project's metrics, so the catalogue has no rows for them and OTLP,
which has other names for the same things, does not carry them. Left out with ``--web.disable-exporter-metrics``.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from exporter.metrics.families import Sample


class StandardFamily(NamedTuple):
    """What the encoders read of a metric."""

    name: str
    documentation: str
    type: str
    samples: list[Sample]
    unit: str = ""


def families(root: str = "/") -> Iterator[StandardFamily]:
    """Everything that can be told now; where there is no ``/proc`` (Windows), the interpreter alone."""
    yield from _process(f"{root}/proc")
    yield from _interpreter()


def _gauge(name: str, text: str, value: float) -> StandardFamily:
    return StandardFamily(name, text, "gauge", [Sample(name, {}, value)])


def _process(proc: str) -> Iterator[StandardFamily]:
    """Source: proc(5), ``/proc/pid/stat`` (fields counted from the state, which is the third), ``limits``, ``fd``."""
    # The command's name, in brackets, may hold anything, brackets included: count from its end.
    fields = _read(f"{proc}/self/stat").rpartition(")")[2].split()
    boot = next(
        (line.split()[1] for line in _read(f"{proc}/stat").splitlines() if line.startswith("btime ")), ""
    )
    if len(fields) > 21 and boot:
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        yield _gauge("process_virtual_memory_bytes", "Virtual memory of the exporter.", float(fields[20]))
        yield _gauge(
            "process_resident_memory_bytes", "Resident memory of the exporter.", float(fields[21]) * page
        )
        yield _gauge(
            "process_start_time_seconds",
            "When the exporter was started, seconds since the epoch.",
            float(boot) + float(fields[19]) / ticks,
        )
        seconds = float(fields[11]) / ticks + float(fields[12]) / ticks
        yield StandardFamily(
            "process_cpu_seconds",
            "CPU time of the exporter, user and system.",
            "counter",
            [Sample("process_cpu_seconds_total", {}, seconds)],
        )
    with contextlib.suppress(OSError):
        yield _gauge("process_open_fds", "Open file descriptors.", float(len(os.listdir(f"{proc}/self/fd"))))  # noqa: PTH208  as below
    for line in _read(f"{proc}/self/limits").splitlines():
        if line.startswith("Max open files"):
            limit = line.split()[3]
            yield _gauge(
                "process_max_fds",
                "Limit of open file descriptors.",
                float("inf") if limit == "unlimited" else float(limit),
            )


def _interpreter() -> Iterator[StandardFamily]:
    for name, text, key in (
        ("python_gc_objects_collected", "Objects that the garbage collector has freed.", "collected"),
        ("python_gc_objects_uncollectable", "Objects that it found and could not free.", "uncollectable"),
        ("python_gc_collections", "Times that this generation was collected.", "collections"),
    ):
        yield StandardFamily(
            name,
            text,
            "counter",
            [
                Sample(f"{name}_total", {"generation": str(generation)}, float(counts[key]))
                for generation, counts in enumerate(gc.get_stats())
            ],
        )
    major, minor, patch = map(str, sys.version_info[:3])
    labels = {
        "version": sys.version.split()[0].removesuffix("+"),
        "implementation": _IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name),
        "major": major,
        "minor": minor,
        "patchlevel": patch,
    }
    yield StandardFamily(
        "python_info", "The Python that runs this.", "gauge", [Sample("python_info", labels, 1.0)]
    )


_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}
"""As :mod:`platform` spells them, without its import."""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  pathlib is 3 ms of start-up
            return file.read()
    except OSError:
        return ""
