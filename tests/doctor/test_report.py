from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.advice import Advice, Where
from exporter.config.settings import Ha
from exporter.doctor import report
from exporter.doctor.examine import examine, weigh
from exporter.doctor.finding import Check, Diagnosis, Finding, Verdict, fail, ok, skip, warn
from exporter.doctor.rows import CHECKS
from exporter.doctor.world import Ran
from exporter.errors import LibraryNotFound, RpcError
from exporter.protocol.appmonitor import Verb
from exporter.simulator.faults import Fault

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

GOLDEN = Path(__file__).parents[1] / "golden"
ADVICE = Advice("clock", Where.HOST, "do this")


def finding(code: str, diagnosis: Diagnosis, because: str = "") -> Finding:
    return Finding(Check(code, code.title(), "It.", lambda world: diagnosis), diagnosis, 0.25, because)


def kvm(guest: Guest) -> None:
    guest.write("sys/class/dmi/id/sys_vendor", "QEMU")
    guest.write("sys/class/dmi/id/product_name", "Standard PC")
    guest.programs["systemd-detect-virt --vm"] = Ran(0, "kvm")


def container(guest: Guest) -> None:
    """The default profile of a container engine, on a VM where the library is not installed either."""
    guest.write(".dockerenv", "")
    guest.write("proc/self/status", "CapEff:\t0\nSeccomp:\t2\n")
    guest.vsock = OSError(1, "Operation not permitted")
    guest.library.loads = LibraryNotFound("VMware's library can't be loaded")
    guest.remove("usr/lib/x86_64-linux-gnu/libguestlib.so.0")


def hardened(guest: Guest) -> None:
    """No statistics of the host, an old kernel, heartbeats that nobody watches."""
    guest.scenario = "host-stats-disabled"
    guest.write("proc/stat", "cpu  1 2 3 4 5 6 7 0 0 0\n")
    guest.write("proc/sys/kernel/osrelease", "4.19.0-27-amd64")
    guest.settings["ha"] = Ha(enabled=True, lock_file="/run/ha.lock")
    guest.tell(Verb.ENABLE)


def switched_off(guest: Guest) -> None:
    guest.faults = (Fault("error", text="disabled", on="guestlib."),)
    guest.library.reads = RpcError("NOT_ENABLED (3)", "guestlib.info.get")


WHOLE: dict[str, Callable[[Guest], None]] = {"healthy": lambda guest: None, "kvm": kvm}
PARTS: dict[str, Callable[[Guest], None]] = {
    "container": container,
    "hardened": hardened,
    "switched-off": switched_off,
}
"""Of these only what the healthy guest's report does not have: a change of its words is a change of one file."""


def reports(guest: Guest) -> dict[str, str]:
    """By ending."""
    guest.world["clock"] = lambda: 0.0
    findings = weigh(examine(CHECKS, guest.build(), limit=60.0, clock=lambda: 0.0), "auto")
    return {
        "txt": report.text(findings, seconds=0.0, width=100),
        "json": report.as_json(findings, source="auto", time="2026-11-24T20:00:00Z", seconds=0.0),
    }


def compare(name: str, texts: dict[str, str]) -> None:
    """After a wanted change: ``UPDATE_GOLDEN=1``, and read the diff before committing it."""
    for ending, text in texts.items():
        file = GOLDEN / f"doctor-{name}.{ending}"
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(text)
        assert text == file.read_text()


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_report(guest: Guest, name: str) -> None:
    WHOLE[name](guest)
    compare(name, reports(guest))


