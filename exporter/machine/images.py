"""Windows' programs and DLLs as files: for which processor one is, and which DLLs it needs.

Source: Microsoft, PE Format (COFF file header, optional header, section table, import directory table).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

ABSENT = ("no such file", "not on the search path")
"""Why a DLL at a path, and one with a bare name, can't be loaded where there is none."""

AMD64 = 0x8664
BITS = {0x014C: 32, AMD64: 64, 0xAA64: 64}
"""IMAGE_FILE_MACHINE_I386, _AMD64, _ARM64."""
_DIRECTORIES = {0x010B: 96, 0x020B: 112}
"""Where the data directories begin in an optional header, by its magic number: PE32 and PE32+."""
_LARGEST = 64 * 2**20


class Image(NamedTuple):
    """``machine``: an IMAGE_FILE_MACHINE; ``needs``: names of the DLLs that must be there when it is loaded."""

    machine: int
    needs: tuple[str, ...]

    @property
    def bits(self) -> int | None:
        return BITS.get(self.machine)


def read(path: Path) -> Image:
    """Read the headers of the file at ``path``.

    Raises:
        OSError: it can't be read.
        ValueError: it is no such file.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST)
    try:
        return _parse(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"{path}: cut off in the headers") from error


def _parse(data: bytes) -> Image:
    (start,) = struct.unpack_from("<I", data, 0x3C)
    if data[:2] != b"MZ" or data[start : start + 4] != b"PE\0\0":
        raise ValueError("no program or DLL of Windows")
    machine, sections, size = struct.unpack_from("<HH12xH", data, start + 4)
    optional = start + 24
    (magic,) = struct.unpack_from("<H", data, optional)
    (imports,) = struct.unpack_from("<I", data, optional + _DIRECTORIES.get(magic, 112) + 8)
    table = [
        struct.unpack_from("<IIII", data, optional + size + 40 * number + 8) for number in range(sections)
    ]

    def offset(address: int) -> int:
        for length, begin, _, raw in table:
            if begin <= address < begin + length:
                return int(raw + address - begin)
        raise ValueError("an address outside of every section")

    needs: list[str] = []
    entry = offset(imports) if imports else None
    while entry is not None:
        (name,) = struct.unpack_from("<12xI4x", data, entry)
        if not name:
            break
        begin = offset(name)
        needs.append(data[begin : data.index(b"\0", begin)].decode("ascii", "replace"))
        entry += 20
    return Image(machine, tuple(needs))
