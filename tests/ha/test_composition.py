"""How a serving exporter comes by its heartbeats, or does without: :mod:`exporter.ha.start`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from exporter import app, files
from exporter.config.places import Address
from exporter.config.settings import GuestRpc, Ha, RawTable, Settings, Web
from exporter.errors import ConfigError, VMGuestError
from exporter.ha import check_types, lock
from exporter.ha.health import HealthSummary
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.kept_checks import KeptChecks
from exporter.ha.rules import Leftover
from exporter.ha.running_clock import RunningClock
from exporter.ha.start import Listening, start
from exporter.ha.stop_note import StopNote
from exporter.machine import hypervisor
from exporter.machine.hypervisor import Hypervisor
from exporter.machine.systemd import Notifier
from exporter.metrics.families import Family
from exporter.metrics.published import Families, Published
from exporter.outputs.prometheus import as_metric
from exporter.snapshot import PollState

PATIENCE = 60.0
SIMULATED = Settings(
    source="simulated",
    web=Web(listen=(Address("127.0.0.1", 0),)),
    ha=Ha(enabled=True, interval=1.0),
)


class FakeHeartbeat:
    """Takes note of what it is made with."""

    made: list[FakeHeartbeat]

    def __init__(
        self,
        settings: HeartSettings,
        judge: Callable[[], HealthSummary],
        *_: object,
        required: bool,
        fatal: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.required, self.fatal, self.tell = settings, required, fatal, tell
        self.judge = judge
        self.calls: list[str] = []
        FakeHeartbeat.made.append(self)

    def start(self) -> None:
        self.calls.append("start")

    confirmed = True

    def stop(self) -> bool:
        self.calls.append("stop")
        return self.confirmed

    def families(self) -> list[Family]:
        return []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[FakeHeartbeat]:
    FakeHeartbeat.made = []
    monkeypatch.setattr("exporter.ha.start.Heartbeat", FakeHeartbeat)
    return FakeHeartbeat.made


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "detect", lambda: Hypervisor("KVM", "DMI"))


def compose(
    settings: Settings,
    parts: ExitStack,
    server: Any = None,
    tell: Callable[[str], None] = lambda _text: None,
    web: Listening | None = None,
) -> list[Families]:
    added: list[Families] = []
    published = Published(lambda: PollState(interval=5.0))
    published.add = added.append  # type: ignore[method-assign, assignment]
    start(settings, published, server, web, parts, tell)
    return added


def value(families: Families, name: str) -> float:
    return next(
        sample.value for family in families() for sample in as_metric(family).samples if sample.name == name
    )


def test_a_simulated_host_is_beaten_and_handed_back_before_anything_else_ends(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "exporter")
    published: list[Any] = []

    def starts(settings: Settings, what: Published, *rest: Any) -> None:
        published.append(what)
        start(settings, what, *rest)

    monkeypatch.setattr("exporter.ha.start.start", starts)
    with ExitStack() as parts:
        poller = app.start(SIMULATED, {}, Notifier({}), parts, pytest.fail)
        deadline = time.monotonic() + PATIENCE
        happened: list[tuple[str, str]] = []
        # It is told after it is logged.
        while ("heartbeat", "vSphere HA sees this application as Green.") not in happened:
            assert time.monotonic() < deadline, happened
            time.sleep(0.01)
            happened = [(entry.kind, entry.text) for entry in published[0].insight.timeline]
        polls = poller.state.polls
        assert polls > 0
        assert happened[0] == ("start", "The exporter started.")
        assert "sees this application as Green" in caplog.text
    assert "Monitoring is off, confirmed by the host." in caplog.text


@pytest.mark.usefixtures("elsewhere")
def test_without_vmware_statistics_go_on_without_heartbeats(
    fake: list[FakeHeartbeat], caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as parts:
        (families,) = compose(Settings(ha=Ha(enabled=True)), parts)
        assert value(families, "vmguest_ha_enabled") == 0
    assert fake == []
    assert (
        "no heartbeats: this machine is not a VMware guest. Heartbeats need a VMware guest on ESXi"
        in caplog.text
    )


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("why", ["left on", "no files"])
def test_a_machine_that_beat_in_this_boot_is_a_guest_though_that_can_not_be_read_for_now(
    fake: list[FakeHeartbeat], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """To go on without heartbeats would be a reset: it fails, and whoever starts it starts it again."""
    path = str(tmp_path / "ha.lock")
    held = lock.acquire(path)
    assert held is not None
    held.note(Leftover.MONITORING if why == "left on" else Leftover.NOTHING)
    held.release()
    settings = Settings(ha=Ha(enabled=True, lock_file=path))
    if why == "no files":

        def short(*_: object, **__: object) -> None:
            raise OSError(errno.ENFILE, "Too many open files in system")

        monkeypatch.setattr(files, "read_bytes", short)
    with ExitStack() as parts, pytest.raises(VMGuestError, match="monitoring was on in this boot") as caught:
        compose(settings, parts)
    assert not isinstance(caught.value, ConfigError)
    assert fake == []


def test_what_checks_had_found_before_a_crash_goes_on(fake: list[FakeHeartbeat], tmp_path: Path) -> None:
    """Else an exporter that is restarted again and again would never come to a bad verdict."""
    path = str(tmp_path / "ha.lock")
    table: dict[str, Any] = {"name": "shop", "type": "file", "path": str(tmp_path / "none"), "interval": "1h"}
    (shop,) = check_types.read([RawTable(table, "x.toml", 3, {})], RunningClock())
    KeptChecks(path).write({"shop": shop.kept(0)._replace(failures=2, bad_for=12.5)})
    for dry_run, least in [(False, 2), (True, 0)]:
        ha = Ha(
            enabled=True,
            dry_run=dry_run,
            lock_file=path,
            checks=(RawTable({**table, "failures": 9}, "x.toml", 3, {}),),
        )
        with ExitStack() as parts:
            compose(Settings(guestrpc=GuestRpc(socket="/host"), ha=ha), parts)
            kept = fake[-1].judge().kept["shop"]
        assert kept.bad_for == (0 if dry_run else 12.5)
        # One look of its own may be over by now.
        assert kept.failures in {least, least + 1}


@pytest.mark.parametrize("checks_known", [True, False])
@pytest.mark.parametrize(("noted", "counts"), [("", 12.5), ("stop", 0.0), ("unknown", 0.0)])
def test_after_a_stop_that_was_cut_short_nothing_of_before_it_counts(
    fake: list[FakeHeartbeat], tmp_path: Path, checks_known: bool, noted: str, counts: float
) -> None:
    """Found by a stranger: a container was stopped, killed after 10 s and started again, and a reset came 10 s later."""
    path = str(tmp_path / "ha.lock")
    table: dict[str, Any] = {"name": "shop", "type": "file", "path": str(tmp_path / "none"), "interval": "1h"}
    (shop,) = check_types.read([RawTable(table, "x.toml", 3, {})], RunningClock())
    held = lock.acquire(path)
    assert held is not None
    held.note(Leftover.MONITORING, 12.5)
    held.release()
    if checks_known:
        KeptChecks(path).write({"shop": shop.kept(0)._replace(failures=2, bad_for=12.5)})
    note = StopNote(path)
    if noted == "unknown":
        note.path.mkdir()
    elif noted:
        assert note.write("1:1")
    ha = Ha(enabled=True, lock_file=path, checks=(RawTable(table, "x.toml", 3, {}),))
    with ExitStack() as parts:
        compose(Settings(guestrpc=GuestRpc(socket="/host"), ha=ha), parts)
        assert fake[-1].judge().kept["shop"].bad_for == counts


class Turning:
    """A web server whose loop turns."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def responds(self, limit: float) -> bool:
        self.asked.set()
        return limit > 0


