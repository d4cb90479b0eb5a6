"""Headers of each export, and attributes of the resource: lists of NAME=VALUE.

Sources: OpenTelemetry specification ``protocol/exporter.md``, "Specifying headers via environment variables";
``resource/sdk.md``, "Specifying resource information via an environment variable".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from exporter.outputs.otlp.variables import Variables, ignored


def headers(given: Iterable[tuple[str, str]], variables: Variables, problems: list[str]) -> Mapping[str, str]:
    """Settings win over variables name by name. Messages never show a value: it is usually a secret."""
    found: dict[str, str] = {}
    if (value := variables.otlp("HEADERS")) is not None:
        for part in filter(None, map(str.strip, value.text.split(","))):
            name, equals, text = part.partition("=")
            name, text = unquote(name).strip().lower(), unquote(text).strip()
            if not equals:
                problems.append(f"{value.where}: expected NAME=VALUE, separated by commas; one has no =")
            elif not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name):
                problems.append(f"{value.where}: a name is no HTTP header name")
            elif not re.fullmatch(r"[\x20-\x7e\t]*", text):
                problems.append(
                    f"{value.where}: the value of {name} holds characters that no header may hold"
                )
            else:
                found[name] = text
    return {**found, **{name.lower(): text for name, text in given}}


def attributes(variables: Variables) -> Mapping[str, str]:
    """``OTEL_RESOURCE_ATTRIBUTES``, of which the specification wants all or nothing, and ``OTEL_SERVICE_NAME``."""
    found: dict[str, str] = {}
    if (value := variables.one("OTEL_RESOURCE_ATTRIBUTES")) is not None:
        for part in filter(None, map(str.strip, value.text.split(","))):
            name, equals, text = part.partition("=")
            if not equals or not name.strip():
                ignored(value, "expected NAME=VALUE, separated by commas; ignored as a whole")
                found.clear()
                break
            found[unquote(name.strip())] = unquote(text.strip())
    if name := variables.raw("OTEL_SERVICE_NAME"):
        found["service.name"] = name
    return found
