"""``doctor --bundle``: everything that a maintainer needs to help, in one archive, without names unless asked."""

from __future__ import annotations

import io
import os
import platform
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter import __version__
from exporter.config import shown
from exporter.doctor import report
from exporter.doctor.finding import Finding
from exporter.doctor.world import World
from exporter.errors import ConfigError, ProtocolError, RpcError, TransportError, VMGuestError
from exporter.machine import system
from exporter.masking import Masker
from exporter.protocol import appmonitor
from exporter.protocol.appmonitor import Verb
from exporter.session.record import Exchange, Recorder, TapConnector, masked, survey
from exporter.session.wire import Channel, WireSource

UNIT = "vmguest-exporter"
"""Name of the service whose log is taken: systemd's unit, or what WinSW runs on Windows."""
EXISTS = "exists; a bundle never replaces a file"
LOG_LINES = 200
PACKAGES = (
    "prometheus-client",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "waitress",
    "grpcio",
    "protobuf",
)
FOLDER = "vmguest-exporter-doctor"


class Member(NamedTuple):
    """One file of the bundle, and in a few words what it holds."""

    name: str
    what: str
    content: bytes


@dataclass
class BundleContents:
    """What goes into the bundle."""

    world: World
    findings: Sequence[Finding]
    source: str
    time: str
    seconds: float

    def members(self, *, mask: bool) -> list[Member]:
        """Every file, with names masked or as they are."""
        masker = Masker(_names(self.world)) if mask else None

        def text(words: str) -> bytes:
            return (masker.text(words) if masker else words).encode()

        replies = self._replies(masker)
        members = [
            Member(
                "findings.txt",
                "what doctor has found",
                text(report.text(self.findings, seconds=self.seconds)),
            ),
            Member(
                "findings.json",
                "the same with all facts",
                text(report.as_json(self.findings, source=self.source, time=self.time, seconds=self.seconds)),
            ),
            Member(
                "versions.txt",
                "versions of exporter, Python, kernel, system and packages",
                text(self._versions()),
            ),
            Member("settings.txt", "the settings, without secrets", text(self._settings())),
            Member("replies.rec", "a raw reply of the host of each kind", replies),
            Member("log.txt", f"the last {LOG_LINES} lines of the exporter's log", text(self._log())),
        ]
        how = "masked: MAC and IP addresses, uuids, host names, pool paths" if mask else "not masked"
        listing = "".join(f"{each.name:<14}{each.what}\n" for each in members)
        return [Member("README.txt", "this list", f"{self.time}, {how}.\n\n{listing}".encode()), *members]

    def _versions(self) -> str:
        lines = {
            "vmguest-exporter": __version__,
            "python": sys.version.replace("\n", " "),
            "kernel": self.world.kernel,
            "machine": self.world.machine,
            "libc": " ".join(platform.libc_ver()) or "none",
            "container": self.world.container or "none",
        }
        for package in PACKAGES:
            with suppress(PackageNotFoundError):
                lines[package] = version(package)
        facts = "".join(f"{name}: {value}\n" for name, value in lines.items())
        return f"{facts}\n{self.world.read('etc/os-release')}\n"

    def _settings(self) -> str:
        if self.world.config_error is not None:
            return "\n".join(("can't be used:", *self.world.config_error.problems, ""))
        given = sorted(name for name in self.world.environ if name.startswith(("VMGUEST_", "OTEL_")))
        settings = "".join(f"{name} = {value}\n" for name, value in shown(self.world.settings).items())
        return f"{settings}\nvariables that are set, without their values: {', '.join(given) or 'none'}\n"

    def _log(self) -> str:
        if self.world.system.windows:
            return self._log_of_winsw()
        ran = self.world.run(
            ["journalctl", "--unit", UNIT, "--lines", str(LOG_LINES), "--no-pager", "--output", "cat"]
        )
        if ran.status != 0 or not ran.out:
            return f"no lines from journalctl --unit {UNIT}: {ran.err or ran.out or 'it has none'}\n"
        return ran.out + "\n"

    def _log_of_winsw(self) -> str:
        """By ``logpath`` in the configuration of the Windows service, and docs/windows.md."""
        folder = self.world.environ.get("ProgramData", r"C:\ProgramData")
        file = Path(folder, UNIT, f"{UNIT}.err.log")
        try:
            lines = file.read_text("utf-8", "replace").splitlines()
        except OSError as error:
            return f"no lines from {file}: {error.strerror}\n"
        return "\n".join(lines[-LOG_LINES:]) + "\n"

    def _replies(self, masker: Masker | None) -> bytes:
        """A recording of one question of each kind; empty but for its head where the host is not to be asked."""
        file = io.BytesIO()
        change: Callable[[Exchange], Exchange] | None = None
        if masker is not None:
            change = lambda exchange: masked(exchange, masker)  # noqa: E731
        recorder = Recorder(file, 0.0, change=change, clock=self.world.clock, wall=self.world.wall)
        if self.world.may_ask and self.world.answer is not None:
            tap = TapConnector(self.world.connector(), recorder, clock=self.world.clock)
            source = WireSource(tap, self.world.host_limit)
            # Whatever goes wrong is in the recording.
            with suppress(VMGuestError):
                with suppress(RpcError, ProtocolError):
                    source.read()
                survey(source)
            source.close()
            _ask_ha(Channel(tap, self.world.host_limit))
        recorder.end()
        return file.getvalue()


def _ask_ha(channel: Channel) -> None:
    with suppress(TransportError):
        for verb in (Verb.IS_ENABLED, Verb.GET_APP_STATUS):
            with suppress(RpcError, ProtocolError):
                channel.call(appmonitor.command(verb))
    channel.close()


def _names(world: World) -> Iterator[str]:
    """Names of this machine and of those that the settings speak of."""
    node = system.host_name()
    yield node
    yield node.partition(".")[0]
    for endpoint in filter(None, (world.settings.otlp.endpoint, world.settings.otlp.metrics_endpoint)):
        yield urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname or ""
    yield from (address.host for address in world.settings.web.listen)
    yield from (world.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER"))


def write(
    path: Path, members: Sequence[Member], *, confirm: Callable[[str], bool], show: Callable[[str], None]
) -> bool:
    """Show what the bundle holds, ask, and write it, readable by its owner only; whether it was written.

    Raises:
        ConfigError: it can't be written.
    """
    show(f"\n{path} will hold:")
    for each in members:
        show(f"  {each.name:<14}{len(each.content):>8} bytes  {each.what}")
    if not confirm(f"Write {path}?"):
        show("nothing was written")
        return False
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for each in members:
                entry = tarfile.TarInfo(f"{FOLDER}/{each.name}")
                entry.size = len(each.content)
                archive.addfile(entry, io.BytesIO(each.content))
    except FileExistsError as error:
        raise ConfigError(f"--bundle={path}: {EXISTS}") from error
    except OSError as error:
        raise ConfigError(f"--bundle={path}: {error.strerror}") from error
    show(f"{path} is written")
    return True
