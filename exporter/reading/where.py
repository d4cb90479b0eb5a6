"""``--from``, ``--for``, ``--url`` and their like: which place the commands read."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from exporter import log
from exporter.config import Settings, argument
from exporter.config.values import Duration
from exporter.errors import ConfigError, Problems
from exporter.machine.system import HERE, UNIX_SOCKETS
from exporter.reading.base import NoAnswer, Place
from exporter.reading.client import at_socket, at_url
from exporter.reading.host import followed, measured

SOCKET = "/run/vmguest-exporter/api.sock"
"""Where the unit's exporter answers."""
UNIT = Path("/etc/systemd/system/multi-user.target.wants/vmguest-exporter.service")
"""There while the unit is enabled."""

duration = argument.duration(Duration(0.1, 3600.0))
"""A length of time, for argparse."""


def add_arguments(parser: ArgumentParser, seconds: str | None = "10s") -> None:
    """``seconds``: how long a host is read without ``--for``; None: the command reads on and on."""
    parser.add_argument(
        "--from",
        dest="place",
        metavar="PLACE",
        choices=("auto", "exporter", "host"),
        default="auto",
        help=HERE.told("exporter, host, or auto (an exporter if set up)", UNIX_SOCKETS, "exporter"),
    )
    if seconds is not None:
        parser.add_argument(
            "--for",
            dest="seconds",
            metavar="DURATION",
            type=duration,
            default=seconds,
            help="how long a host is read; default: %(default)s",
        )
    parser.add_argument("--url", help="another exporter; also --user, --password-file, --ca")
    for action in (
        parser.add_argument("--user", metavar="NAME", help="login at --url"),
        parser.add_argument("--password-file", metavar="FILE", type=argument.file, help="password at --url"),
        parser.add_argument(
            "--ca",
            metavar="FILE",
            type=argument.file,
            help="certificates (PEM) that --url is checked against",
        ),
    ):
        vars(action)["aside"] = True


def open_reading(
    args: Namespace,
    settings: Settings,
    *,
    interval: float | None = None,
    strict: bool = False,
    unit: Path = UNIT,
) -> Place:
    """The place that the arguments name. ``interval``: follow a host at this pace; None: read it for ``--for``.

    ``strict``: where an exporter is set up and does not answer, nothing else is looked at.

    Raises:
        ConfigError: contradictions.
        NoAnswer: the exporter that was asked for does not answer.
        VMGuestError: there is no host to read.
    """
    exporter = _exporter(args, settings, unit)
    if exporter is not None and (strict or args.place == "exporter" or args.url is not None):
        return exporter
    if exporter is not None:
        try:
            exporter.document()
        except NoAnswer as error:
            print(f"vmguest-exporter: {error}; reading the host instead", file=sys.stderr)
        else:
            return exporter
    return followed(settings, interval) if interval is not None else measured(settings, args.seconds)


def contradictions(args: Namespace) -> list[str]:
    """Arguments about the place that can't be together."""
    found = []
    if args.url is not None and args.place == "host":
        found.append("--url has no effect with --from=host")
    if args.url is None:
        for flag, value in (
            ("--user", args.user),
            ("--password-file", args.password_file),
            ("--ca", args.ca),
        ):
            if value is not None:
                found.append(f"{flag} has no effect without --url")
        if args.place == "exporter" and UNIX_SOCKETS in HERE.lacks:
            found.append(
                f"--from=exporter: {HERE.lacks[UNIX_SOCKETS]}; name it instead: --url=http://localhost:10052"
            )
    return found


def wrong_settings(
    args: Namespace | None, _settings: object = None, _environ: object = None, _unread: object = ()
) -> list[str]:
    """What is wrong with ``--url`` and its like, and would be found by whoever opens it."""
    found = Problems()
    if args is not None and args.url is not None and args.place != "host":
        with found.gather():
            at_url(args.url, args.user, args.password_file, args.ca)
    return found


def _exporter(args: Namespace, settings: Settings, unit: Path) -> Place | None:
    """The exporter to ask; None: the host is to be read."""
    if found := contradictions(args):
        raise ConfigError(*found)
    if args.url is not None:
        return at_url(args.url, args.user, args.password_file, args.ca)
    if args.place == "host" or UNIX_SOCKETS in HERE.lacks:
        return None
    path = settings.api.socket or SOCKET
    metrics = settings.web.telemetry_path
    if args.place == "exporter":
        return at_socket(path, metrics)
    # Who names a source, a scenario or a host's socket means that host.
    if settings.source != "auto" or settings.guestrpc.socket is not None:
        return None
    set_up = settings.api.socket is not None or _is_there(Path(path)) or unit.is_symlink()
    return at_socket(path, metrics) if set_up else None


def _is_there(path: Path) -> bool:
    """Also where this user may not look: the folder of a unit with a passing user is root's alone."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def quiet(settings: Settings) -> None:
    """Only errors into the log: what a person asked for stands on standard output; ``--log.level=debug`` is heard."""
    if settings.log.level != "debug":
        log.set_up("error", settings.log.format)
