"""The systemd unit: known keys only, hardened, fast enough for heartbeats, and the same port and folder as elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.packages import __main__ as packages
from exporter.commands import parser
from exporter.commands.cli import USAGE
from exporter.config import OPTIONS
from exporter.ha.heartbeat import STOP_MARGIN
from exporter.ha.lock import DEFAULT_PATH
from exporter.ha.rules import Rules
from exporter.outputs.web.unix import GROUP

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "vmguest-exporter.service"
DROP_IN = FOLDER / "vmguest-exporter.service.d" / "ha.conf"
MOST = 20
"""Tenths of the exposure that systemd-analyze may find."""


def parsed(path: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


@pytest.fixture
def analyze(require_program: Callable[[str, str], str]) -> str:
    return require_program("systemd-analyze", "apt-get install systemd")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The unit with a program that exists here, its drop-in beside it."""
    text = UNIT.read_text().replace("/opt/vmguest-exporter/bin/vmguest-exporter", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    shutil.copytree(DROP_IN.parent, tmp_path / DROP_IN.parent.name)
    return tmp_path / UNIT.name


@pytest.mark.real
@pytest.mark.parametrize("with_drop_in", [False, True])
def test_systemd_knows_every_key(analyze: str, copied: Path, with_drop_in: bool) -> None:
    """An unknown key is only a warning on stderr, with exit status 0."""
    if not with_drop_in:
        shutil.rmtree(copied.with_suffix(".service.d"))
    done = subprocess.run(
        [analyze, "verify", copied], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.real
@pytest.mark.parametrize("with_drop_in", [False, True])
def test_exposure_is_low(analyze: str, copied: Path, with_drop_in: bool) -> None:
    if not with_drop_in:
        shutil.rmtree(copied.with_suffix(".service.d"))
    command = [analyze, "security", "--offline=true", f"--threshold={MOST}", "--no-pager", str(copied)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"exposure level for vmguest-exporter.service: ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert done.returncode == 0
    print(f"exposure {found[1]}{' with the drop-in' if with_drop_in else ''}")
    assert float(found[1]) <= MOST / 10


def test_unit_notifies_is_watched_and_returns_at_once() -> None:
    service = parsed(UNIT)["Service"]
    assert service["Type"] == ["notify"]
    assert service["Restart"] == ["always"]
    assert parsed(UNIT)["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert "WatchdogSec" in service
    # Watchdog, restart and start together stay within the 30 s that vSphere waits for a heartbeat.
    assert seconds(service["WatchdogSec"]) + seconds(service["RestartSec"]) < 15


def seconds(values: list[str]) -> float:
    (text,) = values
    found = re.fullmatch(r"(\d+)(ms|s)", text)
    assert found
    return int(found[1]) / (1000 if found[2] == "ms" else 1)


def test_only_what_no_restart_mends_ends_it_for_good() -> None:
    assert parsed(UNIT)["Service"]["RestartPreventExitStatus"] == [str(USAGE)]


@pytest.mark.parametrize(
    ("name", "variable"), [("settings", "VMGUEST_CONFIG_FILE"), ("web", "VMGUEST_WEB_CONFIG_FILE")]
)
def test_each_file_with_secrets_has_a_drop_in_of_its_own(name: str, variable: str) -> None:
    """systemd.exec(5), LoadCredential=: a file that is not there ends the start, and few have both."""
    service = parsed(DROP_IN.parent / f"{name}-credential.conf")["Service"]
    ((loaded, _),) = (line.split(":") for line in service["LoadCredential"])
    assert service["Environment"] == [f"{variable}=%d/{loaded}"]
    assert variable in {option.variable for option in OPTIONS}


def test_unit_is_not_root_and_speaks_only_what_it_must() -> None:
    service = parsed(UNIT)["Service"]
    assert service["DynamicUser"] == ["yes"]
    assert service["CapabilityBoundingSet"] == [""]
    families = set(service["RestrictAddressFamilies"][0].split())
    assert families == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_VSOCK"}


def test_drop_in_adds_what_heartbeats_need() -> None:
    service = parsed(DROP_IN)["Service"]
    assert service["Environment"] == ["VMGUEST_HA_ENABLED=true"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert service["PrivateUsers"] == ["no"], (
        "the kernel looks for the capability in its first user namespace"
    )
    base = parsed(UNIT)["Service"]
    assert seconds(service["RestartSec"]) < seconds(base["RestartSec"])
    longest = Rules().stop_limit + STOP_MARGIN
    assert seconds(service["TimeoutStopSec"]) >= longest + 5, "it is not killed while it disables"
    assert service["KillMode"] == ["mixed"], "signals and the watchdog are for the main process"
    assert service["OOMPolicy"] == ["continue"], "a heart that is killed for want of memory is no stop"
    assert service["ExecStopPost"][0].endswith("vmguest-exporter ha finish-stop")
    assert service["RuntimeDirectoryPreserve"] == ["yes"], "maintenance outlives a stop"


def test_the_table_of_the_heartbeats_has_the_times_of_the_units() -> None:
    table = (FOLDER.parents[1] / "docs" / "heartbeats.md").read_text(encoding="utf-8")
    watchdog = seconds(parsed(UNIT)["Service"]["WatchdogSec"])
    assert f"after {watchdog:g} s (`WatchdogSec=`) systemd ends it" in table
    restart = seconds(parsed(DROP_IN)["Service"]["RestartSec"]) * 1000
    assert f"The unit's drop-in restarts it after {restart:g} ms" in table


def test_lock_of_the_heartbeater_lies_in_the_unit_s_own_folder() -> None:
    (folder,) = parsed(UNIT)["Service"]["RuntimeDirectory"]
    assert f"/run/{folder}/" in DEFAULT_PATH
    assert parsed(UNIT)["Service"]["RuntimeDirectoryPreserve"] == ["restart"]


@pytest.mark.real
def test_systemd_knows_every_key_of_the_textfile_units(analyze: str, tmp_path: Path) -> None:
    for name in ("vmguest-exporter-textfile.service", "vmguest-exporter-textfile.timer"):
        text = (FOLDER / name).read_text().replace("/opt/vmguest-exporter/bin/vmguest-exporter", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", *tmp_path.iterdir()], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_textfile_units_run_a_command_that_there_is() -> None:
    service = parsed(FOLDER / "vmguest-exporter-textfile.service")["Service"]
    program, *words = service["ExecStart"][0].split()
    assert parsed(UNIT)["Service"]["ExecStart"] == [program]
    assert words[0] == "show"
    show = next(command for command in parser.COMMANDS if command.name == "show")
    found = parser.of(show).parse_args(words[1:])
    assert str(found.output.parent) in service["ReadWritePaths"]


@pytest.mark.parametrize("settings", ["etc/default", "etc/sysconfig"])
def test_the_packages_unit_has_a_user_whose_group_reaches_the_socket(tmp_path: Path, settings: str) -> None:
    """systemd.exec(5), RuntimeDirectory=: mode 0755, and of this user, unless it is a passing one's and outlives a restart."""
    file = tmp_path / UNIT.name
    file.write_text(packages.unit(settings))
    service, by_hand = parsed(file)["Service"], parsed(UNIT)["Service"]
    assert service.pop("User") == ["vmguest-exporter"] == [GROUP]
    assert by_hand.pop("DynamicUser") == ["yes"]
    assert "RuntimeDirectoryMode" not in service
    assert service["ExecStart"] == ["/usr/bin/vmguest-exporter"]
    assert service["EnvironmentFile"] == [f"-/{settings}/vmguest-exporter"]
    own = {"ExecStart", "EnvironmentFile"}
    assert {key: service[key] for key in service.keys() - own} == {
        key: by_hand[key] for key in by_hand.keys() - own
    }
    users = (FOLDER / "vmguest-exporter.sysusers.conf").read_text().splitlines()
    assert [line.split()[:2] for line in users if not line.startswith("#")] == [["u", "vmguest-exporter"]]


def test_a_lasting_user_loses_nothing_that_a_passing_one_implies() -> None:
    """systemd.exec(5), DynamicUser=: what it switches on stands in the unit by itself."""
    service = parsed(UNIT)["Service"]
    assert parsed(DROP_IN.parent / "group.conf")["Service"] == {
        "DynamicUser": ["no"],
        "User": ["vmguest-exporter"],
    }
    implied = (
        "RemoveIPC",
        "PrivateTmp",
        "NoNewPrivileges",
        "RestrictSUIDSGID",
        "ProtectSystem",
        "ProtectHome",
    )
    assert {service[key][0] for key in implied} <= {"yes", "strict"}
