"""Who sends: the attributes of the OTLP resource.

Names and values: OpenTelemetry semantic conventions, ``registry/attributes`` (service, host, os). There are none
for VMware or any hypervisor. What the host says of itself is not among them: a resource is the identity of every
series, and a vMotion to another host would make all of them new ones. It has info metrics.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from exporter import __version__, files
from exporter.machine import system

if sys.platform == "win32":
    from exporter.machine import windows

SERVICE = "vmguest-exporter"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
"""The version of the semantic conventions that the names below were taken from; all of them are stable there."""

_INSTANCE_NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The semantic conventions' namespace for a service.instance.id that is made of something lasting."""
_ARCHITECTURES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "x86",
    "i686": "x86",
    "x86": "x86",
}
_MACHINE_ID = ("etc/machine-id", "var/lib/dbus/machine-id")


def machine(given: Mapping[str, str], root: str = "/", node: str | None = None) -> dict[str, str]:
    """The attributes that never change while the process lives; ``given`` ones win.

    ``service.instance.id`` stays the same over restarts, so that the series do. It is made of the machine's id
    and its name: cloned machines tend to share the first.
    """
    name = node or system.host_name()
    found = {
        "service.name": SERVICE,
        "service.version": __version__,
        "host.name": name,
        "os.type": {"win32": "windows"}.get(sys.platform, sys.platform),
    }
    architecture = system.architecture().lower()
    if architecture:
        found["host.arch"] = _ARCHITECTURES.get(architecture, architecture)
    if identity := _machine_id(root):
        found["host.id"] = identity
        found["service.instance.id"] = str(uuid.uuid5(_INSTANCE_NAMESPACE, f"{SERVICE}/{identity}/{name}"))
    else:
        found["service.instance.id"] = str(uuid.uuid4())
    return {**found, **given}


def _machine_id(root: str) -> str:
    """machine-id(5); on Windows the MachineGuid, as the conventions have it."""
    for name in _MACHINE_ID:
        with suppress(OSError):
            text = files.read_text(Path(root, name)).strip()
            # "uninitialized" stands there during the first boot.
            if len(text) == 32:
                return text
    if sys.platform == "win32":
        return windows.registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")
    return ""
