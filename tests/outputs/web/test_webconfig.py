"""exporter-toolkit's file format: what is taken, and what is refused with its line."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import files
from exporter.errors import ConfigError
from exporter.outputs.web.webconfig import CIPHERS, TLSSettings, WebConfig, parse, read

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: /etc/ssl/server.key\n"


def config(text: str) -> WebConfig:
    return parse(text, "/etc/web/web.yml")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    prefix = "--web.config.file=/etc/web/web.yml:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def test_the_documented_example_is_taken() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tls.md").read_text()
    (example,) = (
        each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "tls_server_config" in each
    )
    found = config(example)
    assert found.tls is not None
    assert found.tls.client_auth_type == "RequireAndVerifyClientCert"
    assert list(found.users) == ["prometheus"]


class TestWhatIsTaken:
    @pytest.mark.parametrize(
        "text", ["", "# nothing\n", "{}", "tls_server_config:\nbasic_auth_users:\n", "~"]
    )
    def test_an_empty_file_asks_for_nothing(self, text: str) -> None:
        assert config(text) == WebConfig()

    @pytest.mark.parametrize("null", ["~", "null", "Null", "NULL", "", '""'])
    def test_null_is_as_if_it_were_not_there(self, null: str) -> None:
        text = (
            TLS
            + f"""
  client_auth_type: {null}
  client_ca_file: {null}
  client_allowed_sans: {null}
  min_version: {null}
  cipher_suites: {null}
  prefer_server_cipher_suites: {null}
http_server_config:
  http2: {null}
  headers: {null}
rate_limit:
  interval: {null}
  burst: {null}
basic_auth_users: {null}
"""
        )
        assert config(text) == config(TLS)

    def test_a_word_in_quotes_is_no_null(self) -> None:
        assert config('http_server_config: {headers: {X-XSS-Protection: "null"}}').headers == (
            ("X-XSS-Protection", "null"),
        )

    @pytest.mark.parametrize(
        ("interval", "seconds"),
        [
            ("1000000000", 1.0),
            ("0", 0.0),
            ("1s", 1.0),
            ("1m30s", 90.0),
            ("2ms", 0.002),
            ("5us", 5e-6),
            ("7ns", 7e-9),
        ],
    )
    def test_an_interval_is_one_of_gos(self, interval: str, seconds: float) -> None:
        found = config(f"rate_limit: {{interval: {interval}, burst: 1}}")
        assert found.rate_interval == pytest.approx(seconds)

    @pytest.mark.parametrize(
        "text", ["{min_version: TLS13}", "{curve_preferences: [X25519]}", "{cert_file: ''}"]
    )
    def test_tls_settings_without_a_certificate_ask_for_no_tls(self, text: str) -> None:
        assert config(f"tls_server_config: {text}") == WebConfig(unused_tls=True)

    def test_certificates_by_file_relative_to_the_configuration(self) -> None:
        tls = config(TLS).tls
        assert tls == TLSSettings(cert_file="/etc/web/server.crt", key_file="/etc/ssl/server.key")
        assert (tls.min_version, tls.max_version, tls.client_auth_type) == ("TLS12", "TLS13", "NoClientCert")
        assert tls.files == ("/etc/web/server.crt", "/etc/ssl/server.key")

    def test_certificates_in_the_file_itself(self) -> None:
        tls = config("tls_server_config:\n  cert: |\n    CERT\n  key: |\n    KEY\n").tls
        assert tls == TLSSettings(cert="CERT\n", key="KEY\n")
        assert tls.files == ()

    def test_everything_at_once(self) -> None:
        found = config(
            TLS
            + f"""
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS13
  max_version: TLS13
  cipher_suites:
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: ''
    Content-Security-Policy: default-src 'self'
basic_auth_users:
  prometheus: {HASH}
  2: {HASH}
rate_limit:
  interval: 1m30s
  burst: 20
