from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.catalogue import STATISTICS
from exporter.config.settings import Library
from exporter.doctor import checks_library
from exporter.doctor.examine import examine
from exporter.doctor.finding import Finding, Verdict
from exporter.doctor.rows import choose
from exporter.doctor.world import Ran
from exporter.errors import (
    LibraryCrashed,
    LibraryNotFound,
    NotVMwareError,
    RefusedError,
    RpcError,
    TimeoutExpired,
)
from exporter.machine.hypervisor import Hypervisor
from exporter.snapshot import Snapshot

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

LIBRARY = "/usr/lib/x86_64-linux-gnu/libguestlib.so.0"
TIRPC = "dpkg-query -W -f=${Version} libtirpc3"
TOOLS = "dpkg-query -W -f=${Version} open-vm-tools"


def advice(finding: Finding) -> str:
    assert finding.diagnosis.advice is not None
    return finding.diagnosis.advice.sentence


def not_loadable(guest: Guest, why: str) -> None:
    guest.library.loads = LibraryNotFound(
        f"can't be loaded. Tried: libguestlib.so.0 ({why}); libvmGuestLib.so "
        "(libvmGuestLib.so: cannot open shared object file: No such file or directory)"
    )


def test_a_library_that_is_there(guest: Guest) -> None:
    found = guest.finding("library-present")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts == {"library": LIBRARY, "loads": True}


def test_no_library(guest: Guest, no_library: LibraryNotFound) -> None:
    guest.library.loads = no_library
    guest.remove(LIBRARY[1:])
    findings = guest.findings("library-answer", "library-symbols", "library-version")
    found = findings["library-present"]
    assert found.verdict is Verdict.FAIL
    assert "install the package open-vm-tools" in advice(found)
    assert found.diagnosis.details == (str(no_library),)
    assert {findings[each].because for each in ("library-answer", "library-symbols", "library-version")} == {
        "library-present"
    }


def test_a_library_that_dies_of_loading(guest: Guest) -> None:
    guest.library.loads = LibraryCrashed("VMware's library crashed its process (SIGSEGV)")
    found = guest.finding("library-present")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.sentence == "VMware's library crashed its process (SIGSEGV)."
    assert "--source=guestrpc" in advice(found)


def test_a_library_without_what_it_needs(guest: Guest) -> None:
    not_loadable(guest, "libtirpc.so.3: cannot open shared object file: No such file or directory")
    guest.programs[f"ldd {LIBRARY}"] = Ran(
        0, "\tlibtirpc.so.3 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x2)"
    )
    findings = guest.findings("library-answer", "library-symbols")
    assert findings["library-present"].verdict is Verdict.OK
    assert findings["library-present"].diagnosis.facts["loads"] is False
    found = findings["library-dependencies"]
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.facts["missing"] == ["libtirpc.so.3"]
    assert advice(found) == "In the guest: run `apt-get install libtirpc3` or `dnf install libtirpc`."
    assert findings["library-symbols"].verdict is Verdict.SKIPPED
    assert findings["library-answer"].because == "library-dependencies"


def test_the_loaders_words_do_where_ldd_is_missing(guest: Guest) -> None:
    not_loadable(guest, "libodd.so.1: cannot open shared object file: No such file or directory")
    del guest.programs[f"ldd {LIBRARY}"]
    found = guest.finding("library-dependencies")
    assert found.diagnosis.facts["missing"] == ["libodd.so.1"]
    assert "install the package that has it" in advice(found)


@pytest.mark.parametrize(
    ("why", "word"),
    [("wrong ELF class: ELFCLASS32", "another number of bits"), ("file too short", "can't be loaded.")],
)
def test_a_file_that_is_no_library_for_this_process(guest: Guest, why: str, word: str) -> None:
    not_loadable(guest, why)
    found = guest.finding("library-dependencies")
    assert found.verdict is Verdict.FAIL
    assert word in found.diagnosis.sentence
    assert why in found.diagnosis.details[0]


def test_a_library_that_is_named_is_not_searched_for(guest: Guest) -> None:
    not_loadable(guest, "file too short")
    guest.settings["library"] = Library(path="/opt/own.so")
    assert guest.finding("library-present").verdict is Verdict.FAIL
    guest.write("opt/own.so", "")
    found = guest.finding("library-present")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["library"] == "/opt/own.so"


def test_what_the_library_needs(guest: Guest) -> None:
    found = guest.finding("library-dependencies")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["versions"] == {"libtirpc": "1.3.3+ds-1"}


