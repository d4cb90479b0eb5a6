"""A TCP connection for a check, and whose fault it is where there is none.

A failure of what is checked needs an address that was really tried. What this machine lacks itself (files, memory, ports,
an answer of its name servers) says nothing about it.
"""

from __future__ import annotations

import codecs
import errno
import os
import queue
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from exporter.ha.look import OwnFault
from exporter.ha.rules import SHORTAGES
from exporter.threads import begin

NO_WAY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH})
"""This machine has no address of that family: the name's other addresses decide."""
NO_ANSWER = frozenset({socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY})
"""The name servers did not say whether there is such a name."""

codecs.lookup("idna")
# Loaded here: where a first look is short of memory, Python forgets for good that it has this one, which every name needs.

Candidate = tuple[int, int, int, str, Any]


def connect(host: str, port: int, limit: float) -> socket.socket:
    """Connect to the first address of ``host`` that takes it, within ``limit`` seconds for everything.

    Raises:
        OwnFault: the name servers do not answer, or every attempt failed for want of something here.
        TimeoutError, OSError: no address takes it; the last one's word.
    """
    deadline = time.monotonic() + limit
    addresses = _resolve(host, port, limit)
    errors: list[OSError] = []
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        # One that drops everything must leave time for the others.
        left = max(0.0, deadline - time.monotonic()) / (len(addresses) - number)
        try:
            return _attempt(family, kind, protocol, address, max(left, 0.001))
        except OSError as error:
            errors.append(error)
    tried = [error for error in errors if error.errno not in NO_WAY] or errors
    words = [error for error in tried if error.errno not in SHORTAGES]
    if not words:
        raise OwnFault(f"the exporter could not look: {tried[-1].strerror}") from tried[-1]
    raise words[-1]


def _attempt(family: int, kind: int, protocol: int, address: Any, limit: float) -> socket.socket:
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(limit)
        connection.connect(address)
    except OSError as error:
        connection.close()
        if error.errno == errno.EADDRNOTAVAIL and _has_source(family, address):
            raise OSError(errno.ENOBUFS, "no local port is left") from error
        raise
    return connection


def _has_source(family: int, address: Any) -> bool:
    """Whether this machine has an address to reach ``address`` from; nothing is sent."""
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(address)
        return True
    return False


def _resolve(host: str, port: int, limit: float) -> Sequence[Candidate]:
    """The addresses of ``host``. In a thread that is left behind: the system's resolver heeds no limit."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answer: queue.SimpleQueue[Sequence[Candidate] | OSError | MemoryError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except UnicodeError as error:
            answer.put(socket.gaierror(socket.EAI_NONAME, str(error)))
        except (OSError, MemoryError) as error:
            answer.put(error)

    begin(ask)
    try:
        found = answer.get(timeout=limit)
    except queue.Empty:
        raise OwnFault(
            f"the exporter could not look: no answer to the name {host} within {limit:g} s"
        ) from None
    if isinstance(found, socket.gaierror):
        if found.errno in NO_ANSWER:
            raise OwnFault(f"the exporter could not look: {host}: {found.strerror}") from found
        # The resolver takes a file that it can't open for one that is not there: with none left, no name is known.
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    if isinstance(found, Exception):
        raise found
    return found
