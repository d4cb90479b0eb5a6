from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.errors import LibraryNotFound
from exporter.library import loader
from exporter.library.signatures import PREFIX, SIGNATURES


class Function:
    argtypes: Any = None
    restype: Any = None


def whole_library(*without: str) -> Any:
    return SimpleNamespace(**{PREFIX + name: Function() for name in SIGNATURES if name not in without})


class Files:
    """Stands for the dynamic loader: files by name; what is not there fails as dlopen does."""

    def __init__(self, **files: Any) -> None:
        self.files = {name.replace("__", "."): library for name, library in files.items()}
        self.tried: list[str] = []

    def dlopen(self, name: str) -> Any:
        self.tried.append(name)
        if name not in self.files:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return self.files[name]


def test_names_are_tried_in_order_and_the_first_that_loads_is_taken() -> None:
    files = Files(b__so=whole_library(), c__so=whole_library())
    library = loader.load(names=["a.so", "b.so", "c.so"], dlopen=files.dlopen)
    assert library.name == "b.so"
    assert files.tried == ["a.so", "b.so"]
    assert library.missing == ()
    assert set(library.functions) == set(SIGNATURES)


def test_every_function_gets_its_types() -> None:
    library = loader.attach("a.so", whole_library())
    for name, (arguments, result) in SIGNATURES.items():
        function: Any = library.functions[name]
        assert (function.argtypes, function.restype) == (arguments, result)


def test_a_missing_symbol_is_reported_and_not_fatal() -> None:
    library = loader.attach("a.so", whole_library("GetMemShares64", "StatGet"))
    assert library.missing == ("GetMemShares64", "StatGet")
    assert "GetMemShares64" not in library.functions


def test_a_file_that_is_something_else_is_not_taken() -> None:
    files = Files(a__so=SimpleNamespace(), b__so=whole_library())
    assert loader.load(names=["a.so", "b.so"], dlopen=files.dlopen).name == "b.so"
    with pytest.raises(
        LibraryNotFound, match=r"a\.so \(not VMware's library: it has no VMGuestLib_OpenHandle"
    ):
        loader.load(names=["a.so"], dlopen=files.dlopen)


def test_no_library_names_what_was_tried() -> None:
    with pytest.raises(LibraryNotFound) as caught:
        loader.load(names=["a.so", "b.so"], dlopen=Files().dlopen)
    text = str(caught.value)
    assert "a.so (cannot open shared object file: No such file or directory); b.so (" in text


def test_a_named_file_is_the_only_one_that_is_tried() -> None:
    files = Files(libguestlib__so__0=whole_library())
    with pytest.raises(LibraryNotFound, match=r"/opt/mine\.so"):
        loader.load("/opt/mine.so", dlopen=files.dlopen)
    assert files.tried == ["/opt/mine.so"]


def test_names_on_linux() -> None:
    names = loader.candidates(
        platform="linux", expand=lambda pattern: [pattern.replace("*", n) for n in ("32", "64")]
    )
    assert names[:2] == ["libguestlib.so.0", "libvmGuestLib.so"]
    assert names[2:4] == [
        "/usr/lib/vmware-tools/lib64/libvmGuestLib.so/libvmGuestLib.so",
        "/usr/lib/vmware-tools/lib32/libvmGuestLib.so/libvmGuestLib.so",
    ]
    assert "/opt/vmware/GuestSDK/lib/lib64/libvmGuestLib.so" in names


def test_names_on_windows() -> None:
    names = loader.candidates(platform="win32", environ={"ProgramFiles": r"D:\Programs"})
    assert names[0] == "vmGuestLib.dll"
    assert r"D:\Programs\VMware\VMware Tools\vmGuestLib.dll" in names
    assert r"C:\Program Files\VMware\VMware Tools\vmGuestLib.dll" in loader.candidates(
        platform="win32", environ={}
    )


def test_location_is_the_file_that_the_kernel_has_mapped(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(
        "7f00-7f01 rw-p 00000000 00:00 0 \n"
        "7f01-7f02 r-xp 00000000 08:01 12   /usr/lib/libc.so.6\n"
        "7f02-7f03 r-xp 00000000 08:01 13   /usr/lib/with space/libguestlib.so.0.0.0\n"
    )
    assert loader.location("libguestlib.so.0", maps) == "/usr/lib/with space/libguestlib.so.0.0.0"
    assert loader.location("libother.so", maps) == "libother.so"
    assert loader.location("libguestlib.so.0", tmp_path / "none") == "libguestlib.so.0"


def test_location_of_a_path_is_that_file_and_no_other_of_its_name(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f02-7f03 r-xp 00000000 08:01 13   /usr/lib/libguestlib.so.0\n")
    (tmp_path / "libguestlib.so.0.0.0").touch()
    (tmp_path / "libguestlib.so.0").symlink_to("libguestlib.so.0.0.0")
    given = str(tmp_path / "libguestlib.so.0")
    assert loader.location(given, maps) == f"{tmp_path.resolve()}/libguestlib.so.0.0.0"
