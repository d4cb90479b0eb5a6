"""The folder that every package holds: this program with what it needs, for any Python from 3.11 on.

Wheels are those of ``deploy/container/requirements.txt``, by version and hash. Two forms: ``pure`` has no compiled part
and runs anywhere; the other has bcrypt and protobuf compiled for one architecture against Python's stable ABI. gRPC
has no wheel that fits more than one Python: it is in neither, and choosing it says what to install.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "deploy" / "container" / "requirements.txt"

NOT_HERE = frozenset({"grpcio", "opentelemetry-exporter-otlp-proto-grpc", "opentelemetry-exporter-otlp"})
COMPILED = frozenset({"bcrypt", "protobuf"})
"""Against the stable ABI: one wheel for each architecture."""
YAML = "pyyaml"
"""Its compiled part is for one Python only and can be left out: it is an accelerator."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's names of the architectures -> everybody else's."""

MAIN = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("vmguest-exporter needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])

from exporter.__main__ import entry

entry()
"""


def epoch() -> int:
    """The time that every file gets: SOURCE_DATE_EPOCH, else that of the last commit, else the changelog's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 else int((ROOT / "CHANGELOG.md").stat().st_mtime)


def make(folder: Path, wheels: Path, architecture: str = "") -> None:
    """Fill ``folder``; pure where ``architecture`` (Debian's name) is empty. ``wheels`` keeps what was fetched.

    Raises:
        subprocess.CalledProcessError: a wheel can't be had.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    locked = requirements()
    compiled = COMPILED if architecture else frozenset()
    without = NOT_HERE | {YAML} | (frozenset() if architecture else {"bcrypt"})
    machine = MACHINES[architecture or "amd64"]
    plain = fetch(
        wheels / "pure", (locked[name] for name in locked.keys() - without - compiled), "any", "none"
    )
    yaml = fetch(wheels / "yaml", [locked[YAML]], f"manylinux2014_{machine}", "cp311")
    bound = fetch(
        wheels / machine, (locked[name] for name in sorted(compiled)), f"manylinux2014_{machine}", "abi3"
    )
    for wheel in [*plain, *yaml, *bound]:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if wanted(name, wheel in yaml)])
    for file in folder.rglob("*.py"):
        text = file.read_bytes()
        if text.startswith(b"#!"):  # Nobody starts it: a first line for that would only mislead.
            file.write_bytes(text.partition(b"\n")[2])
    shutil.copytree(ROOT / "exporter", folder / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "__main__.py").write_text(MAIN, encoding="utf-8")
    settle(folder)


def requirements() -> dict[str, str]:
    """Name -> its lines in the locked requirements, hashes included."""
    entries = re.split(r"^(?=\S)", REQUIREMENTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in entries if "==" in entry}


def fetch(folder: Path, entries: Iterable[str], platform: str, abi: str) -> list[Path]:
    """The wheels of ``entries`` in ``folder``, by pip."""
    text = "".join(sorted(entries))
    if not text:
        return []
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = folder / "requirements.txt"
    listed.write_text(text, encoding="utf-8")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--only-binary=:all:", "--python-version=3.11", "--implementation", "py" if abi == "none" else "cp",
            "--abi", abi, "--platform", platform, "--dest", str(folder), "--requirement", str(listed),
        ],
        check=True,
    )  # fmt: skip
    return sorted(folder.glob("*.whl"))


def wanted(name: str, pure: bool) -> bool:
    """Whether a file of a wheel belongs in the folder."""
    if name.endswith((".pyi", "/RECORD", "/WHEEL")) or "/tests/" in name or ".data/" in name:
        return False
    return not (pure and name.endswith((".so", ".pyx", ".h", ".pxd")))


def settle(folder: Path) -> None:
    """One time, one mode for every file: the same source gives the same bytes."""
    when = epoch()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (when, when))
    os.environ["TZ"] = "UTC"
    if sys.platform != "win32":
        time.tzset()
