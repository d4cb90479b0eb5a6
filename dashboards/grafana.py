"""From a :class:`~dashboards.panels.Board` to Grafana's JSON, by the Grafana Foundation SDK.

The only module that knows the SDK. Its version is pinned: the compiled JSON is committed and compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.expressions import named
from dashboards.panels import OVER_TIME, Board, Mark, Panel, Query, Section, Shape, Variable

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_ONE_VM = "/d/vmguest-one-vm?var-datasource=${{datasource}}&var-job={job}&var-instance={instance}&${{__url_time_range}}"
RESOLUTION = "$scraped_every"
"""No step is finer than this, and with it $__rate_interval spans four samples: at 60 s, the default of OTLP, Grafana's own
default would leave every rate blank."""
_BUILDERS: dict[Shape, Any] = {
    Shape.LINES: timeseries.Panel,
    Shape.NUMBER: stat.Panel,
    Shape.BARS: bargauge.Panel,
    Shape.TABLE: table.Panel,
    Shape.STATES: statetimeline.Panel,
    Shape.HEATMAP: heatmap.Panel,
}


def compiled(board: Board) -> str:
    """The file's text: what Grafana imports."""
    built = _board(board).build()
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def with_inputs(board: dict[str, Any]) -> dict[str, Any]:
    """``board`` as grafana.com shares it: the data source is asked for at import and preset in the variable."""
    types = {panel["type"] for panel in board["panels"]} - {"row"}
    variables = [
        variable | {"current": {"text": "${DS_PROMETHEUS}", "value": "${DS_PROMETHEUS}"}}
        if variable["name"] == "datasource"
        else variable
        for variable in board["templating"]["list"]
    ]
    return board | {
        "__inputs": [
            {
                "name": "DS_PROMETHEUS",
                "label": "Prometheus",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            }
        ],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.1.0"},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": each, "name": each, "version": ""} for each in sorted(types)),
        ],
        "templating": {"list": variables},
    }


def _board(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(list(board.tags))
        .readonly()
        .timezone("browser")
        .refresh("1m")
        .time(board.since, "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("VMware guest")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([board.tags[0]])
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.IntervalVariable("scraped_every")
            .label("Scraped every")
            .values("15s,30s,1m,2m,5m")
            .current(model.VariableOption(selected=True, text="1m", value="1m"))
        )
    )
    for variable in board.variables:
        made.with_variable(_variable(variable))
    for mark in board.marks:
        made.annotation(_mark(mark))
    number = count(1)
    for section in board.sections:
        made.with_row(dashboard.Row(section.title).id(next(number)))
        for panel in _panels(section):
            made.with_panel(panel.id(next(number)))
    return made


def _variable(variable: Variable) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .query(variable.query)
        .datasource(DATASOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(variable.many)
        .include_all(variable.many)
    )
    if variable.pattern:
        made.regex(variable.pattern)
    if variable.many:
        if variable.matches_all:
            made.all_value(variable.matches_all)
        made.current(model.VariableOption(selected=True, text="All", value="$__all"))
    return made


def _mark(mark: Mark) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(mark.name)
        .datasource(DATASOURCE)
        .enable(True)
        .expr(mark.expr)
        .icon_color(mark.colour)
    )


def _panels(section: Section) -> Iterator[Any]:
    """The builders of one row. Their five classes have most methods in common and no base class."""
    for panel in section.panels:
        made: Any = (
            _BUILDERS[panel.shape]()
            .title(panel.title)
            .description(panel.about)
            .unit(panel.unit)
            .no_value(panel.empty)
            .datasource(DATASOURCE)
            .span(panel.width)
            .height(panel.height)
            .interval(RESOLUTION)
            .targets(list(_targets(panel)))
        )
        if panel.low is not None:
            made.min(panel.low)
        if panel.high is not None:
            made.max(panel.high)
        if panel.steps:
            steps = [model.Threshold(value=value, color=colour) for value, colour in panel.steps]
            made.thresholds(
                dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
            ).color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        if panel.words:
            words = {
                value: model.ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, text, colour) in enumerate(panel.words)
            }
            made.mappings([model.ValueMap(options=words)])
        _SHAPERS[panel.shape](made, panel)
        yield made


def _targets(panel: Panel) -> Iterator[prometheus.Dataquery]:
    over_time = panel.shape in OVER_TIME
    for letter, query in zip("ABCDEFGHIJ", panel.queries, strict=False):
        expr, legend = shown(query, panel)
        made = (
            prometheus.Dataquery()
            .datasource(DATASOURCE)
            .ref_id(letter)
            .expr(expr)
            .interval(RESOLUTION)
            .legend_format(legend)
        )
        if over_time:
            made.range()
        else:
            made.instant()
        if panel.shape is Shape.TABLE:
            made.format(PromQueryFormat.TABLE)
        if panel.shape is Shape.HEATMAP:
            made.format(PromQueryFormat.HEATMAP)
        yield made


