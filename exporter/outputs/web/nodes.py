"""YAML whose problems are told with their lines, all of them at once.

PyYAML is an optional dependency (extra ``web``), imported when there is a file to read.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from exporter.errors import ConfigError
from exporter.machine.extras import how_to_get

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|0")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Go's units (time.ParseDuration)."""


def compose(text: str, flag: str, path: str) -> Any:
    """The root node of ``text``, or None where it is empty.

    Raises:
        ConfigError: this is no YAML; or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        way = how_to_get("PyYAML>=6,<7", "apt-get install python3-yaml", "dnf install python3-pyyaml")
        raise ConfigError(f"{flag} needs PyYAML: {way}") from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{flag}={path}:{line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{flag}={path}: {error}") from error


_NULL = "tag:yaml.org,2002:null"
_INTEGER = "tag:yaml.org,2002:int"


class Nodes:
    """Reads composed nodes, which know their lines, and collects ``problems``. ``Any`` stands for PyYAML's nodes."""

    def __init__(self, flag: str, path: str) -> None:
        self.flag_name = flag
        self.path = path
        self.problems: list[str] = []

    @staticmethod
    def empty(node: Any) -> bool:
        """Absent, null in any of YAML's spellings, or nothing behind the colon."""
        return node is None or (node.id == "scalar" and (node.tag == _NULL or node.value == ""))

    def problem(self, node: Any, text: str) -> None:
        self.problems.append(f"{self.flag_name}={self.path}:{node.start_mark.line + 1}: {text}")

    def mapping(self, node: Any, where: str, known: Collection[str] | None = None) -> dict[str, Any]:
        """Key to node. Absent and empty are the same."""
        if self.empty(node):
            return {}
        if node.id != "mapping":
            self.problem(node, f"{where} must be a mapping of keys to values")
            return {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if key.id == "scalar" else None
            if name is None or (known is not None and name not in known):
                allowed = f"; {where} may hold: {', '.join(known)}" if known is not None else ""
                self.problem(
                    key, f"unknown key {name!r}{allowed}" if name is not None else "a key must be a word"
                )
            elif name in found:
                self.problem(key, f"{name} is given twice")
            else:
                found[name] = value
        return found

    def text(self, node: Any, allowed: Collection[str] | None = None) -> str:
        if self.empty(node):
            return ""
        if node.id != "scalar":
            self.problem(node, "expected a text here")
            return ""
        text = str(node.value)
        if text and allowed is not None and text not in allowed:
            self.problem(node, f"{text!r} is not known; use one of: {', '.join(allowed)}")
            return ""
        return text

    def texts(self, node: Any, allowed: Collection[str] | None) -> tuple[str, ...]:
        if self.empty(node):
            return ()
        if node.id != "sequence":
            self.problem(node, "expected a list here")
            return ()
        return tuple(text for text in (self.text(item, allowed) for item in node.value) if text)

    def flag(self, node: Any) -> bool:
        """YAML 1.1's words, as exporter-toolkit takes them. Absent is true: both flags of the format are on then."""
        if self.empty(node):
            return True
        word = str(node.value).lower() if node.id == "scalar" else ""
        if word not in ("true", "false", "yes", "no", "on", "off"):
            self.problem(node, "expected true or false")
        return word in ("true", "yes", "on")

    def duration(self, node: Any) -> float:
        """Seconds. A whole number without a unit counts nanoseconds, as Go has it."""
        if self.empty(node):
            return 0.0
        text = self.text(node)
        if node.tag == _INTEGER and text.isdecimal():
            return int(text) * _SECONDS["ns"]
        if not _DURATION.fullmatch(text):
            self.problem(node, "expected a duration such as 1s or 500ms")
        return sum(
            float(number) * _SECONDS[unit]
            for number, unit in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", text)
        )

    def count(self, node: Any) -> int:
        text = "0" if self.empty(node) else self.text(node)
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            self.problem(node, "expected a whole number")
            return 0
        return int(text)
