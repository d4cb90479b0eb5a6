"""A board as a picture: every panel drawn from its own queries, against a Prometheus that has the data.

Grafana can't be had everywhere; what a panel would show can. It reads the compiled JSON, as Grafana does, and follows it in
what a reader sees: place, title, legend, unit, thresholds, mappings, stacking, the words for no data.

    python -m dashboards.sheets http://localhost:9090 [--set instance=vm1] [--hours 1] [--output sheets]
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

FOLDER = Path(__file__).parent
COLUMNS, CELL = 24, 0.42
"""Of Grafana's grid; inches that one row of it is high."""
COLOURS = {
    "green": "#56A64B",
    "orange": "#FF780A",
    "red": "#E02F44",
    "blue": "#3274D9",
    "text": "#808080",
    "purple": "#A352CC",
}
POINTS = 240


@dataclass(frozen=True)
class Range:
    """What is shown, in seconds; ``step`` is how often the server scrapes."""

    end: float
    length: float
    step: float

    def variables(self) -> dict[str, str]:
        return {
            "__rate_interval": f"{max(4 * self.step, 4):g}s",
            "__range": f"{self.length:g}s",
            "scraped_every": f"{self.step:g}s",
        }


class Server:
    """The HTTP API of a Prometheus."""

    def __init__(self, url: str, shown: Range, variables: Mapping[str, str]) -> None:
        self._url, self.shown = url.rstrip("/"), shown
        self._variables = {**shown.variables(), **variables}

    def substituted(self, expr: str) -> str:
        for name in sorted(self._variables, key=len, reverse=True):
            expr = expr.replace(f"${name}", self._variables[name])
        return expr

    def instant(self, expr: str) -> list[dict[str, Any]]:
        return self._ask("query", query=self.substituted(expr), time=str(self.shown.end))

    def over_time(self, expr: str) -> list[dict[str, Any]]:
        shown = self.shown
        step = max(shown.step, shown.length / POINTS)
        return self._ask(
            "query_range",
            query=self.substituted(expr),
            start=str(shown.end - shown.length),
            end=str(shown.end),
            step=str(step),
        )

    def _ask(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  the operator names it
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    if pattern == "__auto":
        return ", ".join(f"{name}={text}" for name, text in labels.items() if name != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), pattern).strip()


def spelt(value: float, unit: str) -> str:
    """A number as Grafana writes it in ``unit``."""
    if math.isinf(value) or math.isnan(value):
        return "∞" if value > 0 else str(value)
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in {"bytes", "binBps"}:
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB")) + ("/s" if unit == "binBps" else "")
    if unit == "hertz":
        return _scaled(value, 1000, ("Hz", "kHz", "MHz", "GHz", "THz"))
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.4g} s"
    if unit == "dateTimeFromNow":
        return f"{(time.time() - value / 1000) / 60:.3g} minutes ago"
    suffix = {"iops": " io/s", "pps": " p/s"}.get(unit, "")
    return f"{value:.4g}{suffix}"


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    power = 0 if not value else min(int(math.log(abs(value), base)) if abs(value) >= 1 else 0, len(units) - 1)
    return f"{value / base**power:.3g} {units[power]}"


def colour_of(panel: Mapping[str, Any], value: float) -> str:
    """By mapping, else by threshold."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", ()):
        if found := mapping["options"].get(f"{value:g}"):
            return str(COLOURS[found["color"]])
    colour = "text"
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return COLOURS[colour]


def said(panel: Mapping[str, Any], value: float) -> str:
    """The words that a mapping has for ``value``, else the number."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", ()):
        if found := mapping["options"].get(f"{value:g}"):
            return str(found["text"])
    return spelt(value, defaults["unit"])


