from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from exporter.outputs.otlp import capture, client, push, queue, resource, settings
assert not {"opentelemetry", "grpc", "google"} & {name.partition(".")[0] for name in sys.modules}
client.connect(settings.PushSettings("127.0.0.1:1", PROTOCOL)).close()
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"ssl", "requests", "urllib3", "grpc", "google"}))
"""


@pytest.mark.parametrize(
    ("protocol", "loaded"), [("http/protobuf", ["google"]), ("grpc", ["google", "grpc", "ssl"])]
)
def test_only_the_half_of_the_sdk_that_is_asked_for_is_loaded(protocol: str, loaded: list[str]) -> None:
    """And not before a push starts. ``ssl`` (gRPC brings it) is 5 MiB, ``requests`` 5, gRPC 17; in processes that load nothing else."""
    code = CODE.replace("PROTOCOL", repr(protocol)).replace(
        "127.0.0.1:1", "http://127.0.0.1:1/v1/metrics", protocol != "grpc"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == loaded
