"""``vmguest-exporter ha …``: one call each, for scripts, maintenance and rehearsals.

As VMware's ``vmware-appmonitor`` does, but with exit statuses that mean the same for every call (:data:`STATUSES`), and
never beside an exporter that beats: two heartbeaters mask each other.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.config import Settings
from exporter.errors import (
    ConfigError,
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    RpcError,
    TransportError,
    VMGuestError,
)
from exporter.ha import lock
from exporter.ha.base import AppMonitor
from exporter.ha.explain import explain
from exporter.ha.heart import monitor_for
from exporter.ha.heart_settings import HeartSettings
from exporter.ha.rules import Leftover, Rules
from exporter.machine.hypervisor import detect
from exporter.protocol.appmonitor import AppState, Code

OK, NO, USAGE, NOT_SUPPORTED, NOT_VMWARE, NO_CHANNEL, HELD = range(7)

STATUSES: tuple[tuple[int, str, str], ...] = (
    (OK, "done; is-enabled: monitoring is on", "0; isEnabled: 1"),
    (NO, "the host refused, or answered nonsense; is-enabled: monitoring is off", "1; isEnabled: 0"),
    (USAGE, "wrong arguments or settings, or need-reset was not confirmed", "-"),
    (NOT_SUPPORTED, "the host has no such command: no ESXi, or no HA Application Monitoring", "4"),
    (NOT_VMWARE, "this machine is no VMware guest", "2"),
    (NO_CHANNEL, "the host does not answer: no vsock, no library, no channel", "3"),
    (HELD, "an exporter sends the heartbeats of this VM; stop it first", "-"),
)
"""Exit status, meaning, and what vmware-appmonitor exits with (whose isEnabled exits 1 when enabled)."""

ATTEMPTS = 5
"""Of Disable, a second apart, until the host confirms it."""


def add_arguments(parser: ArgumentParser) -> None:
    rows = "\n".join(f"  {status}  {meaning}  [{theirs}]" for status, meaning, theirs in STATUSES)
    parser.epilog = f"exit status, and in brackets that of VMware's vmware-appmonitor:\n{rows}\n"
    parser.formatter_class = RawDescriptionHelpFormatter
    calls = parser.add_subparsers(dest="call", required=True, metavar="CALL")
    calls.add_parser("enable", help="switch monitoring on: from now on a heartbeat is due every 30 s")
    calls.add_parser(
        "disable",
        help="switch monitoring off, confirmed; stops the heartbeats of a running exporter first, which goes on "
        "publishing and beats again after a restart",
    )
    calls.add_parser("is-enabled", help="whether monitoring is on")
    calls.add_parser("mark-active", help="one heartbeat")
    calls.add_parser("get-app-status", help="print green, red or gray")
    post = calls.add_parser("post-app-state", help="need-reset has vSphere HA reset this machine now")
    post.add_argument("state", choices=[state.value for state in AppState])
    post.add_argument("--yes", action="store_true", help="need-reset without asking")


def run(
    args: Namespace,
    load: Callable[[], Settings],
    *,
    sleep: Callable[[float], None] = time.sleep,
    ask: Callable[[str], str] = input,
    interactive: Callable[[], bool] | None = None,
    vmware: Callable[[], bool] = lambda: detect().vmware,
    proc: Path = Path("/proc"),
) -> int:
    """Make the call; one of :data:`STATUSES`.

    Raises:
        ConfigError: settings that can't be used here.
    """
    settings = load()
    path = settings.ha.lock_file or lock.DEFAULT_PATH
    try:
        with _monitor(settings, path, vmware) as monitor:
            match args.call:
                case "enable" | "mark-active":
                    return _alone(path, monitor, args.call)
                case "disable":
                    return _disable(path, monitor, sleep, proc)
                case "is-enabled":
                    enabled = monitor.is_enabled()
                    print("enabled" if enabled else "not enabled")
                    return OK if enabled else NO
                case "get-app-status":
                    print(monitor.get_app_status().value)
                    return OK
                case _:
                    state = AppState(args.state)
                    if state is AppState.NEED_RESET and not _confirmed(
                        args.yes, interactive or _terminal, ask
                    ):
                        return USAGE
                    return _told(monitor.post_app_state(state), f"application state: {state.value}")
    except ConfigError:
        raise
    except VMGuestError as error:
        _complain(explain(error))
        return _status(error)


@contextmanager
def _monitor(settings: Settings, path: str, vmware: Callable[[], bool]) -> Iterator[AppMonitor]:
    ha, socket = settings.ha, settings.guestrpc.socket
    if settings.source in {"simulated", "replay"}:
        raise ConfigError(
            f"--source={settings.source} has no host for single calls; run `vmguest-exporter simulate --socket PATH` and "
            "use --guestrpc.socket=PATH"
        )
    if ha.source == "guestrpc" and socket is None and not vmware():
        # Elsewhere the other end of a vsock would be somebody else's host.
        raise NotVMwareError("this machine is not a VMware guest")
    heart_settings = HeartSettings(
        interval=ha.interval,
        grace=ha.grace,
        on_unhealthy=ha.on_unhealthy,
        source=ha.source,
        socket=socket,
        library=None,
        lock_file=path,
        dry_run=False,
    )
    monitor = monitor_for(heart_settings)
    try:
        yield monitor
    finally:
        monitor.close()


def _alone(path: str, monitor: AppMonitor, call: str) -> int:
    """Enable or MarkActive, with the lock held: not while an exporter beats."""
    held = lock.acquire(path)
    if held is None:
        _complain(
            f"an exporter sends the heartbeats of this VM (its heart is pid {lock.holder(path) or 'unknown'}); two "
            "would mask each other. Stop it first"
        )
        return HELD
    try:
        if call == "mark-active":
            return _told(monitor.mark_active(), "heartbeat taken")
        # An exporter that starts from now on takes it over.
        held.note(Leftover.MONITORING)
        return _told(
            monitor.enable(), "monitoring is on: a heartbeat is due every 30 s, or vSphere HA resets this VM"
        )
    finally:
        held.release()


def _disable(path: str, monitor: AppMonitor, sleep: Callable[[float], None], proc: Path) -> int:
    _stop_heart(path, sleep, proc)
    code = Code.OK
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(1.0)
        try:
            code = monitor.disable()
            if not monitor.is_enabled():
                _forget(path)
                print("monitoring is off, confirmed by the host")
                return OK
        except (TransportError, LibraryStatus):
            # An RpcError is the host's last word; a lost connection is not.
            if attempt == ATTEMPTS - 1:
                raise
    _complain(f"monitoring is still on after {ATTEMPTS} attempts; to Disable the host answered {code.words}")
    return NO


def _stop_heart(path: str, sleep: Callable[[float], None], proc: Path) -> None:
    """Ask a running heart to stop in an orderly way: else it would switch monitoring on again."""
    pid = lock.holder(path)
    if pid is None:
        return
    try:
        # The file may be stale in ways that nobody foresaw, and a signal is not to be taken back.
        is_heart = b"exporter.ha.heart" in (proc / str(pid) / "cmdline").read_bytes()
        if is_heart:
            os.kill(pid, signal.SIGTERM)
    except OSError:
        is_heart = False
    if not is_heart:
        _complain(
            "an exporter sends the heartbeats of this VM and can't be told to stop from here (another user's, or in a "
            "container): stop it too, or it will switch monitoring on again"
        )
        return
    deadline = time.monotonic() + Rules().stop_limit
    while lock.holder(path) is not None and time.monotonic() < deadline:
        sleep(0.05)
    print(f"the exporter's heart (pid {pid}) has stopped; restart the exporter to have heartbeats again")


def _forget(path: str) -> None:
    """Nothing is left for a later exporter to take over."""
    if Path(path).exists():
        with suppress(ConfigError):
            held = lock.acquire(path)
            if held is not None:
                held.note(Leftover.NOTHING)
                held.release()


def _confirmed(yes: bool, interactive: Callable[[], bool], ask: Callable[[str], str]) -> bool:
    if yes:
        return True
    if not interactive():
        _complain("need-reset has vSphere HA reset this machine now: say --yes to go on without being asked")
        return False
    with suppress(EOFError):
        if ask("This has vSphere HA RESET THIS MACHINE now. Type reset to go on: ").strip() == "reset":
            return True
    _complain("nothing was done")
    return False


def _terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _told(code: Code, done: str) -> int:
    if code is Code.OK:
        print(done)
        return OK
    _complain(f"the host answered {code.words}")
    return NO


def _status(error: VMGuestError) -> int:
    match error:
        case RpcError():
            return NOT_SUPPORTED if error.reason == "unknown_command" else NO
        case NotVMwareError():
            return NOT_VMWARE
        case TransportError() | LibraryNotFound() | LibraryStatus():
            return NO_CHANNEL
        case _:
            return NO


def _complain(sentence: str) -> None:
    print(f"vmguest-exporter: {sentence}", file=sys.stderr)
