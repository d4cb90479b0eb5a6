"""What the tests of the push share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import trustme


class Files(NamedTuple):
    """A certificate for localhost, its key, and the authority that both sides trust; PEM."""

    cert: str
    key: str
    ca: str


@pytest.fixture(scope="session")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder: Path = tmp_path_factory.mktemp("otlp-tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    found = Files(*(str(folder / name) for name in ("cert.pem", "key.pem", "ca.pem")))
    issued.cert_chain_pems[0].write_to_path(found.cert)
    issued.private_key_pem.write_to_path(found.key)
    authority.cert_pem.write_to_path(found.ca)
    return found
