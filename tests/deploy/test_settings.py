"""Every flag, variable, port and path in deploy/ against the command line's own table."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from exporter.config import OPTIONS, Settings, flags, load
from exporter.config.places import InputFile

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RENDERED = Path(__file__).parent / "helm"

FLAGS = {row.flag: row for row in OPTIONS} | {row.negative: row for row in OPTIONS}
VARIABLES = {row.variable: row for row in OPTIONS}
FOREIGN = {
    "--storage.tsdb.retention.time": "Prometheus",
    "--web.enable-otlp-receiver": "Prometheus",
}
"""Flags with a dot that other programs in these files have."""
SUFFIXES = {".yml", ".yaml", ".md", ".service", ".conf", ".default", ".j2", ".tpl", ""}


class Invocation(NamedTuple):
    """One way in which a file starts the exporter."""

    place: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = {}


def texts() -> Iterator[Path]:
    yield ROOT / "Dockerfile"
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file() and path.suffix in SUFFIXES:
            yield path


def documents(path: Path) -> list[Any]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def assignments(lines: Sequence[str]) -> dict[str, str]:
    return dict(re.findall(r"^#?(VMGUEST_\w+)=(.*)$", "\n".join(lines), re.MULTILINE))


def invocations() -> Iterator[Invocation]:
    systemd = DEPLOY / "systemd"
    for path in (systemd / "vmguest-exporter.default", systemd / "vmguest-exporter.service.d" / "ha.conf"):
        lines = [line.removeprefix("Environment=") for line in path.read_text().splitlines()]
        yield Invocation(str(path.relative_to(ROOT)), (), assignments(lines))
    (command,) = re.findall(
        r"^ExecStart=\S+(.*)$", (systemd / "vmguest-exporter.service").read_text(), re.MULTILINE
    )
    yield Invocation("vmguest-exporter.service", command.split())
    (compose,) = documents(DEPLOY / "compose" / "compose.yaml")
    for name, service in compose["services"].items():
        if service.get("image") == "vmguest-exporter":
            yield Invocation(f"compose {name}", service.get("command", ()), service["environment"])
    manifests = [
        DEPLOY / "kubernetes" / "base" / "daemonset.yaml",
        RENDERED / "default.yaml",
        RENDERED / "everything.yaml",
    ]
    for path in manifests:
        for document in documents(path):
            if document["kind"] == "DaemonSet":
                (container,) = document["spec"]["template"]["spec"]["containers"]
                environment = {each["name"]: each.get("value", "a=b") for each in container.get("env", ())}
                yield Invocation(path.name, container["args"], environment)
    readme = (DEPLOY / "container" / "README.md").read_text()
    for arguments in re.findall(r"docker run .* vmguest-exporter((?: --\S+)+)$", readme, re.MULTILINE):
        yield Invocation("container README", arguments.split())


ALL = list(invocations())


@pytest.mark.parametrize("invocation", ALL, ids=lambda each: each.place)
def test_settings_are_accepted(invocation: Invocation, tmp_path: Path) -> None:
    there = tmp_path / "file.toml"
    there.write_text("")
    environment = {}
    for name, value in invocation.environment.items():
        kind = VARIABLES[name].kind
        environment[name] = str(there) if isinstance(kind, InputFile) else str(value)
    arguments = []
    for argument in invocation.arguments:
        flag, equals, value = argument.partition("=")
        path = str(there) if isinstance(FLAGS[flag].kind, InputFile) else value
        arguments.append(flag + equals + path)
    line = flags.read(arguments)
    assert not line.problems
    assert not line.command
    load(line.given, environment)


def test_every_way_to_start_it_was_found() -> None:
    kinds = {invocation.place.split()[0].rpartition("/")[2] for invocation in ALL}
    assert {"vmguest-exporter.default", "ha.conf", "vmguest-exporter.service"} <= kinds
    assert {"compose", "daemonset.yaml", "default.yaml", "everything.yaml", "container"} <= kinds


@pytest.mark.parametrize("path", list(texts()), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_in_a_text_is_a_setting(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"\bVMGUEST_[A-Z][A-Z_]*[A-Z]\b", text):
        assert name in VARIABLES, name
    for flag in re.findall(r"(?<![\w-])--[a-z]+(?:[.-][a-z-]+)*\.[a-z][a-z.-]*[a-z]", text):
        assert flag in FLAGS or flag in FOREIGN, flag


def test_port_is_the_default_one_everywhere() -> None:
    (address,) = Settings().web.listen
    assert address.port == 10052
    for path in texts():
        ports = set(re.findall(r"\b100[45]\d\b", path.read_text()))
        assert ports <= {"10052"}, path


def test_settings_file_written_by_ansible_is_accepted(tmp_path: Path) -> None:
    (inventory,) = documents(DEPLOY / "ansible" / "inventory.yml")
    template = DEPLOY / "ansible" / "roles" / "vmguest_exporter" / "templates" / "settings.j2"
    ansible = str(Path(sys.executable).parent / "ansible")
    for number, host in enumerate([inventory["vms"]["vars"], inventory["vms"]["hosts"]["db-01.example.net"]]):
        written = tmp_path / f"settings{number}"
        variables = tmp_path / "variables.json"
        variables.write_text(yaml.safe_dump(host))
        command = [ansible, "localhost", "--connection=local", "--module-name=ansible.builtin.template"]
        words = [f"--args=src={template} dest={written}", f"--extra-vars=@{variables}"]
        subprocess.run(
            [*command, *words],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            cwd=tmp_path,
        )
        found = {
            name: value.strip('"') for name, value in assignments(written.read_text().splitlines()).items()
        }
        assert len(found) == len(host["vmguest_exporter_settings"])
        assert set(found) <= set(VARIABLES)
        # The drop-in of the unit switches heartbeats on.
        drop_in = {"VMGUEST_HA_ENABLED": "true"} if host.get("vmguest_exporter_ha") else {}
        load((), found | drop_in)


def test_playbook_is_sound() -> None:
    ansible = str(Path(sys.executable).parent / "ansible-playbook")
    command = [ansible, "--syntax-check", "--inventory=inventory.yml", "playbook.yml"]
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd=DEPLOY / "ansible"
    )


@pytest.mark.parametrize("given", [True, False])
def test_role_ends_well_only_where_the_host_gives_statistics(
    tmp_path: Path, listening: Any, wait: Any, given: bool
) -> None:
    """The role's last task, without its patience, against an exporter on a simulated host and one without any."""
    (*_, last) = yaml.safe_load((DEPLOY / "ansible/roles/vmguest_exporter/tasks/main.yml").read_text())
    host = "--source=simulated" if given else f"--guestrpc.socket={tmp_path / 'nobody'}"
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "exporter", host, "--web.listen-address=127.0.0.1:0"]
        process = subprocess.Popen(command, stderr=stderr, cwd=DEPLOY.parent)
    try:
        variables = {
            "vmguest_exporter_port": wait("exporter", partial(listening, log), 20),
            "vmguest_exporter_settings": {},
            "ansible_python_interpreter": sys.executable,
        }
        play = [
            {
                "hosts": "localhost",
                "connection": "local",
                "gather_facts": False,
                "vars": variables,
                "tasks": [{**last, "retries": 3 if given else 1, "delay": 1}],
            }
        ]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
        ansible = str(Path(sys.executable).parent / "ansible-playbook")
        done = subprocess.run(
            [ansible, "--inventory=localhost,", str(tmp_path / "play.yml")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=tmp_path,
        )
    finally:
        process.terminate()
        process.wait(10)
    assert (done.returncode == 0) is given, done.stdout
    assert given or "vmguest_up 0" in done.stdout


def test_files_that_the_role_copies_exist_and_its_variables_are_documented() -> None:
    role = DEPLOY / "ansible" / "roles" / "vmguest_exporter"
    tasks = (role / "tasks" / "main.yml").read_text()
    for source in re.findall(r"\{\{ role_path \}\}/(\S+?)\"", tasks):
        assert (role / source).resolve().exists(), source
    defaults = (role / "defaults" / "main.yml").read_text()
    declared = set(yaml.safe_load(defaults))
    template = (role / "templates" / "settings.j2").read_text()
    used = set(re.findall(r"\bvmguest_exporter_\w+", tasks + template)) - {"vmguest_exporter_page"}
    assert used == declared
    for name in declared:
        assert re.search(rf"^# .*\n{name}:", defaults, re.MULTILINE), name
