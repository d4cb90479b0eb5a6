"""Who may import whom, and how the tree is kept. A module that no rule knows fails too: say where it stands."""

from __future__ import annotations

import ast
import gzip
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import exporter
from exporter.simulator.host import SimulatedHost
from exporter.simulator.server import Server, serve_unix

ROOT = Path(exporter.__file__).parent

VALUES = frozenset({"errors", "shortage", "threads", "catalogue", "snapshot", "clock"})
"""What everybody may know."""

RULES: dict[str, frozenset[str]] = {
    # The bottom: the standard library only.
    "errors": frozenset(),
    "clock": frozenset(),
    "files": frozenset(),
    "shortage": frozenset(),
    "threads": frozenset(),
    "snapshot": frozenset({"clock"}),
    "catalogue": frozenset({"snapshot"}),
    "advice": frozenset({"errors", "machine"}),
    "markdown": frozenset(),
    "interim": frozenset(),
    "once": frozenset(),
    "urls": frozenset(),
    # What this machine is.
    "machine": VALUES | {"files"},
    # Bytes and values: knows of no I/O.
    "protocol": VALUES,
    # Ways to the host. Two sources meet in session; past it nobody can tell which was taken.
    "transport": VALUES,
    "library": VALUES | {"protocol", "machine"},
    "masking": VALUES | {"protocol"},
    "session": VALUES | {"files", "protocol", "transport", "library", "machine", "advice", "masking"},
    # Cadence and failure; meaning; what is published; spelling.
    "poller": VALUES | {"session", "advice"},
    "insight": frozenset({"catalogue", "clock", "snapshot"}),
    "metrics": VALUES | {"machine", "insight"},
    "outputs": VALUES | {"files", "metrics", "insight", "interim", "machine", "once", "urls"},
    # Beside the statistics: its own connection, its own thread, nothing of the poller's.
    "ha": VALUES
    | {"files", "protocol", "transport", "session", "library", "metrics", "machine", "advice", "interim"},
    # The far side, with the production codec.
    "simulator": VALUES | {"files", "protocol", "transport"},
    # The exporters of a simulated fleet: puts parts together, as app does.
    "fleet": VALUES | {"session", "poller", "insight", "metrics", "outputs", "simulator"},
    # What an operator touches.
    "config": VALUES | {"files", "machine", "urls"},
    "log": VALUES,
    # Looks into everything and may be slow; serves nothing.
    "doctor": VALUES
    | {"advice", "config", "session", "transport", "protocol", "library", "machine"}
    | {"ha", "outputs", "masking", "metrics", "interim"},
    # Where the commands for people look, with the parts that the exporter consists of; and what they make of it.
    "reading": VALUES
    | {
        "files",
        "config",
        "session",
        "poller",
        "metrics",
        "insight",
        "outputs",
        "log",
        "machine",
        "interim",
        "urls",
    },
    "check": VALUES | {"files", "outputs"},
    "report": VALUES | {"insight", "markdown", "outputs", "show"},
    "top": VALUES | {"insight", "outputs", "show"},
    "show": VALUES | {"files", "insight", "outputs", "reading"},
    # A module for each command, which calls what it drives.
    "commands": VALUES | {"advice", "config", "log", "machine", "app"},
    "commands.reference": VALUES | {"config", "doctor", "ha", "machine", "markdown", "simulator"},
    "commands.doctor": VALUES | {"config", "doctor", "log"},
    "commands.ha": VALUES | {"config", "ha", "protocol", "machine"},
    "commands.ha_desk": VALUES | {"ha", "protocol"},
    "commands.ha_refused": VALUES | {"ha", "protocol"},
    "commands.ha_finish_stop": VALUES | {"ha", "machine"},
    "commands.ha_enable": VALUES | {"ha", "protocol"},
    "commands.ha_maintenance": VALUES | {"ha"},
    "commands.ha_off": VALUES | {"ha", "protocol"},
    "commands.record": VALUES | {"config", "session", "transport", "doctor", "machine", "masking"},
    "commands.simulate": VALUES | {"config", "fleet", "machine", "simulator"},
    "commands.check": VALUES | {"advice", "config", "reading", "check"},
    "commands.report": VALUES | {"config", "doctor", "masking", "reading", "report"},
    "commands.top": VALUES | {"config", "machine", "outputs", "reading", "top"},
    "commands.show": VALUES | {"config", "outputs", "reading", "show"},
    # Where a part meets its settings: it checks them and starts.
    "session.hosts": VALUES | {"config", "machine", "session"},
    "session.recorded": VALUES | {"config", "machine", "session"},
    "session.simulated": VALUES | {"config", "session", "simulator"},
    "fleet.start": VALUES | {"config", "fleet", "metrics", "outputs", "simulator"},
    "insight.start": VALUES | {"files", "config", "insight"},
    "outputs.web.start": VALUES | {"config", "machine", "metrics", "outputs"},
    "outputs.otlp.start": VALUES | {"config", "metrics", "outputs"},
    # The dry run's host is the simulator's: one model of vSphere HA, not two.
    "ha.dry_run": VALUES | {"ha", "protocol", "simulator"},
    "ha.start": VALUES | {"config", "ha", "machine", "metrics"},
    # Where the settings' tables become checks.
    "ha.check_types": VALUES | {"config", "ha"},
    # For programs: puts parts together, as app does.
    "api": VALUES
    | {
        "config",
        "session",
        "poller",
        "insight",
        "metrics",
        "outputs",
        "ha",
        "library",
        "protocol",
        "simulator",
    },
    "__main__": frozenset({"commands", "shortage"}),
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
    "ctypes": frozenset({"library", "machine"}),
    "prometheus_client": frozenset({"outputs"}),
    "opentelemetry": frozenset({"outputs"}),
    "grpc": frozenset({"outputs"}),
    "textual": frozenset({"top"}),
    "rich": frozenset({"top"}),
    "ssl": frozenset({"outputs", "doctor", "ha", "reading"}),
    "yaml": frozenset({"outputs"}),
    "tomllib": frozenset({"files"}),
    "asyncio": frozenset({"top"}),
}
"""Modules of others, and the parts of this package that may use them."""

