"""Settings: from flags, then environment, then a TOML file, into one frozen :class:`Settings`.

``settings.py`` is the table; ``load`` reads the three sources. Nothing here prints or logs.
"""

from __future__ import annotations

from exporter.config.load import load
from exporter.config.places import Address
from exporter.config.rules import push_wanted
from exporter.config.settings import CHAPTERS, OPTIONS, RawTable, Settings, chapter, shown

__all__ = [
    "CHAPTERS",
    "OPTIONS",
    "Address",
    "RawTable",
    "Settings",
    "chapter",
    "load",
    "push_wanted",
    "shown",
]
