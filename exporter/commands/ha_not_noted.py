"""What holds, and what to do, where the lock's directory takes no note of what the host has done."""

from __future__ import annotations

from exporter.commands.ha_desk import NOT_NOTED, Desk, complain, until


def not_noted(desk: Desk) -> int:
    complain(
        f"{desk.path} and what is beside it can't be written, so what stood there before still does: an exporter that starts "
        "asks the host once more"
    )
    return NOT_NOTED


def without_note(desk: Desk) -> str:
    """What holds, and what to do, where Disable was confirmed and maintenance could not be noted."""
    if desk.maintenance.left() is not None:
        return f"What was noted before stands. Maintenance: {until(desk.maintenance)}"
    if desk.hidden:
        return (
            f"So this is no maintenance, and whether an exporter sends heartbeats is {desk.heart}: one that does switches monitoring "
            "on again within seconds. Repeat this as root"
        )
    if not desk.beats():
        return (
            "So this is no maintenance: monitoring stays off until an exporter starts, which switches it on again. Start none "
            "meanwhile, or make room and repeat this"
        )
    return (
        f"So this is no maintenance: {desk.heart} knows nothing of it, switches monitoring on again within seconds, and sends "
        "heartbeats. Stop that exporter, or make room and repeat this"
    )
