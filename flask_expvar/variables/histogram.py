"""Histogram: how many observations fell below each of a few bounds, and their sum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from . import names
from .kinds import Var
from .layout import Spec
from .slot import Node

#: Upper bounds in seconds, those of OpenTelemetry's ``http.server.request.duration``.
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Histogram(Var):
    """A distribution of observations, mostly of seconds.

    :param buckets: the upper bounds, growing; one without bound is always added.
    :raises BadKindError: if *buckets* are not 1 to 100 growing finite numbers.
    """

    kind = "histogram"
    # Its words alone, as those of an Int.
    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, help: str = "", buckets: Sequence[float] = DEFAULT_BUCKETS) -> None:
        self._bounds = names.check_buckets(buckets)
        super().__init__(Spec(self.kind, "", help, bounds=self._bounds))

    def _bind(self, node: Node) -> None:
        super()._bind(node)
        end = node.at + len(self._bounds) + 1
        self._counts = node.ints[node.at : end]
        self._sum = node.floats[end : end + 1]

    def observe(self, seconds: float) -> None:
        """Count one observation. Never raises; NaN and infinities are dropped."""
        try:
            if seconds - seconds != 0:
                raise ValueError(f"{seconds!r} is not finite")
            bucket = bisect_left(self._bounds, seconds)
            # The sum first: it refuses what is no number before anything is counted.
            with self._lock:
                self._sum[0] += seconds
                self._counts[bucket] += 1
        except Exception as error:
            self._lost(1, error)

    @property
    def value(self) -> dict[str, Any]:
        """``count``, ``sum`` and cumulative ``buckets`` over all workers."""
        if self._home is not None:
            return self._home.total(self._node)  # type: ignore[no-any-return]
        return as_dict(self._bounds, list(self._counts), self._sum[0])


def as_dict(bounds: Sequence[float], counts: Sequence[int], total: float) -> dict[str, Any]:
    """Return a histogram as plain data, its buckets cumulative as Prometheus has them.

    >>> as_dict((0.5, 1.0), (2, 1, 1), 4.5)
    {'count': 4, 'sum': 4.5, 'buckets': {'0.5': 2, '1.0': 3, '+Inf': 4}}
    """
    buckets: dict[str, int] = {}
    below = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts):
        below += count
        buckets[bound] = below
    return {"count": below, "sum": total, "buckets": buckets}
