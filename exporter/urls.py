"""URLs as messages and logs may repeat them."""

from __future__ import annotations

import re


def without_secrets(url: str) -> str:
    """Without a name and a password, and without a query, where receivers take keys; ``url`` need not be a valid one."""
    scheme, rest = re.fullmatch(r"((?:\w+://)?)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    shown, mark, query = [*re.split(r"([?#])", rest, maxsplit=1), "", ""][:3]
    if "@" in query:  # It may be a password that has the mark in it.
        return f"{scheme}<hidden>"
    shown = re.sub(r".*@", "<hidden>@", shown, flags=re.DOTALL)
    return scheme + shown + (f"{mark}<hidden>" if query else mark)
