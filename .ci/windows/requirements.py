"""Print what the exporter needs, and its extra ``web``: the lines of pyproject.toml."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*project["dependencies"], *project["optional-dependencies"]["web"], sep="\n")
