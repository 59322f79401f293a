"""Texts that may leave a process: secrets hidden, nothing invisible, each bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape

from ..redaction import HIDDEN, redact_text
from ..traces.tracer import LONGEST_NAME
from .visible import visible

#: One character may take so many bytes on a page or in JSON: an escape of an odd one.
WIDEST = 12
#: Characters and lines of a text that is shown before one opens it.
LONGEST_SHOWN, LINES = 200, 3
_KEPT = 256


def clean(text: str, most: int = 4096) -> str:
    """Return the beginning of *text* as it may leave this process.

    Secrets are hidden, and lone surrogates, which no UTF-8 holds, become U+FFFD. It takes
    0.4 µs a character: where many texts are shown, *most* has to be small.
    """
    return _memo(text, most) if len(text) <= _KEPT else _clean(text, most)


def _clean(text: str, most: int) -> str:
    shown = redact_text(text, most)
    if shown.isascii():
        return shown
    # To and from UTF-16, so that a pair of surrogates becomes the character that it means.
    return shown.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_UNNAMED = re.compile(r"Thread-0x[0-9a-f]{1,16}")

#: Texts are the same again and again; long ones would make a cache large.
_memo = lru_cache(maxsize=8192)(_clean)


def thread_name(name: str, most: int) -> str:
    """Return the name of a thread as it may leave this process.

    One that has no name goes by its number, which looks random in one of eleven.
    """
    return name if _UNNAMED.fullmatch(name) else clean(name, most)


@lru_cache(maxsize=4096)
def shown_name(name: str) -> str:
    """Return a family's name as pages and links have it: no secrets, nothing invisible."""
    shown = visible(clean(name))
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def holds(text: str, needle: str) -> bool:
    """Return whether *text*, without its secrets, has *needle*, which is case-folded."""
    # Hiding secrets takes a hundred times as long as looking, so that comes second; without it
    # a search would tell, letter by letter, what is hidden.
    likely = needle in text.casefold() or HIDDEN in needle
    return likely and needle in clean(text).casefold()


def cost(text: str) -> int:
    """Return how many bytes *text* takes on a page or in JSON, whichever is more."""
    if text.isascii() and text.isprintable():
        return len(text) + 5 * sum(map(text.count, "<>&\"'\\"))
    return max(len(escape(visible(text)).encode("utf-8", "replace")), len(json.dumps(text)))


def fit(text: str, room: int) -> str:
    """Return the beginning of *text* that takes at most *room* bytes."""
    if WIDEST * len(text) <= room:
        return text
    shown = text
    while (size := cost(shown)) > room:
        shown = shown[: max(min(len(shown) - 1, len(shown) * room // size), 0)]
    return text if shown == text else shown + "…"


class Room:
    """How much text an answer may still hold: long texts are whole until it is used up.

    :param chars: for long texts, all together.
    :param short: what a text may have when that is used up.
    """

    def __init__(self, chars: int, short: int = 200) -> None:
        self._left = chars
        self._short = short

    @property
    def most(self) -> int:
        """How many characters of a text are worth looking at."""
        return 4096 if self._left > 0 else 2 * self._short

    def take(self, text: str) -> str:
        """Return *text* as it may leave this process, cut if there is no room for all of it."""
        if len(text) <= self._short // 2:
            return clean(text)
        whole = len(text) <= self._left
        # Redacted first: half a secret fits no rule. Twice as much is enough to see it.
        return self.keep(clean(text) if whole else clean(text, 2 * self._short))

    def keep(self, shown: str) -> str:
        """Return *shown*, whose secrets are hidden already, cut if there is no room for it."""
        shown = fit(shown, max(self._left, self._short))
        self._left = max(self._left - cost(shown), 0)
        return shown


def opened(text: str, detail: str) -> dict[str, str]:
    """Return how the text of an event is shown: its beginning, and whole if that is not all."""
    more = len(text) > LONGEST_SHOWN or text.count("\n") >= LINES
    return {"text": short(text), "whole": lines(text) if more else "", "detail": short(detail)}


def short(text: str) -> str:
    """Return the beginning of *text*, on a few lines, with nothing invisible in it."""
    cut = "\n".join(text.split("\n", LINES)[:LINES])[:LONGEST_SHOWN]
    return lines(cut) + ("…" if len(cut) < len(text) else "")


def lines(text: str) -> str:
    """Return *text* with its line ends, and everything else that is invisible written out."""
    return "\n".join(map(visible, text.split("\n")))


def unheard(missing: Sequence[int]) -> str:
    """Say, after what is not there, which workers may have it: those that did not answer."""
    return f" Not asked: {', '.join(map(str, missing))}, which did not answer." if missing else ""
