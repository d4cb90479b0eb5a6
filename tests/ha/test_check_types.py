"""``[[ha.check]]`` tables, from the file on: what is taken, and where what is wrong stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config import load
from exporter.config.settings import RawTable
from exporter.errors import ConfigError
from exporter.ha import check_types
from exporter.ha.check_runner import CheckRunner
from exporter.ha.check_state import CheckTiming
from exporter.ha.running_clock import RunningClock


def tables(text: str, tmp_path: Path) -> tuple[RawTable, ...]:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return load(environ={"VMGUEST_CONFIG_FILE": str(file), "VMGUEST_HA_ENABLED": "true"}).ha.checks


def read(text: str, tmp_path: Path) -> list[CheckRunner]:
    return check_types.read(tables(text, tmp_path), RunningClock())


def problems(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path)
    return [problem.removeprefix(f"{tmp_path}/settings.toml:") for problem in caught.value.problems]


ALL = """\
[ha]
enabled = true

[[ha.check]]
name = "shop"
type = "http"
url = "http://127.0.0.1:8080/health?deep=1"
status = [200, 204]
body = "ready: (yes|true)"
interval = "5s"
timeout = "2s"
failures = 2
successes = 3

[[ha.check]]
name = "one-status"
type = "http"
url = "https://[::1]/"
status = 401

[[ha.check]]
name = "db"
type = "tcp"
host = "localhost"
port = 5432

[[ha.check]]
name = "ready"
type = "command"
arguments = ["/usr/bin/pg_isready", "-q", ""]

[[ha.check]]
name = "unit"
type = "systemd"
unit = "postgresql.service"

