"""From a document to results: one for each question of the insight and each threshold, or one for each rule of a contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from exporter.check.contract import Contract, Rule
from exporter.check.measures import BY_KEY, BY_QUESTION
from exporter.check.ranges import Range
from exporter.outputs.api import Document


class State(IntEnum):
    """Exit statuses of a plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST = (State.CRITICAL, State.WARNING, State.UNKNOWN, State.OK)
_OF_LEVEL = {"warning": State.WARNING, "critical": State.CRITICAL}

Ranges = Mapping[str, Range]


@dataclass(frozen=True, slots=True)
class Result:
    """``note``: what this would be judged by is not known."""

    key: str
    title: str
    state: State
    text: str
    value: float | None = None
    unit: str = ""
    warning: Range | None = None
    critical: Range | None = None
    note: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """All results, and the one state of them all; ``name``: of the whole, for systems that name what they watch."""

    state: State
    text: str
    results: tuple[Result, ...]
    name: str = "verdict"


def judge(
    document: Document,
    *,
    warning: Ranges,
    critical: Ranges,
    contract: Contract | None = None,
    only: frozenset[str] = frozenset(),
    strict: bool = False,
) -> Summary:
    """``only``: keys to which the results are narrowed. What is named there, or has a threshold in ``warning`` or
    ``critical``, is UNKNOWN where it is not known: somebody asked for that very figure. ``strict``: so is all else that the
    host does not give.
    """
    named = frozenset((*warning, *critical, *only))

    def asked(rule: Rule) -> Rule:
        """A range given on the command line takes the place of the rule's."""
        key = rule.key
        return replace(
            rule, warning=warning.get(key, rule.warning), critical=critical.get(key, rule.critical)
        )

    if contract is not None:
        results = [_held(document, asked(rule)) for rule in contract.rules]
    else:
        results = _questions(document, asked, only)
    results += [_held(document, asked(Rule(key))) for key in sorted(named - {each.key for each in results})]
    results = [
        replace(each, state=State.UNKNOWN)
        if each.note and (each.key in named or (strict and _by_host(each.key)))
        else each
        for each in results
    ]
    if not document["up"]:
        results = [_unread(each) for each in results]
        # What needs no host (heartbeats) still counts.
        known = [each for each in results if each.state in {State.WARNING, State.CRITICAL}]
        problem = document["problem"]
        why = f" {problem['text']}. {problem['advice']}".rstrip() if problem is not None else ""
        told = " ".join(["There are no fresh statistics from the host.", *(each.text for each in known)])
        return Summary(
            _worst([State.UNKNOWN, *(each.state for each in known)]), f"{told}{why}", tuple(results)
        )
    state = _worst([each.state for each in results])
    plain = contract is None and not (only or warning or critical)
    text = (
        document["verdict"]["text"]
        if plain and state is State.OK
        else _text(results, contract, said=bool(only))
    )
    return Summary(state, text, tuple(results))


def _unread(result: Result) -> Result:
    """The result where there is no reading at all: what nobody could look at is not OK."""
    if not result.note:
        return result
    text = "Not known: there are no fresh statistics from the host."
    return replace(result, state=State.UNKNOWN, text=text)


def _worst(states: list[State]) -> State:
    return next((state for state in _WORST if state in states), State.OK)


def key_of(question: str) -> str:
    """A question's key as a threshold's."""
    found = BY_QUESTION.get(question)
    return found.key if found is not None else question.replace("-", "_")


def _questions(document: Document, asked: Callable[[Rule], Rule], only: frozenset[str]) -> list[Result]:
    results = []
    for answer in document["answers"]:
        key = key_of(answer["key"])
        if only and key not in only:
            continue
        measure, rule = BY_KEY.get(key), asked(Rule(key))
        if rule.warning is not None or rule.critical is not None:
            results.append(_held(document, rule))
            continue
        results.append(
            Result(
                key,
                answer["question"],
                _OF_LEVEL.get(answer["level"], State.OK),
                answer["text"],
                measure.value(document) if measure is not None else None,
                measure.unit if measure is not None else "",
                note=answer["level"] == "unknown",
            )
        )
    return results


def _held(document: Document, rule: Rule) -> Result:
    """What the rule's number is, held against its ranges."""
    measure, warning, critical = BY_KEY[rule.key], rule.warning, rule.critical
    value = measure.value(document)
    title = rule.title or measure.title
    if value is None:
        text = f"{measure.title}: {'not given by the host' if measure.host else 'not known'}, or too short a time."
        return Result(measure.key, title, State.OK, text, None, measure.unit, warning, critical, note=True)
    state, broken = State.OK, None
    if critical is not None and critical.alerts(value):
        state, broken = State.CRITICAL, critical
    elif warning is not None and warning.alerts(value):
        state, broken = State.WARNING, warning
    number = f"{measure.title}: {value:.4g}{measure.unit and f' {measure.unit}'}"
    text = f"{number}."
    if broken is not None:
        told = f"{number}, where {broken.text} was asked for.", rule.why, rule.source and f"({rule.source})"
        text = " ".join(filter(None, told))
    return Result(measure.key, title, state, text, value, measure.unit, warning, critical)


def _text(results: list[Result], contract: Contract | None, *, said: bool) -> str:
    """The worst two in words, of all or of those that are not OK; else that all is well, and what could not be judged."""
    speaking = sorted(
        (each for each in results if said or each.state is not State.OK),
        key=lambda each: _WORST.index(each.state),
    )
    if speaking:
        more = len(speaking) - 2
        return " ".join(each.text for each in speaking[:2]) + (f" And {more} more." if more > 0 else "")
    notes = [each.key for each in results if each.note and (_asked(each) or _by_host(each.key))]
    kept = "All is within its bounds."
    if contract is not None:
        kept = f"{contract.name}: {'no promise is seen to be broken' if notes else 'every promise is kept'}."
    return kept + (f" Not given: {', '.join(notes)}." if notes else "")


def _asked(result: Result) -> bool:
    return result.warning is not None or result.critical is not None


def _by_host(key: str) -> bool:
    """Also what only a newer exporter knows."""
    return key not in BY_KEY or BY_KEY[key].host
