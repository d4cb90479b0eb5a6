"""HA Application Monitoring as one object that one thread owns: all its functions, whatever the source."""

from __future__ import annotations

from typing import Protocol

from exporter.protocol.appmonitor import AppState, AppStatus, Code


class AppMonitor(Protocol):
    """The host's side of HA Application Monitoring (vmGuestAppMonitorLib.h).

    Every method but ``close`` raises:
        RpcError: the host refuses the command.
        TransportError, RemoteProtocolError, LibraryError: no answer, or none that means anything.
        NotVMwareError: this machine is no VMware guest.
    Within a few seconds it has returned or raised. What VMware hands out is freed before a method returns.
    """

    def enable(self) -> Code:
        """From now on the host expects a heartbeat every 30 s, and resets the VM where none comes."""

    def disable(self) -> Code:
        """The host expects no heartbeats any more."""

    def is_enabled(self) -> bool:
        """Whether the host expects heartbeats. False is the host's word, never a failure."""

    def mark_active(self) -> Code:
        """One heartbeat."""

    def get_app_status(self) -> AppStatus:
        """How vSphere HA sees the application."""

    def post_app_state(self, state: AppState) -> Code:
        """Tell the host that all is well, or that **it shall reset the VM now**. Needs no Enable."""

    def close(self) -> None:
        """Let go of connection and processes; changes nothing at the host. Never raises."""