@pytest.mark.parametrize(
    ("number", "verdict", "word"),
    [
        ("1.0.1-1", Verdict.WARN, "libtirpc 1.0.1-1, where 1.0.2 is asked for"),
        ("1.0.2-1", Verdict.OK, "libtirpc 1.0.2-1"),
    ],
)
def test_the_version_of_what_the_library_needs(
    guest: Guest, number: str, verdict: Verdict, word: str
) -> None:
    guest.programs[TIRPC] = Ran(0, number)
    found = guest.finding("library-dependencies")
    assert found.verdict is verdict
    assert word in found.diagnosis.sentence


def test_a_library_that_needs_glib_needs_it_in_that_version(guest: Guest) -> None:
    guest.programs[f"ldd {LIBRARY}"] = Ran(0, "\tlibglib-2.0.so.0 => /lib/libglib-2.0.so.0 (0x1)")
    guest.programs["dpkg-query -W -f=${Version} libglib2.0-0"] = Ran(1, "", "no packages found")
    guest.programs["rpm -q --qf=%{VERSION}-%{RELEASE} glib2"] = Ran(0, "2.28.8-10.el6")
    found = guest.finding("library-dependencies")
    assert found.verdict is Verdict.WARN
    assert "glib 2.28.8-10.el6, where 2.34.0 is asked for" in found.diagnosis.sentence


def test_a_version_that_no_package_manager_knows(guest: Guest) -> None:
    del guest.programs[TIRPC]
    found = guest.finding("library-dependencies")
    assert found.verdict is Verdict.OK
    assert "libtirpc of unknown version" in found.diagnosis.sentence


def test_a_library_that_needs_nothing_known(guest: Guest) -> None:
    guest.programs[f"ldd {LIBRARY}"] = Ran(0, "\tlibc.so.6 => /lib/libc.so.6 (0x2)")
    assert (
        guest.finding("library-dependencies").diagnosis.sentence
        == "All that VMware's library needs is there."
    )


def test_the_librarys_package(guest: Guest) -> None:
    found = guest.finding("library-version")
    assert found.diagnosis.facts == {"package": "open-vm-tools", "version": "12.2.0-1+deb12u4"}


def test_the_librarys_package_by_rpm(guest: Guest) -> None:
    del guest.programs[f"dpkg-query -S {LIBRARY}"]
    guest.programs[f"rpm -qf --qf=%{{NAME}} %{{VERSION}}-%{{RELEASE}} {LIBRARY}"] = Ran(
        0, "open-vm-tools 12.4.0-1.el9"
    )
    assert (
        guest.finding("library-version").diagnosis.sentence == "The library is of open-vm-tools 12.4.0-1.el9."
    )


def test_a_library_of_no_package(guest: Guest) -> None:
    del guest.programs[f"dpkg-query -S {LIBRARY}"]
    guest.remove(LIBRARY[1:])
    found = guest.finding("library-version")
    assert found.verdict is Verdict.SKIPPED
    assert "belongs to no package" in found.diagnosis.sentence


def test_a_package_manager_that_hangs_says_nothing_about_packages(guest: Guest) -> None:
    guest.programs[f"dpkg-query -S {LIBRARY}"] = Ran(124, "", "dpkg-query did not end within 1 s")
    sentence = guest.finding("library-version").diagnosis.sentence
    assert sentence == "The library's version can't be told: dpkg-query did not end within 1 s."


@pytest.mark.parametrize("known", [False, True])
def test_a_package_manager_that_hangs_is_not_one_that_knows_nothing(guest: Guest, known: bool) -> None:
    if known:
        guest.programs[TOOLS] = Ran(124, "", "dpkg-query did not end within 1 s")
        expected = "The library is of open-vm-tools, whose version can't be told."
    else:
        del guest.programs[f"dpkg-query -S {LIBRARY}"]
        asked = f"rpm -qf --qf=%{{NAME}} %{{VERSION}}-%{{RELEASE}} {LIBRARY}"
        guest.programs[asked] = Ran(124, "", "rpm did not end within 1 s")
        expected = "The library's version can't be told: rpm did not end within 1 s."
    assert guest.finding("library-version").diagnosis.sentence == expected


def test_every_function(guest: Guest) -> None:
    assert guest.finding("library-symbols").verdict is Verdict.OK


def test_functions_that_an_older_library_lacks(guest: Guest) -> None:
    guest.library.missing = ("GetMemShares64", "StatGet")
    found = guest.finding("library-symbols")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.details == ("VMGuestLib_GetMemShares64", "VMGuestLib_StatGet")
    assert "update open-vm-tools" in advice(found)


def test_a_library_that_answers(guest: Guest) -> None:
    found = guest.finding("library-answer")
    assert found.verdict is Verdict.OK
    assert "VMware's library answers, with 35 statistics" in found.diagnosis.sentence
    assert found.diagnosis.details == ()
    assert guest.library.closed


