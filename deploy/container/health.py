"""HEALTHCHECK of the image: does the web server answer at all? Status 0, or 1 and a line that says why not.

/opt/vmguest-exporter/bin/python /opt/vmguest-exporter/health.py [FILE]

An engine runs it beside the exporter, with the same environment but without its flags: those stand in FILE, the first
process's command line (proc(5)). So it asks where the exporter listens, whatever its port, with TLS or without. A page that
asks for a password, or a server that asks for a certificate, answers: alive. So is an exporter that serves nothing and only
pushes, as long as it runs. A host that does not answer is no reason to start a container anew.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

from exporter.config import Settings, flags, load

SECONDS = 5.0
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked, not bound


def settings_of(command_line: bytes) -> Settings:
    """What that exporter was started with. Of another program, as where an engine shares its processes: the environment's."""
    words = [os.fsdecode(word) for word in command_line.split(b"\0")[:-1]]
    ours = next((at for at, word in enumerate(words, 1) if Path(word).name == "vmguest-exporter"), len(words))
    return load(flags.read(words[ours:]).given, os.environ)


def trouble(settings: Settings) -> str:
    """Why it is not alive, or nothing."""
    if not settings.web.enabled:
        return ""
    host, port = settings.web.listen[0]
    host = EVERYWHERE.get(host, host)
    if settings.web.config_file is None:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    else:
        # Only whether it answers: who it is was never in doubt.
        unchecked = ssl.create_default_context()
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=unchecked)
    try:
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    except ssl.SSLError:
        # It speaks: it wants a certificate, or has no TLS and passwords alone.
        return ""
    except (OSError, http.client.HTTPException) as error:
        return f"http://{host}:{port}/-/healthy: {error or type(error).__name__}"
    finally:
        connection.close()
    return f"/-/healthy answers {status}" if status >= 500 else ""


if __name__ == "__main__":
    why = trouble(settings_of(Path(sys.argv[1] if len(sys.argv) > 1 else "/proc/1/cmdline").read_bytes()))
    print(why or "alive")
    raise SystemExit(bool(why))
