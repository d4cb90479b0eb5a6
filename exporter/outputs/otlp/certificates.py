"""Certificates for TLS to the receiver: whether they can be used, and what is trusted where none are given."""

from __future__ import annotations

import ssl
from pathlib import Path

from exporter import files
from exporter.errors import passing
from exporter.outputs.otlp.variables import NamedValue

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
    found = ssl.get_default_verify_paths().cafile
    bundles = (Path(root, name) for name in _BUNDLES)
    return found or next((str(path) for path in bundles if path.is_file()), None)


def contents(path: str | None) -> bytes | None:
    return files.read_bytes(path, files.CERTIFICATES) if path else None


def check_certificates(
    ca: NamedValue | None, cert: NamedValue | None, key: NamedValue | None, problems: list[str]
) -> None:
    """Load them once: a file that can't be used is found at the start, not at the first export."""
    if not (ca or cert or key):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            files.check(ca.text, files.CERTIFICATES)
            context.load_verify_locations(ca.text)
        except (OSError, ValueError) as error:
            problems.append(_unusable(ca, error, "certificates in PEM"))
    if cert is not None:
        try:
            for file in (cert, key) if key else (cert,):
                files.check(file.text, files.CERTIFICATES)
            # Without the callback, OpenSSL would ask the terminal for the password of an encrypted key.
            context.load_cert_chain(cert.text, key.text if key else None, password=lambda: "")
        except (OSError, ValueError) as error:
            both = cert if key is None else NamedValue(f"{cert.text}, {key.where}={key.text}", cert.where)
            problems.append(_unusable(both, error, "a certificate in PEM and its key, not encrypted"))
    elif key is not None:
        problems.append(f"{key.where} needs the certificate that it is the key of: --otlp.cert")


def _unusable(value: NamedValue, error: Exception, expected: str) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return passing(f"{value.where}={value.text}: expected {expected}; {reason}", error)
