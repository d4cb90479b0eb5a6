"""Listening sockets for ``--web.listen-address``, and what to tell the operator when there can be none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from exporter.errors import ConfigError, passing

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
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        # IPv6 is switched off.
        return socket.create_server(("", port))
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that stands for both is taken as IPv4, as Go's programs do: Prometheus configurations expect it.
    family, _, _, _, address = min(found, key=lambda info: info[0] is not socket.AF_INET)
    return socket.create_server(address, family=family)


def _problem(address: str, port: int, error: OSError | UnicodeError) -> str:
    """A sentence that names the flag, what is wrong and what to do."""
    if isinstance(error, UnicodeError | socket.gaierror):
        why = "this host name can't be resolved; give an address of this machine"
    else:
        why = {
            errno.EADDRINUSE: f"port {port} is in use; choose another, or stop the program that `ss -ltnp` shows there",
            errno.EACCES: f"port {port} needs a privilege (CAP_NET_BIND_SERVICE); choose one above 1023",
            errno.EADDRNOTAVAIL: "this is no address of this machine; `ip address` lists them",
        }.get(error.errno or 0, f"can't listen there: {error.strerror}")
    return passing(f"{FLAG}={address}: {why}", error)
