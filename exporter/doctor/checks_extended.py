"""The check of extended statistics: whether the host has them, which groups, in which encodings; and what the exporter gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

from exporter.advice import Advice, Where, advice
from exporter.catalogue.extended_names import usable
from exporter.doctor.checks_host import first_answer
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, warn
from exporter.doctor.world import World
from exporter.errors import ProtocolError, RemoteProtocolError, RpcError, TimeoutExpired, VMGuestError
from exporter.protocol import stat_get
from exporter.session.encodings import Encodings
from exporter.session.groups import ALWAYS
from exporter.session.missing import PATIENCE
from exporter.session.wire import WireSource

LIMIT = 2.4
"""Seconds for all groups together: some of them may hang."""
LEAST = 0.05
"""Seconds that there must be for one more."""

_REPORT = Advice(
    "extended-statistics", Where.GUEST, "report it with `vmguest-exporter doctor --bundle FILE.tar.gz`"
)
_Ask = Callable[[str, str], bytes]
"""Group and encoding to the host's reply, in what time is left; errors as :meth:`exporter.session.base.Source.stat`."""


@dataclass
class _Round:
    """What one question for each group brought."""

    given: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: dict[str, VMGuestError] = field(default_factory=dict)
    """Groups that the exporter goes without, and why."""
    not_asked: list[str] = field(default_factory=list)
    """What there was no time for, or less than the exporter has: on a slow host, or after groups that hang. Nothing is known
    of them."""
    encodings: dict[str, str] = field(default_factory=dict)
    """Group -> the encoding in which it was given."""
    sessions: set[int] = field(default_factory=set)
    """Ids that replies say they are of; text, JSON and YAML say none."""


def extended_statistics(world: World) -> Diagnosis:
    """As the exporter asks: a host without a list that can be used may give groups all the same."""
    end = world.clock() + LIMIT

    def left() -> float:
        return end - world.clock()

    with closing(WireSource(world.connector(), world.host_limit)) as source:

        def ask(group: str, encoding: str) -> bytes:
            return source.stat(encoding, group, min(max(left(), LEAST), PATIENCE))

        try:
            groups, unlisted = _groups(ask)
        except RpcError as refusal:
            return _no_extended(world, refusal)
        found = _asked(ask, groups or ALWAYS, left)
        encodings, refusals = _encodings(ask, found.encodings, left)
        basic = _basic_sessions(world, source)
    facts: Facts = {
        "groups": sorted({group.split()[0] for group in groups}),
        "encodings": encodings,
        "refusals": refusals,
        "missing": {group: str(error) for group, error in found.missing.items()},
    }
    if basic and found.sessions - basic:
        return fail(
            "The host's extended statistics are of another session than its basic ones: the exporter shows none of them.",
            _REPORT,
            **facts,
        )
    if not found.given:
        return _none(world, found, unlisted, facts)
    if unlisted is not None:
        return warn(
            f"The host gives extended statistics, as {', '.join(encodings)}, but no list of them that can be used "
            f"({unlisted}): disks and network cards are not shown.",
            _REPORT,
            *_lines(found),
            **facts,
        )
    if found.missing:
        without = f"{len(found.missing)} of the others" if found.not_asked else "the others"
        return warn(
            f"The host gives {len(found.given)} of {len(groups)} groups of extended statistics; the exporter goes without {without}.",
            _REPORT,
            *_lines(found),
            **facts,
        )
    more = f"; there was no time to ask for {len(found.not_asked)} more" if found.not_asked else ""
    return ok(
        f"The host gives {len(found.given)} groups of extended statistics, as {', '.join(encodings)}{more}.",
        *_lines(found),
        **facts,
    )


def _none(world: World, found: _Round, unlisted: VMGuestError | None, facts: Facts) -> Diagnosis:
    """Not one group was given."""
    error = next(iter(found.missing.values()), None)
    if isinstance(unlisted, RpcError) and error is None:
        return _no_extended(world, unlisted)
    if (why := error or unlisted) is not None:
        return _unexpected(why)
    if found.not_asked:
        return warn(
            "The host is slow: it gave no group of extended statistics in the time that there is for this check.",
            None,
            *_lines(found),
            **facts,
        )
    return warn(
        "The host lists extended statistics, but gives none of them in an encoding that is known.",
        _REPORT,
        **facts,
    )


def _lines(found: _Round) -> list[str]:
    lines = [f"{group}: {error}" for group, error in found.missing.items()]
    for what, groups in (("refused", found.refused), ("not asked, for want of time", found.not_asked)):
        if groups:
            lines.append(f"{what}: {', '.join(groups)}")
    return lines


def _groups(ask: _Ask) -> tuple[tuple[str, ...], VMGuestError | None]:
    """The groups that the host lists and the exporter can use, or why there are none.

    Raises:
        RpcError: the host has no extended statistics.
    """
    try:
        groups = usable(stat_get.parse_names(ask("", "text")))
    except RpcError as refusal:
        if refusal.reason in ("unknown_command", "disabled"):
            raise
        return (), refusal
    except VMGuestError as error:
        return (), error
    return groups, None if groups else RemoteProtocolError("it names no group that is known")


def _asked(ask: _Ask, groups: Iterable[str], left: Callable[[], float]) -> _Round:
    """Each group, in the encodings that the exporter tries, while time is ``left``."""
    found, encodings = _Round(), Encodings()
    for group in groups:
        if (time := left()) < LEAST:
            found.not_asked.append(group)
            continue
        try:
            reply = encodings.ask(group, partial(ask, group))
        except RpcError:
            found.refused.append(group)
        except VMGuestError as error:
            if isinstance(error, TimeoutExpired) and time < PATIENCE:
                found.not_asked.append(group)
            else:
                found.missing[group] = error
        else:
            found.given.append(group)
            found.encodings[group] = encodings.of(group)
            found.sessions |= {reply.session_id} - {0}
    return found


def _basic_sessions(world: World, source: WireSource) -> set[int]:
    """Ids of the basic statistics, before and now; where there are none of these, nothing is held against them."""
    answer = first_answer(world).snapshot
    found = {answer.session_id} if answer is not None else set()
    with suppress(VMGuestError):
        found.add(source.read().session_id)
    return found


def _encodings(
    ask: _Ask, known: Mapping[str, str], left: Callable[[], float]
) -> tuple[list[str], dict[str, str]]:
    """The encodings in which the host gives one group, that with the most to say, and why not in the others.

    ``known``: groups with an encoding in which they were given. Those that there is no time for are in neither.
    """
    group = min(known, key=lambda group: group != "resources", default="")
    found, refusals = {known[group]} if group else set(), {}
    for encoding in stat_get.ENCODINGS if group else ():
        if encoding in found or left() < LEAST:
            continue
        try:
            stat_get.parse(encoding, ask(group, encoding))
        except TimeoutExpired:
            continue
        except RpcError as refusal:
            refusals[encoding] = refusal.text
        except VMGuestError as error:
            # The exporter goes on to the next encoding too.
            refusals[encoding] = str(error)
        else:
            found.add(encoding)
    return [each for each in stat_get.ENCODINGS if each in found], refusals


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
