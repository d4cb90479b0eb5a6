"""Certificates for the tests of TLS, made anew in each run."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from exporter.outputs.web.webconfig import TLSSettings


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TLSSettings:
    """The server's own, for localhost and 127.0.0.1."""
    folder: Path = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return TLSSettings(cert_file=str(folder / "cert.pem"), key_file=str(folder / "key.pem"))
