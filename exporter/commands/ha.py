"""``vmguest-exporter ha …``: one call each, for scripts, maintenance and trials.

As VMware's ``vmware-appmonitor`` does, but with exit statuses that mean the same for every call (:data:`STATUSES`), and
never beside an exporter that beats: two heartbeaters mask each other.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from exporter.commands import ha_enable, ha_finish_stop, ha_maintenance
from exporter.commands.ha_desk import Desk
from exporter.commands.ha_refused import ask as repeat
from exporter.commands.ha_refused import known_by
from exporter.config import Settings
from exporter.config.values import Duration
from exporter.errors import (
    ConfigError,
    LibraryNotFound,
    LibraryStatus,
    NotVMwareError,
    Problems,
    RpcError,
    TransportError,
    VMGuestError,
)
from exporter.ha import lock, shared_lock
from exporter.ha.base import AppMonitor
from exporter.ha.explain import explain
from exporter.ha.heart import monitor_for
from exporter.ha.host_state import given_up
from exporter.ha.late import LATE
from exporter.ha.start import heart_settings
from exporter.machine.hypervisor import detect
from exporter.protocol.appmonitor import AppState, Code

OK, NO, USAGE, NOT_SUPPORTED, NOT_VMWARE, NO_CHANNEL, HELD, NOBODY, NOT_NOTED = range(9)

STATUSES: tuple[tuple[int, str, str], ...] = (
    (OK, "done; is-enabled, status: monitoring is on", "0; isEnabled: 1"),
    (
        NO,
        "the host refused, or answered nonsense, or the lock can't be had; is-enabled, status: monitoring is off; enable: not on yet",
        "1; isEnabled: 0",
    ),
    (USAGE, "wrong arguments or settings, or need-reset was not confirmed", "-"),
    (NOT_SUPPORTED, "the host has no such command: not ESXi, or no HA Application Monitoring", "4"),
    (NOT_VMWARE, "this machine is not a VMware guest", "2"),
    (NO_CHANNEL, "the host does not answer: no vsock, no library, no channel", "3"),
    (
        HELD,
        "an exporter sends the heartbeats of this VM: stop it first, or it did not react, or it (or its note) can't be seen",
        "-",
    ),
    (
        NOBODY,
        "no exporter is there to send heartbeats, or the one that is sends none; --unattended overrides",
        "-",
    ),
    (
        NOT_NOTED,
        (
            "the host did as asked, but the lock's directory takes no note of it; finish-stop: it takes none of a stop, so that this "
            "end is taken for a crash, and monitoring may be on"
        ),
        "-",
    ),
)
"""Exit status, meaning, and what vmware-appmonitor exits with (whose isEnabled exits 1 when enabled)."""


TAKE_BACK = "`vmguest-exporter ha post-app-state ok`, once it is there"
_USAGE = {
    "enable": "[--unattended] ",
    "disable": "[--for DURATION] ",
    "post-app-state": f"{'|'.join(state.value for state in AppState)} [--yes] ",
}
"""What a call takes, for the line of its usage."""


def add_arguments(parser: ArgumentParser) -> None:
    rows = "\n".join(f"  {status}  {meaning}  [{theirs}]" for status, meaning, theirs in STATUSES)
    parser.epilog = f"exit status, and in brackets that of VMware's vmware-appmonitor:\n{rows}\n"
    parser.formatter_class = RawDescriptionHelpFormatter
    calls = parser.add_subparsers(dest="call", required=True, metavar="CALL")
    enable = calls.add_parser("enable", help="end maintenance: a running exporter switches monitoring on")
    enable.add_argument(
        "--unattended", action="store_true", help="switch it on though nobody sends heartbeats"
    )
    disable = calls.add_parser(
        "disable",
        help="switch monitoring off, confirmed; a running exporter goes on publishing and leaves it off until `enable`, "
        "the end of --for, or a reboot",
    )
    disable.add_argument("--for", dest="seconds", metavar="DURATION", help="maintenance with an end: 30m, 2h")
    calls.add_parser(
        "status", help="who sends heartbeats, what the host expects, and until when maintenance lasts"
    )
    calls.add_parser(
        "finish-stop",
        help="for the unit's ExecStopPost=: switch monitoring off where an orderly stop was cut short",
    )
    calls.add_parser("is-enabled", help="whether monitoring is on")
    calls.add_parser("mark-active", help="one heartbeat")
    calls.add_parser("get-app-status", help="print green, red or gray")
    post = calls.add_parser("post-app-state", help="need-reset makes vSphere HA reset this machine now")
    post.add_argument("state", choices=[state.value for state in AppState])
    post.add_argument("--yes", action="store_true", help="need-reset without asking")
    parser.usage = "%(prog)s CALL [OPTION ...] [SETTING ...]"
    for name, call in calls.choices.items():
        call.usage = f"%(prog)s {_USAGE.get(name, '')}[SETTING ...]"


def run(
    args: Namespace,
    load: Callable[[], Settings],
    *,
    sleep: Callable[[float], None] = time.sleep,
    ask: Callable[[str], str] = input,
    interactive: Callable[[], bool] | None = None,
    vmware: Callable[[], bool] = lambda: detect().vmware,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Make the call; one of :data:`STATUSES`.

    Raises:
        ConfigError: settings that can't be used here.
    """
    settings = load()
    if found := wrong_settings(args, settings):
        raise ConfigError(*found)
    path = settings.ha.lock_file or lock.DEFAULT_PATH
    seconds = _duration(getattr(args, "seconds", None))
    try:
        with (
            _monitor(settings, path, vmware) as monitor,
            known_by(
                Desk(path, monitor, sleep, clock, _unseen(settings, path), settings.guestrpc.socket)
            ) as desk,
        ):
            match args.call:
                case "enable":
                    return ha_enable.enable(desk, unattended=args.unattended)
                case "disable":
                    return ha_maintenance.disable(desk, seconds)
                case "status":
                    return ha_maintenance.status(desk)
                case "finish-stop":
                    return ha_finish_stop.finish_stop(desk)
                case "mark-active":
                    return _mark_active(desk)
                case "is-enabled":
                    enabled = repeat(desk, monitor.is_enabled)
                    print("enabled" if enabled else "not enabled")
                    return OK if enabled else NO
                case "get-app-status":
                    print(repeat(desk, monitor.get_app_status).value)
                    return OK
                case _:
                    state = AppState(args.state)
                    if state is AppState.NEED_RESET and not _confirmed(
                        args.yes, interactive or _terminal, ask
                    ):
                        return USAGE
                    code = repeat(desk, lambda: monitor.post_app_state(state))
                    return _told(code, f"application state: {state.value}")
    except ConfigError:
        raise
    except VMGuestError as error:
        _complain(explain(error))
        if getattr(args, "state", "") == AppState.NEED_RESET.value and given_up(error):
            _complain(f"the host may still act on it, within {LATE:g} s: what takes it back is {TAKE_BACK}")
        return _status(error)


