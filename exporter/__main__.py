"""``python -m exporter`` and the console script: nothing that happens to the process ends in a traceback.

An interrupt while modules are being imported, no descriptors, no memory: each is a line and an exit status. A signal
that asks for the end while they are waits until somebody is there who can stop in order: an exporter that follows one
that crashed would leave vSphere's monitoring on, and nobody would beat.
"""

import sys
from io import TextIOWrapper

from exporter.shortage import shortage

FAILED, INTERRUPTED = 1, 130
"""The second is 128 + SIGINT, as shells say it."""


def entry() -> None:
    """Run the command line, and exit with its status."""
    if sys.platform == "win32":
        # waitress asks platform, which asks WMI, which may hang. So it is not there, and platform asks the registry.
        sys.modules["_wmi"] = None  # type: ignore[assignment]
        _speak_utf_8()
    try:
        _mask(on=True)
        from exporter.commands.cli import entry as run

        try:
            status = run()
        finally:
            # One that nobody was there to take is acted upon now: systemd then knows that this was a stop.
            _mask(on=False)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        if not (words := shortage(error)):
            raise
        # What was half made when it ran out may complain of that at its end: nothing that the line below does not say.
        sys.unraisablehook = lambda _: None
        print(f"vmguest-exporter: {words}", file=sys.stderr)
        status = FAILED
    sys.exit(status)


def _mask(*, on: bool) -> None:
    import signal

    if sys.platform != "win32":
        held = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK if on else signal.SIG_UNBLOCK, held)


def _speak_utf_8() -> None:
    """Into pipes and files too, for which Windows has a code page that lacks most characters."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    entry()
