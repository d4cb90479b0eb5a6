"""The two text formats of Prometheus, and the page that is written in them.

Sources: Prometheus docs ``instrumenting/exposition_formats`` (text 0.0.4) and ``specs/om/open_metrics_spec``
(OpenMetrics 1.0.0). Anything with the attributes of prometheus_client's ``Metric`` can be encoded, and a
:class:`Collector` can be registered in any of prometheus_client's registries; byte for byte the result is that
package's, which the tests hold against it. It is not imported here: its import costs 11 MiB and 45 ms, more
than all the rest of a plain serve together.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exporter.metrics.published import Published
from exporter.snapshot import PollState

MAX_AGE = 1.0
"""Seconds after which what does not come with a poll (process, OTLP, HA) is asked for again."""


class MetricSample(Protocol):
    """One line of a page; timestamps and exemplars have no meaning here."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...


class MetricFamily(Protocol):
    """What is read of a metric; :class:`exporter.metrics.families.Family` and prometheus_client's ``Metric`` have it."""

    @property
    def name(self) -> str: ...
    @property
    def documentation(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def samples(self) -> Sequence[MetricSample]: ...


_IN_TEXT = {
    "counter": ("_total", "counter"),
    "info": ("_info", "gauge"),
    "stateset": ("", "gauge"),
    "gaugehistogram": ("", "histogram"),
    "unknown": ("", "untyped"),
}
"""OpenMetrics types in the older format: suffix of the name, word of the TYPE line."""

_OPENMETRICS_ONLY = ("_created", "_gcount", "_gsum")
"""Samples that the older format can only show as gauges of their own, after their family."""


def number(value: float) -> str:
    """A value as Go prints a float: ``1e+06`` from a million on, where Python waits for 1e16."""
    value = float(value)
    shown = repr(value)
    if shown in _SPECIAL:
        return _SPECIAL[shown]
    whole, _, fraction = shown.partition(".")
    if value <= 0 or len(whole) <= 6 or "e" in shown:
        return shown
    digits = (whole + fraction).rstrip("0")
    return f"{digits[0]}{'.' if len(digits) > 1 else ''}{digits[1:]}e+{len(whole) - 1:02d}"


_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def _line(sample: MetricSample) -> str:
    labels = ",".join(f'{name}="{_quoted(text)}"' for name, text in sorted(sample.labels.items()))
    return (
        f"{sample.name}{{{labels}}} {number(sample.value)}\n"
        if labels
        else f"{sample.name} {number(sample.value)}\n"
    )


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _text(family: MetricFamily) -> Iterator[str]:
    suffix, kind = _IN_TEXT.get(family.type, ("", family.type))
    text = _escaped(family.documentation)
    yield f"# HELP {family.name}{suffix} {text}\n# TYPE {family.name}{suffix} {kind}\n"
    apart: dict[str, list[str]] = {}
    for sample in family.samples:
        ending = sample.name.removeprefix(family.name)
        if ending in _OPENMETRICS_ONLY:
            apart.setdefault(sample.name, []).append(_line(sample))
        else:
            yield _line(sample)
    for name, lines in sorted(apart.items()):
        yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
        yield from lines


def _openmetrics(family: MetricFamily) -> Iterator[str]:
    yield f"# HELP {family.name} {_quoted(family.documentation)}\n# TYPE {family.name} {family.type}\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    for sample in family.samples:
        yield _line(sample)


@dataclass(frozen=True)
class Format:
    """One of the two formats: how a family is written, what ends a page."""

    content_type: str
    lines: Callable[[MetricFamily], Iterator[str]]
    end: bytes

    def encode(self, families: Iterable[MetricFamily]) -> bytes:
        """Part of a page. A lone surrogate, which no text from a host should hold, becomes ``?``."""
        return "".join(line for family in families for line in self.lines(family)).encode("utf-8", "replace")

    def page(self, families: Iterable[MetricFamily]) -> bytes:
        return self.encode(families) + self.end


TEXT = Format("text/plain; version=0.0.4; charset=utf-8", _text, b"")
OPENMETRICS = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", _openmetrics, b"# EOF\n")


def gzip(data: bytes) -> bytes:
    """RFC 1952. Level 6 is zlib's own choice: a page of 20 kB becomes 3 kB in well under a millisecond."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


class _Part:
    """Some families, written in each format when it is first asked for."""

    def __init__(self, families: Iterable[MetricFamily]) -> None:
        self._families = tuple(families)
        self._written: dict[str, bytes] = {}

    def written(self, form: Format) -> bytes:
        if form.content_type not in self._written:
            self._written[form.content_type] = form.encode(self._families)
        return self._written[form.content_type]


@dataclass(frozen=True)
class _Rendering:
    state: PollState
    shown: tuple[bool, bool]
    polled: _Part
    others: _Part
    at: float
    bodies: dict[tuple[str, bool], bytes] = field(default_factory=dict)


class Page:
    """The page, written once per published state and not once per scrape.

    A new state, or one whose snapshot has gone stale since (a poll that hangs publishes nothing), is written
    anew; a reader never gets values that :meth:`PollState.fresh` forbids. What does not come with a poll
    (``standard`` gives the process's own) is at most :data:`MAX_AGE` old. Compressed on first demand. Any thread may call.
    """

    def __init__(self, published: Published, standard: Callable[[], Iterable[MetricFamily]] = tuple) -> None:
        self._published = published
        self._standard = standard
        self._rendering: _Rendering | None = None
        self._lock = threading.Lock()

    def body(self, form: Format, *, compressed: bool) -> bytes:
        state, now = self._published.state, self._published.monotonic()
        shown = (state.fresh(now), state.fresh_extended(now) is not None)
        last = self._rendering
        if last is not None and self._current(last, state, shown, now):
            found = last.bodies.get((form.content_type, compressed))
            if found is not None:
                return found
        with self._lock:
            rendering = self._renew(state, shown, now)
            plain = rendering.polled.written(form) + rendering.others.written(form) + form.end
            body = gzip(plain) if compressed else plain
            rendering.bodies[form.content_type, compressed] = body
        return body

    @staticmethod
    def _current(last: _Rendering, state: PollState, shown: tuple[bool, bool], now: float) -> bool:
        return last.state is state and last.shown == shown and now - last.at <= MAX_AGE

    def _renew(self, state: PollState, shown: tuple[bool, bool], now: float) -> _Rendering:
        """The rendering for this moment; what still holds of the last one is kept."""
        last = self._rendering
        if last is not None and self._current(last, state, shown, now):
            return last
        if last is not None and last.state is state and last.shown == shown:
            polled = last.polled
        else:
            polled = _Part(self._published.polled(state, now))
        self._rendering = _Rendering(
            state, shown, polled, _Part([*self._published.others(), *self._standard()]), now
        )
        return self._rendering
