"""What a reading is, wherever it comes from."""

from __future__ import annotations

from typing import Protocol

from exporter.errors import VMGuestError
from exporter.outputs.api import Document
from exporter.outputs.prometheus import Format


class NoAnswer(VMGuestError):
    """An exporter that is set up does not answer, or not as one does."""

    kind = "no_answer"


class Place(Protocol):
    """Documents and pages of one place. For one thread at a time."""

    @property
    def name(self) -> str:
        """Of the place, for people."""
        ...

    def document(self) -> Document:
        """What is known now.

        Raises:
            NoAnswer: the exporter does not answer.
        """
        ...

    def page(self, form: Format) -> bytes:
        """The metrics; errors as :meth:`document`."""
        ...

    def close(self) -> None: ...
