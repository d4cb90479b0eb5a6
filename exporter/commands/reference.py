"""The documentation's tables: metrics from the catalogue; settings, findings, scenarios and faults from their rows.

``vmguest-exporter reference`` prints them; ``--write docs/*.md`` replaces what stands between the markers of these
files, ``--check docs/*.md`` fails where one is not current.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping

from exporter import catalogue
from exporter.catalogue import EXTENDED, STATISTICS, Metric
from exporter.commands.parser import PROGRAM
from exporter.config import CHAPTERS, argument, chapter
from exporter.config.options import Option
from exporter.config.settings import need
from exporter.config.values import Switch
from exporter.doctor.rows import CHECKS
from exporter.errors import ConfigError
from exporter.ha import check_types
from exporter.machine.system import WINDOWS
from exporter.markdown import code, table
from exporter.simulator.faults import KINDS
from exporter.simulator.scenarios import SCENARIOS


def add_arguments(parser: ArgumentParser) -> None:
    """Of the ``reference`` command."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--write",
        metavar="FILE",
        nargs="+",
        type=argument.file,
        help="replace the tables between the markers of each FILE",
    )
    choice.add_argument(
        "--check",
        metavar="FILE",
        nargs="+",
        type=argument.file,
        help="exit with 1 where a table of a FILE is not current",
    )


def run(args: Namespace) -> int:
    """Print, write or check the tables."""
    if args.write is None and args.check is None:
        print("\n".join(make() for make in TABLES.values()))
        return 0
    stale = []
    for path in args.write or args.check:
        try:
            before = path.read_text(encoding="utf-8")
            after = fill(before)
            if args.write is not None and after != before:
                path.write_text(after, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        if after != before:
            stale.append(path)
    if args.check is None or not stale:
        return 0
    names = " ".join(map(str, stale))
    print(f"not current; run: {PROGRAM} reference --write {names}", file=sys.stderr)
    return 1


def fill(text: str) -> str:
    """``text`` with current tables between its markers, whichever it has.

    Raises:
        ValueError: a marker without its end, or of a table that there is not.
    """
    pattern = re.compile(r"(<!-- reference:(\w+) -->\n).*?(<!-- /reference:\2 -->)", re.DOTALL)
    found = [match[2] for match in pattern.finditer(text)]
    marked = re.findall(r"<!-- /?reference:(\w+) -->", text)
    if wrong := {
        name for name in marked if marked.count(name) != 2 or name not in found or name not in TABLES
    }:
        raise ValueError(
            f"expected one pair of markers for any of {', '.join(TABLES)}; look at: {', '.join(sorted(wrong))}"
        )
    return pattern.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[3]}", text)


def metrics_table() -> str:
    """Every metric of the catalogue below its heading, in Markdown."""
    parts = []
    for title, metrics in _chapters():
        rows = [
            (code(_labelled(metric)), metric.kind.value, code(metric.otlp), code(metric.unit.ucum), text)
            for metric, text in metrics.items()
        ]
        parts.append(f"**{title}**\n\n" + table(("Prometheus", "Kind", "OTLP", "Unit", "Meaning"), rows))
    return "\n" + "\n".join(parts) + "\n"


def settings_table() -> str:
    """Every setting below its heading, in Markdown."""
    parts = []
    for title, groups in CHAPTERS:
        rows = [
            (code(_flag(row)), code(row.variable), _default(row), _meaning(row)) for row in chapter(groups)
        ]
        parts.append(f"**{title}**\n\n" + table(("Flag", "Variable", "Default", "Meaning"), rows))
    return "\n" + "\n".join(parts) + "\n"


def findings_table() -> str:
    """Every finding of ``doctor``, in Markdown."""
    rows = [(code(check.code), check.looks_at, ", ".join(map(code, check.needs))) for check in CHECKS]
    return "\n" + table(("Code", "Looks at", "Needs"), rows) + "\n"


def checks_table() -> str:
    """Every key of the ``[[ha.check]]`` tables, in Markdown."""
    rows = [(code(kind), code(key), default, text) for kind, key, default, text in check_types.rows()]
    return "\n" + table(("Type", "Key", "Default", "Meaning"), rows) + "\n"


def scenarios_table() -> str:
    """Every scenario of the simulated host, in Markdown."""
    rows = [(code(name), row.summary) for name, row in SCENARIOS.items()]
    return "\n" + table(("Scenario", "What happens"), rows) + "\n"


def faults_table() -> str:
    """Every kind of fault that the simulated host can be told, in Markdown."""
    rows = [(code(name), row.summary) for name, row in KINDS.items()]
    return "\n" + table(("Fault", "What the guest sees"), rows) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "metrics": metrics_table,
    "settings": settings_table,
    "findings": findings_table,
    "checks": checks_table,
    "scenarios": scenarios_table,
    "faults": faults_table,
}


def _chapters() -> Iterator[tuple[str, dict[Metric, str]]]:
    """Headings, and below each the metrics with the text of the last column."""
    basic: dict[bool, dict[Metric, str]] = {False: {}, True: {}}
    for row in STATISTICS:
        notes = " Only with `--deprecated-metrics`." if row.deprecated else ""
        notes += " Only with `--expose-identity`." if row.identity else ""
        basic[row.host_info][row.metric] = row.metric.help + notes
    yield "What the host counts for this VM", basic[False]
    yield "The host itself, where it tells (`tools.guestlib.enableHostInfo`)", basic[True]
    known = [row.metric for row in EXTENDED if not row.basic]
    yield "Extended statistics of the host", _texts([*known, catalogue.HYPERVISOR, catalogue.HOST_FACTS])
    for heading, metrics in catalogue.OWN.items():
        yield heading, _texts(metrics)


def _texts(metrics: Iterable[Metric]) -> dict[Metric, str]:
    return {metric: metric.help for metric in metrics}


def _labelled(metric: Metric) -> str:
    return metric.prometheus + (f"{{{','.join(metric.labels)}}}" if metric.labels else "")


def _flag(row: Option) -> str:
    return f"--[no-]{row.word}" if isinstance(row.kind, Switch) else row.flag


def _meaning(row: Option) -> str:
    needed = need(row.name)
    if needed is None or needed.what not in WINDOWS.lacks:
        return row.help
    return f"{row.help} {f'{code(needed.value)}: ' if needed.value else ''}Linux only."


def _default(row: Option) -> str:
    # Of an option without a value the default is a phrase; variables in it read better as code.
    return re.sub(r"\b[A-Z]+_[A-Z_]+\b", lambda match: code(match[0]), row.default)
