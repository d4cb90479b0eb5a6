"""What a setting or an argument names may be anything: the readers take regular files of a size that makes sense."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import files
from exporter.check import contract
from exporter.commands import cli
from exporter.config import flags, load
from exporter.errors import ConfigError
from exporter.insight.start import Keeper
from exporter.machine import small_file
from exporter.outputs.otlp import resource
from exporter.outputs.otlp.certificates import check_certificates
from exporter.outputs.otlp.variables import NamedValue
from exporter.outputs.web import tls_context, webconfig
from exporter.reading.client import at_url
from exporter.session import recording
from exporter.session.memory import SessionFile
from exporter.simulator import scenario_file

PARTS = 100_000


def of_setting(flag: str, *others: str) -> object:
    def read(path: str) -> object:
        return load(flags.read((f"{flag}={path}", *others)).given)

    return read


def certificates(path: str) -> None:
    problems: list[str] = []
    check_certificates(NamedValue(path, "OTEL_EXPORTER_OTLP_CERTIFICATE"), None, None, problems)
    if problems:
        raise ConfigError(*problems)


OTLP = "--otlp.endpoint=https://localhost:4318"
READERS = {
    "--config.file": of_setting("--config.file"),
    "--web.config.file": of_setting("--web.config.file"),
    "--replay.file": of_setting("--replay.file", "--source=replay"),
    "--library.path": of_setting("--library.path"),
    "--otlp.ca": of_setting("--otlp.ca", OTLP),
    "--otlp.cert": of_setting("--otlp.cert", OTLP),
    "--otlp.key": of_setting("--otlp.key", OTLP),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": certificates,
    "web configuration": webconfig.read,
    "its certificate": lambda path: tls_context.context(webconfig.TLSSettings(cert_file=path, key_file=path)),
    "its client CA": lambda path: tls_context._load_clients(
        tls_context.Context(ssl.PROTOCOL_TLS_SERVER),
        webconfig.TLSSettings(client_auth_type="VerifyClientCertIfGiven", client_ca_file=path),
    ),
    "--simulated.scenario": scenario_file.read,
    "a recording": recording.read,
    "--profile": contract.load,
    "--ca": lambda path: at_url("https://localhost", None, None, Path(path)),
    "--password-file": lambda path: at_url("http://localhost", "me", Path(path), None),
}
OWN = {
    "session.json": lambda path: SessionFile(Path(path), "boot").recall(),
    "last-seen.json": lambda path: Keeper(Path(path)).load(),
    "machine-id": lambda path: resource._machine_id(str(path)),
    "a note": small_file.read,
    "a file to write": lambda path: os.close(files.open_regular(path, os.O_RDWR | os.O_CREAT)),
}
"""What the exporter opens by itself, in folders that others may write to."""
PIPES = {"--password-file"}
"""Where people write <(pass show NAME)."""


@pytest.fixture(params=["/dev/zero", "/proc/self/mem", "pipe", "socket", "folder", "missing", "large"])
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A path that no reader takes, and what it says of it."""
    path = tmp_path / "bad.toml"
    match request.param:
        case "/dev/zero":
            return "/dev/zero", "this is a device, not a regular file"
        case "/proc/self/mem":
            return "/proc/self/mem", "reading it fails: Input/output error"
        case "pipe":
            os.mkfifo(path)
            return str(path), "this is a pipe, not a regular file"
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
            return str(path), "this is a socket, not a regular file"
        case "folder":
            return str(tmp_path), "this is a folder"
        case "missing":
            return str(path), "No such file or directory"
        case _:
            path.touch()
            os.truncate(path, files.RECORDING + 1)
            return str(path), "so it must be something else"


@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_what_is_no_file_of_its_kind(name: str, bad: tuple[str, str]) -> None:
    path, why = bad
    if (name in PIPES and "pipe" in why) or (name == "--library.path" and "something else" in why):
        return  # The first is tried below; a library may be of any size.
    with pytest.raises(ConfigError) as caught:
        READERS[name](path)  # type: ignore[operator]
    assert why in str(caught.value)
    assert path in str(caught.value)
    assert caught.value.passing is why.endswith(("No such file or directory", "error")) or name == "--profile"


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_its_own_in_whose_place_there_is_a_pipe_or_a_device_is_not_waited_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_file, "PAUSE", 0.0)
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "machine-id"
    given = tmp_path if name == "machine-id" else path

    def look() -> None:
        with contextlib.suppress(OSError):
            OWN[name](given)  # type: ignore[no-untyped-call]

    for kind in ("pipe", "device"):
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero")
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(30)
        assert not looking.is_alive()
        path.unlink()


