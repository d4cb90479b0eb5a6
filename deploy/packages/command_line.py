"""The manual page and the shells' completions, from the program's own parser.

    python -m deploy.packages.command_line build

writes ``build/man/vmguest-exporter.1`` and ``build/completions/…``, named as the shells look for them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import shtab

from exporter import __version__
from exporter.commands.parser import DESCRIPTION, PROGRAM, USAGE, whole
from exporter.config import OPTIONS
from exporter.config.values import Switch

COMPLETIONS = {"bash": PROGRAM, "zsh": f"_{PROGRAM}", "fish": f"{PROGRAM}.fish"}
"""Shell -> name of the file that it looks for."""


BASH = """\

# Bash takes --flag=value for three words, and what stands above reads two: the sign goes, and a switch with its value.
_vmguest_exporter() {
  local switches=" SWITCHES " word switch="" cursor=$COMP_CWORD at
  local -a words=()
  for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
    word="${COMP_WORDS[at]}"
    if [[ $at -eq 0 || "$word" != "=" ]]; then
      words+=("$word")
    elif [[ "$switches" == *" ${words[-1]} "* && $((at + 1)) -ge $COMP_CWORD ]]; then
      [[ $at -eq $COMP_CWORD ]] && word="" || word="${COMP_WORDS[COMP_CWORD]}"
      COMPREPLY=($(compgen -W "true false" -- "$word"))
      return
    elif [[ "$switches" == *" ${words[-1]} "* ]]; then
      let "at += 1" "cursor -= 2"
    elif [[ $at -eq $COMP_CWORD ]]; then
      words+=("")
    elif [[ $at -lt $COMP_CWORD ]]; then
      let "cursor -= 1" || :
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$cursor
  _shtab_vmguest_exporter "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
}

complete -o bashdefault -F _vmguest_exporter vmguest-exporter
"""


def _completion(shell: str) -> str:
    text = shtab.complete(whole(commands=True, files=shtab.FILE), shell)
    if shell == "bash":
        switches = " ".join(row.flag for row in OPTIONS if isinstance(row.kind, Switch))
        text += BASH.replace("SWITCHES", switches)
    if shell == "zsh":  # --flag=value as well as --flag value
        text = re.sub(r'^( +"\*?--[\w.-]+)(\[.*\]:)', r"\1=\2", text, flags=re.MULTILINE)
    return text


def manual() -> ArgumentParser:
    """For argparse-manpage."""
    return whole(commands=True)


def write(folder: Path) -> list[Path]:
    """Write everything below ``folder``; the files."""
    page = folder / "man" / f"{PROGRAM}.1"
    page.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            str(Path(sys.executable).with_name("argparse-manpage")),
            "--pyfile", __file__, "--function", "manual", "--prog", PROGRAM, "--project-name", PROGRAM,
            "--version", __version__, "--description", DESCRIPTION.rstrip("."), "--manual-title", "User Commands",
            "--format", "single-commands-section", "--output", str(page),
        ],
        check=True,
    )  # fmt: skip
    # argparse-manpage has the ways to call it in one line.
    ways = [way.strip().partition(" ")[2] for way in USAGE.splitlines()]
    synopsis = "\n.br\n".join(f".B {PROGRAM}\n{way}".replace("-", "\\-") for way in ways)
    text = re.sub(
        r"(?<=^\.SH SYNOPSIS\n).*?(?=^\.SH)",
        lambda _: f"{synopsis}\n",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    page.write_text(text, encoding="utf-8")
    written = [page]
    for shell, name in COMPLETIONS.items():
        file = folder / "completions" / shell / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_completion(shell), encoding="utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    print(*write(Path(sys.argv[1])), sep="\n")
