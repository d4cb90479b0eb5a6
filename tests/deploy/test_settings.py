"""Every flag, variable, port and path in deploy/ against the command line's own table."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from deploy.packages import __main__ as packages
from exporter.config import OPTIONS, Settings, flags, load
from exporter.config.places import InputFile

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RENDERED = Path(__file__).parent / "helm"

FLAGS = {row.flag: row for row in OPTIONS} | {row.negative: row for row in OPTIONS}
VARIABLES = {row.variable: row for row in OPTIONS}
FOREIGN = {
    "--alertmanagers.url": "Thanos",
    "--collector.textfile.directory": "node_exporter",
    "--storage.agent.path": "Prometheus",
    "--storage.tsdb.retention.time": "Prometheus",
    "--query.replica-label": "Thanos",
    "--tsdb.retention": "Thanos",
    "--alert.label-drop": "Thanos",
    "--receive.hashrings-file": "Thanos",
    "--receive.local-endpoint": "Thanos",
    "--receive.replication-factor": "Thanos",
    "--remote-write.address": "Thanos",
    "--tsdb.path": "Thanos",
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


ROLE = DEPLOY / "ansible" / "roles" / "vmguest_exporter"

runs_ansible = pytest.mark.complete(reason="each run of Ansible takes seconds")


def run_ansible(program: str, *words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / program), *map(str, words)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
    )


def as_systemd_reads(text: str) -> dict[str, str]:
    """Quoted values of an EnvironmentFile= (systemd.exec(5)): a backslash takes the meaning of the next of four."""
    return {
        name: re.sub(r'\\(["\\$`])', r"\1", value)
        for name, value in re.findall(r'^(\w+)="((?:[^"\\]|\\.)*)"$', text, re.MULTILINE)
    }


def written_by_role(tmp_path: Path, variables: dict[str, Any]) -> dict[str, str]:
    given = tmp_path / "variables.json"
    given.write_text(yaml.safe_dump(variables | yaml.safe_load((ROLE / "vars" / "main.yml").read_text())))
    written = tmp_path / "settings"
    done = run_ansible(
        "ansible",
        "localhost",
        "--connection=local",
        "--module-name=ansible.builtin.template",
        f"--args=src={ROLE / 'templates' / 'settings.j2'} dest={written}",
        f"--extra-vars=@{given}",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    return as_systemd_reads(written.read_text(encoding="utf-8"))


@runs_ansible
@pytest.mark.parametrize("host", ["every", "db-01.example.net"])
def test_settings_file_written_by_ansible_is_accepted(tmp_path: Path, host: str) -> None:
    (inventory,) = documents(DEPLOY / "ansible" / "inventory.yml")
    variables = inventory["vms"]["vars"] if host == "every" else inventory["vms"]["hosts"][host]
    found = written_by_role(tmp_path, variables)
    assert len(found) == len(variables["vmguest_exporter_settings"])
    assert set(found) <= set(VARIABLES)
    # The drop-in of the unit switches heartbeats on.
    drop_in = {"VMGUEST_HA_ENABLED": "true"} if variables.get("vmguest_exporter_ha") else {}
    load((), found | drop_in)


@runs_ansible
def test_switches_lists_and_secrets_arrive_as_they_are(tmp_path: Path) -> None:
    secret = 'Bearer "schlüssel" $HOME `x` \\'
    found = written_by_role(
        tmp_path,
        {
            "vmguest_exporter_settings": {
                "web": False,
                "extended.enabled": True,
                "web.listen-address": ["127.0.0.1:10052", "[::1]:10052"],
                "otlp.endpoint": "http://collector:4318",
                "otlp.headers": f"authorization={secret}",
            }
        },
    )
    assert found["VMGUEST_OTLP_HEADERS"] == f"authorization={secret}"
    settings = load((), {name: value for name, value in found.items() if name != "VMGUEST_OTLP_HEADERS"})
    assert not settings.web.enabled
    assert settings.extended.enabled
    assert len(settings.web.listen) == 2


def test_the_role_knows_every_setting() -> None:
    known = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["vmguest_exporter_variables"]
    expected = {name: option.variable for option in OPTIONS for name in (option.word, option.name)}
    assert known == expected, "python deploy/ansible/generate.py"


@runs_ansible
@pytest.mark.parametrize(
    ("package", "settings", "told"),
    [
        ("", {}, "vmguest_exporter_package has to be"),
        ("vmguest-exporter", {}, "vmguest_exporter_package has to be"),
        ("dist/x.deb", {"web.lisen-address": ":1"}, "unknown settings: web.lisen-address"),
        (
            "dist/x.deb",
            {"web": False, "otlp.headers": {"a": "b"}},
            "vmguest_exporter_settings: otlp.headers:",
        ),
        ("dist/x.deb", {"ha.grace": None, "poll.interval": "1s"}, "vmguest_exporter_settings: ha.grace:"),
        (
            "dist/x.deb",
            {"web.listen-address": [":1", None], "otlp.headers": []},
            "vmguest_exporter_settings: otlp.headers, web.listen-address:",
        ),
    ],
)
def test_the_role_says_what_is_missing_before_it_changes_anything(
    tmp_path: Path, package: str, settings: dict[str, Any], told: str
) -> None:
    checks = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())[:2]
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text()) | {
        "vmguest_exporter_package": package,
        "vmguest_exporter_settings": settings,
    }
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": variables,
            "tasks": checks,
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = run_ansible("ansible-playbook", "--inventory=localhost,", tmp_path / "play.yml", folder=tmp_path)
    assert done.returncode != 0
    assert told in " ".join(done.stdout.split())


def check_of_the_role(tmp_path: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    """What ``--check`` says of a machine that has nothing of it."""
    package = tmp_path / "vmguest-exporter.deb"
    package.touch()
    units = tmp_path / "units"
    units.mkdir()
    given = {
        "vmguest_exporter_package": str(package),
        "vmguest_exporter_everywhere": True,
        "vmguest_exporter_unit_folder": str(units),
        "ansible_python_interpreter": sys.executable,
    }
    play = [{"hosts": "localhost", "connection": "local", "vars": given | variables, "roles": [str(ROLE)]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    return run_ansible(
        "ansible-playbook", "--check", "--inventory=localhost,", tmp_path / "play.yml", folder=tmp_path
    )


@runs_ansible
@pytest.mark.parametrize("heartbeats", [False, True])
def test_a_check_before_the_first_installation_ends_well(tmp_path: Path, heartbeats: bool) -> None:
    done = check_of_the_role(tmp_path, vmguest_exporter_ha=heartbeats)
    assert done.returncode == 0, done.stdout
    assert "RUNNING HANDLER" in done.stdout
    assert not any((tmp_path / "units").iterdir())


@runs_ansible
@pytest.mark.parametrize(
    ("family", "found", "interpreter", "packages"),
    [
        ("Debian", ("3.11.2", "/usr/bin/python3.11"), "/usr/bin/python3.11", ["python3-venv"]),
        ("Debian", ("3.10.12", "/usr/bin/python3"), "python3.11", ["python3.11-venv"]),
        # EL 8's platform Python; EL 9 with 3.12 beside its own 3.9, which Ansible finds and uses; EL 10.
        ("RedHat", ("3.6.8", "/usr/libexec/platform-python"), "python3.11", ["python3.11"]),
        ("RedHat", ("3.9.18", "/usr/bin/python3"), "python3.11", ["python3.11"]),
        ("RedHat", ("3.12.5", "/usr/bin/python3.12"), "/usr/bin/python3.12", []),
        ("Suse", ("3.6.15", "/usr/bin/python3"), "python3.11", ["python311"]),
        ("Suse", ("3.11.9", "/usr/bin/python3.11"), "/usr/bin/python3.11", []),
    ],
)
def test_the_role_finds_a_python_that_is_new_enough(
    tmp_path: Path, family: str, found: tuple[str, str], interpreter: str, packages: list[str]
) -> None:
    first = yaml.safe_load((ROLE / "tasks" / "wheel.yml").read_text())[0]
    version, executable = found
    facts = {"os_family": family, "python_version": version, "python": {"executable": executable}}
    tell = "{{ vmguest_exporter_interpreter }} {{ vmguest_exporter_python_packages | join(',') }}."
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"vmguest_exporter_python": ""},
            "tasks": [
                {"ansible.builtin.set_fact": facts | {"cacheable": True}},
                first,
                {"ansible.builtin.debug": {"msg": tell}},
            ],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = run_ansible("ansible-playbook", "--inventory=localhost,", tmp_path / "play.yml", folder=tmp_path)
    assert f'"{interpreter} {",".join(packages)}."' in done.stdout, done.stdout


def test_what_the_role_writes_it_takes_away() -> None:
    """Every file that a task of the installation names; a run into a clean Debian and back left nothing behind."""
    written = "".join((ROLE / "tasks" / f"{name}.yml").read_text() for name in ("present", "wheel", "fetch"))
    taken = (ROLE / "tasks" / "absent.yml").read_text()
    places = re.findall(r"^ +(?:dest|creates): (?!>-)\"?([^\"\n]+)\"?$", written, re.MULTILINE)
    assert len(places) >= 6
    for place in places:
        if place.endswith("'/etc/default') }}/vmguest-exporter"):
            continue
        folder = place.replace("/var/tmp/{{ vmguest_exporter_package | basename }}", "/var/tmp")
        folder = re.sub(r"(/opt/vmguest-exporter|[.]service[.]d)/.*", r"\1", folder)
        folder = folder.replace("{{ vmguest_exporter_seccomp_folder }}", "")
        assert folder in taken, place
    for kept in ("/etc/default/vmguest-exporter", "/etc/sysconfig/vmguest-exporter"):
        assert kept in taken
    assert "/var/lib/private/vmguest-exporter" in taken, "the unit's StateDirectory"


@runs_ansible
@pytest.mark.parametrize(
    ("package", "folder"), [("x.whl", "/opt/vmguest-exporter/bin"), ("x.deb", "/usr/bin")]
)
def test_the_drop_in_for_heartbeats_names_the_program_where_it_is(
    tmp_path: Path, package: str, folder: str
) -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    drop_in = next(task for task in tasks if task["name"] == "Drop-in for heartbeats")
    content = (
        drop_in["ansible.builtin.copy"].pop("content").replace("'ha.conf'", f"'{ROLE / 'files' / 'ha.conf'}'")
    )
    drop_in["ansible.builtin.copy"] = {"content": content, "dest": str(tmp_path / "ha.conf"), "mode": "0600"}
    variables = {"vmguest_exporter_package": package, "vmguest_exporter_ha": True}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables}]
    del drop_in["notify"]
    play[0]["tasks"] = [drop_in]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = run_ansible(
        "ansible-playbook",
        "--inventory=localhost,",
        f"--extra-vars=ansible_python_interpreter={sys.executable}",
        tmp_path / "play.yml",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    original = (ROLE / "files" / "ha.conf").read_text()
    assert (tmp_path / "ha.conf").read_text() == original.replace("/opt/vmguest-exporter/bin", folder)
    assert f"ExecStopPost=-{folder}/vmguest-exporter ha finish-stop" in (tmp_path / "ha.conf").read_text()


@runs_ansible
@pytest.mark.parametrize("state", ["present", "absent"])
def test_machines_that_are_no_guests_are_left_alone_and_the_play_goes_on_there(
    tmp_path: Path, state: str
) -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    after: dict[str, Any] = {"ansible.builtin.debug": {"msg": "a later role"}}
    variables: dict[str, Any] = {
        "ansible_facts": {"virtualization_type": "kvm"},
        "vmguest_exporter_everywhere": False,
        "vmguest_exporter_state": state,
    }
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables}]
    play[0]["tasks"] = [*tasks, after]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = run_ansible("ansible-playbook", "--inventory=localhost,", tmp_path / "play.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "a later role" in done.stdout
    assert "skipped=2" in done.stdout


@runs_ansible
def test_a_state_that_is_none_is_refused(tmp_path: Path) -> None:
    done = check_of_the_role(tmp_path, vmguest_exporter_state="abesnt")
    assert done.returncode != 0
    assert "'abesnt'; it has to be present or absent" in " ".join(done.stdout.split())


@runs_ansible
def test_the_collection_carries_its_files(tmp_path: Path) -> None:
    """Built, installed elsewhere, and still the files of this repository: the links have become files."""
    built = run_ansible(
        "ansible-galaxy",
        "collection",
        "build",
        DEPLOY / "ansible",
        f"--output-path={tmp_path}",
        folder=tmp_path,
    )
    assert built.returncode == 0, built.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        for path in (ROLE / "files").iterdir():
            member = packed.getmember(f"roles/vmguest_exporter/files/{path.name}")
            assert member.isfile()
            content = packed.extractfile(member)
            assert content is not None
            assert content.read() == path.read_bytes()


@runs_ansible
def test_playbook_is_sound() -> None:
    ansible = str(Path(sys.executable).parent / "ansible-playbook")
    command = [ansible, "--syntax-check", "--inventory=inventory.yml", "playbook.yml"]
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd=DEPLOY / "ansible"
    )


@runs_ansible
@pytest.mark.parametrize("given", [True, False])
def test_role_ends_well_only_where_the_host_gives_statistics(
    tmp_path: Path, listening: Any, wait: Any, given: bool
) -> None:
    """The role's last task, without its patience, against an exporter on a simulated host and one without any."""
    (*_, last) = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    source = "--source=simulated" if given else f"--guestrpc.socket={tmp_path / 'nobody'}"
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "exporter", source, "--web.listen-address=127.0.0.1:0"]
        process = subprocess.Popen(command, stderr=stderr, cwd=DEPLOY.parent)
    try:
        port = wait("exporter", partial(listening, log), 20)
        variables = {
            "vmguest_exporter_settings": {
                "web.listen-address": f"127.0.0.1:{port}" if given else [f":{port}"]
            },
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


def run_tasks(
    tmp_path: Path, tasks: list[dict[str, Any]], variables: dict[str, Any], *words: str
) -> subprocess.CompletedProcess[str]:
    given = {"ansible_python_interpreter": sys.executable} | variables
    play = [
        {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": given, "tasks": tasks}
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    return run_ansible(
        "ansible-playbook", "--inventory=localhost,", *words, tmp_path / "play.yml", folder=tmp_path
    )


@runs_ansible
@pytest.mark.parametrize("setting", ["config.file", "web.config.file"])
def test_the_role_asks_no_page_of_which_a_file_decides(tmp_path: Path, setting: str) -> None:
    """Nobody listens at this port: asking would fail."""
    (*_, last) = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    settings = {"web.listen-address": "127.0.0.1:1", setting: "/etc/vmguest-exporter/file"}
    task = {**last, "retries": 1, "delay": 1}
    done = run_tasks(tmp_path, [task], {"vmguest_exporter_settings": settings})
    assert done.returncode == 0, done.stdout
    assert "skipped=1" in done.stdout


@runs_ansible
@pytest.mark.parametrize(
    ("package", "unit"), [("x.rpm", "etc/sysconfig"), ("x.deb", "etc/default"), ("x.whl", "")]
)
def test_settings_are_written_where_the_unit_looks(tmp_path: Path, package: str, unit: str) -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text())
    (task,) = (each for each in tasks if each["name"] == "Settings")
    text = packages.unit(unit) if unit else (DEPLOY / "systemd" / "vmguest-exporter.service").read_text()
    (looked,) = re.findall(r"^EnvironmentFile=-(.+)$", text, re.MULTILINE)
    tell = {"ansible.builtin.debug": {"msg": f"<{task['ansible.builtin.template']['dest']}>"}}
    done = run_tasks(tmp_path, [tell], {"vmguest_exporter_package": package})
    assert f"<{looked}>" in done.stdout, done.stdout


@runs_ansible
@pytest.mark.parametrize("installed", [True, False])
def test_only_a_seccomp_profile_of_the_role_s_own_is_taken_away(tmp_path: Path, installed: bool) -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "absent.yml").read_text())
    (task,) = (each for each in tasks if each["name"] == "No files")
    tell = {"ansible.builtin.debug": {"msg": "<{{ item }}>"}, "loop": task["loop"], "vars": task["vars"]}
    variables: dict[str, Any] = {
        "vmguest_exporter_seccomp_folder": "/srv/seccomp" if installed else "",
        "vmguest_exporter_unit_folder": "/etc/systemd/system",
        "vmguest_exporter_copies": {"files": []},
    }
    done = run_tasks(tmp_path, [tell], variables)
    assert "</opt/vmguest-exporter>" in done.stdout, done.stdout
    assert ("</srv/seccomp/vmguest-exporter.json>" in done.stdout) is installed
    assert ("vmguest-exporter.json" in done.stdout) is installed


def test_files_that_the_role_copies_exist_and_its_variables_are_documented() -> None:
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").glob("*.yml"))
    for source in re.findall(r"^    src: ([\w.-]+)$", tasks, re.MULTILINE):
        assert any((ROLE / folder / source).exists() for folder in ("files", "templates")), source
    defaults = (ROLE / "defaults" / "main.yml").read_text()
    declared = set(yaml.safe_load(defaults))
    own = set(
        re.findall(r"^    (vmguest_exporter_\w+):|register: (vmguest_exporter_\w+)", tasks, re.MULTILINE)
    )
    made = {name for pair in own for name in pair if name} | {"vmguest_exporter_variables"}
    used = set(
        re.findall(r"\bvmguest_exporter_\w+", tasks + (ROLE / "templates" / "settings.j2").read_text())
    )
    assert used - made == declared
    for name in declared:
        assert re.search(rf"^# .*\n{name}:", defaults, re.MULTILINE), name
