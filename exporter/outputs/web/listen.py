"""Listening sockets for ``--web.listen-address``, and what to tell the operator when there can be none."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence
from typing import Any

from exporter.errors import ConfigError, passing
from exporter.machine.system import HERE

FLAG = "--web.listen-address"


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared, not bound


def shown(host: str) -> str:
    """As it stands in a URL that a browser on this machine can open."""
    if host in EVERYWHERE:
        return "localhost"
    return f"[{host}]" if ":" in host else host


def bind(listen: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """One listening socket for each pair of host and port.

    An empty host is every address of the machine, IPv6 and IPv4; port 0 lets the system choose.

    Raises:
        ConfigError: with every address that can't be listened on, and what to do about it.
    """
    sockets: list[socket.socket] = []
    problems: list[str] = []
    for host, port in listen:
        try:
            sockets.append(_socket(host, port))
        except (OSError, UnicodeError) as error:
            problems.append(_problem(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", port, error))
    if problems:
        for bound in sockets:
            bound.close()
        raise ConfigError(*problems)
    return sockets


def _socket(host: str, port: int) -> socket.socket:
    if not host:
        if socket.has_dualstack_ipv6():
            try:
                return _server(("", port), socket.AF_INET6, dualstack=True)
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        # IPv6 is switched off.
        return _server(("", port), socket.AF_INET)
    # As bytes: a str is held against the tables of international names, 0.4 MiB, which short ASCII names need not be.
    name = host.encode() if host.isascii() and len(host) < 64 else host
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that stands for both is taken as IPv4, as Go's programs do: Prometheus configurations expect it.
    family, _, _, _, address = min(found, key=lambda info: info[0] is not socket.AF_INET)
    return _server(address, family)


def _server(address: tuple[Any, ...], family: int, *, dualstack: bool = False) -> socket.socket:
    if sys.platform != "win32":
        return socket.create_server(address, family=family, dualstack_ipv6=dualstack)
    # Else any other program could take the port as well (Microsoft, Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE).
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dualstack)
        server.bind(address)
        server.listen()
    except OSError:
        server.close()
        raise
    return server


def _problem(address: str, port: int, error: OSError | UnicodeError) -> str:
    """A sentence that names the flag, what is wrong and what to do."""
    if isinstance(error, UnicodeError | socket.gaierror):
        why = "this host name can't be resolved; give an address of this machine"
    else:
        why = {
            errno.EADDRINUSE: f"port {port} is in use; choose another, or stop the program that `{HERE.list_listeners}` shows there",
            errno.EACCES: f"port {port} {HERE.port_denied}",
            errno.EADDRNOTAVAIL: f"this is no address of this machine; `{HERE.list_addresses}` lists them",
        }.get(error.errno or 0, f"can't listen there: {error.strerror}")
    return passing(f"{FLAG}={address}: {why}", error)
