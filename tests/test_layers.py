"""Who may import whom. A module that no rule knows fails too: say where it stands before it grows."""

from __future__ import annotations

import ast
import gzip
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import exporter
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

ROOT = Path(exporter.__file__).parent

VALUES = frozenset({"errors", "catalogue", "snapshot"})
"""What everybody may know."""

RULES: dict[str, frozenset[str]] = {
    # The bottom: the standard library only.
    "errors": frozenset(),
    "snapshot": frozenset(),
    "catalogue": frozenset({"snapshot"}),
    "advice": frozenset({"errors"}),
    # What this machine is.
    "machine": VALUES,
    # Bytes and values: knows of no I/O.
    "protocol": VALUES,
    # Ways to the host. Two sources meet in session; past it nobody can tell which was taken.
    "transport": VALUES,
    "library": VALUES | {"protocol", "machine"},
    "masking": VALUES | {"protocol"},
    "session": VALUES | {"protocol", "transport", "library", "machine", "advice", "masking"},
    # Cadence and failure; meaning; what is published; spelling.
    "poller": VALUES | {"session", "advice"},
    "insight": VALUES | {"metrics", "outputs"},
    "metrics": VALUES | {"machine", "insight"},
    "outputs": VALUES | {"metrics", "insight", "machine"},
    # Beside the statistics: its own connection, its own thread, nothing of the poller's.
    "ha": VALUES | {"protocol", "transport", "session", "library", "metrics", "machine", "advice"},
    # The far side, with the production codec.
    "simulator": VALUES | {"protocol", "transport"},
    # What an operator touches.
    "config": VALUES,
    "log": VALUES,
    # Looks into everything and may be slow; serves nothing.
    "doctor": VALUES
    | {"advice", "config", "session", "transport", "protocol", "library", "machine"}
    | {"ha", "outputs", "masking", "metrics"},
    # A module for each command, which calls what it drives.
    "commands": VALUES | {"advice", "config", "log", "app"},
    "commands.reference": VALUES | {"config", "doctor"},
    "commands.doctor": VALUES | {"config", "doctor"},
    "commands.ha": VALUES | {"config", "ha", "protocol", "machine"},
    "commands.record": VALUES | {"config", "session", "transport", "doctor", "masking"},
    "commands.simulate": VALUES | {"simulator"},
    # Where a part meets its settings: it checks them and starts.
    "session.hosts": VALUES | {"config", "machine", "session", "simulator"},
    "outputs.web.start": VALUES | {"config", "metrics", "outputs"},
    "outputs.otlp.start": VALUES | {"config", "metrics", "outputs"},
    "ha.start": VALUES | {"config", "ha", "machine", "metrics", "simulator"},
    # Where the settings' tables become checks.
    "ha.check_tables": VALUES | {"config", "ha"},
    "__main__": frozenset({"commands"}),
    "__init__": frozenset(),
}
"""Top-level name -> top-level names that it may import, beside its own. A module's whole name goes first;
``app`` alone knows all."""

NARROWER: dict[str, frozenset[str]] = {
    "outputs": frozenset({"poller", "session", "transport"}),
    "ha": frozenset({"poller", "collector", "outputs"}),
}
"""Never, whatever the rules above may come to allow: a scrape could reach the host; a heartbeat could wait."""

ONLY_IN: dict[str, frozenset[str]] = {
    "ctypes": frozenset({"library"}),
    "prometheus_client": frozenset({"outputs", "metrics"}),
    "opentelemetry": frozenset({"outputs"}),
    "grpc": frozenset({"outputs"}),
    "ssl": frozenset({"outputs", "doctor"}),
    "yaml": frozenset({"outputs"}),
    "tomllib": frozenset({"config", "simulator"}),
    "asyncio": frozenset(),
}
"""Modules of others, and the parts of this package that may use them."""

NO_IO = frozenset(
    {"socket", "select", "time", "threading", "ctypes", "logging", "subprocess", "os", "asyncio"}
)
"""What :mod:`exporter.protocol` may not know of."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, inside functions too; ``from a import b`` is ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def known_names() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name, _ in modules())


MODULES = list(modules())


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_imports_only_from_below(name: str, path: Path) -> None:
    own = name.partition(".")[0]
    if own == "app":
        return
    rule = RULES.get(name) or RULES.get(own)
    assert rule is not None, f"{name} has no rule: say in RULES what it may import"
    wrong = []
    for line, imported in imports(path):
        package, _, rest = imported.partition(".")
        target = rest.partition(".")[0]
        if package != "exporter" or target not in known_names() or target == own:
            continue
        if target not in rule or target in NARROWER.get(own, ()):
            wrong.append(f"{path.relative_to(ROOT)}:{line}: {own} may not import {imported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_heavy_and_unsafe_modules_stay_where_they_belong(name: str, path: Path) -> None:
    own = name.partition(".")[0]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {imported} only in {', '.join(sorted(places)) or 'no part at all'}"
        for line, imported in imports(path)
        for module, places in ONLY_IN.items()
        if imported.partition(".")[0] == module and own not in places
    ]
    assert not wrong, "\n".join(wrong)


def test_the_protocol_knows_of_no_io() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {imported}"
        for name, path in MODULES
        if name.startswith("protocol.")
        for line, imported in imports(path)
        if imported.partition(".")[0] in NO_IO
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rules_know_no_module_that_is_gone() -> None:
    assert RULES.keys() - {"__init__"} <= known_names() | {name for name, _ in MODULES}


def test_these_tests_notice_an_import_inside_a_function(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from exporter.poller import Poller\n    import ctypes\n")
    assert list(imports(file)) == [(2, "exporter.poller.Poller"), (3, "ctypes")]


NOT_IN_A_PLAIN_SERVE = (
    "opentelemetry",
    "grpc",
    "google.protobuf",
    "exporter.doctor",
)


def test_a_plain_serve_loads_only_what_it_needs(short_path: Path) -> None:
    """A whole life: start, polls of both kinds, scrapes in both formats, SIGTERM."""
    host = short_path / "host"
    code = """
import sys
from exporter.commands.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules, flush=True)
"""
    argv = [f"--guestrpc.socket={host}", "--web.listen-address=127.0.0.1:0"]
    with (
        serve_unix(host, Server(SimulatedHost())),
        subprocess.Popen(
            [sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        try:
            url = next(
                match[0] for line in process.stderr if (match := re.search(r"http://\S+/metrics", line))
            )
            for accept in ("text/plain", "application/openmetrics-text"):
                request = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": "gzip"})
                while b"vmguest_numa_memory" not in gzip.decompress(
                    urllib.request.urlopen(request, timeout=10).read()
                ):
                    pass
            process.terminate()
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    status, *loaded = out.split()
    assert status == "0"
    assert {"exporter.app", "exporter.outputs.web.server", "exporter.session.wire"} <= set(loaded)
    assert not set(loaded) & set(NOT_IN_A_PLAIN_SERVE)