NO_IO = frozenset(
    {"socket", "select", "time", "threading", "ctypes", "logging", "subprocess", "os", "asyncio"}
)
"""What :mod:`exporter.protocol` and :mod:`exporter.insight` may not know of."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and dotted name of everything imported, inside functions too; ``from a import b`` is ``a.b``.

    So is a module that a table names, for ``import_module``.
    """
    return tuple(_imports(path))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    tree = parsed(path)
    loggers = {
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger" and node.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)
        elif isinstance(node, ast.Constant) and node.value in DOTTED and node not in loggers:
            yield node.lineno, str(node.value)


def known_names() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name, _ in modules())


MODULES = list(modules())
DOTTED = frozenset(f"exporter.{name}" for name, _ in MODULES)


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


def test_insight_knows_of_no_io_and_no_http() -> None:
    """It is fed by the poller and read by every output: numbers in, meaning out, on the caller's clock."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {imported}"
        for name, path in MODULES
        if name.startswith("insight.") and name != "insight.start"
        for line, imported in imports(path)
        if imported.partition(".")[0] in NO_IO | {"http", "urllib", "json", "html", "wsgiref"}
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rules_know_no_module_that_is_gone() -> None:
    assert RULES.keys() - {"__init__"} <= known_names() | {name for name, _ in MODULES}


def test_these_tests_notice_an_import_inside_a_function(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from exporter.poller import Poller\n    import ctypes\n")
    assert list(imports(file)) == [(2, "exporter.poller.Poller"), (3, "ctypes")]


def test_these_tests_notice_a_module_in_a_table(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text('TABLE = {"a": "exporter.ha.start"}\nlog = logging.getLogger("exporter.app")\n')
    assert list(imports(file)) == [(1, "exporter.ha.start")]


PICTURE = ROOT.parent / "docs" / "architecture.md"

VOCABULARY = frozenset({"metrics.families", "outputs.web.application"})
"""Modules of a room that say in which form something is handed on; who hands it on may import them."""

OF_ITSELF = ("outputs.web", "metrics")
"""The web server hands on what it counts of itself. The push does too; either arrow would close a circle."""


Arrows = set[tuple[str, str]]


def picture() -> tuple[Arrows, Arrows, set[str]]:
    """Arrows that imports stand for, dotted arrows, and every room that the document names; rooms are dotted."""
    text = PICTURE.read_text(encoding="utf-8")
    ids = {
        key: label.replace("/", ".")
        for key, label in re.findall(r"^ +(\w+)\[([\w/]+)\]$", text, re.MULTILINE)
    }
    arrows = re.findall(r"^ +(\w+) (-->|-\.->) (\w+)$", text, re.MULTILINE)
    drawn: dict[str, Arrows] = {"-->": set(), "-.->": set()}
    for start, kind, end in arrows:
        drawn[kind].add((ids[start], ids[end]))
    named = {room.replace("/", ".") for room in re.findall(r"^\| `([\w/]+)` \|", text, re.MULTILINE)}
    assert set(ids.values()) == stream(), "rooms in the stream are those that are drawn"
    assert len(arrows) == len(re.findall(r"^ +\w+ -", text, re.MULTILINE)), "an arrow that this can't read"
    return drawn["-->"], drawn["-.->"], named


def stream() -> set[str]:
    """The rooms that data goes through, which are those that have a box in the picture."""
    _, _, rest = PICTURE.read_text(encoding="utf-8").partition("\n## The rooms in the stream\n")
    table = rest.partition("\n## ")[0]
    return {name.replace("/", ".") for name in re.findall(r"^\| `([\w/]+)` \|", table, re.MULTILINE)}


def room(name: str) -> str:
    """The room of a module: its first part, or two of them below ``outputs``."""
    parts = name.split(".")
    return ".".join(parts[: 2 if parts[0] == "outputs" else 1])


def downstream(arrows: Arrows) -> Arrows:
    """Every pair of which the second is reached from the first."""
    reached = set(arrows)
    while more := {(a, d) for a, b in reached for c, d in reached if b == c} - reached:
        reached |= more
    return reached


@cache
def room_imports() -> dict[tuple[str, str], list[str]]:
    """(importing room, imported room) -> where; without the places in which parts meet settings and each other."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, path in MODULES:
        if name in {"app", "session.hosts", "session.simulated"} or name.endswith(".start"):
            continue
        for line, imported in imports(path):
            target = imported.removeprefix("exporter.")
            if target == imported or any(f"{target}.".startswith(f"{word}.") for word in VOCABULARY):
                continue
            if room(name) != room(target):
                where = f"{path.relative_to(ROOT)}:{line}: {imported}"
                found.setdefault((room(name), room(target)), []).append(where)
    return found


