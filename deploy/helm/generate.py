"""What follows from the chart's values.yaml and its comments: the table in README.md, and values.schema.json.

A comment above a key describes it; a key whose default is a mapping without comments inside is free in form.

    python deploy/helm/generate.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from exporter.config import OPTIONS
from exporter.config.values import Choice, Duration, Switch

CHART = Path(__file__).parent / "vmguest-exporter"
START, END = "<!-- values -->\n", "<!-- /values -->\n"

OWN_LABELS = (
    *("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/version"),
    *("app.kubernetes.io/managed-by", "helm.sh/chart"),
)
"""Labels of the chart: what the pods are selected by has to stay."""

TEXTS = {"additionalProperties": {"type": "string"}}
"""Kubernetes takes no number or switch as a label, an annotation or a selector: ``prometheus.io/scrape: true`` needs quotes."""


def entries(*needed: str, optional: str = "") -> dict[str, Any]:
    """Of a list: mappings with these keys and no other. ``optional`` are theirs, too, in one text."""
    return {
        "items": {
            "type": "object",
            "required": [*needed],
            "properties": {key: {} for key in (*needed, *optional.split())},
            "additionalProperties": False,
        }
    }


def setting(kind: object) -> dict[str, Any]:
    """What can be seen to be wrong before a pod restarts for ever."""
    if isinstance(kind, Choice):
        return {"enum": [*kind.words]}
    if isinstance(kind, Duration):
        return {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"}
    if isinstance(kind, Switch):
        return {"enum": [True, False, "true", "false", "on", "off", "yes", "no"]}
    return {"type": ["string", "number", "boolean"]}


NARROWER: dict[str, dict[str, Any]] = {
    "image.repository": {"minLength": 1},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    # A DNS label, of which the chart's longest suffix leaves so much.
    "fullnameOverride": {"pattern": "^([a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?)?$"},
    "updateStrategy": {
        "properties": {"type": {"enum": ["RollingUpdate", "OnDelete"]}, "rollingUpdate": {}},
        "additionalProperties": False,
    },
    "imagePullSecrets": {
        "items": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            ]
        }
    },
    "settings": {
        "additionalProperties": False,
        "properties": {
            option.word: {"description": option.help, **setting(option.kind)} for option in OPTIONS
        },
    },
    **{
        name: {"propertyNames": {"not": {"enum": [*OWN_LABELS]}}, **TEXTS}
        for name in ("podLabels", "extraLabels")
    },
    **dict.fromkeys(("podAnnotations", "nodeSelector", "dashboards.annotations"), TEXTS),
    **{f"{name}.labels": TEXTS for name in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards")},
    # It is made of seccomp.
    "podSecurityContext": {"propertyNames": {"not": {"enum": ["seccompProfile"]}}},
    "extraEnv": entries("name", optional="value valueFrom"),
    "extraEnvFrom": entries(optional="configMapRef secretRef prefix"),
    "tolerations": entries(optional="key operator value effect tolerationSeconds"),
    "resources": {"properties": {"limits": {}, "requests": {}, "claims": {}}, "additionalProperties": False},
    "extraArgs": {"items": {"type": "string"}},
    "extraVolumes": {"items": {"type": "object", "required": ["name"]}},
    "extraVolumeMounts": entries(
        *("name", "mountPath"),
        optional="subPath subPathExpr readOnly recursiveReadOnly mountPropagation",
    ),
    "extraConfigMaps": {
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}}
    },
    "port": {"minimum": 1, "maximum": 65535},
    "seccomp.type": {"enum": ["RuntimeDefault", "Localhost", "Unconfined"]},
    **{
        f"{monitor}.{key}": rule
        for monitor in ("podMonitor", "serviceMonitor")
        for key, rule in {
            "interval": {"pattern": "^[0-9]+(ms|s|m)$"},
            "scrapeTimeout": {"pattern": "^([0-9]+(ms|s|m))?$"},
            "scheme": {"enum": ["http", "https"]},
        }.items()
    },
    "prometheusRule.runbookUrl": {"pattern": "^(https?://.*)?$"},
}
"""What values have to be beyond the type of their default."""

TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


def comments() -> dict[str, str]:
    """Dotted name -> the comment right above it."""
    found: dict[str, str] = {}
    above, path = "", [""]
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if comment := re.match(r" *# (.*)", line):
            above = comment[1]
        elif key := re.match(r"((?:  )*)([A-Za-z]\w*):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if above:
                found[".".join(path)] = above
            above = ""
        elif not line:
            above = ""
    return found


def leaves(values: dict[str, Any], about: dict[str, str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is described, with its default."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in about:
            yield name, value
        else:
            yield from leaves(value, about, f"{name}.")


def table(values: dict[str, Any], about: dict[str, str]) -> str:
    rows = [f"| `{name}` | `{json.dumps(value)}` | {about[name]} |" for name, value in leaves(values, about)]
    return "\n".join(["| Value | Default | Meaning |", "|---|---|---|", *rows]) + "\n"


def schema(values: dict[str, Any], about: dict[str, str], prefix: str = "") -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in about:
            properties[key] = {
                "description": about[name],
                "type": TYPES[type(value)],
                **NARROWER.get(name, {}),
            }
        else:
            properties[key] = schema(value, about, f"{name}.")
    return {"type": "object", "additionalProperties": False, "properties": properties}


def made() -> dict[Path, str]:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    about = comments()
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", **schema(values, about)}
    whole["properties"]["global"] = {"description": "Of a parent chart; not used.", "type": "object"}
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return {
        CHART / "README.md": before + START + table(values, about) + END + after,
        CHART / "values.schema.json": json.dumps(whole, indent=2) + "\n",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail where something would change"
    )
    check = parser.parse_args().check
    for path, text in made().items():
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            sys.exit(f"{path} is out of date: make chart")
        if not check:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
