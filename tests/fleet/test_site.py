"""What a fleet serves, by HTTP and by hand."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from exporter.fleet.site import Site
from exporter.outputs.web.server import WebServer
from exporter.simulator.fleet.operations import CALM
from tests.fleet.conftest import MakeFleet, Time, turn


def ask(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    answered: list[Any] = []

    def start(status: str, fields: list[tuple[str, str]]) -> None:
        answered.extend((int(status.split(maxsplit=1)[0]), dict(fields)))

    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": "fleet.example:10052", **headers}
    body: Iterable[bytes] = site(environ, start)
    return answered[0], answered[1], b"".join(body)


def test_discovery_is_prometheuss_and_names_every_vm(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(7)
    status, fields, body = ask(Site(fleet), "/sd")
    assert (status, fields["Content-Type"]) == (200, "application/json; charset=utf-8")
    groups = json.loads(body)
    # docs http_sd: a list of objects with targets and labels, all of them strings.
    assert all(group.keys() == {"targets", "labels"} for group in groups)
    assert all(group["targets"] == ["fleet.example:10052"] for group in groups)
    assert all(isinstance(text, str) for group in groups for text in group["labels"].values())
    assert [group["labels"]["instance"] for group in groups] == [*fleet.vms]
    assert groups[0]["labels"] == {
        "instance": "web-00001",
        "cluster": "cluster-1",
        "datacenter": "dc-2",
        "folder": "/production/web",
        "team": "shop",
        "guest_os": "rhel-9",
        "__metrics_path__": "/vm/web-00001/metrics",
    }


def test_those_that_push_are_not_discovered_but_have_their_page(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(3)
    turn(fleet, clock)
    site = Site(fleet, ["app-00002"])
    assert [group["labels"]["instance"] for group in json.loads(ask(site, "/sd")[2])] == [
        "web-00001", "db-00003",
    ]  # fmt: skip
    assert ask(site, "/vm/app-00002/metrics")[0] == 200


def test_pages_are_served_and_counted(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(3)
    turn(fleet, clock)
    site = Site(fleet)
    status, fields, body = ask(site, "/vm/db-00003/metrics")
    assert status == 200
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\nvmguest_up 1.0\n" in body
    assert ask(site, "/vm/db-00003/metrics", "HEAD")[2] == b""
    truth = json.loads(ask(site, "/truth")[2])
    assert {name: vm["pages"] for name, vm in truth["vms"].items()} == {
        "web-00001": 0, "app-00002": 0, "db-00003": 1,
    }  # fmt: skip


def test_a_vm_that_is_off_is_no_page(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(2, plan=replace(CALM, first_failure=10, failure_every=1e9, restart_after=(60, 60)))
    turn(fleet, clock)
    site = Site(fleet)
    assert ask(site, "/vm/web-00001/metrics")[::2] == (503, b"this VM is off\n")
    assert json.loads(ask(site, "/truth")[2])["vms"]["web-00001"]["pages"] == 0


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 200),
        ("/-/healthy", "GET", 200),
        ("/sd", "POST", 405),
        ("/vm/web-00001/metrics", "POST", 405),
        ("/vm/nobody/metrics", "GET", 404),
        ("/vm/web-00001", "GET", 404),
        ("/vm//metrics", "GET", 404),
        ("/metrics", "GET", 404),
        ("/sd/", "GET", 404),
    ],
)
def test_what_else_is_asked(make_fleet: MakeFleet, path: str, method: str, status: int) -> None:
    assert ask(Site(make_fleet(1)), path, method)[0] == status


@pytest.mark.parametrize("host", ["", "Host:\r\n", "Host: \r\n"])
def test_who_does_not_say_which_host_gets_the_address_that_is_listened_at(
    make_fleet: MakeFleet, host: str
) -> None:
    """HTTP/1.0 has no Host (RFC 9112, 3.2: an empty one is allowed where there is no authority)."""
    server = WebServer(Site(make_fleet(1)), [("127.0.0.1", 0)])
    server.start()
    try:
        ((_, port),) = server.addresses
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"GET /sd HTTP/1.0\r\n{host}\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    finally:
        server.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.partition(b"\r\n")[0]
    assert [group["targets"] for group in json.loads(body)] == [[f"127.0.0.1:{port}"]]


def test_by_http(make_fleet: MakeFleet, clock: Time) -> None:
    fleet = make_fleet(2)
    turn(fleet, clock)
    server = WebServer(Site(fleet), [("127.0.0.1", 0)])
    server.start()
    try:
        (url,) = server.urls
        with urllib.request.urlopen(f"{url}sd", timeout=20) as answer:
            group = json.load(answer)[0]
        assert f"http://{group['targets'][0]}/" == url
        page = f"http://{group['targets'][0]}{group['labels']['__metrics_path__']}"
        with urllib.request.urlopen(page, timeout=20) as answer:
            assert b"vmguest_up 1.0" in answer.read()
    finally:
        server.close()
