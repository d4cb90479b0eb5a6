"""GuestRPC over vsock: VMCI sockets between this VM and its VMX process, ESXi 6.0 and later.

The peer is CID 0 (the hypervisor), port 976 (RPCI). The source port is the credential: one below 1024 needs
root or CAP_NET_BIND_SERVICE and marks the channel as privileged. The order of attempts is that of
open-vm-tools lib/rpcChannel/simpleSocket.c (Socket_ConnectVMCI), with a time limit on every step:

====================  ==============================================================================
bind EADDRINUSE       next lower port
connect ECONNRESET    the VMX may still hold that port pair: next lower port, 8 times, then give up
connect ENOBUFS       the same port again after 1 ms, 5 attempts in all
bind EACCES           not root: one attempt from any port
anything else         final
====================  ==============================================================================

Whoever constructs this must know that the hypervisor is VMware: elsewhere CID 0 is somebody else's.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from exporter.errors import TimeoutExpired
from exporter.transport.sockets import SocketStream, connect_error

HYPERVISOR_CID = 0
RPCI_PORT = 976
ANY = 0xFFFFFFFF
"""VMADDR_CID_ANY and VMADDR_PORT_ANY (linux/vm_sockets.h)."""
HIGHEST_PRIVILEGED_PORT = 1023
MAX_RESETS = 8
MAX_NO_BUFFERS = 5

AF_VSOCK = 40
"""linux/socket.h. Named here because Python on other systems lacks the constant."""

SocketFactory = Callable[[int, int], socket.socket]


class VsockConnector:
    """Connects to the hypervisor.

    After :meth:`connect`, ``privileged`` says whether the source port was below 1024. ``only_privileged``
    refuses to go on without: for a host that demands it (``guest_rpc.rpci.auth.app…``).
    """

    transport = "vsock"

    def __init__(
        self,
        *,
        only_privileged: bool = False,
        new_socket: SocketFactory = socket.socket,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.privileged = False
        self._only_privileged = only_privileged
        self._new_socket = new_socket
        self._sleep = sleep
        self._clock = clock
        self._resets_allowed = MAX_RESETS

    def connect(self, timeout: float) -> SocketStream:
        deadline = self._clock() + timeout
        try:
            sock = self._privileged(deadline)
            if sock is None:
                sock = self._attempt(ANY, deadline)
                self.privileged = False
            else:
                self.privileged = True
        except OSError as error:
            raise connect_error(error, "the hypervisor (vsock CID 0 port 976)") from error
        self._resets_allowed = MAX_RESETS
        return SocketStream(sock)

    def _privileged(self, deadline: float) -> socket.socket | None:
        """Walk down from port 1023. None: not permitted, and an unprivileged attempt is allowed."""
        resets = no_buffers = 0
        port = HIGHEST_PRIVILEGED_PORT
        while True:
            try:
                return self._attempt(port, deadline)
            except _BindError as error:
                if error.errno == errno.EACCES and not self._only_privileged:
                    return None
                if error.errno != errno.EADDRINUSE or port == 1:
                    raise
                port -= 1
            except OSError as error:
                if error.errno == errno.ECONNRESET:
                    resets += 1
                    if resets >= self._resets_allowed or port == 1:
                        # The usual reason is guest_rpc.rpci.usevsocket = FALSE. From now on one reset is
                        # final until a connect succeeds, so that a poll does not walk eight ports each time.
                        self._resets_allowed = 1
                        raise
                    port -= 1
                elif error.errno == errno.ENOBUFS and no_buffers + 1 < MAX_NO_BUFFERS:
                    no_buffers += 1
                    self._sleep(0.001)
                else:
                    raise

    def _attempt(self, port: int, deadline: float) -> socket.socket:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutExpired("no connection to the hypervisor in time")
        sock = self._new_socket(AF_VSOCK, socket.SOCK_STREAM)
        try:
            sock.settimeout(left)
            try:
                sock.bind((ANY, port))
            except OSError as error:
                raise _BindError(error.errno, error.strerror) from error
            sock.connect((HYPERVISOR_CID, RPCI_PORT))
        except BaseException:
            sock.close()
            raise
        return sock


class _BindError(OSError):
    """The local port can't be had, which says nothing about the host."""
