"""Allocations: what tracemalloc knows of this process, added up by where it was allocated."""

from __future__ import annotations

import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from .profile import Frame, Stack
from .threads import short_turns

#: Frames of a stack that are remembered unless one says otherwise, and at most.
FRAMES, MOST_FRAMES = 5, 25
#: So many places are told, the largest ones.
MOST = 3000

#: What it costs, measured on code that only allocates small dictionaries and strings.
COST = (
    "while it runs, code that allocates much takes 9 to 13 times the CPU with 1 frame, 29 to 42"
    " times with 10 or more"
)

Place = tuple[tuple[str, int], ...]  # file and line, the innermost first


class Held(NamedTuple):
    """What is still there of all that was allocated at one place."""

    place: Place
    number: int
    size: int


class Holding(NamedTuple):
    """All that is there, the largest places first; *took* is how long the look took."""

    held: list[Held]
    number: int
    size: int
    places: int
    frames: int
    took: float


def tracing() -> bool:
    """Tell whether allocations are traced."""
    return tracemalloc.is_tracing()


def start(frames: int = FRAMES) -> None:
    """Trace allocations from now on; what was allocated before is not known."""
    if tracemalloc.is_tracing() and tracemalloc.get_traceback_limit() != frames:
        tracemalloc.stop()
    tracemalloc.start(frames)


def stop() -> None:
    """Trace no more, and forget what was traced."""
    tracemalloc.stop()


def holding(most: int = MOST) -> Holding:
    """Return what is held now, by its whole stack."""
    if not tracemalloc.is_tracing():
        return Holding([], 0, 0, 0, 0, 0.0)
    # Beside threads that compute, each turn is waited for: 0.5 ms rather than 5.
    with short_turns():
        return _holding(most)


def _holding(most: int) -> Holding:
    began = time.perf_counter()
    # As they are, without an object for each: the attribute has no public name.
    traces: Iterable[Any] = tracemalloc.take_snapshot().traces._traces  # type: ignore[attr-defined]
    # Not by tracemalloc's own statistics, which take ten times as long. And nothing is added up
    # on the way: each number that is made here would be traced as well.
    sizes: defaultdict[Place, list[int]] = defaultdict(list)
    for trace in traces:
        sizes[trace[2]].append(trace[1])
    held = [Held(place, len(each), sum(each)) for place, each in sizes.items()]
    held.sort(key=lambda one: (-one.size, one.place))
    return Holding(
        held[:most],
        sum(each.number for each in held),
        sum(each.size for each in held),
        len(held),
        tracemalloc.get_traceback_limit(),
        time.perf_counter() - began,
    )


class Mark:
    """What was held at a moment that somebody marked; of one process."""

    def __init__(self) -> None:
        self.when = 0.0
        self.held: list[Held] = []

    def set(self, now: float) -> Holding:
        """Remember what is held now; return it."""
        found = holding()
        self.when, self.held = now, found.held
        return found

    def clear(self) -> None:
        """Forget it."""
        self.when, self.held = 0.0, []


#: The one of this process.
mark = Mark()


def stack(place: Place) -> Stack:
    """Return a place as a stack: tracemalloc knows files and lines, and no functions."""
    return tuple(Frame(f"line {line}", file, line, line) for file, line in place)


def grown(before: Iterable[Held], after: Iterable[Held]) -> list[Held]:
    """Return by how much each place grew, those that shrank too, the largest changes first."""
    sums = {held.place: [-held.number, -held.size] for held in before}
    for held in after:
        both = sums.setdefault(held.place, [0, 0])
        both[0] += held.number
        both[1] += held.size
    changed = [Held(place, n, size) for place, (n, size) in sums.items() if n or size]
    return sorted(changed, key=lambda held: (-abs(held.size), held.place))
