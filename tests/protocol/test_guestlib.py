"""Which version is asked for, and when again: the table of the reference, row by row."""

from collections.abc import Sequence

import pytest

from exporter.errors import RemoteProtocolError, RpcError
from exporter.protocol import guestlib, stats_v2, stats_v3
from exporter.snapshot import Snapshot

V3 = stats_v3.encode(3, {1: (True, 1)})
V3_OTHER = stats_v3.encode(33, {1: (True, 1)})
V2 = stats_v2.encode(2, {1: (True, 1)})
V2_OTHER = stats_v2.encode(22, {1: (True, 1)})


def update(core: guestlib.GuestLib, replies: Sequence[bytes | str]) -> tuple[Snapshot, list[bytes]]:
    """Play ``replies`` (a str is a refusal) to one read: the snapshot and the commands sent."""
    exchange = core.update()
    commands = [next(exchange)]
    for reply in replies:
        try:
            if isinstance(reply, str):
                commands.append(exchange.throw(RpcError(reply)))
            else:
                commands.append(exchange.send(reply))
        except StopIteration as end:
            return end.value, commands
    pytest.fail(f"more commands than replies: {commands}")


def test_commands_are_those_of_the_library() -> None:
    assert guestlib.command(3) == b"guestlib.info.get 3"
    assert guestlib.stat_command("xml", "resources") == b"guestlib.stat.get xml resources"
    assert guestlib.stat_command("text", "") == b"guestlib.stat.get text "


def test_a_current_host_costs_one_command() -> None:
    core = guestlib.GuestLib()
    for _ in range(2):
        snapshot, commands = update(core, [V3])
        assert snapshot == Snapshot(3, 3, {"cpu_reservation": 1})
        assert commands == [b"guestlib.info.get 3"]


def test_a_session_change_on_v3_uses_the_reply_that_shows_it() -> None:
    core = guestlib.GuestLib()
    update(core, [V3])
    snapshot, commands = update(core, [V3_OTHER])
    assert snapshot.session_id == 33
    assert len(commands) == 1


@pytest.mark.parametrize("text", ["Unsupported version", "disabled", "Permission denied", "2:x", ""])
def test_a_refusal_of_version_3_asks_for_2(text: str) -> None:
    snapshot, commands = update(guestlib.GuestLib(), [text, V2])
    assert snapshot.protocol == 2
    assert commands == [b"guestlib.info.get 3", b"guestlib.info.get 2"]


def test_unknown_command_ends_it_at_once() -> None:
    exchange = guestlib.GuestLib().update()
    next(exchange)
    with pytest.raises(RpcError, match="Unknown command"):
        exchange.throw(RpcError("Unknown command"))


def test_refused_twice_keeps_the_first_reason() -> None:
    exchange = guestlib.GuestLib().update()
    next(exchange)
    exchange.throw(RpcError("disabled"))
    with pytest.raises(RpcError, match="disabled") as caught:
        exchange.throw(RpcError("Unsupported version"))
    assert isinstance(caught.value.__cause__, RpcError)


def test_version_2_sticks_within_its_session() -> None:
    core = guestlib.GuestLib()
    update(core, ["Unsupported version", V2])
    assert update(core, [V2])[1] == [b"guestlib.info.get 2"]


@pytest.mark.parametrize("text", ["disabled", "Permission denied", ""])
def test_version_2_after_another_refusal_is_good_for_one_read(text: str) -> None:
    """A host with version 3 that stumbled once must not give the older and shorter list from then on."""
    core = guestlib.GuestLib()
    update(core, [text, V2])
    snapshot, commands = update(core, [V3])
    assert snapshot.protocol == 3
    assert commands == [b"guestlib.info.get 3"]


def test_a_new_session_on_version_2_asks_for_3_again() -> None:
    core = guestlib.GuestLib()
    update(core, ["Unsupported version", V2])
    snapshot, commands = update(core, [V2_OTHER, V3])
    assert (snapshot.session_id, snapshot.protocol) == (3, 3)
    assert commands == [b"guestlib.info.get 2", b"guestlib.info.get 3"]
    assert update(core, [V3])[1] == [b"guestlib.info.get 3"]


def test_a_new_session_on_a_host_that_has_only_version_2() -> None:
    core = guestlib.GuestLib()
    update(core, ["Unsupported version", V2])
    snapshot, commands = update(core, [V2_OTHER, "Unsupported version", V2_OTHER])
    assert snapshot.session_id == 22
    assert len(commands) == 3


def test_a_host_that_no_longer_knows_version_2_is_asked_for_3() -> None:
    core = guestlib.GuestLib()
    update(core, ["Unsupported version", V2])
    snapshot, _ = update(core, ["Unsupported version", V3])
    assert snapshot.protocol == 3


def test_a_reply_of_another_version_is_malformed() -> None:
    with pytest.raises(RemoteProtocolError):
        update(guestlib.GuestLib(), [V2])
