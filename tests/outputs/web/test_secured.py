"""The web configuration in force: guarding requests, and following changes of the files."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import bcrypt
import pytest
import trustme

from exporter.errors import ConfigError
from exporter.outputs.web.application import WSGI, Environ, StartResponse
from exporter.outputs.web.connections import Listener
from exporter.outputs.web.login_queue import Login, LoginQueue
from exporter.outputs.web.secured import LOOK_SECONDS, Limiter, Secured
from exporter.outputs.web.server import WebServer

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"changed", bcrypt.gensalt(4)).decode()


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"page\n"]


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Site:
    """A configuration file, a clock moved by hand, and requests against both."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.now = 100.0
        self.writes = 0
        self.write(text)
        self.secured = Secured(str(path), clock=lambda: self.now)
        self.application = self.secured.with_headers(application)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        # Two writes within a tick of the file system's clock are still two.
        self.writes += 1
        os.utime(self.path, ns=(self.writes * 10**9, self.writes * 10**9))

    def change(self, text: str) -> None:
        self.write(text)
        self.now += LOOK_SECONDS

    def ask(self, authorization: str = "", method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        decided: SimpleQueue[WSGI | None] = SimpleQueue()
        headers = {"AUTHORIZATION": authorization} if authorization else {}
        self.secured.admit(headers, "192.0.2.1", decided.put)
        refusal = decided.get(timeout=10)
        answer: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/metrics"}
        chosen = self.application if refusal is None else refusal
        body = b"".join(chosen(environ, lambda status, headers: answer.extend((status, headers))))
        return int(answer[0][:3]), dict(answer[1]), body


def users(**hashes: str) -> str:
    return "basic_auth_users:\n" + "".join(f"  {name}: {text}\n" for name, text in hashes.items())


class TestGuard:
    def test_an_empty_file_lets_everybody_in_over_plain_http(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "web.yml", "")
        assert site.ask() == (200, {"Content-Type": "text/plain", "Content-Length": "5"}, b"page\n")
        assert site.secured.scheme == "http"
        assert site.secured.listener is Listener

    def test_with_users_it_takes_a_name_and_a_password(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "web.yml", users(prometheus=HASH))
        status, headers, body = site.ask()
        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="vmguest-exporter"')
        assert b"page" not in body
        assert site.ask(basic("prometheus", "wrong"))[0] == 401
        assert site.ask(basic("prometheus", "secret"))[::2] == (200, b"page\n")

    def test_a_refusal_to_head_has_no_body(self, tmp_path: Path) -> None:
        assert Site(tmp_path / "web.yml", users(a=HASH)).ask(method="HEAD")[2] == b""

    def test_who_finds_no_room_to_wait_is_told_to_come_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        monkeypatch.setattr(LoginQueue, "put", lambda _self, _address, login: login.turn_away())
        status, headers, _ = site.ask(basic("a", "secret"))
        assert (status, headers["Retry-After"]) == (429, "1")

    def test_a_login_is_judged_by_the_users_of_its_turn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        waiting: list[Login] = []
        monkeypatch.setattr(LoginQueue, "put", lambda _self, _address, login: waiting.append(login))
        decided: list[WSGI | None] = []
        site.secured.admit({"AUTHORIZATION": basic("a", "secret")}, "192.0.2.1", decided.append)
        site.change(users(a=OTHER))
        site.secured.rules()
        waiting[0].check()
        assert decided[0] is not None
        assert b"Name and password" in b"".join(decided[0]({"REQUEST_METHOD": "GET"}, lambda *_: None))

    def test_headers_go_with_every_answer(self, tmp_path: Path) -> None:
        text = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n" + users(a=HASH)
        site = Site(tmp_path / "web.yml", text)
        for authorization in ("", basic("a", "secret")):
            assert site.ask(authorization)[1]["X-Frame-Options"] == "deny"

    def test_they_replace_the_pages_own(self, tmp_path: Path) -> None:
        text = "http_server_config:\n  headers:\n    Content-Security-Policy: default-src 'self'\n"
        site = Site(tmp_path / "web.yml", text)
        found: list[tuple[str, str]] = []

        def page(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Security-Policy", "default-src 'none'"), ("Vary", "Accept")])
            return []

        with_headers = site.secured.with_headers(page)
        with_headers({"REQUEST_METHOD": "GET"}, lambda _, headers: found.extend(headers))
        assert found == [("Vary", "Accept"), ("Content-Security-Policy", "default-src 'self'")]

    def test_what_is_wrong_with_the_costs_is_said_at_the_start(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH, b=HASH.replace("$04$", "$05$")))
        site.change(users(a=HASH, b=HASH.replace("$04$", "$05$"), c=HASH))
        site.secured.rules()
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "these names exist: b;" in warnings[0].getMessage()

    def test_tls_settings_without_a_certificate_are_served_plainly_and_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(tmp_path / "web.yml", "tls_server_config: {min_version: TLS13}\n")
        assert site.secured.scheme == "http"
        (record,) = caplog.records
        assert "served without TLS" in record.getMessage()

    def test_a_rate_limit(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "web.yml", "rate_limit: {interval: 10s, burst: 2}\n")
        assert [site.ask()[0] for _ in range(3)] == [200, 200, 429]
        site.now += 10
        assert [site.ask()[0] for _ in range(2)] == [200, 429]

    def test_a_bad_file_stops_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"web.yml:1: unknown key 'x'"):
            Site(tmp_path / "web.yml", "x: 1\n")


