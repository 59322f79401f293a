"""Family: the traces of one sort of work, and which of them are kept.

Kept are the newest ten of each latency band and of each sort of failure, so that there is
always an example of fast, slow and failed work, and the memory of it is bounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from sys import getrefcount
from typing import Any

from .latencies import BANDS, Latencies
from .trace import Starter, Trace

RUNNING, FAILED = -1, -2
KEPT = 10
FAST = BANDS[1]
#: So many durations are counted at once.
BATCH = 256
#: Sorts of failure that have a ring of their own.
SORTS = 20
OTHER = "(other)"
#: With so many running ones it is looked which of them nobody holds any more.
PURGE_AT = 100
_lone = {0: object()}
#: The count of references, taken as purge() does, of what only a dictionary holds.
FORGOTTEN = getrefcount(_lone.get(0))


class Family:
    """The traces of one sort of work.

    :param tracer: whose it is.
    :param lock: re-entrant: a signal handler may trace in the midst of a finish.
    """

    __slots__ = (
        "_count_at",
        "_counting",
        "_errors",
        "_latencies",
        "_new",
        "_rings",
        "_running",
        "clock",
        "error_count",
        "lock",
        "lost",
        "name",
        "purge_at",
        "tracer",
    )  # fmt: skip

    _running: dict[int, Trace]

    def __init__(self, tracer: Starter, name: str, clock: Callable[[], float], lock: Any) -> None:
        self.tracer = tracer
        self.name = name
        self.clock = clock
        self.lock = lock
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child, it is the parent's."""
        # A weak reference would cost each trace 0.4 µs; purge() finds those that were forgotten.
        self._running = {}
        self.purge_at = PURGE_AT
        #: How many traces were dropped without having been finished.
        self.lost = 0
        self._rings: list[deque[Trace]] = [deque(maxlen=KEPT) for _ in BANDS]
        self._errors: dict[str, deque[Trace]] = {}
        #: How many traces have failed.
        self.error_count = 0
        self._latencies = Latencies(self.clock())
        # Counted in batches: one by one would cost each trace 0.4 µs more.
        self._new: list[float] = []
        self._count_at = self._latencies.until
        self._counting = False

    def begin(self, trace: Trace) -> None:
        """Note that *trace* is running."""
        running = self._running
        running[trace._number] = trace
        if len(running) > self.purge_at:
            self.purge()

    def purge(self) -> None:
        """Forget the traces that nobody holds any more, and count them as lost."""
        running = self._running
        with self.lock:
            # list() of a dict's keys is one step, so other threads may begin traces meanwhile.
            # The oldest come first: a parent that goes lets its children go.
            for number in list(running):
                if getrefcount(running.get(number)) > FORGOTTEN:
                    continue
                if running.pop(number, None) is not None:
                    self.lost += 1
            self.purge_at = max(PURGE_AT, 2 * len(running))

    def discard(self, trace: Trace) -> None:
        """Forget *trace* as if it had never begun."""
        if self._running.pop(trace._number, None) is not None:
            trace._end = trace._began
            trace._room = 0

    def keep(self, trace: Trace, end: float) -> None:
        """Keep *trace*, which has ended, among its likes."""
        seconds = end - trace._began
        if seconds < FAST:
            if seconds < 0.0:  # a clock that went back
                trace._end = end = trace._began
                seconds = 0.0
            self._rings[0].append(trace)
        else:
            self._rings[bisect_right(BANDS, seconds) - 1].append(trace)
        new = self._new
        if end >= self._count_at or len(new) >= BATCH:
            self._count(end)  # without this one, which belongs to the span that begins now
        new.append(seconds)
        if trace._error is not None:
            self._keep_failed(trace, trace._error)

    def _count(self, now: float) -> None:
        with self.lock:
            # A signal handler or a finalizer may come by in the midst: one batch at a time.
            if self._counting:
                return
            self._counting = True
            try:
                # Cut off in place: another thread may hold the list, about to add to it.
                new = self._new[:BATCH]
                del self._new[: len(new)]
                self._latencies.add(now, new)
                self._count_at = self._latencies.until
            finally:
                self._counting = False

    def _keep_failed(self, trace: Trace, error: str) -> None:
        with self.lock:
            self.error_count += 1
            ring = self._errors.get(error)
            if ring is None:
                if len(self._errors) >= SORTS:
                    error = OTHER
                ring = self._errors.setdefault(error, deque(maxlen=KEPT))
            ring.append(trace)

    # What pages ask

    @property
    def running_count(self) -> int:
        """How many traces are running."""
        return self.count_running(self.tracer.guests())

    def count_running(self, guests: Mapping[str, Sequence[Trace]]) -> int:
        """Return how many traces are running, given those at the tracer's sources."""
        self.purge()
        return len(self._running) + len(guests.get(self.name, ()))

    def running(
        self, most: int | None = None, guests: Mapping[str, Sequence[Trace]] | None = None
    ) -> list[Trace]:
        """Return the running traces that began first, at most so many.

        :param guests: those at the tracer's sources, if somebody has them already.
        """
        self.purge()
        known = self.tracer.guests() if guests is None else guests
        found = [*list(self._running.values()), *known.get(self.name, ())]
        return sorted(found, key=lambda trace: trace._began)[:most]

    def band(self, number: int) -> list[Trace]:
        """Return what is kept of one latency band, oldest first."""
        self.tracer.settle()
        return list(self._rings[number])

    def failed(self) -> dict[str, list[Trace]]:
        """Return what is kept of each sort of failure, oldest first."""
        self.tracer.settle()
        with self.lock:
            return {error: list(self._errors[error]) for error in list(self._errors)}

    def kept(self) -> Iterator[Trace]:
        """Yield every finished trace that is kept, once."""
        self.tracer.settle()
        seen: set[int] = set()
        with self.lock:
            rings = [list(ring) for ring in (*self._rings, *self._errors.values())]
        for ring in rings:
            for trace in ring:
                if trace._number not in seen:
                    seen.add(trace._number)
                    yield trace

    @property
    def latencies(self) -> Latencies:
        """The durations of all that have finished, up to now. Hold the lock while reading."""
        self.tracer.settle()
        with self.lock:
            while self._new and not self._counting:
                self._count(self.clock())
            return self._latencies

    @property
    def empty(self) -> bool:
        """Whether nothing has happened here yet, but at the tracer's sources."""
        return not (self._running or any(self._rings))
