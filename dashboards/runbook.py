"""The parts of the alerts that are made and not written: PromQL to paste in the runbook, and the runbook's address.

python -m dashboards.runbook [--check]                          the blocks of RUNBOOK.md
python -m dashboards.runbook --url https://wiki.example/ --output build/rules
the rules, with links that lead there
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "prometheus"
RUNBOOK = FOLDER / "RUNBOOK.md"
_BLOCK = re.compile(r"\n```promql\n.*?\n```\n", re.DOTALL)


def rules() -> dict[str, list[dict[str, Any]]]:
    """Alert -> its rules, in the order of the files."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((FOLDER / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], []).append(rule)
    return found


def with_queries(text: str) -> str:
    """The runbook's text with what each alert asks, ready to paste, below each heading's first paragraph."""
    start, *sections = re.split(r"(?m)^(?=## )", text)
    alerts = rules()
    return start + "".join(_with_query(section, alerts) for section in sections)


def _with_query(section: str, alerts: dict[str, list[dict[str, Any]]]) -> str:
    name = section.splitlines()[0].removeprefix("## ")
    section = _BLOCK.sub("", section)
    if name not in alerts:
        return section
    # One query a block: two in one do not parse when pasted.
    block = "".join(
        f"\n```promql\n# {rule['labels']['severity']}\n{rule['expr'].strip()}\n```\n" for rule in alerts[name]
    )
    heading, first, rest = re.split(r"\n\n", section.rstrip("\n") + "\n\n", maxsplit=2)
    return f"{heading}\n\n{first.rstrip()}\n{block}\n{rest.strip()}".rstrip() + "\n\n"


def linked(text: str, url: str) -> str:
    """Rules whose ``runbook_url`` leads to ``url``, the folder of RUNBOOK.md."""
    return text.replace("runbook_url: RUNBOOK.md", f"runbook_url: {url.rstrip('/')}/RUNBOOK.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail where something would change"
    )
    parser.add_argument("--url", help="address of the folder in which RUNBOOK.md can be read")
    parser.add_argument("--output", type=Path, default=Path("build/rules"), help="where rules with --url go")
    given = parser.parse_args()
    if given.url:
        given.output.mkdir(parents=True, exist_ok=True)
        for path in sorted((FOLDER / "rules").glob("*.yml")):
            text = linked(path.read_text(encoding="utf-8"), given.url)
            (given.output / path.name).write_text(text, encoding="utf-8")
        return
    text = RUNBOOK.read_text(encoding="utf-8")
    made = with_queries(text).rstrip("\n") + "\n"
    if given.check:
        if made != text:
            sys.exit("deploy/prometheus/RUNBOOK.md is out of date: make dashboards")
        return
    RUNBOOK.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