def test_what_became_a_pipe_between_two_looks_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    os.mkfifo(path)
    monkeypatch.setattr(files, "check_kind", lambda *_: None)
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(OSError, match="this is a pipe, not a regular file"):
        files.open_regular(path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize("name", READERS)
def test_no_reader_waits_or_dies_over_what_is_no_text(name: str, tmp_path: Path) -> None:
    path = tmp_path / "noise.toml"
    path.write_bytes(bytes(range(256)) * 4096)
    if name in {"--web.config.file", "--replay.file", "--library.path", "--otlp.ca"}:
        READERS[name](str(path))  # type: ignore[operator]  # What is in it, the part that uses it sees.
        return
    with pytest.raises(ConfigError):
        READERS[name](str(path))  # type: ignore[operator]


def test_a_settings_file_that_can_not_be_read_is_told_with_what_was_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--config.file=/proc/self/mem"]) == 1
    said = capsys.readouterr().err
    assert (
        "--config.file=/proc/self/mem: expected a readable file; reading it fails: Input/output error\n"
        in said
    )


def test_an_empty_path_is_bad_usage_and_a_missing_file_may_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([f"--config.file={tmp_path / 'none'}"]) == 1
    assert cli.main(["--config.file="]) == 2
    assert cli.main([f"--config.file={tmp_path}"]) == 2
    assert cli.main(["--source=simulated", f"--simulated.scenario={tmp_path}/none.toml"]) == 1
    capsys.readouterr()


def test_a_password_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("secret\n",))
    writer.start()
    assert files.read_secret(pipe) == "secret"
    writer.join()


def test_a_pipe_is_waited_for_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_WAIT", 0.01)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nothing came through this pipe") as caught:
        files.read_secret(pipe)
    assert caught.value.errno == errno.ETIMEDOUT


def test_a_pipe_that_never_ends_is_given_up(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pytest.raises(BrokenPipeError), pipe.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(OSError, match="larger than 1 MiB"):
        files.read_secret(pipe)
    writer.join()


def test_what_says_that_it_is_empty_is_read_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("\ufeffx" * 10, encoding="utf-8")
    assert files.read_bytes(path, 40) == path.read_bytes()
    assert files.read_text(path) == path.read_text(encoding="utf-8")[1:]
    with pytest.raises(OSError, match="larger than 39 bytes"):
        files.read_bytes(path, 39)
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(OSError, match="larger than 10 bytes"):
        files.read_bytes("/proc/self/status", 10)


DOTTED = ".".join("a" * PARTS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"\n{DOTTED} = 1", r"A key of more than 32 parts \(at line 2, column 1\)"),
        (f"[{DOTTED}]", r"A key of more than 32 parts \(at line 1, column 2\)"),
        (f"a = {{ {DOTTED} = 1 }}", "A key of more than 32 parts"),
        (" . ".join(["'a'", '"b\\""'] * 40) + " = 1", "A key of more than 32 parts"),
        ("a = 1\nb = " + "9" * 900_000, r"A key or number of 900,000 characters, .* \(at line 2, column 5\)"),
        ("a = 0x" + "f" * 5000, "A key or number of 5,002 characters"),
        ("a = -" + "9_" * 5000 + "9", "A key or number of"),
        ("a = 1." + "9" * 5000, "A key or number of 5,000 characters"),
        ("a = " + "[" * 20_000, "Brackets within brackets"),
        ("a = " + "{a = " * 20_000, "Brackets within brackets"),
        ('a = "' + "\\" * 500_000, "."),
        ('a = """' + "x\n" * 500_000, "."),
        ("a = 2020-13-45", "."),
        ("[web]\n[web]", r"^Cannot declare web twice \(at line 2, column 5\)"),
        ('web={}\n[web."it\'s"]', r"^Cannot \w+ .*web.it's twice"),
        ("web={a=1}\nweb.x=1", "^Cannot mutate immutable namespace web "),
    ],
)
def test_toml_that_would_take_ages_is_an_error_with_its_place(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        files.parse_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "# " + "x" * 1_000_000,
        "a = 1 # " + DOTTED,
        f'a = "{DOTTED}"',
        f"a = '{DOTTED}'",
        f'a = """\n{DOTTED} = 1\n"""',
        f"a = '''\n{DOTTED} = {'9' * 9000}\n'''",
        f'a = "\\"{DOTTED}"',
        f'"{"k" * 1000}" = 1',
        ".".join("a" * 32) + " = 1",
        "a = [" + "1," * 20_000 + "]",
    ],
)
def test_long_strings_comments_and_lists_are_ordinary(text: str) -> None:
    assert files.parse_toml(text) is not None


@given(st.text(alphabet="ab.=[]{}\"'#\\\n 1_-,", max_size=60))
def test_whatever_stands_there_it_is_a_document_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(files.parse_toml(text), dict)
