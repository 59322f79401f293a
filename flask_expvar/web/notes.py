"""Notes: what is kept of requests in flight outside of the process."""

from __future__ import annotations

from typing import Protocol


class Notes(Protocol):
    """What is noted of requests in flight, for the case that the worker dies."""

    def text(self, registry: int, text: bytes, /) -> int:
        """Write down what can be said of requests; return where, 0 if there is no room."""

    def begin(self, began_ns: int, number: int, text: int, /) -> int:
        """Note that a request has begun; return the note's number, -1 if there is no room."""

    def name(self, note: int, text: int, /) -> None:
        """Note what is known of it."""

    def end(self, note: int, /) -> None:
        """Take the note back."""

    def keep(self, note: int, /) -> None:
        """Leave the note: the worker is about to end with it, most likely."""
