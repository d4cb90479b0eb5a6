"""VMware's ``StatGet`` and GuestRPC give the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.errors import RpcError
from exporter.protocol import rpci

pytestmark = pytest.mark.real

REPLIES = {
    "empty": b"",
    "text": b"session = 1\nuptime = 2\n",
    "xml": b'<metrics session="1"><metric name="a" type="static" units="KB">-1</metric></metrics>',
    "any bytes": bytes(range(256)),
    "NULs": b"\0\0\0",
    "longer than one read": b"x" * 300_000,
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_any_reply(host: Any, sources: Any, reply: bytes) -> None:
    host.answer = lambda _: rpci.reply(reply)
    sources.compare_replies(
        sources.guestrpc().stat("xml", "resources"), sources.library().stat("xml", "resources")
    )


@pytest.mark.parametrize("name", ["", "resources", "vscsi scsi0:0", "vnet 00:50:56:00:00:01", " ", "für"])
@pytest.mark.parametrize("encoding", ["text", "xml", "json", "yaml", ""])
def test_the_same_question_goes_out(host: Any, sources: Any, encoding: str, name: str) -> None:
    host.answer = rpci.reply
    sources.compare_replies(sources.guestrpc().stat(encoding, name), sources.library().stat(encoding, name))
    assert host.commands[0] == host.commands[1] == f"guestlib.stat.get {encoding} {name}".encode()


@pytest.mark.parametrize("text", [b"Unknown command", b"disabled", b"Permission denied", b"", b"any other"])
def test_a_refusal_is_the_same_error(host: Any, sources: Any, text: bytes) -> None:
    host.answer = lambda _: rpci.reply(text, ok=False)
    errors = []
    for source in (sources.guestrpc(), sources.library()):
        with pytest.raises(RpcError) as caught:
            source.stat("xml", "resources")
        errors.append((caught.value.text, caught.value.reason, caught.value.command))
    assert errors[0] == errors[1]