def contradictions(args: Namespace) -> list[str]:
    """Arguments that can't be used."""
    found = Problems()
    with found.gather():
        _duration(getattr(args, "seconds", None))
    return found


def wrong_settings(
    _args: Namespace | None, settings: Settings, _environ: object = None, unread: Collection[str] = ()
) -> list[str]:
    """Settings with which there is nobody to call. ``unread``: names of those whose value can't be known."""
    if settings.source not in {"simulated", "replay"} or "source" in unread:
        return []
    hint = "run `vmguest-exporter simulate --socket PATH` and use --guestrpc.socket=PATH"
    return [f"--source={settings.source} has no host for single calls; {hint}"]


@contextmanager
def _monitor(settings: Settings, path: str, vmware: Callable[[], bool]) -> Iterator[AppMonitor]:
    socket = settings.guestrpc.socket
    if settings.ha.source == "guestrpc" and socket is None and not vmware():
        # Elsewhere the other end of a vsock would be somebody else's host.
        raise NotVMwareError("this machine is not a VMware guest")
    monitor = monitor_for(heart_settings(settings, socket, path, dry_run=False))
    try:
        yield monitor
    finally:
        monitor.close()


def _unseen(settings: Settings, path: str) -> str:
    """Why the machine's lock can't be seen from here; empty where it can."""
    if settings.guestrpc.socket is None:
        try:
            shared_lock.check_shared(path)
        except ConfigError as error:
            return str(error)
    return shared_lock.elsewhere(path)


def _mark_active(desk: Desk) -> int:
    """One heartbeat, with the lock held: not while an exporter beats."""
    # Before the lock is taken: a heart that starts has it by then.
    if desk.hidden:
        _complain(f"nothing was sent: who holds the lock is {desk.heart}. Repeat this as root")
        return HELD
    if other := desk.unseen or desk.seen():
        _complain(other)
        return HELD
    held = desk.acquire()
    if held is None:
        _complain(f"{desk.heart} has the lock; two heartbeaters would mask each other. Stop it first")
        return HELD
    try:
        sent, code = desk.clock(), repeat(desk, desk.monitor.mark_active)
        if code is Code.OK:
            before = held.before
            held.note(before.leftover, before.bad_for, sent, before.late_until)
        return _told(code, "heartbeat taken")
    finally:
        held.release()


def _duration(text: str | None) -> float | None:
    """Seconds of ``--for``.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    kind = Duration(1.0, 30 * 24 * 3600.0)
    try:
        return kind.parse(text)
    except ValueError as error:
        hint = f" ({error})" if str(error) else ""
        raise ConfigError(f"--for={text}: expected {kind.expects}{hint}") from error


def _confirmed(yes: bool, interactive: Callable[[], bool], ask: Callable[[str], str]) -> bool:
    if yes:
        return True
    if not interactive():
        _complain(
            "need-reset makes vSphere HA reset this machine now: say --yes to go on without being asked"
        )
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
