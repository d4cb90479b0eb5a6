"""Commands are tested beside what they call: they use the same stand-ins."""

from __future__ import annotations

from tests.doctor.conftest import *  # noqa: F403
