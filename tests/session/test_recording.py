"""What a recording holds of the guest: the VM's own vCPUs and memory, wherever it is played."""

from __future__ import annotations

import io
import json
from pathlib import Path

from exporter.config import Settings
from exporter.config.settings import Replay
from exporter.session.hosts import find_host
from exporter.session.record import Recorder
from exporter.session.recording import read
from exporter.session.replay import ReplayConnector
from exporter.snapshot import Guest

FIRST = Guest(6, 8 * 2**30, 8 * 2**30, 3 * 2**30, 0, 6, 1.5, "boot-1", 0.5)
LATER = Guest(6, 8 * 2**30, 8 * 2**30, 2 * 2**30, 0, 6, 2.5, "boot-1", 0.5)


def written(folder: Path, *guests: tuple[float, Guest], end: float = 60.0) -> Path:
    now, file = [0.0], io.BytesIO()
    recorder = Recorder(file, 5.0, clock=lambda: now[0])
    for at, guest in guests:
        now[0] = at
        recorder.guest(guest)
    now[0] = end
    recorder.end()
    path = folder / "host.rec"
    path.write_bytes(file.getvalue())
    return path


def test_a_line_has_what_changed_and_never_the_boot_id(tmp_path: Path) -> None:
    path = written(tmp_path, (0.0, FIRST), (5.0, FIRST), (10.0, LATER))
    _, first, later, _ = map(json.loads, path.read_text().splitlines())
    assert first["guest"]["vcpus"] == 6
    assert later == {"at": 10.0, "guest": {"available_bytes": 2 * 2**30, "steal_seconds": 2.5}}
    assert "boot" not in path.read_text()


def test_it_says_what_the_guest_said_then(tmp_path: Path) -> None:
    recording = read(str(written(tmp_path, (1.0, FIRST), (10.0, LATER))))
    found = [recording.guest(at) for at in (0.0, 9.9, 10.0, 1000.0)]
    assert [each.available_bytes for each in found] == [3 * 2**30, 3 * 2**30, 2 * 2**30, 2 * 2**30]
    assert {each.vcpus for each in found} == {6}
    assert {each.boot_id for each in found} == {None}


def test_names_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, (1.0, FIRST))
    path.write_text(path.read_text().replace('"vcpus": 6', '"vcpus": 6, "of_tomorrow": 1'))
    assert read(str(path)).guest(5.0).vcpus == 6


def test_a_loop_begins_with_the_first_guest_again(tmp_path: Path) -> None:
    now = [100.0]
    recording = read(str(written(tmp_path, (0.0, FIRST), (10.0, LATER))))
    connector = ReplayConnector(recording, loop=True, clock=lambda: now[0])
    assert connector.guest().steal_seconds == 1.5
    connector.connect(1.0)
    now[0] += 30.0
    assert connector.guest().steal_seconds == 2.5
    now[0] += 35.0
    assert connector.guest().steal_seconds == 1.5


def test_the_guest_of_a_recording_is_never_this_machine(tmp_path: Path) -> None:
    host = find_host(Settings(source="replay", replay=Replay(file=str(written(tmp_path, (0.0, FIRST))))))
    host.source.close()
    assert host.guest().vcpus == 6
    host = find_host(Settings(source="replay", replay=Replay(file=str(written(tmp_path)))))
    host.source.close()
    assert host.guest() == Guest()
