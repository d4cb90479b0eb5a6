"""Print the lowest version of each dependency that pyproject.toml admits, as constraints for pip.

``>=3.0.1,<4`` gives ``==3.0.1``. A dependency without a lower bound is an error: nobody would know what works.

    python .ci/lowest.py >constraints.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lowest(requirement: Requirement) -> str:
    bounds = [each.version for each in requirement.specifier if each.operator in {">=", "=="}]
    if len(bounds) != 1:
        sys.exit(f"pyproject.toml: {requirement}: write one lower bound, as in {requirement.name}>=1.2,<2")
    return f"{requirement.name}=={bounds[0]}"


def main() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"]["web"]):
        print(lowest(Requirement(line)))


if __name__ == "__main__":
    main()
