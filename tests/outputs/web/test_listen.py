"""Listening sockets, and a message that says what to do where there can be none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest

from exporter.errors import ConfigError
from exporter.outputs.web.listen import bind, shown


def connects(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=5):
        return True


@pytest.fixture
def ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_port_0_lets_the_system_choose() -> None:
    (bound,) = bind([("127.0.0.1", 0)])
    with bound:
        assert bound.getsockname()[1] > 0
        assert connects("127.0.0.1", bound.getsockname()[1])


def test_an_empty_host_is_every_address_by_ipv4_and_ipv6(ipv6: None) -> None:
    (bound,) = bind([("", 0)])
    with bound:
        port = bound.getsockname()[1]
        assert connects("127.0.0.1", port)
        assert connects("::1", port)


@pytest.mark.parametrize("code", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_an_empty_host_is_ipv4_where_ipv6_is_switched_off(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.create_server

    def without_ipv6(address: tuple[str, int], family: int = socket.AF_INET, **others: bool) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(code, "no IPv6")
        return real(address)

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    monkeypatch.setattr(socket, "create_server", without_ipv6)
    (bound,) = bind([("", 0)])
    with bound:
        assert bound.family == socket.AF_INET


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL])
def test_a_name_that_nobody_can_be_asked_about_yet_may_pass(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At boot, before the name server: the service has to try again, and does not at exit status 2."""

    def unresolved(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(code, "as glibc says")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    with pytest.raises(ConfigError, match=r"vm[.]example:80: this host name can't be resolved") as caught:
        bind([("vm.example", 80)])
    assert caught.value.passing


def test_a_name_that_can_be_none_does_not_pass() -> None:
    with pytest.raises(ConfigError, match="this host name can't be resolved") as caught:
        bind([("a" * 64 + ".example", 80)])
    assert not caught.value.passing


def test_an_empty_host_is_ipv4_where_the_system_never_had_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    (bound,) = bind([("", 0)])
    with bound:
        assert bound.family == socket.AF_INET


def test_a_name_that_is_both_is_ipv4() -> None:
    (bound,) = bind([("localhost", 0)])
    with bound:
        assert bound.getsockname()[0] == "127.0.0.1"


def test_an_ipv6_address(ipv6: None) -> None:
    (bound,) = bind([("::1", 0)])
    with bound:
        assert connects("::1", bound.getsockname()[1])


def problem_of(*listen: tuple[str, int]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        bind(listen)
    return caught.value.problems


def test_a_port_in_use_names_the_flag_and_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (text,) = problem_of(("127.0.0.1", port))
    assert text.startswith(f"--web.listen-address=127.0.0.1:{port}: port {port} is in use")
    assert "ss -ltnp" in text


def test_an_empty_host_with_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (text,) = problem_of(("", port))
    assert text.startswith(f"--web.listen-address=:{port}: port {port} is in use")


def test_the_same_address_twice() -> None:
    (first,) = bind([("127.0.0.1", 0)])
    address = first.getsockname()
    first.close()
    (text,) = problem_of(address, address)
    assert "in use" in text
    bind([address])[0].close()


def test_every_bad_address_is_reported_at_once() -> None:
    found = problem_of(("127.0.0.1", 0), ("192.0.2.1", 9100), ("2001:db8::1", 9100))
    assert len(found) == 2
    assert "--web.listen-address=192.0.2.1:9100: this is no address of this machine" in found[0]
    assert "--web.listen-address=[2001:db8::1]:9100: " in found[1]


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
def test_a_name_that_can_not_be_resolved(host: str) -> None:
    (text,) = problem_of((host, 0))
    assert text.startswith(f"--web.listen-address={host}:0: this host name can't be resolved")


def refuse(code: int) -> Callable[..., socket.socket]:
    def create_server(*_: object, **__: object) -> socket.socket:
        raise OSError(code, "so it is")

    return create_server


def test_a_port_that_needs_a_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_server", refuse(errno.EACCES))
    (text,) = problem_of(("127.0.0.1", 443))
    assert "CAP_NET_BIND_SERVICE" in text


def test_any_other_refusal_keeps_the_systems_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_server", refuse(errno.ENOBUFS))
    (text,) = problem_of(("127.0.0.1", 1))
    assert text.endswith("can't listen there: so it is")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")],
)
def test_what_stands_in_a_url(host: str, expected: str) -> None:
    assert shown(host) == expected
