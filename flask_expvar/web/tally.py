"""Tally: what is counted of one request, at its first byte and at its end."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from ..variables.histogram import Histogram
from .recorder import Recorder
from .requests import RequestTrace
from .routes import ROUTE_KEY, route_of

#: In place of an environ that is needed no more.
GONE: dict[str, Any] = {}


class Tally:
    """What the counts of one request are made of.

    It reads the words of the variables while it holds the registry's lock, so it counts right
    while they move, and it makes no call in there: a signal handler that counts would wait for
    itself.
    """

    __slots__ = (
        "_began", "_environ", "_error", "_lock", "_method", "_open", "_read", "_recorder",
        "_route", "_sent", "_status", "_total", "_waiting", "trace",
    )  # fmt: skip

    _recorder: Recorder
    _environ: dict[str, Any]
    _method: str
    _status: str | None
    _error: BaseException | None
    _route: Any
    _lock: Any
    _began: float
    # Whether the first byte, and the end, are still to be counted.
    _waiting: bool
    _open: bool
    _sent: int
    _total: Histogram | None
    _read: int
    #: What happens in this request, None if that is not recorded.
    trace: RequestTrace | None

    def _count_first(self) -> None:
        """Count method, code and time to the first byte. Never raises."""
        self._waiting = False
        recorder = self._recorder
        try:
            now = recorder.clock()
            seconds = now - self._began
            # Set late, or found when the response began, or still to be found.
            route = self._environ.get(ROUTE_KEY) or self._route or route_of(self._environ)
            self._route = route
            try:
                method, code, first, total = recorder.known[self._method, self._status, route]
                # One that was deleted has no home any more.
                if not (method._home is code._home is first._home is recorder.registry):
                    raise LookupError
            except Exception:  # new, deleted, or no text
                method, code, first, total = recorder.find(self._method, self._status, route)
            self._total = total
            bucket = bisect_left(first._bounds, seconds)
            with recorder.registry.lock:
                method._ints[method._at] += 1
                code._ints[code._at] += 1
                first._floats[first._sum_at] += seconds
                first._ints[first._at + bucket] += 1
            trace = self.trace
            if trace is not None:
                trace._first_at = now
                trace._route = route
        except Exception as error:
            recorder.lost(recorder.firsts, error)

    def finish(self) -> None:
        """Count what is known at the end, once. Never raises."""
        if self._waiting:
            self._count_first()
        if not self._open:
            return
        self._open = False
        recorder, route = self._recorder, self._route
        try:
            now = recorder.clock()
            seconds = now - self._began
            total = self._total
            if total is None or total._home is None:
                total = recorder.histogram(recorder.totals, route)
            bucket = bisect_left(total._bounds, seconds)
            gauge, received, sent = recorder.in_flight, recorder.received, recorder.sent
            lock = recorder.registry.lock
            with lock:
                # Another lock: this process was forked meanwhile, and its gauge began anew.
                if lock is self._lock:
                    gauge._ints[gauge._at] -= 1
                total._floats[total._sum_at] += seconds
                total._ints[total._at + bucket] += 1
                sent._ints[sent._at] += self._sent
                if self._read:  # seldom: most requests have no body
                    received._ints[received._at] += self._read
            if self.trace is not None:
                self.trace.done(now, self._status, self._read, self._sent)
        except Exception as error:
            recorder.lost(recorder.totals, error)
        # The environ holds this object: without a way back no garbage collection is needed.
        self._environ = GONE
        self._error = None
