"""A report as Markdown, for a ticket that takes no file; charts become a line of blocks."""

from __future__ import annotations

from exporter.markdown import table
from exporter.report.content import WORDS, largest, shown
from exporter.report.model import Block, Chart, Report, Table, Text

BLOCKS = "▁▂▃▄▅▆▇█"
COLUMNS = 60


def write(report: Report) -> str:
    lines = [f"# {report.title}", "", *(f"- {name}: {value}" for name, value in report.facts), ""]
    lines += [_block(report.summary)]
    for section in report.sections:
        lines += [f"## {section.title}", "", *map(_block, section.blocks)]
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f"{f'**{WORDS[block.level].capitalize()}.** ' if block.level else ''}{block.words}\n"
    if isinstance(block, Table):
        return table(block.head, block.rows)
    most = max(value for value in block.values if value is not None)
    return f"- {block.title} (the most: {shown(block, most)}): `{spark(block)}`\n"


def spark(chart: Chart) -> str:
    """The largest value of each piece of time as a block; a space where nothing is known."""
    begin, top = min(chart.times), largest(chart)
    pieces: list[float | None] = [None] * COLUMNS
    for at, value in zip(chart.times, chart.values, strict=True):
        if value is not None:
            piece = min(int((at - begin) / (-begin or 1.0) * COLUMNS), COLUMNS - 1)
            pieces[piece] = max(value, pieces[piece] or 0.0)
    return "".join(
        " " if value is None else BLOCKS[min(int(value / top * len(BLOCKS)), len(BLOCKS) - 1)]
        for value in pieces
    )
