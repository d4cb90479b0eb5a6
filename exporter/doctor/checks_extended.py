"""The check of extended statistics: whether the host has them, which groups, in which encodings."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.advice import Advice, Where, advice
from exporter.catalogue.extended_names import usable
from exporter.doctor.checks_host import first_answer
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, warn
from exporter.doctor.world import World
from exporter.errors import ProtocolError, RemoteProtocolError, RpcError, VMGuestError
from exporter.protocol import guestlib, stat_get
from exporter.session.groups import ALWAYS
from exporter.session.wire import Channel

_REPORT = Advice(
    "extended-statistics", Where.GUEST, "report it with `vmguest-exporter doctor --bundle FILE.tar.gz`"
)


def extended_statistics(world: World) -> Diagnosis:
    """As the exporter asks: a host without a list that can be used may give groups all the same."""
    with world.channel() as channel:
        try:
            groups, unlisted = _groups(channel)
            encodings, refusals = _encodings(channel, groups or ALWAYS)
        except RpcError as refusal:
            return _no_extended(world, refusal)
        except VMGuestError as error:
            return _unexpected(error)
    kinds = sorted({group.split()[0] for group in groups})
    facts: Facts = {"groups": kinds, "encodings": encodings, "refusals": refusals}
    if unlisted is not None and not encodings:
        return _no_extended(world, unlisted) if isinstance(unlisted, RpcError) else _unexpected(unlisted)
    if unlisted is not None:
        return warn(
            f"The host gives extended statistics, as {', '.join(encodings)}, but no list of them that can be used "
            f"({unlisted}): disks and network cards are not shown.",
            _REPORT,
            **facts,
        )
    if not encodings:
        return warn(
            "The host lists extended statistics, but gives none of them in an encoding that is known.",
            _REPORT,
            **facts,
        )
    return ok(
        f"The host gives {len(groups)} groups of extended statistics, as {', '.join(encodings)}.", **facts
    )


def _groups(channel: Channel) -> tuple[tuple[str, ...], VMGuestError | None]:
    """The groups that the host lists and the exporter can use, or why there are none.

    Raises:
        RpcError: the host has no extended statistics.
    """
    try:
        groups = usable(stat_get.parse_names(channel.call(guestlib.stat_command("text", ""))))
    except RpcError as refusal:
        if refusal.reason in ("unknown_command", "disabled"):
            raise
        return (), refusal
    except ProtocolError as error:
        return (), error
    return groups, None if groups else RemoteProtocolError("it names no group that is known")


def _encodings(channel: Channel, groups: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The encodings in which the host gives the first group that it gives at all, and why not in the others; one group of
    each kind is asked for, that with the most to say first.
    """
    kinds = {group.split()[0]: group for group in groups}
    refusals: dict[str, str] = {}
    for group in sorted(kinds.values(), key=lambda group: group != "resources"):
        refusals = {}
        encodings = [each for each in stat_get.ENCODINGS if _speaks(channel, each, group, refusals)]
        if encodings:
            return encodings, refusals
    return [], refusals


def _speaks(channel: Channel, encoding: str, group: str, refusals: dict[str, str]) -> bool:
    try:
        stat_get.parse(encoding, channel.call(guestlib.stat_command(encoding, group)))
    except RpcError as refusal:
        refusals[encoding] = refusal.text
        return False
    except ProtocolError as error:
        # The exporter goes on to the next encoding too.
        refusals[encoding] = str(error)
        return False
    return True


def _unexpected(error: VMGuestError) -> Diagnosis:
    said = "answers not as expected" if isinstance(error, ProtocolError) else "does not answer"
    return fail(f"The host {said} to extended statistics: {error}.", advice(error), error=error.kind)


def _no_extended(world: World, refusal: RpcError) -> Diagnosis:
    facts: Facts = {"refusal": refusal.text}
    if refusal.reason == "unknown_command":
        return warn(
            "The host has no extended statistics: contention, disks and network cards are not shown.",
            Advice(
                "extended-statistics",
                Where.HOST,
                "they need ESXi 6.0 or later; --no-extended stops asking for them",
            ),
            **facts,
        )
    what = advice(refusal)
    if refusal.reason == "other" and first_answer(world).snapshot is not None:
        # No switch is in the way of the basic ones, which it would be too.
        what = _REPORT
    return warn(
        f"The host refuses extended statistics: {refusal.text!r}.",
        what._replace(code="extended-statistics") if what else None,
        **facts,
    )
