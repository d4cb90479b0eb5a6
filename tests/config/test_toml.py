from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import files
from exporter.config import toml


def read(tmp_path: Path, text: str) -> toml.Contents:
    file = tmp_path / "vmguest.toml"
    file.write_text(text, encoding="utf-8")
    contents = toml.read(str(file))
    contents.problems = [problem.replace(f"{tmp_path}/", "") for problem in contents.problems]
    return contents


def test_keys_are_the_dotted_names_however_they_are_written(tmp_path: Path) -> None:
    contents = read(
        tmp_path,
        """
source = "library"
ha.max-poll-age = "1m"
[poll]
interval = "1s"
[web]
config.file = "a"
[log]
"level" = "debug"
""",
    )
    assert contents.problems == []
    assert [(each.option.name, each.raw, each.where.rpartition("/")[2]) for each in contents.given] == [
        ("source", "library", "vmguest.toml:2: source"),
        ("ha.max-poll-age", "1m", "vmguest.toml:3: ha.max-poll-age"),
        ("poll.interval", "1s", "vmguest.toml:5: poll.interval"),
        ("web.config.file", "a", "vmguest.toml:7: web.config.file"),
        ("log.level", "debug", "vmguest.toml:9: log.level"),
    ]


def test_unknown_keys_are_named_with_line_and_near_name(tmp_path: Path) -> None:
    contents = read(tmp_path, '[poll]\nintervall = "1s"\n[ottlp]\nx = 1\n[ha]\nchecks = 1\n')
    assert contents.problems == [
        "vmguest.toml:2: poll.intervall: no such setting; did you mean poll.interval?",
        "vmguest.toml:3: ottlp: no such setting",
        "vmguest.toml:6: ha.checks: no such setting; did you mean ha.check?",
    ]


def test_a_group_must_be_a_table_and_a_file_names_no_other(tmp_path: Path) -> None:
    assert read(tmp_path, 'poll = 3\nconfig.file = "x"\n').problems == [
        "vmguest.toml:1: poll: this is a group of settings; write [poll] and the key below",
        "vmguest.toml:2: config.file: a settings file can't name another; use --config.file",
    ]


def test_repeatable_settings_are_lists_or_one_value(tmp_path: Path) -> None:
    contents = read(tmp_path, '[web]\nlisten-address = [":1", ":2"]\n[otlp]\nheaders = "a=1, b=2"\n')
    assert [each.raw for each in contents.given] == [":1", ":2", "a=1", "b=2"]
    contents = read(tmp_path, '[web]\nlisten-address = ":1"\n[otlp.headers]\nauthorization = "x,y"\n')
    assert [each.raw for each in contents.given] == [":1", ("authorization", "x,y")]


def test_checks_are_handed_on_unread_with_their_lines(tmp_path: Path) -> None:
    contents = read(
        tmp_path,
        """[[ha.check]]
type = "http"
url = "http://localhost/"

[[ha.check]]
type = "command"
command = [
  "/bin/true",
]
timeout = "1s"
""",
    )
    first, second = contents.tables["ha.check"]
    assert first.values == {"type": "http", "url": "http://localhost/"}
    assert (first.line, first.lines) == (1, {"type": 2, "url": 3})
    assert (second.line, second.lines) == (5, {"type": 6, "command": 7, "timeout": 10})
    assert second.where("timeout") == f"{tmp_path}/vmguest.toml:10"


def test_a_single_check_is_still_an_array_of_tables(tmp_path: Path) -> None:
    assert read(tmp_path, "[ha.check]\ntype = 1\n").problems == [
        "vmguest.toml:1: ha.check: expected tables; write [[ha.check]] above each"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = \n", "vmguest.toml:1: Invalid value (column 5)"),
        ("[poll]\ninterval = 'x", "vmguest.toml:2: "),
        ("a = 1\na = 2\n", "vmguest.toml:2: Cannot overwrite a value: a (column 6)"),
    ],
)
def test_a_syntax_error_is_one_problem_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = read(tmp_path, text).problems
    assert found.startswith(problem)


def test_what_can_not_be_read_says_why(tmp_path: Path) -> None:
    assert toml.read(str(tmp_path / "none")).problems == [f"{tmp_path}/none: No such file or directory"]
    file = tmp_path / "latin1"
    file.write_bytes(b'a = "\xe4"')
    assert toml.read(str(file)).problems == [f"{file}: this is not UTF-8 text (byte 5)"]