@pytest.mark.parametrize("name", PARTS)
def test_what_differs_from_the_healthy_guest(guest: Guest, tmp_path: Path, name: str) -> None:
    healthy = reports(type(guest)(tmp_path / "healthy"))
    PARTS[name](guest)
    texts = reports(guest)
    lines = healthy["txt"].splitlines(keepends=True)
    others, document = json.loads(healthy["json"])["findings"], json.loads(texts["json"])
    document["findings"] = [each for each in document["findings"] if each not in others]
    compare(
        f"{name}-differs",
        {
            "txt": "".join(line for line in texts["txt"].splitlines(keepends=True) if line not in lines),
            "json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        },
    )


def test_the_exit_status_counts_failures_alone() -> None:
    assert (
        report.status([finding("a", ok("fine")), finding("b", warn("so so", None)), finding("c", skip("no"))])
        == 0
    )
    assert report.status([finding("a", ok("fine")), finding("b", fail("broken", None))]) == 1


def test_the_text_says_what_to_do_below_each_and_what_first_at_the_end() -> None:
    text = report.text(
        [
            finding("hypervisor", ok("All is well.")),
            finding("clock", fail("It is late.", ADVICE, "a detail")),
            finding("port-free", warn("It is busy.", ADVICE)),
            finding("a", skip("Skipped because of clock."), "clock"),
            finding("b", skip("Skipped because of clock."), "clock"),
            finding("c", skip("There is nothing.")),
        ],
        seconds=1.26,
    )
    assert text == (
        "ok    hypervisor            All is well.\n"
        "FAIL  clock                 It is late.\n"
        "                              a detail\n"
        "                            -> On the host: do this.\n"
        "warn  port-free             It is busy.\n"
        "                            -> As for clock.\n"
        "-     a, b: skipped because of clock\n"
        "-     c                     There is nothing.\n"
        "\n"
        "1 failed, 1 to look at, 1 ok, 3 skipped; 1.3 s.\n"
        "Repair first: clock. On the host: do this.\n"
    )


def test_where_nobody_knows_what_to_do_the_finding_itself_is_repeated() -> None:
    text = report.text([finding("clock", fail("It hangs.", None))], seconds=0.0)
    assert text.endswith("\nRepair first: clock. It hangs.\n")


def test_long_lines_are_wrapped_and_a_command_stays_whole() -> None:
    advice = Advice("clock", Where.GUEST, f"run {'word ' * 30}`modprobe vmw_vsock_vmci_transport`")
    text = report.text([finding("clock", fail("s" * 10, advice))], seconds=0.0, width=10)
    assert max(map(len, text.splitlines())) <= 60
    assert "vmw_vsock_vmci_transport" in text


def test_colour_is_around_the_verdict_alone() -> None:
    text = report.text(
        [finding("clock", fail("Late.", None)), finding("a", skip(""), "clock")], seconds=0.0, colour=True
    )
    assert text.startswith(
        "\x1b[1;31mFAIL  \x1b[0mclock                 Late.\n\x1b[2m-     \x1b[0ma: skipped"
    )
    assert "\x1b[1;31m1 failed\x1b[0m, \x1b[2m1 skipped\x1b[0m" in text


def test_the_json_of_a_finding() -> None:
    document = json.loads(
        report.as_json(
            [
                finding("clock", fail("Late.", ADVICE, "a detail", now=5)),
                finding("a", skip("Skipped."), "clock"),
            ],
            source="auto",
            time="now",
            seconds=1.5,
        )
    )
    assert document.pop("version")
    assert document == {
        "format": 1,
        "time": "now",
        "seconds": 1.5,
        "source": "auto",
        "status": 1,
        "counts": {"ok": 0, "warn": 0, "fail": 1, "skipped": 1},
        "findings": [
            {
                "code": "clock",
                "title": "Clock",
                "verdict": "fail",
                "sentence": "Late.",
                "advice": {"where": "host", "text": "do this"},
                "because": None,
                "details": ["a detail"],
                "facts": {"now": 5},
                "seconds": 0.25,
            },
            {
                "code": "a",
                "title": "A",
                "verdict": "skipped",
                "sentence": "Skipped.",
                "advice": None,
                "because": "clock",
                "details": [],
                "facts": {},
                "seconds": 0.25,
            },
        ],
    }
    assert Verdict("fail") is Verdict.FAIL
