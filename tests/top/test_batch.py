"""CSV and plain lines."""

from __future__ import annotations

import csv
import io

import pytest

from exporter.errors import VMGuestError
from exporter.outputs.api import Document
from exporter.reading.base import NoAnswer
from exporter.top import batch
from tests.top.worlds import documents


def unexpected(error: VMGuestError) -> None:
    raise error


def test_csv_has_a_header_and_a_line_for_each_reading() -> None:
    waits: list[None] = []
    readings = iter(documents("swapping"))
    out = io.StringIO()
    batch.write(batch.frames(lambda: next(readings), lambda: waits.append(None), 2, unexpected), out)
    first, second = csv.DictReader(io.StringIO(out.getvalue()))
    assert len(waits) == 1
    for row in (first, second):
        empty = {name for name, value in row.items() if not value}
        assert not empty, "the exporter's last interval is in the first reading too"
        assert float(row["%USED %"]) > 0
        assert float(row["SWR/s MB/s"]) > 0
        assert float(row["scsi0:0 READS/s"]) > 0
    assert second["verdict"] == "warning"


def test_a_device_that_comes_later_has_no_column_and_one_that_goes_is_empty() -> None:
    before, after = documents("swapping")
    without = {**after, "metrics": [each for each in after["metrics"] if "_disk_" not in each["name"]]}
    readings = iter((before, without))
    out = io.StringIO()
    batch.write(batch.frames(lambda: next(readings), lambda: None, 2, unexpected), out)
    _, second = csv.DictReader(io.StringIO(out.getvalue()))
    assert second["scsi0:0 READS/s"] == ""


def test_plain_lines() -> None:
    readings = iter(documents("noisy-neighbour"))
    out = io.StringIO()
    batch.lines(batch.frames(lambda: next(readings), lambda: None, 2, unexpected), out, 80)
    assert out.getvalue().count("%USED") == 2
    assert "\x1b" not in out.getvalue()


def test_an_exporter_that_is_gone_for_a_while_ends_nothing() -> None:
    before, after = documents("steady")
    answers: list[Document | NoAnswer] = [before, NoAnswer("gone"), NoAnswer("gone"), after]
    told: list[VMGuestError] = []

    def read() -> Document:
        answer = answers.pop(0)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    assert len([*batch.frames(read, lambda: None, 2, told.append)]) == 2
    assert len(told) == 2
    with pytest.raises(NoAnswer, match="gone"):
        next(batch.frames(lambda: (_ for _ in ()).throw(NoAnswer("gone")), lambda: None, 2, told.append))
