"""Form: a page that is the same at every read but for its numbers, written once with holes.

A read fills the holes in: one call for all numbers to be put in order, one for the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

# No page has a NUL in it: JSON writes \u0000, and in metrics it is taken out.
_HOLE = re.compile("\0([0-9]+)\0")


class Holes:
    """Numbers the holes of one page.

    :param first: how many values there are whose place is known: hole n is for the nth of them.
    """

    def __init__(self, first: int) -> None:
        self.next = first

    def hole(self, at: int | None = None) -> str:
        """Return what stands for the value number *at*, or for a new one after all others."""
        if at is None:
            at = self.next
            self.next += 1
        return f"\0{at}\0"


def filler(page: str) -> Callable[[list[Any]], str]:
    """Return a function that fills the holes of *page* with values, given in their order."""
    form = _HOLE.sub("%s", page.replace("%", "%%"))
    places = tuple(map(int, _HOLE.findall(page)))
    if len(places) < 2:  # itemgetter would give no tuple
        return lambda found: form % tuple(found[at] for at in places)
    in_order: Callable[[list[Any]], Any] = itemgetter(*places)
    return lambda found: form % in_order(found)