def draw(board: Mapping[str, Any], server: Server) -> tuple[Figure, dict[str, int]]:
    """The picture, and how many series each panel shows."""
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    # Two cells more, for the title.
    height = 1 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    figure = Figure(figsize=(18, height * CELL + 0.6))
    figure.suptitle(board["title"], x=0.01, ha="left", fontsize=14, y=1 - 0.15 / (height * CELL + 0.6))
    drawn = {}
    for row in (panel for panel in board["panels"] if panel["type"] == "row"):
        figure.text(
            0.01, 1 - (row["gridPos"]["y"] + 2) / (height + 1), row["title"], fontsize=11, weight="bold"
        )
    for panel in panels:
        place = panel["gridPos"]
        # Names to the left of bars and states; a legend below lines.
        left = 2.3 if panel["type"] in {"bargauge", "state-timeline"} else 0.9
        below = 0.9 if panel["type"] == "timeseries" else 0.3
        axes = figure.add_axes(
            (
                (place["x"] + left) / COLUMNS,
                1 - (place["y"] + place["h"] + 1.1 - below) / (height + 1),
                (place["w"] - left - 0.4) / COLUMNS,
                (place["h"] - 2.1 - below) / (height + 1),
            )
        )
        axes.set_title(panel["title"], fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        drawn[panel["title"]] = _DRAW[panel["type"]](axes, panel, server)
        if not drawn[panel["title"]]:
            axes.clear()
            axes.set_title(panel["title"], fontsize=9, loc="left")
            axes.set_axis_off()
            axes.text(
                0.5,
                0.5,
                panel["fieldConfig"]["defaults"]["noValue"],
                ha="center",
                va="center",
                fontsize=8,
                wrap=True,
            )
    return figure, drawn


def _minutes(value: float, _place: float) -> str:
    if value == 0:
        return "now"
    return f"{value:g} min" if value % 0.5 == 0 else f"{value * 60:g} s"


class _Binary(MaxNLocator):
    """Marks at round numbers of KiB, MiB or GiB."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        top = max(abs(vmin), abs(vmax), 1)
        unit = 1024.0 ** int(math.log(top, 1024))
        found: Sequence[float] = super().tick_values(vmin / unit, vmax / unit)
        return [each * unit for each in found]


def _lines(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults.get("custom", {}).get("stacking", {}).get("mode") == "normal"
    apart = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    series = [
        (
            legend(target["legendFormat"], row["metric"]),
            {float(at): float(value) for at, value in row["values"]},
        )
        for target in panel["targets"]
        for row in server.over_time(target["expr"])
    ]
    times = sorted({at for _, values in series for at in values})
    clock = [(at - server.shown.end) / 60 for at in times]
    base = [0.0] * len(times)
    for name, values in series:
        heights = [values.get(at, math.nan) for at in times]
        if stacked and name not in apart:
            top = [low + (0 if math.isnan(high) else high) for low, high in zip(base, heights, strict=True)]
            axes.fill_between(clock, base, top, alpha=0.5, label=name, linewidth=0)
            base = top
        else:
            axes.plot(clock, heights, label=name, linewidth=1.2, linestyle="--" if name in apart else "-")
    axes.yaxis.set_major_formatter(lambda value, _place: spelt(value, defaults["unit"]))
    if defaults["unit"] in {"bytes", "binBps"}:
        axes.yaxis.set_major_locator(_Binary(nbins=5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(_minutes)
    axes.set_ylim(bottom=defaults.get("min"), top=defaults.get("max"))
    axes.grid(alpha=0.2)
    if series:
        # Grafana scrolls; a picture shows the first.
        handles, names = axes.get_legend_handles_labels()
        across = 3 if panel["gridPos"]["w"] < COLUMNS / 2 else 5
        most = 2 * across
        axes.legend(
            handles[:most],
            names[:most],
            fontsize=6,
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.11),
            ncols=across,
            frameon=False,
            borderaxespad=0,
        )
    return len(series)


def _rows(panel: Mapping[str, Any], server: Server) -> list[tuple[str, float, Mapping[str, str]]]:
    return [
        (legend(target["legendFormat"], row["metric"]), float(row["value"][1]), row["metric"])
        for target in panel["targets"]
        for row in server.instant(target["expr"])
    ]


def _number(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    rows = _rows(panel, server)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    high = 1 / max(min(len(rows), 6), 1)
    for place, (name, value, _) in enumerate(rows[:6]):
        coloured = panel["options"].get("colorMode") == "background"
        bottom = 1 - (place + 1) * high
        if coloured:
            axes.add_patch(Rectangle((0, bottom), 1, high * 0.95, color=colour_of(panel, value), linewidth=0))
        axes.text(
            0.5,
            bottom + high / 2,
            said(panel, value) if len(rows) == 1 else f"{name}: {said(panel, value)}",
            ha="center",
            va="center",
            fontsize=14 if len(rows) == 1 else 8,
            color="white" if coloured else "black",
            wrap=True,
        )
    return len(rows)


def _bars(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    rows = sorted(_rows(panel, server), key=lambda row: row[1])
    for place, (_, value, _) in enumerate(rows):
        axes.barh(place, value, color=colour_of(panel, value))
        axes.text(value, place, f" {said(panel, value)}", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=7)
    axes.set_xticks([])
    return len(rows)


def _table(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    organize = next(each for each in panel["transformations"] if each["id"] == "organize")["options"]
    hidden = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if any(item["id"] == "custom.hidden" for item in override["properties"])
    }
    order = sorted(organize["indexByName"], key=organize["indexByName"].__getitem__)
    heads = {
        name: organize["renameByName"][name] for name in order if organize["renameByName"][name] not in hidden
    }
    several = len(panel["targets"]) > 1
    merged: dict[str, dict[str, str]] = {}
    for target in panel["targets"]:
        column = f"Value #{target['refId']}" if several else "Value"
        for row in server.instant(target["expr"]):
            labels = row["metric"]
            key = labels.get("instance", json.dumps(labels, sort_keys=True))
            cells = merged.setdefault(key, {})
            cells |= {name: text for name, text in labels.items() if name in heads}
            if column in heads:
                cells[column] = spelt(float(row["value"][1]), _unit(panel, heads[column]))
    axes.set_axis_off()
    lines = [[each.get(name, "") for name in heads] for each in list(merged.values())[:12]]
    if lines:
        table = axes.table(lines, colLabels=list(heads.values()), loc="upper center", cellLoc="left")
        table.auto_set_font_size(False)
        table.set_fontsize(7)
    return len(merged)


def _unit(panel: Mapping[str, Any], heading: str) -> str:
    for override in panel["fieldConfig"]["overrides"]:
        for item in override["properties"]:
            if override["matcher"]["options"] == heading and item["id"] == "unit":
                return str(item["value"])
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _states(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    names: list[str] = []
    for target in panel["targets"]:
        for row in server.over_time(target["expr"]):
            place = len(names)
            names.append(legend(target["legendFormat"], row["metric"]))
            width = max(server.shown.step, server.shown.length / POINTS) / 60
            spans = [((float(at) - server.shown.end) / 60, width) for at, _ in row["values"]]
            colours = [colour_of(panel, float(value)) for _, value in row["values"]]
            axes.broken_barh(spans, (place - 0.4, 0.8), facecolors=colours)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.xaxis.set_major_formatter(_minutes)
    return len(names)


def _heatmap(axes: Axes, panel: Mapping[str, Any], server: Server) -> int:
    rows = sorted(server.over_time(panel["targets"][0]["expr"]), key=lambda row: float(row["metric"]["le"]))
    times = sorted({float(at) for row in rows for at, _ in row["values"]})
    below = [0.0] * len(times)
    cells = []
    for row in rows:
        values = {float(at): float(value) for at, value in row["values"]}
        upto = [values.get(at, low) for at, low in zip(times, below, strict=True)]
        cells.append([max(high - low, 0) for high, low in zip(upto, below, strict=True)])
        below = upto
    if len(times) > 1:
        axes.pcolormesh(
            [(at - server.shown.end) / 60 for at in times],
            range(len(rows)),
            cells,
            cmap="Oranges",
            shading="nearest",
        )
        axes.set_yticks(
            range(len(rows)), [f"≤ {spelt(float(row['metric']['le']), 'percentunit')}" for row in rows]
        )
        axes.xaxis.set_major_formatter(_minutes)
    return len(rows)


_DRAW = {
    "heatmap": _heatmap,
    "timeseries": _lines,
    "stat": _number,
    "bargauge": _bars,
    "table": _table,
    "state-timeline": _states,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url", help="a Prometheus server")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the boards"
    )
    parser.add_argument("--hours", type=float, default=1, help="how much is shown (default 1)")
    parser.add_argument("--step", type=float, default=15, help="seconds between two scrapes (default 15)")
    parser.add_argument("--output", type=Path, default=Path("build/sheets"))
    given = parser.parse_args()
    variables = {"job": ".+", "instance": ".+", "cluster": ".*"} | dict(
        each.split("=", 1) for each in given.set
    )
    server = Server(given.url, Range(time.time(), given.hours * 3600, given.step), variables)
    given.output.mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.glob("*.json")):
        figure, _ = draw(json.loads(path.read_text(encoding="utf-8")), server)
        figure.savefig(given.output / f"{path.stem}.png", dpi=70)
        print(given.output / f"{path.stem}.png")


if __name__ == "__main__":
    main()
