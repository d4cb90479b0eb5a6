"""The balloon driver: there, blocked, not loaded, not built, or not to be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.doctor.finding import Verdict

if TYPE_CHECKING:
    from tests.doctor.conftest import Guest

MODULES = "lib/modules/6.1.0-18-amd64"
FILE = "kernel/drivers/misc/vmw_balloon.ko.xz:\n"


def unload(guest: Guest) -> None:
    guest.remove("sys/module/vmw_balloon")


def test_loaded(guest: Guest) -> None:
    guest.write(
        "sys/kernel/debug/vmmemctl", "balloon capabilities:   0x1e\ntarget:  4096 pages\ncurrent: 0 pages\n"
    )
    found = guest.finding("balloon-driver")
    assert found.verdict is Verdict.OK
    assert found.diagnosis.facts["module"] == "loaded"
    assert found.diagnosis.details == ("target:  4096 pages", "current: 0 pages")


def test_built_in(guest: Guest) -> None:
    unload(guest)
    guest.write(f"{MODULES}/modules.builtin", "kernel/drivers/misc/vmw_balloon.ko\n")
    assert guest.finding("balloon-driver").diagnosis.facts["module"] == "built in"


def test_installed_and_not_loaded(guest: Guest) -> None:
    unload(guest)
    guest.write(f"{MODULES}/modules.dep", FILE)
    found = guest.finding("balloon-driver")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.advice is not None
    assert "run `modprobe vmw_balloon`" in found.diagnosis.advice.sentence


def test_blocked(guest: Guest) -> None:
    unload(guest)
    guest.write(f"{MODULES}/modules.dep", FILE)
    guest.write("etc/modprobe.d/hardening.conf", "blacklist vmw-balloon\n")
    found = guest.finding("balloon-driver")
    assert found.verdict is Verdict.WARN
    assert found.diagnosis.details == ("/etc/modprobe.d/hardening.conf: blacklist vmw-balloon",)


def test_not_built(guest: Guest) -> None:
    unload(guest)
    guest.write(f"{MODULES}/modules.dep", "kernel/net/vmw_vsock/vsock.ko.xz:\n")
    found = guest.finding("balloon-driver")
    assert found.verdict is Verdict.WARN
    assert "CONFIG_VMWARE_BALLOON" in found.diagnosis.advice.sentence if found.diagnosis.advice else False


def test_what_can_not_be_seen_is_no_reproach(guest: Guest) -> None:
    unload(guest)
    found = guest.finding("balloon-driver")
    assert found.verdict is Verdict.SKIPPED
    assert "can't be told" in found.diagnosis.sentence
