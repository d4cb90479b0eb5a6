"""The walk over source ports, with an injected socket: no AF_VSOCK socket is ever made here."""

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from exporter.errors import NoDeviceError, RefusedError, TimeoutExpired, TransportError
from exporter.transport import vsock
from exporter.transport.vsock import ANY, VsockConnector

Answer = int | None


class FakeKernel:
    """Answers ``bind`` and ``connect`` by port: an errno, or None for success."""

    def __init__(self, bind: Callable[[int], Answer], connect: Callable[[int], Answer]) -> None:
        self._bind = bind
        self._connect = connect
        self.ports: list[int] = []
        self.open = 0
        self.slept: list[float] = []

    def new_socket(self, family: int, kind: int) -> Any:
        assert (family, kind) == (40, socket.SOCK_STREAM)
        self.open += 1
        return FakeSocket(self)

    def connector(self, **options: Any) -> VsockConnector:
        return VsockConnector(
            new_socket=self.new_socket, sleep=self.slept.append, clock=lambda: 0.0, **options
        )

    def answer_bind(self, port: int) -> None:
        self.ports.append(port)
        self._raise(self._bind(port))

    def answer_connect(self) -> None:
        self._raise(self._connect(self.ports[-1]))

    @staticmethod
    def _raise(number: Answer) -> None:
        if number is not None:
            raise OSError(number, errno.errorcode[number])


class FakeSocket:
    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def settimeout(self, timeout: float | None) -> None:
        assert timeout is None or timeout > 0

    def bind(self, address: tuple[int, int]) -> None:
        assert address[0] == ANY
        self._kernel.answer_bind(address[1])

    def connect(self, address: tuple[int, int]) -> None:
        assert address == (0, 976)
        self._kernel.answer_connect()

    def close(self) -> None:
        self._kernel.open -= 1


def fine(_port: int) -> None:
    return None


def test_the_privileged_port_comes_first() -> None:
    kernel = FakeKernel(fine, fine)
    connector = kernel.connector()
    connector.connect(2)
    assert kernel.ports == [1023]
    assert connector.privileged
    assert kernel.open == 1


def test_a_used_port_leads_to_the_next_lower_one() -> None:
    kernel = FakeKernel(lambda port: errno.EADDRINUSE if port > 1020 else None, fine)
    kernel.connector().connect(2)
    assert kernel.ports == [1023, 1022, 1021, 1020]
    assert kernel.open == 1


def test_no_port_at_all() -> None:
    kernel = FakeKernel(lambda _: errno.EADDRINUSE, fine)
    with pytest.raises(TransportError):
        kernel.connector().connect(2)
    assert kernel.ports[-1] == 1
    assert kernel.open == 0


def test_without_privilege_one_attempt_from_any_port() -> None:
    kernel = FakeKernel(lambda port: errno.EACCES if port < 1024 else None, fine)
    connector = kernel.connector()
    connector.connect(2)
    assert kernel.ports == [1023, ANY]
    assert not connector.privileged


def test_privilege_demanded_and_not_there() -> None:
    kernel = FakeKernel(lambda _: errno.EACCES, fine)
    with pytest.raises(NoDeviceError):
        kernel.connector(only_privileged=True).connect(2)
    assert kernel.ports == [1023]
    assert kernel.open == 0


def test_eight_resets_are_the_end_and_then_one_is() -> None:
    """The usual reason is guest_rpc.rpci.usevsocket = FALSE."""
    kernel = FakeKernel(fine, lambda _: errno.ECONNRESET)
    connector = kernel.connector()
    with pytest.raises(RefusedError):
        connector.connect(2)
    assert kernel.ports == list(range(1023, 1015, -1))
    with pytest.raises(RefusedError):
        connector.connect(2)
    assert kernel.ports[8:] == [1023]


def test_a_success_forgives_the_resets() -> None:
    answers = [errno.ECONNRESET] * 8 + [None] + [errno.ECONNRESET] * 2 + [None]
    kernel = FakeKernel(fine, lambda _: answers.pop(0))
    connector = kernel.connector()
    with pytest.raises(RefusedError):
        connector.connect(2)
    connector.connect(2)
    connector.connect(2)
    assert kernel.ports[8:] == [1023, 1023, 1022, 1021]


def test_no_buffers_is_tried_again_five_times_in_all() -> None:
    kernel = FakeKernel(fine, lambda _: errno.ENOBUFS)
    with pytest.raises(TransportError):
        kernel.connector().connect(2)
    assert kernel.ports == [1023] * 5
    assert kernel.slept == [0.001] * 4


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ECONNREFUSED, RefusedError), (errno.ENODEV, NoDeviceError), (errno.ETIMEDOUT, TimeoutExpired)],
)
def test_anything_else_is_final(number: int, kind: type[TransportError]) -> None:
    kernel = FakeKernel(fine, lambda _: number)
    with pytest.raises(kind, match="hypervisor"):
        kernel.connector().connect(2)
    assert kernel.ports == [1023]
    assert kernel.open == 0


def test_no_such_family() -> None:
    def no_family(_family: int, _kind: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with pytest.raises(NoDeviceError, match="not supported"):
        VsockConnector(new_socket=no_family).connect(2)


def test_the_time_limit_covers_the_whole_walk() -> None:
    times = iter([0.0, 0.0, 1.0, 1.9, 2.1])
    kernel = FakeKernel(lambda _: errno.EADDRINUSE, fine)
    connector = VsockConnector(new_socket=kernel.new_socket, clock=lambda: next(times))
    with pytest.raises(TimeoutExpired):
        connector.connect(2)
    assert len(kernel.ports) == 3
    assert kernel.open == 0


def test_the_constants_are_the_kernels() -> None:
    assert getattr(socket, "AF_VSOCK", vsock.AF_VSOCK) == vsock.AF_VSOCK
    assert getattr(socket, "VMADDR_CID_ANY", ANY) == ANY
