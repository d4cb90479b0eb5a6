"""The files for a fleet: by their schemas and their programs' own checks, and held against the board and the benchmark."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from benchmarks import fleet
from benchmarks.fleet_site import Program, Site
from tests.receivers.conftest import PROGRAMS

DEPLOY = Path(__file__).parents[2] / "deploy"
FLEET = DEPLOY / "fleet"
COMPOSE = sorted(FLEET.rglob("compose.yaml"))
MANIFESTS = [
    document
    for file in sorted(FLEET.rglob("kubernetes.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
WORKLOADS = [document for document in MANIFESTS if document["kind"] in {"Deployment", "StatefulSet"}]
ENGINES = {file.parent for file in COMPOSE}
BOARD = json.loads((DEPLOY.parent / "dashboards" / "vmguest-fleet.json").read_text())
FORWARDED = yaml.safe_load((FLEET / "vmagent" / "fleet-board.yml").read_text())["groups"][0]["rules"]


def services(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FLEET / folder / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_compose_files_fit_the_specification(file: Path) -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    command = [str(tool), "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    document = yaml.safe_load(file.read_text())
    for service in document["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (
                (file.parent / source).exists() if source.startswith(".") else source in document["volumes"]
            )


@pytest.mark.parametrize(
    "document", MANIFESTS, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}"
)
def test_manifests_fit_the_schemas(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.31", strict=True)
    if document in WORKLOADS:
        pod = document["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        claims = document["spec"].get("volumeClaimTemplates", ())
        there = {each["name"] for each in pod.get("volumes", ())} | {
            each["metadata"]["name"] for each in claims
        }
        assert {each["name"] for each in container.get("volumeMounts", ())} == there


def test_every_engine_is_there_for_compose_and_for_kubernetes() -> None:
    assert {engine.relative_to(FLEET).as_posix() for engine in ENGINES} == {
        "prometheus", "vmagent", "not-run/victoriametrics-cluster", "not-run/thanos", "not-run/mimir",
    }  # fmt: skip
    assert {file.parent for file in FLEET.rglob("kubernetes.yaml")} == ENGINES


def test_what_was_never_run_says_so_in_its_first_line() -> None:
    files = [file for file in (FLEET / "not-run").rglob("*") if file.is_file()]
    assert len(files) == 10
    assert all(file.read_text().startswith("# NOT RUN") for file in files)
    assert [file for file in FLEET.glob("*/kubernetes.yaml") if "# Not run;" not in file.read_text()] == []


def test_mimirs_files_are_one_configuration() -> None:
    folder = FLEET / "not-run" / "mimir"
    text = (folder / "mimir.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+)\}", text))
    assert wanted == {"S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY"}
    document = yaml.safe_load(text)
    assert document["multitenancy_enabled"] is False, "agents and boards send no tenant"
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["mimir-0"]
    (pods,) = (each for each in WORKLOADS if each["metadata"]["name"] == "mimir")
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    assert wanted <= set(service["environment"])
    assert wanted == {each["name"] for each in container["env"]}
    (gossip,) = document["memberlist"]["join_members"]
    host, _, port = gossip.removeprefix("dns+").partition(":")
    assert host in service["networks"]["metrics"]["aliases"]
    assert host == pods["spec"]["serviceName"]
    assert {"name": "gossip", "containerPort": int(port)} in container["ports"]
    # The limits hold the fleet that they are for.
    series = int(re.findall(r"\*\*(\d+) series\*\*", (DEPLOY / "README.md").read_text())[0])
    assert f"# 10,000 x {series}," in text
    assert document["limits"]["max_global_series_per_user"] == pytest.approx(
        10_000 * series * 4 / 3, rel=0.01
    )
    assert document["limits"]["ingestion_rate"] == pytest.approx(2 * 10_000 * series / 15, rel=0.01)


def test_every_shard_has_an_agent() -> None:
    text = (FLEET / "prometheus" / "agent.yml").read_text()
    job = yaml.safe_load(text)["scrape_configs"][0]
    shards = job["relabel_configs"][0]["modulus"]
    started = [service for name, service in services("prometheus").items() if name.startswith("agent-")]
    assert [f"s/SHARD/{number}/" in service["command"][0] for number, service in enumerate(started)] == [
        True
    ] * shards
    (pods,) = (each for each in WORKLOADS if "prom/prometheus" in str(each))
    assert pods["spec"]["replicas"] == shards
    # Nowhere else than where it is to be replaced, but for the comment that says so.
    assert len(re.findall("SHARD", text.partition("global:")[2])) == 1


def test_agents_may_take_longer_to_stop_than_they_flush() -> None:
    """flush_deadline is one minute where nothing else is said."""
    for name, service in services("prometheus").items():
        if name.startswith("agent-"):
            assert int(service["stop_grace_period"].removesuffix("s")) > 60
    (pods,) = (each for each in WORKLOADS if "prom/prometheus" in str(each))
    assert pods["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 60


PLACES = {"-promscrape.config", "-remoteWrite.tmpDataPath", "-storageDataPath"}
"""Flags whose value is where something lies."""


class Noted(Site):
    """Starts nothing."""

    def add(self, program: Program) -> Program:
        self.programs[program.name] = program
        return program


@pytest.mark.parametrize("layout", ["prometheus", "vmagent"])
def test_the_benchmark_starts_what_compose_does(layout: str, tmp_path: Path) -> None:
    """Program by program with the same flags, but for addresses and folders; it adds some for its short time."""
    site = Noted(tmp_path, 1)
    site.add(Program("fleet", [], 1, tmp_path / "fleet.log"))
    if layout == "vmagent":
        fleet.three_nodes(site)
    else:
        store = site.store("store")
        site.rules("rules", store, store)
        for shard in range(2):
            site.agent(shard, store)
    composed = services(layout)
    names = {site.programs[name].url: f"http://{name}:8428" for name in composed if name in site.programs}
    del names[site.fleet.url]
    renamed = {"agent": "vmagent"} if layout == "vmagent" else {}
    assert {renamed.get(name, name) for name in composed} == set(site.programs)

    def wanted(words: list[str]) -> set[str]:
        found = set()
        for word in words:
            flag, _, value = word.partition("=")
            for before, after in names.items():
                value = value.replace(before, after)
            if flag == "-rule":
                value = Path(value).name
            found.add(f"{flag}={'' if flag in PLACES else value}")
        return found

    for name, service in composed.items():
        if layout == "prometheus" and name.startswith("agent-"):
            (script,) = service["command"]
            assert " --agent " in script
            assert "--agent" in site.programs[name].command
            continue
        if name != "fleet":
            there = wanted(site.programs[renamed.get(name, name)].command)
            assert wanted(service["command"]) - there <= {"-retentionPeriod=90d"}, name


def test_each_node_has_its_rules_and_the_whole_one_makes_one_of_two() -> None:
    found = services("vmagent")
    for number in range(3):
        command = found[f"rules-{number}"]["command"]
        assert f"-datasource.url=http://node-{number}:8428" in command
        assert {flag for flag in command if not flag.startswith("-datasource.url")} == {
            flag for flag in found["rules-0"]["command"] if not flag.startswith("-datasource.url")
        }
    assert "-remoteWrite.url=http://whole:8428" in found["rules-0"]["command"]
    assert "-dedup.minScrapeInterval=15s" in found["whole"]["command"]
    assert "-evaluationInterval=15s" in found["rules-0"]["command"]


def per_target(expression: str) -> bool:
    """Whether each aggregation in it keeps apart what different targets say."""
    for kind, labels in re.findall(
        r"\b(?:sum|count|min|max|avg|group|stddev|quantile|topk|bottomk)\b\s*(?:(by|without)\s*\(([^)]*)\)|\()",
        expression,
    ):
        named = {label.strip() for label in labels.split(",")}
        if not ({"job", "instance"} <= named if kind == "by" else kind and not {"job", "instance"} & named):
            return False
    return True


def test_nodes_record_target_by_target() -> None:
    """A node has some of the VMs only: a sum over those would overwrite the other nodes' sums on the node for the whole."""
    assert not per_target("count by (job) (up)")
    assert not per_target("sum(up)")
    assert not per_target("count without (instance) (up)")
    assert per_target(
        "sum without (kind) (rate(x[5m])) / count by (job, instance) (up) / count_over_time(up[10m])"
    )
    loaded = [flag for flag in services("vmagent")["rules-0"]["command"] if flag.startswith("-rule=/rules/")]
    assert loaded
    files = [DEPLOY / "prometheus" / "rules" / flag.rpartition("/")[2] for flag in loaded]
    rules = [
        rule
        for file in (*files, FLEET / "vmagent" / "fleet-board.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    assert [rule["record"] for rule in rules if not per_target(rule["expr"])] == []


def test_rules_on_recorded_series_run_where_those_are() -> None:
    """vmalert asks -datasource.url, and what it records goes to -remoteWrite.url alone."""
    found = services("vmagent")
    command = found["rules-whole"]["command"]
    assert "-datasource.url=http://whole:8428" in command
    assert "-remoteWrite.url=http://whole:8428" in command
    nodes = {flag for flag in found["rules-0"]["command"] if flag.startswith("-rule=/rules/")}
    assert nodes <= {*command}


def test_nothing_balances_over_nodes_that_hold_different_vms() -> None:
    """vmauth goes on where a node is down, not where it answers that it has nothing."""
    found = services("vmagent")
    assert not [name for name, service in found.items() if "vmauth" in service.get("image", "")]
    # One VM's board asks a node: each can be asked from outside.
    assert (
        len({found[f"node-{number}"]["ports"][0] for number in range(3)} | {found["whole"]["ports"][0]}) == 4
    )
    assert not [each for each in WORKLOADS if "vmauth" in str(each)]


def test_the_whole_fleets_node_gets_all_that_the_board_asks_for() -> None:
    asked: set[str] = set()
    texts = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())]
    texts += [str(variable.get("query") or "") for variable in BOARD["templating"]["list"]]
    for text in texts:
        asked |= set(re.findall(r"\b(vmguest_\w+|up)\b(?=[{,])", text))
    assert asked == {rule["record"] for rule in FORWARDED}
    for rule in FORWARDED:
        assert re.fullmatch(rf"{rule['record']}(\{{.*\}})?", rule["expr"]), "as it is, or a part of it"


@pytest.mark.real
@pytest.mark.parametrize("program", ["promtool3", "vmagent", "vmalert"])
def test_programs_take_their_files(
    program: str, require: Callable[[str, str | None, str], str], tmp_path: Path
) -> None:
    path = PROGRAMS / program
    tool = require(program, str(path) if path.exists() else None, "make receivers (needs Go)")
    agent = tmp_path / "agent.yml"
    agent.write_text((FLEET / "prometheus" / "agent.yml").read_text().replace("SHARD", "0"))
    rules = [DEPLOY / "prometheus" / "rules" / name for name in ("vmguest.yml", "vmguest-insight.yml")]
    command = {
        "promtool3": [tool, "check", "config", "--agent", str(agent)],
        "vmagent": [tool, f"-promscrape.config={FLEET / 'vmagent' / 'scrape.yml'}", "-dryRun", "-remoteWrite.url=http://127.0.0.1:9"],
        "vmalert": [tool, *(f"-rule={file}" for file in (*rules, FLEET / "vmagent" / "fleet-board.yml")), "-dryRun"],
    }[program]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
