"""Some thousands of hostile replies; more by a command, see :mod:`tests.protocol.hostile`."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from exporter.catalogue import STATISTICS
from exporter.errors import RemoteProtocolError
from exporter.protocol import stat_get
from tests.protocol import hostile
from tests.protocol import reference_decoder as reference


def test_no_reply_gives_a_value_that_the_other_decoder_does_not_give() -> None:
    source = random.Random(1)
    seen = Counter(hostile.try_one(source) for _ in range(5000))
    # Both ways out are tried for each kind, or the generator is worth nothing.
    kinds = {what.split()[0] for what in seen}
    assert kinds == {"v3", "v2", "packet", "xml", "json", "yaml", "text"}
    assert all(seen[f"{kind} ok"] and seen[f"{kind} malformed"] for kind in kinds)


def test_the_other_decoder_has_the_statistics_of_the_catalogue() -> None:
    """One that is younger than the reference is not judged."""
    known = [(row.id, row.key) for row in STATISTICS][: len(reference.TABLE)]
    assert [(id_, name) for id_, name, _ in reference.TABLE] == known


@pytest.mark.parametrize(
    ("encoding", "reply"),
    [
        ("xml", b"<metrics><metric name='version'>VMware</metric></metrics>"),
        ("xml", b"<metrics><metric name='a' units='KB'>5</metric><metric name='b' units='KB'/></metrics>"),
        ("json", b'{"version": "VMware"}'),
        ("json", b'{"a": {"type": "static", "value": "x"}, "b": {"type": "static"}}'),
        ("yaml", b"a:\n    type: instant\n    units: KB\n    value: -0.5\nversion: VMware ESXi 7.0"),
        ("text", b"version = VMware\nb =\n"),
    ],
)
def test_a_refusal_without_a_reason_would_be_noticed(
    encoding: str, reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hostile.judge_extended(encoding, reply) == "ok"

    def refuse(*_: object) -> None:
        raise RemoteProtocolError("no")

    monkeypatch.setattr(stat_get, "parse", refuse)
    with pytest.raises(AssertionError, match="refused"):
        hostile.judge_extended(encoding, reply)


@pytest.mark.parametrize(
    "reply",
    [
        b"<metrics><metric name='a'>5</metric></metrics>",
        b"<metrics session='7'><metric name='a' type='static' units='KB'>5</metric></metrics>",
    ],
)
def test_a_value_of_its_own_would_be_noticed(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reference.EXTENDED, "xml", lambda _: (7, {"a": (6, "static", "KB")}))
    with pytest.raises(AssertionError):
        hostile.judge_extended("xml", reply)
