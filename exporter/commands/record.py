"""``vmguest-exporter record FILE --for 10m``: the host's raw replies with their times, for ``--source=replay``."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from exporter.config import Settings, argument
from exporter.config.values import Duration
from exporter.errors import ConfigError, NoDeviceError, RefusedError, VMGuestError
from exporter.machine import guest
from exporter.masking import Masker
from exporter.session.base import Source
from exporter.session.choose import connector
from exporter.session.missing import MOST
from exporter.session.record import Recorder, TapConnector, masked, survey
from exporter.session.rounds import ExtendedReader
from exporter.session.wire import WireSource
from exporter.snapshot import Guest
from exporter.transport.base import Connector

_FOR = Duration(1.0, 7 * 86400.0)
_EXISTS = "exists; a recording never replaces a file"


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = "%(prog)s FILE [OPTION ...] [SETTING ...]"
    parser.add_argument(
        "file", metavar="FILE", type=argument.file, help="file to write; it must not exist yet"
    )
    parser.add_argument(
        "--for",
        metavar="DURATION",
        dest="seconds",
        type=argument.duration(_FOR),
        default="10m",
        help="default: %(default)s",
    )
    parser.add_argument(
        "--masked",
        action="store_true",
        help="without pool paths, names, MAC addresses and uuids, for recordings that you share",
    )


def run(
    args: Namespace,
    load: Callable[[], Settings],
    *,
    connect: Callable[[str], Connector] = connector,
    read_guest: Callable[[], Guest] = guest.read,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Record until the time is over or Ctrl-C; the exit status, 1 where the host never gave statistics.

    Raises:
        ConfigError: the file can't be written, or the settings name a source without raw replies.
        VMGuestError: there is no host to record.
    """
    settings = load()
    if found := wrong_settings(args, settings):
        raise ConfigError(*found)
    host = connect(settings.guestrpc.socket or "")
    masker = Masker()
    change = (lambda exchange: masked(exchange, masker)) if args.masked else None
    try:
        with args.file.open("xb") as file:
            recorder = Recorder(file, settings.poll.interval, change=change, clock=clock)
            source = WireSource(TapConnector(host, recorder, clock=clock), settings.guestrpc.timeout)
            reader = (
                ExtendedReader(settings.extended.interval, clock=clock) if settings.extended.enabled else None
            )
            print(
                f"recording to {args.file}, a poll every {settings.poll.interval:g} s; Ctrl-C ends it",
                file=sys.stderr,
            )
            done = _Session(
                source,
                reader,
                settings.poll.interval,
                clock,
                sleep,
                lambda: recorder.guest(read_guest()),
            )
            try:
                done.record(args.seconds)
            except KeyboardInterrupt:
                print("ended by Ctrl-C", file=sys.stderr)
            finally:
                source.close()
            recorder.end()
            size = file.tell()
    except FileExistsError as error:
        raise ConfigError(f"{args.file}: {_EXISTS}") from error
    except OSError as error:
        raise ConfigError(f"{args.file}: {error.strerror}") from error
    except (NoDeviceError, RefusedError):
        args.file.unlink()
        raise
    print(
        f"{args.file}: {done.polls} polls, {done.failed} of them failed, {recorder.exchanges} replies, {size} bytes\n"
        f"play it with: vmguest-exporter --source=replay --replay.file={args.file}"
    )
    return 0 if done.polls > done.failed else 1


def contradictions(args: Namespace) -> list[str]:
    """Why the file can't be written, as far as one can tell beforehand."""
    file: Path | None = args.file
    why = "" if file is None else argument.uncreatable(file, _EXISTS)
    return [f"{file}: {why}"] if why else []


def wrong_settings(
    _args: Namespace | None, settings: Settings, _environ: object = None, unread: Collection[str] = ()
) -> list[str]:
    """Settings with which there is nothing to record. ``unread``: names of those whose value can't be known."""
    if settings.source in {"auto", "guestrpc"} or "source" in unread:
        return []
    return [
        f"--source={settings.source} has no raw replies to record: they come over GuestRPC, leave --source out"
    ]


@dataclass
class _Session:
    source: Source
    reader: ExtendedReader | None
    interval: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    note_guest: Callable[[], None]
    polls: int = 0
    failed: int = 0

    def record(self, seconds: float) -> None:
        """Poll as the exporter does, for ``seconds``; at the first poll, everything in every encoding too. Where the host answers to
        none of that it is asked for at the next ones, :data:`MOST` times in all.

        Raises:
            NoDeviceError, RefusedError: at the first poll, where there is nothing to record then.
        """
        deadline = self.clock()
        end = deadline + seconds
        looks = MOST
        while True:
            self.polls += 1
            self.note_guest()
            try:
                snapshot = self.source.read()
                if looks:
                    # What the basic statistics are worth, and the rounds, does not hang on it.
                    looks = 0 if self._surveyed() else looks - 1
                if self.reader is not None:
                    self.reader.step(self.source, snapshot.session_id, deadline + self.interval)
            except (NoDeviceError, RefusedError):
                if self.polls == 1:
                    raise
                self.failed += 1
            except VMGuestError:
                self.failed += 1
            deadline += self.interval
            self.sleep(max(min(deadline, end) - self.clock(), 0.0))
            if deadline >= end:
                return

    def _surveyed(self) -> bool:
        """Ask for everything in every encoding; whether the host answers to any of it."""
        try:
            survey(self.source)
        except VMGuestError:
            return False
        return True
