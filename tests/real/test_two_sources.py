"""What VMware's own library makes of a reply is what GuestRPC makes of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.catalogue import BY_KEY, STATISTICS, Wire
from exporter.errors import VMGuestError
from exporter.protocol import rpci, stats_v2, stats_v3

pytestmark = pytest.mark.real

Values = dict[int, tuple[bool, int | bytes]]
TEXTS = (Wire.STRING, Wire.OPAQUE)
PATHS = (18, 37)
LAST = STATISTICS[-1].id


def every(number: Callable[[int, bool], int], path: bytes = b"/host/user/pool") -> Values:
    """All statistics, valid: ``number(id, is 64 bits wide)``."""
    return {
        row.id: (True, path if row.wire in TEXTS else number(row.id, row.wire is Wire.U64))
        for row in STATISTICS
    }


def v3(values: Values, session_id: int = 5, count: int = LAST) -> Callable[[bytes], bytes]:
    reply = rpci.reply(stats_v3.encode(session_id, values, count))
    refusal = rpci.reply(b"Unsupported version", ok=False)
    return lambda command: reply if command == b"guestlib.info.get 3" else refusal


def v2(values: Values, session_id: int = 5) -> Callable[[bytes], bytes]:
    reply = rpci.reply(stats_v2.encode(session_id, values))
    refusal = rpci.reply(b"Unsupported version", ok=False)
    return lambda command: reply if command == b"guestlib.info.get 2" else refusal


def refuse(text: bytes) -> Callable[[bytes], bytes]:
    return lambda _: rpci.reply(text, ok=False)


def test_every_statistic_with_a_value_of_its_own(host: Any, sources: Any) -> None:
    host.answer = v3(every(lambda id_, wide: (id_ << 40 if wide else 0) + 1000 + id_))
    guestrpc, library = sources.guestrpc().read(), sources.library().read()
    sources.compare(guestrpc, library)
    # Of the ids, two of shares and two of the path are one each, and the library has no honest kernel overhead.
    assert len(library.values) == len(BY_KEY) - 1


@pytest.mark.parametrize("wide", [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("narrow", [0, 2**31, 2**32 - 1])
def test_extremes(host: Any, sources: Any, wide: int, narrow: int) -> None:
    host.answer = v3(every(lambda _, is_wide: wide if is_wide else narrow))
    sources.compare(sources.guestrpc().read(), sources.library().read())


@pytest.mark.parametrize("session_id", [1, 2**32, 2**63, 2**64 - 1])
def test_session_ids(host: Any, sources: Any, session_id: int) -> None:
    host.answer = v3(every(lambda id_, _: id_), session_id)
    library = sources.library().read()
    sources.compare(sources.guestrpc().read(), library)
    assert library.session_id == session_id


def test_each_statistic_alone_and_each_one_missing(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()
    whole = every(lambda id_, _: 1000 + id_)
    for id_ in whole:
        host.answer = v3({id_: whole[id_]})
        expected = guestrpc.read()
        # Nothing in the library returns the long pool path.
        sources.compare(expected, library.read(), *(["resource_pool_path"] if id_ == 37 else []))
        host.answer = v3({**whole, id_: (False, whole[id_][1])})
        expected = guestrpc.read()
        sources.compare(expected, library.read(), *(["resource_pool_path"] if id_ == 18 else []))


@pytest.mark.parametrize("count", range(18, LAST + 1))
def test_lists_of_older_hosts(host: Any, sources: Any, count: int) -> None:
    host.answer = v3(every(lambda id_, _: 1000 + id_), count=count)
    sources.compare(sources.guestrpc().read(), sources.library().read())


@pytest.mark.parametrize("count", range(17))
def test_lists_too_short_for_the_pool_path_do_not_make_the_library_read_beyond(
    host: Any, sources: Any, count: int
) -> None:
    host.answer = v3(every(lambda id_, _: 1000 + id_), count=count)
    library = sources.library()
    sources.compare(sources.guestrpc().read(), library.read(), "resource_pool_path")
    assert library.restarts == 0


def test_a_list_longer_than_known(host: Any, sources: Any) -> None:
    whole = stats_v3.encode(5, every(lambda id_, _: id_))
    more = (LAST + 2).to_bytes(4, "big") + whole[20:] + struct.pack(">III", LAST + 1, 1, 9)
    reply = rpci.reply(whole[:12] + len(more).to_bytes(4, "little") + more)
    host.answer = lambda _: reply
    guestrpc = sources.guestrpc().read()
    sources.compare(guestrpc, sources.library().read())
    assert len(guestrpc.values) == len(BY_KEY)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 17, 510, 511, 512])
def test_pool_paths(host: Any, sources: Any, length: int) -> None:
    host.answer = v3(every(lambda id_, _: id_, b"p" * length))
    library = sources.library().read()
    sources.compare(sources.guestrpc().read(), library)
    assert library.values["resource_pool_path"] == "p" * length


def test_a_pool_path_of_any_script(host: Any, sources: Any) -> None:
    host.answer = v3(every(lambda id_, _: id_, "/Pool für 東京".encode() + b"\xff\xfe"))
    library = sources.library().read()
    sources.compare(sources.guestrpc().read(), library)
    assert library.values["resource_pool_path"] == "/Pool für 東京\ufffd\ufffd"


def test_shares_of_both_widths(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()
    for narrow, wide in (((True, 8), (True, 2**40)), ((True, 8), (False, 9)), ((False, 8), (True, 9))):
        host.answer = v3({**every(lambda id_, _: id_), 8: narrow, 38: wide})
        expected = guestrpc.read()
        sources.compare(expected, library.read())
        assert expected.values["memory_shares"] == (wide[1] if wide[0] else 8)


def test_a_session_change_between_polls(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()
    for session_id in (5, 6, 6, 2**63 + 1, 5):
        numbers = {
            id_: (True, (session_id + id_) & 0xFFFFFFFF) for id_ in every(lambda *_: 0) if id_ not in PATHS
        }
        host.answer = v3({**every(lambda *_: 0), **numbers}, session_id)
        expected = guestrpc.read()
        sources.compare(expected, library.read())
        assert expected.session_id == session_id


def test_a_host_that_knows_version_2_only(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()
    for wide in (0, 2**32, 2**64 - 2):
        host.answer = v2({**every(lambda id_, _: 1000 + id_), 4: (True, wide), 17: (True, wide)})
        expected = guestrpc.read()
        sources.compare(expected, library.read())
        assert expected.protocol == 2
        assert len(expected.values) == 18


def test_a_host_that_changes_between_versions(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()
    old, new = v2(every(lambda id_, _: id_), 7), v3(every(lambda id_, _: 2 * id_), 8)
    for answer in (old, new, old, new):
        host.answer = answer
        sources.compare(guestrpc.read(), library.read())


@pytest.mark.parametrize(
    "text",
    [
        b"Unknown command",
        b"disabled",
        b"Unsupported version",
        b"Permission denied",
        b"any other",
        b"",
        b"\xff\0\xfe",
    ],
)
def test_a_refusal_is_the_same_kind_of_error(host: Any, sources: Any, text: bytes) -> None:
    host.answer = refuse(text)
    kinds = [kind_of(source.read) for source in (sources.guestrpc(), sources.library())]
    assert kinds == ["not_enabled", "not_enabled"]


def kind_of(read: Callable[[], object]) -> str:
    with pytest.raises(VMGuestError) as caught:
        read()
    return caught.value.kind


GOOD = stats_v3.encode(5, every(lambda id_, _: id_))
MALFORMED = {
    "no data at all": b"",
    "less than a version": GOOD[:3],
    "less than a header": GOOD[:15],
    "another version": b"\x04" + GOOD[1:],
    "version 2 in the size of version 3": b"\x02" + GOOD[1:],
    "session id 0": GOOD[:4] + bytes(8) + GOOD[12:],
    "statistics out of order": GOOD[:20] + b"\0\0\0\x02" + GOOD[24:],
    "a list that is cut off": GOOD[:12] + (200).to_bytes(4, "little") + GOOD[16:216],
    "a string of more than 512 bytes": stats_v3.encode(5, {18: (True, b"p" * 513)}),
    "an unknown statistic among known ones": GOOD[:32] + b"\0\0\0\x63" + GOOD[36:],
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_reply_that_means_nothing_is_the_same_kind_of_error(host: Any, sources: Any, reply: bytes) -> None:
    host.answer = lambda _: rpci.reply(reply)
    kinds = [kind_of(source.read) for source in (sources.guestrpc(), sources.library())]
    assert kinds == ["malformed", "malformed"]


@pytest.mark.parametrize("length", [511, 512])
def test_a_pool_path_that_fills_a_v2_reply(host: Any, sources: Any, length: int) -> None:
    whole = stats_v2.encode(5, every(lambda id_, _: id_))[:-512] + (b"p" * length).ljust(512, b"\0")
    refusal = rpci.reply(b"Unsupported version", ok=False)
    host.answer = lambda command: rpci.reply(whole) if command.endswith(b"2") else refusal
    library = sources.library().read()
    sources.compare(sources.guestrpc().read(), library)
    assert library.values["resource_pool_path"] == "p" * 511


@pytest.mark.parametrize("long", [(True, b""), (True, b"\0"), (False, b"")])
def test_an_empty_long_path(host: Any, sources: Any, long: tuple[bool, bytes]) -> None:
    host.answer = v3({**every(lambda id_, _: id_), 18: (True, b"/short"), 37: long})
    sources.compare(sources.guestrpc().read(), sources.library().read())


@pytest.mark.parametrize("size", [668, 670])
def test_a_v2_reply_of_another_size_is_the_same_kind_of_error(host: Any, sources: Any, size: int) -> None:
    reply = (stats_v2.encode(5, {}) + b"\0")[:size]
    refusal = rpci.reply(b"Unsupported version", ok=False)
    host.answer = lambda command: rpci.reply(reply) if command.endswith(b"2") else refusal
    kinds = [kind_of(source.read) for source in (sources.guestrpc(), sources.library())]
    assert kinds == ["malformed", "malformed"]


def statistics() -> st.SearchStrategy[Values]:
    """Any list of values; the two pool paths agree, as they do on a host."""
    numbers = {
        row.id: st.tuples(st.booleans(), st.integers(0, 2**64 - 1 if row.wire is Wire.U64 else 2**32 - 1))
        for row in STATISTICS
        if row.wire not in TEXTS
    }
    paths = st.tuples(
        st.booleans(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    )
    return st.builds(
        lambda numbers, path: {**numbers, 18: path, 37: path},
        st.fixed_dictionaries(numbers),
        paths.map(lambda path: (path[0], path[1].encode()[:512])),
    )


def test_any_list(host: Any, sources: Any) -> None:
    guestrpc, library = sources.guestrpc(), sources.library()

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(statistics(), st.integers(1, 2**64 - 1), st.integers(18, LAST))
    def check(values: Values, session_id: int, count: int) -> None:
        host.answer = v3(values, session_id, count)
        sources.compare(guestrpc.read(), library.read())

    check()
    assert library.restarts == 0


def test_a_user_who_is_not_root_comes_from_an_unprivileged_port(
    host: Any, sources: Any, tmp_path: Any
) -> None:
    host.answer = v3(every(lambda id_, _: id_))
    log = tmp_path / "log"
    sources.library(GUESTRPC_SHIM_LOG=str(log)).read()
    assert log.read_text() == "bind 1023\nconnect 976\n"
    log.unlink()
    library = sources.library(GUESTRPC_SHIM_LOG=str(log), GUESTRPC_SHIM_EACCES="1").read()
    assert log.read_text() == f"bind 1023\nbind {2**32 - 1}\nconnect 976\n"
    sources.compare(sources.guestrpc().read(), library)
