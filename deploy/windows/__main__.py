"""A folder for Windows that needs no installed Python, as a zip below ``dist/``: ``make windows PYTHON=embeddable.zip``.

The Python is the embeddable package of python.org (64-bit), which the user brings; the wheels are those of
``deploy/container/requirements.txt``, by version and hash.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.packages import tree
from exporter import __version__
from exporter.machine import images

HERE = Path(__file__).resolve().parent
NAME = "vmguest-exporter"
BUILD, DIST = tree.ROOT / "build" / "windows", tree.ROOT / "dist"
FILES = ("vmguest-exporter.cmd", "vmguest-exporter.xml", "vmguest-exporter.toml")
"""Beside this file, and in the folder."""
OLDEST = (3, 11)
_CRLF = {".cmd", ".toml", ".txt", ".xml"}
"""For editors that know nothing else."""


class Wrong(Exception):
    """The Python is not one that will do; says why, and what is wanted."""


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("make windows PYTHON=python-3.X.Y-embed-amd64.zip, of python.org", file=sys.stderr)
        return 2
    try:
        made = make(Path(argv[0]))
    except Wrong as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 2
    print(f"{made.relative_to(tree.ROOT)}: {made.stat().st_size:,} bytes")
    return 0


def make(python: Path, build: Path = BUILD, dist: Path = DIST) -> Path:
    """Build the folder and zip it; the zip's path.

    Raises:
        Wrong: ``python`` can't be used.
        subprocess.CalledProcessError: a wheel can't be had.
    """
    folder = build / NAME
    shutil.rmtree(folder, ignore_errors=True)
    release = unpack(python, folder / "python")
    pth = next((folder / "python").glob("python3*._pth"))
    # Beside the standard library; `site` stays off, so nothing of the machine's gets in.
    pth.write_text(pth.read_text(encoding="utf-8").rstrip() + "\n..\\lib\n", encoding="utf-8")
    lib = folder / "lib"
    install(release, lib)
    shutil.copytree(tree.ROOT / "exporter", lib / "exporter", ignore=shutil.ignore_patterns("__pycache__"))
    collect_licences(folder)
    for name in FILES:
        shutil.copy2(HERE / name, folder)
    shutil.copy2(tree.ROOT / "docs" / "windows.md", folder / "README.txt")
    for file in folder.iterdir():
        if file.suffix in _CRLF:
            file.write_bytes(b"\r\n".join(file.read_bytes().splitlines()) + b"\r\n")
    return pack(folder, dist / f"{NAME}-{__version__}-windows-amd64.zip")


def unpack(python: Path, folder: Path) -> str:
    """Unpack python.org's embeddable package, and look that it is one; its release, such as ``3.13``."""
    try:
        with zipfile.ZipFile(python) as archive:
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise Wrong(f"no zip: {error}") from error
    found = [re.fullmatch(r"python(3)(\d+)\._pth", file.name) for file in folder.iterdir()]
    releases = [(int(match[1]), int(match[2])) for match in found if match]
    program = folder / "python.exe"
    if len(releases) != 1 or not program.exists():
        raise Wrong("no embeddable package: it has no python.exe, or no python3*._pth")
    if releases[0] < OLDEST:
        raise Wrong(f"Python {releases[0][0]}.{releases[0][1]} is too old; 3.11 or newer is needed")
    if images.read(program).machine != images.AMD64:
        raise Wrong("a Python for another processor; take the 64-bit one, …-embed-amd64.zip")
    if not (folder / "python3.dll").exists():
        raise Wrong(
            "it has no python3.dll, which bcrypt and protobuf need; python.org's embeddable package has it"
        )
    return "{}.{}".format(*releases[0])


def install(release: str, folder: Path) -> None:
    """Fetch the wheels for that release of Python on Windows, and unpack them into ``folder``."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-compile", "--only-binary=:all:", "--require-hashes", "--implementation", "cp"]
    command += ["--platform", "win_amd64", "--python-version", release, "--target", str(folder)]
    subprocess.run([*command, "--requirement", str(tree.REQUIREMENTS)], check=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)  # programs, for the system that this was built on


def collect_licences(folder: Path) -> None:
    """Ours, Python's and those of every wheel, below ``licences``."""
    licences = folder / "licences"
    licences.mkdir()
    shutil.copy2(tree.ROOT / "LICENSE", licences / f"{NAME}.txt")
    for file in (folder / "python").glob("LICENSE*"):
        shutil.copy2(file, licences / "python.txt")
    for info in sorted((folder / "lib").glob("*.dist-info")):
        texts = [
            file
            for file in info.rglob("*")
            if re.match(r"(LICEN[CS]E|NOTICE|COPYING)", file.name, re.IGNORECASE)
        ]
        for number, file in enumerate(sorted(file for file in texts if file.is_file())):
            name = info.name.removesuffix(".dist-info")
            shutil.copy2(file, licences / f"{name}{f'-{number + 1}' if number else ''}.txt")


def pack(folder: Path, target: Path) -> Path:
    """Zip the folder, with its name in front; the same bytes for the same content."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(str(file.relative_to(folder.parent)), (2020, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())
    return target


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
