"""Words and shape of the tables."""

from __future__ import annotations

import pytest

from exporter.show.tables import name_of, quantity, sections, text, verdict

DOCUMENT = {
    "time": 1.79e9,
    "up": True,
    "verdict": {"level": "warning", "text": "Something is wrong."},
    "problem": {"kind": "timeout", "text": "no answer", "advice": "Look there."},
    "answers": [
        {"key": "a", "level": "warning", "text": "Something is wrong."},
        {"key": "b", "level": "info", "text": "Worth knowing."},
        {"key": "c", "level": "ok", "text": "Fine."},
    ],
    "numbers": {"window": 300.0, "used": 0.5, "stolen": None},
    "metrics": [
        {"name": "vmguest_cpu_limit_hertz", "kind": "gauge", "unit": "Hz", "points": [{"labels": {}, "value": "unlimited"}]},
        {"name": "vmguest_polls_total", "kind": "counter", "unit": "", "points": [{"labels": {}, "value": 3}]},
        {
            "name": "vmguest_memory_limit_state",
            "kind": "gauge",
            "unit": "",
            "points": [{"labels": {"state": "none"}, "value": 0.0}, {"labels": {"state": "binding"}, "value": 1.0}],
        },
    ],
    "events": [{"time": 1.79e9, "text": "A new session began.", "guess": "moved"}],
}  # fmt: skip


def test_the_whole() -> None:
    said = text(DOCUMENT, "the host", width=60)
    assert said == (
        "! Something is wrong.\n"
        "The last poll failed: no answer. Look there.\n"
        "i Worth knowing.\n"
        "From the host, 2026-09-21 14:13:20 UTC.\n"
        "\nCPU\n"
        "  used, last 5 minutes  50 %\n"
        "  limit                 unlimited\n"
        "\nMemory\n"
        "  limit state  binding\n"
        "\nEvents\n"
        "  2026-09-21 14:13:20 UTC  A new session began. (moved, a\n"
        "                           guess)\n"
    )


def test_colour_is_beside_the_mark_never_instead() -> None:
    plain, coloured = verdict(DOCUMENT), verdict(DOCUMENT, colour=True)
    assert coloured[0] == "\x1b[33m!\x1b[0m Something is wrong."
    assert plain[0] == "! Something is wrong."


def test_what_is_the_exporters_own_is_left_out() -> None:
    assert "polls" not in dict(row for _, rows in sections(DOCUMENT) for row in rows)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.5, "1", "50 %"),
        (2.4e9, "Hz", "2.4 GHz"),
        (2**30, "By", "1 GiB"),
        (90.0, "s", "90 s"),
        (1.79e9, "s", "2026-09-21 14:13:20 UTC"),
        (81920, "{share}", "81 920"),
        (1.5, "", "1.5"),
        (2**20, "By/s", "1 MiB/s"),
        ("unlimited", "Hz", "unlimited"),
    ],
)
def test_quantities(value: object, unit: str, words: str) -> None:
    assert quantity(value, unit) == words


def test_names() -> None:
    assert name_of({"name": "vmguest_session_start_timestamp_seconds"}) == "session start"
    assert name_of({"name": "vmguest_cpu_used_seconds_total"}) == "cpu used"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.79e9, "2026-09-21 14:13:20 UTC"),
        # Windows' own calendar ends with the year 3000.
        (6.5e10, "4029-10-07 19:33:20 UTC"),
        (1.8446744073709e13, "18446744073709 s since 1970"),
        (1e30, "1e+30 s since 1970"),
    ],
)
def test_a_time_may_be_nonsense_of_the_hosts(seconds: float, words: str) -> None:
    assert quantity(seconds, "s") == words


def test_cpu_time_is_a_length_however_long() -> None:
    metric = {
        "name": "vmguest_host_cpu_used_seconds_total",
        "kind": "counter",
        "unit": "s",
        "points": [{"labels": {}, "value": 5e9}],
    }
    shown = dict(row for _, rows in sections({**DOCUMENT, "metrics": [metric]}) for row in rows)
    assert shown["cpu used"] == "57870 days in all"
