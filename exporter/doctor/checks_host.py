"""Checks that ask the host over GuestRPC: whether it answers, what it gives, what it withholds and why."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from exporter.advice import DISABLED, NEEDS_PRIVILEGE, NO_SUCH_COMMAND, Advice, Where, advice
from exporter.catalogue import CURRENT_LIST, STATISTICS, BasicStatistic
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, warn
from exporter.doctor.world import HostAnswer, World
from exporter.errors import ProtocolError, RpcError, VMGuestError
from exporter.protocol import guestlib, stats_v2, stats_v3
from exporter.session.wire import Channel
from exporter.snapshot import Snapshot
from exporter.transport.base import Connector

SLOW = 0.1
"""Seconds. A local answer takes well under a millisecond."""

_COUNT = struct.Struct(">I")


def answers(world: World) -> Diagnosis:
    """The first question to the host; what it said is kept for the checks that follow."""
    connector = world.connector()
    channel = Channel(connector, world.host_limit)
    try:
        world.answer = answer = _ask(world, channel, connector)
    except VMGuestError as error:
        said = "answers, but not as expected" if isinstance(error, ProtocolError) else "does not answer"
        return fail(f"The host {said}: {error}.", advice(error), error=error.kind)
    finally:
        channel.close()
    milliseconds = (answer.connect_seconds + answer.reply_seconds) * 1000
    facts: Facts = {
        "connect_ms": round(answer.connect_seconds * 1000, 3),
        "reply_ms": round(answer.reply_seconds * 1000, 3),
        "privileged": answer.privileged,
    }
    kind = {True: " from a privileged port", False: " from an unprivileged port", None: ""}[answer.privileged]
    if milliseconds > SLOW * 1000:
        return warn(
            f"The host answers{kind}, but took {milliseconds:.0f} ms, where less than one is usual.",
            Advice(
                "guestrpc-answer",
                Where.HOST,
                "look for CPU contention: the VM's process on the host is starved",
            ),
            **facts,
        )
    return ok(f"The host answers{kind}, in {milliseconds:.2f} ms.", **facts)


def _ask(world: World, channel: Channel, connector: Connector) -> HostAnswer:
    began = world.clock()
    channel.connect()
    connected = world.clock()
    exchange = guestlib.GuestLib().update()
    raw, refusal, snapshot = b"", None, None
    try:
        command = next(exchange)
        while True:
            try:
                raw = channel.call(command)
            except RpcError as error:
                command = exchange.throw(error)
            else:
                command = exchange.send(raw)
    except RpcError as error:
        refusal = error
    except StopIteration as end:
        snapshot = end.value
    return HostAnswer(
        connected - began,
        world.clock() - connected,
        getattr(connector, "privileged", None),
        raw,
        snapshot,
        refusal,
    )


def enabled(world: World) -> Diagnosis:
    """Whether the host gives guest statistics at all."""
    answer = first_answer(world)
    if answer.snapshot is not None:
        return ok("Guest statistics are enabled on the host.", given=len(answer.snapshot.values))
    refusal = answer.refusal or RpcError("")
    facts: Facts = {"refusal": refusal.text, "reason": refusal.reason}
    said = f"The host answers and refuses: {refusal.text!r}"
    if refusal.reason == "unknown_command":
        return fail(
            f"{said}: it has no guest statistics, as Workstation and Fusion have none.",
            NO_SUCH_COMMAND,
            **facts,
        )
    if refusal.reason == "permission_denied" or (refusal.reason == "other" and answer.privileged is False):
        return fail(f"{said}: it wants a privileged source port.", NEEDS_PRIVILEGE, **facts)
    if refusal.reason != "disabled":
        said += ", which says nothing that is known; maybe"
        return fail(f"{said} guest statistics are switched off for this VM.", DISABLED, **facts)
    return fail(f"{said}: guest statistics are switched off for this VM.", DISABLED, **facts)


def protocol(world: World) -> Diagnosis:
    snapshot = _snapshot(world)
    if snapshot.protocol == stats_v3.VERSION:
        return ok("The host speaks version 3, the current one.", protocol=3)
    return warn(
        "The host speaks version 2 (ESX 3.x): there is no stolen time and nothing newer than it.",
        Advice("protocol-version", Where.HOST, "move the VM to ESXi 6.0 or later"),
        protocol=snapshot.protocol,
    )


def given(world: World) -> Diagnosis:
    """Each statistic that this host does not give, and why."""
    answer = first_answer(world)
    return judge_missing(_snapshot(world), listed(answer.raw))


def judge_missing(snapshot: Snapshot, count: int | None, lacking: tuple[str, ...] = ()) -> Diagnosis:
    """``count``: length of the host's list; None where the source does not show it. ``lacking``: functions that the
    library has not.
    """
    missing = [(row, why) for row, why in not_given(snapshot, count, lacking) if not row.deprecated]
    host = [row for row, _ in missing if row.host_info]
    facts: Facts = {
        "given": len(snapshot.values),
        "missing": {row.metric.prometheus: why for row, why in missing},
    }
    reasons: dict[str, list[str]] = {}
    for row, why in missing:
        reasons.setdefault(why, []).append(row.metric.prometheus)
    lines = [f"{why}: {', '.join(names)}" for why, names in reasons.items()]
    if not missing:
        return ok("The host gives every statistic.", **facts)
    if len(missing) == len(host):
        some = gives_host_info(snapshot)
        of_its_own = f", but not {len(host)}" if some else f" and withholds {len(host)}"
        wanted = "" if some else ", as hardening guides want"
        return ok(
            f"The host gives all of this VM's statistics{of_its_own} of its own{wanted}; the exporter does not need them.",
            *lines,
            **facts,
        )
    return warn(
        f"The host does not give {len(missing)} statistics.",
        None
        if count is not None and count >= CURRENT_LIST
        else Advice(
            "statistics-given",
            Where.HOST,
            "a newer ESXi gives more: 5.0 or later 37 of them, 7.0 or later all",
        ),
        *lines,
        **facts,
    )


def not_given(
    snapshot: Snapshot, count: int | None, lacking: tuple[str, ...] = ()
) -> Iterator[tuple[BasicStatistic, str]]:
    """Every statistic without a value that no other row stands in for, and why; none that only newer hosts have."""
    longest = max(count or 0, CURRENT_LIST)
    seen: set[str] = set(snapshot.values)
    for row in STATISTICS:
        if row.key in seen or row.id > longest:
            continue
        seen.add(row.key)
        yield (
            row,
            "the library has no function for it" if row.symbol in lacking else _why(row, snapshot, count),
        )


def _why(row: BasicStatistic, snapshot: Snapshot, count: int | None) -> str:
    if snapshot.protocol == stats_v2.VERSION and not row.v2:
        return "version 2 of the protocol has no such statistic"
    if count is not None and row.id > count:
        return f"the host's list ends at {count}: it is older than this statistic"
    # VMware's library does not tell where the list ends: what it gives is in it.
    lowest = {each.key: each.id for each in reversed(STATISTICS)}
    if count is None and row.id > max((lowest[key] for key in snapshot.values), default=0):
        return (
            "VMware's library has no value for it, and does not tell whether the host's list ends before it"
        )
    if row.host_info and not gives_host_info(snapshot):
        return "the VM setting tools.guestlib.enableHostInfo is not TRUE"
    return "the host has no value for it (marks it as not valid, or says -1)"


def gives_host_info(snapshot: Snapshot) -> bool:
    """Whether the host gives anything of its own."""
    return any(row.key in snapshot.values for row in STATISTICS if row.host_info and not row.deprecated)


def listed(raw: bytes) -> int | None:
    """How many statistics a V3 reply lists: the first word of its body (see :mod:`exporter.protocol.stats_v3`)."""
    if len(raw) < 20 or raw[:4] != stats_v3.VERSION.to_bytes(4, "little"):
        return None
    (count,) = _COUNT.unpack_from(raw, 16)
    return int(count)


def first_answer(world: World) -> HostAnswer:
    if world.answer is None:
        raise LookupError("guestrpc-answer comes first")
    return world.answer


def _snapshot(world: World) -> Snapshot:
    snapshot = first_answer(world).snapshot
    if snapshot is None:
        raise LookupError("statistics-enabled comes first")
    return snapshot
