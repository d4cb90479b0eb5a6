"""Files of programs for Windows, written here after Microsoft's PE Format."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from exporter.machine import images

BASE = 0x1000
"""Address of the only section, which lies at 0x200 in the file."""


def image(machine: int, magic: int, needs: tuple[str, ...]) -> bytes:
    optional = {0x010B: 96, 0x020B: 112}[magic]
    names, table = b"", b""
    for name in needs:
        at = BASE + 20 * (len(needs) + 1) + len(names)
        table += struct.pack("<IIIII", 0, 0, 0, at, 0)
        names += name.encode() + b"\0"
    content = table + bytes(20) + names
    headers = struct.pack("<2s58xI", b"MZ", 64)
    headers += struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, 0, 0, 0, optional + 16, 0)
    headers += struct.pack("<H", magic) + bytes(optional - 2)
    headers += struct.pack("<IIII", 0, 0, BASE if needs else 0, len(table))
    headers += struct.pack("<8sIIII16x", b".idata", len(content), BASE, len(content), 0x200)
    return headers.ljust(0x200, b"\0") + content


@pytest.mark.parametrize(
    ("machine", "magic", "bits"),
    [(0x8664, 0x020B, 64), (0x014C, 0x010B, 32), (0xAA64, 0x020B, 64), (0x0200, 0x020B, None)],
)
@pytest.mark.parametrize("needs", [(), ("KERNEL32.dll",), ("MSVCP140.dll", "VCRUNTIME140.dll", "a.dll")])
def test_what_an_image_is_for_and_needs(
    tmp_path: Path, machine: int, magic: int, bits: int | None, needs: tuple[str, ...]
) -> None:
    file = tmp_path / "x.dll"
    file.write_bytes(image(machine, magic, needs))
    found = images.read(file)
    assert found == images.Image(machine, needs)
    assert found.bits == bits


def test_what_is_no_image_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.dll"
    file.write_bytes(b"\x7fELF" + bytes(200))
    with pytest.raises(ValueError, match="no program or DLL of Windows"):
        images.read(file)


@pytest.mark.parametrize("length", range(0, 0x240, 7))
def test_an_image_that_is_cut_off_is_a_value_error(tmp_path: Path, length: int) -> None:
    file = tmp_path / "x.dll"
    file.write_bytes(image(0x8664, 0x020B, ("KERNEL32.dll", "USER32.dll"))[:length])
    with pytest.raises(ValueError, match=r"cut off|no program|outside|not found"):
        images.read(file)
