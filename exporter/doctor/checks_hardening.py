"""The switches of hardening guides that matter here, each with what can be seen of it from inside the guest."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.doctor.checks_host import first_answer, gives_host_info
from exporter.doctor.finding import Diagnosis, Facts, ok, warn
from exporter.doctor.world import HostAnswer, World
from exporter.protocol import stats_v3

CONTROLS = {"tools.guestlib.enableHostInfo": "vm-9.restrict-host-info"}
"""Switch -> control id in VMware's security configuration guide for VCF 9 (there with priority P2; the guides for
older releases end it in restrict-host-info too, and CIS asks for the same). The other switches are in no guide."""

_ON = "TRUE, it seems"
_IN_THE_WAY = "A hardening switch is in the way, by the look of it"


def hardening(world: World) -> Diagnosis:
    """The hardening switches that matter here, each with what can be seen of it."""
    answer = first_answer(world)
    switches = dict(_switches(world, answer))
    lines = [
        f"{name}: {state}{f' (control {CONTROLS[name]})' if name in CONTROLS else ''}"
        for name, state in switches.items()
    ]
    lockdown = world.read("sys/kernel/security/lockdown")
    if "[integrity]" in lockdown or "[confidentiality]" in lockdown:
        lines.append("kernel lockdown: on; it keeps programs off I/O ports, and leaves vsock alone")
    facts: Facts = {"switches": switches, "controls": CONTROLS, "lockdown": lockdown}
    if answer.snapshot is None:
        told = any(state == _ON for state in switches.values())
        return warn(
            f"{_IN_THE_WAY if told else 'Whether a hardening switch is in the way can not be told'}: see "
            "statistics-enabled.",
            None,
            *lines,
            **facts,
        )
    return ok("No hardening switch is in the way; those without a control id have none.", *lines, **facts)


def _switches(world: World, answer: HostAnswer) -> Iterator[tuple[str, str]]:
    off, on, untold = "FALSE or absent", _ON, "can't be seen from here"
    snapshot, reason = answer.snapshot, answer.refusal.reason if answer.refusal else ""
    # A host that knows no such command may be one that has none: Workstation and Fusion.
    api = on if reason == "disabled" else untold
    yield "isolation.tools.guestlibGetInfo.disable", off if snapshot else api
    host = untold
    if snapshot is not None and snapshot.protocol == stats_v3.VERSION:
        host = f"{'TRUE' if gives_host_info(snapshot) else off}; not needed"
    yield "tools.guestlib.enableHostInfo", host
    yield "Misc.GuestLibAllowHostInfo", "on the host: SAP's enhanced monitoring needs it beside the one above"
    demanded = reason == "permission_denied" or (world.secure is not None and world.secure[1] != "answers")
    yield "guest_rpc.rpci.auth.app.APP_MONITOR", on if demanded else untold if world.secure is None else off
    yield "guest_rpc.rpci.usevsocket", untold if world.socket_path else "TRUE or absent"
    yield "monitor_control.restrict_backdoor", "can't be seen from here; vsock does not use the backdoor"
