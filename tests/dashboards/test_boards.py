"""The boards: compiled from their source, complete for a reader, and within Grafana's and the linter's rules.

The rules are those of grafana/dashboard-linter (docs/rules) that apply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import promql
from dashboards.__main__ import BOARDS, FOLDER
from dashboards.exporter_ha import MOST
from dashboards.grafana import compiled, with_inputs
from exporter.catalogue import METRICS
from exporter.catalogue.extended_names import map_value
from exporter.snapshot import ExtendedValue

FILES = sorted(FOLDER.glob("*.json"))
BOARD = {path.stem: json.loads(path.read_text()) for path in FILES}

# Identifiers of Grafana's value formats (packages/grafana-data/src/valueFormats/categories.ts) that are in use.
UNITS = {"none", "short", "percentunit", "bytes", "binBps", "hertz", "s", "iops", "pps", "dateTimeFromNow"}

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "vmguest.yml"
RECORDED = set(re.findall(r"record: (\S+)", RULES.read_text()))
STANDARD = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def panels() -> list[Any]:
    return [
        pytest.param(uid, panel, id=f"{uid}: {panel['title']}")
        for uid, board in BOARD.items()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (mark["expr"] for mark in board["annotations"].get("list", ()))


def test_committed_files_are_what_the_source_compiles_to() -> None:
    """After a change of the source: ``python -m dashboards``."""
    assert {path.name: path.read_text() for path in FILES} == {
        f"{board.uid}.json": compiled(board) for board in BOARDS
    }


@pytest.mark.parametrize("uid", BOARD)
def test_the_sdk_reads_every_key_back(uid: str) -> None:
    """A key that Grafana's model does not know, or a value it does not take, would be lost on the way."""
    register_default_plugins()
    read = Dashboard.from_json(BOARD[uid])
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    for panel in again["panels"]:
        if panel["type"] == "heatmap" and panel["fieldConfig"]["defaults"].get("custom") == {}:
            # What the SDK adds to this type on reading, and Grafana ignores.
            del panel["fieldConfig"]["defaults"]["custom"]
    assert again == BOARD[uid]


@pytest.mark.parametrize("uid", BOARD)
def test_board_is_read_only_and_has_its_variables(uid: str) -> None:
    board = BOARD[uid]
    assert board["editable"] is False
    assert board["uid"] == uid
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["datasource"]["label"] == "Data source"
    assert {"job", "instance"} <= set(variables)
    for name, variable in variables.items():
        if name in {"datasource", "scraped_every"}:
            continue
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["refresh"] == 2, "reloads when the time range changes"
        if (uid, name) == ("vmguest-one-vm", "instance"):
            assert not variable["multi"], "a board about one VM adds up what is of one VM"
            continue
        assert variable["multi"]
        assert variable["includeAll"]
        if name == "job":
            assert "allValue" not in variable, "All is the jobs of this exporter, not everybody's"
        else:
            assert variable["allValue"] == (".*" if name == "cluster" else ".+")


@pytest.mark.parametrize("uid", BOARD)
def test_a_rate_spans_four_samples_at_every_interval(uid: str) -> None:
    """Of the panel for what Grafana draws, of the query for $__rate_interval."""
    variables = {variable["name"]: variable for variable in BOARD[uid]["templating"]["list"]}
    assert variables["scraped_every"]["current"]["value"] == "1m"
    for panel in BOARD[uid]["panels"]:
        if panel["type"] != "row":
            assert panel["interval"] == "$scraped_every"
            assert {target["interval"] for target in panel["targets"]} == {"$scraped_every"}


@pytest.mark.parametrize("uid", BOARD)
def test_an_instance_is_shown_by_the_vm_s_name(uid: str) -> None:
    """By OTLP it is a UUID. The variable shows the name and gives the instance to queries."""
    variables = {variable["name"]: variable for variable in BOARD[uid]["templating"]["list"]}
    pattern = variables["instance"]["regex"].strip("/").replace("(?<", "(?P<")
    pushed = 'vmguest_up{host_name="web-1",instance="0f0e",job="vmguest"} 1 1790000000000'
    scraped = 'vmguest_up{instance="[2001:db8::1]:10052",job="vmguest"} 1 1790000000000'
    # Labels that only end like the one that is meant; Kubernetes and federation bring them.
    beside = 'vmguest_up{app_kubernetes_io_instance="release",exported_instance="no",instance="node-1",job="v"} 1 1'
    both = 'vmguest_up{exported_host_name="no",host_name="web-2",pod_instance="no",instance="0f0f"} 1 1'
    for line, text, value in (
        (pushed, "web-1", "0f0e"),
        (scraped, None, "[2001:db8::1]:10052"),
        (beside, None, "node-1"),
        (both, "web-2", "0f0f"),
    ):
        found = re.search(pattern, line)
        assert found
        assert found.groupdict() == {"text": text, "value": value}
    for panel in BOARD[uid]["panels"]:
        for target in panel.get("targets", ()):
            assert "{{instance}}" not in target["legendFormat"]
            assert ("{{vm}}" in target["legendFormat"]) <= ('"host_name"' in target["expr"])


