"""A bill of materials of the image, as CycloneDX 1.5: the exporter, its locked dependencies with hashes, and the base.

python3 deploy/container/sbom.py --version 1.2.3 --base IMAGE@sha256:... --created 2026-01-01T00:00:00Z
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent / "requirements.txt"


def locked(text: str) -> list[dict[str, Any]]:
    """A component for each entry of a requirements file with hashes."""
    components = []
    for entry in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        if found := re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry):
            name, version = found[1], found[2]
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
            components.append(
                {
                    "type": "library",
                    "name": name,
                    "version": version,
                    "purl": f"pkg:pypi/{name.lower()}@{version}",
                    # One per file on the index; which of them is inside depends on the machine.
                    "hashes": [{"alg": "SHA-256", "content": each} for each in hashes],
                }
            )
    return components


def document(version: str, base: str, created: str) -> dict[str, Any]:
    image, _, digest = base.partition("@sha256:")
    own = {
        "type": "application",
        "name": "vmguest-exporter",
        "version": version,
        "purl": f"pkg:pypi/vmguest-exporter@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    system = {"type": "container", "name": image, "hashes": [{"alg": "SHA-256", "content": digest}]}
    library = {"type": "library", "name": "libguestlib0", "licenses": [{"license": {"id": "LGPL-2.1-only"}}]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": created, "component": own},
        "components": [*locked(LOCK.read_text(encoding="utf-8")), system, library],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name in ("version", "base", "created"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    if "@sha256:" not in given.base:
        sys.exit(f"--base={given.base}: expected a digest, as in debian@sha256:...")
    print(json.dumps(document(given.version, given.base, given.created), indent=2))


if __name__ == "__main__":
    main()
