"""TLS: what a context is made of, and what it takes to get a page through it."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from waitress.adjustments import Adjustments

from exporter.errors import ConfigError
from exporter.outputs.web.application import Environ, StartResponse
from exporter.outputs.web.connections import OpenFiles, Refusals
from exporter.outputs.web.server import InLoop, WebServer
from exporter.outputs.web.tls import RECORD, TLSChannel, TLSListener
from exporter.outputs.web.tls_context import Context, admits, context
from exporter.outputs.web.webconfig import TLSSettings

PAGE = b"vmguest_up 1.0\n" * 20_000
"""300 kB: more than one record, more than a socket takes at once."""


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(PAGE)))])
    assert environ["wsgi.url_scheme"] == "https"
    return [PAGE]


Serve = Callable[..., WebServer]


@pytest.fixture
def serve(certificate: TLSSettings) -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(*, clock: Callable[[], float] = time.monotonic, **changes: Any) -> WebServer:
            made = context(replace(certificate, **changes))
            listener = partial(TLSListener, context=lambda: made)
            server = WebServer(
                application, [("127.0.0.1", 0)], listener=listener, scheme="https", clock=clock
            )
            server.start()
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client that trusts the server's authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(made)
    return made


@contextlib.contextmanager
def connected(server: WebServer, client: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(server.addresses[0], timeout=10) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        yield sock


def page(sock: ssl.SSLSocket, *parts: bytes) -> bytes:
    for part in parts or (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",):
        sock.sendall(part)
    data = b""
    while not data.endswith(PAGE[-30:]) or len(data) < len(PAGE):
        chunk = sock.recv(65536)
        if not chunk:
            break
        data += chunk
    return data.partition(b"\r\n\r\n")[2]


def served(server: WebServer, client: ssl.SSLContext) -> bool:
    """Whether the page comes; a refused client may learn so only after its own part of the handshake."""
    try:
        with connected(server, client) as sock:
            return (
                page(sock, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == PAGE
            )
    except OSError:
        return False


class TestServing:
    def test_a_page_over_tls_1_3_with_the_certificate_checked(
        self, serve: Serve, trusting: ssl.SSLContext
    ) -> None:
        server = serve()
        with connected(server, trusting) as sock:
            assert sock.version() == "TLSv1.3"
            assert [page(sock) for _ in range(3)] == [PAGE] * 3
        assert server.urls[0].startswith("https://127.0.0.1:")

    def test_only_http_1_1_is_agreed_on(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        trusting.set_alpn_protocols(["h2", "http/1.1"])
        with connected(serve(), trusting) as sock:
            assert sock.selected_alpn_protocol() == "http/1.1"

    def test_certificates_in_the_configuration_itself(
        self, serve: Serve, trusting: ssl.SSLContext, certificate: TLSSettings
    ) -> None:
        cert, key = (Path(name).read_text() for name in (certificate.cert_file, certificate.key_file))
        assert served(serve(cert=cert, key=key, cert_file="", key_file=""), trusting)

    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE", "PATCH", "CONNECT", "TRACE"])
    def test_plain_http_is_told_what_this_port_speaks(self, serve: Serve, method: str) -> None:
        with socket.create_connection(serve().addresses[0], timeout=10) as sock:
            sock.sendall(f"{method} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert b"HTTPS" in answer

    def test_a_request_in_many_records(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        parts = (
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
            b"X-Filler: " + b"x" * 9000,
            b"x" * 6000,
            b"\r\n\r",
            b"\n",
        )
        with connected(serve(), trusting) as sock:
            assert page(sock, *parts) == PAGE


class TestVersionsAndCiphers:
    def test_the_least_version(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        assert served(serve(), trusting)
        assert not served(serve(min_version="TLS13"), trusting)

    def test_the_highest_version(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        with connected(serve(max_version="TLS12"), trusting) as sock:
            assert sock.version() == "TLSv1.2"

    @pytest.mark.parametrize("version", ["TLS10", "TLS11"])
    def test_old_versions_are_the_operators_choice(self, certificate: TLSSettings, version: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = context(replace(certificate, min_version=version))
        assert made.minimum_version < ssl.TLSVersion.TLSv1_2

    def test_suites_of_tls_1_2(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        server = serve(max_version="TLS12", cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",))
        with connected(server, trusting) as sock:
            assert sock.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
        trusting.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not served(server, trusting)

    def test_with_suites_of_tls_1_3_alone_older_versions_have_none(
        self, serve: Serve, trusting: ssl.SSLContext
    ) -> None:
        server = serve(cipher_suites=("TLS_AES_128_GCM_SHA256",))
        assert served(server, trusting)
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not served(server, trusting)

    def test_whose_preference_counts(self, certificate: TLSSettings) -> None:
        def prefers(wish: bool) -> bool:
            made = context(replace(certificate, prefer_server_cipher_suites=wish))
            return bool(made.options & ssl.OP_CIPHER_SERVER_PREFERENCE)

        assert prefers(True)
        assert not prefers(False)

    def test_a_curve(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        server = serve(curve_preferences=("CurveP384",))
        assert served(server, trusting)
        trusting.set_ecdh_curve("prime256v1")
        assert not served(server, trusting)

    @pytest.mark.parametrize(
        "curves", [("CurveP521", "CurveP256"), ("CurveP256", "CurveP384", "CurveP521", "X25519")]
    )
    def test_several_curves_leave_none_out_that_every_client_has(
        self, serve: Serve, trusting: ssl.SSLContext, curves: tuple[str, ...]
    ) -> None:
        server = serve(curve_preferences=curves)
        assert served(server, trusting)
        trusting.set_ecdh_curve("prime256v1")
        assert served(server, trusting)

    def test_several_curves_do_not_let_in_another(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        server = serve(curve_preferences=("CurveP521", "CurveP384"))
        trusting.set_ecdh_curve("prime256v1")
        assert not served(server, trusting)

    @pytest.mark.parametrize(
        "error", [ssl.SSLError("unknown group"), ValueError("unknown elliptic curve name")]
    )
    def test_a_curve_that_this_python_can_not_set_gives_way_to_the_next(
        self, serve: Serve, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        """Python before 3.11.4 knows no X25519 here."""
        setting = ssl.SSLContext.set_ecdh_curve

        def known(made: ssl.SSLContext, curve: str) -> None:
            if curve == "X25519":
                raise error
            setting(made, curve)

        monkeypatch.setattr(Context, "set_ecdh_curve", known)
        monkeypatch.delattr(ssl.SSLContext, "set_groups", raising=False)
        with pytest.raises(ConfigError, match="can't be held to X25519; add CurveP256"):
            serve(curve_preferences=("X25519",))
        server = serve(curve_preferences=("X25519", "CurveP384"))
        trusting.set_ecdh_curve("secp384r1")
        assert served(server, trusting)

    def test_an_end_that_an_older_python_takes_for_an_orderly_one_is_no_refusal(
        self, serve: Serve, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shake = ssl.SSLSocket.do_handshake

        def ends(sock: ssl.SSLSocket, block: bool = False) -> None:
            try:
                shake(sock, block)
            except ssl.SSLEOFError as error:
                raise ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF)") from error

        monkeypatch.setattr(ssl.SSLSocket, "do_handshake", ends)
        server = serve()
        socket.create_connection(server.addresses[0], timeout=10).close()
        assert served(server, trusting)
        assert set(refused(server).values()) == {0.0}


class TestClientCertificates:
    @pytest.fixture
    def trusted(self, authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return {"client_ca_file": str(tmp_path / "ca.pem")}

    @staticmethod
    def bearing(client: ssl.SSLContext, authority: trustme.CA, name: str) -> ssl.SSLContext:
        authority.issue_cert(name).configure_cert(client)
        return client

    def test_required(
        self, serve: Serve, trusting: ssl.SSLContext, authority: trustme.CA, trusted: dict[str, str]
    ) -> None:
        server = serve(client_auth_type="RequireAndVerifyClientCert", **trusted)
        assert not served(server, trusting)
        assert served(server, self.bearing(trusting, authority, "prometheus.example"))

    def test_of_another_authority(
        self, serve: Serve, trusting: ssl.SSLContext, trusted: dict[str, str]
    ) -> None:
        stranger = self.bearing(trusting, trustme.CA(), "prometheus.example")
        for kind in ("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"):
            assert not served(serve(client_auth_type=kind, **trusted), stranger)
        assert served(serve(client_auth_type="RequestClientCert"), stranger)

    def test_verified_if_given(
        self, serve: Serve, trusting: ssl.SSLContext, authority: trustme.CA, trusted: dict[str, str]
    ) -> None:
        server = serve(client_auth_type="VerifyClientCertIfGiven", **trusted)
        assert served(server, trusting)
        assert served(server, self.bearing(trusting, authority, "prometheus.example"))

    def test_an_authority_in_the_configuration_itself(
        self, serve: Serve, trusting: ssl.SSLContext, authority: trustme.CA
    ) -> None:
        text = authority.cert_pem.bytes().decode()
        server = serve(client_auth_type="RequireAndVerifyClientCert", client_ca=text)
        assert not served(server, trusting)
        assert served(server, self.bearing(trusting, authority, "prometheus.example"))

    def test_without_an_authority_those_of_the_system_count(
        self, serve: Serve, trusting: ssl.SSLContext, authority: trustme.CA
    ) -> None:
        server = serve(client_auth_type="RequireAndVerifyClientCert")
        assert not served(server, self.bearing(trusting, authority, "prometheus.example"))

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("prometheus.example", True),
            ("10.1.2.3", True),
            ("2001:db8::1", True),
            ("grafana.example", False),
            ("10.1.2.4", False),
        ],
    )
    def test_names(
        self,
        serve: Serve,
        trusting: ssl.SSLContext,
        authority: trustme.CA,
        trusted: dict[str, str],
        name: str,
        expected: bool,
    ) -> None:
        server = serve(
            client_auth_type="RequireAndVerifyClientCert",
            client_allowed_sans=("Prometheus.EXAMPLE", "10.1.2.3", "2001:DB8:0::1"),
            **trusted,
        )
        assert served(server, self.bearing(trusting, authority, name)) is expected
        assert refused(server)["certificate"] == (not expected)

    def test_one_without_an_allowed_name_is_told_so(
        self,
        serve: Serve,
        trusting: ssl.SSLContext,
        authority: trustme.CA,
        trusted: dict[str, str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server = serve(
            client_auth_type="RequireAndVerifyClientCert", client_allowed_sans=("a.example",), **trusted
        )
        with connected(server, self.bearing(trusting, authority, "b.example")) as sock:
            for _ in range(2):
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b""
                while not answer.endswith(b"client_allowed_sans\n"):
                    answer += sock.recv(65536)
                assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert refused(server)["certificate"] == 1
        (record,) = [one for one in caplog.records if one.getMessage() == "connection refused"]
        assert record.why == "none of client_allowed_sans is in it"  # type: ignore[attr-defined]

    def test_one_that_is_missing_gets_an_alert(
        self, serve: Serve, trusting: ssl.SSLContext, trusted: dict[str, str]
    ) -> None:
        server = serve(client_auth_type="RequireAndVerifyClientCert", **trusted)
        with (
            pytest.raises(ssl.SSLError, match="ALERT_CERTIFICATE_REQUIRED"),
            connected(server, trusting) as sock,
        ):
            page(sock)
        counted(server, "certificate")

    def test_one_of_a_stranger_gets_an_alert(
        self, serve: Serve, trusting: ssl.SSLContext, trusted: dict[str, str]
    ) -> None:
        server = serve(client_auth_type="RequireAndVerifyClientCert", **trusted)
        with (
            pytest.raises(ssl.SSLError, match="ALERT_UNKNOWN_CA"),
            connected(server, self.bearing(trusting, trustme.CA(), "a.example")) as sock,
        ):
            page(sock)
        counted(server, "certificate")


def refused(server: WebServer) -> dict[str, float]:
    (family,) = server.refusals.families()
    return {point.labels[0][1]: point.value for point in family.points}


def counted(server: WebServer, reason: str) -> None:
    """Wait for it: the alert may reach the client before it is counted."""
    for _ in range(1000):
        if refused(server)[reason] == 1:
            return
        time.sleep(0.01)
    pytest.fail(f"never counted: {reason}")


@pytest.mark.parametrize(
    ("kind", "text", "allowed", "expected"),
    [
        ("IP Address", "2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
        ("IP Address", "2001:DB8:0:0:0:0:0:1", "2001:0db8:0000::0001", True),
        ("IP Address", "10.0.0.1", "10.0.0.1", True),
        ("IP Address", "10.0.0.1", "10.0.0.10", False),
        ("DNS", "Prometheus.example", "prometheus.EXAMPLE", True),
        ("DNS", "*.example", "prometheus.example", False),
        ("URI", "spiffe://example/ns/a", "spiffe://example/ns/a", True),
        ("email", "a@example", "b@example", False),
    ],
)
def test_what_a_certificate_bears_is_compared_by_what_it_means(
    kind: str, text: str, allowed: str, expected: bool
) -> None:
    assert admits(frozenset({allowed}), {"subjectAltName": ((kind, text),)}) is expected


@pytest.mark.parametrize(
    "odd",
    [
        ("DirName", ((("commonName", "d"),),)),
        ("othername", "<unsupported>"),
        ("Registered ID", "1.2.3.4"),
        ("<invalid>", "a"),
    ],
)
def test_names_that_nobody_can_ask_for_are_passed_over(odd: tuple[str, Any]) -> None:
    assert admits(frozenset({"a"}), {"subjectAltName": (odd, ("DNS", "a"))})
    assert not admits(frozenset({"a", "<unsupported>"}), {"subjectAltName": (odd,)})


def test_without_a_certificate_no_name_is_borne() -> None:
    assert not admits(frozenset({"a"}), None)
    assert admits(frozenset(), None)


class TestEndings:
    def test_the_end_is_announced(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        """Without close_notify a client that insists on it gets an error instead of an end."""
        with (
            socket.create_connection(serve().addresses[0], timeout=10) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        assert data.endswith(PAGE[-30:])

    def test_a_handshake_that_drips_has_ten_seconds(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        now = [0.0]
        server = serve(clock=lambda: now[0])
        with socket.create_connection(server.addresses[0], timeout=10) as sock:
            sock.sendall(b"\x16\x03\x01")
            for seconds in (2.0, 2.0, 10.0):
                assert served(server, trusting)
                sock.sendall(b"\x02")
                now[0] += seconds
            assert served(server, trusting)
            # Reset where a byte was still unread.
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        assert refused(server)["timeout"] == 1

    def test_a_mere_connect_and_close_is_neither_counted_nor_logged(
        self, serve: Serve, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server = serve()
        for _ in range(5):
            socket.create_connection(server.addresses[0], timeout=10).close()
        assert served(server, trusting)
        assert set(refused(server).values()) == {0.0}
        assert caplog.records == []

    def test_a_handshake_that_fails_is_counted(self, serve: Serve, trusting: ssl.SSLContext) -> None:
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        server = serve(min_version="TLS13")
        assert not served(server, trusting)
        counted(server, "handshake")


def changed(settings: TLSSettings, **texts: Any) -> TLSSettings:
    return replace(settings, **texts)


class TestWhatCanNotBeUsed:
    def problem(self, settings: TLSSettings) -> str:
        with pytest.raises(ConfigError) as caught:
            context(settings)
        (text,) = caught.value.problems
        assert text.startswith("--web.config.file: ")
        return text

    @pytest.mark.parametrize("name", ["cert_file", "key_file"])
    def test_a_file_that_is_not_there(self, certificate: TLSSettings, name: str) -> None:
        text = self.problem(changed(certificate, **{name: "/nowhere/x.pem"}))
        assert text.endswith("/nowhere/x.pem can't be read: No such file or directory")

    @pytest.mark.parametrize("name", ["cert", "key"])
    def test_a_text_that_is_no_pem(self, certificate: TLSSettings, name: str) -> None:
        text = self.problem(changed(certificate, **{name: "nonsense", f"{name}_file": ""}))
        assert "can't be used: one of them is no PEM text, or the key has a password" in text

    def test_a_key_of_another_certificate(self, certificate: TLSSettings) -> None:
        key = trustme.CA().issue_cert("localhost").private_key_pem.bytes().decode()
        assert "the key is not that of the certificate" in self.problem(
            replace(certificate, key=key, key_file="")
        )

    def test_a_key_with_a_password_is_refused_and_not_asked_for(
        self, certificate: TLSSettings, tmp_path: Path
    ) -> None:
        key = load_pem_private_key(Path(certificate.key_file).read_bytes(), None)
        locked = tmp_path / "locked.pem"
        locked.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
        )
        assert "or the key has a password" in self.problem(replace(certificate, key_file=str(locked)))

    def test_a_client_authority_that_is_none(self, certificate: TLSSettings, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nonsense")
        given = replace(certificate, client_auth_type="RequireAndVerifyClientCert")
        for changes in ({"client_ca_file": str(tmp_path / "ca.pem")}, {"client_ca": "nonsense"}):
            assert "holds no certificate in PEM" in self.problem(changed(given, **changes))

    def test_a_client_authority_that_is_not_there(self, certificate: TLSSettings) -> None:
        given = replace(
            certificate, client_auth_type="VerifyClientCertIfGiven", client_ca_file="/nowhere/ca.pem"
        )
        assert self.problem(given).endswith("/nowhere/ca.pem can't be read: No such file or directory")


class FakeSocket:
    """An SSL socket whose next reads and writes are given."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        self.outcomes = list(outcomes)
        self.closed = False

    def do_handshake(self) -> None:
        """Is done with the first outcome that is no error."""
        outcome = self.outcomes[0] if self.outcomes else b""
        if isinstance(outcome, Exception):
            self.outcomes.pop(0)
            raise outcome

    def getpeercert(self) -> None: ...

    def recv(self, size: int) -> bytes:
        assert size == RECORD
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def send(self, data: bytes) -> int:
        return len(self.recv(RECORD))

    def close(self) -> None:
        self.closed = True

    def getsockopt(self, *_: int) -> int:
        return 1

    def setblocking(self, _: bool) -> None: ...

    def fileno(self) -> int:
        return 99

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    context = None


