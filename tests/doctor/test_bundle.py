from __future__ import annotations

import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.config.places import Address
from exporter.config.settings import Otlp, Web
from exporter.doctor.bundle import LOG_LINES, BundleContents, Member, write
from exporter.doctor.examine import examine
from exporter.doctor.rows import CHECKS
from exporter.doctor.world import Ran
from exporter.errors import ConfigError
from exporter.protocol import stats_v3
from exporter.session.record import data
from exporter.session.recording import Recording, read
from exporter.simulator.faults import Fault

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

LOG = 'time=2026-11-24T20:00:00Z level=info msg="session" host=node-7 card=00:50:56:9a:1b:01'


def members(guest: Guest, *, mask: bool = True) -> dict[str, bytes]:
    world = guest.build()
    findings = examine(CHECKS, world, limit=20.0)
    contents = BundleContents(world, findings, "auto", "2026-11-24T20:00:00Z", 0.5)
    found = {each.name: each.content for each in contents.members(mask=mask)}
    world.close()
    return found


Replies = Callable[[bytes], Recording]


@pytest.fixture
def replies(tmp_path: Path) -> Replies:
    def replies_(content: bytes) -> Recording:
        path = tmp_path / "replies.rec"
        path.write_bytes(content)
        return read(str(path))

    return replies_


