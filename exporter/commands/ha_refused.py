"""What ``Unknown command`` says to a single call: a host that is starting, or moving, says it of commands that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from exporter.commands.ha_desk import NOBODY_BEATS, TRIES, Desk
from exporter.errors import ConfigError, RpcError, VMGuestError
from exporter.ha.base import AppMonitor
from exporter.ha.hand_back import PAUSE
from exporter.ha.rules import Leftover
from exporter.protocol.appmonitor import AppState, AppStatus, Code

T = TypeVar("T")


class PassingRefusal(VMGuestError):
    """The host says that it has no such command, and has it, or may have."""


def ask(desk: Desk, call: Callable[[], T]) -> T:
    """Make ``call``; a refusal may be passing: only the last of a few is one.

    Raises:
        VMGuestError: the host's last word.
    """
    for _ in range(TRIES - 1):
        with suppress(RpcError):
            return call()
        desk.sleep(PAUSE)
    return call()


class Answering(AppMonitor):
    """``monitor``, and whether the host has answered a command: then it has them all."""

    def __init__(self, monitor: AppMonitor) -> None:
        self._monitor = monitor
        self.answered = False

    def _told(self, answer: T) -> T:
        self.answered |= answer is not Code.UNTOLD
        return answer

    def enable(self) -> Code:
        return self._told(self._monitor.enable())

    def disable(self) -> Code:
        return self._told(self._monitor.disable())

    def is_enabled(self) -> bool:
        return self._told(self._monitor.is_enabled())

    def mark_active(self) -> Code:
        return self._told(self._monitor.mark_active())

    def get_app_status(self) -> AppStatus:
        return self._told(self._monitor.get_app_status())

    def post_app_state(self, state: AppState) -> Code:
        return self._told(self._monitor.post_app_state(state))

    def close(self) -> None:
        self._monitor.close()


@contextmanager
def known_by(desk: Desk) -> Iterator[Desk]:
    """That the host has no such commands is said only where nothing speaks against it: no note of before, no other answer.

    Raises:
        PassingRefusal: monitoring may be on, in the place of an RpcError.
    """
    noted = may_be_on(desk)
    monitor = Answering(desk.monitor)
    try:
        yield replace(desk, monitor=monitor)
    except RpcError as error:
        if error.reason == "unknown_command" and (noted or monitor.answered or may_be_on(desk)):
            raise PassingRefusal(_sentence(desk, error)) from error
        raise


def answered(desk: Desk) -> bool:
    """Whether the host has answered a command of this call."""
    return isinstance(desk.monitor, Answering) and desk.monitor.answered


def may_be_on(desk: Desk) -> bool:
    """By what is noted, or that can't be seen."""
    try:
        noted = desk.leftover is not Leftover.NOTHING
    except ConfigError:
        noted = True
    return noted or bool(desk.unseen) or desk.hidden or desk.maintenance.left() is not None


def _sentence(desk: Desk, error: RpcError) -> str:
    if desk.unseen or desk.hidden:
        who = "whether somebody sends heartbeats can't be seen from here"
    elif desk.beats() and not desk.orphan():
        who = desk.silent() or f"{desk.heart} sends the heartbeats"
    else:
        who = f"nobody sends heartbeats: {NOBODY_BEATS}"
    state = "Maintenance is noted" if desk.maintenance.left() is not None else "Monitoring may be on"
    return (
        f"{str(error).rstrip('.')}. A host that is starting, or moving, says so for a while of commands that it has. {state}, and {who}. "
        "Try again in a few seconds"
    )
