"""A report as one HTML file: no script, nothing that is loaded from anywhere, made for A4 too."""

from __future__ import annotations

from html import escape

from exporter.insight.words import span
from exporter.report.content import WORDS, largest, shown
from exporter.report.model import Block, Chart, Report, Section, Table, Text

WIDTH, HEIGHT = 700, 110
"""Of a chart, in the units of its own coordinates."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 1.8rem 0 .5rem; border-bottom: 1px solid #c9ced6; }
h3 { font-size: 1rem; margin: .8rem 0 .1rem; } p { margin: .4rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 1rem; } dt { color: #57606a; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; } th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #e3e6ea; overflow-wrap: anywhere; }
.level { border-left: 4px solid #8b949e; padding: .3rem .7rem; background: #f6f8fa; }
.ok { border-color: #1a7f37; } .info { border-color: #0969da; } .warning { border-color: #bf8700; } .critical { border-color: #cf222e; }
.word { font-weight: 600; } .summary { font-size: 1.05rem; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: #57606a; }
.line { fill: none; stroke: #0969da; stroke-width: 1.5; } .axis { stroke: #d0d7de; stroke-width: 1; }
footer { margin-top: 2rem; color: #57606a; font-size: .85rem; }
@page { size: A4; margin: 15mm; }
@media print { body { font-size: 10.5pt; max-width: none; margin: 0; padding: 0; } h2, h3 { break-after: avoid; } tr, figure, .level { break-inside: avoid; } }
figure { margin: 0 0 .6rem; } figcaption { color: #57606a; font-size: .85rem; }
"""


def write(report: Report) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.facts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing may be loaded, whatever stands in it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(report.title)}</h1>\n<dl>{facts}</dl>\n"
        f'<div class="summary">{_text(report.summary)}</div>\n'
        + "".join(map(_section, report.sections))
        + "<footer>Thresholds and their sources: docs/insight.md of vmguest-exporter.</footer>\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{''.join(map(_block, section.blocks))}</section>\n"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return _text(block)
    return _table(block) if isinstance(block, Table) else chart(block)


def _text(text: Text) -> str:
    if not text.level:
        return f"<p>{escape(text.words)}</p>\n"
    word = f'<span class="word">{WORDS[text.level].capitalize()}.</span>'
    return f'<p class="level {text.level}">{word} {escape(text.words)}</p>\n'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def chart(found: Chart) -> str:
    """A line for each stretch of values without a gap; a value alone is a dot."""
    begin, top = min(found.times), largest(found)
    length = -begin or 1.0

    def place(at: float, value: float) -> str:
        return f"{(at - begin) / length * WIDTH:.1f},{HEIGHT - value / top * HEIGHT:.1f}"

    lines = "".join(
        f'<polyline class="line" points="{" ".join(place(*each) for each in stretch)}"/>'
        if len(stretch) > 1
        else '<circle r="1.5" fill="#0969da" cx="{}" cy="{}"/>'.format(*place(*stretch[0]).split(","))
        for stretch in stretches(found)
    )
    label = escape(f"{found.title}, the last {span(length)}; the most is {shown(found, max(_known(found)))}")
    return (
        f'<figure><h3>{escape(found.title)}</h3><svg viewBox="0 -14 {WIDTH} {HEIGHT + 32}" role="img" aria-label="{label}">'
        f'<line class="axis" x1="0" y1="0" x2="{WIDTH}" y2="0"/><line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>'
        f'<text x="0" y="-3">{escape(shown(found, top))}</text><text x="0" y="{HEIGHT + 14}">{escape(span(length))} ago</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">now</text>{lines}</svg>'
        f"<figcaption>{escape(found.text)}</figcaption></figure>\n"
    )


def stretches(found: Chart) -> list[list[tuple[float, float]]]:
    """Values between which no more than the chart's gap lies."""
    all_of_them: list[list[tuple[float, float]]] = []
    for at, value in zip(found.times, found.values, strict=True):
        if value is None:
            continue
        if all_of_them and at - all_of_them[-1][-1][0] <= found.gap:
            all_of_them[-1].append((at, value))
        else:
            all_of_them.append([(at, value)])
    return all_of_them


def _known(found: Chart) -> list[float]:
    return [value for value in found.values if value is not None]
