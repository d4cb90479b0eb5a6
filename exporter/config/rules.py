"""Settings that are fine one by one and wrong together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from exporter.config.settings import BY_NAME, Need, Settings, need
from exporter.machine.system import HERE, System

_ENDPOINTS = ("otlp.endpoint", "otlp.metrics-endpoint")
_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def push_wanted(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether something names an OTLP receiver. What the standard variables mean in full is the push's own business."""
    given = settings.otlp.endpoint or settings.otlp.metrics_endpoint
    return given is not None or any(environ.get(name) for name in _OTLP_ENDPOINTS)


def contradictions(
    settings: Settings,
    environ: Mapping[str, str],
    given: Collection[str] = (),
    system: System = HERE,
    used: Collection[str] = (),
    unread: Collection[str] = (),
) -> list[str]:
    """Every one, as a sentence that names the flags and a way out. ``given``: names of the settings and tables that were
    given; ``used``: of those that have an effect in any case, on the command that is run; ``unread``: of those whose value
    can't be known, from which nothing follows but that ``system`` may have no use for any.

    What needs what ``system`` has not is told alone: nothing else can be right about it.
    """
    if lacking := [*_lacking(settings, given, system)]:
        return lacking
    return [
        *_without_effect(settings, environ, sorted(set(given) - set(used) - set(unread)), unread),
        *_sources(settings, unread),
        *_outputs(settings, environ, unread),
        *_heartbeats(settings, unread),
    ]


def _lacking(settings: Settings, given: Collection[str], system: System) -> Iterator[str]:
    asked: dict[Need, list[str]] = {}
    for name in sorted(given):
        needed = need(name)
        if needed is not None and needed.what in system.lacks and _wanted(settings, name, needed):
            asked.setdefault(needed, []).append(name)
    for needed, names in asked.items():
        flags = ", ".join(_said(name) + (f"={needed.value}" if needed.value else "") for name in names)
        yield f"{flags}: {system.lacks[needed.what]}; {needed.instead}"


def _wanted(settings: Settings, name: str, needed: Need) -> bool:
    """A part that is switched off needs nothing; of some settings one value alone needs something."""
    row = BY_NAME.get(name)
    if row is None:
        return True
    value = getattr(getattr(settings, row.group) if row.group else settings, row.field)
    return value == needed.value if needed.value else value is not False or row.field != "enabled"


def _known(unread: Collection[str], *names: str) -> bool:
    return not set(names) & set(unread)


def _without_effect(
    settings: Settings, environ: Mapping[str, str], given: Collection[str], unread: Collection[str]
) -> Iterator[str]:
    """One rule for all: what can have no effect is refused, with the setting that is missing.

    A part that was switched off in so many words (``--no-ha.enabled``) keeps its settings: that is how one tries.
    """
    source, ha = settings.source, settings.ha
    heart_over_guestrpc = source == "library" and ha.enabled and ha.source == "guestrpc"
    known = _known(unread, "source")
    heart_known = source != "library" or _known(unread, "ha.enabled", "ha.source")
    needs = (
        (
            "guestrpc.socket",
            not known or not heart_known or source in {"auto", "guestrpc"} or heart_over_guestrpc,
            "--source=guestrpc",
        ),
        ("guestrpc.timeout", not known or source != "replay", "--source=guestrpc"),
        ("library.", not known or source in {"auto", "library"}, "--source=library"),
        ("simulated.", not known or source == "simulated", "--source=simulated"),
        ("replay.", not known or source == "replay", "--source=replay"),
        ("otlp.", not _known(unread, *_ENDPOINTS) or push_wanted(settings, environ), "--otlp.endpoint"),
        ("ha.", not _known(unread, "ha.enabled") or ha.enabled or "ha.enabled" in given, "--ha.enabled"),
    )
    for prefix, met, missing in needs:
        if not met:
            for name in given:
                if name.startswith(prefix):
                    said = _said(name)
                    yield f"{said} has no effect without {missing}; add it, or leave {said} out"
    if settings.otlp.endpoint is not None and settings.otlp.metrics_endpoint is not None:
        yield "--otlp.endpoint has no effect beside --otlp.metrics-endpoint; leave one of them out"


def _said(name: str) -> str:
    """A setting by its flag, a table as it stands in the file."""
    return BY_NAME[name].flag if name in BY_NAME else f"[[{name}]]"


def _sources(settings: Settings, unread: Collection[str]) -> list[str]:
    known = _known(unread, "source", "replay.file")
    if known and settings.source == "replay" and settings.replay.file is None:
        return ["--source=replay needs --replay.file=FILE, the recording to play"]
    return []


def _outputs(settings: Settings, environ: Mapping[str, str], unread: Collection[str]) -> list[str]:
    found = []
    otlp = settings.otlp
    asked = settings.web.enabled or (settings.api.enabled and settings.api.socket is not None)
    known = _known(unread, "web.enabled", "api.enabled", "api.socket", "ha.enabled", *_ENDPOINTS)
    if known and not asked and not push_wanted(settings, environ) and not settings.ha.enabled:
        found.append("nothing would be published with --no-web; give --otlp.endpoint, or leave --no-web out")
    for present, missing, flag, variable in (
        (otlp.cert, otlp.key, "key", "CLIENT_KEY"),
        (otlp.key, otlp.cert, "cert", "CLIENT_CERTIFICATE"),
    ):
        names = (f"OTEL_EXPORTER_OTLP_{variable}", f"OTEL_EXPORTER_OTLP_METRICS_{variable}")
        known = _known(unread, "otlp.cert", "otlp.key")
        if known and present is not None and missing is None and not any(environ.get(name) for name in names):
            found.append(f"--otlp.{flag} is missing: a client certificate and its key go together")
    return found


def _heartbeats(settings: Settings, unread: Collection[str]) -> list[str]:
    ha = settings.ha
    if not ha.enabled or not _known(unread, "ha.enabled", "ha.max-poll-age", "poll.interval"):
        return []
    if ha.max_poll_age < 2 * settings.poll.interval:
        # Else health would be bad between two good polls, and this machine would be reset for nothing.
        both = f"--ha.max-poll-age={ha.max_poll_age:g}s is less than two of --poll.interval={settings.poll.interval:g}s"
        return [
            f"{both}: one slow poll would count as bad health and could reset this machine; raise it or poll more often"
        ]
    return []
