"""Takes names out of what leaves the machine: MAC and IP addresses, uuids, host names, resource pool paths.

What is masked keeps its length and its kind, and the same thing gets the same mask, so that a masked reply still
decodes, a masked recording still plays, and two lines that speak of one network card still do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress

from exporter.catalogue import STATISTICS, Wire
from exporter.errors import ProtocolError
from exporter.protocol import stat_get, stats_v2, stats_v3
from exporter.snapshot import ExtendedValue

_MAC = re.compile(r"(?<![0-9A-Fa-f:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])")
_UUID = re.compile(
    r"(?<![0-9A-Fa-f-])(?:[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    # As VMware writes it: sixteen pairs, a dash in the middle.
    r"|(?:[0-9A-Fa-f]{2} ){7}[0-9A-Fa-f]{2}-(?:[0-9A-Fa-f]{2} ){7}[0-9A-Fa-f]{2})(?![0-9A-Fa-f-])"
)
_IPV4 = re.compile(r"(?<![\w.-])(?!127\.|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\w.-])")
_IPV6 = re.compile(r"\[(?=[^\]]*:)[0-9A-Fa-f:.%]+\]")
_PATH = re.compile(rb"/[\x21-\x7e]{3,}")
_V2_PATH = stats_v2.SIZE - stats_v3.MAX_STRING
"""Where the resource pool's path begins in a V2 reply, which it ends."""

_KEPT = ("version",)
"""Texts among the extended statistics, by the end of their name, that tell what host it is and not whose."""


class Masker:
    """``names``: words to mask wherever they stand, host names for one."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        words = sorted({name for name in names if len(name) > 2}, key=len, reverse=True)
        self._names = (
            re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words)) if words else None
        )
        self._masks: dict[str, str] = {}

    def text(self, text: str) -> str:
        """``text`` without names; IP addresses of this machine to itself stay."""
        for pattern, mask in (
            (_UUID, self._uuid),
            (_MAC, self._mac),
            (_IPV4, self._crossed),
            (_IPV6, self._crossed),
        ):
            text = pattern.sub(lambda match, mask=mask: mask(match[0]), text)  # type: ignore[misc]
        if self._names is not None:
            text = self._names.sub(lambda match: self._crossed(match[0]), text)
        return text

    def reply(self, command: str, data: bytes) -> bytes:
        """The data of the host's reply to ``command``, as long as it was."""
        if command == "guestlib.info.get 3":
            return _pool_paths(data)
        if command == "guestlib.info.get 2":
            return data[:_V2_PATH] + _crossed_bytes(data[_V2_PATH:])
        if command.startswith("guestlib.stat.get "):
            return self._extended(command.split(" ")[1], data)
        return data

    def raw(self, data: bytes) -> bytes:
        """Bytes that nothing is known of."""
        masked = self.text(data.decode("latin-1")).encode("latin-1")
        return _PATH.sub(lambda match: _crossed_bytes(match[0]), masked)

    def _extended(self, encoding: str, data: bytes) -> bytes:
        text = self.text(data.decode("latin-1"))
        values: tuple[ExtendedValue, ...] = ()
        with suppress(ProtocolError, KeyError):
            values = stat_get.parse(encoding, text.encode("latin-1")).values
        words = {
            each.value for each in values if isinstance(each.value, str) and not each.name.endswith(_KEPT)
        }
        for word in sorted(words - {"", *self._masks.values()}, key=len, reverse=True):
            # Only where it stands as a value: a short one may be part of anything.
            place = re.compile(rf"(?<=[>\"= ]){re.escape(word)}(?=\s*(?:[<\"\r\n]|$))")
            text = place.sub(lambda match: self._crossed(match[0]), text)
        return text.encode("latin-1")

    def _once(self, word: str, make: Callable[[int], str]) -> str:
        key = word.lower()
        if key not in self._masks:
            self._masks[key] = make(len(self._masks) + 1)
        return self._masks[key]

    def _mac(self, word: str) -> str:
        return self._once(
            word, lambda number: word[2].join(f"02{number:010x}"[at : at + 2] for at in range(0, 12, 2))
        )

    def _uuid(self, word: str) -> str:
        def make(number: int) -> str:
            digits = iter(f"{number:032x}")
            return "".join(mark if mark in "- " else next(digits) for mark in word)

        return self._once(word, make)

    @staticmethod
    def _crossed(word: str) -> str:
        return re.sub(r"[^\W_]", "x", word)


def _crossed_bytes(path: bytes) -> bytes:
    """Every letter and digit crossed out; slashes, and what else there is, stay."""
    return re.sub(rb"[^/\x00-\x20]", b"x", path)


def _pool_paths(data: bytes) -> bytes:
    """A V3 reply without its resource pool's paths (ids 18 and 37)."""
    masked = bytearray(data)
    offset = 20
    count = int.from_bytes(data[16:20], "big")
    for row in STATISTICS[:count]:
        if int.from_bytes(data[offset : offset + 4], "big") != row.id:
            break
        if row.wire in (Wire.U32, Wire.U64):
            offset += 12 if row.wire is Wire.U32 else 16
            continue
        length = int.from_bytes(data[offset + 8 : offset + 12], "big")
        start, offset = offset + 12, offset + 12 + length + (-length & 3)
        masked[start : start + length] = _crossed_bytes(bytes(masked[start : start + length]))
    else:
        return bytes(masked)
    # Not in order: whatever looks like a path, from there on.
    rest = bytes(masked[offset:])
    return bytes(masked[:offset]) + _PATH.sub(lambda match: _crossed_bytes(match[0]), rest)