@pytest.mark.parametrize(("native", "lines"), [(True, 0), (False, 1)])
def test_what_the_library_does_not_give_is_listed_where_guestrpc_is_silent(
    guest: Guest, native: bool, lines: int
) -> None:
    guest.library.snapshot = Snapshot(5, 0, {row.key: 1 for row in STATISTICS if not row.host_info})
    guest.refuses = lambda privileged: None if native else RefusedError("reset")
    found = guest.finding("library-answer")
    assert found.verdict is Verdict.OK
    assert len(found.diagnosis.details) == lines
    assert len(found.diagnosis.facts["missing"]) == 9  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (RpcError("NOT_ENABLED (3)"), "isolation.tools.guestlibGetInfo.disable"),
        (LibraryCrashed("VMware's library crashed its process (SIGSEGV)."), "--source=guestrpc"),
        (
            NotVMwareError("VMware's library says that this machine is not a VMware guest"),
            "inside a VMware guest",
        ),
        (TimeoutExpired("no answer"), "vMotion"),
    ],
)
def test_a_library_that_does_not_answer(guest: Guest, error: Exception, word: str) -> None:
    guest.library.reads = error  # type: ignore[assignment]
    found = guest.finding("library-answer")
    assert found.verdict is Verdict.FAIL
    assert word in advice(found)


def test_where_nobody_tells_why_the_library_is_refused_every_cause_is_named(guest: Guest) -> None:
    guest.library.reads = RpcError("NOT_ENABLED (3)")
    text = advice(guest.finding("library-answer"))
    assert "Workstation" in text
    assert "no channel" in text


@pytest.fixture
def elsewhere(guest: Guest) -> Guest:
    guest.write("sys/class/dmi/id/sys_vendor", "QEMU")
    guest.write("sys/class/dmi/id/product_name", "Standard PC")
    return guest


def test_the_library_is_not_asked_away_from_vmware(elsewhere: Guest) -> None:
    elsewhere.library.reads = AssertionError("asked")  # type: ignore[assignment]
    assert elsewhere.finding("library-answer").because == "hypervisor"


@pytest.mark.parametrize(
    "error", [None, NotVMwareError("VMware's library says that this is no VMware guest")]
)
def test_one_that_is_forced_is_asked_as_the_exporter_asks_it(
    elsewhere: Guest, error: NotVMwareError | None
) -> None:
    """It looks by itself; what can be seen without it decides nothing then."""
    elsewhere.settings["source"] = "library"
    elsewhere.library.reads = error
    asked = [
        each for each in choose("library", "linux") if each.source == "library" or each.code == "hypervisor"
    ]
    findings = {each.code: each for each in examine(asked, elsewhere.build(), limit=60.0, clock=lambda: 0.0)}
    assert findings["hypervisor"].verdict is Verdict.FAIL
    assert "asked all the same" in findings["hypervisor"].diagnosis.sentence
    found = findings["library-answer"]
    assert found.verdict is (Verdict.FAIL if error else Verdict.OK)
    assert found.diagnosis.facts.get("error") == ("not_vmware" if error else None)
    assert elsewhere.connections == 0


def test_a_library_that_does_not_load_is_not_asked(guest: Guest) -> None:
    world = guest.build()
    world.library_error = "file too short"
    assert checks_library.answers(world).verdict is Verdict.SKIPPED


@pytest.mark.parametrize(
    ("number", "verdict", "lacking"),
    [
        ("2:12.2.0-1", Verdict.OK, 0),
        ("2:11.1.0-2", Verdict.OK, 2),
        ("2:10.3.10-1", Verdict.WARN, 3),
        ("9.4.0", Verdict.WARN, 4),
    ],
)
def test_the_version_of_the_tools(guest: Guest, number: str, verdict: Verdict, lacking: int) -> None:
    guest.programs[TOOLS] = Ran(0, number)
    found = guest.finding("tools-version")
    assert found.verdict is verdict
    assert len(found.diagnosis.details) == lacking
    assert found.diagnosis.facts["version"] == number.rpartition(":")[2]


def test_vmwares_own_tools_say_their_version(guest: Guest) -> None:
    del guest.programs[TOOLS]
    guest.programs["vmware-toolbox-cmd -v"] = Ran(0, "10.0.6.54238 (build-3560309)")
    found = guest.finding("tools-version")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.details[0].startswith("11.0: 64-bit memory shares")


@pytest.mark.parametrize("vendor", ["VMware, Inc.", "QEMU"])
def test_no_tools(guest: Guest, vendor: str) -> None:
    del guest.programs[TOOLS]
    guest.write("sys/class/dmi/id/sys_vendor", vendor)
    guest.write("sys/class/dmi/id/product_name", "x")
    if vendor == "QEMU":
        # It looks for the hypervisor in its own ways, so it must not run here.
        guest.programs["vmware-toolbox-cmd -v"] = Ran(0, "12.0.0")
    found = guest.finding("tools-version")
    assert found.verdict is Verdict.SKIPPED
    assert "not installed here" in found.diagnosis.sentence


