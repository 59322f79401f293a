"""Columns: which of a process's words a row of its history holds, and where."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from .slot import Node

#: Numbers in a row, and words that are read for it: what is declared later has no history.
MOST_COLUMNS, MOST_WORDS = 2000, 8000
#: Keys of a map that have a column each; the sum has all.
MOST_KEYS = 24


@dataclass
class Series:
    """The columns of one variable.

    :param at: where its number is, of a map the sum over all that is in it.
    :param keys: where the numbers of a map's first keys are.
    :param buckets: where the counts of a histogram, or of all in a map, begin; -1 if none do.
    """

    kind: str
    mode: str | None
    at: int
    keys: dict[str, int] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    buckets: int = -1

    def columns(self) -> list[int]:
        """Return all of them."""
        counts = range(self.buckets, self.buckets + len(self.bounds) + 1)
        return [self.at, *self.keys.values(), *(counts if self.buckets >= 0 else ())]


class Columns:
    """The layout of the rows of one registry; it only grows, and nothing in it moves.

    :param root: the registry's name in the slot.
    :param first: columns at the beginning that are somebody else's.
    """

    def __init__(self, root: str, first: int = 0) -> None:
        self.size = first
        self.series: dict[str, Series] = {}
        self.is_full = False
        self._root = root
        self._seen = 0
        self._read = 0
        self._words: list[tuple[Any, int, tuple[int, ...]]] = []
        self._spans: dict[tuple[int, int, tuple[float, ...]], Span] = {}

    def grow(self, nodes: list[Node]) -> None:
        """Add what has been declared since the last time."""
        # A slice is one step: other threads declare meanwhile.
        new = nodes[self._seen :]
        self._seen += len(new)
        for node in new:
            if node.path[0] == self._root and len(node.path) > 1:
                self._add(node)

    def _add(self, node: Node) -> None:
        path, spec = node.path, node.spec
        if self._read + spec.width > MOST_WORDS:
            self.is_full = True
            return
        series = self.series.get(path[1])
        if len(path) == 2 and spec.kind in ("int", "float", "map", "histogram"):
            at = self._more(1)
            if at < 0:
                return
            series = self.series[path[1]] = Series(spec.kind, spec.mode, at)
        if series is None or spec.kind not in ("int", "float", "histogram"):
            return
        if spec.kind == "histogram":
            self._add_histogram(node, series)
        else:
            self._add_number(node, series)

    def _add_number(self, node: Node, series: Series) -> None:
        path = node.path
        to: tuple[int, ...] = (series.at,)
        if len(path) == 3 and path[2] in series.keys:
            to = (series.at, series.keys[path[2]])
        elif len(path) == 3 and len(series.keys) < MOST_KEYS and (at := self._more(1)) >= 0:
            series.keys[path[2]] = at
            to = (series.at, at)
        self._read += 1
        self._words.append((node.floats if node.spec.kind == "float" else node.ints, node.at, to))

    def _add_histogram(self, node: Node, series: Series) -> None:
        width = len(node.spec.bounds) + 1
        if series.buckets < 0 and (at := self._more(width)) >= 0:
            series.bounds, series.buckets = node.spec.bounds, at
        self._read += width
        key = (id(series), id(node.ints), node.spec.bounds)
        if key not in self._spans:
            whole = series.buckets >= 0 and series.bounds == node.spec.bounds
            self._spans[key] = Span(series, width, node.ints, whole)
        self._spans[key].want(node.at)

    def _more(self, count: int) -> int:
        if self.size + count > MOST_COLUMNS:
            self.is_full = True
            return -1
        self.size += count
        return self.size - count

    def row(self) -> array[float]:
        """Return all numbers as they are now."""
        row = array("d", bytes(8 * self.size))
        for words, at, to in self._words:
            value = words[at]
            if value:
                for column in to:
                    row[column] += value
        for span in self._spans.values():
            span.add_to(row)
        return row


class Span:
    """The counts of many histograms of equal bounds, which are summed in few steps of C.

    One by one, those of 400 routes would take more than a millisecond, every second.

    :param whole: whether the buckets have columns, or only their total.
    """

    def __init__(self, series: Series, width: int, words: Any, whole: bool) -> None:
        self._series, self._width, self._words, self._whole = series, width, words, whole
        self._ats: list[int] = []
        self._get: Callable[[Any], tuple[int, ...]] | None = None

    def want(self, at: int) -> None:
        """Add the histogram whose counts begin at *at*."""
        self._ats += range(at, at + self._width)
        self._get = None

    def add_to(self, row: array[float]) -> None:
        """Add the counts to the columns of the series."""
        if self._get is None:
            self._get = itemgetter(*self._ats)  # two at least: one bound, and what is above
        counts = self._get(self._words)
        row[self._series.at] += sum(counts)
        if self._whole:
            for bucket in range(self._width):
                row[self._series.buckets + bucket] += sum(counts[bucket :: self._width])
