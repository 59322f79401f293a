"""Latencies: how long the work of a family took, in the last minute, the last hour and ever."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
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
_bucket = partial(bisect_right, BOUNDS)


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
        """Count the durations that have ended since the last call."""
        if each:
            self._now.update(map(_bucket, each))
            self.total += sum(each)
            self.largest = max(self.largest, *each)
            self.smallest = min(self.smallest, *each)
        if now >= self.until:
            self._roll(now)

    def _roll(self, now: float) -> None:
        """Begin a new span; only here are the longer windows counted."""
        done, self._now = self._now, Counter()
        if done:
            self._minute.append((self.until, done))
            self._now_hour.update(done)
            self._ever.update(done)
        if now >= self._hour_until:
            if self._now_hour:
                self._hour.append((self._hour_until, self._now_hour))
            self._now_hour = Counter()
            self._hour_until = now + HOUR[1]
        self.until = now + MINUTE[1]

    def windows(self, now: float) -> tuple[Window, Window, Window]:
        """Return the last minute, the last hour, and everything."""
        if now >= self.until:
            self._roll(now)
        age = max(now - self._started, 0.0)
        minute = _since(now - 60.0, self._minute, [self._now])
        hour = _since(now - 3600.0, self._hour, [self._now_hour, self._now])
        return (
            Window(min(age, 60.0), minute),
            Window(min(age, 3600.0), hour),
            Window(age, merged([self._ever, self._now])),
        )


def _since(then: float, spans: Iterable[tuple[float, Counts]], running: list[Counts]) -> Counts:
    return merged([*(counts for end, counts in spans if end > then), *running])


def merged(each: Iterable[Mapping[int, int]]) -> Counts:
    """Return the sum of several counts by bucket."""
    sums: Counts = Counter()
    for counts in each:
        sums.update(counts)
    return sums


def by_band(counts: Mapping[int, int]) -> list[int]:
    """Return how many durations fell in each band."""
    sums = [0] * len(BANDS)
    for bucket, count in counts.items():
        sums[BAND_OF[bucket]] += count
    return sums


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration in seconds below which *share* of those counted lie, None of none.

    Interpolated in its bucket, as Prometheus' ``histogram_quantile`` does.
    """
    total = sum(counts.values())
    if not total:
        return None
    wanted, below = share * total, 0
    for bucket in sorted(counts):
        if below + counts[bucket] >= wanted:
            low = BOUNDS[bucket - 1] if bucket else 0.0
            high = BOUNDS[bucket] if bucket < len(BOUNDS) else low
            return low + (high - low) * (wanted - below) / counts[bucket]
        below += counts[bucket]
    return BOUNDS[-1]