def test_the_picture_goes_one_way() -> None:
    solid, dotted, _ = picture()
    assert solid
    assert not {(a, b) for a, b in downstream(solid | dotted) if a == b}


def test_every_arrow_of_the_picture_is_an_import() -> None:
    solid, dotted, _ = picture()
    found = {
        (room(imported.removeprefix("exporter.")), room(name))
        for name, path in MODULES
        for _, imported in imports(path)
        if imported.startswith("exporter.")
    }
    assert solid <= found, f"drawn, but no import: {solid - found}"
    through_app = {(a, b) for a, b in dotted if (b, a) in room_imports() or (a, b) in room_imports()}
    assert not through_app, f"drawn as joined by app.py, but one imports the other: {through_app}"


def test_every_import_follows_the_picture() -> None:
    solid, _, _ = picture()
    unexpected = unexplained(solid)
    assert not unexpected, "no arrow of docs/architecture.md stands for this:\n" + "\n".join(unexpected)


def unexplained(arrows: Arrows) -> list[str]:
    """Where a room of the stream imports another from which no arrow leads straight to it.

    To a room that it hands something on to, an arrow of either kind has to lead.
    """
    _, dotted, _ = picture()
    rooms = stream()
    found = []
    for name, path in MODULES:
        for line, imported in imports(path):
            target = imported.removeprefix("exporter.")
            user, used = room(name), room(target)
            if target == imported or user == used or not {user, used} <= rooms or (used, user) in arrows:
                continue
            hands_on = name.endswith(".start") or any(
                f"{target}.".startswith(f"{word}.") for word in VOCABULARY
            )
            if not hands_on or (user, used) not in arrows | dotted | {OF_ITSELF}:
                found.append(f"{path.relative_to(ROOT)}:{line}: {imported}")
    return found


