"""Manifests and chart for Kubernetes: against its schemas, and against each other."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from dashboards import runbook
from exporter.config import OPTIONS, flags, load
from exporter.ha.heartbeat import STOP_MARGIN
from exporter.ha.rules import Rules

DEPLOY = Path(__file__).parents[2] / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
CHART = DEPLOY / "helm" / "vmguest-exporter"
RENDERED = Path(__file__).parent / "helm"
VERSIONS = ("1.27", "1.31", "1.34")
CUSTOM = "monitoring.coreos.com/v1"
POD_MONITOR = json.loads((Path(__file__).parent / "podmonitor.schema.json").read_text())


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def digest() -> str:
    """Of the chart's files: rendered copies carry it, so that a stale one is seen without helm."""
    files = sorted(
        path
        for path in CHART.rglob("*")
        if path.is_file() and path.suffix != ".md" and CHART / "files" not in path.parents
    )
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def rendered(name: str) -> list[dict[str, Any]]:
    return documents(RENDERED / f"{name}.yaml")


def manifests() -> Iterator[Any]:
    for path in sorted(BASE.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            for document in documents(path):
                yield pytest.param(document, id=f"base {document['kind']}")
    for name in ("default", "everything"):
        for document in rendered(name):
            yield pytest.param(document, id=f"chart {name} {document['kind']}")


MANIFESTS = list(manifests())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", MANIFESTS)
def test_manifest_fits_the_schema(document: dict[str, Any], version: str) -> None:
    if document["apiVersion"] == CUSTOM:
        spec = document["spec"]
        if document["kind"] == "ServiceMonitor":
            # The two kinds differ in the name of this key alone, as far as it is used here.
            spec = {
                "podMetricsEndpoints" if key == "endpoints" else key: value for key, value in spec.items()
            }
        jsonschema.validate(spec, POD_MONITOR)
        document = document | {"spec": spec}
        assert document["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
        return
    kubernetes_validate.validate(document, version, strict=True)


def pod(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]["template"]["spec"]
    return spec


DAEMON_SETS = [each for each in MANIFESTS if each.id and each.id.endswith("DaemonSet")]


@pytest.mark.parametrize("document", DAEMON_SETS)
def test_pod_is_confined(document: dict[str, Any]) -> None:
    spec = pod(document)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("document", DAEMON_SETS)
def test_ports_and_selectors_agree(document: dict[str, Any]) -> None:
    (container,) = pod(document)["containers"]
    (port,) = container["ports"]
    assert f"--web.listen-address=:{port['containerPort']}" in container["args"]
    labels = document["spec"]["template"]["metadata"]["labels"]
    assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_base_is_on_the_host_s_network_with_the_default_port() -> None:
    (document,) = documents(BASE / "daemonset.yaml")
    assert pod(document)["hostNetwork"] is True
    assert pod(document)["containers"][0]["ports"][0]["hostPort"] == 10052
    (service,) = documents(BASE / "service.yaml")
    assert service["spec"]["ports"][0]["port"] == 10052
    for kind in ("service", "networkpolicy", "podmonitor"):
        (other,) = documents(BASE / f"{kind}.yaml")
        assert "app.kubernetes.io/name': 'vmguest-exporter" in str(other["spec"])


def test_probes_ask_for_life_and_readiness() -> None:
    (document,) = documents(BASE / "daemonset.yaml")
    (container,) = pod(document)["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
    assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"


def test_an_end_has_time_for_the_heartbeats() -> None:
    """A stop keeps beating until the host confirms Disable; what is killed before is a reset."""
    found = [
        document["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        for document in (*documents(BASE / "daemonset.yaml"), *rendered("default"), *rendered("everything"))
        if document["kind"] == "DaemonSet"
    ]
    assert len(found) == 3
    assert min(found) >= Rules().stop_limit + STOP_MARGIN + 5


def test_job_that_podmonitor_makes_is_the_one_the_alert_looks_for() -> None:
    (monitor,) = documents(BASE / "podmonitor.yaml")
    (document,) = documents(BASE / "daemonset.yaml")
    labels = document["spec"]["template"]["metadata"]["labels"]
    assert "vmguest" in labels[monitor["spec"]["jobLabel"]]


def test_kustomizations_name_files_that_exist() -> None:
    for path in (DEPLOY / "kubernetes").glob("*/kustomization.yaml"):
        (document,) = documents(path)
        for resource in document["resources"]:
            assert (path.parent / resource).exists()
        for patch in document.get("patches", ()):
            (operation,) = yaml.safe_load(patch["patch"])
            (target,) = documents(BASE / "daemonset.yaml")
            for key in operation["path"].strip("/").split("/"):
                target = target[key]


@pytest.mark.parametrize("name", ["default", "everything"])
def test_rendered_chart_is_up_to_date(name: str) -> None:
    """After a change of the chart: ``helm template`` (`make helm`) as in the next test, below the two comment lines."""
    first = (RENDERED / f"{name}.yaml").read_text().splitlines()[1]
    assert first == f"# sha256 of the chart: {digest()}"


@pytest.fixture
def helm(require: Callable[[str, str | None, str], str]) -> str:
    built = shutil.which("helm", path=DEPLOY.parent / ".cache" / "helm")
    return require("helm", built or shutil.which("helm"), "make helm (it takes Go and three minutes)")


@pytest.mark.real
@pytest.mark.parametrize("name", ["default", "everything"])
def test_helm_renders_the_same(helm: str, name: str) -> None:
    command = [helm, "template", "vmguest", str(CHART), "--namespace=monitoring", "--kube-version=1.31.0"]
    values = f"--values={RENDERED / f'{name}.values.yaml'}"
    done = subprocess.run([*command, values], capture_output=True, text=True, check=True)
    assert list(yaml.safe_load_all(done.stdout)) == list(
        yaml.safe_load_all((RENDERED / f"{name}.yaml").read_text())
    )


def test_everything_that_can_be_set_arrives() -> None:
    found = {document["kind"]: document for document in rendered("everything")}
    monitors = {"PodMonitor", "ServiceMonitor"}
    assert set(found) == {"DaemonSet", "Service", "NetworkPolicy", "ConfigMap", "Pod"} | monitors
    spec = pod(found["DaemonSet"])
    assert spec["hostNetwork"] is False
    assert spec["priorityClassName"] == "system-node-critical"
    (container,) = spec["containers"]
    assert "--otlp.endpoint=http://collector:4318" in container["args"]
    assert "--web.config.file=/etc/vmguest-exporter/web/web.yml" in container["args"]
    assert "--config.file=/etc/vmguest-exporter/settings/settings.toml" in container["args"]
    assert container["args"][-1] == "--no-extended"
    assert container["image"].endswith("@sha256:" + 64 * "0")
    assert {each["name"] for each in spec["imagePullSecrets"]} == {"registry", "other"}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {"web-config", "config-settings", "config-scenarios", "ca"}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    assert found["DaemonSet"]["metadata"]["name"] == "vm"
    assert found["DaemonSet"]["spec"]["updateStrategy"]["type"] == "OnDelete"
    for kind, key in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        (endpoint,) = found[kind]["spec"][key]
        assert endpoint["scrapeTimeout"]
        assert {"targetLabel": "cluster", "replacement": "east"} in endpoint["relabelings"]
    assert "httpGet" not in container["livenessProbe"], "the kubelet has no password"
    assert {document["kind"] for document in rendered("default")} == {"DaemonSet", "Service", "Pod"}


def test_every_value_is_documented_in_both_places() -> None:
    done = subprocess.run(
        [sys.executable, CHART.parent / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_value_says_what_it_is_for() -> None:
    def described(schema: dict[str, Any]) -> bool:
        return "description" in schema or all(map(described, schema["properties"].values()))

    assert described(json.loads((CHART / "values.schema.json").read_text()))


@pytest.mark.real
def test_the_chart_brings_the_rules_and_boards_of_the_repository(helm: str) -> None:
    """As they are; nothing of them is kept twice."""
    switched_on = (
        "prometheusRule.enabled=true,dashboards.enabled=true,prometheusRule.runbookUrl=https://wiki.example/"
    )
    command = [helm, "template", "vmguest", str(CHART), "--kube-version=1.31.0", f"--set={switched_on}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [document for document in yaml.safe_load_all(done.stdout) if document]
    specs = [document["spec"] for document in found if document["kind"] == "PrometheusRule"]
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    assert specs == [
        yaml.safe_load(runbook.linked(path.read_text(), "https://wiki.example")) for path in files
    ]
    boards = {
        name: json.loads(text)
        for document in found
        if document["kind"] == "ConfigMap"
        for name, text in document["data"].items()
    }
    assert boards == {
        path.name: json.loads(path.read_text()) for path in (DEPLOY.parent / "dashboards").glob("*.json")
    }


def test_the_chart_s_files_are_links_to_those_of_the_repository() -> None:
    rules = {path.resolve() for path in (CHART / "files" / "rules").iterdir()}
    boards = {path.resolve() for path in (CHART / "files" / "dashboards").iterdir()}
    assert rules == set((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    assert boards == set((DEPLOY.parent / "dashboards").glob("*.json"))


def test_values_fit_their_schema_and_mistakes_do_not() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)
    jsonschema.validate(yaml.safe_load((RENDERED / "everything.values.yaml").read_text()), schema)
    for mistake in (
        {"prot": 1},
        {"port": 0},
        {"settings": {"--poll.interval": "1s"}},
        {"settings": {"poll.intervall": "1s"}},
        {"settings": {"otlp.headers": {"a": "b"}}},
        {"podLabels": {"app.kubernetes.io/name": "mine"}},
        {"extraLabels": {"app.kubernetes.io/instance": "mine"}},
        {"seccomp": {"type": "Off"}},
        {"settings": {"poll.interval": 5}},
        {"settings": {"log.format": "jsn"}},
        {"settings": {"extended": "maybe"}},
        {"podAnnotations": {"prometheus.io/scrape": True}},
        {"nodeSelector": {"hypervisor": True}},
        {"extraEnv": [{"name": "A", "valu": "b"}]},
        {"extraEnvFrom": [{"secretref": {"name": "otlp"}}]},
        {"extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readonly": True}]},
        {"resources": {"limit": {"memory": "1Gi"}}},
        {"updateStrategy": {"typ": "OnDelete"}},
        {"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}},
        {"tolerations": [{"operator": "Exists", "efect": "NoSchedule"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(values | mistake, schema)
    assert set(schema["properties"]) == set(values) | {"global"}
    assert set(schema["properties"]["settings"]["properties"]) == {option.word for option in OPTIONS}


def template(helm: str, folder: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """With a values file: there helm reads every number as a float."""
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    command = [helm, "template", "vmguest", str(CHART), "--kube-version=1.31.0"]
    command.append(f"--values={folder / 'values.yaml'}")
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


TURNED = {
    **yaml.safe_load((RENDERED / "everything.values.yaml").read_text()),
    "securityContext": {"runAsNonRoot": True},
    "prometheusRule": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "runbookUrl": "https://wiki.example/",
    },
    "dashboards": {"enabled": True, "labels": {"grafana": "vm"}, "annotations": {"folder": "VMware"}},
}
"""Another value for everything that there is."""


def branches(values: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where each value that is described stands."""
    for key, value in values.items():
        below = schema["properties"][key]
        if "description" in below:
            yield (key,)
        else:
            yield from ((key, *rest) for rest in branches(value, below))


@pytest.mark.real
def test_every_value_has_an_effect(helm: str, tmp_path: Path) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    whole = template(helm, tmp_path, TURNED)
    assert whole.returncode == 0, whole.stderr
    idle = []
    for path in branches(values, schema):
        turned, before = copy.deepcopy(TURNED), whole.stdout
        if path == ("image", "tag"):
            # The digest wins.
            del turned["image"]["digest"]
            before = template(helm, tmp_path, turned).stdout
        place = turned
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        if template(helm, tmp_path, turned).stdout == before:
            idle.append(".".join(path))
    assert not idle


class _Strict(yaml.SafeLoader):
    """Refuses what Kubernetes refuses: a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


@pytest.mark.real
def test_a_label_set_twice_is_there_once(helm: str, tmp_path: Path) -> None:
    labels = {"team": "monitors"}
    values: dict[str, Any] = {"extraLabels": {"team": "all"}, "podLabels": {"team": "pods"}}
    values |= {
        name: {"enabled": True, "labels": labels}
        for name in ("podMonitor", "serviceMonitor", "prometheusRule", "dashboards")
    }
    done = template(helm, tmp_path, values)
    found = [each for each in yaml.load_all(done.stdout, _Strict) if each]
    assert {
        each["metadata"]["labels"]["team"]
        for each in found
        if each["kind"] in ("PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap")
    } == {"monitors"}
    (pods,) = (each["spec"]["template"] for each in found if each["kind"] == "DaemonSet")
    assert pods["metadata"]["labels"]["team"] == "pods"


@pytest.mark.real
def test_pods_start_anew_with_their_files(helm: str, tmp_path: Path) -> None:
    def annotations(**values: Any) -> dict[str, str]:
        done = template(helm, tmp_path, values)
        (found,) = (each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] == "DaemonSet")
        made: dict[str, str] = found["spec"]["template"]["metadata"].get("annotations", {})
        return made

    assert not annotations()
    first = annotations(settingsFile="log.level = 'info'", podAnnotations={"a": "b"})
    second = annotations(settingsFile="log.level = 'debug'", podAnnotations={"a": "b"})
    assert first.keys() == second.keys() == {"a", "checksum/files"}
    assert first != second


@pytest.mark.real
@pytest.mark.parametrize(
    "values",
    [{"settings": {"web": False}}, {"settings": {"web": "off"}}],
    ids=str,
)
def test_without_pages_nothing_asks_for_one(helm: str, tmp_path: Path, values: dict[str, Any]) -> None:
    done = template(helm, tmp_path, values | {"networkPolicy": {"enabled": True}})
    assert done.returncode == 0, done.stderr
    found = {document["kind"]: document for document in yaml.safe_load_all(done.stdout) if document}
    assert set(found) == {"DaemonSet", "NetworkPolicy"}
    (container,) = pod(found["DaemonSet"])["containers"]
    assert not {"livenessProbe", "readinessProbe", "ports"} & set(container)
    assert found["NetworkPolicy"]["spec"]["ingress"] == []
    for document in found.values():
        kubernetes_validate.validate(document, "1.31", strict=True)


@pytest.mark.real
@pytest.mark.parametrize("web", [True, False])
def test_what_the_chart_knows_of_the_pages_no_hidden_file_or_variable_changes(
    helm: str, tmp_path: Path, web: bool
) -> None:
    """A flag wins over what it can't look into: extraEnvFrom, a settings file in a volume."""
    pushed = {"otlp.endpoint": "http://collector:4318"}
    done = template(helm, tmp_path, {"settings": pushed if web else pushed | {"web": False}})
    (found,) = (each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] == "DaemonSet")
    (container,) = pod(found)["containers"]
    assert {f"--web={str(web).lower()}", "--web.telemetry-path=/metrics"} <= set(container["args"])
    hidden = {"VMGUEST_WEB_ENABLED": str(not web).lower(), "VMGUEST_WEB_TELEMETRY_PATH": "/z"}
    settings = load(flags.read(container["args"]).given, hidden)
    assert (settings.web.enabled, settings.web.telemetry_path) == (web, "/metrics")


@pytest.mark.real
def test_words_that_only_begin_like_web_are_no_settings_of_it(helm: str, tmp_path: Path) -> None:
    checks = '[[ha.check]]\nname = "web"\ntype = "tcp"\naddress = "web:80"\n'
    done = template(helm, tmp_path, {"settingsFile": checks, "extraArgs": ["--no-extended"]})
    assert done.returncode == 0, done.stderr


@pytest.mark.real
def test_numbers_and_the_path_arrive_as_they_are_meant(helm: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"simulated.seed": 123456789, "replay.speed": 1.5}
    settings |= {"web.telemetry-path": "/vm", "web.config.file": "/etc/web.yml"}
    done = template(
        helm,
        tmp_path,
        {"settings": settings, "podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
    )
    assert done.returncode == 0, done.stderr
    found = {document["kind"]: document for document in yaml.safe_load_all(done.stdout) if document}
    (container,) = pod(found["DaemonSet"])["containers"]
    assert {"--simulated.seed=123456789", "--replay.speed=1.5"} <= set(container["args"])
    assert "httpGet" not in container["livenessProbe"], "web.yml may ask for a password"
    assert found["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["path"] == "/vm"
    assert found["ServiceMonitor"]["spec"]["endpoints"][0]["path"] == "/vm"
    done = template(helm, tmp_path, {"settings": {"web.telemetry-path": "/vm"}})
    assert '{port}/vm"' in done.stdout


@pytest.mark.real
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"settings": {"web.listen-address": ":9000"}}, "set port instead"),
        ({"settings": {"web": False}, "podMonitor": {"enabled": True}}, "there is nothing to scrape"),
        (
            {"serviceMonitor": {"enabled": True, "interval": "15s", "scrapeTimeout": "1m"}},
            "1m is longer than the interval, 15s",
        ),
        ({"updateStrategy": {"type": "Recreate"}}, "updateStrategy"),
        ({"fullnameOverride": "A_b"}, "fullnameOverride"),
        ({"extraArgs": ["--no-web"]}, "extraArgs: --no-web: the Service, the probes"),
        ({"extraArgs": ["--web=false"]}, "extraArgs: --web=false: "),
        ({"extraArgs": ["--web.config.file", "/y"]}, "extraArgs: --web.config.file: "),
        ({"extraArgs": ["--web.telemetry-path=/z"]}, "extraArgs: --web.telemetry-path=/z: "),
        (
            {"extraEnv": [{"name": "VMGUEST_WEB_ENABLED", "value": "false"}]},
            "extraEnv: VMGUEST_WEB_ENABLED: ",
        ),
        ({"settingsFile": "[poll]\ninterval = '1s'\n[web]\nenabled = false"}, "settingsFile: web: "),
        ({"settingsFile": "web.config.file = '/y'"}, "settingsFile: web: "),
        ({"settingsFile": "web = {enabled = false}"}, "settingsFile: web: "),
        ({"settingsFile": "[web.config]\nfile = '/y'"}, "settingsFile: web: "),
        ({"settingsFile": "[poll]", "settings": {"config.file": "/y"}}, "is made of settingsFile"),
        ({"webConfigSecret": "a", "settings": {"web.config.file": "/y"}}, "is made of webConfigSecret"),
        (
            {"webConfigSecret": "a", "extraConfigMaps": {"web": {"web.yml": ""}}},
            "/etc/vmguest-exporter/web: two volumes",
        ),
        (
            {"settingsFile": "[poll]", "extraConfigMaps": {"settings": {"settings.toml": ""}}},
            "extraConfigMaps: settings is the name",
        ),
        (
            {"webConfigSecret": "a", "extraVolumes": [{"name": "web-config", "emptyDir": {}}]},
            "a volume web-config of the chart's own",
        ),
        (
            {
                "extraConfigMaps": {"more": {"a": ""}},
                "extraVolumeMounts": [{"name": "x", "mountPath": "/etc/vmguest-exporter/more/"}],
            },
            "/etc/vmguest-exporter/more: two volumes",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(
    helm: str, tmp_path: Path, values: dict[str, Any], told: str
) -> None:
    done = template(helm, tmp_path, values)
    assert done.returncode != 0
    assert told in done.stderr
