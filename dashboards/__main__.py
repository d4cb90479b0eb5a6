"""``python -m dashboards``: compile the boards into the JSON files beside this one."""

from __future__ import annotations

from pathlib import Path

from dashboards import exporter_ha, fleet, one_vm
from dashboards.grafana import compiled

BOARDS = (one_vm.BOARD, fleet.BOARD, exporter_ha.BOARD)
FOLDER = Path(__file__).parent


def main() -> None:
    for board in BOARDS:
        path = FOLDER / f"{board.uid}.json"
        path.write_text(compiled(board), encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
