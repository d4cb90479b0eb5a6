"""The environment: ``VMGUEST_…`` variables, one per setting. An empty one counts as not set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exporter.config.given import Given, did_you_mean, nearest
from exporter.config.options import PREFIX
from exporter.config.settings import OPTIONS

_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""Kubernetes puts one of these into every pod for every Service of the namespace; a Service named
``vmguest-exporter`` gives ``VMGUEST_EXPORTER_SERVICE_HOST``. They are not meant for us."""


def read(environ: Mapping[str, str]) -> tuple[list[Given], list[str], set[str]]:
    """The settings among the variables, problems with the others that bear our prefix, and the names of the settings
    that those may have meant.
    """
    known = {row.variable: row for row in OPTIONS}
    given, problems = [], []
    meant = set()
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if row := known.get(name):
            if environ[name]:
                given.append(Given(row, environ[name], name))
        elif not any(match.end() == len(name) for match in _SERVICE_LINK.finditer(name)):
            problems.append(f"{name}: no such setting{did_you_mean(name, known)}")
            if near := nearest(name, known):
                meant.add(known[near].name)
    return given, problems, meant