"""
        )
        assert found.tls == TLSSettings(
            cert_file="/etc/web/server.crt",
            key_file="/etc/ssl/server.key",
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file="/etc/web/ca.crt",
            client_allowed_sans=("prometheus.example", "10.0.0.1"),
            min_version="TLS13",
            max_version="TLS13",
            cipher_suites=("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            prefer_server_cipher_suites=False,
            curve_preferences=("CurveP256", "X25519"),
        )
        assert found.users == {"prometheus": HASH.encode(), "2": HASH.encode()}
        assert dict(found.headers) == {
            "Strict-Transport-Security": "max-age=31536000",
            "X-Frame-Options": "deny",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'self'",
        }
        assert (found.rate_interval, found.rate_burst) == (90.0, 20)

    @pytest.mark.parametrize("suite", CIPHERS)
    def test_every_suite_that_go_calls_secure(self, suite: str) -> None:
        tls = config(f"{TLS}  cipher_suites: [{suite}]\n").tls
        assert tls is not None
        assert tls.cipher_suites == (suite,)

    @pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("1s", 1.0), ("250ms", 0.25), ("1h", 3600.0)])
    def test_durations(self, text: str, seconds: float) -> None:
        assert config(f"rate_limit: {{interval: {text}, burst: 1}}").rate_interval == seconds

    @pytest.mark.parametrize("name", ["cipher_suites", "curve_preferences", "client_allowed_sans"])
    def test_an_empty_list_is_none(self, name: str) -> None:
        assert config(f"{TLS}  {name}:\n").tls == config(TLS).tls

    def test_secrets_are_not_in_its_text_form(self) -> None:
        found = config(f"tls_server_config: {{cert: C, key: SECRET}}\nbasic_auth_users: {{a: {HASH}}}\n")
        assert "SECRET" not in repr(found)
        assert HASH not in repr(found)


REFUSED = {
    "an unknown section": ("tls_sever_config: {}\n", "1: unknown key 'tls_sever_config'; the file may hold: "),
    "an unknown key": (TLS + "  cert_flie: x\n", "4: unknown key 'cert_flie'; tls_server_config may hold: "),
    "an unknown header": ("http_server_config:\n headers:\n  X-Mine: 1\n", "3: unknown key 'X-Mine'"),
    "a header's value": ("http_server_config:\n headers: {X-Frame-Options: allow}\n", "2: 'allow' is not known; use one of: deny, sameorigin"),
    "a header over two lines": ('http_server_config:\n headers: {X-XSS-Protection: "a\\nb"}\n', "2: X-XSS-Protection holds characters"),
    "a key twice": ("basic_auth_users:\n" + f"  a: {HASH}\n" * 2, "3: a is given twice"),
    "a key that is no word": ("? [a]\n: b\n", "1: a key must be a word"),
    "a section that is a list": ("tls_server_config:\n  - a\n", "2: tls_server_config must be a mapping"),
    "a file that is a list": ("- a\n", "1: the file must be a mapping"),
    "a list that is a word": (TLS + "  cipher_suites: TLS_AES_128_GCM_SHA256\n", "4: expected a list here"),
    "a word that is a list": (TLS + "  min_version: [TLS12]\n", "4: expected a text here"),
    "a flag that is none": ("http_server_config: {http2: maybe}\n", "1: expected true or false"),
    "a flag that is a list": ("http_server_config: {http2: []}\n", "1: expected true or false"),
    "no certificate": ("tls_server_config:\n  key_file: b\n", "2: tls_server_config has neither cert_file nor cert"),
    "no key": ("tls_server_config:\n  cert_file: b\n", "2: tls_server_config has neither key_file nor key"),
    "a certificate twice": (TLS + "  cert: x\n", "4: cert and cert_file are both given; keep one"),
    "a suite": (TLS + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n", "4: 'TLS_RSA_WITH_RC4_128_SHA' is not known"),
    "a curve": (TLS + "  curve_preferences: [CurveP224]\n", "4: 'CurveP224' is not known; use one of: CurveP256, "),
    "a version": (TLS + "  min_version: SSL3\n", "4: 'SSL3' is not known; use one of: TLS10, "),
    "versions upside down": (TLS + "  max_version: TLS11\n", "2: min_version TLS12 is above max_version TLS11"),
    "an auth type": (TLS + "  client_auth_type: Maybe\n", "4: 'Maybe' is not known; use one of: NoClientCert, "),
    "any certificate": (TLS + "  client_auth_type: RequireAnyClientCert\n", "4: RequireAnyClientCert would take any certificate"),
    "a client CA for nobody": (TLS + "  client_ca_file: c\n", "2: a client CA without client_auth_type checks nobody"),
    "names for nobody": (TLS + "  client_allowed_sans: [a]\n", "4: client_allowed_sans needs client_auth_type"),
    "a password in clear": ("basic_auth_users:\n  a: secret\n", "2: the value of user 'a' is no bcrypt hash; make one with: htpasswd"),
    "a cost that takes days": (f"basic_auth_users:\n  a: {HASH.replace('$10$', '$31$')}\n", "2: bcrypt cost 31 of user 'a'"),
    "a cost below the least": (f"basic_auth_users:\n  a: {HASH.replace('$10$', '$03$')}\n", "2: bcrypt cost 3 of user 'a'"),
    "a colon in a name": (f"basic_auth_users:\n  'a:b': {HASH}\n", "2: a user's name can't hold a colon"),
    "a duration": ('rate_limit: {interval: "5"}\n', "1: expected a duration such as 1s"),
    "a count": ("rate_limit: {burst: many}\n", "1: expected a whole number"),
    "no burst": ("rate_limit:\n  interval: 1s\n", "2: a rate_limit with a burst of 0 lets no request in"),
    "broken YAML": ("a: [1\nb: 2\n", "2: "),
    "a tab": ("a:\n\tb: 1\n", "2: found character '\\t'"),
}  # fmt: skip


class TestWhatIsRefused:
    @pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=list(REFUSED))
    def test_with_its_line(self, text: str, expected: str) -> None:
        found = problems(text)
        assert len(found) == 1
        assert found[0].startswith(expected)

    def test_everything_at_once(self) -> None:
        assert len(problems("x: 1\nbasic_auth_users: {a: b, c: d}\nrate_limit: {burst: -1}\n")) == 4

    def test_a_password_in_clear_is_not_repeated(self) -> None:
        assert "hunter2" not in problems("basic_auth_users: {a: hunter2}")[0]

    @pytest.mark.parametrize("text", ["a: \x01", "[" * 5_000])
    def test_what_pyyaml_itself_can_not_read(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"web\.yml"):
            config(text)

    @given(st.text())
    def test_any_text_is_a_configuration_or_one_error(self, text: str) -> None:
        with contextlib.suppress(ConfigError):
            assert isinstance(config(text), WebConfig)


class TestReading:
    def test_from_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "web.yml"
        path.write_text(f"basic_auth_users: {{ä: {HASH}}}\n", encoding="utf-8")
        assert list(read(str(path)).users) == ["ä"]

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"--web.config.file=.*gone.yml: can't be read: No such file"):
            read(str(tmp_path / "gone.yml"))

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "web.yml"
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match="this is UTF-16"):
            read(str(path))

    def test_a_file_that_is_no_configuration_by_its_size(self, tmp_path: Path) -> None:
        path = tmp_path / "web.yml"
        path.write_text("#" * files.TEXT)
        assert read(str(path)) == WebConfig()
        path.write_text("#" * (files.TEXT + 1))
        with pytest.raises(ConfigError, match="larger than"):
            read(str(path))

    def test_without_pyyaml_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(ConfigError, match=r"needs PyYAML: "):
            config("")
