"""The standard ``OTEL_*`` variables, by the specification's rules for their types.

Source: OpenTelemetry specification ``configuration/sdk-environment-variables.md`` and ``common.md``. No module of
OpenTelemetry is imported. They are shared by every program of a machine: what makes no sense is ignored with a
warning, unless going on would send data to nowhere, in the clear or without its key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

log = logging.getLogger("exporter.otlp")


class NamedValue(NamedTuple):
    """A setting's text and what to call it in a message."""

    text: str
    where: str
    flag: bool = False


def by_flag(name: str, text: str | None) -> NamedValue | None:
    return None if text is None else NamedValue(text, f"--otlp.{name}", flag=True)


class Variables:
    """An empty variable is not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def raw(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def one(self, *names: str) -> NamedValue | None:
        return next((NamedValue(self.raw(name), name) for name in names if self.raw(name)), None)

    def otlp(self, last: str) -> NamedValue | None:
        """The variable for metrics alone, else the one for every signal."""
        return self.one(f"OTEL_EXPORTER_OTLP_METRICS_{last}", f"OTEL_EXPORTER_OTLP_{last}")

    def true(self, *names: str) -> bool | None:
        value = self.one(*names)
        if value is None:
            return None
        word = value.text.lower()
        if word not in {"true", "false"}:
            ignored(value, "expected true or false; taken as false")
        return word == "true"

    def seconds(self, *names: str, zero: float | None = None) -> float | None:
        """From whole milliseconds. ``zero`` is what 0 stands for; None where 0 makes no sense."""
        value = self.one(*names)
        if value is None:
            return None
        number = int(value.text) if re.fullmatch(r"\d{1,10}", value.text, re.ASCII) else -1
        if number > 0:
            return number / 1000
        if number < 0 or zero is None:
            ignored(value, "expected milliseconds, a whole number above 0; ignored")
            return None
        return zero


def ignored(value: NamedValue, what: str) -> None:
    # Bytes that are no UTF-8 are lone surrogates here, which not every log can hold.
    shown = value.text[:80].encode("utf-8", "backslashreplace").decode()
    log.warning("%s=%s: %s", value.where, shown, what)
