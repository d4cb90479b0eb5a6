"""Files that a setting or an argument names, or that lie where the exporter looks by itself. Regular ones, of a size that
makes sense: what never ends, waits for a writer or is a device gets a sentence, and is not opened (opening /dev/watchdog
alone starts it).
"""

from __future__ import annotations

import ast
import errno
import os
import re
import select
import sys
import tempfile
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG
from typing import Any

MIB = 1 << 20

TEXT = MIB
"""Most bytes of a file that a person writes."""
CERTIFICATES = 4 * MIB
"""Most bytes of certificates or a key; what a system trusts in all is a quarter of one MiB."""

RECORDING = 256 * MIB
"""Most bytes of a recording; it is kept in memory."""

LOCK = 4096
"""Most bytes of a lock's file: a few short lines."""

PIPE_WAIT = 60.0
"""Seconds that a pipe may take in all: whoever keeps a password may want to ask for one first."""

_NEVER_WAITS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
"""Windows has the last one alone."""

MOST_PARTS = 32
"""Of one dotted key; tomllib takes their number squared."""
LONGEST_WORD = 200
"""Characters of a key or number without quotes; 64 bits in binary, with underscores, are fewer."""


def check(path: str | Path, largest: int | None = None) -> None:
    """Raises OSError, whose ``strerror`` completes a sentence: no regular file, more than ``largest`` bytes, unreadable."""
    check_kind(path, largest)
    _first(path, 1)


def check_kind(path: str | Path, largest: int | None = None) -> None:
    """The same, without opening it."""
    _check_status(Path(path).stat(), path, largest)


def open_regular(path: str | Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """A descriptor of a regular file, as :func:`os.open` gives it. What may be something else by now (a pipe, a device) is
    never waited for: whatever opens a file that somebody else could have put there opens it by this.

    Raises:
        OSError: as :func:`check_kind`, or as :func:`os.open`.
    """
    with suppress(FileNotFoundError):
        check_kind(path)
    descriptor = os.open(path, flags | _NEVER_WAITS, mode)
    try:
        # Another one may lie there since.
        _check_status(os.fstat(descriptor), path, None)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: str | Path, largest: int = TEXT) -> bytes:
    """The whole of a regular file. Errors as :func:`check`."""
    check_kind(path, largest)
    # The kernel's own files say that they are empty.
    data = _first(path, largest + 1)
    if len(data) > largest:
        raise _too_large(path, largest)
    return data


def read_text(path: str | Path, largest: int = TEXT) -> str:
    """The same as UTF-8 text, without the byte order mark that editors on Windows put in front."""
    return _decoded(path, read_bytes(path, largest))


def read_secret(path: str | Path) -> str:
    """A password's file, or a pipe such as ``<(pass show NAME)``; without the end of its line. Errors as :func:`check`."""
    if S_ISFIFO(Path(path).stat().st_mode):
        data = _read_pipe(path, time.monotonic() + PIPE_WAIT)
    else:
        data = read_bytes(path)
    text = _decoded(path, data).rstrip("\r\n")
    if not text:
        raise OSError(errno.EINVAL, "it is empty", str(path))
    return text


def replace(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, whole, for everybody to read; also
    where another process writes the same file.

    Raises OSError.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        beside.chmod(0o644)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def parse_toml(text: str) -> dict[str, Any]:
    """What ``text`` says.

    Raises:
        ValueError: nothing, or it would take ages; the message ends in ``(at line …, column …)`` where that is known.
    """
    for token in _TOKEN.finditer(text):
        if token["key"]:
            raise ValueError(f"A key of more than {MOST_PARTS} parts{_at(text, token.start())}")
        if token["word"] and len(token[0]) > LONGEST_WORD:
            raise ValueError(
                f"A key or number of {len(token[0]):,} characters, more than any has{_at(text, token.start())}"
            )
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("Brackets within brackets, deeper than any value is") from error
    except tomllib.TOMLDecodeError as error:
        # A key is a tuple in some of its messages, an array's table a list.
        raise ValueError(re.sub(r"\(['\"].*['\"],?\)", _dotted, str(error))) from error


def _check_status(status: os.stat_result, path: str | Path, largest: int | None) -> None:
    mode = status.st_mode
    if S_ISDIR(mode):
        raise OSError(errno.EISDIR, "this is a folder", str(path))
    if not S_ISREG(mode):
        kind = "a pipe" if S_ISFIFO(mode) else "a device" if S_ISCHR(mode) or S_ISBLK(mode) else "a socket"
        raise OSError(errno.EINVAL, f"this is {kind}, not a regular file", str(path))
    if largest is not None and status.st_size > largest:
        raise _too_large(path, largest)


def _first(path: str | Path, size: int) -> bytes:
    with os.fdopen(open_regular(path), "rb") as file:
        try:
            return file.read(size)
        except OSError as error:
            # A disk that is broken, or one of the kernel's files that are there for something else: /proc/self/mem.
            raise OSError(error.errno, f"reading it fails: {error.strerror}", str(path)) from error


def _decoded(path: str | Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # As editors and PowerShell on Windows may write.
        utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        why = "this is UTF-16; save it as UTF-8" if utf_16 else f"this is not UTF-8 text (byte {error.start})"
        raise OSError(errno.EILSEQ, why, str(path)) from error


def _too_large(path: str | Path, largest: int) -> OSError:
    size = f"{largest // MIB:,} MiB" if largest >= MIB else f"{largest:,} bytes"
    return OSError(errno.EFBIG, f"it is larger than {size}, so it must be something else", str(path))


def _read_pipe(path: str | Path, deadline: float) -> bytes:
    if sys.platform == "win32":
        raise OSError(errno.EINVAL, "a pipe can't be read on Windows", str(path))
    data = b""
    descriptor = os.open(path, os.O_RDONLY | _NEVER_WAITS)
    try:
        while True:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise OSError(
                    errno.ETIMEDOUT, f"nothing came through this pipe within {PIPE_WAIT:g} s", str(path)
                )
            part = os.read(descriptor, 65536)
            if not part:
                return data
            data += part
            if len(data) > TEXT:
                raise _too_large(path, TEXT)
    finally:
        os.close(descriptor)


def _dotted(key: re.Match[str]) -> str:
    return ".".join(ast.literal_eval(key[0]))


def _at(text: str, position: int) -> str:
    return f" (at line {text.count(chr(10), 0, position) + 1}, column {position - text.rfind(chr(10), 0, position)})"


_PART = r"""(?:[A-Za-z0-9_-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')"""
_TOKEN = re.compile(
    rf"""(?P<key>{_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MOST_PARTS}}})"""
    r'''|"""(?:\\.|[^\\])*?(?:"""|\Z)|\'\'\'.*?(?:\'\'\'|\Z)'''
    r"""|"(?:\\.|[^"\\\n])*+"?|'[^'\n]*+'?|\#[^\n]*+|(?P<word>[A-Za-z0-9_-]++)""",
    re.DOTALL,
)
"""Strings and comments are passed over; what is not closed goes on to its end."""
