"""A fleet's files for Kubernetes: whole, confined, and in what they start equal to the files for Compose beside them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
FLEET = DEPLOY / "fleet"
FOLDERS = sorted(file.parent for file in FLEET.rglob("kubernetes.yaml"))
MEASURED = (FLEET / "MEASURED.md").read_text()
UNITS = {"Mi": 1, "Gi": 1024}
LAYOUTS = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def documents(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / "kubernetes.yaml").read_text()))


def kinds(folder: Path, *names: str) -> list[dict[str, Any]]:
    return [document for document in documents(folder) if document["kind"] in names]


def workloads(folder: Path) -> list[dict[str, Any]]:
    return kinds(folder, "Deployment", "StatefulSet")


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def name(document: dict[str, Any]) -> str:
    found: str = document["metadata"]["name"]
    return found


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def compose(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())
    return found


def generated(folder: Path) -> dict[str, list[Path]]:
    """ConfigMap -> its files: those that the folder's kustomization makes, and those of the folders that it names."""
    found: dict[str, list[Path]] = {}
    for resource in [folder, *(folder / each for each in kustomization(folder)["resources"])]:
        if resource.is_dir():
            for each in kustomization(resource).get("configMapGenerator", ()):
                found[each["name"]] = [resource / file for file in each["files"]]
    return found


class Started(NamedTuple):
    image: str
    entrypoint: tuple[str, ...]
    words: tuple[str, ...]
    places: frozenset[str]
    """Where files and volumes are mounted."""
    grace: int | None
    """Seconds for an orderly stop, where it is said."""


def words(each: list[str]) -> tuple[str, ...]:
    """A script of the shell word by word: how it is quoted is no difference."""
    return tuple(
        word for text in each for word in (shlex.split(text) if "\n" in text or " && " in text else [text])
    )


def on_compose(folder: Path) -> dict[str, Started]:
    return {
        service: Started(
            each["image"],
            tuple(each.get("entrypoint", ())),
            words(each["command"]),
            frozenset(
                [volume.split(":")[1] for volume in each.get("volumes", ())]
                + [f"/{config}" for config in each.get("configs", ())]
            ),
            int(each["stop_grace_period"].removesuffix("s")) if "stop_grace_period" in each else None,
        )
        for service, each in compose(folder)["services"].items()
    }


def on_kubernetes(folder: Path) -> dict[str, Started]:
    """Each pod of a StatefulSet by its own name, and its addresses without the Service that they stand behind."""
    sets = {name(each): each["spec"] for each in kinds(folder, "StatefulSet")}

    def plain(text: str) -> str:
        for each, spec in sets.items():
            text = re.sub(rf"\b({each}-\d+)\.{spec['serviceName']}\b", r"\1", text)
            if spec["replicas"] == 1:
                text = re.sub(rf"\b{each}-0\b", each, text)
        return text

    found = {}
    for workload in workloads(folder):
        (container,) = pod(workload)["containers"]
        ordinals = range(workload["spec"]["replicas"]) if workload["kind"] == "StatefulSet" else [None]
        for ordinal in ordinals:
            own = name(workload) if ordinal is None else f"{name(workload)}-{ordinal}"
            values = {"metadata.name": own, "metadata.labels['apps.kubernetes.io/pod-index']": str(ordinal)}
            variables = {
                each["name"]: values[each["valueFrom"]["fieldRef"]["fieldPath"]]
                for each in container.get("env", ())
                if "fieldRef" in each["valueFrom"]
            }
            args = [text.replace("${HOSTNAME##*-}", str(ordinal)) for text in container["args"]]
            for variable, value in variables.items():
                args = [text.replace(f"$({variable})", value) for text in args]
            found[plain(own)] = Started(
                container["image"],
                tuple(container.get("command", ())),
                words([plain(text) for text in args]),
                frozenset(each["mountPath"] for each in container.get("volumeMounts", ())),
                pod(workload).get("terminationGracePeriodSeconds"),
            )
    return found


