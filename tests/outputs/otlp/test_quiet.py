from __future__ import annotations

import logging

import pytest

from exporter.outputs.otlp.quiet import turned_down


def test_the_sdks_lines_come_out_at_debug_and_only_while_the_block_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    loud = logging.getLogger("opentelemetry.exporter.otlp.x")
    with turned_down():
        loud.error("Failed to export %s", "metrics")
    loud.error("aloud")
    told, aloud = caplog.records
    assert (told.name, told.levelno, told.getMessage()) == (
        "exporter.otlp.sdk",
        logging.DEBUG,
        "Failed to export metrics",
    )
    assert (told.__dict__["logger"], told.__dict__["as"]) == ("opentelemetry.exporter.otlp.x", "error")
    assert (aloud.name, aloud.levelno) == ("opentelemetry.exporter.otlp.x", logging.ERROR)


def test_two_blocks_at_once_end_in_any_order() -> None:
    loud = logging.getLogger("opentelemetry")
    first, second = turned_down(), turned_down()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not loud.propagate
    second.__exit__(None, None, None)
    assert loud.propagate
    assert not loud.handlers
