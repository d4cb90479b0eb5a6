"""Checks of HA Application Monitoring. They only ask (IsEnabled, GetAppStatus): nothing here changes the host."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from exporter.advice import NEEDS_PRIVILEGE, Advice, Where, advice
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, skip, warn
from exporter.doctor.world import World
from exporter.errors import NoDeviceError, RpcError, VMGuestError
from exporter.ha import explain
from exporter.ha.wire import WireAppMonitor
from exporter.protocol.appmonitor import AppStatus, Verb, command

ASK = command(Verb.IS_ENABLED)


def supported(world: World) -> Diagnosis:
    try:
        with world.channel() as channel:
            WireAppMonitor(channel).is_enabled()
    except RpcError as refusal:
        facts: Facts = {"refusal": refusal.text}
        if refusal.reason != "unknown_command":
            return _trouble(world)(
                f"The host refuses HA Application Monitoring: {refusal.text!r}.",
                _advice("ha-supported", Where.VM, explain.SECURE_CHANNEL),
                **facts,
            )
        if world.settings.ha.enabled:
            return fail(
                "The host has no HA Application Monitoring, and --ha.enabled asks for it.",
                _advice("ha-supported", Where.CLUSTER, explain.NOT_SUPPORTED),
                **facts,
            )
        return skip("The host has no HA Application Monitoring, and nothing here asks for it.", **facts)
    except VMGuestError as error:
        return fail(f"HA Application Monitoring does not answer: {error}.", advice(error), error=error.kind)
    return ok("The host has HA Application Monitoring.")


def enabled(world: World) -> Diagnosis:
    """Whether heartbeats are expected, and how vSphere HA sees them."""
    wanted = world.settings.ha.enabled
    try:
        with world.channel() as channel:
            monitor = WireAppMonitor(channel)
            on, status = monitor.is_enabled(), monitor.get_app_status()
    except VMGuestError as error:
        if isinstance(error, RpcError) and not wanted:
            return skip(
                "The host does not tell how vSphere HA sees this VM, and nothing here sends heartbeats."
            )
        return fail(f"The state of the heartbeats can't be read: {error}.", advice(error), error=error.kind)
    facts: Facts = {"expected_by_host": on, "status": status.value, "wanted": wanted}
    if on and status is AppStatus.RED:
        return fail(
            "Heartbeats are expected and have stopped (red): vSphere HA resets this VM.",
            Advice(
                "ha-enabled",
                Where.GUEST,
                "start the exporter again, or hand monitoring back at once with `vmguest-exporter ha disable`",
            ),
            **facts,
        )
    if on and not wanted:
        return warn(
            "The host expects heartbeats, but these settings send none: another program must, or HA resets this VM.",
            Advice(
                "ha-enabled",
                Where.GUEST,
                "see other-exporter; `vmguest-exporter ha disable` hands monitoring back",
            ),
            **facts,
        )
    if on and status is AppStatus.GRAY:
        return warn(
            "Heartbeats are expected, but vSphere HA does not watch them (gray).", _not_in_cluster(), **facts
        )
    if on:
        return ok("Heartbeats arrive (green).", **facts)
    if wanted:
        return warn(
            "Heartbeats are wanted (--ha.enabled), but none are expected now: no exporter sends them.",
            Advice(
                "ha-enabled",
                Where.GUEST,
                "start the exporter (`systemctl start vmguest-exporter`) and look again",
            ),
            **facts,
        )
    return ok("No heartbeats are expected, and none are configured.", **facts)


class Asked(NamedTuple):
    """``state``: answers, refused, denied (the port, by this system) or silent; ``text``: in whose words."""

    state: str
    text: str = ""


def secure_channel(world: World) -> Diagnosis:
    """Asks once from a privileged port and once from another: who is refused tells what the VM's setting is."""
    secure, plain = _ask(world, privileged=True), _ask(world, privileged=False)
    world.secure = (secure.state, plain.state)
    facts: Facts = {"privileged": secure.text or secure.state, "unprivileged": plain.text or plain.state}
    match world.secure:
        case ("answers" | "denied", "answers"):
            return ok("The host answers to any process: no secure channel is demanded.", **facts)
        case ("answers", _):
            return ok(
                "The host answers to privileged source ports only (APP_MONITOR = TRUE), and this process has one.",
                **facts,
            )
        case (_, "answers"):
            return warn(
                f"The host answers to an unprivileged source port and not to a privileged one ({secure.text}).",
                Advice(
                    "ha-secure-channel",
                    Where.GUEST,
                    "run the exporter without CAP_NET_BIND_SERVICE and not as root: a VM under Fault Tolerance has only the "
                    "non-secure channel",
                ),
                **facts,
            )
        case ("denied", _):
            return _trouble(world)(
                f"The host refuses unprivileged source ports ({plain.text}), and this process may have no other.",
                NEEDS_PRIVILEGE._replace(code="ha-secure-channel"),
                **facts,
            )
        case _:
            return _trouble(world)(
                f"The host refuses a privileged source port ({secure.text}) and an unprivileged one ({plain.text}).",
                _advice("ha-secure-channel", Where.VM, explain.SECURE_CHANNEL),
                **facts,
            )


def _ask(world: World, *, privileged: bool) -> Asked:
    try:
        with world.channel(privileged) as channel:
            channel.call(ASK)
    except RpcError as refusal:
        return Asked("refused", refusal.text)
    except NoDeviceError as error:
        return Asked("denied" if error.errno == errno.EACCES else "silent", str(error))
    except VMGuestError as error:
        return Asked("silent", str(error))
    return Asked("answers")


def fault_tolerance(world: World) -> Diagnosis:
    """A VM does not see that Fault Tolerance protects it; what would not work there, it does."""
    match world.secure:
        case None:
            return skip("Whether a secure channel is demanded is not known.")
        case ("answers", "refused" | "silent"):
            return warn(
                "A secure channel is demanded: should Fault Tolerance protect this VM, heartbeats would fail.",
                Advice(
                    "ha-fault-tolerance",
                    Where.VM,
                    "with Fault Tolerance, remove guest_rpc.rpci.auth.app.APP_MONITOR from the advanced settings: it has "
                    "only the non-secure channel (release notes of 7.0)",
                ),
            )
        case ("refused" | "silent", "answers"):
            return warn(
                "Only the non-secure channel works, as it is on VMs that Fault Tolerance protects.",
                Advice("ha-fault-tolerance", Where.GUEST, "see ha-secure-channel"),
            )
        case _:
            return ok("Nothing is demanded that Fault Tolerance could not give.")


def _trouble(world: World) -> Callable[..., Diagnosis]:
    """What is in the way of heartbeats is a failure where somebody wants them."""
    return fail if world.settings.ha.enabled else warn


def _not_in_cluster() -> Advice:
    return _advice("ha-enabled", Where.CLUSTER, explain.NOT_IN_CLUSTER)


def _advice(code: str, where: Where, text: str) -> Advice:
    """A paragraph of :mod:`exporter.ha.explain` as an advice."""
    return Advice(code, where, text[:1].lower() + text[1:].rstrip("."))