def channel_of(sock: FakeSocket) -> TLSChannel:
    server = SimpleNamespace(active_channels={}, refusals=Refusals())
    settings = SimpleNamespace(
        outbuf_overflow=1, outbuf_high_watermark=1, channel_request_lookahead=0, log_socket_errors=False
    )
    return TLSChannel(server, sock, ("127.0.0.1", 1), settings, map={})  # type: ignore[arg-type]


class TestOpenSSLsOwnMind:
    """A read may want to write first, and the other way round; the loop is told what to wait for."""

    def test_a_read_that_lacks_data_waits_for_more(self) -> None:
        channel = channel_of(FakeSocket(ssl.SSLWantReadError(2, "want read")))
        channel.handle_read()
        assert channel.readable()
        assert not channel.writable()

    def test_a_handshake_that_can_not_send_waits_until_it_can(self) -> None:
        sock = FakeSocket(ssl.SSLWantWriteError(3, "want write"), ssl.SSLWantReadError(2, "want read"))
        channel = channel_of(sock)
        channel.handle_read()
        assert channel.writable()
        channel.handle_write()
        assert not channel.writable()
        assert sock.outcomes == []

    @pytest.mark.parametrize(
        "error", [ssl.SSLWantReadError(2, "want read"), ssl.SSLWantWriteError(3, "want write")]
    )
    def test_a_write_that_can_not_go_on_has_written_nothing(self, error: Exception) -> None:
        sock = FakeSocket(error, b"12345")
        channel = channel_of(sock)
        assert channel.send(b"12345") == 0
        assert channel.send(b"12345") == 5
        assert not sock.closed

    def test_a_connection_that_is_to_be_closed_is(self) -> None:
        sock = FakeSocket()
        channel = channel_of(sock)
        channel.will_close = True
        channel.handle_write()
        assert sock.closed

    @pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLEOFError(8, "EOF")])
    def test_an_end_that_is_none_of_ours_closes_this_connection(self, error: Exception) -> None:
        sock = FakeSocket(error)
        channel_of(sock).handle_read()
        assert sock.closed


def test_a_client_that_is_gone_before_it_is_wrapped(
    serve: Serve, trusting: ssl.SSLContext, certificate: TLSSettings
) -> None:
    class Refusing(ssl.SSLContext):
        def wrap_socket(self, *_: Any, **__: Any) -> ssl.SSLSocket:
            raise OSError(107, "not connected")

    contexts: list[ssl.SSLContext] = [Refusing(ssl.PROTOCOL_TLS_SERVER), context(certificate)]
    listener = partial(TLSListener, context=lambda: contexts.pop(0))
    server = WebServer(application, [("127.0.0.1", 0)], listener=listener, scheme="https")
    server.start()
    try:
        assert not served(server, trusting)
        assert served(server, trusting)
    finally:
        server.close()


def test_nobody_there_to_accept(certificate: TLSSettings) -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    made = context(certificate)
    listener = TLSListener(
        application,
        {},
        True,
        bound,
        context=lambda: made,
        dispatcher=InLoop(),
        adj=Adjustments(),
        sockinfo=(bound.family, bound.type, bound.proto, bound.getsockname()),
        bind_socket=False,
        refusals=Refusals(),
        files=OpenFiles(),
    )
    try:
        assert listener.accept() is None
    finally:
        listener.close()