def shown(query: Query, panel: Panel) -> tuple[str, str]:
    """Expression and legend as Grafana gets them: an instance is shown by the VM's name where there is one."""
    if "{{instance}}" in query.legend or "vm" in dict(panel.columns):
        return named(query.expr), query.legend.replace("{{instance}}", "{{vm}}")
    return query.expr, query.legend


def _lines(made: timeseries.Panel, panel: Panel) -> None:
    made.fill_opacity(10).show_points(values.VisibilityMode.NEVER).span_nulls(False)
    made.legend(
        common.VizLegendOptions()
        .display_mode(values.LegendDisplayMode.LIST)
        .placement(values.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    made.tooltip(
        common.VizTooltipOptions().mode(values.TooltipDisplayMode.MULTI).sort(values.SortOrder.DESCENDING)
    )
    if panel.stacked:
        made.fill_opacity(50).stacking(common.StackingConfig().mode(values.StackingMode.NORMAL).group("A"))
    for legend in panel.unstacked:
        made.with_override(
            model.MatcherConfig("byName", legend),
            [
                model.DynamicConfigValue("custom.stacking", {"mode": "none"}),
                model.DynamicConfigValue("custom.fillOpacity", 0),
                model.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
            ],
        )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _number(made: stat.Panel, panel: Panel) -> None:
    made.reduce_options(_last()).graph_mode(values.BigValueGraphMode.NONE)
    made.color_mode(
        values.BigValueColorMode.BACKGROUND if panel.steps or panel.words else values.BigValueColorMode.NONE
    )
    made.text_mode(values.BigValueTextMode.VALUE if len(panel.queries) == 1 else values.BigValueTextMode.AUTO)


def _bars(made: bargauge.Panel, panel: Panel) -> None:
    made.reduce_options(_last()).orientation(values.VizOrientation.HORIZONTAL)
    made.display_mode(values.BarGaugeDisplayMode.BASIC)
    if panel.drill_down:
        url = _ONE_VM.format(job="${__field.labels.job}", instance="${__field.labels.instance}")
        made.data_links([dashboard.DashboardLink("This VM").url(url)])


def _table(made: table.Panel, panel: Panel) -> None:
    columns = dict(panel.columns)
    several = len(panel.queries) > 1
    hidden = ("instance", "job") if panel.drill_down else ()
    renamed = columns | {name: name for name in hidden if name not in columns}
    for letter, query in zip("ABCDEFGHIJ", panel.queries, strict=False):
        # A legend that is a column's name is the value itself; a label of that name could not be shown beside it.
        if query.legend in columns:
            renamed[f"Value #{letter}" if several else "Value"] = renamed.pop(query.legend)
    made.show_header(True)
    # What stays is named; labels that a scrape configuration adds would else become columns.
    made.transformations(
        [
            model.DataTransformerConfig("merge", options={}),
            model.DataTransformerConfig("filterFieldsByName", options={"include": {"names": list(renamed)}}),
            model.DataTransformerConfig(
                "organize",
                options={
                    "indexByName": {name: index for index, name in enumerate(renamed)},
                    "renameByName": renamed,
                },
            ),
        ]
    )
    for heading, unit in panel.column_units:
        made.with_override(model.MatcherConfig("byName", heading), [model.DynamicConfigValue("unit", unit)])
    if panel.drill_down:
        url = _ONE_VM.format(job="${__data.fields.job}", instance="${__data.fields.instance}")
        for name in hidden:
            made.with_override(
                model.MatcherConfig("byName", name), [model.DynamicConfigValue("custom.hidden", True)]
            )
        made.with_override(
            model.MatcherConfig("byName", "VM"),
            [model.DynamicConfigValue("links", [{"title": "This VM", "url": url}])],
        )


def _states(made: statetimeline.Panel, _panel: Panel) -> None:
    made.show_value(values.VisibilityMode.NEVER).merge_values(True).row_height(0.8).fill_opacity(
        70
    ).line_width(0)


def _heatmap(made: heatmap.Panel, panel: Panel) -> None:
    # The buckets are Prometheus's: nothing is left to calculate.
    made.calculate(False).color(
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .fill("dark-orange")
        .steps(64)
    )
    made.y_axis(heatmap.YAxisConfig().unit(panel.unit))


_SHAPERS: dict[Shape, Any] = {
    Shape.LINES: _lines,
    Shape.NUMBER: _number,
    Shape.BARS: _bars,
    Shape.TABLE: _table,
    Shape.STATES: _states,
    Shape.HEATMAP: _heatmap,
}
