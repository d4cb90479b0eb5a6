"""Headers of each export, and attributes of the resource: lists of NAME=VALUE.

Sources: OpenTelemetry specification ``protocol/exporter.md``, "Specifying headers via environment variables";
``resource/sdk.md``, "Specifying resource information via an environment variable".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.variables import Variables, ignored, log

_OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "keep-alive",
    }
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""What the client says itself, or what would say something else about the body than is true."""


def headers(
    given: Iterable[tuple[str, str]], variables: Variables, protocol: str, problems: list[str]
) -> Mapping[str, str]:
    """Settings win over variables name by name. Messages never show a value: it is usually a secret."""
    found: dict[str, str] = {}

    def take(where: str, name: str, text: str) -> None:
        name, text = name.strip().lower(), text.strip()
        if problem := wrong(name, text, protocol):
            problems.append(f"{where}: {problem}")
        else:
            found[name] = text

    if (value := variables.otlp("HEADERS")) is not None:
        for part in filter(None, map(str.strip, value.text.split(","))):
            name, equals, text = part.partition("=")
            if not equals:
                problems.append(f"{value.where}: expected NAME=VALUE, separated by commas; one has no =")
                continue
            if malformed(name) or malformed(text):
                log.warning(
                    "%s: a %% without two hexadecimal digits after it is taken literally", value.where
                )
            take(value.where, unquote(name), unquote(text))
    for name, text in given:
        take("--otlp.headers", name, text)
    return found


def wrong(name: str, text: str, protocol: str) -> str:
    """Why an export with this header would fail or be misunderstood; empty where it would not."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name):
        return "a name is no HTTP header name"
    if name in _OURS:
        return f"the header {name} can't be set: it belongs to the protocol"
    if not re.fullmatch(r"[\x20-\x7e\t]*", text):
        return f"the value of {name} holds characters that no header may hold"
    if protocol == GRPC:
        # grpc/grpc: doc/PROTOCOL-HTTP2.md, Custom-Metadata.
        if not re.fullmatch(r"[0-9a-z_.-]+", name) or name.startswith("grpc-") or name == "host":
            return f"the header {name} can't be sent over gRPC"
        if name.endswith("-bin"):
            return f"the header {name} can't be sent over gRPC: a name that ends in -bin is for bytes"
        if "\t" in text:
            return f"the value of {name} holds characters that no header may hold"
    return ""


def malformed(text: str) -> bool:
    """Whether percent-encoding is broken."""
    return re.search(r"%(?![0-9A-Fa-f]{2})", text) is not None


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
            try:
                found[decoded(name)] = decoded(text)
            except ValueError:
                ignored(value, "expected percent-encoded UTF-8; ignored as a whole")
                found.clear()
                break
    if (value := variables.one("OTEL_SERVICE_NAME")) is not None:
        if is_utf8(value.text):
            found["service.name"] = value.text
        else:
            ignored(value, "expected UTF-8; ignored")
    return found


def decoded(text: str) -> str:
    """Without percent-encoding.

    Raises:
        ValueError: it is broken, or what comes out is not UTF-8.
    """
    if malformed(text) or not is_utf8(text):
        raise ValueError(text)
    return unquote(text.strip(), errors="strict")


def is_utf8(text: str) -> bool:
    """Whether the environment's bytes were: Python keeps others as lone surrogates."""
    return not any(0xD800 <= ord(mark) < 0xE000 for mark in text)