def test_the_web_server_is_asked_for_its_health_where_there_is_one(fake: list[FakeHeartbeat]) -> None:
    settings, web = Settings(guestrpc=GuestRpc(socket="/host"), ha=Ha(enabled=True)), Turning()
    with ExitStack() as parts:
        compose(settings, parts, web=web)
        assert web.asked.wait(PATIENCE)
        assert fake[0].judge().checks.keys() == {"poll", "web"}
    with ExitStack() as parts:
        compose(settings, parts)
        assert fake[1].judge().checks.keys() == {"poll"}


@pytest.mark.usefixtures("elsewhere")
def test_required_without_vmware_is_fatal(fake: list[FakeHeartbeat]) -> None:
    with (
        ExitStack() as parts,
        pytest.raises(VMGuestError, match=r"--ha\.required: .*not a VMware guest") as caught,
    ):
        compose(Settings(ha=Ha(enabled=True, required=True)), parts)
    assert not isinstance(caught.value, ConfigError)


def test_a_recording_takes_no_heartbeats(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as parts:
        compose(Settings(source="replay", ha=Ha(enabled=True)), parts)
    assert "a recording takes no heartbeats" in caplog.text


@pytest.mark.usefixtures("elsewhere")
def test_a_dry_run_needs_no_host(fake: list[FakeHeartbeat]) -> None:
    with ExitStack() as parts:
        compose(Settings(ha=Ha(enabled=True, dry_run=True)), parts)
    assert fake[0].settings.dry_run
    assert fake[0].settings.socket is None


@pytest.mark.usefixtures("elsewhere")
def test_the_first_process_of_a_container_sends_no_heartbeats(
    fake: list[FakeHeartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by force: without an init a SIGTERM in its first moments is lost, and SIGKILL after it would be a reset."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    host = GuestRpc(socket="/host")
    with ExitStack() as parts, pytest.raises(ConfigError, match="docker run --init"):
        compose(Settings(guestrpc=host, ha=Ha(enabled=True)), parts)
    assert fake == []
    with ExitStack() as parts:
        compose(Settings(guestrpc=host, ha=Ha(enabled=True, dry_run=True)), parts)
    assert fake[0].settings.dry_run


def test_what_happens_in_a_dry_run_is_told_as_such(fake: list[FakeHeartbeat]) -> None:
    told: list[str] = []
    with ExitStack() as parts:
        compose(Settings(ha=Ha(enabled=True, dry_run=True)), parts, tell=told.append)
        fake[0].tell("Maintenance ended.")
    assert told == ["In the dry run: Maintenance ended."]


def test_orders_follow_the_settings(fake: list[FakeHeartbeat], tmp_path: Path) -> None:
    ha = Ha(
        enabled=True,
        required=True,
        interval=5.0,
        grace=7.0,
        on_unhealthy="disable",
        source="library",
        lock_file=str(tmp_path / "lock"),
    )
    with ExitStack() as parts:
        compose(Settings(guestrpc=GuestRpc(socket="/host"), ha=ha), parts)
        assert fake[0].settings == HeartSettings(
            interval=5.0,
            grace=7.0,
            on_unhealthy="disable",
            source="library",
            socket="/host",
            library=None,
            lock_file=str(tmp_path / "lock"),
            dry_run=False,
        )
        assert fake[0].required
        assert fake[0].calls == ["start"]
    assert fake[0].calls == ["start", "stop"]


def test_the_lock_is_one_for_the_machine(fake: list[FakeHeartbeat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypervisor, "detect", lambda: Hypervisor("VMware", "DMI"))
    with ExitStack() as parts:
        compose(Settings(ha=Ha(enabled=True)), parts)
    assert (fake[0].settings.lock_file, fake[0].settings.socket) == (lock.DEFAULT_PATH, None)


def test_what_shows_to_be_impossible_later_ends_the_exporter(
    fake: list[FakeHeartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    with pytest.raises(VMGuestError, match=r"--ha\.required: refused"), ExitStack() as parts:
        compose(Settings(guestrpc=GuestRpc(socket="/host"), ha=Ha(enabled=True, required=True)), parts)
        fake[0].fatal("refused")
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert fake[0].calls == ["start", "stop"], "monitoring is handed back all the same"


def test_an_end_that_is_not_confirmed_is_a_failure_of_the_program(
    fake: list[FakeHeartbeat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeHeartbeat, "confirmed", False)
    with pytest.raises(VMGuestError, match="not confirmed"), ExitStack() as parts:
        compose(Settings(guestrpc=GuestRpc(socket="/host"), ha=Ha(enabled=True)), parts)
