"""The page at ``/``: what this is and where its metrics are."""

from __future__ import annotations

from exporter import __version__
from exporter.outputs.http import Response


def landing(telemetry_path: str) -> Response:
    """``telemetry_path`` holds no character that means anything to HTML; the settings see to that."""
    return Response(
        f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>vmguest-exporter</title>
<h1>vmguest-exporter {__version__}</h1>
<p>What the hypervisor does to this VM, read from inside.</p>
<ul><li><a href="{telemetry_path}">Metrics</a><li><a href="/-/healthy">Health</a><li><a href="/-/ready">Readiness</a></ul>
</html>
""".encode(),
        "text/html; charset=utf-8",
    )