def test_differences_are_seen() -> None:
    """What the comparison is worth: one flag, one place, one script."""
    assert words(['sed "s/SHARD/0/" a &&\nexec b']) == words(["sed s/SHARD/0/ a && exec b"])
    assert words(["-a=b"]) != words(["-a=c"])
    (layout,) = (folder for folder in FOLDERS if folder.name == "vmagent")
    assert on_kubernetes(layout)["rules-1"] != on_compose(layout)["rules-2"]
    assert on_kubernetes(layout)["rules-whole"] != on_compose(layout)["rules-0"]


@LAYOUTS
def test_everything_is_started_as_on_compose(folder: Path) -> None:
    composed = on_compose(folder)
    # An object store to try it with; on Kubernetes a secret names your own.
    composed.pop("objects", None)
    assert on_kubernetes(folder) == composed


def test_thanos_has_one_ring() -> None:
    folder = FLEET / "not-run" / "thanos"
    (config,) = kinds(folder, "ConfigMap")
    ring = config["data"]["hashring.json"].replace(".receive:", ":")
    assert yaml.safe_load(ring) == yaml.safe_load(compose(folder)["configs"]["hashring"]["content"])


@LAYOUTS
def test_every_address_is_that_of_a_service_with_this_port(folder: Path) -> None:
    services = {name(each): each["spec"] for each in kinds(folder, "Service")}
    members = {
        f"{name(each)}-{ordinal}.{each['spec']['serviceName']}": each["spec"]["serviceName"]
        for each in kinds(folder, "StatefulSet")
        for ordinal in range(each["spec"]["replicas"])
    }
    texts = [text for each in workloads(folder) for text in pod(each)["containers"][0]["args"]]
    texts += [text for each in kinds(folder, "ConfigMap") for text in each["data"].values()]
    own = [file for files in generated(folder).values() for file in files if file.parent == folder]
    texts += [
        line for file in own for line in file.read_text().splitlines() if not line.strip().startswith("#")
    ]
    found = set()
    for text in texts:
        for ordinal in range(3):
            filled = text.replace("$(NODE)", str(ordinal)).replace("$(POD)", f"receive-{ordinal}")
            found |= set(re.findall(r"(?<![\w.$])([a-z][a-z0-9-]*(?:\.[a-z-]+)?):(\d{4,5})\b", filled))
    assert found or folder.name == "mimir"
    for host, port in found:
        service = services[members.get(host, host)]
        assert int(port) in {each["port"] for each in service["ports"]}, (host, port)
        # One pod by its name is what only a headless Service knows.
        assert host not in members or service["clusterIP"] == "None", host


@LAYOUTS
def test_services_and_budgets_select_pods_that_are_there(folder: Path) -> None:
    by_label = {name(each): each for each in workloads(folder)}
    for document in kinds(folder, "Service", "PodDisruptionBudget"):
        selector = document["spec"]["selector"]
        labels = selector.get("matchLabels", selector)
        workload = by_label[labels["app.kubernetes.io/name"]]
        assert workload["spec"]["template"]["metadata"]["labels"] == labels
        assert workload["spec"]["selector"]["matchLabels"] == labels
        ports = {each["name"] for each in pod(workload)["containers"][0]["ports"]}
        assert {each["targetPort"] for each in document["spec"].get("ports", ())} <= ports
    services = {name(each) for each in kinds(folder, "Service")}
    assert {each["spec"]["serviceName"] for each in kinds(folder, "StatefulSet")} <= services
    # What is there more than once goes away one at a time; what is there once could never be moved.
    assert {name(each) for each in kinds(folder, "PodDisruptionBudget")} == {
        name(each) for each in workloads(folder) if each["spec"]["replicas"] > 1 and name(each) != "rules"
    }


