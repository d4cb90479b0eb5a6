from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config import flags, load
from exporter.config.rules import contradictions
from exporter.config.settings import Api, GuestRpc, Ha, Settings
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
    assert problems(f"--replay.file={recording}") == [
        "--replay.file has no effect without --source=replay; add it, or leave --replay.file out"
    ]
    assert problems("--source=replay", f"--replay.file={recording}") == []


def test_a_socket_is_for_guestrpc() -> None:
    assert problems("--guestrpc.socket=/run/x", "--source=library") == [
        "--guestrpc.socket has no effect with --source=library; use --source=guestrpc, or leave it out"
    ]
    assert problems("--guestrpc.socket=/run/x") == []


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
        (Settings(), ["ha.required"], r"--ha\.required: heartbeats .* Linux guests only; leave it out"),
    ],
)
def test_what_windows_lacks_is_refused_in_one_sentence(
    settings: Settings, given: list[str], sentence: str
) -> None:
    (found,) = contradictions(settings, {}, given, WINDOWS)
    assert re.fullmatch(sentence, found)
    assert found not in contradictions(settings, {}, given, LINUX)


def test_heartbeats_that_are_off_are_no_matter_on_windows() -> None:
    assert contradictions(Settings(), {}, ["ha.enabled"], WINDOWS) == []