def test_that_test_misses_each_arrow_that_is_not_there() -> None:
    solid, _, _ = picture()
    assert [arrow for arrow in solid if not unexplained(solid - {arrow})] == []


def test_the_picture_names_every_room() -> None:
    _, _, named = picture()
    rooms = {room(name) for name, _ in MODULES} - {"__init__", "__main__", "outputs.__init__"}
    assert {name.removesuffix(".__init__") for name in rooms} == named


WAITS_FOR_EVER = frozenset(
    {
        # Once, while the program starts.
        "log",
        "poller",
        "outputs.otlp.push",
        "outputs.web.server",
        "outputs.web.unix",
        # Of an export alone.
        "outputs.otlp.http_client",
        # Of commands, and of simulated hosts.
        "doctor.examine",
        "fleet.fleet",
        "fleet.push",
        "simulator.server",
        "transport.memory",
    }
)
"""Modules that start threads by ``threading``, which waits for ever for one that dies at its start: no heartbeat may depend on it."""


def test_whatever_a_heartbeat_depends_on_waits_for_no_thread_for_ever() -> None:
    found = {
        name for name, path in MODULES if re.search(r"threading\.(Thread|Timer)\(", path.read_text("utf-8"))
    }
    assert found == WAITS_FOR_EVER


PUBLIC_UNDERSCORES = frozenset({"_replace", "_asdict", "_fields", "_make", "_exit", "_thread"})
"""Documented for everybody's use: named tuples', :func:`os._exit`, and :mod:`_thread`."""

PRIVATE_STILL: frozenset[str] = frozenset()
"""Modules that use private names of other packages, until they are written anew."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC_UNDERSCORES


def own_names(trees: Iterator[ast.AST]) -> frozenset[str]:
    """Private names that this package binds itself, somewhere."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return frozenset(found)


ENDINGS = frozenset({"_total", "_timestamp", "_timestamp_seconds", "_hertz", "_seconds_total"})
"""Of the names of metrics, which no attribute has for a name."""


def is_of_others(node: ast.AST, others: set[str]) -> bool:
    """Whether a chain of attributes, calls and items begins with one of ``others``."""
    while not isinstance(node, ast.Name | ast.Attribute) or ast.unparse(node) not in others:
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Await):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return False
    return True


def bound(node: ast.AST) -> Iterator[tuple[ast.expr | ast.arg, ast.expr | None]]:
    """What ``node`` gives a name, and what to, or of which class it is."""
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((each, value) for each in targets)
        case ast.AnnAssign(target=target, annotation=kind, value=value):
            yield from ((target, value), (target, kind))
        case ast.NamedExpr(target=target, value=value):
            yield target, value
        case ast.withitem(optional_vars=ast.expr() as target, context_expr=value):
            yield target, value
        case ast.arg():
            yield node, node.annotation


