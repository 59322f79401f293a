"""History: what one process counted in the last quarter of an hour, ready for charts.

A row of numbers is taken every second; the last 61 of them are kept, as many of every fifth
second and of every fifteenth. Rows are shared by the three, so a worker with 2,000 series, which
is the most, keeps 3 MiB; one with 100 keeps 150 KiB.
"""

from __future__ import annotations

import os
import time
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .._native import allocate_lock
from .columns import Columns, Series
from .figures import figures
from .registry import Registry
from .runtime import runtime

#: Seconds between the points of each of the three, and how many points they have.
STEPS, POINTS = (1, 5, 15), 60
#: A worker that misses more points in a row has a gap in its charts.
MOST_MISSED = 3
#: The process's own figures, in the first columns; True: it only grows, so its rate is told.
OWN = {"rss": False, "cpu": True, "threads": False, "collections": True, "pauses": True}

Figures = Callable[[], Iterable[float]]


@dataclass(frozen=True)
class Sample:
    """One row, and when it was taken, by the clock on the wall."""

    when: float
    row: array[float]

    def at(self, column: int) -> float:
        """Return one number; what was not declared yet had not counted anything."""
        return self.row[column] if column < len(self.row) else 0.0


class History:
    """The rows of one registry in this process. Taken by one thread, read by any.

    :param registry: held weakly.
    :param own: returns the figures of :data:`OWN`, in that order.
    """

    def __init__(self, registry: Registry, *, own: Figures | None = None) -> None:
        self._registry = weakref.ref(registry)
        self._own = own if own is not None else own_figures
        self._lock = allocate_lock()
        self._slot: Any = None
        #: Seconds of CPU that taking rows has cost.
        self.cost = 0.0
        self._clear()

    def _clear(self) -> None:
        registry = self._registry()
        self.columns = Columns(registry.name if registry is not None else "", len(OWN))
        self._rings: dict[int, deque[Sample]] = {step: deque(maxlen=POINTS + 1) for step in STEPS}
        self._last = 0.0

    def tick(self, now: float | None = None) -> None:
        """Take a row, unless one of this second is there. Never raises."""
        if not self._lock.acquire(False):
            return  # another thread is at it
        began = time.thread_time()
        try:
            self._take(time.time() if now is None else now)
        except Exception:  # the process ends, or /proc does not answer: a gap in the chart
            return
        finally:
            self.cost += time.thread_time() - began
            self._lock.release()

    def _take(self, now: float) -> None:
        registry = self._registry()
        if registry is None or int(now) == int(self._last):
            return
        if registry.slot is not self._slot or now < self._last:  # forked, joined, or set back
            self._clear()
            self._slot = registry.slot
        self.columns.grow(registry.slot.nodes)
        row = self.columns.row()
        for column, value in enumerate(self._own()):
            row[column] = value
        sample = Sample(now, row)
        for step, ring in self._rings.items():
            if int(now) // step != int(self._last) // step or not ring:
                ring.append(sample)
        self._last = now

    def tell(
        self, step: int, names: Iterable[str], *, parts: bool = False, now: float | None = None
    ) -> dict[str, Any]:
        """Return the last 60 points, *step* seconds apart, as plain data.

        Counters are told as rates per second. A point without a value is None.

        :param names: of variables; unknown ones are left out.
        :param parts: whether the keys of maps and the buckets of histograms are told, too.
        """
        # Half a second late: by then every worker has taken its row of the second.
        grid = Grid(list(self._rings[step]), step, time.time() - 0.5 if now is None else now)
        known = self.columns.series
        return {
            "step": step,
            "end": grid.end * step,
            "own": {
                name: grid.rates(column) if grows else grid.values(column)
                for column, (name, grows) in enumerate(OWN.items())
            },
            "series": {
                name: told(grid, known[name], parts) for name in names if name in known
            },
            "full": self.columns.is_full,
            # What a counter has that did not count.
            "still": grid.still,
        }  # fmt: skip

    def changed(self, moment: float, now: float | None = None) -> list[str]:
        """Return the variables that are not what they were at *moment*.

        Where that was before the history begins, at its beginning; and it was a little earlier
        than *moment*, at the last row that was taken until then.
        """
        self.tick(now)
        with self._lock:
            row = self.columns.row()
            samples = sorted((s for ring in self._rings.values() for s in ring), key=_when)
            series = dict(self.columns.series)
        earlier = [sample for sample in samples if sample.when <= moment]
        before = earlier[-1] if earlier else samples[0] if samples else Sample(moment, row)
        return [
            name
            for name, each in series.items()
            if any(row[column] != before.at(column) for column in each.columns())
        ]


