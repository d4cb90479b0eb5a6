"""Compose file, its Prometheus, Grafana and Collector; and the Collector's configurations for large fleets."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.__main__ import BOARDS

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
COLLECTORS = {
    "compose": yaml.safe_load((FOLDER / "collector.yaml").read_text()),
    "edge": yaml.safe_load((DEPLOY / "collector" / "edge.yaml").read_text()),
    "gateway": yaml.safe_load((DEPLOY / "collector" / "gateway.yaml").read_text()),
}


def test_compose_file_fits_the_specification() -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    command = [str(tool), "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_what_is_mounted_exists() -> None:
    mounts = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    ]
    assert len(mounts) >= 5
    for mount in mounts:
        assert (FOLDER / mount).exists(), mount


def test_nothing_is_open_to_the_network() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_prometheus_scrapes_every_exporter_by_its_name() -> None:
    exporters = {name for name, service in SERVICES.items() if service["image"] == "vmguest-exporter"}
    (job,) = PROMETHEUS["scrape_configs"]
    targets = job["static_configs"][0]["targets"]
    assert {target.partition(":")[0] for target in targets} == exporters
    assert all(target.endswith(":10052") for target in targets)


@pytest.mark.real
def test_prometheus_takes_the_scrape_configuration(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    promtool = require_program("promtool", "apt-get install prometheus")
    # Debian's promtool is older than OTLP and knows no such section.
    without = {key: value for key, value in PROMETHEUS.items() if key != "otlp"}
    shutil.copytree(DEPLOY / "prometheus" / "rules", tmp_path / "rules")
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(without))
    command = [promtool, "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_exporters_push_to_the_collector_and_it_to_prometheus() -> None:
    for name, service in SERVICES.items():
        if service["image"] == "vmguest-exporter":
            assert service["environment"]["VMGUEST_OTLP_ENDPOINT"] == "http://collector:4318", name
    collector = COLLECTORS["compose"]
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    assert collector["exporters"]["otlphttp"]["endpoint"] == "http://prometheus:9090/api/v1/otlp"
    assert "--web.enable-otlp-receiver" in SERVICES["prometheus"]["command"]


def test_grafana_finds_datasource_and_boards() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "vmguest.yml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    inside = {target: FOLDER / source for source, target in mounted.items()}
    folder = inside[provider["options"]["path"]]
    assert {path.stem for path in folder.glob("*.json")} == {board.uid for board in BOARDS}


@pytest.mark.parametrize("name", COLLECTORS)
def test_collector_s_pipelines_use_what_is_defined_and_nothing_is_left_over(name: str) -> None:
    config = COLLECTORS[name]
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in used.items():
            names.update(pipeline[kind])
        assert pipeline["processors"][0] == "memory_limiter", "refuses before anything is held"
    for kind, names in used.items():
        assert names == set(config[kind])
    assert set(config["service"].get("extensions", ())) == set(config.get("extensions", {}))


def test_edge_and_gateway_fit_together() -> None:
    resolver = COLLECTORS["edge"]["exporters"]["loadbalancing"]["resolver"]["dns"]
    endpoint = COLLECTORS["gateway"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert endpoint.endswith(f":{resolver['port']}")
    assert COLLECTORS["edge"]["exporters"]["loadbalancing"]["routing_key"] == "resource"


def test_images_are_pinned() -> None:
    for service in SERVICES.values():
        image = service["image"]
        assert image == "vmguest-exporter" or re.search(r":v?\d+\.\d+\.\d+$", image), image