def objects_of_others(tree: ast.AST, others: set[str]) -> set[str]:
    """Names and attributes that stand for ``others``, for what they give, or for what that gives."""
    while True:
        more = {
            target.arg if isinstance(target, ast.arg) else ast.unparse(target)
            for node in ast.walk(tree)
            for target, value in bound(node)
            if isinstance(target, ast.Name | ast.Attribute | ast.arg)
            if value is not None and is_of_others(value, others)
        }
        if more <= others:
            return others
        others = others | more


def names_private(text: str, own: frozenset[str]) -> bool:
    """Whether ``text`` may be given to ``getattr``, ``import_module`` and the like to reach a private name."""
    if not re.fullmatch(r"_?[a-z]\w*(\.\w+)*", text) or text.startswith("exporter.") or text in ENDINGS:
        return False
    parts = text.split(".")
    return any(map(is_private, parts)) and (len(parts) > 1 or text not in own)


def foreign_privates(tree: ast.AST, own: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Private names of others: imported, taken from a module or an object, by ``super()``, or written as text."""
    modules_of_others: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules_of_others |= {
                (name.asname or name.name).partition(".")[0]
                for name in node.names
                if not name.name.startswith("exporter")
            }
            dotted = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            dotted = [f"{node.module}.{name.name}" for name in node.names]
            if not (node.module or "").startswith("exporter"):
                modules_of_others |= {name.asname or name.name for name in node.names}
        else:
            continue
        for name in dotted:
            if not name.startswith("exporter.") and any(map(is_private, name.split("."))):
                yield node.lineno, name
    others = objects_of_others(tree, modules_of_others - {"Any"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own or is_of_others(node.value, others):
                yield node.lineno, ast.unparse(node)
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and names_private(node.value, own)
        ):
            yield node.lineno, ast.unparse(node)


def overridden_privates(name: str) -> Iterator[str]:
    """Private names in classes of a module that their base classes of other packages have too."""
    if name.startswith("machine.windows") and sys.platform != "win32":
        return  # Of another system.
    try:
        module = importlib.import_module(f"exporter.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"textual", "rich"}:
            return  # An extra, which not everybody who runs these tests has.
        raise
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls.__module__ != module.__name__:
            continue
        for base in cls.__mro__[1:]:
            package = base.__module__.partition(".")[0]
            if package != "exporter" and package not in sys.stdlib_module_names:
                both = privates_of(cls) & privates_of(base)
                yield from (f"{cls.__name__}: {word} is {package}'s" for word in both)


@cache
def privates_of(cls: type) -> set[str]:
    return {
        word
        for word in re.findall(r"(?:self\.|super\(\)\.|def )(_[a-z]\w*)", inspect.getsource(cls))
        if is_private(word)
    }


def test_no_private_name_of_another_package_is_used() -> None:
    trees = {name: parsed(path) for name, path in MODULES}
    own = own_names(iter(trees.values()))
    wrong = {
        name: [f"{name}:{line}: {used}" for line, used in foreign_privates(tree, own)]
        + [f"{name}: {used}" for used in overridden_privates(name) if not name.endswith("__main__")]
        for name, tree in trees.items()
        if not name.endswith("__main__")
    }
    unexpected = [line for name, lines in wrong.items() if name not in PRIVATE_STILL for line in lines]
    assert not unexpected, "\n".join(unexpected)
    gone = {name for name in PRIVATE_STILL if not wrong.get(name)}
    assert not gone, f"clean now, strike them out of PRIVATE_STILL: {gone}"


@pytest.mark.parametrize(
    "code",
    [
        "import _sha1",
        "from a._b import c",
        "from a.b import _c",
        "import a; a._b()",
        "import a.b as c; c.d._e",
        "x._theirs",
        "getattr(x, '_theirs')",
        "super()._theirs()",
        "from a import c; c._b",
        "import a as g; h = g; h._b",
        "from a import C as R; X = R()._b",
        "from a import C; i = h; h = C(); i._b",
        "from a import c; c(1).d[0]._b",
        "from a import C; h: C = f(); h._b",
        "from a import C\nwith C() as h: h._b",
        "from a import C\nif h := C(): h._b",
        "from a import C\ndef f(h: C): h._b",
        "from a import C; self.h = C(); self.h._b",
        "import_module('a._b')",
        "__import__('a._b')",
        "attrgetter('_theirs')",
        "vars(x)['_theirs']",
        "NAME = '_theirs'; getattr(x, NAME)",
        "self._theirs",
    ],
)
def test_that_test_notices(code: str) -> None:
    assert [*foreign_privates(ast.parse(code), frozenset({"_b", "_e"}))]


def test_that_test_lets_its_own_be() -> None:
    code = "from exporter import __version__\nimport os\nself._mine\nx._mine\nos._exit(0)\nt._replace(a=1)\nm = f()._mine\ndef g(h: Any): h._mine"
    assert not [*foreign_privates(ast.parse(code), frozenset({"_mine"}))]


def test_no_file_is_excused_for_imports_that_stand_at_its_top() -> None:
    """Of the excuses in pyproject.toml (ruff PLC0415) each is still needed."""
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    excused = settings["tool"]["ruff"]["lint"]["per-file-ignores"]
    for pattern, rules in excused.items():
        if "PLC0415" in rules:
            braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", pattern)
            start, choices, end = braces.groups() if braces else (pattern, "", "")
            for choice in choices.split(","):
                files = [
                    *ROOT.parent.glob(f"{start}{choice}{end}{'/*.py' if pattern.endswith('**') else ''}")
                ]
                assert any(map(has_inner_import, files)), f"strike {start}{choice}{end} out of pyproject.toml"


def has_inner_import(path: Path) -> bool:
    return any(
        isinstance(inner, ast.Import | ast.ImportFrom)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    )


CHAPTERS = frozenset({"Api", "Insight"})
"""Classes of ``config.settings`` that are named as their table of the settings file, and read by that name alone."""


def public_types(tree: ast.Module) -> Iterator[str]:
    """Classes, and other names for types, that a module shows to others."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
            yield name


def test_one_name_is_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for module, path in MODULES:
        for name in public_types(parsed(path)):
            if module != "config.settings" or name not in CHAPTERS:
                places.setdefault(name, []).append(module)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice, "\n".join(f"{name}: {', '.join(where)}" for name, where in twice.items())


def test_that_test_sees_classes_and_other_names_for_types() -> None:
    code = "class A1b: ...\nTable = dict[str, int]\nTOP = 1\n_Own = int\nclass _Mine: ...\nif x:\n    Y = 1"
    assert [*public_types(ast.parse(code))] == ["A1b", "Table"]


LONGEST = 300
"""Lines. A longer file has a second role in it: find it."""

TABLES = frozenset({"config.settings"})
"""Files that are a table and little else: as long as what they list."""

TOO_LONG_STILL = frozenset[str]()
"""Files that wait to be split."""


def test_no_file_is_longer_than_one_role_needs() -> None:
    long = {name for name, path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST}
    assert not long - TABLES - TOO_LONG_STILL, f"over {LONGEST} lines"
    gone = (TABLES | TOO_LONG_STILL) - long
    assert not gone, f"short now, or gone: strike them out of the list: {gone}"


NOT_IN_A_PLAIN_SERVE = (
    "opentelemetry",
    "grpc",
    "google.protobuf",
    "exporter.doctor",
    "exporter.ha",
    "exporter.outputs.otlp",
    "exporter.outputs.web.secured",
    "exporter.session.replay",
    "exporter.simulator",
    "statistics",
    "unicodedata",
)
"""A quarter to three quarters of a mebibyte each of the last seven; docs/decisions.md has the figures."""


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
    assert "prometheus_client" in loaded
    assert not set(loaded) & set(NOT_IN_A_PLAIN_SERVE)
