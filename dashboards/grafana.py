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
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as values
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.panels import Board, Mark, Panel, Section, Shape, Variable

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_ONE_VM = "/d/vmguest-one-vm?var-job={job}&var-instance={instance}&${{__url_time_range}}"
_BUILDERS: dict[Shape, Any] = {
    Shape.LINES: timeseries.Panel,
    Shape.NUMBER: stat.Panel,
    Shape.BARS: bargauge.Panel,
    Shape.TABLE: table.Panel,
    Shape.STATES: statetimeline.Panel,
}


def compiled(board: Board) -> str:
    """The file's text: what Grafana imports."""
    built = _board(board).build()
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


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
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
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
    if variable.many:
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
    over_time = panel.shape in (Shape.LINES, Shape.STATES)
    for letter, query in zip("ABCDEFGHIJ", panel.queries, strict=False):
        made = (
            prometheus.Dataquery()
            .datasource(DATASOURCE)
            .ref_id(letter)
            .expr(query.expr)
            .legend_format(query.legend)
        )
        if over_time:
            made.range()
        else:
            made.instant()
        if panel.shape is Shape.TABLE:
            made.format(PromQueryFormat.TABLE)
        yield made


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
    shown = dict(panel.columns)
    several = len(panel.queries) > 1
    renamed = dict(shown)
    for letter, query in zip("ABCDEFGHIJ", panel.queries, strict=False):
        if query.legend in shown:
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
        url = _ONE_VM.format(job="$__all", instance="${__data.fields.VM}")
        made.with_override(
            model.MatcherConfig("byName", "VM"),
            [model.DynamicConfigValue("links", [{"title": "This VM", "url": url}])],
        )


def _states(made: statetimeline.Panel, _panel: Panel) -> None:
    made.show_value(values.VisibilityMode.NEVER).merge_values(True).row_height(0.8).fill_opacity(
        70
    ).line_width(0)


_SHAPERS: dict[Shape, Any] = {
    Shape.LINES: _lines,
    Shape.NUMBER: _number,
    Shape.BARS: _bars,
    Shape.TABLE: _table,
    Shape.STATES: _states,
}