@pytest.mark.parametrize("path", [r"C:\Users\x", r"C:\Program Files\x", r"C:\windows"])
def test_a_path_of_windows_in_double_quotes_has_a_hint(tmp_path: Path, path: str) -> None:
    (found,) = read(tmp_path, f'[library]\npath = "{path}"\n').problems
    assert found.startswith("vmguest.toml:2: ")
    assert "in single quotes" in found


def test_text_in_utf_16_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wide.toml"
    file.write_text("[web]\n", encoding="utf-16")
    (found,) = toml.read(str(file)).problems
    assert found.endswith(": this is UTF-16; save it as UTF-8")


TRICKY = '''# [not.a.table]
a = """
b = 1
[c]
""" # end
d = [ # open [
  "]", { e = 1 },
]
f = 'x = """'
[ "g" . h ] # comment
"i.j" = 2
k . l = 3
m = { n = 4 }
o = """one line \\""" [ """
[[p]]
q = 1
[p.r]
s = 1
[[p.t]]
u = 1
[[p]]
q = 2
[[p.t]]
u = 2
'''


def test_lines_are_found_past_everything_that_only_looks_like_a_key() -> None:
    tomllib.loads(TRICKY)
    assert toml.key_lines(TRICKY) == {
        ("a",): 2,
        ("d",): 6,
        ("f",): 9,
        ("g", "h"): 10,
        ("g", "h", "i.j"): 11,
        ("g", "h", "k", "l"): 12,
        ("g", "h", "m"): 13,
        ("g", "h", "o"): 14,
        ("p", 0): 15,
        ("p", 0, "q"): 16,
        ("p", 0, "r"): 17,
        ("p", 0, "r", "s"): 18,
        ("p", 0, "t", 0): 19,
        ("p", 0, "t", 0, "u"): 20,
        ("p", 1): 21,
        ("p", 1, "q"): 22,
        ("p", 1, "t", 0): 23,
        ("p", 1, "t", 0, "u"): 24,
    }


def test_a_key_of_an_inline_table_has_the_line_of_the_table(tmp_path: Path) -> None:
    contents = read(tmp_path, '\n\npoll = { intervall = "1s" }\n')
    assert contents.problems == [
        "vmguest.toml:3: poll.intervall: no such setting; did you mean poll.interval?"
    ]


scalars: st.SearchStrategy[Any] = st.sampled_from(
    [
        "1",
        '"a = 1"',
        "'[b]'",
        '"""x\ny = 1\n"""',
        "[1, 2]",
        "[\n1,\n2\n]",
        "{ z = 1 }",
        "'''\n[q]\n'''",
        '"\\""',
    ]
)


@given(st.lists(st.tuples(st.booleans(), scalars), max_size=12))
def test_the_line_of_every_key_holds_the_key(entries: list[tuple[bool, str]]) -> None:
    text = "".join(f"[t{n}]\n" if new else f"k{n} = {value}\n" for n, (new, value) in enumerate(entries))
    tomllib.loads(text)
    lines = text.splitlines()
    found = toml.key_lines(text)
    assert {path[-1] for path in found} == {f"{'t' if new else 'k'}{n}" for n, (new, _) in enumerate(entries)}
    for path, number in found.items():
        assert str(path[-1]) in lines[number - 1]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    contents = read(tmp_path, "\ufeff[poll]\ninterval = '1s'\n")
    assert contents.problems == []
    assert [each.raw for each in contents.given] == ["1s"]


def test_brackets_within_brackets(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, f"a = {'[' * 20_000}").problems
    assert problem == "vmguest.toml:1: Brackets within brackets, deeper than any value is"


def test_a_number_too_long_to_be_one_is_named_with_its_line(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, f"[poll]\ninterval = {'9' * 900_000}\n").problems
    assert problem == "vmguest.toml:2: A key or number of 900,000 characters, more than any has (column 12)"


def test_what_never_ends_is_no_settings_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.write_bytes(b"#" * (files.TEXT + 1))
    for path, why in (
        ("/dev/zero", "this is a device, not a regular file"),
        (str(pipe), "this is a pipe, not a regular file"),
        (str(large), "it is larger than 1 MiB, so it must be something else"),
    ):
        assert toml.read(path).problems == [f"{path}: {why}"]


def test_of_very_many_problems_the_first_are_told(tmp_path: Path) -> None:
    problems = read(tmp_path, "".join(f"unknown_{number} = 1\n" for number in range(10_000))).problems
    assert len(problems) == toml.MOST_PROBLEMS + 1
    assert problems[-1] == "vmguest.toml: 9,950 more problems"


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, '[poll]\ninterval = "1s"\ninterval = "2s"\n').problems
    assert problem.startswith("vmguest.toml:3: Cannot overwrite a value: interval")
