from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.places import (
    Address,
    Endpoint,
    Header,
    InputFile,
    ListenAddress,
    LockFile,
    SocketPath,
    UrlPath,
)
from exporter.config.values import Choice, Duration, Factor, Switch, ValueKind, Whole
from exporter.machine.system import LINUX, WINDOWS, System


def test_a_socket_path_may_not_exist_yet_but_must_fit() -> None:
    assert SocketPath().parse("/run/host") == "/run/host"
    with pytest.raises(ValueError, match="107 bytes"):
        SocketPath().parse("/" + "x" * 107)
    for text in ("", "a\0b"):
        with pytest.raises(ValueError, match="character"):
            SocketPath().parse(text)


def test_an_input_file_must_be_readable_now(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    with pytest.raises(ValueError, match="No such file"):
        InputFile().parse(str(file))
    file.touch()
    assert InputFile().parse(str(file)) == str(file)
    with pytest.raises(ValueError, match="folder"):
        InputFile().parse(str(tmp_path))


def test_a_lock_file_need_not_be_there_and_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ha.lock"
    assert LockFile().parse(str(file)) == str(file)
    assert LockFile().parse(str(tmp_path / "none" / "ha.lock"))
    file.touch()
    assert LockFile().parse(str(file / "x"))
    assert LockFile().parse(str(file)) == str(file)
    file.write_bytes(bytes(5000))
    with pytest.raises(ValueError, match="larger than 4,096 bytes, so it must be something else"):
        LockFile().parse(str(file))
    with pytest.raises(ValueError, match="would not see each other"):
        LockFile().parse("ha.lock")
    for ending in ("maintenance", "stopping", "checks", "checks.new"):
        with pytest.raises(ValueError, match=r"may be another lock's; name it like ha\.lock"):
            LockFile().parse(str(tmp_path / f"x.{ending}"))
    file.unlink()
    os.mkfifo(file)
    for path, why in (
        (file, "a pipe, not a regular file"),
        (tmp_path, "a folder"),
        ("/dev/zero", "a device"),
    ):
        with pytest.raises(ValueError, match=why):
            LockFile().parse(str(path))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10052", Address("", 10052)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:65535", Address("localhost", 65535)),
        ("[::1]:10052", Address("::1", 10052)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
    ],
)
def test_a_listen_address_reads_and_shows(text: str, address: Address) -> None:
    assert ListenAddress().parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [("10052", "colon before the port: :10052"), ("::1:80", "brackets"), (":65536", "at most 65535")],
)
def test_a_wrong_listen_address_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        ListenAddress().parse(text)


@pytest.mark.parametrize("text", ["", "host", "host:", "a b:1", "http://x:1", "[x]:1", ":123456"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ListenAddress().parse(text)


def test_the_metrics_path_leaves_the_other_pages_alone() -> None:
    assert UrlPath().parse("/vm/metrics") == "/vm/metrics"
    for text, hint in (("/", "status page"), ("/-/healthy", "taken")):
        with pytest.raises(ValueError, match=hint):
            UrlPath().parse(text)
    for text in ("", "metrics", "/a?b", "/a b", "//x", "/x/"):
        with pytest.raises(ValueError):
            UrlPath().parse(text)


@pytest.mark.parametrize(
    "text", ["localhost:4317", "https://[::1]:4318/x?y", "unix:/run/x", "dns:///collector:4317"]
)
def test_an_endpoint_is_any_form_that_the_push_may_know(text: str) -> None:
    """One parser for flags and standard variables: the push's."""
    assert Endpoint().parse(text) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("http://name:secret@collector:4318", "ends up in logs"),
        ("name:secret@collector:4318", "ends up in logs"),
        ("", "^$"),
        ("http://x y", "^$"),
    ],
)
def test_a_malformed_endpoint_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as caught:
        Endpoint().parse(text)
    assert "secret" not in str(caught.value)


def test_a_header_reads_as_in_the_otel_variable() -> None:
    kind = Header()
    assert kind.split("a=1, b=2") == ["a=1", "b=2"]
    assert kind.parse("Authorization=Basic%20abc%3D") == ("authorization", "Basic abc=")
    assert kind.native(("X-Scope", "a,b=c")) == ("x-scope", "a,b=c")
    assert kind.native("a=1") == ("a", "1")


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        ("secret", "no = in it"),
        ("sec ret=x", "no HTTP header name"),
        ("a=secret%0d%0ainjected", "characters"),
        (("a", 3), "quotes"),
        (3, "quotes"),
    ],
)
def test_a_wrong_header_is_refused_without_repeating_it(raw: object, hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as caught:
        Header().native(raw)
    assert "secret" not in str(caught.value)


def test_a_header_is_never_shown() -> None:
    assert Header().show(("authorization", "secret")) == "authorization=<hidden>"
    assert Header().show("secret") == "<hidden>"


@given(st.text(max_size=40))
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    kinds = (
        Duration(0.1, 10),
        Switch(),
        Choice("a"),
        Whole(0, 9),
        Factor(1, 2),
        SocketPath(),
        ListenAddress(),
    )
    for kind in (*kinds, UrlPath(), Endpoint(), Header(), ValueKind()):
        try:
            kind.parse(text)
        except ValueError:
            continue


def test_a_port_alone_is_shown_how_to_be_written() -> None:
    with pytest.raises(ValueError, match='write it as text: ":9100"'):
        ListenAddress().native(9100)


def test_a_receiver_by_its_port_alone_is_told_what_is_missing() -> None:
    with pytest.raises(ValueError, match="put the receiver's name before the port: localhost:4318"):
        Endpoint().parse("4318")


@pytest.mark.parametrize(
    ("system", "why"),
    [(LINUX, "--api.socket=PATH serves the same pages"), (WINDOWS, "Python has no unix sockets on Windows")],
)
@pytest.mark.parametrize("text", ["unix:x", "unix:///run/x.sock", "/run/x.sock", r"\\.\pipe\x"])
def test_a_unix_socket_is_no_address_to_listen_on(system: System, why: str, text: str) -> None:
    with pytest.raises(ValueError, match=why):
        ListenAddress(system).parse(text)
