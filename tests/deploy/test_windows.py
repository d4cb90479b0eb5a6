"""What ``make windows`` takes for a Python; the folder that it builds is run in tests/windows/."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from deploy.windows.__main__ import Wrong, main, unpack
from exporter.config import toml

FOLDER = Path(__file__).parents[2] / "deploy" / "windows"


def program(machine: int) -> bytes:
    """The headers of one (Microsoft, PE Format), without sections."""
    headers = struct.pack("<2s58xI", b"MZ", 64)
    return headers + struct.pack("<4sHHIIIHHH", b"PE\0\0", machine, 0, 0, 0, 0, 240, 0, 0x020B) + bytes(240)


WHOLE = {
    "python.exe": program(0x8664),
    "python3.dll": b"",
    "python313.dll": b"",
    "python313._pth": b"python313.zip\n.\n",
}


def embeddable(folder: Path, files: dict[str, bytes]) -> Path:
    file = folder / "python.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def test_an_embeddable_package_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    assert unpack(embeddable(tmp_path, WHOLE), tmp_path / "out") == "3.13"


@pytest.mark.parametrize(
    ("missing", "added", "why"),
    [
        ("python3.dll", {}, "no python3.dll, which bcrypt and protobuf need"),
        ("python.exe", {}, "no embeddable package"),
        ("python313._pth", {}, "no embeddable package"),
        ("python313._pth", {"python310._pth": b""}, "3.10 is too old"),
        ("python.exe", {"python.exe": program(0x014C)}, "another processor"),
        ("python.exe", {"python.exe": program(0xAA64)}, "another processor"),
    ],
)
def test_what_will_not_do_is_refused(tmp_path: Path, missing: str, added: dict[str, bytes], why: str) -> None:
    files = {name: content for name, content in WHOLE.items() if name != missing} | added
    with pytest.raises(Wrong, match=why):
        unpack(embeddable(tmp_path, files), tmp_path / "out")


def test_what_is_no_zip_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "python.exe"
    file.write_bytes(b"MZ")
    assert main([str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"{file}: no zip")
    assert main([]) == 2
    assert "make windows PYTHON=" in capsys.readouterr().err


def test_the_settings_file_of_the_folder_is_one(tmp_path: Path) -> None:
    """What is commented out is settings too: whoever takes the marks away has a service that starts."""
    lines = (FOLDER / "vmguest-exporter.toml").read_text(encoding="utf-8").splitlines()
    (whole := tmp_path / "all.toml").write_text("\n".join(line.removeprefix("# ") for line in lines[1:]))
    for file, told in ((FOLDER / "vmguest-exporter.toml", 1), (whole, 3)):
        read = toml.read(str(file))
        assert read.problems == []
        assert len(read.given) == told
        assert {each.option.name for each in read.given} <= {
            "web.listen-address",
            "web.config.file",
            "otlp.endpoint",
        }


def test_the_service_restarts_stops_and_logs() -> None:
    service = ET.parse(FOLDER / "vmguest-exporter.xml").getroot()
    assert service.findtext("id") == "vmguest-exporter"
    assert [each.get("action") for each in service.iter("onfailure")] == ["restart"] * 3
    assert service.findtext("stoptimeout")
    assert service.find("log") is not None
