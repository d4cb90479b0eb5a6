"""The recorded host of ``--source=replay``."""

from __future__ import annotations

from exporter.config import Settings
from exporter.session.base import Host
from exporter.session.replay import ReplaySource


def find_host(settings: Settings) -> Host:
    """What was recorded, of the host and of the guest that ran on it.

    Raises:
        ConfigError: no such file, or it is no recording.
    """
    replay = settings.replay
    played = ReplaySource(replay.file or "", speed=replay.speed, loop=replay.loop)
    return Host(played, played.guest, vcpus=lambda: played.guest().vcpus)
