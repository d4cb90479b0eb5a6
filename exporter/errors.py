"""Every failure that the exporter knows, in one tree.

::

    VMGuestError
    ├── ConfigError            the operator must change a flag, a variable or a file      exit status 2
    ├── NotVMwareError         this machine is not a VMware guest                         not_vmware
    ├── TransportError         no byte stream to the host, for another reason than below  transport
    │   ├── NoDeviceError      the kernel or the sandbox offers no such socket            no_device
    │   ├── RefusedError       the host does not take the connection                      refused
    │   ├── TimeoutExpired     the host did not answer in time                            timeout
    │   └── ConnectionLost     the stream broke (vMotion, suspend and revert do that)     lost
    ├── ProtocolError
    │   ├── LocalProtocolError  we asked for something that can't be said: our bug        internal
    │   └── RemoteProtocolError the host sent bytes that mean nothing                     malformed
    ├── RpcError               the host understood and said no                            not_enabled, not_available
    └── LibraryError           VMware's library
        ├── LibraryNotFound    no file, or not loadable                                   library_not_found
        ├── LibraryStatus      a status code that is not told apart above                 library_status
        └── LibraryCrashed     its process died or hung                                   library_crashed

``kind`` is the stable word of a class: the ``kind`` label of ``vmguest_poll_errors_total``, a code of
``doctor``, part of a log line. Kinds are public API. An error is translated where it happens, keeps its
cause (``raise … from``) and the number that came with it (errno, VMware's status, the host's own text).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class VMGuestError(Exception):
    """The root: whatever else leaves a module of this package is a bug."""

    kind: ClassVar[str] = "internal"


class Passing(str):
    """A problem that time may mend: a disk that is not mounted yet, a port still taken, a name server not up yet, no files left."""

    __slots__ = ()


_PASSING = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EIO, errno.ESTALE}
    | {errno.EADDRINUSE, errno.EADDRNOTAVAIL}
    # What the process, the machine or the disk has run out of says nothing about the settings.
    | {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.EINTR, errno.ETIMEDOUT}
    | {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EBUSY}
)


def passing(problem: str, cause: BaseException | None) -> str:
    """``problem``, as :class:`Passing` where ``cause`` is the system's word for something that may pass."""
    # A name that can't be resolved has the resolver's numbers (EAI_…), and at boot they are the same for a name that is
    # wrong and for one that nobody can be asked about yet.
    passes = isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.errno in _PASSING)
    return Passing(problem) if passes else problem


class ConfigError(VMGuestError):
    """Settings that can't be used. ``problems`` holds every one of them, a sentence each."""

    kind = "config"

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))

    @property
    def passing(self) -> bool:
        """Whether the same settings may be good later: each of the problems may pass by itself."""
        return all(isinstance(problem, Passing) for problem in self.problems)


class Problems(list[str]):
    """One list that every stage of reading a command line adds to, so that all is told at once."""

    @contextmanager
    def gather(self) -> Iterator[None]:
        """What the block raises as ConfigError is added, and the next stage has its turn."""
        try:
            yield
        except ConfigError as error:
            self += error.problems

    def tell(self) -> None:
        """Raise ConfigError with each of them once, if there are any."""
        if self:
            raise ConfigError(*dict.fromkeys(self))


class NotVMwareError(VMGuestError):
    """Nothing says that this machine runs on a VMware hypervisor, so its host was not asked."""

    kind = "not_vmware"


class TransportError(VMGuestError):
    """No byte stream to the host. ``errno`` is the operating system's number, where there was one."""

    kind = "transport"

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class NoDeviceError(TransportError):
    """The address family is not there: no VMCI module, or a sandbox (seccomp, AppArmor, SELinux) denies it."""

    kind = "no_device"


class RefusedError(TransportError):
    """Nobody listens, or the host resets the connection (``guest_rpc.rpci.usevsocket = FALSE``)."""

    kind = "refused"


class TimeoutExpired(TransportError):
    """The host took longer than the time limit of the step."""

    kind = "timeout"


class ConnectionLost(TransportError):
    """The stream broke in the middle. Asking again on a new one is safe."""

    kind = "lost"


class ProtocolError(VMGuestError):
    """Bytes and the protocol do not go together. Raised only as one of the two below."""

    kind = "malformed"


class LocalProtocolError(ProtocolError):
    """A request that the protocol can't carry (empty, too long): a mistake of this program."""

    kind = "internal"


class RemoteProtocolError(ProtocolError):
    """The host's bytes can't be decoded. The connection is closed; the process goes on."""

    kind = "malformed"


class RpcError(VMGuestError):
    """The host answered ``0 <text>``: it understood the packet and refuses the command.

    ``text`` is the host's own word. VMware's library folds every refusal of ``guestlib.info.get`` into
    NOT_ENABLED (3), so ``kind`` is ``not_enabled`` from both sources and :attr:`reason` tells them apart.
    """

    kind = "not_enabled"
    repeated = False
    """The command had been sent before, on a connection that broke: that time it may have had its effect."""

    def __init__(self, text: str, command: str = "") -> None:
        self.text = text
        self.command = command
        super().__init__(f"the host refuses {command!r}: {text}" if command else f"the host refuses: {text}")

    @property
    def reason(self) -> str:
        """One of unknown_command, disabled, unsupported_version, permission_denied, other; not_told where it was
        VMware's library that answered, in place of the host.

        Source: open-vm-tools lib/include/vmware/guestrpc/tclodefs.h; "Unknown command" is compared as a
        whole and with case, as libguestlib/vmGuestLib.c does.
        """
        if self.text.startswith("NOT_ENABLED"):
            return "not_told"
        return {
            "Unknown command": "unknown_command",
            "disabled": "disabled",
            "Unsupported version": "unsupported_version",
            "Permission denied": "permission_denied",
        }.get(self.text, "other")


class LibraryError(VMGuestError):
    """Something about VMware's own library."""

    kind = "library_status"


class LibraryNotFound(LibraryError):
    """No library by any of the known names, or the file can't be loaded. ``named``: it is the one that the operator named."""

    kind = "library_not_found"
    named = False


class LibraryStatus(LibraryError):
    """A ``VMGuestLibError`` (vmGuestLib.h) that has no class of its own; ``code`` is the number."""

    kind = "library_status"

    def __init__(self, code: int, function: str, text: str = "") -> None:
        self.code = code
        self.function = function
        super().__init__(f"{function} answered {code} ({text})" if text else f"{function} answered {code}")


class LibraryCrashed(LibraryError):
    """The child process in which the library runs died or did not answer; it is restarted."""

    kind = "library_crashed"


POLL_ERROR_KINDS: tuple[str, ...] = (
    "not_vmware",
    "no_device",
    "refused",
    "timeout",
    "lost",
    "transport",
    "malformed",
    "not_enabled",
    "library_not_found",
    "library_status",
    "library_crashed",
    "internal",
)
"""Every ``kind`` that a poll can end in: each is a series from the start, with 0."""
