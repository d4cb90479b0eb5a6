"""Write the role's list of settings: ``vmguest-exporter --help``'s names, and the variable of each.

python deploy/ansible/generate.py
"""

from __future__ import annotations

from pathlib import Path

from exporter.config import OPTIONS

FILE = Path(__file__).parent / "roles" / "vmguest_exporter" / "vars" / "main.yml"


def made() -> str:
    lines = [
        "---",
        "# Made by deploy/ansible/generate.py: names of settings, and their variables.",
        "vmguest_exporter_variables:",
    ]
    lines += [f"  {option.word}: {option.variable}" for option in OPTIONS]
    # The settings file says extended.enabled where the command line says --extended; both are understood.
    lines += [f"  {option.name}: {option.variable}" for option in OPTIONS if option.name != option.word]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