@pytest.mark.parametrize("uid", BOARD)
def test_links_take_the_data_source_and_the_variables_along(uid: str) -> None:
    text = json.dumps(BOARD[uid])
    for link in re.findall(r'"/d/vmguest-one-vm[^"]*"', text):
        assert "var-datasource=${datasource}" in link
        assert "var-instance=${__" in link
        assert "var-job=${__" in link
    assert all(link["includeVars"] and link["keepTime"] for link in BOARD[uid]["links"])


def test_one_vm_is_matched_by_its_exact_name() -> None:
    """An IPv6 address in brackets is a character class to a regular expression."""
    for expr in expressions(BOARD["vmguest-one-vm"]):
        assert "instance=~" not in expr


def test_the_exporter_board_survives_ten_thousand_vms() -> None:
    asked = list(expressions(BOARD["vmguest-exporter"]))
    assert asked
    for expr in asked:
        assert re.search(rf"(topk|bottomk)\({MOST}, ", expr), expr
        assert not re.search(r"by \([^)]*instance[^)]*\) \(rate\(\w+_bucket", expr), (
            "a quantile of each VM takes minutes"
        )
        assert not re.search(r"rate\(\w+_errors_total", expr), "a dozen kinds of each VM: recorded"
    for panel in BOARD["vmguest-exporter"]["panels"]:
        for target in panel.get("targets", ()):
            if target.get("range") and " by (" not in target["expr"]:
                # Else each of 60 moments has a worst of its own, and Grafana draws all of them.
                inner = re.search(rf"\) and (topk|bottomk)\({MOST}, (.*)\)", target["expr"])
                assert inner
                assert all("[$__range] @ end()" in each for each in re.findall(r"\}([^)]*\))", inner[2])), (
                    inner[2]
                )


def test_names_that_only_the_simulator_gives_say_so_on_the_panel() -> None:
    for board in BOARD.values():
        for panel in board["panels"]:
            used = set().union(*(promql.metrics(target["expr"]) for target in panel.get("targets", ())))
            if used & promql.SIMULATED_DISK:
                assert "simulator's" in panel["description"], panel["title"]


@pytest.mark.parametrize("uid", BOARD)
def test_the_file_for_grafana_com_asks_for_the_data_source(uid: str) -> None:
    shared = with_inputs(BOARD[uid])
    (wanted,) = shared["__inputs"]
    datasource = next(each for each in shared["templating"]["list"] if each["name"] == "datasource")
    assert datasource["current"]["value"] == f"${{{wanted['name']}}}"
    kinds = {each["id"] for each in shared["__requires"] if each["type"] == "panel"}
    assert kinds == {panel["type"] for panel in shared["panels"]} - {"row"}
    assert shared["panels"] == BOARD[uid]["panels"]


def test_fleet_can_be_narrowed_by_cluster() -> None:
    assert "cluster" in {variable["name"] for variable in BOARD["vmguest-fleet"]["templating"]["list"]}
    assert all('cluster=~"$cluster"' in expr for expr in expressions(BOARD["vmguest-fleet"]))


