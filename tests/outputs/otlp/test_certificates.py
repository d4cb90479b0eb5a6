from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from exporter.outputs.otlp.certificates import system_certificates


def test_the_systems_certificates_are_a_file_that_openssl_loads() -> None:
    path = system_certificates()
    if path is not None:
        ssl.create_default_context(cafile=path)


def test_the_file_that_openssl_knows_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pem"
    mine.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(mine))
    assert system_certificates() == str(mine)


def test_else_the_file_of_the_distribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing"))
    assert system_certificates(str(tmp_path)) is None
    bundle = tmp_path / "etc/pki/tls/certs/ca-bundle.crt"
    bundle.parent.mkdir(parents=True)
    bundle.touch()
    assert system_certificates(str(tmp_path)) == str(bundle)
