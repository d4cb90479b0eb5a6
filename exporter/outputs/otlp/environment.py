"""What OpenTelemetry's and gRPC's code would take from the process's surroundings, and may not."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager


@contextmanager
def unread(prefix: str, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Take the variables that begin with ``prefix`` away, for as long as the block lasts.

    They have been read already (see ``settings``). The SDK would read them again: time-outs in another unit, one
    that is no number as a ValueError, and headers although a setting outranks them. For the start of the
    process, before there are other threads: changing the environment is not safe beside them.
    """
    taken = {name: environ.pop(name) for name in list(environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        environ.update(taken)


def hush_grpc(environ: MutableMapping[str, str] = os.environ) -> None:
    """Before gRPC is imported: its core writes to standard error by itself, in its own format.

    Each failed connection or handshake is a line there, and this program says it once, in its own log. gRPC's
    fork handlers are for programs that fork and go on using it; this one starts children by exec. Whoever set
    one of the variables wants to see.
    """
    environ.setdefault("GRPC_VERBOSITY", "NONE")
    environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")


_BUNDLES = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
"""Debian, Red Hat, SUSE, Alpine."""


def system_certificates(root: str = "/") -> str | None:
    """The file of the certificates that this system trusts (SSL_CERT_FILE counts); None where there is none.

    ``requests`` and gRPC bring their own lists, in which a company's own authority is missing. OpenSSL's word
    alone is not enough: Debian's knows the folder and no file.
    """
    import ssl

    found = ssl.get_default_verify_paths().cafile
    bundles = (os.path.join(root, name) for name in _BUNDLES)  # noqa: PTH118  strings are what everybody wants here
    return found or next(filter(os.path.isfile, bundles), None)