def test_a_limiter_saves_up_no_more_than_its_burst() -> None:
    now = [0.0]
    limiter = Limiter(1.0, 3, lambda: now[0])
    now[0] = 1000.0
    assert [limiter.allows() for _ in range(4)] == [True, True, True, False]


class TestChanges:
    def test_who_was_let_in_does_not_wait_again_after_a_change_of_something_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        assert site.ask(basic("a", "secret"))[0] == 200
        site.change(users(a=HASH, b=OTHER))
        monkeypatch.setattr(LoginQueue, "put", lambda *_: pytest.fail("it had to wait"))
        assert site.ask(basic("a", "secret"))[0] == 200

    def test_a_changed_password_counts_from_the_next_look_on(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        site = Site(tmp_path / "web.yml", users(a=HASH))
        assert site.ask(basic("a", "secret"))[0] == 200
        site.change(users(a=OTHER))
        assert site.ask(basic("a", "secret"))[0] == 401
        assert site.ask(basic("a", "changed"))[0] == 200
        assert [record.getMessage() for record in caplog.records] == ["web configuration read again"]

    def test_between_two_looks_the_files_are_left_alone(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "web.yml", "")
        site.write(users(a=HASH))
        site.now += LOOK_SECONDS - 0.01
        assert site.ask()[0] == 200
        site.now += 0.01
        assert site.ask()[0] == 401

    def test_an_unchanged_file_is_not_read_again(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        rules = site.secured.rules()
        site.now += 10 * LOOK_SECONDS
        assert site.secured.rules() is rules
        assert caplog.records == []

    def test_a_bad_change_is_said_once_with_its_line_and_the_old_rules_stay(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        site.change("\nbasic_auth_user: {}\n")
        for _ in range(3):
            assert site.ask()[0] == 401
            assert site.ask(basic("a", "secret"))[0] == 200
            site.now += LOOK_SECONDS
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "web.yml:2: unknown key 'basic_auth_user'" in record.problems  # type: ignore[attr-defined]
        site.change("")
        assert site.ask()[0] == 200

    def test_a_file_that_goes_away_is_a_bad_change(self, tmp_path: Path) -> None:
        site = Site(tmp_path / "web.yml", users(a=HASH))
        site.path.unlink()
        site.now += LOOK_SECONDS
        assert site.ask()[0] == 401

    def test_a_file_behind_a_link_that_is_swapped(self, tmp_path: Path) -> None:
        """As Kubernetes changes what it mounts."""
        for name, text in (("one", ""), ("two", users(a=HASH))):
            (tmp_path / name).write_text(text)
        link = tmp_path / "web.yml"
        link.symlink_to("one")
        now = [0.0]
        secured = Secured(str(link), clock=lambda: now[0])
        assert secured.rules().passwords is None
        link.unlink()
        link.symlink_to("two")
        now[0] += LOOK_SECONDS
        assert secured.rules().passwords is not None


class TestFloods:
    def test_strangers_with_random_names_do_not_lock_the_scraper_out(self, tmp_path: Path) -> None:
        """Four of them, from the scraper's own address; it never logged in before, and may not get a single 429."""
        path = tmp_path / "web.yml"
        path.write_text(users(prometheus=bcrypt.hashpw(b"secret", bcrypt.gensalt(8)).decode()))
        secured = Secured(str(path))
        server = WebServer(secured.with_headers(application), [("127.0.0.1", 0)], admit=secured.admit)
        server.start()
        port = server.addresses[0][1]
        stop = threading.Event()
        found: list[int] = []

        def get(name: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("GET", "/metrics", headers={"Authorization": basic(name, "secret")})
                return connection.getresponse().status
            finally:
                connection.close()

        def flood(number: int) -> None:
            for attempt in itertools.count():
                if stop.is_set():
                    return
                found.append(get(f"{number} {attempt}"))

        strangers = [threading.Thread(target=flood, args=(number,)) for number in range(4)]
        for thread in strangers:
            thread.start()
        try:
            while len(found) < 4:
                stop.wait(0.01)
            assert [get("prometheus") for _ in range(18)] == [200] * 18
        finally:
            stop.set()
            for thread in strangers:
                thread.join(20)
            server.close()
        assert set(found) == {401}


class TestTLS:
    @pytest.fixture
    def folder(self, tmp_path: Path, authority: trustme.CA) -> Path:
        self.issue(tmp_path, authority)
        return tmp_path

    @staticmethod
    def issue(folder: Path, authority: trustme.CA, *parts: str) -> None:
        issued = authority.issue_cert("localhost")
        for name, pem in (("key", issued.private_key_pem), ("cert", issued.cert_chain_pems[0])):
            if not parts or name in parts:
                pem.write_to_path(folder / f"{name}.pem")

    TEXT = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"

    @contextlib.contextmanager
    def serving(self, secured: Secured) -> Iterator[WebServer]:
        server = WebServer(
            secured.with_headers(application),
            [("127.0.0.1", 0)],
            admit=secured.admit,
            listener=secured.listener,
            scheme=secured.scheme,
        )
        server.start()
        try:
            yield server
        finally:
            server.close()

    @staticmethod
    def certificate_of(server: WebServer, authority: trustme.CA) -> bytes | None:
        """The server's certificate, after a page was had."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(client)
        with (
            socket.create_connection(server.addresses[0], timeout=10) as plain,
            client.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            found = sock.getpeercert(True)
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b"".join(iter(lambda: sock.recv(4096), b""))
            assert data.endswith(b"\r\n\r\npage\n")
        return found

    def test_a_renewed_certificate_is_used_for_the_next_connection(
        self, folder: Path, authority: trustme.CA
    ) -> None:
        site = Site(folder / "web.yml", self.TEXT)
        assert site.secured.scheme == "https"
        with self.serving(site.secured) as server:
            first = self.certificate_of(server, authority)
            self.issue(folder, authority)
            assert self.certificate_of(server, authority) == first
            site.now += LOOK_SECONDS
            assert self.certificate_of(server, authority) != first

    def test_a_certificate_that_is_ahead_of_its_key_waits_for_it(
        self, folder: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(folder / "web.yml", self.TEXT)
        with self.serving(site.secured) as server:
            first = self.certificate_of(server, authority)
            self.issue(folder, authority, "cert")
            site.now += LOOK_SECONDS
            assert self.certificate_of(server, authority) == first
            assert "not that of the certificate" in caplog.records[0].problems  # type: ignore[attr-defined]
            self.issue(folder, authority)
            site.now += LOOK_SECONDS
            assert self.certificate_of(server, authority) != first

    def test_a_new_file_that_comes_after_the_configuration_that_names_it(
        self, folder: Path, authority: trustme.CA
    ) -> None:
        site = Site(folder / "web.yml", self.TEXT)
        before = site.secured.rules()
        site.change("tls_server_config: {cert_file: next.pem, key_file: key.pem}\n")
        assert site.secured.rules() is before
        (folder / "cert.pem").rename(folder / "next.pem")
        site.now += LOOK_SECONDS
        assert site.secured.rules() is not before

    def test_tls_can_not_be_switched_off_behind_the_clients_backs(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        site = Site(folder / "web.yml", self.TEXT)
        site.change("")
        assert site.secured.rules().context is not None
        assert "takes a restart" in caplog.records[0].problems  # type: ignore[attr-defined]
