"""Files for planned ends of the heartbeats: known to systemd, in the right order, never in the way of what they guard."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.protocol.appmonitor import Verb, command
from exporter.session.wire import Channel
from exporter.simulator.in_process import in_process

FOLDER = Path(__file__).parents[2] / "deploy" / "ha"
PROGRAM = "/opt/vmguest-exporter/bin/vmguest-exporter"
OFF = FOLDER / "vmguest-exporter-ha-off.service"
DUMP = FOLDER / "kdump-tools-dump.service.d" / "vmguest-ha.conf"
SCRIPT = FOLDER / "kdump" / "vmguest-ha-off.sh"


@pytest.mark.real
def test_systemd_knows_every_key(require_program: Callable[[str, str], str], tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze", "apt-get install systemd")
    unit = tmp_path / OFF.name
    unit.write_text(OFF.read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_second_hand_comes_after_the_exporter_has_stopped() -> None:
    """Units stop in the reverse of the order in which they start."""
    lines = OFF.read_text().splitlines()
    assert "Before=vmguest-exporter.service" in lines
    assert f"ExecStop=-{PROGRAM} ha disable" in lines


def test_a_dump_waits_for_disable_but_does_not_depend_on_it() -> None:
    """In a unit of its own that does not wait for the network, as kdump-tools does."""
    name = "vmguest-exporter-ha-off-kdump.service"
    assert {f"Wants={name}", f"After={name}"} <= set(DUMP.read_text().splitlines())
    unit = (DUMP.parents[1] / name).read_text().splitlines()
    assert f"ExecStart=-{PROGRAM} ha disable" in unit
    assert "Before=network-online.target kdump-tools-dump.service" in unit
    assert "DefaultDependencies=no" in unit


@pytest.mark.parametrize("name", [OFF.name, "vmguest-exporter-ha-off-kdump.service"])
def test_disable_has_the_settings_of_the_exporter(name: str) -> None:
    """Its lock and its way to the host: found by a stranger, where vsock is refused and VMware's library serves."""
    assert "EnvironmentFile=-/etc/default/vmguest-exporter" in (FOLDER / name).read_text().splitlines()


def test_sles_is_told_which_file_its_kdump_reads() -> None:
    assert 'KDUMP_PRESCRIPT="/var/crash/vmguest-ha-off.sh"' in SCRIPT.read_text()


@pytest.mark.parametrize("answer", [0, 1])
def test_the_dump_s_hook_sends_disable_and_never_stops_the_dump(tmp_path: Path, answer: int) -> None:
    """With a stand-in for VMware's program, which keeps what it was asked to send."""
    program = tmp_path / "vmware-rpctool"
    program.write_text(f'#!/bin/sh\nprintf %s "$*" >"{tmp_path}/sent"\nexit {answer}\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", SCRIPT],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0
    assert ("could not be switched off" in done.stderr) == bool(answer)
    sent = (tmp_path / "sent").read_bytes()
    assert sent == command(Verb.DISABLE)
    connector = in_process()
    channel = Channel(connector)
    channel.call(command(Verb.ENABLE))
    channel.call(sent)
    assert channel.call(command(Verb.IS_ENABLED)) == b"false"
    channel.close()