@pytest.mark.parametrize(("uid", "panel"), panels())
def test_panel_tells_a_reader_what_it_shows(uid: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 30
    assert panel["description"].endswith(".")
    assert defaults["unit"] in UNITS
    assert len(defaults["noValue"]) > 3
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
    for override in panel["fieldConfig"]["overrides"]:
        for item in override["properties"]:
            assert item["id"] != "unit" or item["value"] in UNITS


@pytest.mark.parametrize("uid", BOARD)
def test_every_selector_is_bound_to_the_variables(uid: str) -> None:
    for expr in expressions(BOARD[uid]):
        selectors = re.findall(r"\{[^{}]*\}", expr)
        assert selectors
        assert len(selectors) >= len(promql.metrics(expr))
        for selector in selectors:
            assert 'job=~"$job"' in selector
            if "vmguest:strangers:count" + selector not in expr:
                assert re.search(r'instance=~?"\$instance"', selector)


@pytest.mark.parametrize("uid", BOARD)
def test_what_every_exporter_has_is_taken_from_ours_alone(uid: str) -> None:
    """A job may be shared: ``up`` and ``process_*`` are everybody's."""
    found = [
        expr for expr in expressions(BOARD[uid]) if promql.metrics(expr + " up_") & STANDARD or "up{" in expr
    ]
    for expr in found:
        theirs = re.sub(r"vmguest_up\{", "", expr)
        if re.search(r"(?<!\w)(up|process_\w+)\{", theirs):
            assert re.search(
                r"and on \(job, instance\) (last_over_time\()?vmguest_exporter_build_info\{", expr
            ), expr


@pytest.mark.parametrize("uid", BOARD)
def test_counters_are_only_seen_through_rates_over_the_right_window(uid: str) -> None:
    for expr in expressions(BOARD[uid]):
        for window in re.findall(r"\[([^\]]*)\]", expr):
            elsewhere = "vmguest_session_info" in expr or "vmguest:strangers:count" in expr
            assert window in ("$__rate_interval", "$__range") or elsewhere, expr
        bare = re.sub(
            r"(?:rate|irate|increase|changes)\([^()]*\{[^{}]*\}\[[^\]]*\](?: @ end\(\))?\)", "", expr
        )
        assert not re.search(r"_total\b", bare), expr


def test_rates_of_what_counts_on_the_host_are_summed_over_its_sessions() -> None:
    of_host = {row.prometheus for row in METRICS if row.of_host}
    found = [
        expr for board in BOARD.values() for expr in expressions(board) if promql.metrics(expr) & of_host
    ]
    assert found
    for expr in found:
        for name in promql.metrics(expr) & of_host:
            assert expr.count(f"sum without (session_id) (rate({name}{{") == expr.count(name), expr


@pytest.mark.parametrize("uid", BOARD)
def test_every_metric_exists(uid: str) -> None:
    known = promql.published() | promql.SIMULATED_DISK | RECORDED | STANDARD
    for expr in expressions(BOARD[uid]):
        assert promql.metrics(expr) <= known, expr


def test_disk_names_are_those_of_the_naming_rule() -> None:
    fields = (
        ("num.reads", "reads"),
        ("num.writes", "writes"),
        ("size.reads", "bytes"),
        ("size.writes", "bytes"),
        ("latency.reads", "us"),
        ("latency.writes", "us"),
    )
    mapped = [
        map_value("vscsi scsi0:0", ExtendedValue(name, 1, "accumulate", units)) for name, units in fields
    ]
    assert {each.metric.prometheus for each in mapped if each} == promql.SIMULATED_DISK


@pytest.mark.parametrize("uid", BOARD)
def test_panels_fill_the_grid_without_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD[uid]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in BOARD[uid]["panels"]]
    assert len(set(ids)) == len(ids)


def test_bars_have_colours_of_their_own() -> None:
    """Grafana's default thresholds are red from 80 on, whatever it is 80 of."""
    for board in BOARD.values():
        for panel in board["panels"]:
            if panel["type"] == "bargauge":
                assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


@pytest.mark.parametrize("uid", BOARD)
def test_what_stands_in_for_a_rate_goes_on_as_the_same_line(uid: str) -> None:
    """A recorded series keeps its name, and with it would be a second line wherever the rate has a gap."""
    for expr in expressions(BOARD[uid]):
        for after in re.findall(r"\bor vmguest:[\w:]+\{[^{}]*\}(.{4})", expr + "    "):
            assert after == " + 0", expr


def test_only_the_panels_that_the_readme_names_need_the_recording_rules() -> None:
    """Elsewhere a recorded series stands in for a rate (``or``), or marks jobs that others share (``unless``)."""
    optional = re.compile(
        r" or vmguest:\w+:\w+{[^}]*} [+] 0| unless on \(job\) max_over_time\(vmguest:strangers:count{"
    )
    needing = [
        panel
        for board in BOARD.values()
        for panel in board["panels"]
        if any("vmguest:" in optional.sub("", target["expr"]) for target in panel.get("targets", ()))
    ]
    assert {panel["title"] for panel in needing} == {
        "Stolen CPU across VMs",
        "Failed polls by kind",
        "Failed heartbeats by kind",
    }
    readme = " ".join((FOLDER / "README.md").read_text().split())
    for panel in needing:
        assert f"*{panel['title']}*" in readme
        assert "the recording rules are not loaded" in panel["fieldConfig"]["defaults"]["noValue"]


def test_titles_speak_of_session_changes_not_of_vmotion() -> None:
    for board in BOARD.values():
        for panel in board["panels"]:
            assert "vmotion" not in panel["title"].lower()
        for mark in board["annotations"].get("list", ()):
            assert not mark["name"].lower().startswith("vmotion")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("rate(a_total[5m]) / b_x", {"a_total", "b_x"}),
        ('sum by (job_x, le) (a_b{c_d="e_f"})', {"a_b"}),
        ("a:b_c:d > 2^20 unless ignoring (x_y) up_z", {"a:b_c:d", "up_z"}),
        ("label_replace(a_b, 'x', '$1', 'y_z', '(.*)') or vector(0)", {"a_b"}),
    ],
)
def test_names_are_found_in_an_expression(expression: str, names: set[str]) -> None:
    assert promql.metrics(expression.replace("'", '"')) == names
