"""Two joined streams in one process."""

from exporter.transport.base import Stream
from exporter.transport.memory import MemoryConnector


def test_each_connection_is_served() -> None:
    def echo(stream: Stream) -> None:
        stream.send(stream.receive(5), 5)
        stream.close()

    connector = MemoryConnector(echo)
    for word in (b"one", b"two"):
        stream = connector.connect(1)
        stream.send(word, 1)
        assert stream.receive(5) == word
        stream.close()
