from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from exporter.outputs.otlp.environment import hush_grpc, system_certificates, unread


def test_variables_are_away_while_the_block_lasts_and_back_after_it_whatever_happens() -> None:
    environ = {"OTEL_X_A": "1", "OTEL_X_B": "2", "HOME": "/"}
    with pytest.raises(ValueError, match="x"), unread("OTEL_X_", environ):
        assert environ == {"HOME": "/"}
        raise ValueError("x")
    assert environ == {"OTEL_X_A": "1", "OTEL_X_B": "2", "HOME": "/"}


def test_grpc_is_quiet_unless_somebody_wants_to_hear_it() -> None:
    environ = {"GRPC_VERBOSITY": "debug"}
    hush_grpc(environ)
    assert environ == {"GRPC_VERBOSITY": "debug", "GRPC_ENABLE_FORK_SUPPORT": "false"}
    fresh: dict[str, str] = {}
    hush_grpc(fresh)
    assert fresh["GRPC_VERBOSITY"] == "NONE"


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
