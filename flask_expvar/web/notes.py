"""Notes: what is kept of requests in flight outside of the process."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

#: In place of the place of a text that is not there.
NOWHERE = 1


class Notes(Protocol):
    """What is noted of requests in flight, for the case that the worker dies.

    The place of the text that stands for a request is the word of its note. A request is named by
    setting it, and ended by setting it to 0 and adding the note to those that are free again:
    both in place, as a call would cost as much as the rest.
    """

    words: Any
    free: deque[int]

    def text(self, registry: int, text: bytes, /) -> int:
        """Write down what can be said of requests; return where, NOWHERE if there is no room."""

    def begin(self, began_ns: int, number: int, text: int, /) -> int:
        """Note that a request has begun; return the note's number, 0 if there is no room."""

    def end(self, note: int, /) -> None:
        """Take the note back."""

    def keep(self, note: int, /) -> None:
        """Leave the note: the worker is about to end with it, most likely."""
