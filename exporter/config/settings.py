"""Every setting, a row each: the flag, the variable, the TOML key, the help and the documentation follow from it.

To add one, add a row. Settings stop at :mod:`exporter.app` and the commands: other modules are handed the few
values they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import NamedTuple

from exporter import files
from exporter.config.options import Option, option, options
from exporter.config.places import (
    Address,
    Endpoint,
    Header,
    InputFile,
    ListenAddress,
    LockFile,
    SocketPath,
    UrlPath,
)
from exporter.config.values import Choice, Duration, Factor, Switch, ValueKind, Whole
from exporter.machine.system import HEARTBEATS, UNIX_SOCKETS, VSOCK

HOUR = 3600.0

_HA_LIMIT = "the host acts on 30s of silence, and one heartbeat must be allowed to fail"


class RawTable(NamedTuple):
    """One ``[[…]]`` table of the settings file, unread: whoever owns it checks it, and can name the line."""

    values: Mapping[str, object]
    file: str
    line: int
    lines: Mapping[str, int]

    def where(self, key: str = "") -> str:
        """``file:line``, for the front of a message."""
        return f"{self.file}:{self.lines.get(key, self.line)}"


POLL_INTERVAL = Duration(0.1, HOUR)


@dataclass(frozen=True, kw_only=True)
class Poll:
    interval: float = option(
        POLL_INTERVAL, "Time between two polls. A scrape never asks the host.", default="5s"
    )


@dataclass(frozen=True, kw_only=True)
class GuestRpc:
    socket: str | None = option(
        SocketPath(),
        "Speak GuestRPC over this unix socket (a simulated host).",
        default=None,
        unset="vsock to the hypervisor",
    )
    timeout: float = option(
        Duration(0.05, 30.0), "Time limit of one call to the host, connecting included.", default="2s"
    )


@dataclass(frozen=True, kw_only=True)
class Library:
    path: str | None = option(
        InputFile(),
        "VMware's guest library.",
        default=None,
        unset="libguestlib.so.0 or libvmGuestLib.so where the system finds it",
    )


@dataclass(frozen=True, kw_only=True)
class Simulated:
    scenario: str = option(
        ValueKind("NAME|FILE"),
        "What the simulated host does: a built-in scenario or a TOML file.",
        default="steady",
    )
    seed: int | None = option(
        Whole(0, 2**32 - 1),
        "Start of its random numbers; the same seed gives the same run.",
        default=None,
        unset="another one each time",
    )


@dataclass(frozen=True, kw_only=True)
class Replay:
    file: str | None = option(
        InputFile(files.RECORDING), "Recording to play with --source=replay.", default=None, unset="none"
    )
    speed: float = option(Factor(0.01, 1000.0), "How many times faster than it was recorded.", default="1")
    loop: bool = option(Switch(), "Begin again at the end of the recording.", default="false")


@dataclass(frozen=True, kw_only=True)
class Extended:
    enabled: bool = option(Switch(), "Read the extended statistics too.", default="true", flag="extended")
    interval: float = option(
        Duration(1.0, HOUR), "Time between two rounds over the extended statistics.", default="15s"
    )
    unknown: bool = option(
        Switch(),
        "Publish extended statistics that this release does not know, named by rule.",
        default="true",
    )


@dataclass(frozen=True, kw_only=True)
class Insight:
    histograms: bool = option(
        Switch(), "Histograms of stolen time and memory contention by sample of the host.", default="true"
    )


@dataclass(frozen=True, kw_only=True)
class Web:
    enabled: bool = option(Switch(), "Serve /metrics.", default="true", flag="web")
    listen: tuple[Address, ...] = option(
        ListenAddress(), "Address to listen on.", default=":10052", name="listen-address"
    )
    telemetry_path: str = option(UrlPath(), "Path of the metrics.", default="/metrics")
    config_file: str | None = option(
        InputFile(files.TEXT),
        "TLS and basic authentication, in the format of Prometheus's exporter-toolkit.",
        default=None,
        name="config.file",
        unset="plain HTTP",
    )
    disable_exporter_metrics: bool = option(Switch(), "Leave out process_* and python_*.", default="false")


@dataclass(frozen=True, kw_only=True)
class Api:
    enabled: bool = option(
        Switch(), "Answer top, show, check and report on a unix socket.", default="true", flag="api"
    )
    socket: str | None = option(
        SocketPath(),
        "That socket; mode 0660, group vmguest-exporter where there is one. The commands ask there too.",
        default=None,
        unset="api.sock in systemd's RuntimeDirectory, else none; the commands ask at /run/vmguest-exporter/api.sock",
    )


@dataclass(frozen=True, kw_only=True)
class Otlp:
    """None means "not given": then the standard OTEL_* variable counts, and the specification's default."""

    endpoint: str | None = option(
        Endpoint(),
        "OTLP receiver; giving one turns the push on.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_ENDPOINT, else no push",
    )
    metrics_endpoint: str | None = option(
        Endpoint(),
        "The whole URL for metrics, where it does not end in /v1/metrics; wins over the endpoint.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    )
    protocol: str | None = option(
        Choice("grpc", "http/protobuf"),
        "Protocol.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf",
    )
    headers: tuple[tuple[str, str], ...] = option(
        Header(),
        "Headers of each export. Flags can be read by every user of the machine: put secrets in a variable or the file.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_HEADERS",
    )
    interval: float | None = option(
        Duration(0.1, HOUR),
        "Time between two exports.",
        default=None,
        unset="OTEL_METRIC_EXPORT_INTERVAL, else 1m",
    )
    timeout: float | None = option(
        Duration(0.1, 300.0),
        "Time limit of one export as a whole, from the name look-up to the last byte of the answer.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_TIMEOUT, else 10s",
    )
    compression: str | None = option(
        Choice("none", "gzip"),
        "Compression.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_COMPRESSION, else none",
    )
    insecure: bool | None = option(
        Switch(),
        "Without TLS where the endpoint has no scheme.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_INSECURE, else to this machine only",
    )
    ca: str | None = option(
        InputFile(files.CERTIFICATES),
        "Certificates (PEM) that the receiver's is checked against.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_CERTIFICATE, else the system's",
    )
    cert: str | None = option(
        InputFile(files.CERTIFICATES),
        "Client certificate (PEM).",
        default=None,
        unset="OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    )
    key: str | None = option(
        InputFile(files.CERTIFICATES),
        "Key of the client certificate (PEM).",
        default=None,
        unset="OTEL_EXPORTER_OTLP_CLIENT_KEY",
    )
    temporality: str | None = option(
        Choice("cumulative", "delta", "lowmemory"),
        "Sums since the session's start, or since the last export.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, else cumulative",
    )
    histograms: str | None = option(
        Choice("explicit", "exponential"),
        "Buckets of histograms: those of the metrics page, or exponential ones, eight to a doubling.",
        default=None,
        unset="OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION, else explicit",
    )
    queue: float = option(
        Duration(0.0, 24 * HOUR),
        "How much is kept while the receiver is away, 1800 exports at most (some 50 MB); older ones are dropped and counted.",
        default="15m",
    )


@dataclass(frozen=True, kw_only=True)
class Ha:
    enabled: bool = option(
        Switch(), "Send heartbeats. When they stop, vSphere HA resets this machine.", default="false"
    )
    required: bool = option(Switch(), "Do not start where heartbeats are not possible.", default="false")
    dry_run: bool = option(
        Switch(), "Everything but the calls: log and count what would have happened.", default="false"
    )
    interval: float = option(Duration(1.0, 15.0, _HA_LIMIT), "Time between two heartbeats.", default="10s")
    max_poll_age: float = option(
        Duration(1.0, HOUR), "Health is bad when the last good poll is older than this.", default="30s"
    )
    grace: float = option(
        Duration(0.0, HOUR), "How long health must be bad before on-unhealthy happens.", default="30s"
    )
    on_unhealthy: str = option(
        Choice("withhold", "request-reset", "disable"),
        "Send no more heartbeats, ask for a reset at once, or hand monitoring back without a reset.",
        default="withhold",
    )
    source: str = option(
        Choice("guestrpc", "library"), "By which source heartbeats are sent.", default="guestrpc"
    )
    lock_file: str | None = option(
        LockFile(),
        "Lock that keeps a second heartbeater out.",
        default=None,
        unset="a fixed place for the whole machine",
    )
    checks: tuple[RawTable, ...] = ()
    """The ``[[ha.check]]`` tables, for :mod:`exporter.ha` to read."""


@dataclass(frozen=True, kw_only=True)
class Log:
    level: str = option(
        Choice("debug", "info", "warn", "error", warning="warn"),
        "Least severe lines to write, to stderr.",
        default="info",
    )
    format: str = option(Choice("logfmt", "json"), "Shape of a line.", default="logfmt")


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    file: str | None = option(InputFile(files.TEXT), "Settings file (TOML).", default=None, unset="none")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of them, checked. Built by :func:`exporter.config.load`; ``Settings()`` has every default."""

    source: str = option(
        Choice("auto", "guestrpc", "library", "simulated", "replay"),
        "Where statistics come from: auto tries guestrpc, then VMware's library, on VMware only.",
        default="auto",
    )
    poll: Poll = field(default_factory=Poll)
    guestrpc: GuestRpc = field(default_factory=GuestRpc)
    library: Library = field(default_factory=Library)
    simulated: Simulated = field(default_factory=Simulated)
    replay: Replay = field(default_factory=Replay)
    extended: Extended = field(default_factory=Extended)
    deprecated_metrics: bool = option(
        Switch(),
        "Publish statistics that VMware has deprecated, where the host still gives them.",
        default="false",
    )
    expose_identity: bool = option(
        Switch(),
        "Publish the resource pool's path and the BIOS uuid; hardening guides count them as fingerprints.",
        default="false",
    )
    insight: Insight = field(default_factory=Insight)
    experimental: bool = option(
        Switch(), "Publish what is still tried out: pauses of the whole VM.", default="false"
    )
    web: Web = field(default_factory=Web)
    api: Api = field(default_factory=Api)
    otlp: Otlp = field(default_factory=Otlp)
    ha: Ha = field(default_factory=Ha)
    log: Log = field(default_factory=Log)
    config: ConfigFile = field(default_factory=ConfigFile)
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Names of those that a flag, a variable or the file gives, be it the default."""


GROUPS: dict[str, type] = {
    name: type(value) for name, value in vars(Settings()).items() if is_dataclass(value)
}
"""Field of :class:`Settings` -> class, for whoever builds one from single values."""

CHAPTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Reading the host", ("source", "poll", "guestrpc", "library", "extended")),
    ("A simulated or recorded host", ("simulated", "replay")),
    ("What is published", ("deprecated-metrics", "expose-identity", "insight", "experimental")),
    ("Web and socket", ("web", "api")),
    ("OTLP push", ("otlp",)),
    ("vSphere HA heartbeats", ("ha",)),
    ("Running", ("log", "config")),
)
"""Headings of the help and the documentation, and which groups (or settings of no group) stand below."""


OPTIONS: tuple[Option, ...] = (
    *options(Settings),
    *(row for name, group in GROUPS.items() for row in options(group, name)),
)
BY_NAME: dict[str, Option] = {row.name: row for row in OPTIONS}


class Need(NamedTuple):
    """``what`` a system may lack (:attr:`exporter.machine.system.System.lacks`). ``value``: the one that needs it; empty:
    the setting as such. ``instead``: what to do.
    """

    what: str
    value: str = ""
    instead: str = "leave it out"


NEEDS: Mapping[str, Need] = {
    "source": Need(VSOCK, "guestrpc", "use --source=library, or leave it out"),
    "guestrpc.socket": Need(UNIX_SOCKETS),
    "api": Need(UNIX_SOCKETS),
    "ha": Need(HEARTBEATS),
}
"""Settings and groups that not every system can have: what is refused there at start, and what the help says of it."""


def need(name: str) -> Need | None:
    """Of a setting or table by its dotted name."""
    return NEEDS.get(name) or NEEDS.get(name.partition(".")[0])


def chapter(groups: tuple[str, ...]) -> list[Option]:
    """The options below one heading, in the order of the table."""
    return [row for group in groups for row in OPTIONS if (row.group or row.name) == group]


def shown(settings: Settings) -> dict[str, str]:
    """Every setting by its dotted name as text, secrets hidden: for logs, ``doctor`` and bug reports."""
    return {
        row.name: row.show(getattr(getattr(settings, row.group) if row.group else settings, row.field))
        for row in OPTIONS
    }
