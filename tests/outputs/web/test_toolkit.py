"""Each kind of web configuration, taken or refused, beside exporter-toolkit's answer; makes the table of docs/tls.md.

What exporter-toolkit answers was asked of it, and is asked again where ``make toolkit`` has built it. After a
change of the cases: ``UPDATE_GOLDEN=1 make test ARGS=tests/outputs/web/test_toolkit.py``.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from exporter.errors import ConfigError
from exporter.markdown import table
from exporter.outputs.web.secured import Secured

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / ".cache" / "toolkit" / "exporter"
DOCUMENT = ROOT / "docs" / "tls.md"

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
PAIR = "cert_file: cert.pem, key_file: key.pem"
CLIENTS = f"{PAIR}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"
PLAIN, TLS, REFUSED = "HTTP", "HTTPS", "refused"


class Case(NamedTuple):
    what: str
    text: str
    toolkit: str
    """What exporter-toolkit does with it."""
    ours: str = ""
    """What is done here, where that is something else."""
    why: str = ""


def tls(rest: str = "") -> str:
    return f"tls_server_config: {{{PAIR}{rest}}}\n"


CASES = (
    Case("an empty file", "", PLAIN),
    Case("null", "~\n", PLAIN),
    Case("sections with nothing in them", "tls_server_config:\nbasic_auth_users:\nrate_limit:\n", PLAIN),
    Case("text that is no mapping", "some words\n", REFUSED),
    Case("broken YAML", "tls_server_config: {\n", REFUSED),
    Case("an unknown section", "tls_config: {}\n", REFUSED),
    Case("an unknown key", "tls_server_config: {cert_filse: cert.pem}\n", REFUSED),
    Case("a key twice", "rate_limit: {}\nrate_limit: {}\n", REFUSED),
    Case(
        "two documents",
        "rate_limit: {}\n---\nrate_limit: {}\n",
        PLAIN,
        REFUSED,
        "it reads the first and passes over the other",
    ),
    Case("certificate and key by file", tls(), TLS),
    Case(
        "certificate and key in the file itself",
        "tls_server_config:\n  cert: |\n@CERT@\n  key: |\n@KEY@\n",
        TLS,
    ),
    Case(
        "certificate both by file and in the file",
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n  cert: |\n@CERT@\n",
        TLS,
        REFUSED,
        "it takes the file and passes over the other",
    ),
    Case("no key", "tls_server_config: {cert_file: cert.pem}\n", REFUSED),
    Case("no certificate", "tls_server_config: {key_file: key.pem}\n", REFUSED),
    Case("an empty name of a file", "tls_server_config: {cert_file: '', key_file: key.pem}\n", REFUSED),
    Case("a file that is not there", "tls_server_config: {cert_file: no.pem, key_file: key.pem}\n", REFUSED),
    Case(
        "a key of another certificate",
        "tls_server_config: {cert_file: cert.pem, key_file: other.pem}\n",
        REFUSED,
    ),
    Case(
        "TLS settings without certificate, key and clients",
        "tls_server_config: {min_version: TLS13}\n",
        PLAIN,
    ),
    Case("a client_auth_type alone", "tls_server_config: {client_auth_type: NoClientCert}\n", REFUSED),
    Case("RequestClientCert", tls(", client_auth_type: RequestClientCert"), TLS),
    Case(
        "RequireAnyClientCert",
        tls(", client_auth_type: RequireAnyClientCert"),
        TLS,
        REFUSED,
        "any certificate would do, even one made a minute ago",
    ),
    Case(
        "RequireClientCert, its old name",
        tls(", client_auth_type: RequireClientCert"),
        TLS,
        REFUSED,
        "the same",
    ),
    Case(
        "VerifyClientCertIfGiven",
        tls(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"),
        TLS,
    ),
    Case("RequireAndVerifyClientCert", f"tls_server_config: {{{CLIENTS}}}\n", TLS),
    Case(
        "the same without a CA: those of the system",
        tls(", client_auth_type: RequireAndVerifyClientCert"),
        TLS,
    ),
    Case("an unknown client_auth_type", tls(", client_auth_type: Sometimes"), REFUSED),
    Case("a client CA without client_auth_type", tls(", client_ca_file: ca.pem"), REFUSED),
    Case(
        "a client CA that is not there",
        f"tls_server_config: {{{CLIENTS.replace('ca.pem', 'no.pem')}}}\n",
        REFUSED,
    ),
    Case(
        "a client CA without a certificate in it",
        f"tls_server_config: {{{CLIENTS.replace('ca.pem', 'empty.pem')}}}\n",
        TLS,
        REFUSED,
        "it would let nobody in",
    ),
    Case("client_allowed_sans", f"tls_server_config: {{{CLIENTS}, client_allowed_sans: [a.example]}}\n", TLS),
    Case(
        "client_allowed_sans without certificates to look at",
        tls(", client_allowed_sans: [a.example]"),
        TLS,
        REFUSED,
        "nobody would be checked",
    ),
    Case("versions", tls(", min_version: TLS10, max_version: TLS12"), TLS),
    Case("an unknown version", tls(", min_version: TLS111"), REFUSED),
    Case("an empty version", tls(', min_version: ""'), REFUSED, TLS, "empty is as if it were not there"),
    Case(
        "a least version above the highest",
        tls(", min_version: TLS13, max_version: TLS12"),
        TLS,
        REFUSED,
        "no handshake would succeed",
    ),
    Case(
        "cipher suites",
        tls(", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]"),
        TLS,
    ),
    Case("an unknown cipher suite", tls(", cipher_suites: [TLS_AES_128_GCM_SHA2048]"), REFUSED),
    Case(
        "cipher suites that HTTP/2 can't use",
        tls(", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], max_version: TLS12"),
        REFUSED,
        TLS,
        "HTTP/2 is not offered, so there is no conflict",
    ),
    Case(
        "the same with HTTP/2 off",
        tls(", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], max_version: TLS12")
        + "http_server_config: {http2: false}\n",
        TLS,
    ),
    Case("prefer_server_cipher_suites", tls(", prefer_server_cipher_suites: false"), TLS),
    Case("curves", tls(", curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]"), TLS),
    Case("an unknown curve", tls(", curve_preferences: [CurveP257]"), REFUSED),
    Case("null for every setting", tls(", min_version: ~, client_auth_type: null, cipher_suites: ~"), TLS),
    Case("users", f"basic_auth_users: {{alice: {HASH}}}\n", PLAIN),
    Case("users with TLS", tls() + f"basic_auth_users: {{alice: {HASH}}}\n", TLS),
    Case("a password in clear", "basic_auth_users: {alice: secret}\n", REFUSED),
    Case("a user without a hash", "basic_auth_users: {alice: }\n", REFUSED),
    Case(
        "a hash of cost 19",
        f"basic_auth_users: {{alice: {HASH.replace('$10$', '$19$')}}}\n",
        PLAIN,
        REFUSED,
        "one login would take half a minute",
    ),
    Case(
        "a colon in a name",
        f'basic_auth_users: {{"a:b": {HASH}}}\n',
        PLAIN,
        REFUSED,
        "no client can send it (RFC 7617)",
    ),
    Case(
        "headers",
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n"
        "    X-XSS-Protection: 1\n    Content-Security-Policy: default-src 'self'\n"
        "    Strict-Transport-Security: max-age=31536000\n",
        PLAIN,
    ),
    Case("a header that may not be set", "http_server_config: {headers: {Content-Type: foo}}\n", REFUSED),
    Case(
        "a value that a header may not have",
        "http_server_config: {headers: {X-Frame-Options: foo}}\n",
        REFUSED,
    ),
    Case("HTTP/2 off without TLS", "http_server_config: {http2: false}\n", PLAIN),
    Case("a rate limit", "rate_limit: {interval: 1s, burst: 10}\n", PLAIN),
    Case("a rate limit of none", "rate_limit: {interval: 0, burst: 0}\n", PLAIN),
    Case("an interval in whole nanoseconds", "rate_limit: {interval: 1000000000, burst: 1}\n", PLAIN),
    Case("an interval without a unit, in quotes", 'rate_limit: {interval: "5", burst: 1}\n', REFUSED),
    Case(
        "a rate limit with a burst of 0",
        "rate_limit: {interval: 1s, burst: 0}\n",
        PLAIN,
        REFUSED,
        "it would refuse every request",
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the cases name."""
    folder = tmp_path_factory.mktemp("toolkit")
    # Go's suites of TLS 1.2 above are those of RSA.
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.issue_cert("localhost").private_key_pem.write_to_path(folder / "other.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "empty.pem").write_text("")
    return folder


def written(case: Case, folder: Path) -> Path:
    text = case.text
    for mark, name in (("@CERT@", "cert.pem"), ("@KEY@", "key.pem")):
        inline = "".join(f"    {line}\n" for line in (folder / name).read_text().splitlines())
        text = text.replace(mark, inline.rstrip("\n"))
    path = folder / "web.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_what_is_done_here(case: Case, folder: Path) -> None:
    assert done(written(case, folder)) == (case.ours or case.toolkit)


def done(path: Path) -> str:
    try:
        return {"http": PLAIN, "https": TLS}[Secured(str(path)).scheme]
    except ConfigError:
        return REFUSED


def test_whatever_differs_has_a_reason() -> None:
    for case in CASES:
        assert bool(case.ours) == bool(case.why), case
        assert case.ours != case.toolkit


@pytest.fixture(scope="session")
def toolkit(require: Callable[[str, str | None, str], str]) -> str:
    found = str(PROGRAM) if PROGRAM.exists() else None
    return require("the exporter around exporter-toolkit", found, "make toolkit (needs Go)")


@pytest.mark.real
@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_what_exporter_toolkit_does(case: Case, folder: Path, toolkit: str) -> None:
    path = written(case, folder)
    with subprocess.Popen(
        [toolkit, "127.0.0.1:0", str(path)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stderr is not None
            said = b""
            while b'msg="TLS is ' not in said and select.select([process.stderr], [], [], 20)[0]:
                data = os.read(process.stderr.fileno(), 65536)
                if not data:
                    break
                said += data
            found = re.search(rb"address=127.0.0.1:(\d+)", said)
            assert answer(int(found[1]) if found else 0) == case.toolkit, said.decode()
        finally:
            process.kill()


def answer(port: int) -> str:
    """What a request in plain HTTP tells of the port; one that nobody serves is that of a refused configuration."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b"".join(iter(lambda: sock.recv(4096), b""))
    except OSError:
        data = b""
    return REFUSED if not data else TLS if b"HTTPS server" in data else PLAIN


def test_the_documents_table_is_current() -> None:
    rows = [(case.what, case.toolkit, case.ours or case.toolkit, case.why) for case in CASES]
    made = table(("The file holds", "exporter-toolkit", "here", "why not the same"), rows)
    before = DOCUMENT.read_text(encoding="utf-8")
    after = re.sub(
        r"(<!-- toolkit -->\n).*?(<!-- /toolkit -->)",
        lambda m: f"{m[1]}{made}{m[2]}",
        before,
        flags=re.DOTALL,
    )
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(after, encoding="utf-8")
    assert before == after or os.environ.get("UPDATE_GOLDEN")
    assert made in DOCUMENT.read_text(encoding="utf-8")
