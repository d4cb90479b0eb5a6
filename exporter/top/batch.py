"""``top --batch``: CSV, a line for each reading; and plain lines for terminals that can do no more."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TextIO

from exporter.errors import VMGuestError
from exporter.outputs.api import Document
from exporter.top.frame import Frame
from exporter.top.quantities import CPU, DISK, MEMORY, NETWORK
from exporter.top.screen import body, head, plain


def columns(frame: Frame) -> list[str]:
    """The header: of the devices that are there at the start."""
    names = ["time", "verdict", *(f"{row.name.strip()} {row.unit}".strip() for row in (*CPU, *MEMORY))]
    names += [
        f"{device} {column.name}" for device in frame.devices("disk", "vmguest_disk_") for column in DISK
    ]
    names += [
        f"{mac} {column.name}" for mac in frame.devices("mac", "vmguest_network_") for column in NETWORK
    ]
    return names


def cells(frame: Frame) -> dict[str, str]:
    """One line, by column; empty where nothing is known, ``inf`` for *unlimited*."""
    found: dict[str, float | None] = {
        f"{row.name.strip()} {row.unit}".strip(): row.take(frame) for row in (*CPU, *MEMORY)
    }
    for label, prefix, several in (("disk", "vmguest_disk_", DISK), ("mac", "vmguest_network_", NETWORK)):
        for device in frame.devices(label, prefix):
            found |= {f"{device} {column.name}": column.take(frame, device) for column in several}
    time = datetime.fromtimestamp(frame.now["time"], UTC).isoformat(timespec="seconds")
    words = {name: "" if value is None else _number(value) for name, value in found.items()}
    return {"time": time, "verdict": frame.now["verdict"]["level"], **words}


def write(frames: Iterator[Frame], out: TextIO) -> None:
    """All ``frames`` as CSV (RFC 4180 but for the line ends), each at once."""
    writer: csv.DictWriter[str] | None = None
    for frame in frames:
        if writer is None:
            writer = csv.DictWriter(
                out, columns(frame), extrasaction="ignore", restval="", lineterminator="\n"
            )
            writer.writeheader()
        writer.writerow(cells(frame))
        out.flush()


def lines(frames: Iterator[Frame], out: TextIO, width: int) -> None:
    """Verdict and CPU view of all ``frames`` as plain lines."""
    for frame in frames:
        print(plain([*head(frame, width), [], *body("c", frame, width), []]), file=out, flush=True)


def frames(
    read: Callable[[], Document],
    wait: Callable[[], object],
    iterations: int | None,
    failed: Callable[[VMGuestError], object],
) -> Iterator[Frame]:
    """A frame for each reading; ``wait`` between two. ``failed`` is told of one that fails; the first one raises.

    Raises:
        VMGuestError: there is nothing to begin with.
    """
    frame = Frame.first(read())
    count = 1
    yield frame
    while iterations is None or count < iterations:
        wait()
        try:
            document = read()
        except VMGuestError as error:  # It may be started again: a night's file goes on.
            failed(error)
            continue
        frame = frame.after(document)
        count += 1
        yield frame


def _number(value: float) -> str:
    return "inf" if math.isinf(value) else f"{value:.3f}".rstrip("0").rstrip(".")
