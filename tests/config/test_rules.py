from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.commands import cli
from exporter.commands.parser import COMMANDS
from exporter.config import flags, load
from exporter.config.places import InputFile
from exporter.config.rules import contradictions
from exporter.config.settings import BY_NAME, OPTIONS, Api, GuestRpc, Ha, Settings
from exporter.config.values import Switch
from exporter.errors import ConfigError
from exporter.machine.system import LINUX, WINDOWS


def problems(*argv: str, **environ: str) -> list[str]:
    line = flags.read(argv)
    try:
        load(line.given, environ, line.problems)
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "host.rec"
    path.touch()
    return str(path)


def test_a_replay_needs_its_recording_and_a_recording_the_replay(recording: str) -> None:
    assert problems("--source=replay") == ["--source=replay needs --replay.file=FILE, the recording to play"]
    assert problems("--source=replay", f"--replay.file={recording}") == []


ALWAYS = {
    "source",
    "poll.interval",
    "deprecated-metrics",
    "expose-identity",
    "experimental",
    "insight.histograms",
    "log.level",
    "log.format",
    "config.file",
}
"""Have an effect whatever else is set."""

SWITCHED_OFF_BY_NAME = {
    "extended": {"extended.interval", "extended.unknown"},
    "web": {
        "web.listen-address",
        "web.telemetry-path",
        "web.config.file",
        "web.disable-exporter-metrics",
    },
    "api": {"api.socket"},
}
"""Of parts that are on unless somebody says --no-…; then their settings stay, for the next try."""

NEEDS: dict[str, tuple[str, ...]] = {
    # Setting: what it needs, and then situations (of flags, or none) in which it has no effect.
    "guestrpc.socket": ("--source=guestrpc", "--source=library", "--source=simulated", "--source=replay"),
    "guestrpc.timeout": ("--source=guestrpc", "--source=replay"),
    "library.path": ("--source=library", "--source=guestrpc", "--source=simulated", "--source=replay"),
    **dict.fromkeys(
        ("simulated.scenario", "simulated.seed"),
        ("--source=simulated", "", "--source=guestrpc", "--source=library", "--source=replay"),
    ),
    **dict.fromkeys(
        ("replay.file", "replay.speed", "replay.loop"),
        ("--source=replay", "", "--source=guestrpc", "--source=library", "--source=simulated"),
    ),
    **{
        row.name: ("--otlp.endpoint", "")
        for row in OPTIONS
        if row.group == "otlp" and row.field not in {"endpoint", "metrics_endpoint"}
    },
    **{row.name: ("--ha.enabled", "") for row in OPTIONS if row.group == "ha" and row.field != "enabled"},
}

OTHERS = {
    "web.enabled",
    "api.enabled",
    "extended.enabled",
    "ha.enabled",
    "otlp.endpoint",
    "otlp.metrics-endpoint",
}
"""Switch their part, and are judged below."""

VALUES = {
    "guestrpc.socket": "/run/x",
    "guestrpc.timeout": "1s",
    "simulated.scenario": "swapping",
    "simulated.seed": "1",
    "replay.speed": "2",
    "otlp.protocol": "grpc",
    "otlp.headers": "a=b",
    "otlp.compression": "gzip",
    "otlp.temporality": "delta",
    "otlp.histograms": "explicit",
    "ha.on-unhealthy": "disable",
    "ha.source": "library",
    "ha.lock-file": "/run/x",
}


def test_every_setting_stands_in_one_of_the_tables_of_effects() -> None:
    named = [*ALWAYS, *(name for names in SWITCHED_OFF_BY_NAME.values() for name in names), *NEEDS, *OTHERS]
    assert sorted(named) == sorted(BY_NAME)


