from __future__ import annotations

from exporter.markdown import code, table


def test_a_table_has_a_head_a_rule_and_its_rows() -> None:
    assert table(("A", "B"), [("1", "2"), ("", "x")]) == "| A | B |\n| --- | --- |\n| 1 | 2 |\n|  | x |\n"


def test_a_pipe_in_a_cell_ends_no_cell() -> None:
    assert table(("A",), [("a|b",)]).splitlines()[2] == "| a\\|b |"


def test_code() -> None:
    assert code("x") == "`x`"
    assert code("") == ""