[[ha.check]]
name = "backup"
type = "file"
path = "/var/backups/last"
max_age = "26h"
"""


def test_every_kind_is_read(tmp_path: Path) -> None:
    watches = read(ALL, tmp_path)
    assert {*re.findall(r'type = "(.*)"', ALL)} == {row.name for row in check_types.TYPES}
    assert [runner.name for runner in watches] == re.findall(r'^name = "(.*)"', ALL, re.MULTILINE)
    assert watches[0].state.timing == CheckTiming(5.0, 2.0, 2, 3)
    assert watches[2].state.timing == CheckTiming()


def test_no_table_is_no_check() -> None:
    assert check_types.read((), RunningClock()) == []


def test_what_is_read_is_what_looks(tmp_path: Path) -> None:
    (runner,) = read(
        f'[[ha.check]]\nname = "f"\ntype = "file"\npath = "{tmp_path}/none"\nmax_age = "1h"', tmp_path
    )
    assert runner._probe(1.0) == f"{tmp_path}/none: No such file or directory"


def test_a_file_s_age_is_of_time_in_which_the_machine_ran(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "beat").touch()
    (runner,) = check_types.read(
        tables(
            f'[[ha.check]]\nname = "f"\ntype = "file"\npath = "{tmp_path}/beat"\nmax_age = "1m"', tmp_path
        ),
        RunningClock(lambda: now[0]),
    )
    assert runner._probe(1.0) is None
    now[0] += 3600
    assert runner._probe(1.0) is None


KINDS = ", ".join(row.name for row in check_types.TYPES)
HEAD = '[[ha.check]]\nname = "x"\ntype = "{}"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD.format("ping"), f"3: type: expected one of {KINDS}"),
        ('[[ha.check]]\nname = "x"', f"1: type: expected one of {KINDS}"),
        ('[[ha.check]]\ntype = ["tcp"]', f"2: type: expected one of {KINDS}"),
        (HEAD.format("systemd"), "1: unit: missing; a check of type 'systemd' needs it"),
        (
            '[[ha.check]]\ntype = "systemd"\nunit = "x"',
            "1: name: missing; a check of type 'systemd' needs it",
        ),
        (HEAD.format("systemd") + "unit = 7", "4: unit: expected text in quotes"),
        (HEAD.format("systemd") + 'unit = "x"\nUnit = "x"', "5: Unit: no such key for type 'systemd'"),
        (HEAD.format("http") + 'url = "127.0.0.1:80"', '4: url: expected an address such as "http://'),
        (HEAD.format("http") + 'url = "http://[::1"', "4: url: expected an address"),
        (HEAD.format("http") + 'url = "http://x:99999/"', "4: url: expected an address"),
        (HEAD.format("http") + 'url = "ftp://x/"', "4: url: expected an address"),
        (
            HEAD.format("http") + 'url = "http://x/"\nstatus = "200"',
            "5: status: expected a status such as 200",
        ),
        (HEAD.format("http") + 'url = "http://x/"\nstatus = []', "5: status: expected a status such as 200"),
        (HEAD.format("http") + 'url = "http://x/"\nstatus = [200, 103]', "5: status: expected a status"),
        (HEAD.format("http") + 'url = "http://x/"\nstatus = true', "5: status: expected a status"),
        (HEAD.format("http") + 'url = "http://x/"\nbody = "("', "5: body: expected a regular expression: "),
        (
            HEAD.format("http") + 'url = "http://x/"\nbody = "a{99999999999999999999}"',
            "5: body: expected a regular expression: ",
        ),
        (
            HEAD.format("http") + f'url = "http://x/"\nbody = "{"(" * 5000}{")" * 5000}"',
            "5: body: expected a regular expression: this one is nested too deeply",
        ),
        (HEAD.format("tcp") + 'host = ""\nport = 1', "4: host: expected text in quotes"),
        (HEAD.format("tcp") + 'host = "x"\nport = 0', "5: port: expected a whole number between 1 and 65535"),
        (HEAD.format("command") + 'arguments = "ls -l"', "4: arguments: expected a list, program first"),
        (HEAD.format("command") + "arguments = []", "4: arguments: expected a list"),
        (HEAD.format("command") + 'arguments = ["", "x"]', "4: arguments: expected a list"),
        (
            HEAD.format("file") + 'path = "/x"\nmax_age = 5',
            '5: max_age: expected a duration between 1s and 30d; it needs quotes and a unit: "5s"',
        ),
        (
            HEAD.format("file") + 'path = "/x"\ninterval = "1"',
            "5: interval: expected a duration between 1s and 1h; it needs a unit: 1s",
        ),
        (
            HEAD.format("file") + 'path = "/x"\ninterval = "2h"',
            "5: interval: expected a duration between 1s and 1h",
        ),
        (
            HEAD.format("file") + 'path = "/x"\nfailures = 0',
            "5: failures: expected a whole number between 1 and 1000",
        ),
        (
            HEAD.format("file") + 'path = "/x"\ntimout = "1s"',
            "5: timout: no such key for type 'file'; did you mean timeout?",
        ),
        (
            HEAD.format("file") + 'path = "/x"\nzzz = 1',
            "5: zzz: no such key for type 'file'; there are type, name, path, ",
        ),
        ('[[ha.check]]\nname = "web"\ntype = "systemd"\nunit = "x"', "2: name: expected letters, digits"),
        ('[[ha.check]]\nname = "a b"\ntype = "systemd"\nunit = "x"', "2: name: expected letters, digits"),
        ('[[ha.check]]\nname = 1\ntype = "systemd"\nunit = "x"', "2: name: expected letters, digits"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems("[ha]\nenabled = true\n" + text, tmp_path)
    line, _, rest = found.partition(":")
    assert f"{int(line) - 2}:{rest}".startswith(problem)


def test_a_name_stands_once(tmp_path: Path) -> None:
    check = HEAD.format("systemd") + 'unit = "x"\n'
    assert problems(check + check, tmp_path) == ["6: name: 'x' stands twice; each check needs its own"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = HEAD.format("tcp") + "port = 0\n" + HEAD.format("file") + 'path = ""'
    assert [problem.split(":")[0] for problem in problems(text, tmp_path)] == ["4", "1", "8"]


def test_a_check_is_another_one_with_another_aim_and_not_with_another_timing(tmp_path: Path) -> None:
    text = HEAD.format("file") + 'path = "{}"\n{}'
    of = [
        read(text.format(path, more), tmp_path)[0].kept(0).of
        for path, more in (("/x", ""), ("/x", "failures = 7"), ("/y", ""), ("/x", 'max_age = "1h"'))
    ]
    assert of[0] == of[1]
    assert len(set(of)) == 3
