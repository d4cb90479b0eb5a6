from __future__ import annotations

import socket
import sys
import types
import uuid
from pathlib import Path

import pytest

from exporter import __version__
from exporter.machine import system
from exporter.outputs.otlp import resource
from exporter.outputs.otlp.resource import machine

ID = "0123456789abcdef0123456789abcdef"


def root(tmp_path: Path, name: str = "etc/machine-id", text: str = ID + "\n") -> str:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return str(tmp_path)


def test_a_machine_by_the_semantic_conventions(tmp_path: Path) -> None:
    found = machine({}, root(tmp_path), "vm1")
    assert found == {
        "service.name": "vmguest-exporter",
        "service.version": __version__,
        "service.instance.id": found["service.instance.id"],
        "host.name": "vm1",
        "host.id": ID,
        "host.arch": found["host.arch"],
        "os.type": "linux",
    }
    namespace = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
    assert found["service.instance.id"] == str(uuid.uuid5(namespace, f"vmguest-exporter/{ID}/vm1"))


def test_the_instance_stays_the_same_over_restarts_and_differs_between_clones(tmp_path: Path) -> None:
    where = root(tmp_path)
    first = machine({}, where, "vm1")["service.instance.id"]
    assert machine({}, where, "vm1")["service.instance.id"] == first
    assert machine({}, where, "vm2")["service.instance.id"] != first


def test_without_a_machine_id_the_instance_is_random(tmp_path: Path) -> None:
    where = root(tmp_path, text="uninitialized\n")
    first, second = machine({}, where), machine({}, where)
    assert "host.id" not in first
    assert first["service.instance.id"] != second["service.instance.id"]
    assert machine({}, str(tmp_path / "nothing"))["host.name"] == socket.gethostname()


def test_dbus_keeps_the_machine_id_on_older_systems(tmp_path: Path) -> None:
    assert machine({}, root(tmp_path, "var/lib/dbus/machine-id"))["host.id"] == ID


def test_windows_keeps_it_in_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = types.SimpleNamespace(registry=lambda key, name: f"of {name}")
    monkeypatch.setattr(resource, "windows", registry, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    found = machine({}, str(tmp_path))
    assert (found["host.id"], found["os.type"]) == ("of MachineGuid", "windows")


@pytest.mark.parametrize(("word", "arch"), [("AMD64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_architectures_have_the_conventions_names(
    word: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "architecture", lambda: word)
    assert machine({})["host.arch"] == arch


def test_an_unknown_architecture_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "architecture", lambda: "")
    assert "host.arch" not in machine({})


def test_what_the_operator_sets_wins(tmp_path: Path) -> None:
    found = machine({"service.name": "mine", "team": "a"}, root(tmp_path))
    assert (found["service.name"], found["team"]) == ("mine", "a")
