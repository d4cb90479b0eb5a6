"""VMware's own library as a source, in an expendable process (:mod:`exporter.library`)."""

from __future__ import annotations

import logging

from exporter.library.answers import Loaded
from exporter.library.process import LibraryProcess
from exporter.session.wire import DEFAULT_TIMEOUT
from exporter.snapshot import Snapshot, SourceInfo

log = logging.getLogger("exporter.library")


class LibrarySource:
    """Reads the statistics through VMware's library.

    What it can't give, for want of a way in the library: the version of the host's reply, the pool path where it
    is longer than 512 bytes or the host gives it as statistic 37 alone, the host kernel's memory overhead, and the host's own
    words when it refuses. Whether there is VMware is for the library to find out, which looks more closely than can be done
    without it.

    ``path``: the library's file, None to search. ``timeout``: seconds for one question. ``process`` is for tests.
    """

    def __init__(
        self,
        path: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        process: LibraryProcess | None = None,
        note: str = "",
    ) -> None:
        self._process = process or LibraryProcess(path, timeout)
        self._note = note
        self._loaded: Loaded | None = None

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("library", "library", "", self._note or self._words())

    @property
    def restarts(self) -> int:
        """Times that the process had to be restarted: ``vmguest_library_restarts_total``."""
        return self._process.restarts

    @property
    def loaded(self) -> Loaded | None:
        """The library's file and the functions that it lacks; None until it is loaded."""
        return self._loaded

    def read(self) -> Snapshot:
        self._load()
        return self._process.read()

    def stat(self, encoding: str, name: str, timeout: float | None = None) -> bytes:
        self._load()
        return self._process.stat(encoding, name, timeout)

    def close(self) -> None:
        self._process.close()

    def _load(self) -> None:
        loaded = self._process.load()
        if loaded == self._loaded:
            return
        self._loaded = loaded
        log.info("VMware's library loaded", extra={"library": loaded.library})
        if loaded.missing:
            log.warning(
                "VMware's library is an older one: what it has no function for is not shown",
                extra={"library": loaded.library, "missing": ",".join(loaded.missing)},
            )

    def _words(self) -> str:
        if self._loaded is None:
            return ""
        missing = f", without {', '.join(self._loaded.missing)}" if self._loaded.missing else ""
        return self._loaded.library + missing