@LAYOUTS
def test_pods_are_confined(folder: Path) -> None:
    """As the Pod Security Standard "restricted" wants it, and with a root that nobody writes to."""
    for workload in workloads(folder):
        spec = pod(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@LAYOUTS
def test_pods_are_probed(folder: Path) -> None:
    for workload in workloads(folder):
        (container,) = pod(workload)["containers"]
        image = container["image"]
        ready, alive = (
            ("/-/ready", "/-/healthy")
            if "prom/" in image or "thanos/" in image
            else ("/ready", None)
            if "mimir" in image
            else ("/-/healthy", "/-/healthy")
            if image == "vmguest-exporter"
            else ("/health", "/health")
        )
        assert container["readinessProbe"]["httpGet"] == {"path": ready, "port": "http"}
        assert container.get("livenessProbe", {}).get("httpGet", {}).get("path") == alive
        if workload["spec"].get("volumeClaimTemplates") and alive:
            # To read what is on the disk may take longer than a probe waits.
            start = container["startupProbe"]
            assert start["periodSeconds"] * start["failureThreshold"] >= 600


@LAYOUTS
def test_copies_are_on_different_machines(folder: Path) -> None:
    for workload in kinds(folder, "StatefulSet"):
        if name(workload) in {"node", "storage", "receive", "mimir"}:
            assert workload["spec"]["replicas"] == 3
            (term,) = pod(workload)["affinity"]["podAntiAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]
            assert term["topologyKey"] == "kubernetes.io/hostname"
            assert term["labelSelector"] == workload["spec"]["selector"]


@LAYOUTS
def test_kustomizations_bring_every_file_that_is_mounted(folder: Path) -> None:
    made = generated(folder)
    assert all(file.is_file() for files in made.values() for file in files)
    files = {config: {file.name for file in paths} for config, paths in made.items()}
    files |= {name(each): set(each["data"]) for each in kinds(folder, "ConfigMap")}
    used = set()
    for workload in workloads(folder):
        spec = pod(workload)
        (container,) = spec["containers"]
        volumes = {each["name"]: each for each in spec.get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            config = volumes.get(mount["name"], {}).get("configMap", {}).get("name")
            if config:
                used.add(config)
                assert mount.get("subPath") in {*files[config], None}
                if mount["mountPath"] == "/rules":
                    wanted = {
                        Path(text.partition("=")[2]).name for text in container["args"] if "=/rules/" in text
                    }
                    assert wanted == files[config]
    assert used == set(files)
    assert kustomization(folder)["namespace"] == compose(folder)["name"]
    assert kustomization(folder)["resources"][0] == "kubernetes.yaml"
    assert (
        f"kubectl apply -k {folder.relative_to(DEPLOY.parent)}\n" in (folder / "kubernetes.yaml").read_text()
    )
    own = {pod(each)["containers"][0]["image"] for each in workloads(folder)} & {"vmguest-exporter"}
    assert {each["name"] for each in kustomization(folder).get("images", ())} == own


@LAYOUTS
def test_kustomize_makes_one_of_it(folder: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing: what it would put together is held by the other tests here")
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    namespace = compose(folder)["name"]
    maps = {name(each) for each in made if each["kind"] == "ConfigMap"}
    assert len(made) == len(documents(folder)) + len(generated(folder))
    for document in made:
        kubernetes_validate.validate(document, "1.31", strict=True)
        assert document["metadata"]["namespace"] == namespace
    used = {
        volume["configMap"]["name"]
        for document in made
        if document["kind"] in {"Deployment", "StatefulSet"}
        for volume in pod(document).get("volumes", ())
        if "configMap" in volume
    }
    assert used == maps


def memory(workload: dict[str, Any], kind: str) -> float:
    """Of all its pods, in MiB."""
    text: str = pod(workload)["containers"][0]["resources"][kind]["memory"]
    return float(text[:-2]) * UNITS[text[-2:]] * float(workload["spec"]["replicas"])


def sized() -> Iterator[tuple[str, str, float]]:
    """Layout, workload, and KiB that it takes more for each VM, by the last run."""
    found = re.search(
        r"Each VM more takes ([\d,]+) KiB of the store's memory, ([\d,]+) of the agents' and ([\d,]+)",
        MEASURED,
    )
    assert found
    store, agents, exporters = (float(each.replace(",", "")) for each in found.groups())
    yield "prometheus", "store", store
    yield "prometheus", "agent", agents
    yield "prometheus", "fleet", exporters
    # Two of three copies on each: together, twice the store's.
    yield "vmagent", "node", 2 * store
    yield "vmagent", "fleet", exporters


@pytest.mark.parametrize(("layout", "workload", "kib"), [*sized()])
def test_a_thousand_vms_fit_into_the_memory_that_pods_may_have(
    layout: str, workload: str, kib: float
) -> None:
    (found,) = (each for each in workloads(FLEET / layout) if name(each) == workload)
    assert memory(found, "limits") > 1000 * kib / 1024
    assert "--fleet=1000" in str(documents(FLEET / layout))
