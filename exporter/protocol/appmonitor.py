"""HA Application Monitoring: the six commands, and what the host says to them.

A command is ``GuestAppMonitor.Cmd.`` and a verb, without a trailing space; PostAppState alone has an argument,
after one space. The data of a reply is a code (``0`` to ``5``), except for IsEnabled (``true`` or ``false``)
and GetAppStatus (a word). VMware's library folds the codes 1 to 5 into one; here they are told apart.
Sources: open-vm-tools lib/include/vmGuestAppMonitorLib.h, libappmonitor/vmGuestAppMonitorLib.c and
vmGuestAppMonitorLibInt.h; "Guest and HA Application Monitoring SDK Programming Guide" 6.0 to 8.0.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum

from exporter.errors import RemoteProtocolError, RpcError
from exporter.protocol.rpci import words

PREFIX = "GuestAppMonitor.Cmd."


class Verb(Enum):
    """What can be asked of the host; the value is the word on the wire."""

    ENABLE = "Enable"
    DISABLE = "Disable"
    IS_ENABLED = "IsEnabled"
    MARK_ACTIVE = "MarkActive"
    GET_APP_STATUS = "GetAppStatus"
    POST_APP_STATE = "PostAppState"


class Code(IntEnum):
    """The host's answer to Enable, Disable, MarkActive and PostAppState (vmGuestAppMonitorLibInt.h)."""

    OK = 0
    INTERNAL_ERROR = 1
    NOT_ENABLED = 2
    ARGUMENT_EXPECTED = 3
    NULL_ARGUMENT = 4
    BAD_ARGUMENT = 5
    UNTOLD = -1
    """Any of 1 to 5: VMware's library says only OTHER. Never on the wire."""

    @property
    def words(self) -> str:
        """For a sentence that begins with "the host answered"."""
        return _WORDS[self]


_WORDS = {
    Code.OK: "0 (ok)",
    Code.INTERNAL_ERROR: "1 (internal error)",
    Code.NOT_ENABLED: "2 (monitoring is not enabled)",
    Code.ARGUMENT_EXPECTED: "3 (argument expected)",
    Code.NULL_ARGUMENT: "4 (argument is null)",
    Code.BAD_ARGUMENT: "5 (bad argument)",
    Code.UNTOLD: "no, and VMware's library does not pass on why",
}


class AppStatus(Enum):
    """How vSphere HA sees the application; the value is the ``status`` label."""

    GREEN = "green"
    """Heartbeats arrive."""
    RED = "red"
    """Heartbeats have stopped: HA resets the VM, asynchronously."""
    GRAY = "gray"
    """Monitoring is off or was lost: never enabled, disabled, or another host since vMotion."""


class AppState(Enum):
    """What PostAppState tells the host; the value is the word of ``ha post-app-state``."""

    OK = "ok"
    NEED_RESET = "need-reset"

    @property
    def spellings(self) -> tuple[str, str]:
        """On the wire: as VMware's command and the vSphere API write it, then as the guide's table does.

        Which of the two ESXi takes is not documented. A host that answers BAD_ARGUMENT wants the other one.
        """
        return ("appStateOk", "OK") if self is AppState.OK else ("appStateNeedReset", "needReset")


def command(verb: Verb, argument: str = "") -> bytes:
    """The text to send for ``verb``."""
    return f"{PREFIX}{verb.value}{' ' if argument else ''}{argument}".encode()


def parse_code(data: bytes) -> Code:
    """The reply to Enable, Disable, MarkActive or PostAppState.

    Raises:
        RemoteProtocolError: it is none of the six codes.
    """
    code = words(data)
    if len(code) == 1 and code in b"012345":
        return Code(int(code))
    raise RemoteProtocolError(f"a reply code of {_shown(data)}: 0 to 5 are expected")


def parse_is_enabled(data: bytes) -> bool:
    """The reply to IsEnabled.

    Raises:
        RemoteProtocolError: it is neither ``true`` nor ``false``.
    """
    if words(data) not in {b"true", b"false"}:
        raise RemoteProtocolError(f"IsEnabled was answered with {_shown(data)}: true or false is expected")
    return words(data) == b"true"


def parse_app_status(data: bytes) -> AppStatus:
    """The reply to GetAppStatus, by colour, whatever the case: ``Green``, ``appStatusGreen``.

    The guide and the API spell it differently, and the exact bytes are not documented.

    Raises:
        RemoteProtocolError: it names no colour.
    """
    colour = words(data).strip(b" \r\n").lower().removeprefix(b"appstatus").decode("ascii", "replace")
    if colour not in {each.value for each in AppStatus}:
        raise RemoteProtocolError(f"an application status of {_shown(data)}: Green, Red or Gray is expected")
    return AppStatus(colour)


def post(state: AppState, send: Callable[[str], Code]) -> Code:
    """Post ``state`` through ``send``; where the host refuses the spelling, once more in the other one."""
    first, second = state.spellings
    code = send(first)
    # The library does not say which of the five refusals it was, nor whether it was one.
    if code not in {Code.BAD_ARGUMENT, Code.UNTOLD}:
        return code
    try:
        return send(second)
    except RpcError:
        if code is Code.UNTOLD:
            return code
        raise


def _shown(data: bytes) -> str:
    return f"{data[:40]!r}{'…' if len(data) > 40 else ''}"
