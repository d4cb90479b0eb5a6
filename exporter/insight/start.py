"""Insight as a part of the program: its settings, its lines of log, and what it keeps from one run to the next."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from exporter import files
from exporter.config import Settings
from exporter.insight.observer import Insight, Observer
from exporter.insight.settings import Setting
from exporter.insight.timeline import MOST, Entry, SessionFacts, bounded
from exporter.snapshot import Guest, PollState
from exporter.threads import Thread

log = logging.getLogger("exporter.insight")

EVERY = 60.0
"""Seconds after which the file is written anew without news: so near the end of a run does it know the last poll."""
STOP = 2.0
"""Seconds that an orderly stop waits for the disk."""

FILE = "last-seen.json"
"""In systemd's StateDirectory: settings and session as last seen, since most settings change while the VM is off."""


def check(_settings: Settings, _environ: Mapping[str, str], _unread: Collection[str] = ()) -> None:
    """Nothing that could be wrong."""


def start(
    settings: Settings,
    environ: Mapping[str, str],
    guest: Callable[[], Guest],
    vcpus: Callable[[], int | None] | None = None,
) -> Told:
    """What wants to be told of each state of the poller. ``guest``, ``vcpus``: as :class:`Observer` takes them."""
    # systemd.exec(5): a list with colons where there are several.
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    # Another simulated host each time: nothing of it was seen before.
    real = settings.source not in {"simulated", "replay"}
    keeper = Keeper(Path(folder) / FILE) if folder and real else None
    kept, facts = keeper.load() if keeper is not None else ({}, None)
    told = Told(
        Observer(
            guest,
            vcpus=vcpus,
            histograms=settings.insight.histograms,
            pauses=settings.experimental,
            settings=kept,
            facts=facts,
        ),
        keeper,
    )
    told.note("start", started(facts, guest()))
    return told


def started(last: SessionFacts | None, guest: Guest) -> str:
    """The start of the exporter in a sentence. ``last``: what its last run saw, where that was kept."""
    if last is None:
        return "The exporter started."
    rebooted = bool(last.boot_id and guest.boot_id and last.boot_id != guest.boot_id)
    return (
        "The exporter started, the machine was booted before." if rebooted else "The exporter started again."
    )


class Told:
    """The observer, what it logs, and what it keeps. Called by the polling thread; the rest is for any."""

    def __init__(
        self,
        observer: Observer,
        keeper: Keeper | None = None,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._wall, self._monotonic = wall, monotonic
        self._notes: deque[Entry] = deque(maxlen=MOST)
        self._keeper = keeper
        self._broken = False

    def __call__(self, state: PollState) -> None:
        try:
            entries = self._observer.polled(state)
        except Exception:
            # What is worked out no longer follows what is polled: better none of it than a flat line.
            self._broken = True
            raise
        for entry in entries:
            announce(entry)
        if self._keeper is not None:
            self._keeper.keep(self._observer.insight)

    def stop(self) -> None:
        """Keep what was seen last. After the last poll."""
        if self._keeper is not None and not self._broken:
            self._keeper.stop(self._observer.insight)

    def note(self, kind: str, text: str) -> None:
        """Something happened that no poll shows: an entry of the timeline. For any thread."""
        self._notes.append(Entry(self._wall(), self._monotonic(), kind, text))

    def insight(self) -> Insight | None:
        """What is known; None after a mistake in this program."""
        if self._broken:
            return None
        insight = self._observer.insight
        entries = sorted((*insight.timeline, *self._notes.copy()), key=lambda entry: entry.at)
        return replace(insight, timeline=bounded(tuple(entries)))

    def guest(self) -> Guest:
        """What the guest's kernel said when it was asked last."""
        return self._observer.insight.guest


def announce(entry: Entry) -> None:
    """One line of log. A session change has one already, by the poller; this one adds what it may have been."""
    if entry.kind == "setting":
        log.warning("a setting of this VM was changed", extra={"changes": entry.text.rstrip(".")})
    elif entry.kind == "session":
        log.info("clues to the session change", extra={"guess": entry.guess, "clues": "; ".join(entry.clues)})


class Keeper:
    """The file, written once a minute and when something in it changed, in a thread of its own: a slow disk must not hold up polls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: object = None
        self._seen = math.nan
        self._writer: Thread | None = None
        self._failed = False

    def load(self) -> tuple[dict[str, Setting], SessionFacts | None]:
        """What the last run saw; nothing where nothing was kept, or it can't be read."""
        try:
            content = json.loads(files.read_text(self._path))
            settings = {str(name): _setting(value) for name, value in content["settings"].items()}
            session = content["session"]
            return settings, _facts(session) if session else None
        except FileNotFoundError:
            return {}, None
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            log.warning(
                "what the last run saw can't be read; it starts afresh",
                extra={"file": self._path, "reason": error},
            )
            return {}, None

    def keep(self, insight: Insight) -> None:
        """Write what changed, unless the last write is still under way; then the next call does."""
        facts = insight.facts
        if facts is None or (self._writer is not None and self._writer.is_alive()):
            return
        # Not what moves with every poll, unless it was written a while ago.
        news = (insight.settings, facts.session_id, facts.frequency, facts.cores, facts.build, facts.boot_id)
        if news == self._kept and abs(facts.at - self._seen) < EVERY:
            return
        self._begin(insight, facts, news)

    def stop(self, insight: Insight) -> None:
        """Write once more, and wait a little for it."""
        if self._writer is not None:
            self._writer.join(STOP)
        if insight.facts is None or (self._writer is not None and self._writer.is_alive()):
            return
        self._begin(insight, insight.facts, None)
        if self._writer is not None:
            self._writer.join(STOP)

    def _begin(self, insight: Insight, facts: SessionFacts, news: object) -> None:
        text = json.dumps({"settings": dict(insight.settings), "session": asdict(facts)})
        writer = Thread(lambda: self._write(text))
        try:
            writer.start(STOP)
        except (RuntimeError, MemoryError) as error:
            # Nothing that waits here may hold up the polls. The next one tries again.
            self._tell(error)
            return
        self._writer, self._kept, self._seen = writer, news, facts.at

    def _write(self, text: str) -> None:
        try:
            files.replace(self._path, text.encode())
            self._failed = False
        except OSError as error:
            self._tell(error)

    def _tell(self, reason: Exception) -> None:
        if not self._failed:
            log.warning("settings as last seen can't be kept", extra={"file": self._path, "reason": reason})
        self._failed = True


def _setting(value: object) -> Setting:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a setting was kept as {value!r}")
    if isinstance(value, str):
        return value
    if math.isnan(value):
        raise ValueError("a setting was kept as no number")
    return float(value)


_TEXTS = {"build", "boot_id"}
_OPTIONAL = {"elapsed", "frequency", "cores"}


def _facts(session: Mapping[str, object]) -> SessionFacts:
    """What was kept of a session; TypeError where a value is of another kind than was written."""
    found: dict[str, Any] = {}
    for name in SessionFacts.__dataclass_fields__:
        value = session[name]
        if name in _TEXTS:
            right = isinstance(value, str)
        elif name == "session_id":
            right = isinstance(value, int) and not isinstance(value, bool)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            right = math.isfinite(value)
        else:
            right = value is None and name in _OPTIONAL
        if not right:
            raise TypeError(f"{name} was kept as {value!r}")
        found[name] = value
    return SessionFacts(**found)
