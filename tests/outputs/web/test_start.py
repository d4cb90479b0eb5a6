"""The web server as a part: what its check finds, and what it is started with."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import catalogue
from exporter.config import load
from exporter.errors import ConfigError
from exporter.metrics.families import Family
from exporter.metrics.published import Families, Published
from exporter.outputs.web import start
from exporter.outputs.web.restarts import Restarts
from exporter.snapshot import PollState


def test_a_port_that_is_taken_and_a_file_that_is_wrong_are_told_together(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {me: secret}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = load((), {"VMGUEST_WEB_LISTEN_ADDRESS": address, "VMGUEST_WEB_CONFIG_FILE": str(file)})
        with pytest.raises(ConfigError) as error:
            start.check(settings, {})
        in_use, wrong = error.value.problems
    assert "in use" in in_use
    assert "bcrypt" in wrong
    start.check(replace(settings, web=replace(settings.web, enabled=False)), {})


def test_it_is_ready_once_a_poll_has_ended() -> None:
    states = [PollState(interval=5.0)]
    settings = load((), {"VMGUEST_WEB_LISTEN_ADDRESS": "127.0.0.1:0"})
    with ExitStack() as parts:
        server = start.start(settings, {}, Published(lambda: states[-1]), parts, lambda: None)
        assert server is not None
        url = f"{server.urls[0].rstrip('/')}/-/ready"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url, timeout=10)
        refused.value.close()
        assert refused.value.code == 503
        states.append(replace(states[0], polls=1))
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200


def test_what_the_server_counts_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    published = Published(lambda: PollState(interval=5.0))
    added: list[Families] = []
    monkeypatch.setattr(published, "add", added.append)
    settings = load((), {"VMGUEST_WEB_LISTEN_ADDRESS": "127.0.0.1:0"})
    with ExitStack() as parts:
        start.start(settings, {}, published, parts, lambda: None)
        shown = {family.metric for families in added for family in families()}
    assert shown == set(catalogue.WEB_METRICS)


@pytest.mark.parametrize("heartbeats", [True, False])
@pytest.mark.parametrize("secured", [True, False])
def test_with_heartbeats_both_servers_begin_again_and_without_them_a_failure_is_the_end(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, *, heartbeats: bool, secured: bool
) -> None:
    made: list[Restarts] = []

    class Fake:
        addresses, urls = (), ()

        def __init__(self, *_: object, restarts: Restarts, **_more: object) -> None:
            made.append(restarts)

        def start(self) -> None: ...

        def close(self) -> None: ...

        def families(self) -> list[Family]:
            return []

    monkeypatch.setattr(start, "WebServer", Fake)
    monkeypatch.setattr(start, "UnixServer", Fake)
    (short_path / "web.yml").write_text("{}")
    settings = load((), {"VMGUEST_WEB_CONFIG_FILE": str(short_path / "web.yml")} if secured else {})
    settings = replace(settings, ha=replace(settings.ha, enabled=heartbeats))
    published = Published(lambda: PollState(interval=5.0))
    with ExitStack() as parts:
        start.start(settings, {"RUNTIME_DIRECTORY": str(short_path)}, published, parts, lambda: None)
    assert [each.wanted for each in made] == [heartbeats] * 2
    assert made[0] is made[1]


@pytest.mark.parametrize("web", [True, False])
def test_the_socket_lies_where_it_is_named_else_in_systemds_folder(short_path: Path, web: bool) -> None:
    settings = load((), {"VMGUEST_WEB_LISTEN_ADDRESS": "127.0.0.1:0"})
    settings = replace(settings, web=replace(settings.web, enabled=web))
    published = Published(lambda: PollState(interval=5.0))
    with ExitStack() as parts:
        server = start.start(settings, {"RUNTIME_DIRECTORY": str(short_path)}, published, parts, lambda: None)
        assert (server is not None) is web
        assert (short_path / "api.sock").is_socket()
    assert not (short_path / "api.sock").exists()


def test_without_a_place_or_when_off_there_is_no_socket(short_path: Path) -> None:
    settings = load((), {})
    assert start.socket_path(settings, {}) is None
    off = replace(settings, api=replace(settings.api, enabled=False, socket=str(short_path / "x")))
    assert start.socket_path(off, {"RUNTIME_DIRECTORY": str(short_path)}) is None
    named = replace(settings, api=replace(settings.api, socket=str(short_path / "x")))
    assert start.socket_path(named, {"RUNTIME_DIRECTORY": "/elsewhere"}) == short_path / "x"
