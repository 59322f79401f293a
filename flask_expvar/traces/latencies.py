"""Latencies: how long the work of a family took, in the last minute, the last hour and ever."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

#: Lower bounds of the latency bands in seconds: chasquid's.
BANDS = (0.0, 0.005, 0.01, 0.05, 0.1, 0.3, 1.0, 10.0)
#: Bounds of the buckets in seconds: four to an octave from 1 µs to 4,096 s, so that a percentile
#: read from them is at most 19% too high or too low, and those of the bands.
BOUNDS = tuple(sorted({*(1e-6 * 2 ** (step / 4) for step in range(129)), *BANDS}))
#: The band of each bucket; bucket n begins at bound n - 1.
BAND_OF = (0, *(bisect_right(BANDS, bound) - 1 for bound in BOUNDS))
#: A window is so many spans of so many seconds.
MINUTE, HOUR = (12, 5.0), (12, 300.0)

Counts = Counter[int]


class Window(NamedTuple):
    """What one window saw: counts by bucket of :data:`BOUNDS`, over so many seconds."""

    seconds: float
    counts: Mapping[int, int]


class Latencies:
    """Counts of durations by bucket. The caller holds a lock; times are on one growing clock."""

    __slots__ = (
        "_ever", "_hour", "_hour_until", "_minute", "_now", "_now_hour", "_started", "largest",
        "smallest", "total", "until",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self._started = now
        self._now: Counts = Counter()
        self._now_hour: Counts = Counter()
        self._ever: Counts = Counter()
        self._minute: deque[tuple[float, Counts]] = deque(maxlen=MINUTE[0])
        self._hour: deque[tuple[float, Counts]] = deque(maxlen=HOUR[0])
        #: When the next span begins.
        self.until = now + MINUTE[1]
        self._hour_until = now + HOUR[1]
        #: Sum and extremes of all durations, in seconds.
        self.total = self.largest = 0.0
        self.smallest = float("inf")

    def add(self, now: float, each: Sequence[float]) -> None:
        """Count durations that have ended since the last call, and before the current span did."""
        if each:
            self._add(sorted(each))
        if now >= self.until:
            self._roll(now)

    def _add(self, each: list[float]) -> None:
        self.total += sum(each)
        self.largest = max(self.largest, each[-1])
        self.smallest = min(self.smallest, each[0])
        counts, at = self._now, 0
        # Bucket by bucket: a third of the time that it takes to look up each duration's.
        while at < len(each):
            bucket = bisect_right(BOUNDS, each[at])
            end = bisect_left(each, BOUNDS[bucket], at) if bucket < len(BOUNDS) else len(each)
            counts[bucket] += end - at
            at = end

    def _roll(self, now: float) -> None:
        """Begin a new span; only here are the longer windows counted."""
        # First of all, so that a signal handler that comes in between does not do it again.
        ended, self.until = self.until, now + MINUTE[1]
        done, self._now = self._now, Counter()
        if done:
            self._minute.append((ended, done))
            self._now_hour.update(done)
            self._ever.update(done)
        if now >= self._hour_until:
            if self._now_hour:
                self._hour.append((self._hour_until, self._now_hour))
            self._now_hour = Counter()
            self._hour_until = now + HOUR[1]

    def windows(self, now: float) -> tuple[Window, Window, Window]:
        """Return the last minute, the last hour, and everything.

        A window is up to one span longer than its name says: :attr:`Window.seconds` tells.
        """
        if now >= self.until:
            self._roll(now)
        minute, minute_began = _since(now - 60.0, self._minute, MINUTE[1])
        hour, hour_began = _since(now - 3600.0, self._hour, HOUR[1])
        return (
            self._window(now, minute_began, [*minute, self._now]),
            self._window(now, hour_began, [*hour, self._now_hour, self._now]),
            self._window(now, self._started, [self._ever, self._now]),
        )

    def _window(self, now: float, began: float, each: list[Counts]) -> Window:
        return Window(max(now - max(began, self._started), 0.0), merged(each))


def _since(
    then: float, spans: Iterable[tuple[float, Counts]], length: float
) -> tuple[list[Counts], float]:
    """Return the counts of the spans that ended after *then*, and when the first of them began."""
    # list(): a signal handler may add one.
    found = [(end, counts) for end, counts in list(spans) if end > then]
    began = min(then, found[0][0] - length) if found else then
    return [counts for _, counts in found], began


def merged(each: Iterable[Mapping[int, int]]) -> Counts:
    """Return the sum of several counts by bucket."""
    sums: Counts = Counter()
    for counts in each:
        # A copy is one step, where a signal handler may count. Not update(): a page merges a
        # thousand of one bucket or none, and that takes longer to begin than to add.
        for bucket, count in dict(counts).items():
            sums[bucket] = sums.get(bucket, 0) + count
    return sums


def by_band(counts: Mapping[int, int]) -> list[int]:
    """Return how many durations fell in each band."""
    sums = [0] * len(BANDS)
    for bucket, count in counts.items():
        sums[BAND_OF[bucket]] += count
    return sums


def quantiles(counts: Mapping[int, int], shares: Sequence[float]) -> list[float | None]:
    """Return the durations in seconds below which *shares* of those counted lie, None of none.

    Interpolated in their buckets, as Prometheus' ``histogram_quantile`` does.

    :param shares: from 0 to 1, the smallest first.
    """
    total = sum(counts.values())
    if not total:
        return [None] * len(shares)
    found: list[float | None] = []
    below, buckets = 0, iter(sorted(counts))
    bucket = next(buckets)
    for share in shares:
        wanted = share * total
        while below + counts[bucket] < wanted:
            below += counts[bucket]
            bucket = next(buckets)
        low = BOUNDS[bucket - 1] if bucket else 0.0
        high = BOUNDS[bucket] if bucket < len(BOUNDS) else low
        found.append(low + (high - low) * (wanted - below) / counts[bucket])
    return found
