"""Tables of the documentation: the one place that knows how Markdown writes them."""

from __future__ import annotations

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of GitHub Flavored Markdown, with its final newline; a pipe in a cell stays a pipe."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"

    head = [*head]
    return line(head) + line("---" for _ in head) + "".join(line(row) for row in rows)


def code(text: str) -> str:
    """``text`` as code; nothing where there is none."""
    return f"`{text}`" if text else ""
