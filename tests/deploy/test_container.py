"""Image and confinement: Dockerfile, what it copies and locks, and the profiles for seccomp, AppArmor and SELinux."""

from __future__ import annotations

import ctypes.util
import fnmatch
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROFILE = json.loads((FOLDER / "seccomp.json").read_text())

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 1, 2, 10, 16, 17, 40
CLONE_NEWUSER, CLONE_THREAD = 0x10000000, 0x00010000
EPERM, ENOSYS = 1, 38


def instructions() -> list[str]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [line for line in joined.splitlines() if line]


def one(word: str) -> str:
    (found,) = (line.partition(" ")[2] for line in instructions() if line.startswith(f"{word} "))
    return found


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_can_be_replaced_and_stages_are_two() -> None:
    assert re.fullmatch(
        r"ARG BASE=docker\.io/library/debian:bookworm-slim@sha256:[0-9a-f]{64}", instructions()[0]
    )
    assert [line for line in instructions() if line.startswith("FROM ")] == [
        "FROM ${BASE} AS build",
        "FROM ${BASE}",
    ]


def test_image_is_not_root_and_starts_without_a_shell() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", one("USER"))
    # An init first: a process that nobody waits for would else stay for ever.
    assert json.loads(one("ENTRYPOINT")) == [
        "/usr/bin/tini",
        "--",
        "/opt/vmguest-exporter/bin/vmguest-exporter",
    ]


def healthy(tmp_path: Path, *words: str, **variables: str) -> tuple[int, str]:
    """What the check says beside a first process with these words and variables."""
    file = tmp_path / "cmdline"
    file.write_bytes(b"".join(word.encode() + b"\0" for word in words))
    done = subprocess.run(
        [sys.executable, FOLDER / "health.py", file],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
    )
    assert not done.stderr
    return done.returncode, done.stdout


TINI = ("/usr/bin/tini", "--", "/opt/vmguest-exporter/bin/vmguest-exporter")


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/-/healthy" else 404)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (401, 0), (500, 1)])
@pytest.mark.parametrize("by_flag", [True, False])
def test_health_check_asks_where_the_exporter_listens(
    tmp_path: Path, status: int, code: int, by_flag: bool
) -> None:
    handler = type("Handler", (_Answers,), {"status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.server_address[1]}"
        if by_flag:
            found = healthy(tmp_path, *TINI, "--source=simulated", f"--web.listen-address={address}")
        else:
            found = healthy(tmp_path, "/sbin/init", VMGUEST_WEB_LISTEN_ADDRESS=address)
        thread.join(10)
    assert found[0] == code, found


def test_health_check_knows_who_is_dead_and_who_serves_nothing(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        dead = healthy(tmp_path, *TINI, f"--web.listen-address={address}")
    assert dead[0] == 1
    assert address in dead[1]
    pushes = ("--no-web", "--otlp.endpoint=http://127.0.0.1:4318")
    assert healthy(tmp_path, *TINI, *pushes) == (0, "alive\n")


@pytest.mark.parametrize("asks", ["NoClientCert", "RequireAndVerifyClientCert"])
def test_health_check_reaches_an_exporter_with_tls_and_passwords(
    tmp_path: Path, wait: Any, asks: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    files = {"cert_file": "server.pem", "key_file": "server.pem", "client_auth_type": asks}
    if asks != "NoClientCert":
        files["client_ca_file"] = "ca.pem"
    # The password is "x".
    users = {"admin": "$2b$04$qm4W0T0r0QJEBsVXIDqXVu3s5C0l1HhyUwDuqyPc8xTQS7oAqmO4i"}
    (tmp_path / "web.yml").write_text(yaml.safe_dump({"tls_server_config": files, "basic_auth_users": users}))
    flags = ("--source=simulated", f"--web.config.file={tmp_path / 'web.yml'}")
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "exporter", *flags, "--web.listen-address=127.0.0.1:0"]
        process = subprocess.Popen(command, stderr=stderr, cwd=ROOT)
    try:
        found = wait("exporter", lambda: re.search(r"https://(127\.0\.0\.1:\d+)/", log.read_text()), 60)
        alive = healthy(tmp_path, *TINI, *flags, f"--web.listen-address={found[1]}")
    finally:
        process.terminate()
        process.wait(30)
    assert alive == (0, "alive\n")


def test_labels_say_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
    assert {"title", "description", "licenses", "version", "revision"} <= set(labels)


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in instructions():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch.fnmatch(source, each) for each in kept), source


def test_locked_requirements_are_those_of_the_project_with_hashes() -> None:
    locked = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+) \\$", (FOLDER / "requirements.txt").read_text(), re.MULTILINE)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + project["optional-dependencies"]["web"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[requirement.name.lower()], prereleases=True), text
    entries = re.split(r"^(?=\S)", (FOLDER / "requirements.txt").read_text(), flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def decision(name: str, *arguments: int) -> int:
    """What the profile answers to a system call: 0 for allowed, else the errno. All rules of one action are one."""
    for rule in PROFILE["syscalls"]:
        if name not in rule["names"]:
            continue
        for each in rule.get("args", ()):
            value = arguments[each["index"]]
            if each["op"] == "SCMP_CMP_MASKED_EQ":
                if value & each["value"] != each["valueTwo"]:
                    break
            elif value != each["value"]:
                break
        else:
            return 0 if rule["action"] == "SCMP_ACT_ALLOW" else int(rule["errnoRet"])
    return int(PROFILE["defaultErrnoRet"])


@pytest.mark.parametrize("family", [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK])
def test_seccomp_allows_sockets_of(family: int) -> None:
    assert decision("socket", family, 1, 0) == 0


@pytest.mark.parametrize("family", [AF_PACKET, 3, 38, 39, 41, 0])
def test_seccomp_denies_sockets_of(family: int) -> None:
    assert decision("socket", family, 1, 0) == EPERM


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "pivot_root",
        "ptrace",
        "bpf",
        "unshare",
        "setns",
        "keyctl",
        "add_key",
        "init_module",
        "finit_module",
        "kexec_load",
        "reboot",
        "open_by_handle_at",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "swapon",
        "settimeofday",
        "iopl",
        "ioperm",
    ],
)
def test_seccomp_denies(name: str) -> None:
    assert decision(name, 0, 0, 0) == EPERM


