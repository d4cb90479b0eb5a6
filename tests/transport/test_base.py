"""The transports fulfil the interface, by type."""

from exporter.transport.base import Connector, Stream
from exporter.transport.memory import MemoryConnector, pair
from exporter.transport.unix import UnixConnector
from exporter.transport.vsock import VsockConnector


def test_each_transport_has_its_label() -> None:
    connectors: list[Connector] = [UnixConnector("/nowhere"), VsockConnector(), MemoryConnector(Stream.close)]
    assert [connector.transport for connector in connectors] == ["unix", "vsock", "memory"]


def test_a_pair_is_two_streams() -> None:
    streams: tuple[Stream, Stream] = pair()
    for stream in streams:
        stream.close()