def _when(sample: Sample) -> float:
    return sample.when


class Grid:
    """Samples laid on a grid of points that is the same in every process."""

    def __init__(self, samples: list[Sample], step: int, now: float) -> None:
        self.step = step
        self.end = int(now) // step
        self._samples = [(place, each) for each in samples if (place := self._place(each)) < POINTS]
        self._spans = [
            (range(max(low + 1, 0), high + 1), before.row, after.row, after.when - before.when)
            for (low, before), (high, after) in pairwise(self._samples)
            # Longer ago, or the process stood still: nobody knows when it counted.
            if high >= 0 and high - low <= MOST_MISSED + 1
        ]
        self._rows = [each.row for _, each in self._samples]
        self._width = min(map(len, self._rows), default=0)
        self.still: list[float | None] = [None] * POINTS
        for places, *_ in self._spans:
            for place in places:
                self.still[place] = 0.0

    def _place(self, sample: Sample) -> int:
        return POINTS - 1 - (self.end - int(sample.when) // self.step)

    def values(self, column: int) -> list[float | None]:
        """Return what a gauge was at each point."""
        points: list[float | None] = [None] * POINTS
        for place, sample in self._samples:
            if place >= 0:
                points[place] = round(sample.at(column), 6)
        return points

    def rates(self, column: int) -> list[float | None]:
        """Return by how much a counter grew per second up to each point.

        A busy worker misses a second now and then: what it counted meanwhile is spread over
        the points that it missed. What falls was deleted.
        """
        # Most of a thousand counters stand still, and a page asks for two hundred at once.
        if column < self._width and len({row[column] for row in self._rows}) == 1:
            return list(self.still)
        points: list[float | None] = [None] * POINTS
        for places, before, after, seconds in self._spans:
            # What was not declared yet had not counted anything.
            grown = after[column] if column < len(after) else 0.0
            if column < len(before):
                grown -= before[column]
            if grown >= 0:
                rate = round(grown / seconds, 6) if grown else 0.0
                for place in places:
                    points[place] = rate
        return points


def told(grid: Grid, series: Series, parts: bool) -> dict[str, Any]:
    """Return the points of one variable."""
    read = grid.values if series.mode is not None else grid.rates
    data: dict[str, Any] = {
        "kind": series.kind,
        "mode": series.mode,
        "points": read(series.at),
    }
    if parts and series.keys:
        data["keys"] = {key: read(column) for key, column in series.keys.items()}
    if parts and series.buckets >= 0:
        columns = range(series.buckets, series.buckets + len(series.bounds) + 1)
        data["bounds"] = list(series.bounds)
        data["buckets"] = [grid.rates(column) for column in columns]
    return data


def own_figures() -> Iterable[float]:
    """Return memory, CPU seconds, threads, collections and their seconds of this process."""
    found = figures(os.getpid()) or {}
    count, pauses = runtime.own()
    return (
        found.get("residentMemoryBytes", 0),
        found.get("cpuSeconds", 0.0),
        found.get("threads", 0),
        count,
        pauses / 1e9,
    )


_histories: weakref.WeakKeyDictionary[Registry, History] = weakref.WeakKeyDictionary()


def history_of(registry: Registry) -> History:
    """Return the history of *registry* in this process, always the same one."""
    found = _histories.get(registry)
    if found is None:
        found = _histories.setdefault(registry, History(registry))
    return found
