from __future__ import annotations

import subprocess
import sys

import pytest

from exporter.outputs.otlp.connect import connect, hush_grpc
from exporter.outputs.otlp.endpoint import GRPC
from exporter.outputs.otlp.grpc_client import GrpcClient
from exporter.outputs.otlp.http_client import HttpClient
from exporter.outputs.otlp.settings import PushSettings

CODE = """
import sys
from exporter.outputs.otlp import connect, push, settings
assert not {"opentelemetry", "requests", "grpc", "google"} & {name.partition(".")[0] for name in sys.modules}
connect.connect(settings.PushSettings("127.0.0.1:1", PROTOCOL)).close()
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"requests", "grpc"}))
"""


@pytest.mark.parametrize(("protocol", "loaded"), [("http/protobuf", "requests"), ("grpc", "grpc")])
def test_only_the_half_that_is_asked_for_is_loaded_and_not_before_a_push_starts(
    protocol: str, loaded: str
) -> None:
    code = CODE.replace("PROTOCOL", repr(protocol)).replace(
        "127.0.0.1:1", "http://127.0.0.1:1/v1/metrics", protocol != "grpc"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [loaded]


def test_each_protocol_has_its_client() -> None:
    for settings, kind in (
        (PushSettings("http://127.0.0.1:1/v1/metrics"), HttpClient),
        (PushSettings("127.0.0.1:1", GRPC), GrpcClient),
    ):
        client = connect(settings)
        assert isinstance(client, kind)
        client.close()


def test_grpc_is_quiet_unless_somebody_wants_to_hear_it() -> None:
    environ = {"GRPC_VERBOSITY": "debug"}
    hush_grpc(environ)
    assert environ == {"GRPC_VERBOSITY": "debug", "GRPC_ENABLE_FORK_SUPPORT": "false"}
    fresh: dict[str, str] = {}
    hush_grpc(fresh)
    assert fresh["GRPC_VERBOSITY"] == "NONE"
