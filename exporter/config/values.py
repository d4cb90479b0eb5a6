"""How a setting is written: one class for each kind of value; those that name a place are in ``places.py``.

A kind turns text (flags and variables) or a TOML value into what the program uses, and back into text for
people. It raises ``ValueError`` with what is wrong beyond "expected …", or with nothing to add.
"""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})


class ValueKind:
    """Text as it is."""

    expects = "text"
    """Completes the sentence "expected …"."""
    placeholder = "TEXT"
    """Stands for the value in the help."""
    repeatable = False
    """Whether several values make one setting; then :meth:`parse` and :meth:`native` return one of them."""
    secret = False
    """Whether the value may be or hold one; it is then in no ``repr``, and in a message as :meth:`show` has it, or not at all."""

    def __init__(self, placeholder: str = "") -> None:
        if placeholder:
            self.placeholder = placeholder

    def parse(self, text: str) -> object:
        if not text:
            raise ValueError("it is empty")
        return text

    def native(self, value: object) -> object:
        """The same from a TOML value."""
        if isinstance(value, str):
            return self.parse(value)
        raise ValueError("write it in quotes")

    def split(self, text: str) -> list[str]:
        """The single values in one flag or variable, for a repeatable kind. An empty one is refused."""
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ValueError("it is empty" if len(parts) == 1 else "a part of it is empty")
        return parts

    def show(self, value: object) -> str:
        return str(value)


class Switch(ValueKind):
    """On or off; as a flag also ``--name`` and ``--no-name``."""

    expects = "true or false"
    placeholder = ""

    def parse(self, text: str) -> bool:
        word = text.lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise ValueError

    def native(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise ValueError("write it without quotes")

    def show(self, value: object) -> str:
        return "true" if value else "false"


class Choice(ValueKind):
    """One of a few words; ``aliases`` are other spellings, taken and not shown."""

    def __init__(self, *words: str, **aliases: str) -> None:
        self.words = words
        self._aliases = aliases
        self.expects = f"one of {', '.join(words)}"
        self.placeholder = "|".join(words)

    def parse(self, text: str) -> str:
        word = self._aliases.get(text, text)
        if word in self.words:
            return word
        raise ValueError


class Duration(ValueKind):
    """A time span with its unit; seconds as a float. ``reason`` says why the bounds are where they are."""

    placeholder = "DURATION"

    def __init__(self, minimum: float, maximum: float, reason: str = "") -> None:
        self._minimum, self._maximum, self._reason = minimum, maximum, reason
        self.expects = f"a duration between {self.show(minimum)} and {self.show(maximum)}"

    def parse(self, text: str) -> float:
        if not _DURATION.fullmatch(text):
            bare = re.fullmatch(r"\d+(?:\.\d+)?", text)
            raise ValueError(
                f"it needs a unit: {text}s" if bare else "it is written like 5s, 100ms, 1h or 1m30s"
            )
        # Rounded to the microsecond, so that 100ms is the 0.1 that the bounds are written in.
        return self.bounded(
            round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), 6)
        )

    def bounded(self, seconds: object) -> float:
        """``seconds`` themselves; ValueError where they are out of bounds, or no number."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError("it is no number")  # noqa: TRY004  as everywhere here
        if not self._minimum <= seconds <= self._maximum:
            raise ValueError(self._reason)
        return seconds

    def native(self, value: object) -> float:
        if isinstance(value, int | float) and _DURATION.fullmatch(f"{value}s"):
            raise ValueError(f'it needs quotes and a unit: "{value}s"')
        return self.parse(value if isinstance(value, str) else "")

    def show(self, value: object) -> str:
        left = round(float(str(value)) * 1000)
        parts = []
        for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


class Whole(ValueKind):
    """A whole number."""

    placeholder = "N"

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum, self._maximum = minimum, maximum
        self.expects = f"a whole number between {minimum} and {maximum}"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
            raise ValueError
        return self._bounded(int(text))

    def native(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return self._bounded(value)
        raise ValueError("write it without quotes" if isinstance(value, str) else "")

    def _bounded(self, value: int) -> int:
        if self._minimum <= value <= self._maximum:
            return value
        raise ValueError


class Factor(ValueKind):
    """A positive number."""

    placeholder = "X"

    def __init__(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = minimum, maximum
        self.expects = f"a number between {minimum:g} and {maximum:g}"

    def parse(self, text: str) -> float:
        if not re.fullmatch(r"\d+(?:\.\d+)?", text, re.ASCII):
            raise ValueError
        return self._bounded(float(text))

    def native(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._bounded(float(value))
        raise ValueError("write it without quotes" if isinstance(value, str) else "")

    def show(self, value: object) -> str:
        return f"{value:g}"

    def _bounded(self, value: float) -> float:
        if self._minimum <= value <= self._maximum:
            return value
        raise ValueError
