"""Findings as text for people and as JSON for machines, and the exit status that sums them up."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from exporter import __version__
from exporter.doctor.finding import Finding, Verdict

FORMAT = 1
"""Of the JSON report. Keys may be added; a change of one that is there makes it 2."""

OK, FAILED = 0, 1

_WORDS = {Verdict.OK: "ok", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.SKIPPED: "-"}
_COLOURS = {Verdict.OK: "32", Verdict.WARN: "33", Verdict.FAIL: "1;31", Verdict.SKIPPED: "2"}
_COUNTED = {Verdict.FAIL: "failed", Verdict.WARN: "to look at", Verdict.OK: "ok", Verdict.SKIPPED: "skipped"}

_CODE_WIDTH = 22
_INDENT = " " * (6 + _CODE_WIDTH)


def status(findings: Sequence[Finding]) -> int:
    """0 where nothing failed, else 1."""
    return FAILED if any(each.verdict is Verdict.FAIL for each in findings) else OK


def text(findings: Sequence[Finding], *, seconds: float, width: int = 100, colour: bool = False) -> str:
    """The report for people: a line for each finding, what to do below it, what to repair first at the end."""
    return "\n".join(_lines(findings, seconds, max(width, 60), colour)) + "\n"


def _lines(findings: Sequence[Finding], seconds: float, width: int, colour: bool) -> Iterator[str]:
    def paint(verdict: Verdict, words: str) -> str:
        return f"\x1b[{_COLOURS[verdict]}m{words}\x1b[0m" if colour else words

    def wrapped(words: str, first: str, others: str) -> list[str]:
        return textwrap.wrap(
            words,
            width,
            initial_indent=first,
            subsequent_indent=others,
            break_on_hyphens=False,
            break_long_words=False,
        )

    first_said: dict[str, str] = {}
    for because, group in groupby(findings, lambda each: each.because):
        if because:
            codes = ", ".join(each.code for each in group)
            first, *rest = wrapped(f"{codes}: skipped because of {because}", " " * 6, " " * 6)
            yield paint(Verdict.SKIPPED, _WORDS[Verdict.SKIPPED].ljust(6)) + first[6:]
            yield from rest
            continue
        for each in group:
            diagnosis = each.diagnosis
            first, *rest = wrapped(diagnosis.sentence, f"{' ' * 6}{each.code:<{_CODE_WIDTH}}", _INDENT)
            yield paint(each.verdict, _WORDS[each.verdict].ljust(6)) + first[6:]
            yield from rest
            for line in diagnosis.details:
                yield from wrapped(line, f"{_INDENT}  ", f"{_INDENT}    ")
            if diagnosis.advice:
                words = diagnosis.advice.sentence
                said = first_said.setdefault(words, each.code)
                yield from wrapped(
                    f"-> {words if said == each.code else f'As for {said}.'}", _INDENT, f"{_INDENT}   "
                )
    counts = {verdict: sum(each.verdict is verdict for each in findings) for verdict in Verdict}
    yield ""
    yield (
        ", ".join(
            paint(verdict, f"{counts[verdict]} {words}")
            for verdict, words in _COUNTED.items()
            if counts[verdict]
        )
        + f"; {seconds:.1f} s."
    )
    if first_to_repair := next((each for each in findings if each.verdict is Verdict.FAIL), None):
        advice = first_to_repair.diagnosis.advice
        words = f"Repair first: {first_to_repair.code}. {advice.sentence if advice else first_to_repair.diagnosis.sentence}"
        yield from wrapped(words, "", "  ")


def as_json(findings: Sequence[Finding], *, source: str, time: str, seconds: float) -> str:
    """The report for machines."""
    document = {
        "format": FORMAT,
        "version": __version__,
        "time": time,
        "seconds": round(seconds, 3),
        "source": source,
        "status": status(findings),
        "counts": {verdict.value: sum(each.verdict is verdict for each in findings) for verdict in Verdict},
        "findings": [_plain(each) for each in findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(finding: Finding) -> Mapping[str, object]:
    diagnosis = finding.diagnosis
    return {
        "code": finding.code,
        "title": finding.check.title,
        "verdict": finding.verdict.value,
        "sentence": diagnosis.sentence,
        "advice": {"where": diagnosis.advice.where.value, "text": diagnosis.advice.text}
        if diagnosis.advice
        else None,
        "because": finding.because or None,
        "details": list(diagnosis.details),
        "facts": dict(diagnosis.facts),
        "seconds": round(finding.seconds, 3),
    }
