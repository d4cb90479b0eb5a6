"""``python -m dashboards``: compile the boards into the JSON files beside this one.

With ``--output FOLDER`` into files for grafana.com instead, which ask for the data source when they are imported.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dashboards import exporter_ha, fleet, one_vm
from dashboards.grafana import compiled, with_inputs

BOARDS = (one_vm.BOARD, fleet.BOARD, exporter_ha.BOARD)
FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile the boards.")
    parser.add_argument("--output", type=Path, help="a folder for files as grafana.com wants them")
    folder = parser.parse_args().output
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        text = compiled(board)
        if folder is not None:
            text = json.dumps(with_inputs(json.loads(text)), indent=2, sort_keys=True) + "\n"
        path = (folder or FOLDER) / f"{board.uid}.json"
        path.write_text(text, encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