@pytest.mark.parametrize(
    ("name", "situation"),
    [(name, situation) for name, (_, *situations) in NEEDS.items() for situation in situations],
)
def test_a_setting_without_effect_is_refused_with_what_is_missing(
    name: str, situation: str, recording: str
) -> None:
    option, missing = BY_NAME[name], NEEDS[name][0]
    default = recording if isinstance(option.kind, InputFile) else "5s"
    value = "true" if isinstance(option.kind, Switch) else VALUES.get(name, default)
    others = [situation] if situation else []
    if situation == "--source=replay":
        others.append(f"--replay.file={recording}")
    said = f"{option.flag} has no effect without {missing}; add it, or leave {option.flag} out"
    pair = option.name in {"otlp.cert", "otlp.key"}  # One without the other is a problem too.
    assert problems(f"{option.flag}={value}", *others)[: 1 if pair else None] == [said]
    assert problems(*others, **{option.variable: value})[: 1 if pair else None] == [said]
    if missing == "--otlp.endpoint":
        missing = "--otlp.endpoint=localhost:4317"
    if missing == "--source=replay" and name != "replay.file":
        others.append(f"--replay.file={recording}")
    together = problems(f"{option.flag}={value}", *others, missing)
    assert not [each for each in together if each.startswith(f"{option.flag} has no effect")]


@pytest.mark.parametrize("part", SWITCHED_OFF_BY_NAME)
def test_a_part_that_is_switched_off_in_so_many_words_keeps_its_settings(part: str, recording: str) -> None:
    values = {"web.listen-address": ":1", "web.telemetry-path": "/x", "web.config.file": recording}
    values |= {"extended.interval": "5s", "api.socket": "/run/x"}
    given = [f"{BY_NAME[name].flag}={values.get(name, 'true')}" for name in SWITCHED_OFF_BY_NAME[part]]
    assert problems(*given, f"--no-{part}", "--otlp.endpoint=a:1") == []


def test_checks_of_heartbeats_without_heartbeats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vmguest.toml"
    path.write_text('[[ha.check]]\ntype = "file"\n')
    assert problems(f"--config.file={path}") == [
        "[[ha.check]] has no effect without --ha.enabled; add it, or leave [[ha.check]] out"
    ]
    assert problems(f"--config.file={path}", "--no-ha.enabled") == []


def test_a_socket_also_leads_heartbeats_to_the_host() -> None:
    given = ("--guestrpc.socket=/run/x", "--source=library", "--ha.enabled")
    assert problems(*given) == []
    assert problems(*given, "--ha.source=library") != []


def test_of_two_receivers_one_has_no_effect() -> None:
    said = "--otlp.endpoint has no effect beside --otlp.metrics-endpoint; leave one of them out"
    assert problems("--otlp.endpoint=a:1", "--otlp.metrics-endpoint=http://a/x") == [said]


def test_what_a_command_goes_by_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    used = {command.name: command.uses for command in COMMANDS}
    assert set(used["ha"]) <= BY_NAME.keys()
    assert set(used["doctor"]) <= BY_NAME.keys()
    given = ["ha.source", "ha.lock-file"]
    assert contradictions(Settings(), {}, given, used=used["ha"]) == []
    assert len(contradictions(Settings(), {}, given)) == 2
    assert cli.main(["--ha.source=library", "--ha.grace=5s"]) == 2
    said = capsys.readouterr().err
    assert "--ha.grace has no effect without --ha.enabled" in said
    assert "--ha.source" not in said, "what an exporter that died left on is handed back by it"
    assert cli.main(["--ha.lock-file=/x", "--source=simulated", "ha", "status"]) == 2
    assert "no effect" not in capsys.readouterr().err


