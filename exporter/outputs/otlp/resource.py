"""Who sends: the attributes of the OTLP resource.

Names and values: OpenTelemetry semantic conventions, ``registry/attributes`` (service, host, os). There are none
for VMware or any hypervisor, so its facts are under ``vmguest.``. Not the BIOS uuid by itself, which hardening
guides count as fingerprinting: it comes along only where the collector publishes it.
"""

from __future__ import annotations

import platform
import sys
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from exporter import __version__
from exporter.catalogue import BY_KEY, HOST_FACTS, HYPERVISOR, SESSION
from exporter.metrics.families import Family

SERVICE = "vmguest-exporter"

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

_FACTS = (HYPERVISOR.name, HOST_FACTS.name, BY_KEY["resource_pool_path"].metric.name)
"""The session's id is not among them: a resource is the identity of every series, and an id that changes with
each vMotion would make all of them new ones. It has a metric."""


def machine(given: Mapping[str, str], root: str = "/", node: str | None = None) -> dict[str, str]:
    """The attributes that never change while the process lives; ``given`` ones win.

    ``service.instance.id`` stays the same over restarts, so that the series do. It is made of the machine's id
    and its name: cloned machines tend to share the first.
    """
    name = node or platform.node()
    found = {
        "service.name": SERVICE,
        "service.version": __version__,
        "host.name": name,
        "os.type": {"win32": "windows"}.get(sys.platform, sys.platform),
    }
    architecture = platform.machine().lower()
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
        with suppress(OSError, UnicodeDecodeError):
            text = Path(root, name).read_text(encoding="ascii").strip()
            # "uninitialized" stands there during the first boot.
            if len(text) == 32:
                return text
    if sys.platform == "win32":
        import winreg

        with (
            suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key,
        ):
            return str(winreg.QueryValueEx(key, "MachineGuid")[0])
    return ""


class Facts:
    """What the host says about itself, for as long as its session lasts.

    A batch may lack it: its statistics are stale, or the round that reads it has not come yet. The resource
    must not change back and forth for that.
    """

    def __init__(self) -> None:
        self._session = ""
        self._known: dict[str, str] = {}

    def update(self, families: Iterable[Family]) -> Mapping[str, str]:
        """Take what ``families`` tell; everything known of the present session."""
        told: dict[str, str] = {}
        for family in families:
            if family.metric.name == SESSION.name:
                session = dict(family.points[0].labels)["session_id"]
                if session != self._session:
                    self._session, self._known = session, {}
            elif family.metric.name in _FACTS:
                for point in family.points:
                    told |= {
                        f"vmguest.{family.metric.name}.{label}": text for label, text in point.labels if text
                    }
        self._known |= told
        return self._known
