"""One summary in the words of five monitoring systems."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from exporter.check.ranges import Range
from exporter.check.results import Result, Summary

SERVICE = "VMGUEST"


def nagios(summary: Summary, where: str) -> str:
    """One line: state, words, performance data (Monitoring Plugins guidelines; Icinga, Naemon, Centreon and others)."""
    words = f"{SERVICE} {summary.state.name} - {summary.text}{f' (from {where})' if where else ''}"
    data = " ".join(_perfdata(each) for each in summary.results if each.value is not None)
    return f"{_line(words)} | {data}" if data else _line(words)


def checkmk(summary: Summary, _where: str) -> str:
    """A service for the whole and one for each result, as a local check of Checkmk's agent prints them."""
    lines = [f'{summary.state.value} "VM {summary.name}" - {_line(summary.text)}']
    for each in summary.results:
        metric = "-"
        if each.value is not None:
            bounds = ";".join((_upper(each.warning), _upper(each.critical)))
            metric = f"{each.key}={_number(each.value)};{bounds}"
        # State by number: levels alone would not know of ranges with two ends.
        lines.append(f'{each.state.value} "VM {_service(each)}" {metric} {_line(each.text)}')
    return "\n".join(lines)


def zabbix(summary: Summary, _where: str) -> str:
    """Lines for ``zabbix_sender -i -``: state and words of the whole, then state and value of each."""
    lines = [f"- vmguest.check {summary.state.value}", f"- vmguest.text {_quoted(summary.text)}"]
    for each in summary.results:
        lines.append(f"- vmguest.check[{each.key}] {each.state.value}")
        if each.value is not None:
            lines.append(f"- vmguest.value[{each.key}] {_number(each.value)}")
    return "\n".join(lines)


def as_json(summary: Summary, where: str) -> str:
    return json.dumps(
        {
            "state": summary.state.value,
            "status": summary.state.name,
            "text": summary.text,
            "from": where,
            "results": [
                {
                    "key": each.key,
                    "title": each.title,
                    "state": each.state.value,
                    "status": each.state.name,
                    "text": each.text,
                    "value": each.value,
                    "unit": each.unit,
                    "warning": each.warning.text if each.warning is not None else None,
                    "critical": each.critical.text if each.critical is not None else None,
                    "given": not each.note,
                }
                for each in summary.results
            ],
        },
        ensure_ascii=False,
        indent=2,
    )


def influx(summary: Summary, _where: str) -> str:
    """Line protocol, for Telegraf's ``exec``: a line for the whole, with its words, and one for each result."""
    lines = [f"vmguest_check,key=all state={summary.state.value}i,text={_quoted(summary.text)}"]
    for each in summary.results:
        value = f",value={_number(each.value)}" if each.value is not None else ""
        lines.append(f"vmguest_check,key={each.key} state={each.state.value}i{value}")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Summary, str], str]] = {
    "nagios": nagios,
    "checkmk": checkmk,
    "zabbix": zabbix,
    "json": as_json,
    "influx": influx,
}
BY_STATUS = frozenset({"nagios", "json"})
"""Formats whose reader takes the exit status; the others have each state in its line, and take 1 to 3 for a failure."""


def _perfdata(result: Result) -> str:
    warning = result.warning.text if result.warning is not None else ""
    critical = result.critical.text if result.critical is not None else ""
    ends = ";0;100" if result.unit == "%" else ";0;"
    return f"{result.key}={_number(result.value or 0.0)}{result.unit};{warning};{critical}{ends}".rstrip(";")


def _number(value: float) -> str:
    """Never with an exponent, which not every reader takes."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else f"{value:.0f}"


def _upper(found: Range | None) -> str:
    """Of a range that only an upper end bounds, that end: all that a metric of Checkmk can have."""
    return _number(found.end) if found is not None and not found.inside and math.isfinite(found.end) else ""


def _service(result: Result) -> str:
    return re.sub(r"\s+", " ", (result.title or result.key).replace('"', "")).rstrip("?").strip()


def _quoted(words: str) -> str:
    """As zabbix_sender and the line protocol both take it."""
    return '"' + _line(words).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(words: str) -> str:
    """One line, without the character that begins performance data."""
    return re.sub(r"\s+", " ", words.replace("|", "/")).strip()
