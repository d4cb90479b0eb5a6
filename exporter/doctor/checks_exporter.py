"""Checks of the exporter's own settings and neighbours: file, port, certificates, receiver, other exporters."""

from __future__ import annotations

import http.client
from contextlib import suppress
from pathlib import Path

from exporter.advice import Advice, Where
from exporter.config.places import Address
from exporter.doctor.finding import Diagnosis, Facts, fail, ok, skip, warn
from exporter.doctor.world import World
from exporter.errors import ConfigError
from exporter.ha import lock
from exporter.outputs.web.connections import SERVER
from exporter.outputs.web.listen import bind

PROGRAM = "vmguest-exporter"
NOT_SERVING = {
    *("doctor", "simulate", "record", "reference", "ha", "--help", "--version"),
    *("--source=simulated", "--source=replay"),
}
"""Words on a command line of ours that make it no server, or one that asks no real host."""

HEARTBEATERS = {"vmware-appmonitor"}
"""Programs of others that send heartbeats to vSphere HA."""

SHOWN = 5
"""Pids in a sentence; the facts have all of them."""

ASK_LIMIT = 0.4
"""Seconds for whoever listens at our port to say who it is."""


def config_file(world: World) -> Diagnosis:
    file = world.settings.config.file
    if world.config_error is not None:
        return fail(
            "The settings can't be used as they are; the checks go on with the defaults.",
            Advice(
                "config-file",
                Where.GUEST,
                "correct what is listed; `vmguest-exporter --help` lists every setting",
            ),
            *world.config_error.problems,
        )
    return ok(
        f"The settings file {file} is valid."
        if file
        else "No settings file is named; flags and variables are valid."
    )


def port(world: World) -> Diagnosis:
    web = world.settings.web
    if not web.enabled:
        return skip("Nothing listens: --no-web.")
    listen = ", ".join(str(address) for address in web.listen)
    try:
        for bound in bind(web.listen):
            bound.close()
    except ConfigError as error:
        if all(_is_ours(address) for address in web.listen):
            return ok(f"An exporter serves at {listen}.", listen=listen, serving=True)
        problem, _, advice = error.problems[0].partition("; ")
        return fail(
            f"The exporter can't listen: {problem}.",
            Advice("port-free", Where.GUEST, advice or "choose another --web.listen-address"),
            *error.problems[1:],
            listen=listen,
        )
    return ok(f"{listen} is free to listen on.", listen=listen, serving=False)


def _is_ours(address: Address) -> bool:
    """Whether an exporter has the port. One with TLS or passwords says so as well, while it refuses."""
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104  not bound
    connection = http.client.HTTPConnection(host, address.port, timeout=ASK_LIMIT)
    with suppress(OSError, http.client.HTTPException):
        try:
            connection.request("HEAD", "/-/healthy")
            return connection.getresponse().getheader("Server") == SERVER
        finally:
            connection.close()
    return False


def others(world: World) -> Diagnosis:
    """Other exporters, and other programs that send heartbeats."""
    exporters, heartbeaters = _processes(world)
    holder = _lock_holder(world)
    facts: Facts = {
        "exporters": [str(pid) for pid in exporters],
        "heartbeaters": heartbeaters,
        "lock_holder": holder,
    }
    if heartbeaters and (holder is not None or world.settings.ha.enabled):
        return fail(
            f"Another program sends heartbeats too: {', '.join(heartbeaters)}. One can mask the other's death.",
            Advice(
                "other-exporter",
                Where.GUEST,
                "stop it, or leave --ha.enabled out: one program per VM sends heartbeats",
            ),
            **facts,
        )
    if len(exporters) > 1:
        pids = ", ".join(map(str, exporters[:SHOWN])) + (", …" if len(exporters) > SHOWN else "")
        return warn(
            f"{len(exporters)} exporters run (pids {pids}): one is enough.",
            Advice(
                "other-exporter",
                Where.GUEST,
                "stop all but one; they do not disturb each other, but count twice",
            ),
            **facts,
        )
    beats = f" Heartbeats are process {holder}'s." if holder else ""
    if exporters:
        return ok(f"One exporter runs (pid {exporters[0]}).{beats}", **facts)
    return ok(f"No other exporter runs.{beats}", **facts)


def _lock_holder(world: World) -> int | None:
    path = world.settings.ha.lock_file or lock.DEFAULT_PATH
    return lock.holder(str(world.root / path.removeprefix("/")))


def _processes(world: World) -> tuple[list[int], list[str]]:
    """Pids of exporters that serve, and ``name (pid)`` of heartbeaters; neither this process nor its family."""
    commands: dict[int, list[str]] = {}
    parents: dict[int, int] = {}
    for folder in world.root.glob("proc/[0-9]*"):
        pid = int(folder.name)
        commands[pid] = world.read(f"proc/{pid}/cmdline").split("\0")
        # "pid (name) state ppid": a name may hold anything, parentheses too.
        fields = world.read(f"proc/{pid}/stat").rpartition(")")[2].split()
        parents[pid] = int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0
    family = {world.pid}
    pid = world.pid
    while (pid := parents.get(pid, 0)) and pid not in family:
        family.add(pid)
    serving = {pid for pid, words in commands.items() if _serves(words) and pid not in family}
    exporters = sorted(pid for pid in serving if parents[pid] not in serving)
    heartbeaters = sorted(
        f"{Path(words[0]).name} ({pid})"
        for pid, words in commands.items()
        if Path(words[0]).name in HEARTBEATERS
    )
    return exporters, heartbeaters


def _serves(words: list[str]) -> bool:
    """Whether a command line is an exporter's that serves: ``vmguest-exporter …`` or ``python -m exporter …``."""
    names = [Path(word).name for word in words[:3]]
    ours = PROGRAM in names[:2] or words[1:3] == ["-m", "exporter"]
    return ours and not NOT_SERVING.intersection(words)
