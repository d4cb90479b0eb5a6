from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from exporter import catalogue
from exporter.commands import reference
from exporter.config import OPTIONS
from exporter.doctor.rows import CHECKS
from exporter.errors import ConfigError

EMPTY = """# Title
<!-- reference:metrics -->
old
<!-- /reference:metrics -->
between
<!-- reference:findings -->
<!-- /reference:findings -->
<!-- reference:checks -->
<!-- /reference:checks -->
<!-- reference:settings -->
<!-- /reference:settings -->
end
"""


def run(*argv: str) -> int:
    parser = ArgumentParser()
    reference.add_arguments(parser)
    return reference.run(parser.parse_args(argv))


def test_every_metric_of_the_catalogue_has_one_row() -> None:
    table = reference.metrics_table()
    for metric in catalogue.METRICS:
        assert table.count(f"| `{metric.otlp}` |") == 1, metric.name
        assert f"| `{metric.prometheus}" in table


def test_rows_say_what_has_to_be_switched_on() -> None:
    lines = reference.metrics_table().splitlines()
    assert "`--deprecated-metrics`" in next(line for line in lines if "kernel_overhead" in line)
    assert "`vmguest_resource_pool_info{path}`" in next(
        line for line in lines if "`--expose-identity`" in line
    )


def test_every_setting_has_one_row_with_flag_variable_default_and_meaning() -> None:
    table = reference.settings_table()
    for row in OPTIONS:
        assert table.count(f"| `{row.variable}` |") == 1
        assert row.help.replace("|", "\\|") in table
    assert "| `--poll.interval` | `VMGUEST_POLL_INTERVAL` | 5s |" in table
    assert "| `--[no-]web` | `VMGUEST_WEB_ENABLED` | true |" in table


def test_findings_are_those_of_doctor() -> None:
    table = reference.findings_table()
    assert table.count("\n| `") == len(CHECKS)
    assert "| `statistics-given` |" in table


def test_the_tables_stand_between_their_markers_and_nothing_else_changes() -> None:
    filled = reference.fill(EMPTY)
    assert "\nold\n" not in filled
    assert filled.startswith("# Title\n<!-- reference:metrics -->\n")
    assert "\nbetween\n" in filled
    assert filled.endswith("<!-- /reference:settings -->\nend\n")
    assert reference.fill(filled) == filled


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (EMPTY.replace("<!-- /reference:settings -->", ""), "look at: settings"),
        (EMPTY + "<!-- reference:alerts -->\n<!-- /reference:alerts -->", "look at: alerts"),
    ],
)
def test_missing_or_unknown_markers_are_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        reference.fill(text)


def test_print_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "README.md"
    file.write_text(EMPTY)
    assert run() == 0
    assert "vmguest_cpu_used_seconds_total" in capsys.readouterr().out
    assert run("--check", str(file)) == 1
    assert f"run: vmguest-exporter reference --write {file}\n" in capsys.readouterr().err
    other = tmp_path / "other.md"
    other.write_text("no tables\n")
    assert run("--write", str(file), str(other)) == 0
    assert run("--check", str(file), str(other)) == 0
    assert other.read_text() == "no tables\n"


def test_a_file_that_can_not_be_used_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        run("--check", str(tmp_path / "none"))
    file = tmp_path / "README.md"
    file.write_text("<!-- reference:metrics -->")
    with pytest.raises(ConfigError, match="one pair of markers"):
        run("--write", str(file))