@pytest.fixture
def named(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> Guest:
    """A guest with a name, and settings that hold names and secrets."""
    monkeypatch.setattr("socket.gethostname", lambda: "node-7.example.org")
    guest.programs["journalctl --unit vmguest-exporter"] = Ran(0, LOG)
    guest.settings["web"] = Web(listen=(Address("node-7.example.org", 0), Address("", 0)))
    guest.settings["otlp"] = Otlp(endpoint="http://collector.example.org:1", headers=(("x-key", "geheim"),))
    guest.world["environ"] = {
        "OTEL_EXPORTER_OTLP_HEADERS": "k=geheim",
        "VMGUEST_LOG_LEVEL": "",
        "USER": "alice",
        "http_proxy": "x",
    }
    return guest


def test_what_is_in_it(named: Guest) -> None:
    found = members(named)
    assert list(found) == [
        "README.txt",
        "findings.txt",
        "findings.json",
        "versions.txt",
        "settings.txt",
        "replies.rec",
        "log.txt",
    ]
    assert all(name in found["README.txt"].decode() for name in list(found)[1:])
    assert b"masked: MAC and IP addresses" in found["README.txt"]
    assert b"vmguest-exporter: " in found["versions.txt"]
    assert b"VERSION_ID=12" in found["versions.txt"]
    assert b"kernel: 6.1.0-18-amd64" in found["versions.txt"]
    assert b"Every" not in found["log.txt"]


def test_secrets_are_never_in_it(named: Guest) -> None:
    for mask in (True, False):
        found = members(named, mask=mask)
        assert not [name for name, content in found.items() if b"geheim" in content]
        assert b"otlp.headers = x-key=<hidden>" in found["settings.txt"]
        assert b"OTEL_EXPORTER_OTLP_HEADERS, VMGUEST_LOG_LEVEL" in found["settings.txt"]


def test_names_are_in_it_only_when_asked(named: Guest) -> None:
    names = (b"node-7", b"collector.example", b"00:50:56", b"56 4d 2c")
    masked, plain = members(named), members(named, mask=False)
    assert not [(name, each) for name, content in masked.items() for each in names if each in content]
    assert b"not masked" in plain["README.txt"]
    assert b"collector.example.org" in plain["settings.txt"]
    assert plain["log.txt"].decode() == LOG + "\n"
    assert b"host=xxxx-x card=02:00:00:00:00:0" in masked["log.txt"]


@pytest.mark.parametrize(("mask", "path"), [(True, "/xxxx/xxxx/xxxxxxxx"), (False, "/host/user/pool-web")])
def test_a_raw_reply_of_each_kind(guest: Guest, replies: Replies, mask: bool, path: str) -> None:
    recording = replies(members(guest, mask=mask)["replies.rec"])
    asked = set(recording.exchanges)
    assert {
        "guestlib.info.get 3",
        "guestlib.stat.get text ",
        "guestlib.stat.get json resources",
        "guestlib.stat.get yaml vscsi scsi0:0",
        "GuestAppMonitor.Cmd.IsEnabled",
        "GuestAppMonitor.Cmd.GetAppStatus",
    } <= asked
    assert ("guestlib.stat.get xml vnet 00:50:56:9a:1b:01" in asked) is not mask
    (basic,) = recording.exchanges["guestlib.info.get 3"]
    assert stats_v3.decode(data(basic)).values["resource_pool_path"] == path
    assert not recording.cut


def test_away_from_vmware_nothing_is_asked(guest: Guest, replies: Replies) -> None:
    guest.write("sys/class/dmi/id/sys_vendor", "QEMU")
    guest.write("sys/class/dmi/id/product_name", "Standard PC")
    assert replies(members(guest)["replies.rec"]).lines == 0
    assert guest.connections == 0


@pytest.mark.parametrize(
    "faults",
    [
        (Fault("error", text="disabled", on="guestlib."), Fault("error", text="no", on="GuestAppMonitor")),
        (Fault("no-status", skip=1),),
        (Fault("disconnect", skip=12),),
    ],
)
def test_a_host_that_refuses_or_breaks_is_in_it_as_it_is(
    guest: Guest, replies: Replies, faults: tuple[Fault, ...]
) -> None:
    guest.faults = faults
    recording = replies(members(guest)["replies.rec"])
    assert recording.lines > 0
    assert "guestlib.info.get 3" in recording.exchanges


def test_settings_that_can_not_be_used_are_in_it_as_problems(guest: Guest) -> None:
    guest.world["config_error"] = ConfigError("/etc/x.toml:3: poll.interval: expected a duration")
    assert (
        members(guest)["settings.txt"]
        == b"can't be used:\n/etc/x.toml:3: poll.interval: expected a duration\n"
    )


@pytest.mark.parametrize(
    ("ran", "words"),
    [
        (Ran(127, "", "journalctl: No such file or directory"), b"journalctl: No such file or directory"),
        (Ran(0, ""), b"it has none"),
    ],
)
def test_without_a_log_it_says_why(guest: Guest, ran: Ran, words: bytes) -> None:
    guest.programs["journalctl --unit vmguest-exporter --lines 200"] = ran
    assert LOG_LINES == 200
    assert words in members(guest)["log.txt"]


def test_on_windows_the_log_is_what_winsw_has_written(guest: Guest, tmp_path: Path) -> None:
    guest.world.update(platform="win32", environ={"ProgramData": str(tmp_path)})
    (tmp_path / "vmguest-exporter").mkdir()
    file = tmp_path / "vmguest-exporter" / "vmguest-exporter.err.log"
    assert f"no lines from {file}: No such file".encode() in members(guest, mask=False)["log.txt"]
    file.write_text("".join(f"line {number}\n" for number in range(201)))
    log = members(guest, mask=False)["log.txt"].decode()
    assert log.startswith("line 1\n")
    assert log.endswith("line 200\n")


FILES = [Member("a.txt", "the first", b"abc"), Member("b.txt", "the second", b"")]


def test_what_it_will_hold_is_shown_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    shown: list[str] = []

    def confirm(question: str) -> bool:
        assert question == f"Write {path}?"
        assert not path.exists()
        assert shown == [
            f"\n{path} will hold:",
            "  a.txt                3 bytes  the first",
            "  b.txt                0 bytes  the second",
        ]
        return True

    assert write(path, FILES, confirm=confirm, show=shown.append)
    assert shown[-1] == f"{path} is written"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["vmguest-exporter-doctor/a.txt", "vmguest-exporter-doctor/b.txt"]
        file = archive.extractfile("vmguest-exporter-doctor/a.txt")
        assert file is not None
        assert file.read() == b"abc"


def test_who_says_no_gets_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    shown: list[str] = []
    assert not write(path, FILES, confirm=lambda question: False, show=shown.append)
    assert not path.exists()
    assert shown[-1] == "nothing was written"


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        write(path, FILES, confirm=lambda question: True, show=lambda words: None)
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--bundle=.*No such file"):
        write(tmp_path / "no" / "x.tar.gz", FILES, confirm=lambda question: True, show=lambda words: None)
