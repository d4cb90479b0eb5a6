"""Questions about the VM as such: settings, sessions, hot-add, heartbeats."""

from __future__ import annotations

from exporter.insight.question import Level, Question, Said
from exporter.insight.vitals import Vitals

CHURN = 3
"""Session changes in an hour above which it is a problem, as the alert rule takes it."""
VNUMA = 9
"""vCPUs from which on vSphere shows a VM more than one NUMA node by default."""


def settings(v: Vitals) -> Said:
    if not v.setting_entries:
        return Level.OK, "No change was seen in the last day, as far as this exporter ran."
    more = len(v.setting_entries) - 1
    others = f" {more} earlier {'change' if more == 1 else 'changes'} in the last day." if more else ""
    return Level.INFO, f"{v.setting_entries[-1].text}{others}"


def session(v: Vitals) -> Said:
    count = len(v.session_entries)
    if not count:
        return Level.OK, "One session: it was neither moved nor resumed in the last hour, as far as was seen."
    last = v.session_entries[-1]
    times = "once" if count == 1 else f"{count} times"
    return (
        Level.WARNING if count > CHURN else Level.INFO,
        f"The session changed {times} in the last hour; the last time it was {last.guess} (a guess: {'; '.join(last.clues)}).",
    )


def pauses(v: Vitals) -> Said:
    if not v.pauses_watched:
        return Level.UNKNOWN, "Not looked for: only with --experimental."
    count = len(v.pause_entries)
    if not count:
        return Level.OK, "No pause was seen in the last hour."
    times = "once" if count == 1 else f"{count} times"
    return (
        Level.INFO,
        f"A pause was seen {times} in the last hour, as for a snapshot or a move. {v.pause_entries[-1].text}",
    )


def hot_add(v: Vitals) -> Said:
    online, possible = v.guest.vcpus, v.guest.possible_vcpus
    if online is None or possible is None:
        return Level.UNKNOWN, "The guest's kernel does not tell how many vCPUs there could be."
    if possible <= online:
        return Level.OK, "No vCPU can be added while it runs."
    if online >= VNUMA:
        return (
            Level.INFO,
            (
                f"The kernel expects up to {possible} vCPUs where {online} are online. A hint, no more: where CPU hot-add is on,"
                " vSphere may hide the NUMA nodes from a VM of this size."
            ),
        )
    return Level.OK, f"Up to {possible} vCPUs could be added while it runs; at {online} that costs nothing."


def heartbeat(v: Vitals) -> Said:
    beat = v.heartbeat
    if beat is None:
        return Level.OK, "This exporter sends no heartbeats."
    if beat.reset_requested:
        return Level.CRITICAL, "This program has asked vSphere HA to reset the VM."
    if beat.maintenance:
        return (
            Level.INFO,
            "Maintenance: monitoring is handed back until it ends, and nothing would reset this VM.",
        )
    if beat.status == "red":
        return Level.CRITICAL, "vSphere HA misses heartbeats, and may reset this VM."
    if not beat.healthy:
        return (
            Level.CRITICAL,
            "A health check is bad; when the grace period ends, heartbeats stop, and vSphere HA resets this VM.",
        )
    if beat.status == "gray" or not beat.enabled:
        return (
            Level.WARNING,
            "Heartbeats are on, but vSphere HA does not watch them: nothing would reset this VM.",
        )
    if beat.dry_run:
        return Level.INFO, "A dry run: heartbeats are counted, none is sent."
    return Level.OK, "Heartbeats arrive, and vSphere HA sees the VM as green."


ROWS = (
    Question(
        "settings",
        "Did somebody change a setting?",
        "Any change of reservation, limit, shares, largest balloon, pool, vCPUs or memory in the last day.",
        settings,
    ),
    Question(
        "session",
        "Was it moved, suspended or reset?",
        "Any session change in the last hour: informed. More than 3: warned. The host never says why.",
        session,
    ),
    Question(
        "pauses",
        "Did the whole VM stand still?",
        "The host's clock went on by the host's rhythm and 250 ms more than the guest's, for good; or the exporter woke more"
        " than 250 ms late and neither pressure, throttling nor steal explains it (experimental).",
        pauses,
    ),
    Question(
        "hot-add",
        "Does CPU hot-add hide its NUMA nodes?",
        "More possible than online vCPUs, from 9 vCPUs on (vSphere's default for virtual NUMA).",
        hot_add,
    ),
)
HEARTBEAT = Question(
    "heartbeat",
    "Would vSphere HA reset it if its application died?",
    "Status as vSphere sees it; it acts 61 to 89 s after the last heartbeat.",
    heartbeat,
)
