"""The folder that ``make windows`` builds, unpacked and started where no other Python is."""

from __future__ import annotations

import shutil
import signal
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from deploy.windows.__main__ import NAME, make
from tests.windows.conftest import DRIVE, STUB, Windows, get, samples


@pytest.fixture(scope="session")
def built(wine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was built of a zip that is laid out as python.org's; its Python is the one of these tests."""
    home = DRIVE / "Python"
    work = tmp_path_factory.mktemp("folder")
    embeddable = work / "embeddable.zip"
    with zipfile.ZipFile(work / "python313.zip", "w", zipfile.ZIP_DEFLATED) as library:
        for file in sorted((home / "lib").rglob("*.py")):
            inside = file.relative_to(home / "lib")
            if inside.parts[0] not in {"site-packages", "tkinter", "turtledemo", "ensurepip", "pip"}:
                library.write(file, inside)
    with zipfile.ZipFile(embeddable, "w") as archive:
        archive.write(work / "python313.zip", "python313.zip")
        archive.writestr(
            "python313._pth", "python313.zip\r\n.\r\n\r\n# Uncomment to run site.main() automatically\r\n"
        )
        archive.writestr("LICENSE.txt", "Python's licence\n")
        for file in [*home.glob("*.exe"), *home.glob("python3*.dll"), *(home / "lib").iterdir()]:
            if file.suffix in {".exe", ".dll", ".pyd"}:
                archive.write(file, file.name)
    return make(embeddable, work / "build", work / "dist")


@pytest.fixture(scope="session")
def folder(built: Path) -> Iterator[Path]:
    """Unpacked. Its programs leave compiled modules there."""
    target = DRIVE / "folder"
    shutil.rmtree(target, ignore_errors=True)
    with zipfile.ZipFile(built) as archive:
        archive.extractall(target)
    yield target / NAME
    shutil.rmtree(target, ignore_errors=True)


def test_the_folder_serves_and_ends(windows: Windows, folder: Path, build: Callable[..., Path]) -> None:
    service = ET.parse(folder / f"{NAME}.xml").getroot()
    program = str(service.findtext("executable")).replace("%BASE%", Windows.path(folder))
    arguments = str(service.findtext("arguments")).replace('"', "").replace("%BASE%", Windows.path(folder))
    shutil.copy(build(STUB), windows.folder / "vmGuestLib.dll")
    library = windows.path(windows.folder / "vmGuestLib.dll")
    running = windows.start(
        *arguments.split(" "),
        "--web.listen-address=127.0.0.1:0",
        "--source=library",
        f"--library.path={library}",
        program=program,
        environ={"PYTHONPATH": r"C:\nowhere"},
    )
    assert samples(get(running.url()))["vmguest_cpu_shares"] == 0xFFFFFF03
    running.process.send_signal(signal.SIGINT)
    assert running.wait() == 0, running.log


def test_the_script_starts_it(windows: Windows, folder: Path) -> None:
    script = windows.path(folder / f"{NAME}.cmd")
    done = windows.run("/c", script, "--version", program="cmd", environ={"PYTHONPATH": ""})
    assert done.text.startswith("vmguest-exporter "), done.log
    assert done.process.returncode == 0


def test_licences_and_nothing_of_this_system(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        files = [PurePosixPath(name) for name in archive.namelist()]
        settings = archive.read(f"{NAME}/{NAME}.toml")
    inside = [file.relative_to(NAME) for file in files]
    licences = {file.name.partition("-")[0] for file in inside if file.parts[:1] == ("licences",)}
    wheels = {
        part.partition("-")[0] for file in inside for part in file.parts[1:2] if part.endswith(".dist-info")
    }
    assert {"vmguest", "python.txt"} <= licences
    assert wheels
    assert wheels - licences <= {"opentelemetry_proto"}
    assert not [file for file in inside if file.suffix == ".so" or "__pycache__" in file.parts]
    assert not [file for file in inside if file.parts[:2] == ("lib", "bin")]
    assert settings.count(b"\r\n") > 3