def test_something_must_be_published() -> None:
    assert problems("--no-web") == [
        "nothing would be published with --no-web; give --otlp.endpoint, or leave --no-web out"
    ]
    assert problems("--no-web", "--otlp.endpoint=localhost:4317") == []
    assert problems("--no-web", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://localhost:4318") == []
    assert problems("--no-web", OTEL_EXPORTER_OTLP_ENDPOINT="") != []
    assert problems("--no-web", "--ha.enabled") == []


def test_a_client_certificate_and_its_key_go_together(recording: str) -> None:
    endpoint = "--otlp.endpoint=a:1"
    message = "is missing: a client certificate and its key go together"
    assert problems(endpoint, f"--otlp.cert={recording}") == [f"--otlp.key {message}"]
    assert problems(endpoint, f"--otlp.key={recording}") == [f"--otlp.cert {message}"]
    assert problems(endpoint, f"--otlp.cert={recording}", f"--otlp.key={recording}") == []
    assert problems(endpoint, f"--otlp.cert={recording}", OTEL_EXPORTER_OTLP_CLIENT_KEY=recording) == []


def test_heartbeat_settings_without_heartbeats_are_a_mistake() -> None:
    assert problems("--ha.required", "--ha.dry-run") == [
        "--ha.dry-run has no effect without --ha.enabled; add it, or leave --ha.dry-run out",
        "--ha.required has no effect without --ha.enabled; add it, or leave --ha.required out",
    ]
    assert problems("--ha.enabled", "--ha.required", "--ha.dry-run") == []


def test_a_slow_poll_alone_must_never_reset_the_machine() -> None:
    (problem,) = problems("--ha.enabled", "--poll.interval=1m")
    assert problem.startswith("--ha.max-poll-age=30s is less than two of --poll.interval=60s")
    assert problems("--ha.enabled", "--poll.interval=1m", "--ha.max-poll-age=2m") == []
    assert problems("--poll.interval=1m") == []


def test_a_heartbeat_interval_that_leaves_no_room_for_a_lost_beat_is_refused() -> None:
    (problem,) = problems("--ha.enabled", "--ha.interval=16s")
    assert "one heartbeat must be allowed to fail" in problem
    assert problems("--ha.enabled", "--ha.interval=15s") == []


@pytest.mark.parametrize(
    ("settings", "given", "sentence"),
    [
        (
            Settings(source="guestrpc"),
            ["source"],
            r"--source=guestrpc: Python has no vsock on Windows, .*; use --source=library, or leave it out",
        ),
        (
            Settings(guestrpc=GuestRpc(socket="/x")),
            ["guestrpc.socket"],
            r"--guestrpc\.socket: Python has no unix sockets on Windows; leave it out",
        ),
        (
            Settings(api=Api(socket="/x")),
            ["api.socket"],
            r"--api\.socket: Python has no unix sockets on Windows; leave it out",
        ),
        (
            Settings(ha=Ha(enabled=True, required=True)),
            ["ha.required", "ha.enabled"],
            r"--ha\.enabled, --ha\.required: heartbeats .* Linux guests only; leave it out",
        ),
        (Settings(), ["api.enabled"], r"--api: Python has no unix sockets on Windows; leave it out"),
        (Settings(), ["ha.check"], r"\[\[ha\.check\]\]: heartbeats .* Linux guests only; leave it out"),
        (Settings(), ["ha.required"], r"--ha\.required: heartbeats .* Linux guests only; leave it out"),
    ],
)
def test_what_windows_lacks_is_refused_in_one_sentence(
    settings: Settings, given: list[str], sentence: str
) -> None:
    (found,) = contradictions(settings, {}, given, WINDOWS)
    assert re.fullmatch(sentence, found)
    assert found not in contradictions(settings, {}, given, LINUX)


def test_what_is_switched_off_is_no_matter_on_windows() -> None:
    off = Settings(api=Api(enabled=False))
    assert contradictions(off, {}, ["ha.enabled", "api.enabled"], WINDOWS) == []


@pytest.mark.parametrize("value", ["--ha.lock-file=ha.lock", "--ha.interval=1", "--guestrpc.socket="])
def test_a_value_that_can_not_be_read_is_refused_all_the_same(value: str) -> None:
    line = flags.read([value])
    flag = value.partition("=")[0]
    with pytest.raises(ConfigError) as caught:
        load(line.given, system=WINDOWS)
    (refused,) = (each for each in caught.value.problems if each.startswith(f"{flag}: "))
    assert refused.endswith("; leave it out")