def test_seccomp_lets_threads_start_but_no_namespaces() -> None:
    assert decision("clone", CLONE_THREAD) == 0
    assert decision("clone", CLONE_NEWUSER) == EPERM
    assert decision("clone3", 0) == ENOSYS


def test_seccomp_has_only_keys_that_runtimes_know() -> None:
    assert set(PROFILE) == {"defaultAction", "defaultErrnoRet", "archMap", "syscalls"}
    for rule in PROFILE["syscalls"]:
        assert set(rule) <= {"names", "action", "args", "comment", "errnoRet"}
        assert len(set(rule["names"])) == len(rule["names"])


@pytest.mark.real
def test_exporter_serves_under_the_profile(
    require: Callable[[str, str | None, str], str], tmp_path: Path, listening: Any, wait: Any
) -> None:
    require("libseccomp", ctypes.util.find_library("seccomp"), "apt-get install libseccomp2")
    runner = [sys.executable, str(Path(__file__).parent / "seccomp_run.py"), str(FOLDER / "seccomp.json")]
    probe = f"import socket\ntry: socket.socket({AF_PACKET}, socket.SOCK_RAW)\nexcept OSError as e: print(e.errno)"
    done = subprocess.run([*runner, sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(EPERM), "the profile is in force"
    flags = ("--source=simulated", "--web.listen-address=127.0.0.1:0", "--poll.interval=200ms")
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*runner, sys.executable, "-m", "exporter", *flags], stderr=stderr, cwd=ROOT, env={**os.environ}
        )
    try:
        port = wait("exporter", partial(listening, log), 20)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"vmguest_up 1" in answer.read()
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_apparmor_profile_lets_vsock_through() -> None:
    text = (FOLDER / "apparmor").read_text()
    assert "network vsock stream," in text
    assert "profile vmguest-exporter " in text


@pytest.mark.real
def test_apparmor_profile_parses(require_program: Callable[[str, str], str]) -> None:
    parser = require_program("apparmor_parser", "apt-get install apparmor")
    done = subprocess.run(
        [parser, "-Q", "-K", "-T", FOLDER / "apparmor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.real
def test_selinux_module_compiles(require_program: Callable[[str, str], str], tmp_path: Path) -> None:
    compiler = require_program("secilc", "apt-get install secilc")
    module = FOLDER / "vmguest_exporter.cil"
    assert "(allow process process (vsock_socket (create connect bind" in module.read_text()
    base = Path(__file__).parent / "base.cil"
    command: list[str | Path] = [
        compiler,
        "-o",
        tmp_path / "policy",
        "-f",
        tmp_path / "contexts",
        base,
        module,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readme_names_files_that_exist_and_real_options() -> None:
    text = (FOLDER / "README.md").read_text()
    for name in ("seccomp.json", "apparmor", "vmguest_exporter.cil", "requirements.txt"):
        assert name in text
        assert (FOLDER / name).exists()
    assert "seccomp=deploy/container/seccomp.json" in text


@pytest.mark.real
def test_image_builds_and_runs_without_an_engine(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    if not (os.environ.get("CI") or os.environ.get("BUILD_IMAGE")):
        pytest.skip("BUILD_IMAGE=1 builds it, as CI does, in two minutes")
    for program in ("mmdebstrap", "buildah"):
        require_program(program, f"apt-get install {program}")
    done = subprocess.run(
        ["sh", Path(__file__).parent / "build_image.sh", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    shutil.rmtree(tmp_path)
    assert done.returncode == 0, done.stdout
    print(done.stdout.splitlines()[-1])


def test_the_bill_of_materials_has_every_locked_dependency() -> None:
    base = f"debian@sha256:{'0' * 64}"
    command = [
        sys.executable,
        str(FOLDER / "sbom.py"),
        "--version=1.2.3",
        f"--base={base}",
        "--created=2026-01-01T00:00:00Z",
    ]
    bill = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    lock = (FOLDER / "requirements.txt").read_text()
    components = {each["name"]: each for each in bill["components"]}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE):
        assert components[name]["version"] == version
        assert components[name]["hashes"]
    assert sum(len(each.get("hashes", ())) for each in bill["components"]) == lock.count("--hash=") + 1
    unpinned = subprocess.run(
        [*command, "--base=debian:bookworm"], capture_output=True, text=True, check=False
    )
    assert (unpinned.returncode, "expected a digest" in unpinned.stderr) == (1, True)


def test_the_recipe_for_several_machines_pins_its_base() -> None:
    script = FOLDER / "build.sh"
    subprocess.run(["sh", "-n", script], check=True)
    assert script.stat().st_mode & 0o111
    arguments = set(re.findall(r"--build-arg (\w+)=", script.read_text()))
    assert arguments == {
        line.split()[1].partition("=")[0] for line in instructions() if line.startswith("ARG ")
    }
