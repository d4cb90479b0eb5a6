"""The guestrpc source: HA commands in GuestRPC packets, on a connection that nothing else uses.

It sees the host's reply codes, has time limits, and can't crash as VMware's library does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from exporter.errors import ConnectionLost, RemoteProtocolError, RpcError
from exporter.protocol import appmonitor
from exporter.protocol.appmonitor import AppState, AppStatus, Code, Verb

_Answer = TypeVar("_Answer")


class Calls(Protocol):
    """What is needed of a :class:`~exporter.session.wire.Channel`: one command, one reply."""

    def call(self, command: bytes, *, repeat: bool) -> bytes: ...

    def close(self) -> None: ...


class WireAppMonitor:
    """HA Application Monitoring over ``channel``, which it closes in the end."""

    def __init__(self, channel: Calls) -> None:
        self._channel = channel

    def enable(self) -> Code:
        return self._call(appmonitor.parse_code, Verb.ENABLE, repeat=False)

    def disable(self) -> Code:
        return self._call(appmonitor.parse_code, Verb.DISABLE)

    def is_enabled(self) -> bool:
        return self._call(appmonitor.parse_is_enabled, Verb.IS_ENABLED)

    def mark_active(self) -> Code:
        return self._call(appmonitor.parse_code, Verb.MARK_ACTIVE)

    def get_app_status(self) -> AppStatus:
        return self._call(appmonitor.parse_app_status, Verb.GET_APP_STATUS)

    def post_app_state(self, state: AppState) -> Code:
        return appmonitor.post(
            state,
            lambda text: self._call(
                appmonitor.parse_code, Verb.POST_APP_STATE, text, repeat=state is AppState.OK
            ),
        )

    def close(self) -> None:
        self._channel.close()

    def _call(
        self, parse: Callable[[bytes], _Answer], verb: Verb, argument: str = "", *, repeat: bool = True
    ) -> _Answer:
        """``repeat``: not for what switches on, or asks for a reset: of two that are sent the first may be carried out last, and
        nobody would know that there were two.
        """
        try:
            data = self._channel.call(appmonitor.command(verb, argument), repeat=repeat)
        except RpcError as refusal:
            if refusal.repeated:
                raise ConnectionLost(f"the connection broke, and then {refusal}") from refusal
            raise
        try:
            return parse(data)
        except RemoteProtocolError:
            # Whoever answers nonsense may be out of step: the next call gets a new connection.
            self._channel.close()
            raise