def on_windows(guest: Guest, versions: dict[str, str] | None = None) -> None:
    guest.world |= {
        "platform": "win32",
        "find_hypervisor": lambda root: Hypervisor("VMware", "the registry says VMware, Inc."),
        "tools_folder": lambda: r"D:\Tools",
        "file_version": lambda path: (versions or {}).get(path, ""),
    }


def test_on_windows_the_file_tells_its_version(guest: Guest) -> None:
    on_windows(guest, {LIBRARY: "12.3.5.46049", r"D:\Tools\vmtoolsd.exe": "10.3.1.7"})
    found = guest.findings("library-version", "tools-version")
    assert found["library-version"].diagnosis.sentence == "The library is of version 12.3.5.46049."
    tools = found["tools-version"]
    assert tools.diagnosis.sentence == "VMware Tools 10.3.1.7 are older than 11.0."
    assert advice(tools) == "In the guest: update VMware Tools."


def test_on_windows_a_file_may_tell_no_version(guest: Guest) -> None:
    on_windows(guest)
    found = guest.findings("library-version", "tools-version")
    assert found["library-version"].diagnosis.sentence == "The library tells no version."
    tools = found["tools-version"].diagnosis
    assert tools.sentence == r"VMware Tools tell no version: there is none in D:\Tools\vmtoolsd.exe."
    assert {each.verdict for each in found.values() if each.code.endswith("-version")} == {Verdict.SKIPPED}


def test_on_windows_without_vmware_tools_there_is_no_version_to_judge(guest: Guest) -> None:
    on_windows(guest)
    guest.world["tools_folder"] = lambda: ""
    found = guest.finding("tools-version")
    assert found.verdict is Verdict.SKIPPED
    assert (
        found.diagnosis.sentence
        == "VMware Tools are not installed here: the registry names no folder of theirs."
    )


def test_a_named_library_that_is_wrong_is_not_to_be_named(guest: Guest) -> None:
    guest.settings["library"] = Library(path="/opt/own.so")
    not_loadable(guest, "/opt/own.so: invalid ELF header")
    absent = guest.finding("library-present")
    assert absent.diagnosis.sentence == "There is no /opt/own.so, which library.path names."
    guest.write("opt/own.so", "")
    broken = guest.finding("library-dependencies")
    for found in absent, broken:
        assert "name another, or none" in advice(found)
        assert "install" not in advice(found)


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        ("no such file", r"There is no D:\own.dll, which library.path names."),
        ("it is no DLL", "VMware's library is there and can't be loaded."),
    ],
)
def test_on_windows_a_named_library_that_is_wrong_is_not_to_be_named(
    guest: Guest, why: str, sentence: str
) -> None:
    on_windows(guest)
    guest.settings["library"] = Library(path=r"D:\own.dll")
    guest.library.loads = LibraryNotFound(f"VMware's library can't be loaded. Tried: D:\\own.dll ({why})")
    found = guest.finding("library-present")
    assert found.diagnosis.sentence == sentence
    assert "name another, or none, and vmGuestLib.dll of VMware Tools is looked for" in advice(found)


@pytest.mark.parametrize(
    ("tried", "sentence"),
    [
        (["vmGuestLib.dll (not on the search path)", r"D:\x.dll (no such file)"], "is not installed."),
        (
            [
                "vmGuestLib.dll (not on the search path)",
                r"D:\x.dll (it needs MSVCP140.dll, which is not there)",
            ],
            "is there and can't be loaded.",
        ),
        ([r"D:\x.dll (it is a 32-bit DLL, and this Python has 64 bits)"], "is there and can't be loaded."),
    ],
)
def test_on_windows_a_library_that_does_not_load_is_told_from_none(
    guest: Guest, tried: list[str], sentence: str
) -> None:
    on_windows(guest)
    guest.library.loads = LibraryNotFound(f"VMware's library can't be loaded. Tried: {'; '.join(tried)}")
    found = guest.finding("library-present")
    assert found.verdict is Verdict.FAIL
    assert found.diagnosis.sentence == f"VMware's library {sentence}"
    assert found.diagnosis.details == tuple(tried)
    assert "install VMware Tools" in advice(found)


def test_on_windows_nothing_is_advised_that_is_linux(guest: Guest) -> None:
    on_windows(guest)
    guest.library.missing = ("StatGet",)
    guest.library.reads = LibraryCrashed("x")
    for code in ("library-symbols", "library-answer"):
        words = advice(guest.finding(code))
        assert "update VMware Tools" in words
        assert "open-vm-tools" not in words
        assert "guestrpc" not in words
